use std::collections::VecDeque;
use std::net::SocketAddr;

use super::super::tests::{FakeWire, MORE_THAN_A_SHARE, endpoint, now, unbound_endpoint, unknown_version};
use super::*;
use crate::quic::Config;

const PEER: &str = "127.0.0.1:5544";
const ROOM: usize = 1000;

/// What turns asked their host for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Changes(u32),
    Settled,
    Dead(String),
    Room(bool),
    Alarm(Duration),
    /// Anything, of a host that waits no more.
    Late,
}

type Reaction = Box<dyn FnOnce(&Scene)>;

/// Turns over a socket without a system, and their host: it notes what it is asked for, and reacts as its test says.
struct Scene {
    turns: Turns<FakeWire>,
    endpoint: Rc<RefCell<Endpoint>>,
    driver: SharedDriver<FakeWire>,
    clock: Cell<Instant>,
    is_open: Cell<bool>,
    /// How many changes it tells of at once.
    batch: usize,
    /// What is done when it is told, one for each time.
    reactions: RefCell<VecDeque<Reaction>>,
    asked: RefCell<Vec<Asked>>,
}

impl TurnHost for Scene {
    fn now(&self) -> Instant {
        self.clock.get()
    }

    fn is_open(&self) -> bool {
        self.is_open.get()
    }

    fn take_changes(&self, endpoint: &mut Endpoint) -> u32 {
        if !self.is_open() {
            self.note(Asked::Late);
        }
        endpoint.take_changes().take(self.batch).count() as u32
    }

    fn tell(&self, told: Told<'_>) {
        self.note(match told {
            Told::Changes(count) => Asked::Changes(count),
            Told::Settled => Asked::Settled,
            Told::Dead(death) => Asked::Dead(death.to_string()),
        });
        let reaction = self.reactions.borrow_mut().pop_front();
        if let Some(react) = reaction {
            react(self);
        }
    }

    fn wait_for_room(&self, waits: bool) {
        self.note(Asked::Room(waits));
    }

    fn set_alarm(&self, delay: Duration) {
        self.note(Asked::Alarm(delay));
    }
}

impl Scene {
    fn new() -> Self {
        Self::over(endpoint())
    }

    fn over(endpoint: Endpoint) -> Self {
        let endpoint = Rc::new(RefCell::new(endpoint));
        endpoint.borrow_mut().keep_strays(100);
        let driver = Rc::new(RefCell::new(Some(Driver::new(FakeWire::with_room(ROOM)))));
        Self {
            turns: Turns::new(endpoint.clone(), driver.clone()),
            endpoint,
            driver,
            clock: Cell::new(now()),
            is_open: Cell::new(true),
            batch: 100,
            reactions: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    fn note(&self, asked: Asked) {
        let asked = if self.is_open() { asked } else { Asked::Late };
        self.asked.borrow_mut().push(asked);
    }

    /// What was asked for since this was last called.
    fn asked(&self) -> Vec<Asked> {
        self.asked.take()
    }

    /// Reacts like this to what is told next, after those that were given before.
    fn react(&self, reaction: impl FnOnce(&Scene) + 'static) {
        self.reactions.borrow_mut().push_back(Box::new(reaction));
    }

    /// Makes so many changes: datagrams come that are nobody's.
    fn change(&self, count: usize) {
        let mut endpoint = self.endpoint.borrow_mut();
        for _ in 0..count {
            endpoint.receive_one(&mut b"stray".to_owned(), peer(), self.now());
            endpoint.end_receive(self.now());
        }
    }

    /// Makes so many datagrams that want to be sent.
    fn write(&self, count: usize) {
        for _ in 0..count {
            self.endpoint
                .borrow_mut()
                .receive_one(&mut unknown_version(), peer(), self.now());
        }
    }

    /// Dials somebody who never answers.
    fn dial(&self, handshake_timeout: Duration) {
        let mut config = Config::new(quiche::PROTOCOL_VERSION).expect("a valid version");
        config.set_application_protos(&[b"test"]).expect("a protocol");
        config.handshake_timeout = handshake_timeout;
        let config = Rc::new(RefCell::new(config));
        let dialled = self.endpoint.borrow_mut().connect(&config, None, peer(), self.now());
        dialled.expect("a connection");
    }

    fn close(&self) {
        self.is_open.set(false);
        self.driver.borrow_mut().take();
    }

    fn with_wire<T>(&self, run: impl FnOnce(&mut FakeWire) -> T) -> T {
        run(&mut self.driver.borrow_mut().as_mut().expect("it is open").wire)
    }

    fn sent(&self) -> usize {
        self.with_wire(|wire| wire.sent.borrow().len())
    }
}

fn peer() -> SocketAddr {
    PEER.parse().expect("a valid address")
}

#[test]
fn what_reactions_write_is_sent_in_the_same_turn() {
    let scene = Scene::new();
    scene.change(1);
    scene.react(|scene| {
        scene.write(2);
        scene.change(1);
    });
    scene.react(|scene| scene.write(1));
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Changes(1), Asked::Changes(1)]);
    assert_eq!(scene.sent(), 3);
}

#[test]
fn more_changes_than_are_told_of_at_once_are_told_in_the_same_turn() {
    let scene = Scene {
        batch: 2,
        ..Scene::new()
    };
    scene.change(5);
    scene.turns.on_ready(&scene, false);
    let told = [Asked::Changes(2), Asked::Changes(2), Asked::Changes(1)];
    assert_eq!(scene.asked(), told);
}

#[test]
fn those_who_watch_hear_of_the_end_of_a_turn_once() {
    let scene = Scene::new();
    scene.change(1);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Changes(1)]);
    scene.turns.set_watched(true);
    scene.change(1);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Changes(1), Asked::Settled]);
    // It wasn't the end, where the reaction to it changes more.
    scene.react(|scene| scene.change(1));
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Settled, Asked::Changes(1), Asked::Settled]);
    scene.turns.set_watched(false);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), []);
}

#[test]
fn those_who_begin_to_watch_get_a_turn_with_nothing_to_do() {
    let scene = Scene::new();
    scene.turns.set_watched(true);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), [Asked::Settled, Asked::Alarm(Duration::ZERO)]);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
}

#[test]
fn a_turn_that_is_blocked_goes_on_when_there_is_room() {
    let scene = Scene::new();
    scene.with_wire(|wire| wire.room = 1);
    scene.write(3);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), [Asked::Room(true)]);
    scene.with_wire(|wire| wire.room = ROOM);
    // Nothing but room helps.
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
    scene.turns.on_alarm(&scene);
    assert_eq!((scene.asked(), scene.sent()), (vec![Asked::Room(true)], 1));
    scene.turns.on_ready(&scene, true);
    assert_eq!(scene.asked(), [Asked::Room(false)]);
    assert_eq!(scene.sent(), 3);
}

#[test]
fn a_flush_that_is_blocked_waits_for_room() {
    let scene = Scene::new();
    scene.with_wire(|wire| wire.room = 0);
    scene.turns.flush(&scene);
    assert_eq!(scene.asked(), []);
    scene.write(1);
    scene.turns.flush(&scene);
    assert_eq!(scene.asked(), [Asked::Room(true)]);
}

#[test]
fn a_turn_that_has_sent_its_share_is_followed_by_another_at_once() {
    let scene = Scene::new();
    scene.with_wire(|wire| wire.room = 0);
    for _ in 0..MORE_THAN_A_SHARE {
        let mut driver = scene.driver.borrow_mut();
        let driver = driver.as_mut().expect("it is open");
        driver.send_raw(&[0; 1200], peer()).expect("it is kept");
    }
    scene.with_wire(|wire| wire.room = ROOM);
    scene.turns.on_ready(&scene, true);
    assert_eq!(scene.asked(), [Asked::Room(false), Asked::Alarm(Duration::ZERO)]);
    assert!((1..MORE_THAN_A_SHARE).contains(&scene.sent()));
    scene.turns.on_alarm(&scene);
    assert_eq!(scene.asked(), []);
    assert_eq!(scene.sent(), MORE_THAN_A_SHARE);
}

#[test]
fn the_death_of_a_socket_is_told_once() {
    let scene = Scene::new();
    scene.with_wire(|wire| wire.is_dead = true);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Dead(Death::Socket.to_string())]);
    scene.turns.on_ready(&scene, false);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
}

#[test]
fn an_endpoint_that_fails_is_the_end_and_told_once() {
    let scene = Scene::over(unbound_endpoint());
    scene.turns.on_ready(&scene, false);
    let death = Death::Endpoint(quic::Error::NotBound).to_string();
    assert_eq!(scene.asked(), [Asked::Dead(death)]);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), []);
}

#[test]
fn a_panic_is_the_end_and_leaves_nothing_borrowed() {
    let scene = Scene::new();
    scene.change(1);
    scene.react(|_| panic!("expected by this test"));
    scene.react(Scene::close);
    scene.turns.on_ready(&scene, false);
    assert_eq!(
        scene.asked(),
        [Asked::Changes(1), Asked::Dead(Death::Panic.to_string())]
    );
    assert!(scene.driver.borrow().is_none());
}

#[test]
fn the_end_of_a_closed_socket_is_told_to_nobody() {
    let scene = Scene::new();
    scene.change(1);
    scene.react(|scene| {
        scene.close();
        panic!("expected by this test");
    });
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Changes(1)]);
}

#[test]
fn closing_in_a_reaction_ends_the_turn() {
    let begins: [fn(&Scene); 3] = [
        |scene| scene.turns.on_ready(scene, false),
        |scene| scene.turns.on_alarm(scene),
        |scene| scene.turns.before_wait(scene),
    ];
    for begin in begins {
        let scene = Scene {
            batch: 1,
            ..Scene::new()
        };
        scene.dial(Duration::from_secs(1));
        scene.change(2);
        scene.write(1);
        scene.turns.set_watched(true);
        scene.react(Scene::close);
        begin(&scene);
        assert_eq!(scene.asked(), [Asked::Changes(1)]);
        // It may be another socket's by now.
        let endpoint = scene.endpoint.borrow();
        assert!(endpoint.has_changes() && endpoint.has_output());
    }
}

#[test]
fn closing_at_the_end_of_a_turn_ends_it_too() {
    let scene = Scene::new();
    scene.turns.set_watched(true);
    scene.react(|scene| {
        scene.change(1);
        scene.write(1);
        scene.close();
    });
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), [Asked::Settled]);
    assert!(scene.endpoint.borrow().has_output());
}

#[test]
fn what_is_written_outside_a_turn_is_sent_before_the_loop_waits() {
    let scene = Scene::new();
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
    scene.write(1);
    scene.turns.before_wait(&scene);
    assert_eq!((scene.asked(), scene.sent()), (vec![], 1));
}

#[test]
fn the_loop_does_not_wait_while_a_reaction_may_have_left_work_behind() {
    let scene = Scene::new();
    scene.change(1);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), [Asked::Changes(1), Asked::Alarm(Duration::ZERO)]);
    // What comes before the alarm goes off doesn't put it off.
    scene.dial(Duration::from_secs(1));
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), []);
    scene.turns.on_alarm(&scene);
    scene.asked();
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
    // After other turns it comes to that anyway: the moment before it waits.
    scene.change(1);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), [Asked::Changes(1)]);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
}

#[test]
fn the_alarm_is_set_to_earlier_times_only() {
    let [first, earlier, later] = [500, 200, 300].map(Duration::from_millis);
    let scene = Scene::new();
    scene.dial(first);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), [Asked::Alarm(first)]);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), []);
    // Also where it was a flush that set the time.
    scene.dial(earlier);
    scene.turns.flush(&scene);
    assert_eq!(scene.asked(), []);
    scene.turns.before_wait(&scene);
    assert_eq!(scene.asked(), [Asked::Alarm(earlier)]);
    scene.dial(later);
    scene.turns.on_ready(&scene, false);
    assert_eq!(scene.asked(), []);
    // It has gone off: any time is earlier than none.
    scene.clock.set(scene.now() + earlier);
    scene.turns.on_alarm(&scene);
    assert!(scene.asked().contains(&Asked::Alarm(later - earlier)));
}
