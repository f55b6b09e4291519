//! What strangers can't do: fill the endpoint, reflect through it, come back with an old token.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::{Duration, Instant};

use common::{Authority, Pair, drain, read, shared, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::limits::{Limits, RetryPolicy};
use polykey_quic::quic::endpoint::stats::EndpointStats;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::token;
use polykey_quic::quic::{Error, SharedConnection, Verification};

fn guarded(limits: Limits, verification: Verification) -> (Authority, Pair) {
    let authority = Authority::new();
    let retry = RetryPolicy::Never;
    let mut pair = Pair::with(EndpointSettings {
        limits,
        retry,
        ..Default::default()
    });
    pair.server.endpoint.listen(shared(authority.config(verification)));
    (authority, pair)
}

fn was_refused(connection: &SharedConnection) -> bool {
    let error = connection.borrow().peer_error().expect("known");
    error.is_some_and(|error| !error.is_app && error.error_code == quiche::WireErrorCode::ConnectionRefused as u64)
}

/// Dials so often, and answers who was refused.
fn dial_all(authority: &Authority, pair: &mut Pair, count: usize) -> Vec<bool> {
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let client = pair.dial(authority.config(Verification::Chain));
            pair.run();
            client
        })
        .collect();
    clients.iter().map(was_refused).collect()
}

/// Two datagrams bring a post-quantum ClientHello, and each is refused.
const INITIALS: u64 = 2;

#[test]
fn too_many_half_open_handshakes_are_refused() {
    let limits = Limits {
        half_open: 2,
        ..Default::default()
    };
    let (authority, mut pair) = guarded(limits, Verification::Application);
    assert_eq!(dial_all(&authority, &mut pair, 4), [false, false, true, true]);
    let stats = pair.server.endpoint.stats;
    assert_eq!(
        (stats.accepted, stats.refused_half_open, stats.refused),
        (2, 2 * INITIALS, 2 * INITIALS)
    );
    assert_eq!(pair.server.endpoint.accepted().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(pair.client.endpoint.accepted().count(), 0);
    // One is judged: there is room again.
    let judged = pair.server.endpoint.connection(0).expect("half-open");
    judged.borrow_mut().settle_verification(None).expect("live");
    pair.run();
    assert_eq!(dial_all(&authority, &mut pair, 2), [false, true]);
}

#[test]
fn too_many_connections_are_refused() {
    let limits = Limits {
        connections: 2,
        ..Default::default()
    };
    let (authority, mut pair) = guarded(limits, Verification::Chain);
    assert_eq!(dial_all(&authority, &mut pair, 3), [false, false, true]);
    assert_eq!(pair.server.endpoint.stats.refused_connections, INITIALS);
    assert_eq!(pair.server.endpoint.stats.refused, INITIALS);
    // Our own dials are bounded as well.
    let to = pair.client.address;
    let settings = shared(authority.config(Verification::Chain));
    let dialled = pair.server.endpoint.connect(&settings, None, to, Instant::now());
    assert!(matches!(dialled, Err(Error::Limit(_))));
    let first = pair.server.endpoint.connection(0).expect("live");
    first.borrow_mut().close(true, 0, b"").expect("live");
    pair.run_until(|pair| pair.server.endpoint.len() == 1);
    assert_eq!(dial_all(&authority, &mut pair, 1), [false]);
}

#[test]
fn too_many_connections_from_one_address_are_refused() {
    let limits = Limits {
        connections_per_address: 1,
        ..Default::default()
    };
    let (authority, mut pair) = guarded(limits, Verification::Chain);
    assert_eq!(dial_all(&authority, &mut pair, 2), [false, true]);
    // Another port is the same address, another address is not.
    for (address, is_refused) in [("127.0.0.1:77", true), ("127.0.0.2:1001", false)] {
        pair.client.address = address.parse().expect("an address");
        pair.client.endpoint.set_local_address(pair.client.address);
        assert_eq!(dial_all(&authority, &mut pair, 1), [is_refused], "{address}");
    }
    assert_eq!(pair.server.endpoint.stats.refused_address, 2 * INITIALS);
}

#[test]
fn too_many_newcomers_a_second_are_refused() {
    let limits = Limits {
        accepts_per_second: 3,
        ..Default::default()
    };
    let (authority, mut pair) = guarded(limits, Verification::Chain);
    let clients: Vec<_> = (0..6)
        .map(|_| pair.dial(authority.config(Verification::Chain)))
        .collect();
    // All at one moment.
    let burst = pair.client.transmit();
    let now = Instant::now();
    pair.server.receive_at(&burst, now);
    assert_eq!(pair.server.endpoint.stats.accepted, 3);
    assert_eq!(pair.server.endpoint.stats.refused_rate, 3 * INITIALS);
    pair.run();
    assert_eq!(clients.iter().filter(|client| was_refused(client)).count(), 3);
    // A second later there is room for as many.
    clients.iter().skip(3).for_each(drop);
    (0..4).for_each(|_| drop(pair.dial(authority.config(Verification::Chain))));
    let burst = pair.client.transmit();
    pair.server.receive_at(&burst, now + Duration::from_secs(1));
    assert_eq!(pair.server.endpoint.stats.accepted, 6);
}

/// Sends until nothing more is taken, over several streams, without anybody reading.
fn flood(pair: &mut Pair, client: &SharedConnection, bytes: usize) {
    let mut sent = 0;
    let mut id = 0;
    while sent < bytes {
        let Ok(written) = client.borrow_mut().stream_write(id, &vec![0; bytes - sent], false) else {
            return;
        };
        let polykey_quic::quic::stream::Write::Taken(taken) = written else {
            return;
        };
        sent += taken;
        id = if taken == 0 { id + 4 } else { id };
        pair.run();
    }
}

#[test]
fn the_connection_that_holds_most_unread_is_closed_and_no_other() {
    let limits = Limits {
        buffered_bytes: 300_000,
        ..Default::default()
    };
    let (authority, mut pair) = guarded(limits, Verification::Chain);
    let modest = pair.dial(authority.config(Verification::Chain));
    pair.run();
    let greedy = pair.dial(authority.config(Verification::Chain));
    pair.run();
    let [served, abused] = [0, 1].map(|key| pair.server.endpoint.connection(key).expect("live"));
    flood(&mut pair, &modest, 50_000);
    flood(&mut pair, &greedy, 900_000);
    assert_eq!(pair.server.endpoint.stats.closed_for_memory, 1);
    assert_eq!(abused.borrow().close_cause(), Some(CloseCause::MemoryLimit));
    let error = greedy.borrow().peer_error().expect("known").expect("an error");
    assert_eq!(
        (error.is_app, error.error_code),
        (false, quiche::WireErrorCode::InternalError as u64)
    );
    pair.run_until(|pair| pair.server.endpoint.len() == 1);
    assert_eq!(abused.borrow().close_cause(), Some(CloseCause::MemoryLimit));
    assert_eq!(abused.borrow_mut().stream_read(0, &mut [0; 9]), Err(Error::Closed));
    // The other still has all that it was sent, and goes on.
    assert_eq!(read(&served, 0).0.len(), 50_000);
    write(&served, 0, b"answer", true);
    pair.run();
    assert_eq!(drain(&modest, 0), Read::Data { bytes: 6, fin: true });
}

#[test]
fn unread_datagrams_count_as_well() {
    let limits = Limits {
        buffered_bytes: 30_000,
        ..Default::default()
    };
    let (authority, mut pair) = guarded(limits, Verification::Chain);
    let client = pair.dial(authority.config(Verification::Chain));
    pair.run();
    for _ in 0..90 {
        client.borrow_mut().dgram_send(&[0; 1_000]).expect("taken");
        pair.run();
        if client.borrow().close_cause().is_some() {
            break;
        }
    }
    let server = pair.server.endpoint.connection(0).expect("draining");
    assert_eq!(server.borrow().close_cause(), Some(CloseCause::MemoryLimit));
}

#[test]
fn an_unproved_address_is_sent_at_most_three_times_what_came_from_it() {
    // A certificate that alone is larger than the answer may be.
    let names = (0..400).map(|index| format!("host-number-{index}.example.org"));
    let authority = Authority::with_names("test authority", names.collect());
    let mut pair = Pair::with(EndpointSettings {
        retry: RetryPolicy::Never,
        ..Default::default()
    });
    let mut settings = authority.config(Verification::Chain);
    settings.handshake_timeout = Duration::from_millis(1_200);
    pair.server.endpoint.listen(shared(settings));
    for count in 1..=2 {
        let before = pair.server.endpoint.stats;
        pair.dial(authority.config(Verification::Chain));
        let initials = pair.client.transmit();
        pair.client.endpoint.close();
        pair.server.receive(&initials[..count]);
        pair.up = Box::new(|_| Vec::new());
        pair.down = Box::new(|_| Vec::new());
        // Through a probe timeout, up to the close.
        pair.run_until(|pair| pair.server.count(|change| matches!(change, Change::Ending(_))) == count);
        let after = pair.server.endpoint.stats;
        let received = after.received_bytes - before.received_bytes;
        let sent = after.transmitted_bytes - before.transmitted_bytes;
        assert!(received >= 1200 * count as u64);
        assert!(sent <= 3 * received, "{sent} bytes for {received}");
        // With all of the ClientHello the server has a lot to say.
        assert!(count == 1 || sent > 2 * received, "{sent} bytes for {received}");
    }
}

#[test]
fn no_answer_without_a_connection_is_larger_than_what_it_answers() {
    for (limits, retry) in [
        (
            Limits {
                connections: 0,
                ..Default::default()
            },
            RetryPolicy::Never,
        ),
        (Limits::default(), RetryPolicy::Always),
    ] {
        let authority = Authority::new();
        let mut pair = Pair::with(EndpointSettings {
            limits,
            retry,
            ..Default::default()
        });
        pair.server
            .endpoint
            .listen(shared(authority.config(Verification::Chain)));
        pair.dial(authority.config(Verification::Chain));
        for initial in pair.client.transmit() {
            pair.server.receive(std::slice::from_ref(&initial));
            let answers = pair.server.transmit();
            assert_eq!(answers.len(), 1);
            assert!(answers[0].bytes.len() * 5 < initial.bytes.len());
            assert_eq!(answers[0].to, initial.from);
        }
        assert!(pair.server.endpoint.is_empty(), "nothing was kept");
    }
}

/// A server that demands a Retry, and the client's Initials that bring its token.
fn with_token() -> (Pair, Vec<common::Datagram>, SharedConnection) {
    let authority = Authority::new();
    let mut pair = Pair::with(EndpointSettings {
        retry: RetryPolicy::Always,
        ..Default::default()
    });
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    let client = pair.dial(authority.config(Verification::Chain));
    assert!(pair.step() && pair.step());
    let proof = pair.client.transmit();
    (pair, proof, client)
}

fn accepted_and_refused(stats: &EndpointStats) -> (u64, u64) {
    (stats.accepted, stats.invalid_tokens)
}

#[test]
fn a_token_expires() {
    for (late, is_good) in [(Duration::ZERO, true), (Duration::from_secs(2), false)] {
        let (mut pair, proof, client) = with_token();
        let arrival = Instant::now() + token::LIFETIME - Duration::from_secs(1) + late;
        pair.server.receive_at(&proof, arrival);
        let expected = if is_good { (1, 0) } else { (0, INITIALS) };
        assert_eq!(accepted_and_refused(&pair.server.endpoint.stats), expected);
        pair.run();
        let error = client
            .borrow()
            .peer_error()
            .expect("known")
            .map(|error| error.error_code);
        assert_eq!(error, (!is_good).then_some(quiche::WireErrorCode::InvalidToken as u64));
    }
}

#[test]
fn a_replayed_token_makes_no_second_connection() {
    let (mut pair, proof, client) = with_token();
    pair.server.receive(&proof);
    pair.server.receive(&proof);
    pair.run();
    assert_eq!(pair.server.endpoint.len(), 1);
    assert_eq!(pair.server.count(|change| matches!(change, Change::Connected(_))), 1);
    // The same when the connection is over and the token expired.
    client.borrow_mut().close(true, 0, b"").expect("live");
    pair.run_until(|pair| pair.server.endpoint.is_empty());
    pair.server
        .receive_at(&proof, Instant::now() + token::LIFETIME + Duration::from_secs(1));
    assert!(pair.server.endpoint.is_empty());
    assert_eq!(accepted_and_refused(&pair.server.endpoint.stats), (1, INITIALS));
}

#[test]
fn a_new_token_key_makes_old_tokens_worthless() {
    let (mut pair, proof, _) = with_token();
    pair.server.endpoint.set_token_key(b"another secret").expect("a key");
    pair.server.receive(&proof);
    assert_eq!(accepted_and_refused(&pair.server.endpoint.stats), (0, INITIALS));
}
