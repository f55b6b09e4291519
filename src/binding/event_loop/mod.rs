//! Waits on JavaScript's own event loop: by libuv, which Node exports to its addons
//! (<https://docs.libuv.org/en/v1.x/design.html#the-i-o-loop>). No thread, so no change of context between a datagram and
//! whoever waits for it.

mod libuv;

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use napi::{Env, sys};

use self::libuv::{
    Handle, Libuv, OnPoll, OnTurn, UV_POLL, UV_PREPARE, UV_READABLE, UV_TIMER, UV_WRITABLE, UvHandle, uv_check,
};

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

/// A descriptor, an alarm, and the moment before the loop waits, watched for one listener from now until this is dropped.
/// Drop it before the descriptor is closed.
pub struct Watch<L: Listener> {
    shared: Rc<Shared<L>>,
}

/// What a listener can ask for.
pub struct Hooks {
    libuv: &'static Libuv,
    poll: Handle,
    prepare: Handle,
    alarm: Handle,
    callbacks: Callbacks,
    events: Cell<c_int>,
    /// Whether the handles are initialised and not being closed.
    is_open: Cell<bool>,
}

/// Those of one kind of listener.
struct Callbacks {
    on_poll: OnPoll,
    on_alarm: OnTurn,
    on_closed: OnTurn,
}

/// What libuv knows us by.
struct Shared<L> {
    hooks: Hooks,
    listener: L,
    /// Handles that libuv isn't done with.
    handles: Cell<usize>,
    env_hook: Cell<sys::napi_async_cleanup_hook_handle>,
}

impl<L: Listener> Watch<L> {
    /// Begins to wait. Keeps the process alive, unless `set_referenced` says otherwise.
    pub fn new(env: Env, descriptor: c_int, listener: L) -> io::Result<Self> {
        let libuv = Libuv::get().ok_or(io::ErrorKind::Unsupported)?;
        let shared = Rc::new(Shared {
            hooks: Hooks {
                libuv,
                poll: Handle::new(libuv, UV_POLL),
                prepare: Handle::new(libuv, UV_PREPARE),
                alarm: Handle::new(libuv, UV_TIMER),
                callbacks: Callbacks {
                    on_poll: on_poll::<L>,
                    on_alarm: on_alarm::<L>,
                    on_closed: on_closed::<L>,
                },
                events: Cell::new(0),
                is_open: Cell::new(false),
            },
            listener,
            handles: Cell::new(0),
            env_hook: Cell::new(ptr::null_mut()),
        });
        let hooks = &shared.hooks;
        // SAFETY: all happens on the thread of this environment, whose loop lives longer than the handles: its hook closes
        // them before. Their memory and what their data points at are freed when libuv is done with all, in `on_closed`.
        unsafe {
            let mut uv_loop = ptr::null_mut();
            check(sys::napi_get_uv_event_loop(env.raw(), &raw mut uv_loop))?;
            // Of these, this alone can fail.
            uv_check((libuv.poll_init)(uv_loop, hooks.poll.raw(), descriptor))?;
            (libuv.prepare_init)(uv_loop, hooks.prepare.raw());
            (libuv.timer_init)(uv_loop, hooks.alarm.raw());
            for handle in hooks.handles() {
                shared.handles.update(|count| count + 1);
                (libuv.handle_set_data)(handle.raw(), Rc::into_raw(shared.clone()).cast_mut().cast());
            }
            hooks.is_open.set(true);
            // Who keeps the process alive is the descriptor.
            (libuv.unreference)(hooks.prepare.raw());
            (libuv.unreference)(hooks.alarm.raw());
            let data = Rc::as_ptr(&shared).cast_mut().cast();
            let mut env_hook = ptr::null_mut();
            let status = sys::napi_add_async_cleanup_hook(env.raw(), Some(on_teardown::<L>), data, &raw mut env_hook);
            shared.env_hook.set(env_hook);
            // From here on it closes the handles when it is dropped.
            let watch = Self { shared };
            check(status)?;
            let hooks = watch.hooks();
            hooks.wait_for(UV_READABLE)?;
            uv_check((libuv.prepare_start)(hooks.prepare.raw(), before_wait::<L>))?;
            Ok(watch)
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
        self.hooks().close();
    }
}

impl Hooks {
    /// Whether it is still waited, and the listener called.
    pub fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Waits for room in the descriptor as well, or no more.
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
        unsafe { (self.libuv.timer_start)(self.alarm.raw(), self.callbacks.on_alarm, ms, 0) };
    }

    /// Whether the descriptor keeps the process alive.
    pub fn set_referenced(&self, is_referenced: bool) {
        let set = if is_referenced {
            self.libuv.reference
        } else {
            self.libuv.unreference
        };
        // SAFETY: the handle is initialised, and its memory is ours.
        unsafe { set(self.poll.raw()) }
    }

    fn handles(&self) -> [&Handle; 3] {
        [&self.poll, &self.prepare, &self.alarm]
    }

    fn wait_for(&self, events: c_int) -> io::Result<()> {
        if !self.is_open() || self.events.get() == events {
            return Ok(());
        }
        // SAFETY: the handle is open.
        uv_check(unsafe { (self.libuv.poll_start)(self.poll.raw(), events, self.callbacks.on_poll) })?;
        self.events.set(events);
        Ok(())
    }

    fn close(&self) {
        if self.is_open.replace(false) {
            for handle in self.handles() {
                // SAFETY: the handle is open, and closed once.
                unsafe { (self.libuv.close)(handle.raw(), self.callbacks.on_closed) }
            }
        }
    }
}

/// Of one of the handles.
///
/// # Safety
///
/// The handle is one of a [`Shared<L>`] that libuv isn't done with.
unsafe fn shared_of<L>(handle: UvHandle) -> Option<*const Shared<L>> {
    // SAFETY: the data was set before the handle was started.
    Libuv::get().map(|libuv| unsafe { (libuv.handle_get_data)(handle) }.cast_const().cast())
}

unsafe extern "C" fn on_poll<L: Listener>(handle: UvHandle, status: c_int, events: c_int) {
    // SAFETY: what the data points at lives until `on_closed`, a later turn.
    let Some(shared) = (unsafe { shared_of::<L>(handle).map(|shared| &*shared) }) else {
        return;
    };
    shared.listener.on_ready(&shared.hooks, events & UV_WRITABLE != 0);
    if status < 0 {
        // The system told of an error, which receiving has taken; libuv has stopped waiting.
        let events = shared.hooks.events.replace(0);
        let _ = shared.hooks.wait_for(events);
    }
}

unsafe extern "C" fn on_alarm<L: Listener>(handle: UvHandle) {
    // SAFETY: as above.
    if let Some(shared) = unsafe { shared_of::<L>(handle).map(|shared| &*shared) } {
        shared.listener.on_alarm(&shared.hooks);
    }
}

unsafe extern "C" fn before_wait<L: Listener>(handle: UvHandle) {
    // SAFETY: as above.
    if let Some(shared) = unsafe { shared_of::<L>(handle).map(|shared| &*shared) } {
        shared.listener.before_wait(&shared.hooks);
    }
}

unsafe extern "C" fn on_closed<L: Listener>(handle: UvHandle) {
    // SAFETY: the data of each handle came from an `Rc::into_raw` of its own, and libuv is done with the handle.
    let Some(shared) = (unsafe { shared_of::<L>(handle).map(|shared| Rc::from_raw(shared)) }) else {
        return;
    };
    shared.handles.update(|count| count - 1);
    if shared.handles.get() > 0 {
        return;
    }
    shared.listener.on_closed();
    let env_hook = shared.env_hook.get();
    if !env_hook.is_null() {
        // SAFETY: the hook was added with the handles, and is removed once: in a teardown that is what the environment
        // waits for.
        unsafe { sys::napi_remove_async_cleanup_hook(env_hook) };
    }
}

unsafe extern "C" fn on_teardown<L: Listener>(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the hook is removed before what it points at is freed.
    unsafe { &*data.cast::<Shared<L>>() }.hooks.close();
}

fn check(status: sys::napi_status) -> io::Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(io::Error::other(format!("Node-API refuses with status {status}")))
}
