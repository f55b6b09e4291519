//! Turns of an endpoint over its socket: what has come goes in, the application hears what changed and reacts, and what wants
//! to go out is sent, until nothing more has changed.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Driver, Pause, Wire};
use crate::quic;
use crate::quic::endpoint::Endpoint;

/// A socket and its driver; gone when the socket is closed.
pub type SharedDriver<W> = Rc<RefCell<Option<Driver<W>>>>;

/// What turns need of whoever waits for the socket.
pub trait TurnHost {
    /// The time.
    fn now(&self) -> Instant;
    /// Whether the socket is still waited for. From the moment it isn't, none of the others is called.
    fn is_open(&self) -> bool;
    /// Takes changes from the endpoint, as many as it can tell of at once; answers how many.
    fn take_changes(&self, endpoint: &mut Endpoint) -> u32;
    /// Tells, and lets all react, before it returns: whoever reacts may use the endpoint, the driver and these turns, and may
    /// close the socket. Nothing is borrowed meanwhile.
    fn tell(&self, told: Told<'_>);
    /// Waits for room in the socket as well, until it is told otherwise.
    fn wait_for_room(&self, waits: bool);
    /// Sets the alarm, in place of the one that was set: it goes off once, in a later turn of the event loop.
    fn set_alarm(&self, delay: Duration);
}

/// What is told in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told<'a> {
    /// So many changes have been taken; never 0.
    Changes(u32),
    /// Nothing more has changed: the end of a turn. Told to those who watch.
    Settled,
    /// The end of the socket.
    Dead(&'a Death),
}

/// Why a socket is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Death {
    /// The endpoint can't be used.
    #[error(transparent)]
    Endpoint(#[from] quic::Error),
    /// A panic was caught outside any connection.
    #[error("an assertion inside the addon failed: please report it")]
    Panic,
    /// The system doesn't know the socket any more.
    #[error("the socket was closed by somebody else")]
    Socket,
}

/// Runs an endpoint's turns. There is one when something has come, when a time has come, and before the event loop waits, if
/// there is anything to do.
pub struct Turns<W> {
    endpoint: Rc<RefCell<Endpoint>>,
    driver: SharedDriver<W>,
    /// Whether somebody wants to hear of the end of each turn.
    is_watched: Cell<bool>,
    /// Whether there is to be a turn, although nothing is known that is to be done.
    is_asked: Cell<bool>,
    /// Whether anything was told since the event loop last was about to wait.
    has_told: Cell<bool>,
    /// When the alarm goes off.
    alarm: Cell<Option<Instant>>,
    is_dead: Cell<bool>,
}

impl<W: Wire> Turns<W> {
    /// Turns of an endpoint over the socket of a driver.
    pub fn new(endpoint: Rc<RefCell<Endpoint>>, driver: SharedDriver<W>) -> Self {
        Self {
            endpoint,
            driver,
            is_watched: Cell::new(false),
            is_asked: Cell::new(false),
            has_told: Cell::new(false),
            alarm: Cell::new(None),
            is_dead: Cell::new(false),
        }
    }

    /// Whether to tell of the end of each turn; of one that comes soon, from the start.
    pub fn set_watched(&self, is_watched: bool) {
        self.is_watched.set(is_watched);
        self.is_asked.set(is_watched);
    }

    /// Sends what wants to be sent, now.
    pub fn flush(&self, host: &impl TurnHost) {
        self.with(|driver, endpoint| driver.flush(endpoint, host.now()));
        self.await_room(host);
    }

    /// Waits for room where the system takes no more.
    pub fn await_room(&self, host: &impl TurnHost) {
        if self.pause() == Some(Pause::Room) {
            host.wait_for_room(true);
        }
    }

    /// Something has come, or there is the room that was waited for (`is_writable`).
    pub fn on_ready(&self, host: &impl TurnHost, is_writable: bool) {
        if is_writable {
            host.wait_for_room(false);
        }
        self.run(host, |driver, endpoint| {
            if is_writable {
                driver.resume(Pause::Room);
            }
            driver.receive(endpoint, host.now())
        });
    }

    /// The time of the alarm has come.
    pub fn on_alarm(&self, host: &impl TurnHost) {
        self.alarm.set(None);
        self.run(host, |driver, endpoint| {
            driver.resume(Pause::Turn);
            endpoint.on_timeout(host.now());
            Ok(())
        });
    }

    /// The event loop is about to wait.
    pub fn before_wait(&self, host: &impl TurnHost) {
        self.has_told.set(false);
        if self.is_asked.take() || self.has_work() {
            self.run(host, |_, _| Ok(()));
        } else {
            self.set_alarm(host);
        }
        // What reacted may have used another socket, whose turn was before ours, or has asked for one more of ours: the loop
        // must not wait yet.
        if self.has_told.get() && host.is_open() {
            self.alarm.set(Some(host.now()));
            host.set_alarm(Duration::ZERO);
        }
    }

    /// A turn that begins with something, which a failure ends: of the system or of ours.
    fn run(&self, host: &impl TurnHost, begin: impl FnOnce(&mut Driver<W>, &mut Endpoint) -> quic::Result<()>) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.with(begin).transpose()?;
            self.settle(host)
        }));
        let death = match outcome {
            Ok(Ok(())) if self.pause() == Some(Pause::Dead) => Death::Socket,
            Ok(Ok(())) => return,
            Ok(Err(error)) => Death::Endpoint(error),
            Err(_) => Death::Panic,
        };
        if host.is_open() && !self.is_dead.replace(true) {
            self.tell(host, Told::Dead(&death));
        }
    }

    /// Tells, lets all react, and sends, until nothing more has changed.
    fn settle(&self, host: &impl TurnHost) -> quic::Result<()> {
        let (mut is_end_told, mut has_looked) = (false, false);
        let mut count = self.take_changes(host);
        loop {
            if count > 0 {
                is_end_told = false;
                self.tell(host, Told::Changes(count));
            }
            if !host.is_open() {
                return Ok(());
            }
            self.flush(host);
            has_looked = has_looked || self.look_before_newcomer(host)?;
            count = self.take_changes(host);
            if count == 0 {
                if is_end_told || !self.is_watched.get() {
                    break;
                }
                is_end_told = true;
                self.tell(host, Told::Settled);
            }
        }
        self.set_alarm(host);
        Ok(())
    }

    /// Takes in what has come meanwhile, where a newcomer is to be told of. An application does much for each, while the next
    /// one may be waiting for a first answer, which needs no application. Answers whether it did; once in a turn is enough.
    fn look_before_newcomer(&self, host: &impl TurnHost) -> quic::Result<bool> {
        let look = |driver: &mut Driver<W>, endpoint: &mut Endpoint| {
            let looks = endpoint.take_newcomer();
            if looks {
                driver.receive(endpoint, host.now())?;
            }
            Ok(looks)
        };
        self.with(look).unwrap_or(Ok(false))
    }

    /// Sets the alarm to the next time of the endpoint, where it isn't set to an earlier one: that does no harm.
    fn set_alarm(&self, host: &impl TurnHost) {
        let now = host.now();
        let next = match self.pause() {
            Some(Pause::Turn) => Some(now),
            _ => self.endpoint.borrow().next_timeout(),
        };
        if let Some(next) = next
            && self.alarm.get().is_none_or(|alarm| next < alarm)
        {
            self.alarm.set(Some(next));
            host.set_alarm(next.saturating_duration_since(now));
        }
    }

    fn tell(&self, host: &impl TurnHost, told: Told<'_>) {
        self.has_told.set(true);
        host.tell(told);
    }

    fn take_changes(&self, host: &impl TurnHost) -> u32 {
        host.take_changes(&mut self.endpoint.borrow_mut())
    }

    fn pause(&self) -> Option<Pause> {
        self.driver.borrow().as_ref().and_then(Driver::pause)
    }

    fn has_work(&self) -> bool {
        let driver = self.driver.borrow();
        let Some(driver) = &*driver else { return false };
        let endpoint = self.endpoint.borrow();
        // What is left over has its pause, which ends in a turn.
        endpoint.has_changes() || driver.pause().is_none() && endpoint.has_output()
    }

    /// Uses both; `None` when the socket is closed. No borrow outlives this call, and `run` never tells.
    fn with<T>(&self, run: impl FnOnce(&mut Driver<W>, &mut Endpoint) -> T) -> Option<T> {
        let mut driver = self.driver.borrow_mut();
        driver
            .as_mut()
            .map(|driver| run(driver, &mut self.endpoint.borrow_mut()))
    }
}

#[cfg(test)]
mod tests;
