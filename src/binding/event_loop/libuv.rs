//! What we need of libuv, found in the program that loaded us.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;

use libloading::Library;
use napi::sys;

pub(super) type UvHandle = *mut c_void;
pub(super) type OnPoll = unsafe extern "C" fn(UvHandle, c_int, c_int);
pub(super) type OnTurn = unsafe extern "C" fn(UvHandle);

/// libuv's numbers, the same in all of its first major version.
pub(super) const UV_POLL: c_int = 8;
pub(super) const UV_PREPARE: c_int = 9;
pub(super) const UV_TIMER: c_int = 13;
pub(super) const UV_READABLE: c_int = 1;
pub(super) const UV_WRITABLE: c_int = 2;

/// What we need of libuv.
pub(super) struct Libuv {
    pub(super) handle_size: unsafe extern "C" fn(c_int) -> usize,
    pub(super) handle_get_data: unsafe extern "C" fn(UvHandle) -> *mut c_void,
    pub(super) handle_set_data: unsafe extern "C" fn(UvHandle, *mut c_void),
    pub(super) poll_init: unsafe extern "C" fn(*mut sys::uv_loop_s, UvHandle, c_int) -> c_int,
    pub(super) poll_start: unsafe extern "C" fn(UvHandle, c_int, OnPoll) -> c_int,
    pub(super) prepare_init: unsafe extern "C" fn(*mut sys::uv_loop_s, UvHandle) -> c_int,
    pub(super) prepare_start: unsafe extern "C" fn(UvHandle, OnTurn) -> c_int,
    pub(super) timer_init: unsafe extern "C" fn(*mut sys::uv_loop_s, UvHandle) -> c_int,
    pub(super) timer_start: unsafe extern "C" fn(UvHandle, OnTurn, u64, u64) -> c_int,
    pub(super) close: unsafe extern "C" fn(UvHandle, OnTurn),
    pub(super) reference: unsafe extern "C" fn(UvHandle),
    pub(super) unreference: unsafe extern "C" fn(UvHandle),
}

impl Libuv {
    /// That of the program that loaded us; `None` where it has none.
    pub(super) fn get() -> Option<&'static Self> {
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
                prepare_init: *program.get(b"uv_prepare_init\0").ok()?,
                prepare_start: *program.get(b"uv_prepare_start\0").ok()?,
                timer_init: *program.get(b"uv_timer_init\0").ok()?,
                timer_start: *program.get(b"uv_timer_start\0").ok()?,
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

/// Memory that is libuv's until a handle in it is closed.
pub(super) struct Handle(Box<[UnsafeCell<u64>]>);

impl Handle {
    pub(super) fn new(libuv: &Libuv, kind: c_int) -> Self {
        // SAFETY: any kind may be asked for.
        let size = unsafe { (libuv.handle_size)(kind) };
        Self((0..size.div_ceil(8)).map(|_| UnsafeCell::new(0)).collect())
    }

    pub(super) fn raw(&self) -> UvHandle {
        self.0.as_ptr().cast_mut().cast()
    }
}

pub(super) fn uv_check(status: c_int) -> io::Result<()> {
    if status < 0 {
        return Err(io::Error::from_raw_os_error(-status));
    }
    Ok(())
}
