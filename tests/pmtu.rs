//! The search for the largest packet that a path carries (RFC 8899).

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use common::{Datagram, End, Pair, read, write};
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::{Config, SharedConnection};

/// Room for an Ethernet frame of the large kind, over IPv4.
const JUMBO: usize = 8972;
const SMALLEST: usize = 1200;

fn searching(largest: usize) -> impl Fn(&mut Config) {
    move |config| {
        config.set_discover_pmtu(true);
        config.quiche.set_max_send_udp_payload_size(largest);
        config.quiche.set_max_recv_udp_payload_size(65_527);
        config.quiche.set_initial_rtt(std::time::Duration::from_millis(5));
    }
}

/// A link in both directions that drops what is larger than it carries, which may change.
fn carry(pair: &mut Pair, carried: &Rc<Cell<usize>>) {
    for link in [&mut pair.up, &mut pair.down] {
        let carried = carried.clone();
        *link = Box::new(move |mut burst| {
            burst.retain(|datagram: &Datagram| datagram.bytes.len() <= carried.get());
            burst
        });
    }
}

fn pmtu(connection: &SharedConnection) -> usize {
    connection.borrow().active_path().expect("live").expect("a path").pmtu
}

fn largest_datagram(connection: &SharedConnection) -> usize {
    let max = connection.borrow().dgram_max_writable_len();
    max.expect("live").expect("the peer takes them")
}

/// What came of the largest datagram that is said to fit.
fn try_largest(pair: &mut Pair, from: &SharedConnection, to: &SharedConnection) -> usize {
    let max = largest_datagram(from);
    assert_eq!(from.borrow_mut().dgram_send(&vec![1; max]), Ok(true));
    let mut buffer = vec![0; 1 << 16];
    let mut arrived = None;
    pair.run_until(|_| {
        arrived = to.borrow_mut().dgram_recv(&mut buffer).expect("live");
        arrived.is_some()
    });
    assert_eq!(arrived, Some(max));
    max
}

#[test]
fn datagrams_grow_with_what_the_path_is_known_to_carry_and_are_never_larger() {
    for carried in [SMALLEST, 1252, 1472, JUMBO] {
        let carried = Rc::new(Cell::new(carried));
        let mut pair = Pair::new();
        carry(&mut pair, &carried);
        let authority = common::Authority::new();
        let config = || {
            let mut config = authority.config(polykey_quic::quic::Verification::Chain);
            searching(JUMBO)(&mut config);
            config
        };
        pair.server.endpoint.listen(common::shared(config()));
        let client = pair.dial(config());
        pair.run_until(|pair| pair.server.count(|change| matches!(change, Change::Connected(_))) > 0);
        let server = pair.server.accepted();
        let mut seen = Vec::new();
        pair.run_until(|_| {
            for connection in [&client, &server] {
                let max = largest_datagram(connection);
                assert!(max < pmtu(connection) && pmtu(connection) <= carried.get(), "{max}");
                // Header, number, tag, and the frame's type and length.
                assert!(max > pmtu(connection) - 50, "{max}");
                seen.push(max);
            }
            pmtu(&client) == carried.get() && pmtu(&server) == carried.get()
        });
        // The search takes several rounds, unless the first probe gets through, or none does.
        let is_found_by_steps = carried.get() > SMALLEST && carried.get() < JUMBO;
        assert!(!is_found_by_steps || seen.first() < seen.last(), "{seen:?}");
        for (from, to) in [(&client, &server), (&server, &client)] {
            let max = try_largest(&mut pair, from, to);
            assert_eq!(max, largest_datagram(from));
        }
    }
}

#[test]
fn no_packet_is_larger_than_the_peer_takes() {
    const LIMIT: usize = 1300;
    let (mut pair, client, server) = Pair::connected_with(searching(1472), |config| {
        config.quiche.set_max_recv_udp_payload_size(LIMIT);
    });
    let largest = Rc::new(Cell::new(0));
    let record = largest.clone();
    pair.up = Box::new(move |burst| {
        let longest = burst.iter().map(|datagram| datagram.bytes.len()).max();
        record.set(record.get().max(longest.unwrap_or(0)));
        burst
    });
    pair.run_until(|_| pmtu(&client) == LIMIT);
    try_largest(&mut pair, &client, &server);
    assert_eq!(largest.get(), LIMIT);
}

#[test]
fn a_transfer_goes_on_when_the_path_carries_less_than_it_did() {
    let (mut pair, client, server) = Pair::connected_with(searching(1472), searching(1472));
    let carried = Rc::new(Cell::new(1472));
    carry(&mut pair, &carried);
    pair.run_until(|_| pmtu(&client) == 1472);
    let data: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let mut received = Vec::new();
    let mut sent = write(&client, 0, &data, false);
    pair.run();
    pair.run_until(|_| {
        received.extend(read(&server, 0).0);
        if received.len() > 50_000 {
            carried.set(1252);
        }
        sent += write(&client, 0, &data[sent..], false);
        received.len() == data.len()
    });
    assert_eq!(received, data);
    pair.run_until(|_| pmtu(&client) == 1252);
    try_largest(&mut pair, &client, &server);
}

#[test]
fn a_path_on_which_nothing_was_searched_gets_the_smallest_packets() {
    let (mut pair, client, server) = Pair::connected_with(searching(JUMBO), |_| {});
    pair.run_until(|_| pmtu(&client) == JUMBO);
    let key = client.borrow().key().expect("driven");
    let detached = pair.client.endpoint.detach(key).expect("the server lets us go");
    pair.client = End::new("127.0.0.2:2001", EndpointSettings::default());
    pair.client
        .endpoint
        .attach(detached, Instant::now())
        .expect("spare ids");
    let carried = Rc::new(Cell::new(SMALLEST));
    carry(&mut pair, &carried);
    let data = vec![7; 20_000];
    assert_eq!(write(&client, 0, &data, true), data.len());
    let mut received = Vec::new();
    pair.run_until(|_| {
        let (bytes, is_ended) = read(&server, 0);
        received.extend(bytes);
        is_ended
    });
    assert_eq!(received, data);
    assert!(try_largest(&mut pair, &client, &server) > 1100);
    assert!(pair.client.endpoint.searches_pmtu());
}

#[test]
fn nothing_is_searched_unless_wanted() {
    let (mut pair, client, _server) = Pair::connected_with(
        |config| config.quiche.set_max_send_udp_payload_size(JUMBO),
        |config| config.quiche.set_max_recv_udp_payload_size(65_527),
    );
    pair.run();
    assert_eq!(
        (pmtu(&client), client.borrow().live().expect("live").pmtu()),
        (JUMBO, None)
    );
    assert!(!pair.client.endpoint.searches_pmtu());
}
