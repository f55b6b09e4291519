//! Sessions: who may resume, who is judged again, and for how long a verdict holds.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use common::{End, Pair, Party, config, shared, unix_now, write};
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::{EndpointSettings, SharedConfig};
use polykey_quic::quic::tls::{self, TlsSettings};
use polykey_quic::quic::verification::Alert;
use polykey_quic::quic::{Connection, SharedConnection, Verification};

struct World {
    root: Party,
    near: Party,
    far: Party,
    pair: Pair,
}

impl World {
    fn new() -> Self {
        let root = Party::ca("root", None);
        let near = Party::new("near", Some(&root), |_| {});
        let far = Party::new("far", Some(&root), |_| {});
        Self {
            root,
            near,
            far,
            pair: Pair::new(),
        }
    }

    fn server(&self, verification: Verification, lifetime: Option<Duration>) -> SharedConfig {
        let settings = TlsSettings {
            credentials: vec![self.far.credential(&[])],
            ca: vec![self.root.pem()],
            session_tickets: true,
            ticket_lifetime: lifetime,
            ..Default::default()
        };
        let mut config = config(&settings, verification);
        config.quiche.enable_early_data();
        shared(config)
    }

    fn client(&self, verification: Verification) -> SharedConfig {
        let settings = TlsSettings {
            credentials: vec![self.near.credential(&[])],
            ca: vec![self.root.pem()],
            verify_resumed: verification != Verification::None,
            ..Default::default()
        };
        let mut config = config(&settings, verification);
        config.quiche.enable_early_data();
        shared(config)
    }

    fn dial(&mut self, config: &SharedConfig, session: Option<&[u8]>) -> SharedConnection {
        for end in [&mut self.pair.client, &mut self.pair.server] {
            end.changes.clear();
        }
        let to = self.pair.server.address;
        let client = self
            .pair
            .client
            .endpoint
            .connect(config, Some("localhost"), to, Instant::now());
        let client = client.expect("a connection");
        if let Some(session) = session {
            client.borrow_mut().set_session(session).expect("a session");
        }
        self.pair.run();
        client
    }
}

fn is_resumed(connection: &SharedConnection) -> bool {
    connection.borrow().live().expect("live").is_resumed()
}

fn session(connection: &SharedConnection) -> Option<Vec<u8>> {
    connection.borrow().live().expect("live").session().map(<[u8]>::to_vec)
}

fn verifications(end: &End) -> usize {
    end.count(|change| matches!(change, Change::Verify(_)))
}

fn trust(end: &End) {
    let key = end.changes.iter().rev().find_map(|change| match change {
        Change::Verify(key) => Some(*key),
        _ => None,
    });
    let connection = end.endpoint.connection(key.expect("asked")).expect("live");
    assert_eq!(connection.borrow_mut().settle_verification(None), Ok(true));
}

#[test]
fn a_server_that_judges_does_so_once_for_the_life_of_a_ticket() {
    let mut world = World::new();
    let server = world.server(Verification::Application, None);
    world.pair.server.endpoint.listen(server);
    let config = world.client(Verification::Chain);
    let first = world.dial(&config, None);
    trust(&world.pair.server);
    world.pair.run();
    let ticket = session(&first).expect("a ticket");
    let second = world.dial(&config, Some(&ticket));
    assert!(is_resumed(&second));
    assert_eq!(verifications(&world.pair.server), 0, "the earlier verdict holds");
    let far = world.pair.server.accepted();
    assert!(is_resumed(&far));
    let chain = far
        .borrow()
        .live()
        .expect("live")
        .peer_cert_chain()
        .map(|chain| chain[0].to_vec());
    assert_eq!(chain.as_ref(), Some(&world.near.certificate.der), "the chain is shown");
    assert_eq!(session(&second), None, "or the verdict would never end");
    assert!(
        is_resumed(&world.dial(&config, Some(&ticket))),
        "the ticket goes on being good"
    );
}

#[test]
fn nothing_comes_early_to_a_server_that_judges() {
    for verification in [Verification::Chain, Verification::Application] {
        let mut world = World::new();
        let server = world.server(verification, None);
        world.pair.server.endpoint.listen(server);
        let config = world.client(Verification::Chain);
        let first = world.dial(&config, None);
        if verification == Verification::Application {
            trust(&world.pair.server);
            world.pair.run();
        }
        let ticket = session(&first).expect("a ticket");
        let to = world.pair.server.address;
        let second = world
            .pair
            .client
            .endpoint
            .connect(&config, Some("localhost"), to, Instant::now());
        let second = second.expect("a connection");
        second.borrow_mut().set_session(&ticket).expect("a session");
        world.pair.client.transmit();
        assert!(!second.borrow().live().expect("live").is_in_early_data());
    }
}

#[test]
fn a_ticket_ends() {
    let mut world = World::new();
    let server = world.server(Verification::Chain, Some(Duration::from_secs(1)));
    world.pair.server.endpoint.listen(server);
    let config = world.client(Verification::Chain);
    let first = world.dial(&config, None);
    let ticket = session(&first).expect("a ticket");
    let began = Instant::now();
    while is_resumed(&world.dial(&config, Some(&ticket))) {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the ticket is good for a second"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn new_settings_end_the_tickets_of_the_old() {
    let mut world = World::new();
    let server = world.server(Verification::Chain, None);
    world.pair.server.endpoint.listen(server);
    let config = world.client(Verification::Chain);
    let first = world.dial(&config, None);
    let ticket = session(&first).expect("a ticket");
    let server = world.server(Verification::Chain, None);
    world.pair.server.endpoint.listen(server);
    assert!(!is_resumed(&world.dial(&config, Some(&ticket))));
    assert!(first.borrow().close_cause().is_none(), "the live connection stays");
}

/// Whether a session from a server with the first settings is resumed by one with the second; both keep no secrets of their own.
fn resumes(first: &TlsSettings, second: (&TlsSettings, Verification)) -> bool {
    let mut world = World::new();
    let complete = |settings: &TlsSettings| TlsSettings {
        credentials: vec![world.far.credential(&[])],
        ca: vec![world.root.pem()],
        session_tickets: true,
        ..settings.clone()
    };
    let server = config(&complete(first), Verification::None);
    let next = config(&complete(second.0), second.1);
    world.pair.server.endpoint.listen(shared(server));
    let config = world.client(Verification::Chain);
    let ticket = session(&world.dial(&config, None)).expect("a ticket");
    world.pair.server.endpoint.listen(shared(next));
    is_resumed(&world.dial(&config, Some(&ticket)))
}

#[test]
fn who_has_the_key_of_a_ticket_takes_it() {
    let keys = |names: &[u8]| TlsSettings {
        ticket_keys: names.iter().map(|name| vec![*name; 32]).collect(),
        ..Default::default()
    };
    let none = |names: &[u8]| resumes(&keys(b"a"), (&keys(names), Verification::None));
    assert!(none(b"a"), "the same key");
    assert!(none(b"ba"), "a new key, and the old one");
    assert!(!none(b"b"), "another key");
    assert!(!none(b""), "a random one");
    assert!(
        !resumes(&keys(b"ba"), (&keys(b"a"), Verification::None)),
        "the first is the one that encrypts"
    );
}

/// Otherwise a client whom nobody has judged could get past a judge by a ticket.
#[test]
fn a_ticket_is_good_in_its_own_context_only() {
    let within = |context: &[u8]| TlsSettings {
        ticket_keys: vec![vec![7; 32]],
        session_context: Some(context.to_vec()),
        ..Default::default()
    };
    let judged = |context| resumes(&within(b"nobody"), (&within(context), Verification::Chain));
    assert!(judged(b"nobody"), "the addon itself doesn't know what a context means");
    assert!(!judged(b"a judge"));
}

#[test]
fn keys_of_tickets_that_are_none_are_refused() {
    for (keys, reason) in [
        (
            vec![vec![0; 31]],
            "ticketKeys: has to be keys of at least 32 random bytes each",
        ),
        (
            vec![vec![0; 32], vec![]],
            "ticketKeys: has to be keys of at least 32 random bytes each",
        ),
        (vec![vec![0; 32]; 17], "ticketKeys: are more than 16"),
    ] {
        let settings = TlsSettings {
            ticket_keys: keys,
            ..Default::default()
        };
        let refusal = tls::context(&settings).err().expect("refused");
        assert_eq!(refusal.to_string(), reason);
    }
}

#[test]
fn a_client_judges_the_server_again() {
    let mut world = World::new();
    let server = world.server(Verification::None, None);
    world.pair.server.endpoint.listen(server);
    let config = world.client(Verification::Application);
    let first = world.dial(&config, None);
    trust(&world.pair.client);
    world.pair.run();
    let ticket = session(&first).expect("a ticket");
    let second = world.dial(&config, Some(&ticket));
    assert_eq!(verifications(&world.pair.client), 1, "asked");
    assert_eq!(
        world.pair.client.count(|change| matches!(change, Change::Connected(_))),
        0
    );
    let chain = second
        .borrow()
        .live()
        .expect("live")
        .peer_cert_chain()
        .map(|chain| chain[0].to_vec());
    assert_eq!(
        chain.as_ref(),
        Some(&world.far.certificate.der),
        "about the chain of the session"
    );
    trust(&world.pair.client);
    world.pair.run();
    assert!(is_resumed(&second));
    let third = world.dial(&config, Some(&ticket));
    let refusal = Some(Alert::new(46).expect("an alert"));
    assert_eq!(third.borrow_mut().settle_verification(refusal), Ok(true));
    world.pair.run();
    assert_eq!(
        world.pair.client.count(|change| matches!(change, Change::Connected(_))),
        0
    );
    assert_eq!(
        world.pair.server.count(|change| matches!(change, Change::Connected(_))),
        0
    );
    let said = third.borrow().local_error().expect("known").expect("said");
    assert_eq!(said.error_code, 0x100 + 46);
}

/// Otherwise who once answered a client that trusts anybody could resume with one that doesn't.
#[test]
fn a_session_made_without_judgement_is_judged_when_it_is_resumed() {
    let mut world = World::new();
    world.far = Party::new("impostor", None, |_| {});
    let server = world.server(Verification::None, None);
    world.pair.server.endpoint.listen(server);
    let trusting = world.client(Verification::None);
    let first = world.dial(&trusting, None);
    let ticket = session(&first).expect("a ticket");
    assert!(is_resumed(&world.dial(&trusting, Some(&ticket))));
    let careful = world.client(Verification::Chain);
    let second = world.dial(&careful, Some(&ticket));
    assert_eq!(
        world.pair.client.count(|change| matches!(change, Change::Connected(_))),
        0
    );
    let failure = second.borrow().chain_failure().expect("refused");
    assert_eq!((failure.check, failure.index), ("Untrusted", 0));
    let said = second.borrow().local_error().expect("known").expect("said");
    assert_eq!(said.error_code, 0x100 + 48);
}

#[test]
fn whoever_judges_sends_nothing_early() {
    let mut world = World::new();
    let server = world.server(Verification::None, None);
    world.pair.server.endpoint.listen(server);
    for (verification, may) in [(Verification::Chain, true), (Verification::Application, false)] {
        let config = world.client(verification);
        let first = world.dial(&config, None);
        if verification == Verification::Application {
            trust(&world.pair.client);
            world.pair.run();
        }
        let ticket = session(&first).expect("a ticket");
        let to = world.pair.server.address;
        let second = world
            .pair
            .client
            .endpoint
            .connect(&config, Some("localhost"), to, Instant::now());
        let second = second.expect("a connection");
        second.borrow_mut().set_session(&ticket).expect("a session");
        world.pair.client.transmit();
        assert_eq!(second.borrow().live().expect("live").is_in_early_data(), may);
        assert_eq!(
            verifications(&world.pair.client),
            usize::from(!may),
            "not asked yet but for the first"
        );
    }
}

/// A replayed first flight brings its early data, but never the end of a handshake.
#[test]
fn early_data_that_is_replayed_reaches_nobody() {
    let mut world = World::new();
    let server = world.server(Verification::None, None);
    world.pair.server.endpoint.listen(server.clone());
    let config = world.client(Verification::Chain);
    let first = world.dial(&config, None);
    let ticket = session(&first).expect("a ticket");
    let to = world.pair.server.address;
    let second = world
        .pair
        .client
        .endpoint
        .connect(&config, Some("localhost"), to, Instant::now());
    let second = second.expect("a connection");
    second.borrow_mut().set_session(&ticket).expect("a session");
    world.pair.client.changes.clear();
    world.pair.server.changes.clear();
    let mut flight = world.pair.client.transmit();
    assert!(second.borrow().live().expect("live").is_in_early_data());
    write(&second, 0, b"pay a hundred", true);
    flight.extend(world.pair.client.transmit());
    // Somebody who listened in sends the same again, to another process of this server, whose answers it can't read.
    let mut other = End::new("127.0.0.1:1002", EndpointSettings::default());
    other.endpoint.listen(server);
    world.pair.server.receive(&flight);
    other.receive(&flight);
    world.pair.server.receive(&flight);
    assert!(
        world.pair.server.opened().is_empty(),
        "nothing is shown before the handshake is complete"
    );
    world.pair.run();
    assert_eq!(world.pair.server.opened(), [0]);
    assert_eq!(
        world.pair.server.count(|change| matches!(change, Change::Connected(_))),
        1
    );
    assert_eq!(other.changes, []);
    let fooled = other.endpoint.connection(0).expect("half-open");
    let fooled = fooled.borrow();
    let fooled = fooled.live().expect("live");
    assert!(
        fooled.is_in_early_data() && fooled.readable().len() == 1,
        "it has the data, and keeps it"
    );
}

const DAY: i64 = 24 * 3600;

/// The time as BoringSSL sees it on the server of the test below.
static SERVER_TIME: AtomicI64 = AtomicI64::new(0);

unsafe extern "C" fn tell_time(_: *const boring_sys::SSL, time: *mut boring_sys::timeval) {
    // SAFETY: BoringSSL gives a place for the time.
    unsafe {
        (*time).tv_sec = SERVER_TIME.load(Ordering::Relaxed);
        (*time).tv_usec = 0;
    }
}

/// Whether a client resumes by this session at a server driven by hand, and the session it goes away with.
fn meet(server: &mut quiche::Config, session: Option<&[u8]>) -> (bool, Vec<u8>) {
    let [near, far]: [SocketAddr; 2] = ["127.0.0.1:1", "127.0.0.1:2"].map(|it| it.parse().expect("an address"));
    let id = |byte| quiche::ConnectionId::from_vec(vec![byte; 16]);
    let mut config = config(&TlsSettings::default(), Verification::None);
    let mut client = Connection::connect(&mut config, None, &id(1), near, far).expect("a client");
    let mut server = quiche::accept(&id(2), None, far, near, server).expect("a server");
    if let Some(session) = session {
        client.set_session(session).expect("a session");
    }
    let mut buffer = vec![0; 1500];
    loop {
        let mut is_silent = true;
        while let Ok(Some(sent)) = client.transmit(&mut buffer, None, None) {
            let info = quiche::RecvInfo { from: near, to: far };
            server.recv(&mut buffer[..sent.bytes], info).expect("received");
            is_silent = false;
        }
        while let Ok((length, _)) = server.send(&mut buffer) {
            client.receive(&mut buffer[..length], far, near).expect("received");
            is_silent = false;
        }
        if is_silent {
            break;
        }
    }
    let client = client.live().expect("live");
    assert!(client.is_established() && server.is_established());
    (client.is_resumed(), client.session().expect("a ticket").to_vec())
}

#[test]
fn the_keys_of_tickets_are_renewed() {
    SERVER_TIME.store(unix_now(), Ordering::Relaxed);
    let settings = TlsSettings {
        credentials: vec![Party::new("server", None, |_| {}).credential(&[])],
        session_tickets: true,
        ticket_lifetime: Some(Duration::from_secs(7 * 24 * 3600)),
        ..Default::default()
    };
    let context = tls::context(&settings).expect("a context");
    // SAFETY: the context lives, and so does the function.
    unsafe { boring_sys::SSL_CTX_set_current_time_cb(context.as_ptr(), Some(tell_time)) };
    let made = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context);
    let mut server = made.expect("a configuration");
    server.set_application_protos(&[b"test"]).expect("a protocol");
    let (_, first) = meet(&mut server, None);
    // BoringSSL's keys last two days, and two more for tickets that were made with them.
    SERVER_TIME.fetch_add(3 * DAY, Ordering::Relaxed);
    let (is_resumed, second) = meet(&mut server, Some(&first));
    assert!(is_resumed);
    SERVER_TIME.fetch_add(3 * DAY, Ordering::Relaxed);
    assert!(
        !meet(&mut server, Some(&first)).0,
        "its key is gone, though its time isn't over"
    );
    assert!(meet(&mut server, Some(&second)).0);
}
