//! Waits on JavaScript's own event loop: by libuv, which Node exports to its addons
//! (<https://docs.libuv.org/en/v1.x/design.html#the-i-o-loop>). No thread, so no change of context between a datagram and
//! whoever waits for it.

//!
//! | file | concept |
//! | --- | --- |
//! | `libuv` | its functions, found in the program that loaded us |
//! | `handles` | handles that are closed together, at the latest when the environment goes |
//! | `udp` | a socket of libuv's own |

mod handles;
mod libuv;
mod udp;

use std::cell::Cell;
use std::ffi::c_int;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use napi::Env;

use self::handles::{Handles, Owner, adopt, loop_of, owner_of};
use self::libuv::{Libuv, OnPoll, OnTurn, UV_POLL, UV_PREPARE, UV_READABLE, UV_TIMER, UV_WRITABLE, UvHandle, uv_check};
pub use self::udp::{LoopSocket, interface_number};
use self::udp::{Shared as SocketShared, Waiter};

/// Whether this runtime lets us wait on its event loop.
pub fn is_supported() -> bool {
    Libuv::get().is_some()
}

/// Whom the event loop calls, outside of any call of JavaScript. None of these may panic.
pub trait Listener: 'static {
    /// Something has come, or there is the room that was asked for (`is_writable`). Called for as long as that is so.
    fn on_ready(&self, hooks: &Hooks, is_writable: bool);
    /// The time of the alarm has come.
    fn on_alarm(&self, hooks: &Hooks);
    /// The loop is about to wait: all that was ready has been called.
    fn before_wait(&self, hooks: &Hooks);
    /// None of these is called any more: the environment may go.
    fn on_closed(&self);
}

/// What is waited for.
pub enum Source<'a> {
    /// A descriptor, which is to be closed after the watch.
    Descriptor(c_int),
    /// A socket of libuv's.
    Socket(&'a LoopSocket),
}

/// A source, an alarm, and the moment before the loop waits, watched for one listener from now until this is dropped.
pub struct Watch<L: Listener> {
    shared: Rc<Shared<L>>,
}

/// What a listener can ask for.
pub struct Hooks {
    handles: Handles,
    source: Watched,
    on_alarm: OnTurn,
}

/// A source, as it is waited for.
enum Watched {
    /// By a handle of our own.
    Poll { on_poll: OnPoll, events: Cell<c_int> },
    /// By itself.
    Socket(Rc<SocketShared>),
}

/// Places among the handles.
const PREPARE: usize = 0;
const ALARM: usize = 1;
const POLL: usize = 2;

/// What libuv knows us by.
struct Shared<L> {
    hooks: Hooks,
    listener: L,
}

impl<L: Listener> Watch<L> {
    /// Begins to wait. Keeps the process alive, unless `set_referenced` says otherwise.
    pub fn new(env: Env, source: &Source<'_>, listener: L) -> io::Result<Self> {
        let libuv = Libuv::get().ok_or(io::ErrorKind::Unsupported)?;
        let (kinds, watched): (&[c_int], _) = match source {
            Source::Descriptor(_) => (
                &[UV_PREPARE, UV_TIMER, UV_POLL],
                Watched::Poll {
                    on_poll: on_poll::<L>,
                    events: Cell::new(0),
                },
            ),
            Source::Socket(socket) => (&[UV_PREPARE, UV_TIMER], Watched::Socket(socket.shared().clone())),
        };
        let shared = Rc::new(Shared {
            hooks: Hooks {
                handles: Handles::new::<Shared<L>>(libuv, kinds),
                source: watched,
                on_alarm: on_alarm::<L>,
            },
            listener,
        });
        let handles = &shared.hooks.handles;
        let uv_loop = loop_of(env)?;
        // SAFETY: all happens on the thread of this environment, and the memory is that of such handles.
        unsafe {
            if let Source::Descriptor(descriptor) = source {
                // Of these, this alone can fail.
                uv_check((libuv.poll_init)(uv_loop, handles.raw(POLL), *descriptor))?;
            }
            (libuv.prepare_init)(uv_loop, handles.raw(PREPARE));
            (libuv.timer_init)(uv_loop, handles.raw(ALARM));
            // Who keeps the process alive is the source.
            (libuv.unreference)(handles.raw(PREPARE));
            (libuv.unreference)(handles.raw(ALARM));
        }
        adopt(env, &shared)?;
        // From here on it closes the handles when it is dropped.
        let watch = Self { shared };
        watch.start()?;
        Ok(watch)
    }

    fn start(&self) -> io::Result<()> {
        let Hooks { handles, source, .. } = self.hooks();
        // SAFETY: the handle is open.
        uv_check(unsafe { (handles.libuv.prepare_start)(handles.raw(PREPARE), before_wait::<L>) })?;
        match source {
            Watched::Poll { .. } => self.hooks().wait_for(UV_READABLE),
            Watched::Socket(socket) => {
                let waiter: Weak<Shared<L>> = Rc::downgrade(&self.shared);
                socket.start(waiter)
            }
        }
    }

    /// Who listens.
    pub fn listener(&self) -> &L {
        &self.shared.listener
    }

    /// What it can ask for.
    pub fn hooks(&self) -> &Hooks {
        &self.shared.hooks
    }
}

impl<L: Listener> Drop for Watch<L> {
    fn drop(&mut self) {
        let Hooks { handles, source, .. } = self.hooks();
        if let Watched::Socket(socket) = source {
            socket.stop();
        }
        handles.close();
    }
}

impl Hooks {
    /// Whether it is still waited, and the listener called.
    pub fn is_open(&self) -> bool {
        self.handles.is_open()
    }

    /// Waits for room as well, or no more. A socket of libuv's does so by itself.
    pub fn set_for_room(&self, for_room: bool) -> io::Result<()> {
        let room = if for_room { UV_WRITABLE } else { 0 };
        self.wait_for(UV_READABLE | room)
    }

    /// Sets the alarm: it goes off once, in a later turn of the loop, and may be early by what this turn has taken.
    pub fn set_alarm(&self, delay: Duration) {
        if !self.is_open() {
            return;
        }
        let ms = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        // SAFETY: the handle is open. It fails only on one that isn't.
        unsafe { (self.handles.libuv.timer_start)(self.handles.raw(ALARM), self.on_alarm, ms, 0) };
    }

    /// Whether the source keeps the process alive.
    pub fn set_referenced(&self, is_referenced: bool) {
        let libuv = self.handles.libuv;
        let set = if is_referenced {
            libuv.reference
        } else {
            libuv.unreference
        };
        let keepers: &[_] = match &self.source {
            Watched::Poll { .. } => &[self.handles.raw(POLL)],
            Watched::Socket(socket) => &socket.keepers(),
        };
        for keeper in keepers {
            // SAFETY: the handle is initialised, and its memory lives as long as this.
            unsafe { set(*keeper) }
        }
    }

    fn wait_for(&self, wanted: c_int) -> io::Result<()> {
        let Watched::Poll { on_poll, events } = &self.source else {
            return Ok(());
        };
        if !self.is_open() || events.get() == wanted {
            return Ok(());
        }
        // SAFETY: the handle is open.
        uv_check(unsafe { (self.handles.libuv.poll_start)(self.handles.raw(POLL), wanted, *on_poll) })?;
        events.set(wanted);
        Ok(())
    }

    /// libuv has stopped waiting.
    fn wait_again(&self) {
        if let Watched::Poll { events, .. } = &self.source {
            let _ = self.wait_for(events.replace(0));
        }
    }

    /// Whether something came that nobody was told of: libuv lets others run after so many datagrams.
    fn has_received(&self) -> bool {
        matches!(&self.source, Watched::Socket(socket) if socket.has_received())
    }
}

impl<L: Listener> Owner for Shared<L> {
    fn handles(&self) -> &Handles {
        &self.hooks.handles
    }

    fn on_closed(&self) {
        self.listener.on_closed();
    }
}

impl<L: Listener> Waiter for Shared<L> {
    fn on_ready(&self, is_writable: bool) {
        self.listener.on_ready(&self.hooks, is_writable);
    }
}

unsafe extern "C" fn on_poll<L: Listener>(handle: UvHandle, status: c_int, events: c_int) {
    // SAFETY: the handle is ours, and open.
    let Some(shared) = (unsafe { owner_of::<Shared<L>>(handle) }) else {
        return;
    };
    shared.on_ready(events & UV_WRITABLE != 0);
    if status < 0 {
        // The system told of an error, which receiving has taken.
        shared.hooks.wait_again();
    }
}

unsafe extern "C" fn on_alarm<L: Listener>(handle: UvHandle) {
    // SAFETY: as above.
    if let Some(shared) = unsafe { owner_of::<Shared<L>>(handle) } {
        shared.listener.on_alarm(&shared.hooks);
    }
}

unsafe extern "C" fn before_wait<L: Listener>(handle: UvHandle) {
    // SAFETY: as above.
    let Some(shared) = (unsafe { owner_of::<Shared<L>>(handle) }) else {
        return;
    };
    if shared.hooks.has_received() {
        shared.on_ready(false);
    }
    if shared.hooks.is_open() {
        shared.listener.before_wait(&shared.hooks);
    }
}
