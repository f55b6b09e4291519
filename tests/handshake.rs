//! Handshakes between two endpoints in memory.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Authority, Datagram, Pair, lossy, read, shared, write};
use polykey_quic::quic::connection::{CloseCause, SharedConnection};
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::limits::{Limits, RetryPolicy};
use polykey_quic::quic::packet::{self, ID_LENGTH};
use polykey_quic::quic::tls::TlsSettings;
use polykey_quic::quic::{Verification, config::Config};

fn is_connected(change: &Change) -> bool {
    matches!(change, Change::Connected(_))
}

fn is_confirmed(change: &Change) -> bool {
    matches!(change, Change::Confirmed(_))
}

#[test]
fn both_ends_connect_and_confirm_once() {
    let (pair, client, server) = Pair::connected();
    for end in [&pair.client, &pair.server] {
        assert_eq!(end.count(is_connected), 1);
        assert_eq!(end.count(is_confirmed), 1);
    }
    let client_ids = client.borrow().live().expect("live").source_id().into_owned();
    assert_eq!(server.borrow().live().expect("live").destination_id(), client_ids);
    assert_eq!(pair.server.endpoint.half_open(), 0);
}

#[test]
fn an_answer_is_owed_where_the_other_side_waits_for_it() {
    for (verification, client_owes) in [(Verification::Chain, true), (Verification::Application, false)] {
        let (mut pair, _client) = Pair::dialling(verification, Verification::Chain);
        let hello = pair.client.transmit();
        pair.server.receive(&hello);
        assert!(pair.server.endpoint.owes_answer());
        let flight = pair.server.transmit();
        pair.client.receive(&flight);
        // Whoever awaits a verdict has nothing to say yet.
        assert_eq!(pair.client.endpoint.owes_answer(), client_owes);
    }
    let (mut pair, client, _) = Pair::connected();
    for end in [&mut pair.client, &mut pair.server] {
        end.receive(&[]);
    }
    write(&client, 0, b"data", true);
    pair.run();
    assert!(!pair.client.endpoint.owes_answer() && !pair.server.endpoint.owes_answer());
}

#[test]
fn a_handshake_survives_loss_duplication_and_reordering() {
    for seed in 1..=10 {
        let authority = Authority::new();
        let mut pair = Pair::new();
        pair.up = lossy(seed, 10);
        pair.down = lossy(seed + 100, 10);
        pair.server
            .endpoint
            .listen(shared(authority.config(Verification::Chain)));
        pair.dial(authority.config(Verification::Chain));
        pair.run_until(|pair| pair.server.count(is_connected) == 1 && pair.client.count(is_confirmed) == 1);
    }
}

/// The client's last flight fills its congestion window, and what the server says of having got it is lost: it has to
/// acknowledge the server's packets all the same, or neither side ever learns more.
#[test]
fn a_large_last_flight_whose_acknowledgement_is_lost_ends_the_handshake() {
    let names = (0..300).map(|index| format!("a-name-of-some-length-{index}.example"));
    let client = Authority::with_names("client", names.collect());
    let server = Authority::new();
    let config = |credential: &Authority, ca: &Authority| {
        let settings = TlsSettings {
            credentials: vec![credential.credential.clone()],
            ca: vec![ca.ca.clone()],
            ..Default::default()
        };
        common::config(&settings, Verification::Chain)
    };
    let mut pair = Pair::new();
    pair.server.endpoint.listen(shared(config(&server, &client)));
    let client = pair.dial(config(&client, &server));
    while pair.client.count(is_connected) == 0 {
        assert!(pair.step());
    }
    // The beginning of its flight is lost, which it learns, and sends again.
    let mut flight = pair.client.transmit();
    pair.server.receive(&flight.split_off(4));
    let heard = pair.server.transmit();
    pair.client.receive(&heard);
    let down = std::mem::replace(&mut pair.down, Box::new(|_| Vec::new()));
    // Until the window is full, of 12,000 bytes.
    let sent = client.borrow().stats().expect("live").sent_bytes;
    pair.run_until(|_| client.borrow().stats().expect("live").sent_bytes > sent + 24_000);
    pair.run_until(|pair| pair.server.count(is_connected) == 1);
    pair.down = down;
    write(&client, 0, b"request", true);
    pair.run_until(|pair| {
        pair.server
            .count(|change| matches!(change, Change::StreamReadable(_, 0)))
            > 0
    });
    assert_eq!(read(&pair.server.accepted(), 0), (b"request".to_vec(), true));
}

/// RFC 9002 §6.2.2: to discard keys is a sign of progress. The pauses that have grown until then would outlast the connection.
#[test]
fn the_end_of_the_handshake_ends_the_pauses_between_probes() {
    let (mut pair, client) = Pair::dialling(Verification::Chain, Verification::Chain);
    while pair.client.count(is_connected) == 0 {
        assert!(pair.step());
    }
    // The server gets the client's last flight, but nothing that is to be acknowledged after it, and neither gets anything
    // more for a while.
    write(&client, 0, b"request", true);
    let mut flight = pair.client.transmit();
    for datagram in &mut flight {
        let short = packet::coalesced(&datagram.bytes).and_then(|layout| layout.short);
        datagram.bytes.truncate(short.unwrap_or(usize::MAX));
    }
    pair.server.receive(&flight);
    let nothing = || Box::new(|_| Vec::new());
    let links = (
        std::mem::replace(&mut pair.up, nothing()),
        std::mem::replace(&mut pair.down, nothing()),
    );
    let next = |pair: &Pair| pair.client.endpoint.next_timeout().expect("a timer");
    pair.run_until(|pair| next(pair) > Instant::now() + Duration::from_secs(1));
    let probe = next(&pair);
    (pair.up, pair.down) = links;
    // The client's acknowledgement tells the server that the end of the handshake was lost.
    write(&pair.server.accepted(), 1, b"news", true);
    pair.run();
    assert!(next(&pair) < probe);
    pair.run_until(|pair| {
        pair.server
            .count(|change| matches!(change, Change::StreamReadable(_, 0)))
            > 0
    });
}

#[test]
fn a_retry_proves_the_address_and_the_handshake_goes_on() {
    let authority = Authority::new();
    let mut pair = Pair::with(EndpointSettings {
        retry: RetryPolicy::Always,
        ..Default::default()
    });
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    pair.dial(authority.config(Verification::Chain));
    pair.run();
    // A post-quantum ClientHello takes two datagrams: each is answered, the client follows the first answer.
    assert_eq!(pair.server.endpoint.stats.retries, 2);
    assert_eq!(pair.server.endpoint.stats.accepted, 1);
    assert_eq!(pair.server.count(is_connected), 1);
    assert_eq!(pair.client.count(is_confirmed), 1);
}

#[test]
fn adaptive_retry_begins_with_too_many_half_open_handshakes() {
    let authority = Authority::new();
    let mut pair = Pair::with(EndpointSettings {
        retry: RetryPolicy::Adaptive(2),
        ..Default::default()
    });
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Application)));
    for _ in 0..5 {
        pair.dial(authority.config(Verification::Chain));
    }
    pair.run();
    assert_eq!(pair.server.count(|change| matches!(change, Change::Verify(_))), 5);
    assert_eq!(pair.server.endpoint.half_open(), 5);
    assert_eq!(pair.server.endpoint.stats.retries, 6);
}

#[test]
fn a_token_of_another_address_is_refused() {
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
    let mut stolen = pair.client.transmit();
    stolen[0].from.set_port(9);
    pair.server.receive(&stolen);
    assert_eq!(pair.server.endpoint.stats.invalid_tokens, 1);
    let mut refusals = pair.server.transmit();
    refusals[0].from = pair.server.address;
    pair.client.receive(&refusals);
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Peer));
    let client = client.borrow();
    let error = client
        .live()
        .expect("draining")
        .peer_error()
        .expect("an error")
        .error_code;
    assert_eq!(error, quiche::WireErrorCode::InvalidToken as u64);
}

#[test]
fn a_server_of_another_version_is_negotiated_with() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::None)));
    // A reserved version (RFC 9000 §15) forces negotiation.
    let settings = TlsSettings {
        ca: vec![authority.ca.clone()],
        ..Default::default()
    };
    let mut config = Config::with_tls(0x1a2a_3a4a, &settings).expect("a configuration");
    config.quiche.set_application_protos(&[b"test"]).expect("a protocol");
    config.verification = Some(Verification::Chain);
    pair.dial(config);
    pair.run();
    assert_eq!(pair.server.endpoint.stats.version_negotiations, 2);
    assert_eq!(pair.client.count(is_confirmed), 1);
}

#[test]
fn limits_refuse_with_connection_refused() {
    let authority = Authority::new();
    let limits = Limits {
        connections_per_address: 1,
        ..Default::default()
    };
    let mut pair = Pair::with(EndpointSettings {
        limits,
        ..Default::default()
    });
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    pair.dial(authority.config(Verification::Chain));
    pair.run();
    let refused = pair.dial(authority.config(Verification::Chain));
    pair.run();
    assert_eq!(pair.server.endpoint.stats.refused_address, 2);
    let refused = refused.borrow();
    let error = refused
        .live()
        .expect("draining")
        .peer_error()
        .cloned()
        .expect("an error");
    assert_eq!(
        (error.is_app, error.error_code),
        (false, quiche::WireErrorCode::ConnectionRefused as u64)
    );
}

#[test]
fn a_handshake_that_takes_too_long_fails_closed_on_both_sides() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    let mut config = authority.config(Verification::Application);
    config.handshake_timeout = Duration::from_millis(50);
    pair.server.endpoint.listen(shared(config));
    let client = pair.dial(authority.config(Verification::Chain));
    pair.run_until(|pair| pair.server.endpoint.is_empty());
    assert_eq!(pair.server.count(is_connected), 0);
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Peer));

    let mut config = authority.config(Verification::Chain);
    config.handshake_timeout = Duration::from_millis(50);
    pair.up = Box::new(|_| Vec::new());
    let client = pair.dial(config);
    pair.run_until(|pair| pair.client.endpoint.is_empty());
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::HandshakeTimeout));
}

#[test]
fn a_client_without_common_version_says_so() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    let client = pair.dial(authority.config(Verification::Chain));
    let mut initial = pair.client.transmit();
    let header = quiche::Header::from_slice(&mut initial[0].bytes, ID_LENGTH).expect("an Initial");
    let mut packet = vec![0x80, 0, 0, 0, 0];
    for id in [&header.scid, &header.dcid] {
        packet.push(u8::try_from(id.len()).expect("short"));
        packet.extend_from_slice(id);
    }
    packet.extend_from_slice(&[0x0a, 0x0a, 0x0a, 0x0a]);
    let reply = common::Datagram {
        bytes: packet,
        from: pair.server.address,
        to: pair.client.address,
    };
    pair.client.receive(&[reply]);
    pair.run_until(|pair| pair.client.endpoint.is_empty());
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::VersionMismatch));
}

#[test]
fn a_newcomer_that_fails_is_told_of_by_its_end_alone() {
    let authority = Authority::new();
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::Chain)));
    // Without a certificate the server refuses it.
    let settings = TlsSettings {
        ca: vec![authority.ca.clone()],
        ..Default::default()
    };
    pair.dial(common::config(&settings, Verification::Chain));
    pair.run_until(|pair| pair.server.endpoint.is_empty() && pair.client.endpoint.is_empty());
    assert_eq!(pair.server.endpoint.stats.accepted, 1);
    assert!(matches!(
        pair.server.changes[..],
        [Change::Ending(_), Change::Closed(_)]
    ));
    assert!(
        pair.client
            .changes
            .iter()
            .any(|change| matches!(change, Change::Closed(_)))
    );
}

#[test]
fn a_handle_can_be_had_until_the_end_has_been_told() {
    let (mut pair, _client, server) = Pair::connected();
    let key = server.borrow().key().expect("driven");
    let endpoint = &mut pair.server.endpoint;
    endpoint.close();
    assert!(endpoint.is_empty());
    assert_eq!(endpoint.take_changes().collect::<Vec<_>>(), [Change::Closed(key)]);
    // Whoever walks through the changes may still ask for it.
    assert!(endpoint.connection(key).is_ok());
    assert_eq!(endpoint.take_changes().count(), 0);
    assert!(endpoint.connection(key).is_err());
}

#[test]
fn what_a_handshake_told_outlives_the_connection() {
    let told = |connection: &SharedConnection| connection.borrow_mut().handshake().expect("alive").cloned();
    let (mut pair, client, server) = Pair::connected();
    let before = told(&client).expect("connected");
    assert_eq!(told(&server).expect("connected").source_id, before.destination_id);
    assert_eq!(before.peer_cert_chain.as_ref().map(Vec::len), Some(1));
    assert!(before.cipher.is_some() && before.group.is_some());
    pair.client.endpoint.close();
    assert!(client.borrow().live().is_err());
    assert_eq!(told(&client), Some(before));
}

#[test]
fn what_comes_behind_a_packet_of_a_handshake_that_is_over_is_read() {
    let Late { mut pair, server, late } = Late::new(b"behind it");
    pair.server.receive(&late);
    assert_eq!(common::read(&server, 0), (b"behind it".to_vec(), true));
    assert_eq!(pair.server.endpoint.stats.invalid, 0);
}

#[test]
fn a_datagram_at_which_a_connection_fails_counts_once_however_many_packets_it_has() {
    let Late { mut pair, server, late } = Late::new(b"behind it");
    server.borrow_mut().poison();
    pair.server.receive(&late);
    assert_eq!(pair.server.endpoint.stats.invalid, 1);
}

/// A packet of a handshake that is over, as it is sent again where its acknowledgement was lost, with data behind it.
struct Late {
    pair: Pair,
    server: SharedConnection,
    late: Vec<Datagram>,
}

impl Late {
    fn new(data: &[u8]) -> Self {
        let authority = Authority::new();
        let mut pair = Pair::new();
        pair.server
            .endpoint
            .listen(shared(authority.config(Verification::Chain)));
        let sent = Rc::new(RefCell::new(Vec::new()));
        let seen = sent.clone();
        pair.up = Box::new(move |burst| {
            seen.borrow_mut()
                .extend(burst.iter().map(|datagram| datagram.bytes.clone()));
            burst
        });
        let client = pair.dial(authority.config(Verification::Chain));
        pair.run();
        let server = pair.server.accepted();
        let flight = sent
            .borrow()
            .iter()
            .rev()
            .find(|bytes| packet::is_long(bytes[0]))
            .cloned();
        let mut flight = flight.expect("a handshake packet");
        let layout = packet::coalesced(&flight).expect("well-formed");
        flight.truncate(layout.short.unwrap_or(flight.len()));

        common::write(&client, 0, data, true);
        let mut late = pair.client.transmit();
        assert_eq!(late.len(), 1);
        late[0].bytes.splice(0..0, flight);
        Self { pair, server, late }
    }
}
