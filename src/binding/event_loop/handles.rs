//! Handles of libuv that are closed together.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::rc::Rc;

use napi::{Env, sys};

use super::libuv::{Libuv, Memory, OnTurn, UvHandle, UvLoop};

/// Handles that are closed together: when their owner says so, or before the environment goes.
pub(super) struct Handles {
    pub(super) libuv: &'static Libuv,
    list: Box<[Memory]>,
    on_closed: OnTurn,
    /// Whether they are initialised and not being closed.
    is_open: Cell<bool>,
    /// Those that libuv isn't done with.
    pending: Cell<usize>,
    env_hook: Cell<sys::napi_async_cleanup_hook_handle>,
}

/// Who has handles. It lives until libuv is done with all of them.
pub(super) trait Owner: Sized + 'static {
    /// Those it has.
    fn handles(&self) -> &Handles;
    /// Nothing is called any more: the environment may go.
    fn on_closed(&self) {}
}

impl Handles {
    /// Memory for handles of these kinds, to be initialised.
    pub(super) fn new<O: Owner>(libuv: &'static Libuv, kinds: &[std::ffi::c_int]) -> Self {
        Self {
            libuv,
            list: kinds.iter().map(|kind| Memory::of_handle(libuv, *kind)).collect(),
            on_closed: on_closed::<O>,
            is_open: Cell::new(false),
            pending: Cell::new(0),
            env_hook: Cell::new(ptr::null_mut()),
        }
    }

    /// One of them, by its place among the kinds.
    pub(super) fn raw(&self, index: usize) -> UvHandle {
        self.list[index].raw()
    }

    /// Whether they are initialised and not being closed.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Closes them. Their memory stays until libuv is done with it.
    pub(super) fn close(&self) {
        if self.is_open.replace(false) {
            for handle in &self.list {
                // SAFETY: the handle is open, and closed once.
                unsafe { (self.libuv.close)(handle.raw(), self.on_closed) }
            }
        }
    }
}

/// Takes over the owner's handles, all initialised by now: from here on they are to be closed. If this fails, they are.
pub(super) fn adopt<O: Owner>(env: Env, owner: &Rc<O>) -> io::Result<()> {
    let handles = owner.handles();
    for handle in &handles.list {
        handles.pending.update(|count| count + 1);
        let data = Rc::into_raw(owner.clone()).cast_mut().cast();
        // SAFETY: it is initialised. What its data points at is freed when libuv is done with it, in `on_closed`.
        unsafe { (handles.libuv.handle_set_data)(handle.raw(), data) };
    }
    handles.is_open.set(true);
    let data = Rc::as_ptr(owner).cast_mut().cast();
    let mut env_hook = ptr::null_mut();
    // SAFETY: the owner lives until the hook is removed.
    let status =
        unsafe { sys::napi_add_async_cleanup_hook(env.raw(), Some(on_teardown::<O>), data, &raw mut env_hook) };
    handles.env_hook.set(env_hook);
    check(status).inspect_err(|_| handles.close())
}

/// The loop of an environment. It lives longer than handles that were adopted.
pub(super) fn loop_of(env: Env) -> io::Result<UvLoop> {
    let mut uv_loop = ptr::null_mut();
    // SAFETY: on the thread of this environment.
    check(unsafe { sys::napi_get_uv_event_loop(env.raw(), &raw mut uv_loop) })?;
    Ok(uv_loop)
}

/// Who owns a handle.
///
/// # Safety
///
/// The handle was adopted for an `O`, and libuv isn't done with it.
pub(super) unsafe fn owner_of<'a, O: Owner>(handle: UvHandle) -> Option<&'a O> {
    // SAFETY: as the caller promises; it lives until `on_closed`, a later turn.
    Libuv::get().map(|libuv| unsafe { &*(libuv.handle_get_data)(handle).cast_const().cast() })
}

unsafe extern "C" fn on_closed<O: Owner>(handle: UvHandle) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: the data of each handle came from an `Rc::into_raw` of its own, and libuv is done with the handle.
    let owner: Rc<O> = unsafe { Rc::from_raw((libuv.handle_get_data)(handle).cast_const().cast()) };
    let handles = owner.handles();
    handles.pending.update(|count| count - 1);
    if handles.pending.get() > 0 {
        return;
    }
    owner.on_closed();
    let env_hook = handles.env_hook.get();
    if !env_hook.is_null() {
        // SAFETY: the hook was added with the handles, and is removed once: in a teardown that is what the environment
        // waits for.
        unsafe { sys::napi_remove_async_cleanup_hook(env_hook) };
    }
}

unsafe extern "C" fn on_teardown<O: Owner>(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the hook is removed before what it points at is freed.
    unsafe { &*data.cast::<O>() }.handles().close();
}

fn check(status: sys::napi_status) -> io::Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(io::Error::other(format!("Node-API refuses with status {status}")))
}
