//! How connections end, and what both sides learn of it.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::{Duration, Instant};

use common::{Authority, Datagram, End, Pair, drain, read, shared, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::limits::RetryPolicy;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::verification::Alert;
use polykey_quic::quic::{Config, Error, SharedConnection, Verification};

fn is_ending(change: &Change) -> bool {
    matches!(change, Change::Ending(_))
}

fn is_closed(change: &Change) -> bool {
    matches!(change, Change::Closed(_))
}

/// Waits until both endpoints have let go, and checks that each told the end once and in order.
fn run_to_the_end(pair: &mut Pair) {
    pair.run_until(|pair| pair.client.endpoint.is_empty() && pair.server.endpoint.is_empty());
    for end in [&pair.client, &pair.server] {
        assert_eq!((end.count(is_ending), end.count(is_closed)), (1, 1));
        assert!(end.changes.iter().position(is_ending) < end.changes.iter().position(is_closed));
        assert_eq!(end.endpoint.stats.closed, 1);
    }
}

fn cause(connection: &SharedConnection) -> Option<CloseCause> {
    connection.borrow().close_cause()
}

fn idle_after(ms: u64) -> impl Fn(&mut Config) {
    move |config| config.quiche.set_max_idle_timeout(ms)
}

#[test]
fn both_sides_learn_who_closed_with_which_code_and_reason() {
    for (is_app, code) in [(true, 0), (true, 0x3fff_ffff_ffff), (false, 0x0c)] {
        for client_closes in [true, false] {
            let (mut pair, client, server) = Pair::connected();
            let (closer, other) = if client_closes {
                (&client, &server)
            } else {
                (&server, &client)
            };
            assert_eq!(closer.borrow_mut().close(is_app, code, b"enough"), Ok(true));
            assert_eq!(closer.borrow_mut().close(true, 9, b"again"), Ok(false));
            pair.run();
            assert_eq!(
                (cause(closer), cause(other)),
                (Some(CloseCause::Local), Some(CloseCause::Peer))
            );
            run_to_the_end(&mut pair);
            assert_eq!(
                (cause(closer), cause(other)),
                (Some(CloseCause::Local), Some(CloseCause::Peer))
            );
            let said = closer.borrow().local_error().expect("remains").expect("an error");
            let heard = other.borrow().peer_error().expect("remains").expect("an error");
            for error in [said, heard] {
                assert_eq!((error.is_app, error.error_code), (is_app, code));
                assert_eq!(error.reason, b"enough");
            }
        }
    }
}

/// The smallest packets that there may be (RFC 9000 §14.1).
fn with_smallest_packets(config: &mut Config) {
    config.quiche.set_max_send_udp_payload_size(1200);
}

/// What the one said when it closed, and the other heard.
fn reasons(closer: &SharedConnection, other: &SharedConnection) -> [Vec<u8>; 2] {
    let said = closer.borrow().local_error().expect("remains").expect("an error");
    let heard = other.borrow().peer_error().expect("remains").expect("an error");
    [said.reason, heard.reason]
}

#[test]
fn a_long_reason_is_cut_so_that_it_fits_into_a_packet() {
    // The second would be cut inside a character, the third is no text.
    let reasons_and_sent = [
        ("x".repeat(1024).into_bytes(), 1024),
        ("\u{20ac}".repeat(2_000).into_bytes(), 1023),
        (vec![0x80; 5_000], 1024),
    ];
    for (reason, sent) in reasons_and_sent {
        for client_closes in [true, false] {
            let (mut pair, client, server) = Pair::connected_with(with_smallest_packets, with_smallest_packets);
            let (closer, other) = if client_closes {
                (&client, &server)
            } else {
                (&server, &client)
            };
            assert_eq!(closer.borrow_mut().close(true, 7, &reason), Ok(true));
            pair.run();
            assert_eq!(cause(other), Some(CloseCause::Peer));
            assert_eq!(reasons(closer, other), [&reason[..sent]; 2]);
            run_to_the_end(&mut pair);
        }
    }
}

#[test]
fn a_long_reason_is_cut_to_less_while_the_handshake_goes_on() {
    for client_closes in [true, false] {
        let authority = Authority::new();
        let mut pair = Pair::with(EndpointSettings {
            retry: RetryPolicy::Always,
            ..Default::default()
        });
        let mut config = authority.config(Verification::Application);
        with_smallest_packets(&mut config);
        pair.server.endpoint.listen(shared(config));
        let mut config = authority.config(Verification::Application);
        with_smallest_packets(&mut config);
        let client = pair.dial(config);
        while pair.client.changes.is_empty() || pair.server.endpoint.is_empty() {
            assert!(pair.step());
        }
        let server = pair.server.endpoint.connection(0).expect("half-open");
        let (closer, other) = if client_closes {
            (&client, &server)
        } else {
            (&server, &client)
        };
        assert!(!closer.borrow().is_established().expect("live"));
        assert_eq!(closer.borrow_mut().close(false, 0x0a, &[b'x'; 5_000]), Ok(true));
        pair.run();
        assert_eq!(cause(other), Some(CloseCause::Peer));
        assert_eq!(reasons(closer, other), [[b'x'; 256]; 2]);
    }
}

/// A pair in which one end has closed, and the packet that says so is lost: the closer, the other end, and what was lost.
fn deaf(client_closes: bool, reason: &[u8], now: Instant) -> (End, End, SharedConnection, Vec<Datagram>) {
    let (pair, client, server) = Pair::connected();
    let (mut closer, closing, other_end, other) = if client_closes {
        (pair.client, client, pair.server, server)
    } else {
        (pair.server, server, pair.client, client)
    };
    closing.borrow_mut().close(true, 7, reason).expect("live");
    let lost = closer.transmit_at(now);
    assert_eq!(lost.len(), 1);
    (closer, other_end, other, lost)
}

#[test]
fn a_peer_that_goes_on_speaking_is_told_again() {
    for client_closes in [true, false] {
        let now = Instant::now();
        let (mut closer, mut other_end, other, lost) = deaf(client_closes, b"enough", now);
        let id = u64::from(client_closes);
        write(&other, id, b"anybody there?", false);
        let said = other_end.transmit();
        // At once: it can't have heard yet.
        closer.receive_at(&said, now);
        assert_eq!(closer.transmit_at(now).len(), 0);
        let later = now + Duration::from_secs(1);
        closer.receive_at(&said, later);
        let again = closer.transmit_at(later);
        assert_eq!(again[0].bytes, lost[0].bytes);
        assert_eq!((again.len(), closer.endpoint.stats.closes_repeated), (1, 1));
        other_end.receive(&again);
        assert_eq!(cause(&other), Some(CloseCause::Peer));
        let heard = other.borrow().peer_error().expect("remains").expect("an error");
        assert_eq!((heard.error_code, heard.reason), (7, b"enough".to_vec()));
        assert_eq!(other_end.transmit().len(), 0);
    }
}

#[test]
fn a_peer_that_speaks_without_end_is_told_ever_less_often() {
    let start = Instant::now();
    let (mut closer, mut other_end, other, _) = deaf(true, b"enough", start);
    write(&other, 1, b"anybody there?", false);
    let mut said = other_end.transmit();
    for ms in 0..29_000 {
        let now = start + Duration::from_millis(ms);
        for _ in 0..3 {
            closer.receive_at(&said, now);
        }
        closer.transmit_at(now);
    }
    let stats = closer.endpoint.stats;
    assert_eq!((stats.closes_repeated, stats.stateless_resets), (8, 0));
    // It may not understand: when nothing is left of the connection, it is reset.
    let mut end = Pair::new();
    std::mem::swap(&mut end.client, &mut closer);
    end.run_until(|pair| pair.client.endpoint.is_empty());
    said[0].bytes.resize(100, 0);
    end.client.receive(&said);
    let stats = end.client.endpoint.stats;
    assert_eq!((stats.closes_repeated, stats.stateless_resets), (8, 1));
}

#[test]
fn an_address_that_is_not_known_to_receive_gets_three_times_what_came_from_it() {
    let now = Instant::now();
    let (mut closer, mut other_end, other, lost) = deaf(false, &[b'x'; 600], now);
    write(&other, 0, b"from elsewhere", false);
    let mut said = other_end.transmit();
    said.truncate(1);
    said[0].from = "127.0.0.1:9".parse().expect("an address");
    let later = now + Duration::from_secs(1);
    assert!(said[0].bytes.len() * 3 < lost[0].bytes.len());
    closer.receive_at(&said, later);
    assert_eq!(closer.transmit_at(later).len(), 0);
    // quiche never looks at what comes: its head is enough.
    said[0].bytes.resize(lost[0].bytes.len() / 3 + 1, 0);
    closer.receive_at(&said, later);
    let again = closer.transmit_at(later);
    assert_eq!((again.len(), again[0].to), (1, said[0].from));
}

#[test]
fn a_client_that_was_refused_learns_of_it_where_the_refusal_is_lost() {
    let (mut pair, client) = Pair::dialling(Verification::Chain, Verification::Application);
    pair.run();
    let server = pair.server.endpoint.connection(0).expect("half-open");
    assert_eq!(server.borrow_mut().settle_verification(Alert::new(42)), Ok(true));
    assert!(!pair.server.transmit().is_empty());
    assert!(client.borrow().is_established().expect("live"));
    write(&client, 0, b"may I?", false);
    pair.run_until(|_| cause(&client).is_some());
    assert_eq!(cause(&client), Some(CloseCause::Peer));
    let heard = client.borrow().peer_error().expect("remains").expect("an error");
    assert_eq!((heard.is_app, heard.error_code), (false, 0x100 + 42));
}

#[test]
fn a_close_waits_for_no_room_in_the_congestion_window() {
    let (mut pair, client, server) = Pair::connected();
    while write(&client, 0, &[0; 65_536], false) > 0 {}
    // Nothing of it arrives, and nothing is acknowledged.
    assert!(!pair.client.transmit().is_empty());
    client.borrow_mut().close(true, 7, b"enough").expect("live");
    let said = pair.client.transmit();
    pair.server.receive(&said);
    assert_eq!((said.len(), cause(&server)), (1, Some(CloseCause::Peer)));
}

#[test]
fn both_may_close_at_once() {
    let (mut pair, client, server) = Pair::connected();
    client.borrow_mut().close(true, 1, b"client").expect("live");
    server.borrow_mut().close(true, 2, b"server").expect("live");
    run_to_the_end(&mut pair);
    for connection in [&client, &server] {
        assert_eq!(cause(connection), Some(CloseCause::Local));
    }
}

#[test]
fn a_handle_outlives_its_connection_with_the_last_statistics() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"hello", true);
    pair.run();
    drain(&server, 0);
    let before = server.borrow().stats().expect("live");
    client.borrow_mut().close(true, 0, b"").expect("live");
    run_to_the_end(&mut pair);
    let mut server = server.borrow_mut();
    let after = server.stats().expect("remains");
    assert!(after.recv > before.recv && after.recv_bytes > before.recv_bytes);
    assert!(server.is_established().expect("remains") && server.is_closed());
    assert_eq!(server.path_stats().expect("remains").len(), 1);
    assert_eq!(server.stream_read(0, &mut [0; 9]), Err(Error::Closed));
    assert_eq!(server.stream_write(1, b"x", false), Err(Error::Closed));
    assert_eq!(
        server.stream_shutdown(0, quiche::Shutdown::Write, 0),
        Err(Error::Closed)
    );
    assert_eq!(server.dgram_send(b"x"), Err(Error::Closed));
    assert_eq!(server.dgram_recv(&mut [0; 9]), Err(Error::Closed));
    assert_eq!(server.close(true, 0, b""), Err(Error::Closed));
    assert_eq!(server.settle_verification(None), Err(Error::Closed));
    assert_eq!(server.key(), None);
}

#[test]
fn what_came_right_before_the_close_can_be_read_after_it() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"before", false);
    pair.run();
    assert_eq!(read(&server, 0), (b"before".to_vec(), false));
    write(&client, 0, b"last words", true);
    write(&client, 2, b"", true);
    client.borrow_mut().dgram_send(b"datagram").expect("taken");
    let mut burst = pair.client.transmit();
    client.borrow_mut().close(true, 0, b"bye").expect("live");
    burst.extend(pair.client.transmit());
    // All in one batch.
    pair.server.receive(&burst);
    run_to_the_end(&mut pair);
    assert!(pair.server.changes.contains(&Change::StreamReadable(0, 0)));
    assert_eq!(read(&server, 0), (b"last words".to_vec(), true));
    assert_eq!(read(&server, 2), (Vec::new(), true));
    assert_eq!(server.borrow_mut().dgram_recv(&mut [0; 9]), Ok(Some(8)));
    assert_eq!(server.borrow_mut().dgram_recv(&mut [0; 9]), Ok(None));
    assert_eq!(server.borrow_mut().stream_read(0, &mut [0; 9]), Ok(Read::Finished));
    // Reading is all that can be done.
    assert_eq!(server.borrow_mut().stream_write(0, b"x", false), Err(Error::Closed));
}

#[test]
fn what_the_closer_has_not_read_is_gone_for_it() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"unheard", true);
    pair.run();
    server.borrow_mut().close(true, 0, b"").expect("live");
    run_to_the_end(&mut pair);
    assert_eq!(server.borrow_mut().stream_read(0, &mut [0; 9]), Err(Error::Closed));
}

#[test]
fn nothing_can_be_written_while_a_connection_ends() {
    let (mut pair, client, server) = Pair::connected();
    client.borrow_mut().close(true, 0, b"").expect("live");
    pair.run();
    assert!(pair.server.count(is_ending) == 1 && pair.server.count(is_closed) == 0);
    write(&server, 1, b"into the void", true);
    let told = pair.client.changes.len();
    pair.run();
    assert_eq!(pair.client.changes[told..], []);
    run_to_the_end(&mut pair);
}

#[test]
fn a_dial_can_be_closed_before_its_handshake_is_complete() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    // Before anything was sent: nobody else ever hears of it.
    let client = pair.dial(authority.config(Verification::Chain));
    client.borrow_mut().close(true, 7, b"changed my mind").expect("live");
    pair.run_until(|pair| pair.client.endpoint.is_empty());
    assert_eq!(cause(&client), Some(CloseCause::Local));
    // Half-way: part of the server's answer has come. RFC 9000 §10.2.3: the application's code doesn't go out so early.
    let client = pair.dial(authority.config(Verification::Chain));
    let initial = pair.client.transmit();
    pair.server.receive(&initial);
    let answer = pair.server.transmit();
    pair.client.receive(&answer[..1]);
    assert!(!client.borrow().is_established().expect("live"));
    let server = pair.server.endpoint.connection(0).expect("half-open");
    client.borrow_mut().close(true, 7, b"changed my mind").expect("live");
    pair.run_until(|pair| pair.client.endpoint.is_empty() && pair.server.endpoint.is_empty());
    assert_eq!(
        (cause(&client), cause(&server)),
        (Some(CloseCause::Local), Some(CloseCause::Peer))
    );
    let heard = server.borrow().peer_error().expect("remains").expect("an error");
    assert_eq!((heard.is_app, heard.error_code), (false, 0x0c));
    assert_eq!((pair.client.count(is_closed), pair.server.count(is_closed)), (2, 1));
    assert_eq!(pair.server.count(|change| matches!(change, Change::Connected(_))), 0);
    assert_eq!(pair.server.endpoint.half_open(), 0);
    assert!(!client.borrow().is_established().expect("remains"));
}

#[test]
fn idle_connections_end_on_both_sides_without_a_word() {
    // The smaller of both values counts (RFC 9000 §10.1).
    let (mut pair, client, server) = Pair::connected_with(idle_after(200), idle_after(5_000));
    let sent = pair.client.endpoint.stats.transmitted;
    let start = Instant::now();
    run_to_the_end(&mut pair);
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_millis(150) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
    for connection in [&client, &server] {
        assert_eq!(cause(connection), Some(CloseCause::IdleTimeout));
        assert_eq!(connection.borrow().is_timed_out(), Ok(true));
    }
    assert_eq!(pair.client.endpoint.stats.transmitted, sent);
}

#[test]
fn a_peer_that_vanishes_is_noticed_by_the_idle_timeout() {
    let (mut pair, client, server) = Pair::connected_with(idle_after(200), idle_after(200));
    pair.down = Box::new(|_| Vec::new());
    pair.up = Box::new(|_| Vec::new());
    write(&client, 0, b"anybody there?", true);
    run_to_the_end(&mut pair);
    for connection in [&client, &server] {
        assert_eq!(cause(connection), Some(CloseCause::IdleTimeout));
    }
    assert!(
        client.borrow().stats().expect("remains").retrans > 0,
        "it didn't try again"
    );
}

#[test]
fn an_endpoint_that_is_closed_lets_go_at_once() {
    let authority = Authority::new();
    let (mut pair, client, server) = Pair::connected();
    let pending = pair.dial(authority.config(Verification::Chain));
    pair.client.endpoint.close();
    assert!(pair.client.endpoint.is_empty());
    assert_eq!(pair.client.transmit().len(), 0);
    assert_eq!(pair.client.count(is_closed), 2);
    for connection in [&client, &pending] {
        assert_eq!(cause(connection), Some(CloseCause::Released));
        assert_eq!(connection.borrow_mut().stream_write(0, b"x", false), Err(Error::Closed));
    }
    assert_eq!(pair.client.endpoint.next_timeout(), None);
    // It can be used again.
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    let again = pair.dial(authority.config(Verification::Chain));
    pair.run();
    assert!(again.borrow().is_established().expect("live"));
    assert_eq!(cause(&server), None);
}

/// A server that was restarted on the same address with this key, and knows nothing of its predecessor's connections.
fn restart(pair: &mut Pair, key: Option<&[u8]>) {
    let settings = EndpointSettings {
        stateless_reset_key: key.map(<[u8]>::to_vec),
        ..Default::default()
    };
    pair.server = End::new("127.0.0.1:1002", settings);
}

fn connected_with_reset_key(key: &[u8]) -> (Pair, SharedConnection) {
    let authority = Authority::new();
    let mut pair = Pair::new();
    restart(&mut pair, Some(key));
    let mut config = authority.config(Verification::Chain);
    config.quiche.set_max_idle_timeout(400);
    pair.server.endpoint.listen(shared(config));
    let client = pair.dial(authority.config(Verification::Chain));
    pair.run();
    assert!(client.borrow().is_established().expect("live"));
    (pair, client)
}

#[test]
fn a_restarted_server_with_the_same_key_resets_what_it_has_lost() {
    let (mut pair, client) = connected_with_reset_key(b"a key that outlives the process");
    restart(&mut pair, Some(b"a key that outlives the process"));
    write(&client, 0, &[0; 100], false);
    pair.run();
    assert_eq!(pair.server.endpoint.stats.stateless_resets, 1);
    assert_eq!(cause(&client), Some(CloseCause::StatelessReset));
    pair.run_until(|pair| pair.client.endpoint.is_empty());
    assert_eq!((pair.client.count(is_ending), pair.client.count(is_closed)), (1, 1));
    assert_eq!(cause(&client), Some(CloseCause::StatelessReset));
}

#[test]
fn a_restarted_server_with_another_key_says_nothing() {
    for key in [None, Some(&b"another key"[..])] {
        let (mut pair, client) = connected_with_reset_key(b"a key that outlives the process");
        restart(&mut pair, key);
        write(&client, 0, &[0; 100], false);
        pair.run_until(|pair| pair.client.endpoint.is_empty());
        assert_eq!(pair.server.endpoint.stats.transmitted, 0);
        assert!(pair.server.endpoint.stats.strays > 0);
        assert_eq!(cause(&client), Some(CloseCause::IdleTimeout));
    }
}

#[test]
fn keep_alive_holds_a_quiet_connection_for_one_packet_an_interval() {
    let keep = |config: &mut Config| {
        config.quiche.set_max_idle_timeout(250);
        config.keep_alive_interval = Some(Duration::from_millis(80));
    };
    let (mut pair, client, server) = Pair::connected_with(keep, idle_after(250));
    let sent = pair.client.endpoint.stats.transmitted;
    let start = Instant::now();
    pair.run_until(|_| start.elapsed() > Duration::from_millis(1_000));
    let intervals = start.elapsed().as_millis() as u64 / 80;
    for connection in [&client, &server] {
        assert_eq!(cause(connection), None);
    }
    let sent = pair.client.endpoint.stats.transmitted - sent;
    assert!(
        sent >= 3 && sent <= intervals,
        "{sent} packets in {intervals} intervals"
    );
    // The server had nothing to say but acknowledgements.
    assert_eq!(
        server.borrow().stats().expect("live").recv,
        client.borrow().stats().expect("live").sent
    );
}

#[test]
fn traffic_takes_the_place_of_keep_alive() {
    let keep = |ms| move |config: &mut Config| config.keep_alive_interval = Some(Duration::from_millis(ms));
    let (mut pair, client, _) = Pair::connected_with(keep(150), keep(50));
    let sent = pair.server.endpoint.stats.transmitted;
    let start = Instant::now();
    pair.run_until(|_| start.elapsed() > Duration::from_millis(600));
    // The client's acknowledgements are its traffic: of its own it sends nothing that the server would acknowledge.
    let intervals = start.elapsed().as_millis() as u64 / 50;
    let sent = pair.server.endpoint.stats.transmitted - sent;
    assert!(
        sent >= 3 && sent <= intervals,
        "{sent} packets in {intervals} intervals"
    );
    assert_eq!(cause(&client), None);
}

#[test]
fn newcomers_are_refused_when_the_server_stops_listening() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    let client = pair.dial(authority.config(Verification::Chain));
    // The client's side is complete; its last flight is still on the way.
    while pair.client.changes.is_empty() {
        pair.step();
    }
    assert_eq!(pair.server.endpoint.half_open(), 1);
    pair.server.endpoint.unlisten(Instant::now());
    assert_eq!(pair.server.endpoint.half_open(), 0);
    pair.run();
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Peer));
}
