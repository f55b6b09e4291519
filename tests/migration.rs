//! A client moves its connection to another socket, or a peer moves that was asked to stay.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use common::{Datagram, End, Pair, drain, read, unbound, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::{Config, Error, SharedConnection, Verification};

const ELSEWHERE: &str = "127.0.0.2:2001";

fn events(connection: &SharedConnection) -> Vec<quiche::PathEvent> {
    std::iter::from_fn(|| connection.borrow_mut().path_event_next().expect("live")).collect()
}

fn key_of(connection: &SharedConnection) -> usize {
    connection.borrow().key().expect("driven")
}

/// The id of the peer that packets are sent under.
fn used_id(connection: &SharedConnection) -> Vec<u8> {
    connection.borrow().live().expect("live").destination_id().to_vec()
}

/// How many ids the peer has been given, and still has.
fn given_ids(connection: &SharedConnection) -> usize {
    connection.borrow().live().expect("live").active_scids()
}

/// How many ids of the peer are to spare.
fn spare_ids(connection: &SharedConnection) -> usize {
    connection.borrow().live().expect("live").available_dcids()
}

/// Moves the client's connection to another endpoint, which takes the place of the first in the pair.
fn migrate(pair: &mut Pair, client: &SharedConnection) -> End {
    migrate_to(pair, client, ELSEWHERE)
}

fn migrate_to(pair: &mut Pair, client: &SharedConnection, address: &str) -> End {
    migrate_into(pair, client, End::new(address, EndpointSettings::default()))
}

fn migrate_into(pair: &mut Pair, client: &SharedConnection, next: End) -> End {
    let key = key_of(client);
    let mut detached = pair.client.endpoint.detach(key).expect("the server lets us go");
    let first = std::mem::replace(&mut pair.client, next);
    let key = pair
        .client
        .endpoint
        .attach(&mut detached, Instant::now())
        .expect("spare ids");
    assert_eq!(key_of(client), key);
    first
}

/// A perfect link that tells the server whence a datagram truly comes, and delivers to the client what is for it.
fn route(pair: &mut Pair) {
    let here = pair.client.address;
    pair.down = Box::new(move |mut burst| {
        burst.retain(|datagram: &Datagram| datagram.to == here);
        burst
    });
}

/// Has the client ask on a stream, and the server answer; `index` counts up from 0.
fn assert_works(pair: &mut Pair, client: &SharedConnection, server: &SharedConnection, index: u64) {
    write(client, 4 * index, b"request", true);
    pair.run_until(|_| drain(server, 4 * index) == Read::Data { bytes: 7, fin: true });
    write(server, 4 * index, b"answer", true);
    pair.run_until(|_| drain(client, 4 * index) == Read::Data { bytes: 6, fin: true });
    let path = server.borrow().active_path().expect("live").expect("a path");
    assert_eq!(path.peer_addr, pair.client.address);
}

#[test]
fn a_connection_goes_on_from_another_socket_with_its_streams() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"first half, ", false);
    pair.run();
    let first = migrate(&mut pair, &client);
    route(&mut pair);
    assert!(first.endpoint.is_empty());
    write(&client, 0, b"second half", true);
    pair.run();
    assert_eq!(read(&server, 0), (b"first half, second half".to_vec(), true));
    write(&server, 0, b"answer", true);
    pair.run();
    assert_eq!(drain(&client, 0), Read::Data { bytes: 6, fin: true });
    let here = pair.client.address;
    let is_validated =
        |event: &quiche::PathEvent| matches!(event, quiche::PathEvent::Validated(local, _) if *local == here);
    assert!(events(&client).iter().any(is_validated));
    let path = server.borrow().active_path().expect("live").expect("a path");
    assert_eq!(path.peer_addr, here);
    assert!(pair.client.count(|change| matches!(change, Change::Path(_))) > 0);
    assert_eq!(pair.client.endpoint.len(), 1);
}

#[test]
fn what_comes_late_to_the_old_socket_is_dropped_without_a_reset() {
    let (mut pair, client, server) = Pair::connected();
    write(&server, 1, b"late", true);
    let late = pair.server.transmit();
    assert!(!late.is_empty());
    let mut first = migrate(&mut pair, &client);
    first.receive(&late);
    assert!(first.transmit().is_empty());
    assert_eq!(first.endpoint.stats.invalid, late.len() as u64);
    route(&mut pair);
    pair.run_until(|_| drain(&client, 1) == Read::Data { bytes: 4, fin: true });
}

#[test]
fn a_peer_that_closed_to_the_old_socket_says_so_again_to_the_new_one() {
    let (mut pair, client, server) = Pair::connected();
    server.borrow_mut().close(true, 7, b"enough").expect("live");
    let late = pair.server.transmit();
    let mut first = migrate(&mut pair, &client);
    first.receive(&late);
    route(&mut pair);
    pair.run_until(|_| client.borrow().close_cause().is_some());
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Peer));
    let heard = client.borrow().peer_error().expect("remains").expect("an error");
    assert_eq!((heard.error_code, heard.reason), (7, b"enough".to_vec()));
}

#[test]
fn what_a_connection_has_not_read_counts_where_it_goes() {
    let (mut pair, client, server) = Pair::connected();
    write(&server, 1, &[0; 50_000], false);
    pair.run();
    let mut settings = EndpointSettings::default();
    settings.limits.buffered_bytes = 5_000;
    migrate_into(&mut pair, &client, End::new(ELSEWHERE, settings));
    route(&mut pair);
    // Nothing but acknowledgements comes from now on.
    for _ in 0..1_000 {
        if client.borrow().close_cause().is_some() {
            break;
        }
        write(&client, 0, &[0; 1_000], false);
        pair.run();
        drain(&server, 0);
    }
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::MemoryLimit));
}

#[test]
fn a_connection_can_be_used_between_two_sockets() {
    let (mut pair, client, server) = Pair::connected();
    let mut detached = pair.client.endpoint.detach(key_of(&client)).expect("allowed");
    write(&client, 0, b"meanwhile", true);
    assert!(!pair.client.endpoint.has_output());
    assert!(pair.client.transmit().is_empty());
    // Where it can't go it isn't taken in.
    let mut unbound = unbound(EndpointSettings::default());
    let refused = unbound.attach(&mut detached, Instant::now()).expect_err("no address");
    assert_eq!(refused.code(), "NotBound");
    pair.client
        .endpoint
        .attach(&mut detached, Instant::now())
        .expect("where it was");
    pair.run();
    assert_eq!(read(&server, 0), (b"meanwhile".to_vec(), true));
    let refused = pair.client.endpoint.attach(&mut detached, Instant::now());
    assert_eq!(refused.expect_err("it is here").code(), "InvalidState");
}

#[test]
fn a_connection_that_is_lost_between_two_sockets_says_that_it_is_closed() {
    let (mut pair, client, _server) = Pair::connected();
    drop(pair.client.endpoint.detach(key_of(&client)).expect("allowed"));
    assert_eq!(client.borrow_mut().stream_write(0, b"x", true), Err(Error::Closed));
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Released));
    assert!(pair.client.transmit().is_empty());
}

#[test]
fn a_server_that_wants_no_migration_is_obeyed() {
    let (mut pair, client, _server) = Pair::connected_with(|_| {}, |config| config.set_disable_active_migration(true));
    let refused = pair.client.endpoint.detach(key_of(&client)).err().expect("refused");
    assert_eq!(refused.code(), "MigrationDisabled");
    assert_eq!(pair.client.endpoint.len(), 1, "it stays where it is");
}

#[test]
fn a_server_does_not_move() {
    let (mut pair, _client, server) = Pair::connected();
    let refused = pair.server.endpoint.detach(key_of(&server)).err().expect("refused");
    assert_eq!(refused.code(), "InvalidState");
    let unknown = pair.server.endpoint.detach(99).err().expect("unknown");
    assert_eq!(unknown.code(), "UnknownConnection");
}

#[test]
fn a_client_that_moves_although_asked_not_to_is_not_heard() {
    let (mut pair, client, server) = Pair::connected_with(|_| {}, |config| config.set_disable_active_migration(true));
    // A new address with the same id is a rebinding NAT, and followed.
    let outside = "127.0.0.1:3001".parse().expect("an address");
    let inside = pair.client.address;
    pair.up = Box::new(move |mut burst| {
        burst.iter_mut().for_each(|datagram| datagram.from = outside);
        burst
    });
    pair.down = Box::new(move |mut burst| {
        burst.iter_mut().for_each(|datagram| datagram.to = inside);
        burst
    });
    write(&client, 0, b"request", true);
    pair.run();
    assert_eq!(drain(&server, 0), Read::Data { bytes: 7, fin: true });
    assert_eq!(pair.server.endpoint.stats.migrations_refused, 0);
    // The same with another id isn't.
    let elsewhere = "127.0.0.9:3002".parse().expect("an address");
    let ids: Vec<_> = server
        .borrow()
        .live()
        .expect("live")
        .source_ids()
        .map(|id| id.to_vec())
        .collect();
    write(&client, 4, b"request", true);
    let mut moved = pair.client.transmit();
    for datagram in &mut moved {
        let other = ids
            .iter()
            .find(|id| id[..] != datagram.bytes[1..13])
            .expect("a spare id");
        datagram.bytes[1..13].copy_from_slice(other);
        datagram.from = elsewhere;
    }
    let count = moved.len() as u64;
    pair.server.receive(&moved);
    assert_eq!(pair.server.endpoint.stats.migrations_refused, count);
    assert!(pair.server.transmit().is_empty());
}

#[test]
fn a_forged_datagram_keeps_no_peer_from_taking_another_id() {
    let (mut pair, client, server) = Pair::connected_with(|_| {}, |config| config.set_disable_active_migration(true));
    assert_works(&mut pair, &client, &server, 0);
    // An id that others have seen, and nothing authentic.
    let id = server.borrow().live().expect("live").source_id().to_vec();
    pair.server.receive(&[Datagram {
        bytes: [&[0x40], &id[..], &[9; 40]].concat(),
        from: "192.0.2.66:666".parse().expect("an address"),
        to: pair.server.address,
    }]);
    // RFC 9000 §5.1.2: the client may take another at any time.
    client
        .borrow_mut()
        .live_mut()
        .expect("live")
        .retire_dcid(0)
        .expect("there is another");
    assert_works(&mut pair, &client, &server, 1);
    assert_eq!(pair.server.endpoint.stats.migrations_refused, 0);
}

#[test]
fn a_connection_can_move_as_often_as_it_likes() {
    let (mut pair, client, server) = Pair::connected();
    let mut used_ids = HashSet::from([used_id(&client)]);
    for index in 0..40 {
        pair.run_until(|_| spare_ids(&client) > 0);
        // Now and then to an address where it was before.
        migrate_to(&mut pair, &client, &format!("127.0.0.3:{}", 4001 + index % 11));
        // RFC 9000 §9.5: nobody shall see the same id on two networks.
        assert!(used_ids.insert(used_id(&client)));
        route(&mut pair);
        assert_works(&mut pair, &client, &server, index);
        assert!(client.borrow().path_stats().expect("live").len() <= 8);
    }
    pair.run();
    // None of the ids that were given back is kept.
    assert_eq!((given_ids(&client), given_ids(&server)), (8, 8));
    assert_eq!(pair.server.endpoint.stats.stateless_resets, 0);
    assert_eq!(pair.client.endpoint.len(), 1);
}

#[test]
fn what_comes_late_under_an_id_that_was_given_back_is_dropped_without_a_reset() {
    let (mut pair, client, _server) = Pair::connected();
    write(&client, 0, b"late", true);
    let late = pair.client.transmit();
    let first = pair.client.address;
    migrate(&mut pair, &client);
    route(&mut pair);
    pair.run();
    let before = pair.server.endpoint.stats.invalid;
    assert!(late.iter().all(|datagram| datagram.from == first));
    pair.server.receive(&late);
    assert_eq!(pair.server.endpoint.stats.invalid, before + late.len() as u64);
    assert_eq!(pair.server.endpoint.stats.stateless_resets, 0);
    assert!(pair.server.transmit().is_empty());
}

#[test]
fn a_client_that_has_followed_its_server_can_move() {
    let (mut pair, client, server) = Pair::connected_with(|config| config.follow_server = true, |_| {});
    let inside = pair.server.address;
    let outside = "127.0.0.1:3001".parse().expect("an address");
    pair.up = Box::new(move |mut burst| {
        burst.retain(|datagram| datagram.to == outside);
        burst.iter_mut().for_each(|datagram| datagram.to = inside);
        burst
    });
    for here in [pair.client.address, ELSEWHERE.parse().expect("an address")] {
        pair.down = Box::new(move |mut burst| {
            burst.retain(|datagram| datagram.to == here);
            burst.iter_mut().for_each(|datagram| datagram.from = outside);
            burst
        });
        // The client hears of it by what the server says.
        server.borrow_mut().send_ack_eliciting(None).expect("live");
        if here != pair.client.address {
            migrate(&mut pair, &client);
        }
        pair.run();
        assert_works(&mut pair, &client, &server, u64::from(here.port() == 2001));
        let path = client.borrow().active_path().expect("live").expect("a path");
        assert_eq!((path.local_addr, path.peer_addr), (here, outside));
    }
}

#[test]
fn a_move_that_fails_for_want_of_ids_leaves_the_connection_as_it_was() {
    let (mut pair, client) = Pair::dialling(Verification::Chain, Verification::Chain);
    while pair.client.count(|change| matches!(change, Change::Connected(_))) == 0 {
        assert!(pair.step());
    }
    assert_eq!(
        spare_ids(&client),
        0,
        "the server gives them when it is connected as well"
    );
    let id = used_id(&client);
    let mut detached = pair.client.endpoint.detach(key_of(&client)).expect("allowed");
    let mut elsewhere = End::new(ELSEWHERE, EndpointSettings::default());
    let refused = elsewhere
        .endpoint
        .attach(&mut detached, Instant::now())
        .expect_err("no ids");
    assert_eq!(refused.code(), "OutOfIdentifiers");
    let mut detached = elsewhere.endpoint.detach(key_of(&client)).expect("it is there");
    pair.client
        .endpoint
        .attach(&mut detached, Instant::now())
        .expect("where it was");
    pair.run();
    let server = pair.server.accepted();
    assert_works(&mut pair, &client, &server, 0);
    assert_eq!((used_id(&client), given_ids(&server)), (id, 8));
    assert_eq!(client.borrow().path_stats().expect("live").len(), 1);
    migrate(&mut pair, &client);
    route(&mut pair);
    assert_works(&mut pair, &client, &server, 1);
}

#[test]
fn a_connection_works_where_it_was_when_the_new_path_has_failed() {
    let patient = |config: &mut Config| config.quiche.set_max_idle_timeout(30_000);
    let (mut pair, client, server) = Pair::connected_with(patient, patient);
    let home = pair.client.address;
    migrate(&mut pair, &client);
    route(&mut pair);
    pair.up = Box::new(|_| Vec::new());
    // quiche goes back by itself, to a socket that is elsewhere.
    let is_failed = |event: quiche::PathEvent| matches!(event, quiche::PathEvent::FailedValidation(..));
    pair.run_until(|_| events(&client).into_iter().any(is_failed));
    pair.up = Box::new(|burst| burst);
    migrate_to(&mut pair, &client, &home.to_string());
    route(&mut pair);
    assert_works(&mut pair, &client, &server, 0);
    let path = client.borrow().active_path().expect("live").expect("a path");
    assert_eq!(path.local_addr, home);
}

#[test]
fn what_was_lost_on_the_path_before_waits_for_no_pause_that_has_grown_there() {
    for algorithm in ["cubic", "bbr2_gcongestion"] {
        let (mut pair, client, _server) = Pair::connected_with(
            |config| config.quiche.set_cc_algorithm_name(algorithm).expect("known"),
            |_| {},
        );
        write(&client, 0, &[7; 10_000], true);
        let up = std::mem::replace(&mut pair.up, Box::new(|_| Vec::new()));
        let due = |pair: &Pair| pair.client.endpoint.next_timeout().expect("a timer") - Instant::now();
        pair.run_until(|pair| due(pair) > Duration::from_secs(1));
        pair.up = up;
        migrate(&mut pair, &client);
        route(&mut pair);
        assert!(due(&pair) < Duration::from_millis(500), "{:?}", due(&pair));
    }
}

/// Has both talk until `is_done`, where all that the server answers to what it was just sent gets lost: only what it says by
/// itself reaches the client, and no answer to a challenge does.
fn lose_answers(pair: &mut Pair, server: &SharedConnection, mut is_done: impl FnMut(usize) -> bool) {
    for rounds in 0.. {
        server.borrow_mut().send_ack_eliciting(None).expect("live");
        let said = pair.server.transmit();
        pair.client.receive(&(pair.down)(said));
        let heard = pair.client.transmit();
        pair.server.receive(&heard);
        drop(pair.server.transmit());
        if is_done(rounds) {
            return;
        }
        // quiche reads the clock itself.
        std::thread::sleep(Duration::from_millis(10));
        for end in [&mut pair.client, &mut pair.server] {
            end.endpoint.on_timeout(Instant::now());
            end.changes.extend(end.endpoint.take_changes());
        }
    }
}

#[test]
fn what_was_lost_on_the_path_before_is_sent_again_over_the_new_one() {
    for algorithm in ["cubic", "bbr2_gcongestion"] {
        let (mut pair, client, server) = Pair::connected_with(
            |config| config.quiche.set_cc_algorithm_name(algorithm).expect("known"),
            |_| {},
        );
        // More packets than probe timeouts would repeat, while no acknowledgement tells of them.
        let data = vec![7; 10_000];
        assert_eq!(write(&client, 0, &data, false), data.len());
        assert!(pair.client.transmit().len() > 6);
        migrate(&mut pair, &client);
        route(&mut pair);
        let mut got = Vec::new();
        pair.run_until(|pair| {
            if !pair.server.opened().is_empty() {
                got.extend(read(&server, 0).0);
            }
            got.len() == data.len()
        });
        assert_eq!(got, data);
    }
}

#[test]
fn a_path_is_kept_though_several_answers_to_challenges_get_lost() {
    let (mut pair, client, server) = Pair::connected();
    migrate(&mut pair, &client);
    route(&mut pair);
    // A hundred round trips, in which quiche sends several challenges.
    lose_answers(&mut pair, &server, |rounds| rounds == 100);
    let mut heard = events(&client);
    pair.run_until(|_| {
        heard.extend(events(&client));
        !heard.is_empty()
    });
    assert!(matches!(heard[..], [quiche::PathEvent::Validated(..)]), "{heard:?}");
    assert_works(&mut pair, &client, &server, 0);
}

#[test]
fn a_connection_stays_where_its_peer_was_heard_though_no_challenge_is_answered() {
    let near = |config: &mut Config| config.quiche.set_initial_rtt(Duration::from_millis(100));
    let (mut pair, client, server) = Pair::connected_with(near, |_| {});
    migrate(&mut pair, &client);
    route(&mut pair);
    // quiche gives the path up after 4.5 s, and goes back to that of the socket before.
    let end = Instant::now() + Duration::from_secs(5);
    lose_answers(&mut pair, &server, |_| Instant::now() > end);
    assert!(events(&client).is_empty(), "it hasn't failed for good");
    assert_works(&mut pair, &client, &server, 0);
    let path = client.borrow().active_path().expect("live").expect("a path");
    assert_eq!(path.local_addr, pair.client.address);
}

#[test]
fn a_connection_that_is_back_waits_for_its_idle_timeout_where_nobody_answers() {
    let patient = |config: &mut Config| config.quiche.set_max_idle_timeout(30_000);
    let (mut pair, client, server) = Pair::connected_with(patient, patient);
    let home = pair.client.address;
    pair.up = Box::new(|_| Vec::new());
    migrate(&mut pair, &client);
    pair.run();
    migrate_to(&mut pair, &client, &home.to_string());
    route(&mut pair);
    let is_failed = |event: quiche::PathEvent| matches!(event, quiche::PathEvent::FailedValidation(..));
    pair.run_until(|_| events(&client).into_iter().any(is_failed));
    pair.up = Box::new(|burst| burst);
    assert_works(&mut pair, &client, &server, 0);
}

#[test]
fn no_two_paths_claim_the_same_address() {
    let (mut pair, client, server) = Pair::connected();
    // The paths are used up by the first seven; the last is where it was before on a path that was used again.
    for (index, port) in [1, 2, 3, 4, 5, 6, 7, 8, 7, 1, 7].into_iter().enumerate() {
        migrate_to(&mut pair, &client, &format!("127.0.0.3:{}", 4000 + port));
        route(&mut pair);
        assert_works(&mut pair, &client, &server, index as u64);
        let paths = client.borrow().path_stats().expect("live");
        let locals: HashSet<_> = paths.iter().map(|path| path.local_addr).collect();
        assert_eq!(locals.len(), paths.len());
        let active = paths.iter().find(|path| path.active).expect("one");
        assert_eq!(active.local_addr, pair.client.address);
    }
}

#[test]
fn a_path_is_used_again_while_the_peer_holds_all_ids_of_ours() {
    let (mut pair, client, server) =
        Pair::connected_with(|_| {}, |config| config.quiche.set_active_connection_id_limit(4));
    migrate(&mut pair, &client);
    route(&mut pair);
    assert_works(&mut pair, &client, &server, 0);
    pair.run();
    // The server goes over to its next id, and again; that it gives the others back is lost.
    for id in 0..3 {
        server
            .borrow_mut()
            .live_mut()
            .expect("live")
            .retire_dcid(id)
            .expect("there is another");
        server.borrow_mut().send_ack_eliciting(None).expect("live");
        assert!(!pair.server.transmit().is_empty());
        server.borrow_mut().send_ack_eliciting(None).expect("live");
        let heard = pair.server.transmit();
        pair.client.receive(&heard);
    }
    assert!(spare_ids(&client) > 1);
    let next = "127.0.0.3:4001";
    let new_path = client
        .borrow_mut()
        .live_mut()
        .expect("live")
        .probe_path(next.parse().expect("an address"), pair.server.address);
    assert_eq!(new_path, Err(quiche::Error::OutOfIdentifiers));
    migrate_to(&mut pair, &client, next);
    route(&mut pair);
    assert_works(&mut pair, &client, &server, 1);
    assert_eq!(client.borrow().path_stats().expect("live").len(), 2);
}
