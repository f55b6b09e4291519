//! Work grows with what happens, memory with what is open: neither with what there was or what is idle.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use common::{Authority, Pair, drain, shared, write};
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::stats::EndpointStats;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::{SharedConnection, Verification};

/// Counts what each thread, and so each test, has allocated and not freed.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends frees its last things without being counted.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> isize {
    HELD.get()
}

/// A server with many idle connections of one client.
fn crowd(count: usize) -> (Pair, Vec<SharedConnection>) {
    let authority = Authority::new();
    let mut settings = EndpointSettings::default();
    settings.limits.connections_per_address = count;
    let mut pair = Pair::with(settings);
    // Nobody's time shall come meanwhile.
    let config = || {
        let mut config = authority.config(Verification::None);
        config.quiche.set_max_idle_timeout(0);
        shared(config)
    };
    pair.server.endpoint.listen(config());
    let config = config();
    let clients = (0..count).map(|_| {
        let to = pair.server.address;
        let dialled = pair.client.endpoint.connect(&config, None, to, Instant::now());
        pair.run();
        dialled.expect("a connection")
    });
    let clients: Vec<_> = clients.collect();
    assert_eq!(
        pair.server.count(|change| matches!(change, Change::Connected(_))),
        count
    );
    (pair, clients)
}

/// What a request and its answer on one of many connections cost the server.
fn cost_of_one(count: usize) -> EndpointStats {
    let (mut pair, clients) = crowd(count);
    let client = &clients[count / 2];
    pair.server.changes.clear();
    let before = pair.server.endpoint.stats;
    write(client, 0, b"request", true);
    let up = pair.client.transmit();
    pair.server.receive(&up);
    let Some(&Change::StreamOpened(key, 0)) = pair.server.changes.first() else {
        panic!("told first: {:?}", pair.server.changes);
    };
    let server = pair.server.endpoint.connection(key).expect("live");
    drain(&server, 0);
    write(&server, 0, b"answer", true);
    let down = pair.server.transmit();
    pair.client.receive(&down);
    assert_eq!(drain(client, 0), Read::Data { bytes: 6, fin: true });
    // And nobody else's time has come.
    pair.server.endpoint.on_timeout(Instant::now());
    let after = pair.server.endpoint.stats;
    EndpointStats {
        looks: after.looks - before.looks,
        received: after.received - before.received,
        transmitted: after.transmitted - before.transmitted,
        ..EndpointStats::default()
    }
}

#[test]
fn a_datagram_costs_the_same_among_ten_connections_and_ten_thousand() {
    let few = cost_of_one(10);
    assert_eq!((few.received, few.transmitted, few.looks), (1, 1, 2));
    assert_eq!(cost_of_one(10_000), few);
}

#[test]
fn streams_that_are_over_leave_nothing() {
    let (mut pair, client, server) = Pair::connected();
    let mut baseline = 0;
    for index in 0..10_000 {
        let id = 4 * index;
        write(&client, id, b"request", true);
        pair.step();
        assert_eq!(drain(&server, id), Read::Data { bytes: 7, fin: true });
        write(&server, id, b"answer", true);
        pair.step();
        assert_eq!(drain(&client, id), Read::Data { bytes: 6, fin: true });
        pair.client.changes.clear();
        pair.server.changes.clear();
        if index == 500 {
            pair.run();
            baseline = held();
        }
    }
    pair.run();
    let growth = held() - baseline;
    assert!(growth < 10_000, "9,500 streams left {growth} bytes");
}

#[test]
fn connections_that_are_over_leave_nothing() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    let config = shared(authority.config(Verification::Chain));
    let mut baseline = 0;
    for round in 0..4 {
        let to = pair.server.address;
        for _ in 0..20 {
            let dialled = pair
                .client
                .endpoint
                .connect(&config, Some("localhost"), to, Instant::now());
            let client = dialled.expect("a connection");
            pair.run();
            write(&client, 0, b"request", true);
            pair.run();
            client.borrow_mut().close(true, 0, b"done").expect("live");
        }
        pair.run_until(|pair| pair.client.endpoint.is_empty() && pair.server.endpoint.is_empty());
        pair.client.changes.clear();
        pair.server.changes.clear();
        // Later: for a while a closer answers peers that have not heard.
        pair.client
            .endpoint
            .on_timeout(Instant::now() + Duration::from_secs(60));
        if round == 0 {
            baseline = held();
        }
    }
    let growth = held() - baseline;
    assert!(growth < 10_000, "60 connections left {growth} bytes");
    assert_eq!(pair.server.endpoint.stats.closed, 80);
}
