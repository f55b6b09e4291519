//! Waiting for a socket, on a thread of its own: JavaScript's event loop can't wait for a descriptor without reading it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// The thread does nothing but wait and call.
const STACK: usize = 128 * 1024;
const SOCKET: u64 = 0;
const STOP: u64 = 1;

/// Waits for a socket, and calls when it is ready: once each time that it was asked to. Dropped, it calls no more.
#[derive(Debug)]
pub struct Watch {
    pub(super) epoll: Arc<Epoll>,
    pub(super) stop: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch a socket. `ready` is called on another thread, and must not wait.
    pub fn new(socket: &OwnedFd, ready: impl Fn() + Send + 'static) -> io::Result<Self> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLONESHOT, SOCKET))?;
        let waiter = epoll.clone();
        let thread = thread::Builder::new()
            .name("polykey-quic".to_owned())
            .stack_size(STACK)
            .spawn(move || wait(&waiter, ready))?;
        Ok(Self {
            epoll,
            stop,
            thread: Some(thread),
        })
    }

    /// Asks for one call: see [`Socket::request`](super::Socket::request).
    pub fn request(&self, socket: &OwnedFd, for_room: bool) -> io::Result<()> {
        let mut wanted = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        wanted.set(EpollFlags::EPOLLOUT, for_room);
        let mut event = EpollEvent::new(wanted, SOCKET);
        Ok(self.epoll.modify(socket, &mut event)?)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Can't fail: the counter is far from full.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn wait(epoll: &Epoll, ready: impl Fn()) {
    let mut events = [EpollEvent::empty(); 2];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(_) => return,
        };
        for event in &events[..count] {
            if event.data() == STOP {
                return;
            }
            ready();
        }
    }
}
