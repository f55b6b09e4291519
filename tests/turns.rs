//! Handshakes over sockets: who is answered before whom.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Authority, End, shared};
use polykey_quic::driver::Driver;
use polykey_quic::driver::turns::{Told, TurnHost, Turns};
use polykey_quic::quic::Verification;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::{Endpoint, EndpointSettings};
use polykey_quic::udp::{BindOptions, Socket};

fn is_connected(change: &Change) -> bool {
    matches!(change, Change::Connected(_))
}

/// A driver of a socket over loopback, and its endpoint.
fn driven() -> (Driver<Socket>, End) {
    let options = BindOptions {
        address: "127.0.0.1:0".parse().expect("an address"),
        is_ipv6_only: false,
        reuses_address: false,
        receive_buffer: 1 << 20,
        send_buffer: 1 << 20,
        offload: true,
    };
    let socket = Socket::bind(&options).expect("a free port");
    let address = socket.local_address().expect("it is bound").to_string();
    (Driver::new(socket), End::new(&address, EndpointSettings::default()))
}

#[test]
fn a_driver_sends_what_it_owes_before_anybody_hears_of_it() {
    let authority = Authority::new();
    let ((mut near, mut client), (mut far, mut server)) = (driven(), driven());
    server.endpoint.listen(shared(authority.config(Verification::Chain)));
    client
        .endpoint
        .connect(
            &shared(authority.config(Verification::Chain)),
            Some("localhost"),
            server.address,
            Instant::now(),
        )
        .expect("a connection");
    // Here somebody sends what is ready; from here on each side sends by itself.
    near.flush(&mut client.endpoint, Instant::now());
    far.receive(&mut server.endpoint, Instant::now()).expect("it is bound");
    near.receive(&mut client.endpoint, Instant::now()).expect("it is bound");
    far.receive(&mut server.endpoint, Instant::now()).expect("it is bound");
    let changes: Vec<_> = server.endpoint.take_changes().collect();
    assert!(changes.iter().any(is_connected));
}

/// A server's application: trusts everybody, while somebody else dials.
struct Application<'a> {
    endpoint: Rc<RefCell<Endpoint>>,
    changes: RefCell<Vec<Change>>,
    /// Dials.
    second: RefCell<&'a mut dyn FnMut()>,
    /// How many datagrams the second had when the server told of the first.
    answers: Cell<Option<usize>>,
    count_answers: &'a dyn Fn() -> usize,
}

impl TurnHost for Application<'_> {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn is_open(&self) -> bool {
        true
    }

    fn take_changes(&self, endpoint: &mut Endpoint) -> u32 {
        self.changes.replace(endpoint.take_changes().collect());
        self.changes.borrow().len() as u32
    }

    fn tell(&self, told: Told<'_>) {
        assert!(matches!(told, Told::Changes(_)), "{told:?}");
        for change in self.changes.take() {
            match change {
                Change::Verify(key) => {
                    let connection = self.endpoint.borrow().connection(key).expect("a connection");
                    assert_eq!(connection.borrow_mut().settle_verification(None), Ok(true));
                    (self.second.borrow_mut())();
                }
                Change::Connected(_) => self.answers.set(Some((self.count_answers)())),
                _ => {}
            }
        }
    }

    fn wait_for_room(&self, _: bool) {}

    fn set_alarm(&self, _: Duration) {}
}

#[test]
fn who_knocks_is_answered_before_the_application_hears_of_another() {
    let authority = Authority::new();
    let ((mut near, mut first), (far, mut server)) = (driven(), driven());
    let (near_second, second) = driven();
    server
        .endpoint
        .listen(shared(authority.config(Verification::Application)));
    let to = server.address;
    let config = shared(authority.config(Verification::Chain));
    let endpoint = Rc::new(RefCell::new(server.endpoint));
    let turns = Turns::new(endpoint.clone(), Rc::new(RefCell::new(Some(far))));
    let (second, near_second) = (RefCell::new(second.endpoint), RefCell::new(near_second));
    let mut dial_second = || {
        let dialled = second
            .borrow_mut()
            .connect(&config, Some("localhost"), to, Instant::now());
        dialled.expect("a connection");
        near_second.borrow_mut().flush(&mut second.borrow_mut(), Instant::now());
    };
    let count_answers = || {
        let mut near = near_second.borrow_mut();
        near.receive(&mut second.borrow_mut(), Instant::now())
            .expect("it is bound");
        near.stats.received as usize
    };
    let host = Application {
        endpoint,
        changes: RefCell::default(),
        second: RefCell::new(&mut dial_second),
        answers: Cell::new(None),
        count_answers: &count_answers,
    };
    let dialled = first.endpoint.connect(&config, Some("localhost"), to, Instant::now());
    dialled.expect("a connection");
    near.flush(&mut first.endpoint, Instant::now());
    turns.on_ready(&host, false);
    near.receive(&mut first.endpoint, Instant::now()).expect("it is bound");
    assert_eq!(host.answers.get(), None);
    turns.on_ready(&host, false);
    assert_ne!(host.answers.get().expect("told of the first"), 0);
}
