//! The client's address changes under it: NAT rebinding, again and again, and what others could make of it.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Datagram, Pair, drain, read, write};
use polykey_quic::quic::SharedConnection;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::stream::{Read, Write};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Where the server takes its client to be.
fn peer_address(server: &SharedConnection) -> SocketAddr {
    let path = server.borrow().active_path().expect("live");
    path.expect("a path").peer_addr
}

/// From now on the client is seen at this address.
fn rebind(pair: &mut Pair, outside: SocketAddr) {
    let inside = pair.client.address;
    pair.up = Box::new(move |mut burst| {
        burst.iter_mut().for_each(|datagram| datagram.from = outside);
        burst
    });
    pair.down = Box::new(move |mut burst| {
        // Mappings that were forgotten lead nowhere.
        burst.retain(|datagram| datagram.to == outside);
        burst.iter_mut().for_each(|datagram| datagram.to = inside);
        burst
    });
}

/// Has the client say something, and the server answer; `index` counts up from 0.
fn assert_works(pair: &mut Pair, client: &SharedConnection, server: &SharedConnection, index: u64) {
    write(client, 4 * index, b"request", true);
    pair.run();
    assert_eq!(drain(server, 4 * index), Read::Data { bytes: 7, fin: true });
    write(server, 4 * index, b"answer", true);
    pair.run_until(|_| drain(client, 4 * index) == Read::Data { bytes: 6, fin: true });
}

#[test]
fn a_connection_survives_forty_rebindings() {
    let (mut pair, client, server) = Pair::connected();
    let mut sent = Vec::new();
    let mut received = Vec::new();
    for port in 2000..2040 {
        rebind(&mut pair, SocketAddr::from(([127, 0, 0, 1], port)));
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
        assert_eq!(peer_address(&server).port(), port);
    }
    assert_eq!(pair.server.endpoint.stats.rebindings, 40);
    assert!(pair.server.count(|change| matches!(change, Change::Path(_))) >= 40);
}

#[test]
fn a_connection_survives_new_ip_addresses() {
    let (mut pair, client, server) = Pair::connected();
    for host in 2..20 {
        let outside = SocketAddr::from(([127, 0, 0, host], 4000 + u16::from(host)));
        rebind(&mut pair, outside);
        assert_works(&mut pair, &client, &server, u64::from(host) - 2);
        assert_eq!(peer_address(&server), outside, "new address number {}", host - 1);
    }
}

#[test]
fn a_client_may_come_back_to_where_it_was() {
    let (mut pair, client, server) = Pair::connected();
    let home = pair.client.address;
    for (index, outside) in [address("127.0.0.1:2000"), home, address("127.0.0.1:2001"), home]
        .into_iter()
        .enumerate()
    {
        rebind(&mut pair, outside);
        assert_works(&mut pair, &client, &server, index as u64);
        assert_eq!(peer_address(&server), outside);
    }
}

#[test]
fn a_download_goes_on_after_a_rebinding() {
    download(|index| SocketAddr::from(([127, 0, 0, 1], 2_000 + index)));
}

#[test]
fn a_download_goes_on_from_one_ip_address_to_another() {
    download(|index| SocketAddr::from(([127, 0, 1, 1 + index as u8], 2_000)));
}

/// Moves the client five times while it downloads; what is under way is lost each time.
fn download(place: impl Fn(u16) -> SocketAddr) {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"send me", true);
    // First the other way, so that many bytes of acknowledgements were sent, which nobody acknowledges.
    let mut uploaded = 0;
    while uploaded < 2_000_000 {
        uploaded += write(&client, 2, &[0; 1 << 17], false);
        pair.run();
        drain(&server, 2);
    }
    let mut moves = 0;
    let (mut sent, mut got) = (0, 0);
    pair.run_until(|pair| {
        if sent < 1_000_000 {
            let outcome = server.borrow_mut().stream_write(0, &vec![7; 1_000_000 - sent], true);
            if let Ok(Write::Taken(taken)) = outcome {
                sent += taken;
            }
        }
        let (bytes, fin) = read(&client, 0);
        got += bytes.len();
        if got / 200_000 > usize::from(moves) {
            // What is under way is lost with the old mapping.
            moves += 1;
            drop(pair.server.transmit());
            rebind(pair, place(moves));
            // The client has something to say, as it does with keep-alive.
            client.borrow_mut().send_ack_eliciting(None).expect("live");
        }
        fin
    });
    assert_eq!((got, moves), (1_000_000, 5));
}

#[test]
fn a_copy_from_another_address_moves_nobody() {
    let (mut pair, client, server) = Pair::connected();
    let home = pair.client.address;
    for index in 0..5 {
        let copies = Rc::new(Cell::new(Vec::new()));
        let kept = copies.clone();
        pair.up = Box::new(move |burst| {
            let mut all = kept.take();
            all.extend(burst.clone());
            kept.set(all);
            burst
        });
        assert_works(&mut pair, &client, &server, index);
        let mut copies = copies.take();
        assert!(copies.len() >= 2);
        for port in [9, 10] {
            copies.iter_mut().for_each(|copy| copy.from.set_port(port));
            pair.server.receive(&copies);
        }
        copies.iter_mut().for_each(|copy| copy.from = address("192.0.2.1:9"));
        pair.server.receive(&copies);
        let id = 1 + 4 * index;
        write(&server, id, b"to whom?", true);
        assert!(pair.server.transmit().iter().all(|datagram| datagram.to == home));
        pair.run_until(|pair| pair.client.opened().contains(&id));
        assert_eq!(drain(&client, id), Read::Data { bytes: 8, fin: true });
    }
    assert_eq!(pair.server.endpoint.stats.rebindings, 0);
    assert_eq!(peer_address(&server), home);
}

#[test]
fn whoever_is_faster_than_the_client_does_not_keep_its_place() {
    let (mut pair, client, server) = Pair::connected();
    let home = pair.client.address;
    write(&client, 0, b"a", false);
    let real = pair.client.transmit();
    let mut stolen = real.clone();
    stolen.iter_mut().for_each(|datagram| datagram.from.set_port(9));
    pair.server.receive(&stolen);
    pair.server.receive(&real);
    assert_eq!(peer_address(&server).port(), 9);
    // The client's next packet brings it back.
    write(&client, 0, b"b", false);
    pair.run();
    assert_eq!(peer_address(&server), home);
    assert_eq!(read(&server, 0).0, b"ab");
    write(&server, 0, b"answer", true);
    pair.run_until(|_| !read(&client, 0).0.is_empty());
}

#[test]
fn a_new_address_is_sent_little_before_it_is_proved() {
    for outside in ["127.0.0.1:2000", "127.0.0.2:2000"].map(address) {
        let (mut pair, client, server) = Pair::connected();
        write(&client, 0, b"send me a lot", true);
        pair.run();
        assert_eq!(write(&server, 0, &[0; 9_000], false), 9_000);
        // One small packet comes from the new address, and then nothing.
        rebind(&mut pair, outside);
        client.borrow_mut().send_ack_eliciting(None).expect("live");
        let mut received = 0;
        let mut one: Vec<Datagram> = pair.client.transmit();
        one.iter_mut().for_each(|datagram| {
            datagram.from = outside;
            received += datagram.bytes.len();
        });
        pair.server.receive(&one);
        pair.up = Box::new(|_| Vec::new());
        let sent = Rc::new(Cell::new(0));
        let counter = sent.clone();
        pair.down = Box::new(move |burst| {
            let there = burst.iter().filter(|datagram| datagram.to == outside);
            counter.set(counter.get() + there.map(|datagram| datagram.bytes.len()).sum::<usize>());
            Vec::new()
        });
        let start = Instant::now();
        pair.run_until(|_| start.elapsed() > Duration::from_millis(500));
        assert!(sent.get() <= 3 * received, "{} bytes for {received}", sent.get());
        // The client is there, and all comes.
        rebind(&mut pair, outside);
        client.borrow_mut().send_ack_eliciting(None).expect("live");
        let mut got = 0;
        pair.run_until(|_| {
            got += read(&client, 0).0.len();
            got == 9_000
        });
        assert_eq!(peer_address(&server), outside);
    }
}

/// A client at a new address, which has asked for 9000 bytes with a packet so large that the server may answer with several.
/// All but the first get lost, and what the client says to that one as well.
fn lose_the_answer() -> (Pair, SharedConnection, SharedConnection) {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"send me a lot", true);
    pair.run();
    let outside = address("127.0.0.1:2000");
    rebind(&mut pair, outside);
    write(&client, 4, &[0; 1_100], true);
    let mut burst = pair.client.transmit();
    burst.iter_mut().for_each(|datagram| datagram.from = outside);
    pair.server.receive(&burst);
    assert_eq!(write(&server, 0, &[0; 9_000], false), 9_000);
    let lost = pair.server.transmit();
    let count: usize = lost.iter().map(|datagram| datagram.bytes.len()).sum();
    assert!((2_000..3 * 1_200).contains(&count), "{count} bytes");
    let acknowledgement = lost.into_iter().take(1).collect();
    pair.client.receive(&(pair.down)(acknowledgement));
    assert!(!pair.client.transmit().is_empty());
    (pair, client, server)
}

#[test]
fn a_client_that_only_listens_hears_on_after_a_rebinding_and_a_loss() {
    let (mut pair, client, _server) = lose_the_answer();
    let mut got = 0;
    pair.run_until(|_| {
        got += read(&client, 0).0.len();
        got == 9_000
    });
}

#[test]
fn a_close_may_take_all_that_a_new_address_may_be_sent() {
    let (mut pair, client, server) = lose_the_answer();
    server.borrow_mut().close(true, 7, &[b'x'; 150]).expect("live");
    pair.run();
    let heard = client.borrow().peer_error().expect("remains").expect("an error");
    assert_eq!((heard.error_code, heard.reason.len()), (7, 150));
}

#[test]
fn a_client_does_not_follow_its_server() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"request", true);
    pair.run();
    write(&server, 0, b"answer", true);
    let mut moved = pair.server.transmit();
    // RFC 9000 §9: servers don't migrate.
    moved.iter_mut().for_each(|datagram| datagram.from.set_port(9));
    let to = pair.server.address;
    pair.client.receive(&moved);
    assert_eq!(drain(&client, 0), Read::Blocked);
    assert!(pair.client.transmit().iter().all(|datagram| datagram.to == to));
    pair.run_until(|_| drain(&client, 0) == Read::Data { bytes: 6, fin: true });
    assert_eq!(pair.client.endpoint.stats.rebindings, 0);
}

/// From now on the server is seen at this address, and reached there alone.
fn move_server(pair: &mut Pair, outside: SocketAddr) {
    let inside = pair.server.address;
    pair.down = Box::new(move |mut burst| {
        burst.iter_mut().for_each(|datagram| datagram.from = outside);
        burst
    });
    pair.up = Box::new(move |mut burst| {
        burst.retain(|datagram| datagram.to == outside);
        burst.iter_mut().for_each(|datagram| datagram.to = inside);
        burst
    });
}

#[test]
fn a_client_follows_its_server_where_it_is_told_to() {
    let (mut pair, client, server) = Pair::connected_with(|config| config.follow_server = true, |_| {});
    for (index, outside) in ["127.0.0.1:2000", "192.0.2.1:2000", "192.0.2.1:2001", "127.0.0.1:1002"]
        .into_iter()
        .enumerate()
    {
        move_server(&mut pair, address(outside));
        // The client hears of it by what the server says.
        server.borrow_mut().send_ack_eliciting(None).expect("live");
        pair.run();
        // On probation the client may say little at first.
        let id = 4 * index as u64;
        write(&client, id, b"request", true);
        pair.run_until(|_| drain(&server, id) == Read::Data { bytes: 7, fin: true });
        write(&server, id, b"answer", true);
        pair.run_until(|_| drain(&client, id) == Read::Data { bytes: 6, fin: true });
        assert_eq!(peer_address(&client), address(outside));
    }
    assert_eq!(pair.client.endpoint.stats.rebindings, 4);
}

#[test]
fn a_client_stays_with_its_server_otherwise() {
    let (mut pair, client, server) = Pair::connected();
    let home = pair.server.address;
    move_server(&mut pair, address("192.0.2.1:2000"));
    server.borrow_mut().send_ack_eliciting(None).expect("live");
    pair.run();
    assert_eq!(
        (peer_address(&client), pair.client.endpoint.stats.rebindings),
        (home, 0)
    );
}
