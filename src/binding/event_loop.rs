//! Waits for a descriptor on JavaScript's own event loop: by libuv's `uv_poll_t`, which Node exports to its addons
//! (<https://docs.libuv.org/en/v1.x/poll.html>). No thread, so no change of context between a datagram and whoever waits
//! for it.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::rc::Rc;
use std::sync::OnceLock;

use libloading::Library;
use napi::bindgen_prelude::{Function, JsValue, Unknown};
use napi::{Env, sys};

type UvHandle = *mut c_void;
type OnEvent = unsafe extern "C" fn(UvHandle, c_int, c_int);
type OnClosed = unsafe extern "C" fn(UvHandle);

/// libuv's numbers, the same in all of its first major version.
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;
const UV_WRITABLE: c_int = 2;

/// What we need of libuv.
struct Libuv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    handle_get_data: unsafe extern "C" fn(UvHandle) -> *mut c_void,
    handle_set_data: unsafe extern "C" fn(UvHandle, *mut c_void),
    poll_init: unsafe extern "C" fn(*mut sys::uv_loop_s, UvHandle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(UvHandle, c_int, OnEvent) -> c_int,
    close: unsafe extern "C" fn(UvHandle, OnClosed),
    reference: unsafe extern "C" fn(UvHandle),
    unreference: unsafe extern "C" fn(UvHandle),
}

impl Libuv {
    /// That of the program that loaded us; `None` where it has none.
    fn get() -> Option<&'static Self> {
        static LIBUV: OnceLock<Option<Libuv>> = OnceLock::new();
        LIBUV.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let program = program()?;
        // SAFETY: the types are those of libuv's documentation, unchanged in all of its first major version.
        unsafe {
            Some(Self {
                handle_size: *program.get(b"uv_handle_size\0").ok()?,
                handle_get_data: *program.get(b"uv_handle_get_data\0").ok()?,
                handle_set_data: *program.get(b"uv_handle_set_data\0").ok()?,
                poll_init: *program.get(b"uv_poll_init\0").ok()?,
                poll_start: *program.get(b"uv_poll_start\0").ok()?,
                close: *program.get(b"uv_close\0").ok()?,
                reference: *program.get(b"uv_ref\0").ok()?,
                unreference: *program.get(b"uv_unref\0").ok()?,
            })
        }
    }
}

/// The program that loaded us.
#[cfg(unix)]
fn program() -> Option<Library> {
    Some(libloading::os::unix::Library::this().into())
}

/// The program that loaded us.
#[cfg(windows)]
fn program() -> Option<Library> {
    libloading::os::windows::Library::this().ok().map(Library::from)
}

/// Whether this runtime lets us wait on its event loop.
pub fn is_supported() -> bool {
    Libuv::get().is_some()
}

/// Waits for a descriptor, from the start for what comes. Dropped, it calls no more; drop it before the descriptor.
pub struct Poll {
    watcher: Rc<Watcher>,
}

impl Poll {
    /// Begins to wait. `ready` is called whenever something has come, or there is the room that was asked for, for as long
    /// as that is so. Keeps the process alive, unless `set_referenced` says otherwise.
    pub fn new(env: Env, descriptor: c_int, ready: &Function<'_, (), Unknown<'_>>) -> io::Result<Self> {
        let libuv = Libuv::get().ok_or(io::ErrorKind::Unsupported)?;
        let watcher = Rc::new(Watcher::new(libuv, env.raw(), ready)?);
        // SAFETY: all happens on the thread of this environment, whose loop lives longer than the handle: the hook closes
        // it before. The handle's memory and what its data points at are freed when libuv is done with both, in `on_closed`.
        unsafe {
            let mut uv_loop = ptr::null_mut();
            check(sys::napi_get_uv_event_loop(watcher.env, &raw mut uv_loop))?;
            let failure = (libuv.poll_init)(uv_loop, watcher.handle(), descriptor);
            if failure != 0 {
                return Err(io::Error::from_raw_os_error(-failure));
            }
            let data = Rc::into_raw(watcher.clone()).cast_mut().cast();
            (libuv.handle_set_data)(watcher.handle(), data);
            watcher.is_open.set(true);
            let mut hook = ptr::null_mut();
            let status = sys::napi_add_async_cleanup_hook(watcher.env, Some(on_teardown), data, &raw mut hook);
            watcher.hook.set(hook);
            // From here on it closes the handle when it is dropped.
            let poll = Self { watcher };
            check(status)?;
            poll.watcher.wait_for(UV_READABLE)?;
            Ok(poll)
        }
    }

    /// Waits for room as well, or no more.
    pub fn set_for_room(&self, for_room: bool) -> io::Result<()> {
        let room = if for_room { UV_WRITABLE } else { 0 };
        self.watcher.wait_for(UV_READABLE | room)
    }

    /// Whether it keeps the process alive.
    pub fn set_referenced(&self, is_referenced: bool) {
        let libuv = self.watcher.libuv;
        let set = if is_referenced {
            libuv.reference
        } else {
            libuv.unreference
        };
        // SAFETY: the handle is initialised, and its memory is ours.
        unsafe { set(self.watcher.handle()) }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.watcher.close();
    }
}

/// What libuv knows us by.
struct Watcher {
    libuv: &'static Libuv,
    /// The `uv_poll_t`.
    memory: Box<[UnsafeCell<u64>]>,
    env: sys::napi_env,
    ready: Cell<sys::napi_ref>,
    context: Cell<sys::napi_async_context>,
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
    events: Cell<c_int>,
    /// Whether the handle is initialised and not being closed.
    is_open: Cell<bool>,
}

impl Watcher {
    fn new(libuv: &'static Libuv, env: sys::napi_env, ready: &Function<'_, (), Unknown<'_>>) -> io::Result<Self> {
        const NAME: &str = "polykey-quic";
        // SAFETY: the values are of this environment and of the call that we are in.
        unsafe {
            let size = (libuv.handle_size)(UV_POLL);
            let mut name = ptr::null_mut();
            let length = NAME.len() as isize;
            check(sys::napi_create_string_utf8(
                env,
                NAME.as_ptr().cast(),
                length,
                &raw mut name,
            ))?;
            let mut context = ptr::null_mut();
            check(sys::napi_async_init(env, ptr::null_mut(), name, &raw mut context))?;
            let mut reference = ptr::null_mut();
            check(sys::napi_create_reference(env, ready.raw(), 1, &raw mut reference))?;
            Ok(Self {
                libuv,
                memory: (0..size.div_ceil(8)).map(|_| UnsafeCell::new(0)).collect(),
                env,
                ready: Cell::new(reference),
                context: Cell::new(context),
                hook: Cell::new(ptr::null_mut()),
                events: Cell::new(0),
                is_open: Cell::new(false),
            })
        }
    }

    fn handle(&self) -> UvHandle {
        self.memory.as_ptr().cast_mut().cast()
    }

    fn wait_for(&self, events: c_int) -> io::Result<()> {
        if !self.is_open.get() || self.events.replace(events) == events {
            return Ok(());
        }
        // SAFETY: the handle is open.
        match unsafe { (self.libuv.poll_start)(self.handle(), events, on_event) } {
            0 => Ok(()),
            failure => Err(io::Error::from_raw_os_error(-failure)),
        }
    }

    fn close(&self) {
        if self.is_open.replace(false) {
            // SAFETY: the handle is open, and closed once.
            unsafe { (self.libuv.close)(self.handle(), on_closed) }
        }
    }

    /// Lets go of what it has of the environment, which may be gone before it is.
    fn release(&self) {
        let (ready, context) = (
            self.ready.replace(ptr::null_mut()),
            self.context.replace(ptr::null_mut()),
        );
        if ready.is_null() {
            return;
        }
        // SAFETY: both were made with it, and are released once.
        unsafe {
            sys::napi_delete_reference(self.env, ready);
            sys::napi_async_destroy(self.env, context);
        }
    }

    /// Calls `ready`, as a callback of the event loop: promises and ticks are served after it.
    unsafe fn call(&self) {
        // SAFETY: on the thread of the environment, outside of any call of JavaScript. A runtime that is being torn down
        // refuses, which is to be ignored.
        unsafe {
            let mut scope = ptr::null_mut();
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return;
            }
            let (mut ready, mut global, mut answer) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            sys::napi_get_reference_value(self.env, self.ready.get(), &raw mut ready);
            sys::napi_get_global(self.env, &raw mut global);
            let status = sys::napi_make_callback(
                self.env,
                self.context.get(),
                global,
                ready,
                0,
                ptr::null(),
                &raw mut answer,
            );
            if status == sys::Status::napi_pending_exception {
                let mut exception = ptr::null_mut();
                if sys::napi_get_and_clear_last_exception(self.env, &raw mut exception) == sys::Status::napi_ok {
                    sys::napi_fatal_exception(self.env, exception);
                }
            }
            sys::napi_close_handle_scope(self.env, scope);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.release();
    }
}

unsafe extern "C" fn on_event(handle: UvHandle, status: c_int, _events: c_int) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: the data was set before the handle was started. What it points at lives until `on_closed`, a later turn.
    let watcher = unsafe { &*(libuv.handle_get_data)(handle).cast::<Watcher>() };
    // SAFETY: libuv calls from its loop.
    unsafe { watcher.call() };
    if status < 0 {
        // The system told of an error, which receiving has taken; libuv has stopped waiting.
        let events = watcher.events.replace(0);
        let _ = watcher.wait_for(events);
    }
}

unsafe extern "C" fn on_closed(handle: UvHandle) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: the data came from `Rc::into_raw`, and libuv is done with it. The hook was added with it, and is removed
    // once: in a teardown that is what the environment waits for.
    unsafe {
        let watcher = Rc::from_raw((libuv.handle_get_data)(handle).cast_const().cast::<Watcher>());
        watcher.release();
        let hook = watcher.hook.get();
        if !hook.is_null() {
            sys::napi_remove_async_cleanup_hook(hook);
        }
    }
}

unsafe extern "C" fn on_teardown(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the hook is removed before what it points at is freed.
    unsafe { &*data.cast::<Watcher>() }.close();
}

fn check(status: sys::napi_status) -> io::Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(io::Error::other(format!("Node-API refuses with status {status}")))
}
