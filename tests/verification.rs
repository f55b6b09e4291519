//! The application judges the peer's chain inside the handshake: accepts, refuses, takes its time, never answers.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::Duration;

use common::{Authority, End, Pair, config, drain, read, shared, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::limits::RetryPolicy;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::tls::TlsSettings;
use polykey_quic::quic::verification::Alert;
use polykey_quic::quic::{Config, Error, SharedConnection, Verification};

/// Every alert that can be sent, and some that can't.
const ALERTS: [u8; 33] = [
    10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86, 90, 100, 109, 110, 111,
    112, 113, 114, 115, 116, 120,
];

fn is_connected(change: &Change) -> bool {
    matches!(change, Change::Connected(_))
}

fn is_verify(change: &Change) -> bool {
    matches!(change, Change::Verify(_))
}

/// The connection that waits for a verdict.
fn pending(end: &End) -> SharedConnection {
    let key = end.changes.iter().rev().find_map(|change| match change {
        Change::Verify(key) => Some(*key),
        _ => None,
    });
    end.endpoint.connection(key.expect("asked")).expect("live")
}

fn settle(connection: &SharedConnection, refusal: Option<u8>) -> bool {
    let refusal = refusal.map(|code| Alert::new(code).expect("an alert"));
    connection.borrow_mut().settle_verification(refusal).expect("live")
}

/// A pair in which the client has dialled, run until nothing moves.
fn dialled(client: Verification, server: Verification) -> (Pair, SharedConnection) {
    let (mut pair, client) = Pair::dialling(client, server);
    pair.run();
    (pair, client)
}

/// The error code that the peer sent, a transport error.
fn heard(connection: &SharedConnection) -> Option<u64> {
    let error = connection.borrow().peer_error().expect("known")?;
    assert!(!error.is_app);
    Some(error.error_code)
}

#[test]
fn a_server_may_accept_a_client() {
    let (mut pair, client) = dialled(Verification::Chain, Verification::Application);
    assert_eq!((pair.server.count(is_verify), pair.server.count(is_connected)), (1, 0));
    assert_eq!(pair.server.endpoint.half_open(), 1);
    assert!(settle(&pending(&pair.server), None));
    pair.run();
    assert_eq!(pair.server.count(is_connected), 1);
    assert_eq!(pair.server.endpoint.half_open(), 0);
    assert_eq!(pair.client.count(|change| matches!(change, Change::Confirmed(_))), 1);
    write(&client, 0, b"hello", true);
    pair.run();
    assert_eq!(read(&pair.server.accepted(), 0), (b"hello".to_vec(), true));
}

#[test]
fn a_client_may_accept_a_server() {
    let (mut pair, client) = dialled(Verification::Application, Verification::Chain);
    assert_eq!((pair.client.count(is_verify), pair.client.count(is_connected)), (1, 0));
    assert!(settle(&client, None));
    pair.run();
    assert_eq!(
        (pair.client.count(is_connected), pair.server.count(is_connected)),
        (1, 1)
    );
}

#[test]
fn both_may_judge_each_other() {
    let (mut pair, client) = dialled(Verification::Application, Verification::Application);
    // The client shows its certificate only when it trusts the server.
    assert_eq!((pair.client.count(is_verify), pair.server.count(is_verify)), (1, 0));
    assert!(settle(&client, None));
    pair.run();
    assert_eq!(
        (pair.client.count(is_connected), pair.server.count(is_connected)),
        (1, 0)
    );
    assert!(settle(&pending(&pair.server), None));
    pair.run();
    assert_eq!(pair.server.count(is_connected), 1);
}

#[test]
fn a_refusal_reaches_the_peer_as_the_exact_alert() {
    for alert in ALERTS {
        let (mut pair, client) = dialled(Verification::Chain, Verification::Application);
        let server = pending(&pair.server);
        assert!(settle(&server, Some(alert)));
        pair.run();
        assert_eq!(heard(&client), Some(0x100 + u64::from(alert)), "refused by the server");
        assert_eq!(server.borrow().close_cause(), Some(CloseCause::Local));
        assert_eq!(client.borrow().close_cause(), Some(CloseCause::Peer));
        assert_eq!(pair.server.count(is_connected), 0);

        let (mut pair, client) = dialled(Verification::Application, Verification::Chain);
        let server = pair.server.endpoint.connection(0).expect("half-open");
        assert!(settle(&client, Some(alert)));
        pair.run();
        assert_eq!(heard(&server), Some(0x100 + u64::from(alert)), "refused by the client");
        assert_eq!(
            (pair.client.count(is_connected), pair.server.count(is_connected)),
            (0, 0)
        );
        assert_eq!(pair.server.endpoint.half_open(), 0);
    }
}

#[test]
fn only_alerts_that_can_be_sent_are_alerts() {
    for code in 0..=u8::MAX {
        let known = code == 0 || ALERTS.contains(&code);
        assert_eq!(Alert::new(code).map(Alert::code), known.then_some(code));
    }
}

#[test]
fn a_verdict_counts_once() {
    let (mut pair, client) = dialled(Verification::Chain, Verification::Application);
    assert!(!settle(&client, None), "this side was not asked");
    let server = pending(&pair.server);
    assert!(settle(&server, None));
    assert!(!settle(&server, Some(48)), "the first verdict stays");
    pair.run();
    assert_eq!(pair.server.count(is_connected), 1);
    assert!(!settle(&server, Some(48)));
    client.borrow_mut().close(true, 0, b"").expect("live");
    pair.run_until(|pair| pair.server.endpoint.is_empty());
    assert_eq!(server.borrow_mut().settle_verification(None), Err(Error::Closed));
}

#[test]
fn a_verdict_on_a_peer_that_has_left_changes_nothing() {
    let (mut pair, client) = dialled(Verification::Chain, Verification::Application);
    let server = pending(&pair.server);
    client.borrow_mut().close(true, 0, b"").expect("live");
    // The client's close is a 1-RTT packet, which can't be read before the verdict.
    pair.run();
    settle(&server, None);
    pair.run_until(|pair| pair.server.endpoint.is_empty());
    assert_eq!(pair.server.endpoint.half_open(), 0);
    assert_eq!(server.borrow().close_cause(), Some(CloseCause::Peer));
}

#[test]
fn what_comes_before_the_verdict_is_neither_shown_nor_lost() {
    let (mut pair, client) = dialled(Verification::Chain, Verification::Application);
    assert!(
        client.borrow().is_established().expect("live"),
        "TLS 1.3: the client can't tell"
    );
    write(&client, 0, b"early", true);
    write(&client, 2, b"bird", false);
    client.borrow_mut().dgram_send(b"datagram").expect("taken");
    pair.run();
    assert!(
        pair.server.endpoint.stats.held >= 2,
        "held {}",
        pair.server.endpoint.stats.held
    );
    assert!(pair.server.changes.iter().all(is_verify), "{:?}", pair.server.changes);
    let server = pending(&pair.server);
    assert_eq!(server.borrow_mut().stream_read(0, &mut [0; 9]), Ok(Read::Finished));
    assert_eq!(server.borrow_mut().dgram_recv(&mut [0; 9]), Ok(None));
    let sent = client.borrow().stats().expect("live").sent;
    settle(&server, None);
    pair.run();
    let first_shown = pair.server.changes.iter().position(|change| !is_verify(change));
    assert!(
        is_connected(&pair.server.changes[first_shown.expect("told")]),
        "{:?}",
        pair.server.changes
    );
    assert_eq!(read(&server, 0), (b"early".to_vec(), true));
    assert_eq!(read(&server, 2), (b"bird".to_vec(), false));
    assert_eq!(server.borrow_mut().dgram_recv(&mut [0; 9]), Ok(Some(8)));
    assert_eq!(pair.server.opened(), [0, 2]);
    let stats = client.borrow().stats().expect("live");
    assert_eq!(
        (stats.lost, stats.retrans),
        (0, 0),
        "nothing had to come again; {sent} were sent before"
    );
}

#[test]
fn what_comes_in_one_batch_with_the_certificate_is_not_lost() {
    let (mut pair, client) = Pair::dialling(Verification::Chain, Verification::Application);
    while !client.borrow().is_established().expect("live") {
        pair.step();
    }
    // The client's certificate and its first streams: many datagrams, none of which was looked at before the next.
    write(&client, 0, &[7; 5000], true);
    pair.step();
    settle(&pending(&pair.server), None);
    pair.run();
    let (bytes, fin) = read(&pair.server.accepted(), 0);
    assert_eq!((bytes.len(), fin), (5000, true));
    let stats = client.borrow().stats().expect("live");
    assert_eq!((stats.lost, stats.retrans), (0, 0), "nothing had to come again");
}

#[test]
fn more_than_can_be_held_comes_again() {
    let (mut pair, client) = dialled(Verification::Chain, Verification::Application);
    let mut sent = 0;
    // A congestion window is less than what is held, but what isn't acknowledged comes again, and again.
    pair.run_until(|pair| {
        if sent < 30_000 {
            sent += write(&client, 0, &[7; 30_000][sent..], true);
        }
        pair.server.endpoint.stats.received > 22
    });
    assert_eq!(pair.server.endpoint.stats.held, 20);
    settle(&pending(&pair.server), None);
    let mut heard = 0;
    pair.run_until(|pair| {
        if sent < 30_000 {
            sent += write(&client, 0, &[7; 30_000][sent..], true);
        }
        if pair.server.opened().is_empty() {
            return false;
        }
        let (bytes, fin) = read(&pair.server.accepted(), 0);
        heard += bytes.len();
        fin
    });
    assert_eq!(heard, 30_000);
}

#[test]
fn a_client_that_is_not_judged_in_time_is_refused() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    let mut settings = authority.config(Verification::Application);
    settings.handshake_timeout = Duration::from_millis(60);
    pair.server.endpoint.listen(shared(settings));
    let client = pair.dial(authority.config(Verification::Chain));
    pair.run();
    write(&client, 0, b"early", true);
    let server = pending(&pair.server);
    pair.run_until(|pair| pair.server.endpoint.is_empty());
    assert_eq!(server.borrow().close_cause(), Some(CloseCause::HandshakeTimeout));
    assert_eq!(pair.server.count(is_connected), 0);
    assert!(pair.server.opened().is_empty());
    assert_eq!(heard(&client), Some(quiche::WireErrorCode::ConnectionRefused as u64));
}

#[test]
fn a_client_that_never_judges_gives_up() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    let mut settings = authority.config(Verification::Application);
    settings.handshake_timeout = Duration::from_millis(60);
    let client = pair.dial(settings);
    pair.run_until(|pair| pair.client.endpoint.is_empty());
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::HandshakeTimeout));
    assert_eq!(pair.client.count(is_connected), 0);
}

/// Whose settings lack something, and what the other says.
fn refused(client: Config, server: Config) -> (Option<u64>, Option<u64>) {
    let mut pair = Pair::new();
    pair.server.endpoint.listen(shared(server));
    let client = pair.dial(client);
    pair.run();
    let server = pair.server.endpoint.connection(0).expect("not yet let go");
    assert_eq!(pair.server.count(is_connected), 0);
    (heard(&client), heard(&server))
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let without = TlsSettings {
        ca: vec![authority.ca.clone()],
        ..Default::default()
    };
    for judged in [Verification::Chain, Verification::Application] {
        let client = config(&without, Verification::Chain);
        assert_eq!(refused(client, authority.config(judged)), (Some(0x100 + 116), None));
    }
}

#[test]
fn a_chain_of_strangers_is_refused_by_either_side() {
    let authority = Authority::new();
    // Unknown to the authority's friends, or one who only has the same name: DECRYPT_ERROR, as its signature is wrong.
    for (stranger, alert) in [(Authority::named("somebody"), 48), (Authority::new(), 51)] {
        let foreign = TlsSettings {
            credentials: vec![stranger.credential.clone()],
            ca: vec![authority.ca.clone()],
            ..Default::default()
        };
        let told = Some(0x100 + alert);
        let client = config(&foreign, Verification::Chain);
        assert_eq!(refused(client, authority.config(Verification::Chain)), (told, None));
        let server = config(&foreign, Verification::Chain);
        assert_eq!(refused(authority.config(Verification::Chain), server), (None, told));
    }
}

#[test]
fn a_server_of_another_name_is_refused() {
    let authority = Authority::new();
    for (name, is_right) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("example.org", false),
        ("127.0.0.2", false),
    ] {
        let mut pair = Pair::new();
        pair.server
            .endpoint
            .listen(shared(authority.config(Verification::Chain)));
        let settings = shared(authority.config(Verification::Chain));
        let to = pair.server.address;
        let now = std::time::Instant::now();
        let client = pair.client.endpoint.connect(&settings, Some(name), to, now);
        let client = client.expect("a connection");
        pair.run();
        assert_eq!(pair.client.count(is_connected) == 1, is_right, "{name}");
        assert_eq!(client.borrow().close_cause().is_none(), is_right);
    }
}

#[test]
fn two_hundred_undecided_do_not_disturb_the_others() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server.endpoint.set_retry(RetryPolicy::Never);
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    let working = pair.dial(authority.config(Verification::Chain));
    pair.run();
    let server = pair.server.accepted();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Application)));
    let settings = shared(authority.config(Verification::Chain));
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let to = pair.server.address;
            let now = std::time::Instant::now();
            let client = pair.client.endpoint.connect(&settings, Some("localhost"), to, now);
            client.expect("a connection")
        })
        .collect();
    pair.run();
    assert_eq!(pair.server.endpoint.half_open(), 200);
    for id in [0, 4, 8] {
        write(&working, id, b"request", true);
        pair.run();
        assert_eq!(read(&server, id), (b"request".to_vec(), true));
        write(&server, id, b"answer", true);
        pair.run();
        assert_eq!(drain(&working, id), Read::Data { bytes: 6, fin: true });
    }
    // Then the verdicts, every other one a refusal.
    let asked: Vec<_> = pair.server.changes.iter().copied().filter(is_verify).collect();
    for (index, change) in asked.into_iter().enumerate() {
        let Change::Verify(key) = change else { unreachable!() };
        let connection = pair.server.endpoint.connection(key).expect("live");
        assert!(settle(&connection, (index % 2 == 1).then_some(42)));
    }
    pair.run();
    assert_eq!(pair.server.count(is_connected), 1 + 100);
    assert_eq!(
        clients
            .iter()
            .filter(|client| heard(client) == Some(0x100 + 42))
            .count(),
        100
    );
    assert_eq!(pair.server.endpoint.half_open(), 0);
}
