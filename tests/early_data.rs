//! Early data (0-RTT, RFC 9001 §4.6), where an endpoint hands its connections out early.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::{Duration, Instant};

use common::{Pair, Party, config, read, shared, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::{EndpointSettings, SharedConfig, limits::RetryPolicy};
use polykey_quic::quic::tls::TlsSettings;
use polykey_quic::quic::{SharedConnection, Verification};

const KEY: &[u8] = b"a key of thirty-two bytes, or so";
const OTHER_KEY: &[u8] = b"another key of at least 32 bytes";

struct World {
    root: Party,
    server: Party,
    pair: Pair,
    session: Vec<u8>,
}

impl World {
    /// A client that has met the server, and got a session of it.
    fn new() -> Self {
        Self::with(EndpointSettings::default())
    }

    fn with(settings: EndpointSettings) -> Self {
        let root = Party::ca("root", None);
        let mut world = Self {
            server: Party::new("server", Some(&root), |_| {}),
            root,
            pair: Pair::with(settings),
            session: Vec::new(),
        };
        world.listen(KEY, b"limits");
        let first = world.dial(None);
        world.pair.run();
        world.session = first
            .borrow()
            .live()
            .expect("live")
            .session()
            .expect("a ticket")
            .to_vec();
        assert!(first.borrow_mut().close(true, 0, b"").expect("live"));
        world.pair.run();
        world.pair.client.changes.clear();
        world.pair.server.changes.clear();
        world
    }

    fn listen(&mut self, ticket_key: &[u8], limits: &[u8]) {
        let settings = TlsSettings {
            credentials: vec![self.server.credential(&[])],
            session_tickets: true,
            ticket_keys: vec![ticket_key.to_vec()],
            ..Default::default()
        };
        let mut config = config(&settings, Verification::None);
        config.connects_early = true;
        config.early_data_context = Some(limits.to_vec());
        config.quiche.enable_early_data();
        self.pair.server.endpoint.listen(shared(config));
    }

    fn client(&self) -> SharedConfig {
        let settings = TlsSettings {
            ca: vec![self.root.pem()],
            // Its hello takes two datagrams.
            groups: Some("X25519MLKEM768".into()),
            verify_resumed: true,
            ..Default::default()
        };
        let mut config = config(&settings, Verification::Chain);
        config.connects_early = true;
        config.quiche.enable_early_data();
        shared(config)
    }

    fn dial(&mut self, session: Option<&[u8]>) -> SharedConnection {
        let (config, to) = (self.client(), self.pair.server.address);
        let dialled = self
            .pair
            .client
            .endpoint
            .connect(&config, Some("localhost"), to, Instant::now());
        let dialled = dialled.expect("a connection");
        if let Some(session) = session {
            dialled.borrow_mut().set_session(session).expect("a session");
        }
        dialled
    }

    /// Dials, and writes as soon as the client is told that it may; the flight isn't delivered yet.
    fn dial_early(&mut self) -> (SharedConnection, Vec<common::Datagram>) {
        let session = self.session.clone();
        let client = self.dial(Some(&session));
        let mut flight = self.pair.client.transmit();
        assert_eq!(self.told(true), ["Connected"]);
        assert!(!client.borrow().is_established().expect("live"));
        write(&client, 0, b"early", true);
        flight.extend(self.pair.client.transmit());
        (client, flight)
    }

    /// What one side was told of how far its connection is.
    fn told(&self, client: bool) -> Vec<&'static str> {
        let end = if client { &self.pair.client } else { &self.pair.server };
        let stages = end.changes.iter().filter_map(|change| match change {
            Change::Connected(_) => Some("Connected"),
            Change::Established(_) => Some("Established"),
            Change::Confirmed(_) => Some("Confirmed"),
            _ => None,
        });
        stages.collect()
    }
}

const ACCEPTED: u32 = 2;

fn reason(connection: &SharedConnection) -> u32 {
    connection.borrow().live().expect("live").early_data_reason()
}

#[test]
fn what_comes_early_is_shown_early() {
    let mut world = World::new();
    let (client, flight) = world.dial_early();
    world.pair.server.receive(&flight);
    assert_eq!(world.told(false), ["Connected"]);
    assert_eq!(world.pair.server.opened(), [0]);
    let far = world.pair.server.accepted();
    assert!(!far.borrow().is_established().expect("live"));
    assert_eq!(world.pair.server.endpoint.half_open(), 1);
    assert_eq!(read(&far, 0), (b"early".to_vec(), true));
    write(&far, 0, b"at once", true);
    // The answer comes with the server's handshake: one round trip in all. The client's last flight stays behind.
    let answer = world.pair.server.transmit();
    world.pair.client.receive(&answer);
    assert_eq!(read(&client, 0), (b"at once".to_vec(), true));
    assert_eq!(
        world.told(true),
        ["Connected", "Established"],
        "1-RTT packets have come, but the server hasn't heard of the client's handshake"
    );
    assert_eq!(reason(&client), ACCEPTED);
    world.pair.run();
    assert_eq!(world.told(true), ["Connected", "Established", "Confirmed"]);
    assert_eq!(world.told(false), ["Connected", "Established", "Confirmed"]);
    assert_eq!(world.pair.server.opened(), [0], "told once");
    assert_eq!(world.pair.server.endpoint.half_open(), 0);
}

#[test]
fn what_is_rejected_comes_again_when_the_handshake_is_complete() {
    for (what, key, limits) in [("other keys", OTHER_KEY, b"limits"), ("other limits", KEY, b"others")] {
        let mut world = World::new();
        world.listen(key, limits);
        let (client, flight) = world.dial_early();
        world.pair.server.receive(&flight);
        assert_eq!(world.told(false), [""; 0], "{what}");
        assert!(world.pair.server.opened().is_empty(), "{what}");
        world.pair.run_until(|pair| !pair.server.opened().is_empty());
        world.pair.run();
        assert_eq!(world.told(false), ["Connected", "Confirmed"], "{what}");
        assert_eq!(world.told(true), ["Connected", "Established", "Confirmed"], "{what}");
        assert_ne!(reason(&client), ACCEPTED, "{what}");
        let far = world.pair.server.accepted();
        assert_eq!(read(&far, 0), (b"early".to_vec(), true), "{what}");
    }
}

#[test]
fn a_retry_before_it_does_no_harm() {
    let mut world = World::with(EndpointSettings {
        retry: RetryPolicy::Always,
        ..Default::default()
    });
    let (client, flight) = world.dial_early();
    world.pair.server.receive(&flight);
    world.pair.run_until(|pair| !pair.server.opened().is_empty());
    let far = world.pair.server.accepted();
    assert_eq!(read(&far, 0), (b"early".to_vec(), true));
    world.pair.run();
    assert!(client.borrow().is_established().expect("live"));
    assert_eq!(world.told(true), ["Connected", "Established", "Confirmed"]);
}

#[test]
fn a_lost_flight_comes_again() {
    let mut world = World::new();
    let (client, _) = world.dial_early();
    world.pair.run_until(|pair| !pair.server.opened().is_empty());
    world.pair.run();
    let far = world.pair.server.accepted();
    assert_eq!(read(&far, 0), (b"early".to_vec(), true));
    assert_eq!(world.told(true), ["Connected", "Established", "Confirmed"]);
    assert_eq!(reason(&client), ACCEPTED);
}

/// More early data than the congestion window takes, after `dial_early`; answers what is to be delivered.
fn fill_the_window(world: &mut World, client: &SharedConnection) -> Vec<common::Datagram> {
    let taken = write(client, 4, &[7; 40_000], false);
    assert!(taken < 40_000);
    world.pair.client.transmit()
}

#[test]
fn a_lost_hello_comes_again_though_early_data_fills_the_window() {
    let mut world = World::new();
    let (client, mut flight) = world.dial_early();
    flight.extend(fill_the_window(&mut world, &client));
    flight.remove(0);
    world.pair.server.receive(&flight);
    world
        .pair
        .run_until(|_| client.borrow().is_established().expect("live"));
    assert_eq!(reason(&client), ACCEPTED);
}

/// RFC 9002 §6.2.2.1: a client keeps a server going, which may have to wait for it (§8.1 of RFC 9000).
#[test]
fn early_data_under_way_keeps_no_client_from_asking_again() {
    let mut world = World::new();
    // The timers of the first meeting are over.
    world.pair.run_until(|pair| pair.client.endpoint.is_empty());
    let (client, mut flight) = world.dial_early();
    flight.extend(fill_the_window(&mut world, &client));
    world.pair.server.receive(&flight);
    // Of the server's answer only the part arrives that acknowledges the hello.
    let answer = world.pair.server.transmit();
    assert!(answer.len() > 1);
    world.pair.client.receive(&answer[..1]);
    world.pair.client.transmit();
    assert!(!client.borrow().is_established().expect("live"));
    let next = world.pair.client.endpoint.next_timeout().expect("a timer");
    assert!(next < Instant::now() + Duration::from_secs(2));
    world
        .pair
        .run_until(|_| client.borrow().is_established().expect("live"));
}

#[test]
fn a_client_that_ends_before_the_server_has_answered_says_so() {
    let mut world = World::new();
    let (client, flight) = world.dial_early();
    // The first half of the client's hello, which a server acknowledges by a packet without a handshake message.
    world.pair.server.receive(&flight[..1]);
    let acknowledgement = world.pair.server.transmit();
    world.pair.client.receive(&acknowledgement);
    assert!(
        client.borrow().stats().expect("live").recv > 0,
        "or quiche would close at once"
    );
    assert!(client.borrow_mut().close(false, 1, b"").expect("live"));
    world.pair.run();
    assert_eq!(client.borrow().close_cause(), Some(CloseCause::Local));
    assert_eq!(world.pair.server.count(|change| matches!(change, Change::Ending(_))), 1);
}
