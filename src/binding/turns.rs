//! Turns of an endpoint over its socket, on JavaScript's event loop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::Float64Array;

use super::callback::Callback;
use super::clock::now;
use super::endpoint::{SharedEndpoint, write_changes};
use super::error::{Result, catch};
use super::event_loop::{Hooks, Listener};
use super::wire::Wire;
use crate::driver::{Driver, Pause};
use crate::quic;
use crate::quic::endpoint::Endpoint;

/// A socket and its driver; gone when the socket is closed.
pub type SharedDriver = Rc<RefCell<Option<Driver<Wire>>>>;

/// Runs an endpoint's turns: what has come goes in, JavaScript hears what changed and reacts, what wants to go out is sent,
/// again and again until nothing more has changed. There is one when something has come, when a time has come, and before the
/// event loop waits, if there is anything to do.
pub struct Turns {
    endpoint: SharedEndpoint,
    driver: SharedDriver,
    changes: RefCell<Option<Float64Array>>,
    /// Hears of the number of changes that stand in the buffer, and of what is the end of the socket.
    callback: Callback,
    /// Whether it wants to hear of 0 changes, at the end of each turn.
    is_watched: Cell<bool>,
    /// Whether there is to be a turn, although nothing is known that is to be done.
    is_asked: Cell<bool>,
    /// Whether JavaScript was called since the loop last looked at all that waits before it does.
    has_told: Cell<bool>,
    /// When the alarm goes off.
    alarm: Cell<Option<Instant>>,
    is_dead: Cell<bool>,
}

impl Turns {
    /// Turns of an endpoint over the socket of a driver.
    pub fn new(endpoint: SharedEndpoint, driver: SharedDriver, changes: Float64Array, callback: Callback) -> Self {
        Self {
            endpoint,
            driver,
            changes: RefCell::new(Some(changes)),
            callback,
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
    pub fn flush(&self, hooks: &Hooks) -> Result<()> {
        self.with(|driver, endpoint| {
            driver.flush(endpoint, now());
            Ok(())
        })?;
        self.await_room(hooks);
        Ok(())
    }

    /// Waits for room where the system takes no more.
    pub fn await_room(&self, hooks: &Hooks) {
        if self.pause() == Some(Pause::Room) {
            // It fails where the descriptor isn't ours any more, which receiving finds out.
            let _ = hooks.set_for_room(true);
        }
    }

    /// A turn that begins with something, which a failure ends: of the system or of ours.
    fn run(&self, hooks: &Hooks, begin: impl FnOnce(&mut Driver<Wire>, &mut Endpoint) -> quic::Result<()>) {
        let outcome = self.with(begin).and_then(|_| self.settle(hooks));
        let reason = match outcome {
            Err(error) => error.reason.clone(),
            Ok(()) if self.pause() == Some(Pause::Dead) => "the socket was closed by somebody else".to_owned(),
            Ok(()) => return,
        };
        if hooks.is_open() && !self.is_dead.replace(true) {
            self.tell(0, Some(&reason));
        }
    }

    /// Tells, lets all react, and sends, until nothing more has changed.
    fn settle(&self, hooks: &Hooks) -> Result<()> {
        let mut is_end_told = false;
        let mut count = self.take_changes()?;
        loop {
            if count > 0 {
                is_end_told = false;
                self.tell(count, None);
            }
            if !hooks.is_open() {
                return Ok(());
            }
            self.flush(hooks)?;
            count = self.take_changes()?;
            if count == 0 {
                if is_end_told || !self.is_watched.get() {
                    break;
                }
                is_end_told = true;
                self.tell(0, None);
            }
        }
        self.set_alarm(hooks);
        Ok(())
    }

    /// Sets the alarm to the next time of the endpoint, where it isn't set to an earlier one: that does no harm.
    fn set_alarm(&self, hooks: &Hooks) {
        let now = now();
        let next = match self.pause() {
            Some(Pause::Turn) => Some(now),
            _ => self.endpoint.borrow().next_timeout(),
        };
        if let Some(next) = next
            && self.alarm.get().is_none_or(|alarm| next < alarm)
        {
            self.alarm.set(Some(next));
            hooks.set_alarm(next.saturating_duration_since(now));
        }
    }

    fn tell(&self, count: u32, death: Option<&str>) {
        self.has_told.set(true);
        self.callback.call(count, death);
    }

    fn take_changes(&self) -> Result<u32> {
        match &mut *self.changes.borrow_mut() {
            Some(changes) => catch(|| -> Result<u32> { Ok(write_changes(&mut self.endpoint.borrow_mut(), changes)) }),
            None => Ok(0),
        }
    }

    fn pause(&self) -> Option<Pause> {
        self.driver.borrow().as_ref().and_then(Driver::pause)
    }

    fn has_work(&self) -> bool {
        let driver = self.driver.borrow();
        let Some(driver) = &*driver else { return false };
        let endpoint = self.endpoint.borrow();
        endpoint.has_changes() || driver.pause().is_none() && (endpoint.has_output() || driver.has_leftovers())
    }

    /// Uses both; `None` when the socket is closed. No borrow outlives this call, and `run` never calls JavaScript.
    fn with<T>(&self, run: impl FnOnce(&mut Driver<Wire>, &mut Endpoint) -> quic::Result<T>) -> Result<Option<T>> {
        catch(|| -> quic::Result<Option<T>> {
            let mut driver = self.driver.borrow_mut();
            driver
                .as_mut()
                .map(|driver| run(driver, &mut self.endpoint.borrow_mut()))
                .transpose()
        })
    }
}

impl Listener for Turns {
    fn on_ready(&self, hooks: &Hooks, is_writable: bool) {
        if is_writable {
            let _ = hooks.set_for_room(false);
        }
        self.run(hooks, |driver, endpoint| {
            if is_writable {
                driver.resume(Pause::Room);
            }
            driver.receive(endpoint, now())
        });
    }

    fn on_alarm(&self, hooks: &Hooks) {
        self.alarm.set(None);
        self.run(hooks, |driver, endpoint| {
            driver.resume(Pause::Turn);
            endpoint.on_timeout(now());
            Ok(())
        });
    }

    fn before_wait(&self, hooks: &Hooks) {
        self.has_told.set(false);
        if self.is_asked.take() || self.has_work() {
            self.run(hooks, |_, _| Ok(()));
        } else {
            self.set_alarm(hooks);
        }
        // What reacted may have used another socket, whose turn was before ours, or has asked for one more of ours: the loop
        // must not wait yet.
        if self.has_told.get() {
            self.alarm.set(Some(now()));
            hooks.set_alarm(Duration::ZERO);
        }
    }

    fn on_closed(&self) {
        self.callback.release();
        self.changes.borrow_mut().take();
    }
}
