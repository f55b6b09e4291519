//! NAT rebinding: the client's address changes under it, again and again.

mod common;

use common::{Pair, read, write};
use polykey_quic::quic::endpoint::change::Change;

#[test]
fn a_connection_survives_forty_rebindings() {
    let (mut pair, client, server) = Pair::connected();
    let mut sent = Vec::new();
    let mut received = Vec::new();
    for port in 2000..2040 {
        rebind(&mut pair, port);
        let chunk = port.to_string().into_bytes();
        assert_eq!(write(&client, 0, &chunk, false), chunk.len());
        sent.extend_from_slice(&chunk);
        pair.run();
        received.extend_from_slice(&read(&server, 0).0);
        assert_eq!(received, sent, "after the rebinding to port {port}");
        // And back again, to the new address.
        write(&server, 0, &chunk, false);
        pair.run();
        assert_eq!(read(&client, 0).0, chunk);
    }
    assert_eq!(
        server
            .borrow()
            .active_path()
            .expect("live")
            .expect("a path")
            .peer_addr
            .port(),
        2039
    );
    assert_eq!(pair.server.endpoint.stats.rebindings, 40);
    assert!(pair.server.count(|change| matches!(change, Change::Path(_))) >= 40);
}

/// From now on the client is seen at this port.
fn rebind(pair: &mut Pair, port: u16) {
    let inside = pair.client.address;
    pair.up = Box::new(move |mut burst| {
        burst.iter_mut().for_each(|datagram| datagram.from.set_port(port));
        burst
    });
    pair.down = Box::new(move |burst| {
        // Mappings that were forgotten lead nowhere.
        burst
            .into_iter()
            .filter(|datagram| datagram.to.port() == port)
            .map(|mut datagram| {
                datagram.to = inside;
                datagram
            })
            .collect()
    });
}
