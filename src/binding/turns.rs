//! Turns of an endpoint over its socket, on JavaScript's event loop.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::Float64Array;

use super::callback::Callback;
use super::clock::now;
use super::endpoint::{SharedEndpoint, write_changes};
use super::error::{Result, catch};
use super::event_loop::{Hooks, Listener};
use super::wire::Wire;
use crate::driver::turns::{self, Told, TurnHost};
use crate::quic::endpoint::Endpoint;

/// A socket and its driver; gone when the socket is closed.
pub type SharedDriver = turns::SharedDriver<Wire>;

/// The driver's turns, and whom they tell.
pub struct Turns {
    inner: turns::Turns<Wire>,
    changes: RefCell<Option<Float64Array>>,
    /// Hears of the number of changes that stand in the buffer, 0 at the end of a watched turn, and of what is the end of the
    /// socket.
    callback: Callback,
}

impl Turns {
    /// Turns of an endpoint over the socket of a driver.
    pub fn new(endpoint: SharedEndpoint, driver: SharedDriver, changes: Float64Array, callback: Callback) -> Self {
        Self {
            inner: turns::Turns::new(endpoint, driver),
            changes: RefCell::new(Some(changes)),
            callback,
        }
    }

    /// Whether to tell of the end of each turn; of one that comes soon, from the start.
    pub fn set_watched(&self, is_watched: bool) {
        self.inner.set_watched(is_watched);
    }

    /// Sends what wants to be sent, now.
    pub fn flush(&self, hooks: &Hooks) -> Result<()> {
        catch(|| -> Result<()> {
            self.inner.flush(&self.on(hooks));
            Ok(())
        })
    }

    /// Waits for room where the system takes no more.
    pub fn await_room(&self, hooks: &Hooks) {
        self.inner.await_room(&self.on(hooks));
    }

    fn on<'a>(&'a self, hooks: &'a Hooks) -> Host<'a> {
        Host { turns: self, hooks }
    }
}

impl Listener for Turns {
    fn on_ready(&self, hooks: &Hooks, is_writable: bool) {
        self.inner.on_ready(&self.on(hooks), is_writable);
    }

    fn on_alarm(&self, hooks: &Hooks) {
        self.inner.on_alarm(&self.on(hooks));
    }

    fn before_wait(&self, hooks: &Hooks) {
        self.inner.before_wait(&self.on(hooks));
    }

    fn on_closed(&self) {
        self.callback.release();
        self.changes.borrow_mut().take();
    }
}

/// The event loop and JavaScript, as turns need them.
struct Host<'a> {
    turns: &'a Turns,
    hooks: &'a Hooks,
}

impl TurnHost for Host<'_> {
    fn now(&self) -> Instant {
        now()
    }

    fn is_open(&self) -> bool {
        self.hooks.is_open()
    }

    fn take_changes(&self, endpoint: &mut Endpoint) -> u32 {
        let mut changes = self.turns.changes.borrow_mut();
        changes.as_mut().map_or(0, |changes| write_changes(endpoint, changes))
    }

    fn tell(&self, told: Told<'_>) {
        match told {
            Told::Changes(count) => self.turns.callback.call(count, None),
            Told::Settled => self.turns.callback.call(0, None),
            Told::Dead(death) => self.turns.callback.call(0, Some(&death.to_string())),
        }
    }

    fn wait_for_room(&self, waits: bool) {
        // It fails where the descriptor isn't ours any more, which receiving finds out.
        let _ = self.hooks.set_for_room(waits);
    }

    fn set_alarm(&self, delay: Duration) {
        self.hooks.set_alarm(delay);
    }
}
