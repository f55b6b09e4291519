//! A UDP socket of libuv's (<https://docs.libuv.org/en/v1.x/udp.html>): on all systems, one system call for each datagram, but
//! for those that come where the system has `recvmmsg`, and those that go where libuv is 1.50 or newer and the system has `sendmmsg`.

use std::array;
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_int, c_uint, c_void};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::ptr;
use std::rc::{Rc, Weak};

use napi::Env;
use socket2::SockAddr;

use super::handles::{Handles, Owner, adopt, loop_of, owner_of};
use super::libuv::{
    Libuv, Memory, SockAddrPtr, UV_TIMER, UV_UDP, UV_UDP_IPV6ONLY, UV_UDP_MMSG_CHUNK, UV_UDP_MMSG_FREE, UV_UDP_PARTIAL,
    UV_UDP_RECVMMSG, UV_UDP_REUSEADDR, UV_UDP_SEND, UvBuffer, UvHandle, UvRequest, uv_check,
};
use crate::binding::clock::now;
use crate::driver::Wire;
use crate::udp::{BindOptions, Burst, Entry, Inbox, Message, Moderation, PAUSE, SLOT, reached_from};

/// Errors of receiving that say something about a peer or a route, nothing about the socket.
const PASSING: [&str; 7] = [
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EMSGSIZE",
    "ENOBUFS",
    "ENOMEM",
];

/// Datagrams that libuv is handed together.
const TOGETHER: usize = 20;

/// Places among the handles.
const SOCKET: usize = 0;
const PAUSE_TIMER: usize = 1;

/// A bound socket of libuv's. What comes is kept until it is drained.
pub struct LoopSocket {
    shared: Rc<Shared>,
    /// Bytes of buffer that the system granted, for receiving and for sending.
    buffer_sizes: (usize, usize),
}

/// Whoever waits for a socket.
pub(super) trait Waiter {
    /// Datagrams have come, or there is room again (`is_writable`).
    fn on_ready(&self, is_writable: bool);
}

thread_local! {
    /// Room for what comes next, to whatever socket.
    static SPARE: Cell<Option<Inbox>> = const { Cell::new(None) };
}

/// What libuv knows it by.
pub(super) struct Shared {
    handles: Handles,
    is_ipv6: bool,
    waiter: RefCell<Option<Weak<dyn Waiter>>>,
    /// What has come; none while nothing does.
    inbox: RefCell<Option<Inbox>>,
    /// None where timers are coarse (Windows).
    moderation: RefCell<Option<Moderation>>,
    /// How often what came was let gather.
    pauses: Cell<u64>,
    is_dead: Cell<bool>,
    queued: Queued,
}

/// The datagram that the system had no room for. libuv sends it as soon as there is some.
struct Queued {
    request: Memory,
    datagram: RefCell<Vec<u8>>,
    is_waiting: Cell<bool>,
    /// Of those that were queued, how many failed, not told yet.
    failed: Cell<usize>,
}

/// What became of a datagram.
enum Sent {
    Taken,
    NoRoom,
    Refused(io::Error),
    Dead(io::Error),
}

impl LoopSocket {
    /// Binds a socket. It receives nothing before it is watched.
    pub fn bind(env: Env, options: &BindOptions) -> io::Result<Self> {
        let libuv = Libuv::get().ok_or(io::ErrorKind::Unsupported)?;
        let uv_loop = loop_of(env)?;
        let shared = Rc::new(Shared {
            handles: Handles::new::<Shared>(libuv, &[UV_UDP, UV_TIMER]),
            is_ipv6: options.address.is_ipv6(),
            waiter: RefCell::new(None),
            inbox: RefCell::default(),
            moderation: RefCell::default(),
            pauses: Cell::new(0),
            is_dead: Cell::new(false),
            queued: Queued {
                request: Memory::of_request(libuv, UV_UDP_SEND),
                datagram: RefCell::default(),
                is_waiting: Cell::new(false),
                failed: Cell::new(0),
            },
        });
        // Of the address family that it is bound to, receiving many at a time where the system can.
        // SAFETY: the loop lives, and the memory is that of such handles.
        unsafe {
            uv_check((libuv.udp_init_ex)(uv_loop, shared.raw(), UV_UDP_RECVMMSG))?;
            (libuv.timer_init)(uv_loop, shared.handles.raw(PAUSE_TIMER));
        }
        adopt(env, &shared)?;
        // From here on it is closed when it is dropped.
        let mut socket = Self {
            shared,
            buffer_sizes: (0, 0),
        };
        let mut flags = 0;
        if options.is_ipv6_only && options.address.is_ipv6() {
            flags |= UV_UDP_IPV6ONLY;
        }
        if options.reuses_address {
            flags |= UV_UDP_REUSEADDR;
        }
        let address = SockAddr::from(options.address);
        // SAFETY: the handle is open, and the address is one of the system's.
        uv_check(unsafe { (libuv.udp_bind)(socket.shared.raw(), address.as_ptr().cast(), flags) })?;
        socket.buffer_sizes = (
            socket.grant(libuv.recv_buffer_size, options.receive_buffer)?,
            socket.grant(libuv.send_buffer_size, options.send_buffer)?,
        );
        if cfg!(unix) {
            let moderation = Moderation::new(socket.buffer_sizes.0, now());
            socket.shared.moderation.replace(Some(moderation));
        }
        Ok(socket)
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let libuv = self.shared.handles.libuv;
        // SAFETY: the memory is that of an address, of which libuv writes as much as there is room for.
        let ((), name) = unsafe {
            SockAddr::try_init(|storage, length| {
                let mut room = c_int::try_from(*length).unwrap_or(c_int::MAX);
                uv_check((libuv.udp_getsockname)(
                    self.shared.raw(),
                    storage.cast(),
                    &raw mut room,
                ))?;
                *length = room.unsigned_abs() as _;
                Ok(())
            })
        }?;
        name.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Bytes of buffer the system granted, for receiving and for sending, as it counts them.
    pub fn buffer_sizes(&self) -> (usize, usize) {
        self.buffer_sizes
    }

    /// How often what came was let gather for a moment.
    pub fn pauses(&self) -> u64 {
        self.shared.pauses.get()
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Asks for a buffer; answers what was granted.
    fn grant(
        &self,
        buffer_size: unsafe extern "C" fn(UvHandle, *mut c_int) -> c_int,
        wanted: usize,
    ) -> io::Result<usize> {
        let mut wanted = c_int::try_from(wanted).unwrap_or(c_int::MAX);
        let mut granted = 0;
        // SAFETY: the handle is open. Some systems refuse what is too much, others grant what they can; 0 only asks.
        uv_check(unsafe {
            buffer_size(self.shared.raw(), &raw mut wanted);
            buffer_size(self.shared.raw(), &raw mut granted)
        })?;
        Ok(granted.unsigned_abs() as usize)
    }
}

impl Drop for LoopSocket {
    fn drop(&mut self) {
        self.shared.handles.close();
    }
}

impl Wire for LoopSocket {
    fn drain(&self, inbox: &mut Inbox) -> io::Result<bool> {
        if self.shared.is_dead.get() || !self.shared.handles.is_open() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        inbox.clear();
        if let Some(came) = self.shared.inbox.take() {
            SPARE.set(Some(mem::replace(inbox, came)));
        }
        Ok(false)
    }

    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        let mut burst = Burst {
            failed: self.shared.queued.failed.take(),
            ..Burst::default()
        };
        let mut last = None;
        let mut rest = entries;
        while let Some(entry) = rest.first()
            && !burst.is_blocked
        {
            let to = match last {
                Some((address, ref to)) if address == entry.address => to,
                _ => &last.insert((entry.address, self.shared.target(entry.address))).1,
            };
            let mut done = self.shared.try_send_many(bytes, rest, to);
            if done == 0 {
                // This tells what is in the way of the first one, if anything is.
                match self.shared.send(entry.datagram(bytes), to) {
                    Sent::Taken => done = 1,
                    Sent::NoRoom => {}
                    Sent::Refused(_) => {
                        done = 1;
                        burst.failed += 1;
                    }
                    Sent::Dead(error) => return Err(error),
                }
            }
            burst.done += done;
            rest = &rest[done..];
            burst.is_blocked = self.shared.queued.is_waiting.get();
        }
        Ok(burst)
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = self.shared.target(to);
        match self.shared.send(datagram, &to) {
            Sent::Taken => Ok(()),
            Sent::NoRoom => Err(io::ErrorKind::WouldBlock.into()),
            Sent::Refused(error) | Sent::Dead(error) => Err(error),
        }
    }

    /// libuv has no way to say so.
    fn forbid_fragments(&mut self) {}
}

impl Shared {
    /// Begins to receive, and to tell.
    pub(super) fn start(&self, waiter: Weak<dyn Waiter>) -> io::Result<()> {
        self.waiter.replace(Some(waiter));
        self.receive()
    }

    /// Tells nobody any more.
    pub(super) fn stop(&self) {
        self.waiter.take();
        self.receive_no_more();
    }

    /// Those of its handles that may keep the process alive.
    pub(super) fn keepers(&self) -> [UvHandle; 2] {
        [SOCKET, PAUSE_TIMER].map(|place| self.handles.raw(place))
    }

    /// Its handle, whether open or not.
    pub(super) fn raw(&self) -> UvHandle {
        self.handles.raw(SOCKET)
    }

    /// Whether there is something to be drained that nobody was told of.
    pub(super) fn has_received(&self) -> bool {
        self.inbox.borrow().as_ref().is_some_and(|inbox| !inbox.is_empty())
    }

    fn receive(&self) -> io::Result<()> {
        // SAFETY: the handle is open.
        let status = unsafe { (self.handles.libuv.udp_recv_start)(self.raw(), on_allocate, on_received) };
        if status < 0 && self.handles.libuv.error_name(status) == "EALREADY" {
            return Ok(());
        }
        uv_check(status)
    }

    fn receive_no_more(&self) {
        if self.handles.is_open() {
            // SAFETY: the handle is open.
            unsafe { (self.handles.libuv.udp_recv_stop)(self.raw()) };
        }
    }

    /// All that had come is taken: perhaps receives no more for a moment.
    fn moderate(&self) {
        let mut moderation = self.moderation.borrow_mut();
        let Some(moderation) = &mut *moderation else { return };
        // Whoever was told may have closed it.
        if !self.handles.is_open() || self.waiter.borrow().is_none() || !moderation.pauses(now()) {
            return;
        }
        self.pauses.update(|count| count + 1);
        self.receive_no_more();
        let ms = PAUSE.as_millis() as u64;
        // SAFETY: the handle is open. It fails only on one that isn't.
        unsafe { (self.handles.libuv.timer_start)(self.handles.raw(PAUSE_TIMER), on_pause_over, ms, 0) };
    }

    fn tell(&self, is_writable: bool) {
        let waiter = self.waiter.borrow().as_ref().and_then(Weak::upgrade);
        if let Some(waiter) = waiter {
            waiter.on_ready(is_writable);
        }
    }

    fn target(&self, address: SocketAddr) -> SockAddr {
        reached_from(self.is_ipv6, address).into()
    }

    /// Sends a datagram now, or as soon as there is room. Only one waits for that.
    fn send(&self, datagram: &[u8], to: &SockAddr) -> Sent {
        match self.try_send(datagram, to) {
            Sent::NoRoom if !self.queued.is_waiting.get() => self.queue(datagram, to),
            sent => sent,
        }
    }

    fn try_send(&self, datagram: &[u8], to: &SockAddr) -> Sent {
        if !self.handles.is_open() {
            return Sent::Dead(io::ErrorKind::NotConnected.into());
        }
        let libuv = self.handles.libuv;
        let buffer = buffer_of(datagram);
        // SAFETY: the handle is open; buffer and address live, and are only read.
        let status = unsafe { (libuv.udp_try_send)(self.raw(), &raw const buffer, 1, to.as_ptr().cast()) };
        let Err(error) = uv_check(status) else {
            return Sent::Taken;
        };
        match libuv.error_name(status) {
            "EAGAIN" => Sent::NoRoom,
            "EBADF" | "ENOTSOCK" => Sent::Dead(error),
            // Too large, no route, forbidden: a loss on that path.
            _ => Sent::Refused(error),
        }
    }

    /// Sends the first of these that go to one address, where libuv hands them to the system together. Answers how many were
    /// taken; what is in the way of the next one, sending it alone tells.
    fn try_send_many(&self, bytes: &[u8], entries: &[Entry], to: &SockAddr) -> usize {
        let Some(try_send_many) = self.handles.libuv.udp_try_send_many else {
            return 0;
        };
        let is_alike = |entry: &&Entry| entry.address == entries[0].address;
        let alike = &entries[..entries.iter().take(TOGETHER).take_while(is_alike).count()];
        if alike.len() < 2 || !self.handles.is_open() {
            return 0;
        }
        let buffers: [UvBuffer; TOGETHER] =
            array::from_fn(|at| buffer_of(alike.get(at).map_or(&[], |entry| entry.datagram(bytes))));
        let pointers = buffers.each_ref().map(ptr::from_ref);
        // SAFETY: the handle is open; buffers and address live, are only read, and are as many as is said.
        let status = unsafe {
            try_send_many(
                self.raw(),
                alike.len() as c_uint,
                pointers.as_ptr(),
                [1; TOGETHER].as_ptr(),
                [to.as_ptr().cast(); TOGETHER].as_ptr(),
                0,
            )
        };
        usize::try_from(status).unwrap_or(0)
    }

    /// Lets libuv send a datagram when there is room, and say so. None may wait already.
    fn queue(&self, datagram: &[u8], to: &SockAddr) -> Sent {
        let Queued {
            request, is_waiting, ..
        } = &self.queued;
        let mut kept = self.queued.datagram.borrow_mut();
        kept.clear();
        kept.extend_from_slice(datagram);
        let buffer = buffer_of(&kept);
        let libuv = self.handles.libuv;
        // SAFETY: the handle is open. The request and its bytes stay until it is answered, which is before the handle is
        // closed: both are ours as long.
        let status = unsafe {
            (libuv.req_set_data)(request.raw(), ptr::from_ref(self).cast_mut().cast());
            (libuv.udp_send)(
                request.raw(),
                self.raw(),
                &raw const buffer,
                1,
                to.as_ptr().cast(),
                on_sent,
            )
        };
        is_waiting.set(status >= 0);
        uv_check(status).map_or_else(Sent::Refused, |()| Sent::Taken)
    }

    fn take_in(&self, buffer: &UvBuffer, length: usize, from: SockAddrPtr) {
        if let Some(moderation) = &mut *self.moderation.borrow_mut() {
            moderation.note(length);
        }
        let mut inbox = self.inbox.borrow_mut();
        let Some(inbox) = &mut *inbox else { return };
        let (memory, came) = inbox.parts();
        let offset = buffer.base().addr().wrapping_sub(memory.as_ptr().addr());
        debug_assert!(offset < memory.len(), "libuv writes to the memory that it got from us");
        came.push(Message {
            offset,
            length,
            // Without a sender it is nobody's: an address that nobody has takes its place.
            from: address_of(from).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            segment: length,
        });
    }

    fn has_room(&self) -> bool {
        self.inbox.borrow().as_ref().is_none_or(|inbox| inbox.room() >= SLOT)
    }

    fn on_error(&self, status: c_int) {
        // Windows stops receiving at each error.
        let passes = PASSING.contains(&self.handles.libuv.error_name(status)) && self.receive().is_ok();
        if !passes {
            self.die();
        }
    }

    fn die(&self) {
        self.is_dead.set(true);
        self.receive_no_more();
        self.tell(false);
    }
}

impl Owner for Shared {
    fn handles(&self) -> &Handles {
        &self.handles
    }
}

/// libuv is about to receive: it gets what is free of our memory.
unsafe extern "C" fn on_allocate(handle: UvHandle, _suggested: usize, buffer: *mut UvBuffer) {
    // SAFETY: the handle is that of a socket, and receives, so it is open.
    let Some(shared) = (unsafe { owner_of::<Shared>(handle) }) else {
        return;
    };
    let is_full = !shared.has_room();
    let mut inbox = shared.inbox.borrow_mut();
    let inbox = inbox.get_or_insert_with(|| SPARE.take().unwrap_or_default());
    if is_full {
        // Nobody takes it.
        inbox.clear();
    }
    let used = inbox.used();
    let room = &mut inbox.parts().0[used..];
    // SAFETY: libuv lends its own. Until it tells what came, we touch nothing of this memory.
    unsafe { buffer.write(UvBuffer::new(room.as_mut_ptr(), room.len() as u32)) };
}

unsafe extern "C" fn on_received(
    handle: UvHandle,
    length: isize,
    buffer: *const UvBuffer,
    from: SockAddrPtr,
    flags: c_uint,
) {
    // SAFETY: as above.
    let Some(shared) = (unsafe { owner_of::<Shared>(handle) }) else {
        return;
    };
    let Ok(length) = usize::try_from(length) else {
        shared.on_error(length as c_int);
        return;
    };
    // There is always room for the largest, so none is cut.
    if !from.is_null() && flags & UV_UDP_PARTIAL == 0 {
        // SAFETY: libuv lends the buffer that it got from us, or a piece of it.
        shared.take_in(unsafe { &*buffer }, length, from);
    }
    // More stand in the same buffer: our memory must stay where it is.
    if flags & UV_UDP_MMSG_CHUNK != 0 {
        return;
    }
    let is_all = from.is_null() && flags & UV_UDP_MMSG_FREE == 0;
    if is_all && !shared.has_received() {
        SPARE.set(shared.inbox.take());
    } else if is_all || !shared.has_room() {
        shared.tell(false);
    }
    if is_all {
        shared.moderate();
    }
}

unsafe extern "C" fn on_pause_over(handle: UvHandle) {
    // SAFETY: the handle is that of a socket, and open.
    let Some(shared) = (unsafe { owner_of::<Shared>(handle) }) else {
        return;
    };
    if shared.waiter.borrow().is_some() && shared.receive().is_err() {
        shared.die();
    }
}

unsafe extern "C" fn on_sent(request: UvRequest, status: c_int) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: libuv answers before it is done with the handle.
    let shared = unsafe { &*(libuv.req_get_data)(request).cast::<Shared>() };
    shared.queued.is_waiting.set(false);
    if status < 0 {
        shared.queued.failed.update(|count| count + 1);
    }
    if shared.handles.is_open() {
        shared.tell(true);
    }
}

fn buffer_of(datagram: &[u8]) -> UvBuffer {
    // No datagram is as long as to be cut here; the system refuses those that are too long.
    let length = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
    UvBuffer::new(datagram.as_ptr().cast_mut(), length)
}

/// An address of the system's, IPv4 or IPv6.
fn address_of(name: SockAddrPtr) -> Option<SocketAddr> {
    // What all have, and what IPv6 has.
    const SHORT: usize = 16;
    const LONG: usize = 28;
    let name = name.cast::<u8>();
    // SAFETY: an address of any family is as long as those of IPv4 at least, and an address of IPv6 as it should be.
    unsafe {
        let ((), mut address) = SockAddr::try_init(|storage, length| {
            ptr::copy_nonoverlapping(name, storage.cast::<u8>(), SHORT);
            *length = SHORT as _;
            Ok(())
        })
        .ok()?;
        if address.is_ipv6() {
            ((), address) = SockAddr::try_init(|storage, length| {
                ptr::copy_nonoverlapping(name, storage.cast::<u8>(), LONG);
                *length = LONG as _;
                Ok(())
            })
            .ok()?;
        }
        address.as_socket()
    }
}

/// The number of a network interface, as scope ids name it.
pub fn interface_number(name: &str) -> Option<u32> {
    let libuv = Libuv::get()?;
    let text = CString::new(format!("fe80::1%{name}")).ok()?;
    // SAFETY: the memory is larger than an address of IPv6, which libuv writes.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            uv_check((libuv.ip6_addr)(text.as_ptr(), 0, storage.cast::<c_void>()))?;
            *length = mem::size_of::<std::net::SocketAddrV6>() as _;
            Ok(())
        })
    }
    .ok()?;
    let number = address.as_socket_ipv6()?.scope_id();
    (number != 0).then_some(number)
}
