//! Datagrams on connections (RFC 9221): unreliable, unordered, bounded.

mod common;

use common::{Authority, Datagram, Pair, drain, read, shared, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::verification::Alert;
use polykey_quic::quic::{Error, SharedConnection, Verification};

fn send(connection: &SharedConnection, data: &[u8]) -> bool {
    connection
        .borrow_mut()
        .dgram_send(data)
        .expect("a peer that takes them")
}

/// Takes all that wait.
fn take(connection: &SharedConnection) -> Vec<Vec<u8>> {
    let mut buffer = [0; 1500];
    let mut all = Vec::new();
    while let Some(length) = connection.borrow_mut().dgram_recv(&mut buffer).expect("live") {
        all.push(buffer[..length].to_vec());
    }
    all
}

fn is_readable(change: &Change) -> bool {
    matches!(change, Change::DatagramReadable(_))
}

fn numbered(range: std::ops::Range<u16>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec()).collect()
}

#[test]
fn both_sides_send_and_are_told_once_for_a_batch() {
    let (mut pair, client, server) = Pair::connected();
    for (from, to) in [(&client, &server), (&server, &client)] {
        for datagram in numbered(0..5) {
            assert!(send(from, &datagram));
        }
        pair.run();
        assert_eq!(take(to), numbered(0..5));
        assert_eq!(from.borrow().stats().expect("live").dgram_sent, 5);
        assert_eq!(to.borrow().stats().expect("live").dgram_recv, 5);
    }
    assert_eq!((pair.client.count(is_readable), pair.server.count(is_readable)), (1, 1));
}

#[test]
fn a_datagram_fits_into_a_packet_or_is_refused() {
    let (mut pair, client, server) = Pair::connected();
    let max = client.borrow().live().expect("live").dgram_max_writable_len();
    let max = max.expect("a limit");
    assert!(max > 1_100 && max < 1_200, "{max}");
    let largest = vec![7; max];
    assert!(send(&client, &largest));
    assert!(send(&client, &[]));
    let beyond = client.borrow_mut().dgram_send(&vec![7; max + 1]);
    assert_eq!(beyond, Err(Error::DatagramTooLarge { length: max + 1, max }));
    pair.run();
    assert_eq!(take(&server), [largest, Vec::new()]);
}

#[test]
fn a_full_send_queue_takes_no_more_until_it_is_sent() {
    let (mut pair, client, server) = Pair::connected();
    for datagram in numbered(0..100) {
        assert!(send(&client, &datagram));
    }
    assert!(!send(&client, b"too many"));
    pair.run();
    assert!(send(&client, b"room again"));
    pair.run();
    let heard = take(&server);
    // The oldest of what was received gives way.
    assert_eq!(heard.len(), 100);
    assert_eq!(heard[..99], numbered(1..100));
    assert_eq!(heard[99], b"room again");
}

#[test]
fn a_full_receive_queue_drops_the_oldest() {
    let (mut pair, client, server) = Pair::connected();
    for round in 0..3 {
        for datagram in numbered(round * 50..round * 50 + 50) {
            assert!(send(&client, &datagram));
        }
        pair.run();
    }
    assert_eq!(take(&server), numbered(50..150));
    // Datagrams that were dropped count as received.
    assert_eq!(server.borrow().stats().expect("live").dgram_recv, 150);
}

#[test]
fn what_is_queued_can_be_seen_and_dropped() {
    let (mut pair, client, server) = Pair::connected();
    for datagram in numbered(0..10) {
        assert!(send(&client, &datagram));
    }
    assert_eq!(client.borrow_mut().dgrams_outgoing(), Ok(numbered(0..10)));
    let odd = |datagram: &[u8]| datagram[1] % 2 == 1;
    assert_eq!(client.borrow_mut().dgram_purge_outgoing(odd), Ok(5));
    pair.run();
    let even: Vec<_> = numbered(0..10).into_iter().step_by(2).collect();
    assert_eq!(take(&server), even);
}

#[test]
fn a_datagram_that_does_not_fit_the_buffer_stays() {
    let (mut pair, client, server) = Pair::connected();
    send(&client, b"hello");
    pair.run();
    let mut server = server.borrow_mut();
    let mut buffer = [0; 4];
    assert_eq!(
        server.dgram_recv(&mut buffer),
        Err(Error::Quiche(quiche::Error::BufferTooShort))
    );
    assert_eq!(server.dgram_recv_peek(&mut buffer), Ok(Some(4)));
    assert_eq!(&buffer, b"hell");
    assert_eq!(server.dgram_recv(&mut [0; 5]), Ok(Some(5)));
    assert_eq!(server.dgram_recv_peek(&mut buffer), Ok(None));
}

#[test]
fn many_are_taken_at_once_as_far_as_they_fit() {
    let (mut pair, client, server) = Pair::connected();
    for datagram in [&b"one"[..], b"", b"three", b"four"] {
        send(&client, datagram);
    }
    pair.run();
    let mut server = server.borrow_mut();
    let (mut buffer, mut lengths) = ([0; 9], [0; 8]);
    let too_short = Err(Error::Quiche(quiche::Error::BufferTooShort));
    assert_eq!(server.dgram_recv_many(&mut buffer[..2], &mut lengths), too_short);
    assert_eq!(server.dgram_recv_many(&mut buffer, &mut lengths), Ok(3));
    assert_eq!((&buffer[..8], &lengths[..3]), (&b"onethree"[..], &[3, 0, 5][..]));
    assert_eq!(server.dgram_recv_many(&mut buffer, &mut lengths[..0]), Ok(0));
    assert_eq!(server.dgram_recv_many(&mut buffer, &mut lengths), Ok(1));
    assert_eq!((&buffer[..4], lengths[0]), (&b"four"[..], 4));
    assert_eq!(server.dgram_recv_many(&mut buffer, &mut lengths), Ok(0));
}

#[test]
fn a_lost_datagram_does_not_come_again() {
    let (mut pair, client, server) = Pair::connected();
    for datagram in numbered(0..4) {
        send(&client, &datagram);
        let mut burst = pair.client.transmit();
        if datagram[1] == 1 {
            burst.clear();
        }
        pair.server.receive(&burst);
    }
    write(&client, 0, b"later", true);
    pair.run_until(|_| client.borrow().stats().expect("live").lost > 0);
    pair.run();
    assert_eq!(drain(&server, 0), Read::Data { bytes: 5, fin: true });
    assert_eq!(take(&server), [[0, 0], [0, 2], [0, 3]]);
}

#[test]
fn a_bulk_stream_does_not_hold_datagrams_up() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, &[0; 10_000], false);
    send(&client, b"urgent");
    let burst = pair.client.transmit();
    assert!(burst.len() > 5);
    pair.server.receive(&burst[..2]);
    assert_eq!(take(&server), [b"urgent"]);
}

#[test]
fn a_peer_that_takes_none_is_known() {
    let (_, client, server) = Pair::connected_with(|_| {}, |config| config.quiche.enable_dgram(false, 0, 100));
    assert_eq!(client.borrow_mut().dgram_send(b"x"), Err(Error::DatagramsUnsupported));
    // The other way they are taken.
    assert!(send(&server, b"x"));
}

#[test]
fn before_the_handshake_nothing_is_known() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    let client = pair.dial(authority.config(Verification::Chain));
    assert_eq!(client.borrow_mut().dgram_send(b"x"), Err(Error::DatagramsUnsupported));
    assert_eq!(client.borrow_mut().dgram_recv(&mut [0; 9]), Ok(None));
}

#[test]
fn what_comes_before_the_verdict_is_held_up_to_a_bound_and_counted_beyond_it() {
    const HELD: u64 = 20;
    const SENT: u16 = 30;
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Application)));
    let mut config = authority.config(Verification::Chain);
    // By default no more can be under way than what is held.
    config.quiche.set_initial_congestion_window_packets(100);
    let client = pair.dial(config);
    pair.run();
    let others = pair.server.endpoint.stats.held;
    // Each is a packet of its own.
    let datagram = |number: u16| [&number.to_be_bytes()[..], &[0; 1000]].concat();
    for number in 0..SENT {
        assert!(send(&client, &datagram(number)));
        pair.run();
    }
    let stats = pair.server.endpoint.stats;
    assert_eq!(
        (stats.held, stats.held + stats.held_dropped),
        (HELD, others + u64::from(SENT))
    );
    let server = pair.server.endpoint.connection(0).expect("half-open");
    assert_eq!(server.borrow_mut().dgram_recv(&mut [0; 2000]), Ok(None));
    assert_eq!(server.borrow_mut().settle_verification(None), Ok(true));
    pair.run();
    let kept: Vec<_> = (0..SENT - stats.held_dropped as u16).map(datagram).collect();
    assert_eq!(take(&server), kept);
}

#[test]
fn what_comes_before_the_verdict_is_bounded_in_bytes_as_well() {
    const BOUND: usize = 64 * 1024;
    let (mut pair, client) = Pair::dialling(Verification::Chain, Verification::Application);
    pair.run();
    let server = pair.server.endpoint.connection(0).expect("half-open");
    let id = server.borrow().live().expect("live").source_id().to_vec();
    // From anybody who has seen the id, each as large as UDP lets it be.
    let mut bytes = [&[0x40], &id[..]].concat();
    bytes.resize(65_507, 0);
    let forged = Datagram {
        bytes,
        from: "192.0.2.66:666".parse().expect("an address"),
        to: pair.server.address,
    };
    let before = pair.server.endpoint.stats;
    pair.server.receive(&vec![forged; 10]);
    let stats = pair.server.endpoint.stats;
    let (held, dropped) = (stats.held - before.held, stats.held_dropped - before.held_dropped);
    assert!(held as usize * 65_507 <= BOUND, "{held} are held");
    assert_eq!(held + dropped, 10);
    assert_eq!(server.borrow_mut().settle_verification(None), Ok(true));
    write(&client, 0, b"hello", true);
    pair.run();
    assert_eq!(read(&server, 0), (b"hello".to_vec(), true));
}

#[test]
fn nothing_of_a_refused_client_is_ever_shown() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Application)));
    let client = pair.dial(authority.config(Verification::Chain));
    pair.run();
    assert!(send(&client, b"trust me"));
    write(&client, 0, b"and me", true);
    pair.run();
    let server = pair.server.endpoint.connection(0).expect("half-open");
    assert_eq!(server.borrow_mut().settle_verification(Alert::new(42)), Ok(true));
    pair.run();
    assert!(take(&server).is_empty());
    pair.run_until(|pair| pair.server.endpoint.is_empty() && pair.client.endpoint.is_empty());
    let told = [Change::Verify(0), Change::Ending(0), Change::Closed(0)];
    assert_eq!(pair.server.changes, told);
    assert_eq!(server.borrow_mut().dgram_recv(&mut [0; 9]), Err(Error::Closed));
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Peer));
}
