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

/// A link in both directions that drops what is larger than it carries, which may change; gives the largest that got through.
fn carry(pair: &mut Pair, carried: &Rc<Cell<usize>>) -> Rc<Cell<usize>> {
    let largest = Rc::new(Cell::new(0));
    for link in [&mut pair.up, &mut pair.down] {
        let (carried, largest) = (carried.clone(), largest.clone());
        *link = Box::new(move |mut burst| {
            burst.retain(|datagram: &Datagram| datagram.bytes.len() <= carried.get());
            let lengths = burst.iter().map(|datagram| datagram.bytes.len());
            largest.set(lengths.max().max(Some(largest.get())).unwrap_or(0));
            burst
        });
    }
    largest
}

/// A client and a server that search over a path as wide as `carried`, from the first packet on.
fn searching_pair(carried: &Rc<Cell<usize>>, largest: usize) -> (Pair, SharedConnection, Rc<Cell<usize>>) {
    let authority = common::Authority::new();
    let config = || {
        let mut config = authority.config(polykey_quic::quic::Verification::Chain);
        searching(largest)(&mut config);
        config
    };
    let mut pair = Pair::new();
    let passed = carry(&mut pair, carried);
    pair.server.endpoint.listen(common::shared(config()));
    let client = pair.dial(config());
    (pair, client, passed)
}

fn pmtu(connection: &SharedConnection) -> usize {
    connection.borrow().active_path().expect("live").expect("a path").pmtu
}

/// Packets lost, probes apart.
fn lost(connection: &SharedConnection) -> usize {
    connection.borrow().active_path().expect("live").expect("a path").lost
}

/// Whether the search is over.
fn is_over(connection: &SharedConnection) -> bool {
    connection.borrow().live().expect("live").pmtu().is_some()
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
        let (mut pair, client, _) = searching_pair(&carried, JUMBO);
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

/// Reads what there is of a stream that may not have begun.
fn read_if_any(connection: &SharedConnection, id: u64) -> Vec<u8> {
    let is_readable = connection.borrow().live().expect("live").stream_readable(id);
    if is_readable {
        read(connection, id).0
    } else {
        Vec::new()
    }
}

/// Sends as much in both directions at once; `then` learns how much has come to both.
fn exchange(pair: &mut Pair, client: &SharedConnection, server: &SharedConnection, mut then: impl FnMut(usize)) {
    let data: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let mut ways = [(client, server, 2), (server, client, 3)].map(|way| (way, 0, Vec::new()));
    pair.run_until(|_| {
        for ((from, to, stream), sent, received) in &mut ways {
            *sent += write(from, *stream, &data[*sent..], false);
            received.extend(read_if_any(to, *stream));
        }
        then(ways.iter().map(|(.., received)| received.len()).sum());
        ways.iter().all(|(.., received)| received.len() == data.len())
    });
    assert!(ways.iter().all(|(.., received)| *received == data));
}

fn run_until_both_know(pair: &mut Pair, ends: [&SharedConnection; 2], carried: usize) {
    pair.run_until(|_| ends.iter().all(|end| is_over(end) && pmtu(end) == carried));
}

#[test]
fn a_path_that_gets_narrow_as_the_first_probe_is_under_way_stops_nothing() {
    for has_arrived in [false, true] {
        let carried = Rc::new(Cell::new(1472));
        let (mut pair, client, passed) = searching_pair(&carried, 1472);
        let is_shown = |pair: &Pair| pair.server.count(|change| matches!(change, Change::Connected(_))) > 0;
        // One burst at a time: what has arrived now is answered in the next.
        while !is_shown(&pair) || (has_arrived && passed.get() <= SMALLEST) {
            assert!(pair.step());
        }
        let server = pair.server.accepted();
        assert_eq!(
            (passed.get() > SMALLEST, is_over(&client), is_over(&server)),
            (has_arrived, false, false)
        );
        carried.set(1252);
        exchange(&mut pair, &client, &server, |_| {});
        run_until_both_know(&mut pair, [&client, &server], 1252);
        try_largest(&mut pair, &client, &server);
    }
}

#[test]
fn a_path_that_gets_narrow_in_the_middle_of_the_search_stops_nothing() {
    for (largest, wide, known) in [(1472, 1450, 1438), (JUMBO, 6000, 5086)] {
        let carried = Rc::new(Cell::new(wide));
        let (mut pair, client, _) = searching_pair(&carried, largest);
        pair.run_until(|_| pmtu(&client) > SMALLEST);
        let server = pair.server.accepted();
        assert_eq!((pmtu(&client), is_over(&client)), (known, false));
        carried.set(1252);
        exchange(&mut pair, &client, &server, |_| {});
        let lost = || [lost(&client), lost(&server)];
        let before = lost();
        exchange(&mut pair, &client, &server, |_| {});
        assert_eq!(lost(), before);
        run_until_both_know(&mut pair, [&client, &server], 1252);
        try_largest(&mut pair, &client, &server);
        // Nobody asks for more any more.
        carried.set(wide);
        exchange(&mut pair, &client, &server, |_| {});
        assert_eq!((pmtu(&client), pmtu(&server)), (1252, 1252));
    }
}

#[test]
fn a_path_that_was_narrow_for_a_part_of_the_search_is_found_to_be_wide() {
    let carried = Rc::new(Cell::new(6000));
    let (mut pair, client, _) = searching_pair(&carried, JUMBO);
    pair.run_until(|_| pmtu(&client) > SMALLEST);
    let server = pair.server.accepted();
    assert_eq!((pmtu(&client), is_over(&client)), (5086, false));
    carried.set(SMALLEST);
    exchange(&mut pair, &client, &server, |received| {
        if received > 0 {
            carried.set(6000);
        }
    });
    run_until_both_know(&mut pair, [&client, &server], 6000);
    try_largest(&mut pair, &client, &server);
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
fn small_messages_that_get_through_hide_no_black_hole() {
    for wide in [1450, 1472] {
        for length in [3_000, 100_000] {
            let carried = Rc::new(Cell::new(wide));
            let (mut pair, client, _) = searching_pair(&carried, 1472);
            pair.run_until(|_| pmtu(&client) > SMALLEST);
            let server = pair.server.accepted();
            assert_eq!(is_over(&client), wide == 1472);
            carried.set(1252);
            let (data, mut sent, mut received) = (vec![7; length], 0, 0);
            pair.run_until(|_| {
                sent += write(&client, 2, &data[sent..], false);
                write(&client, 6, b"small", false);
                received += read_if_any(&server, 2).len();
                read_if_any(&server, 6);
                received == length
            });
            pair.run_until(|_| is_over(&client) && pmtu(&client) == 1252);
        }
    }
}

#[test]
fn a_path_on_which_nothing_was_searched_gets_the_smallest_packets() {
    let (mut pair, client, server) = Pair::connected_with(searching(JUMBO), |_| {});
    pair.run_until(|_| pmtu(&client) == JUMBO);
    let key = client.borrow().key().expect("driven");
    let mut detached = pair.client.endpoint.detach(key).expect("the server lets us go");
    pair.client = End::new("127.0.0.2:2001", EndpointSettings::default());
    pair.client
        .endpoint
        .attach(&mut detached, Instant::now())
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
