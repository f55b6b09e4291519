//! What we need of libuv, found in the program that loaded us.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::io;
use std::sync::OnceLock;

use libloading::Library;
use napi::sys;

pub(super) type UvLoop = *mut sys::uv_loop_s;
pub(super) type UvHandle = *mut c_void;
pub(super) type UvRequest = *mut c_void;
/// A `sockaddr` of the system's.
pub(super) type SockAddrPtr = *const c_void;
pub(super) type OnPoll = unsafe extern "C" fn(UvHandle, c_int, c_int);
pub(super) type OnTurn = unsafe extern "C" fn(UvHandle);
pub(super) type OnAllocate = unsafe extern "C" fn(UvHandle, usize, *mut UvBuffer);
pub(super) type OnReceived = unsafe extern "C" fn(UvHandle, isize, *const UvBuffer, SockAddrPtr, c_uint);
pub(super) type OnSent = unsafe extern "C" fn(UvRequest, c_int);
type TrySendMany =
    unsafe extern "C" fn(UvHandle, c_uint, *const *const UvBuffer, *const c_uint, *const SockAddrPtr, c_uint) -> c_int;
type BufferSize = unsafe extern "C" fn(UvHandle, *mut c_int) -> c_int;

/// libuv's numbers, the same in all of its first major version.
pub(super) const UV_POLL: c_int = 8;
pub(super) const UV_PREPARE: c_int = 9;
pub(super) const UV_TIMER: c_int = 13;
pub(super) const UV_UDP: c_int = 15;
pub(super) const UV_UDP_SEND: c_int = 5;
pub(super) const UV_READABLE: c_int = 1;
pub(super) const UV_WRITABLE: c_int = 2;
pub(super) const UV_UDP_IPV6ONLY: c_uint = 1;
pub(super) const UV_UDP_PARTIAL: c_uint = 2;
pub(super) const UV_UDP_REUSEADDR: c_uint = 4;
pub(super) const UV_UDP_MMSG_CHUNK: c_uint = 8;
pub(super) const UV_UDP_MMSG_FREE: c_uint = 16;
pub(super) const UV_UDP_RECVMMSG: c_uint = 256;

/// `uv_buf_t`: the system's own form of a piece of memory.
#[repr(C)]
#[cfg(unix)]
pub(super) struct UvBuffer {
    base: *mut u8,
    length: usize,
}

/// `uv_buf_t`: the system's own form of a piece of memory.
#[repr(C)]
#[cfg(windows)]
pub(super) struct UvBuffer {
    length: u32,
    base: *mut u8,
}

impl UvBuffer {
    /// `length`: no more than there is.
    pub(super) fn new(base: *mut u8, length: u32) -> Self {
        let length = length as _;
        Self { base, length }
    }

    pub(super) fn base(&self) -> *const u8 {
        self.base
    }
}

/// What we need of libuv.
pub(super) struct Libuv {
    pub(super) handle_size: unsafe extern "C" fn(c_int) -> usize,
    pub(super) handle_get_data: unsafe extern "C" fn(UvHandle) -> *mut c_void,
    pub(super) handle_set_data: unsafe extern "C" fn(UvHandle, *mut c_void),
    pub(super) poll_init: unsafe extern "C" fn(UvLoop, UvHandle, c_int) -> c_int,
    pub(super) poll_start: unsafe extern "C" fn(UvHandle, c_int, OnPoll) -> c_int,
    pub(super) prepare_init: unsafe extern "C" fn(UvLoop, UvHandle) -> c_int,
    pub(super) prepare_start: unsafe extern "C" fn(UvHandle, OnTurn) -> c_int,
    pub(super) timer_init: unsafe extern "C" fn(UvLoop, UvHandle) -> c_int,
    pub(super) timer_start: unsafe extern "C" fn(UvHandle, OnTurn, u64, u64) -> c_int,
    pub(super) udp_init_ex: unsafe extern "C" fn(UvLoop, UvHandle, c_uint) -> c_int,
    pub(super) udp_bind: unsafe extern "C" fn(UvHandle, SockAddrPtr, c_uint) -> c_int,
    pub(super) udp_getsockname: unsafe extern "C" fn(UvHandle, *mut c_void, *mut c_int) -> c_int,
    pub(super) udp_recv_start: unsafe extern "C" fn(UvHandle, OnAllocate, OnReceived) -> c_int,
    pub(super) udp_recv_stop: unsafe extern "C" fn(UvHandle) -> c_int,
    pub(super) udp_try_send: unsafe extern "C" fn(UvHandle, *const UvBuffer, c_uint, SockAddrPtr) -> c_int,
    /// Since 1.50: Node 22.17, 24 and newer.
    pub(super) udp_try_send_many: Option<TrySendMany>,
    pub(super) udp_send:
        unsafe extern "C" fn(UvRequest, UvHandle, *const UvBuffer, c_uint, SockAddrPtr, OnSent) -> c_int,
    pub(super) recv_buffer_size: BufferSize,
    pub(super) send_buffer_size: BufferSize,
    pub(super) req_size: unsafe extern "C" fn(c_int) -> usize,
    pub(super) req_get_data: unsafe extern "C" fn(UvRequest) -> *mut c_void,
    pub(super) req_set_data: unsafe extern "C" fn(UvRequest, *mut c_void),
    pub(super) err_name: unsafe extern "C" fn(c_int) -> *const c_char,
    pub(super) ip6_addr: unsafe extern "C" fn(*const c_char, c_int, *mut c_void) -> c_int,
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
                udp_init_ex: *program.get(b"uv_udp_init_ex\0").ok()?,
                udp_bind: *program.get(b"uv_udp_bind\0").ok()?,
                udp_getsockname: *program.get(b"uv_udp_getsockname\0").ok()?,
                udp_recv_start: *program.get(b"uv_udp_recv_start\0").ok()?,
                udp_recv_stop: *program.get(b"uv_udp_recv_stop\0").ok()?,
                udp_try_send: *program.get(b"uv_udp_try_send\0").ok()?,
                udp_try_send_many: program.get(b"uv_udp_try_send2\0").ok().map(|function| *function),
                udp_send: *program.get(b"uv_udp_send\0").ok()?,
                recv_buffer_size: *program.get(b"uv_recv_buffer_size\0").ok()?,
                send_buffer_size: *program.get(b"uv_send_buffer_size\0").ok()?,
                req_size: *program.get(b"uv_req_size\0").ok()?,
                req_get_data: *program.get(b"uv_req_get_data\0").ok()?,
                req_set_data: *program.get(b"uv_req_set_data\0").ok()?,
                err_name: *program.get(b"uv_err_name\0").ok()?,
                ip6_addr: *program.get(b"uv_ip6_addr\0").ok()?,
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

/// Memory that libuv works in: a handle's until that is closed, a request's until it is answered.
pub(super) struct Memory(Box<[UnsafeCell<u64>]>);

impl Memory {
    pub(super) fn of_handle(libuv: &Libuv, kind: c_int) -> Self {
        // SAFETY: any kind may be asked for.
        Self::new(unsafe { (libuv.handle_size)(kind) })
    }

    pub(super) fn of_request(libuv: &Libuv, kind: c_int) -> Self {
        // SAFETY: any kind may be asked for.
        Self::new(unsafe { (libuv.req_size)(kind) })
    }

    fn new(size: usize) -> Self {
        Self((0..size.div_ceil(8)).map(|_| UnsafeCell::new(0)).collect())
    }

    pub(super) fn raw(&self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// The error that a negative status stands for. Its number is libuv's, without the sign.
pub(super) fn uv_check(status: c_int) -> io::Result<()> {
    if status < 0 {
        return Err(io::Error::from_raw_os_error(-status));
    }
    Ok(())
}

impl Libuv {
    /// The name of the error that a negative status stands for, the same on all systems.
    pub(super) fn error_name(&self, status: c_int) -> &'static str {
        // SAFETY: any status has a name, which stays.
        let name = unsafe { CStr::from_ptr((self.err_name)(status)) };
        name.to_str().unwrap_or_default()
    }
}
