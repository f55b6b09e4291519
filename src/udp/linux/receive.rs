//! Receiving: many datagrams in one system call (`recvmmsg`), those of one sender merged by the kernel (`UDP_GRO`).

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage};

use super::{Socket, address};

/// Messages per system call. Each may be a burst that the kernel has merged, so that few are enough.
const BATCH: usize = 8;
/// The largest message, and a little: slots a power of two apart would share a few lines of the processor's caches.
const SLOT: usize = 65_536 + 1472;

/// Room for the datagrams of one system call. Any number of sockets can use it, one after the other.
pub struct Inbox {
    /// Memory that was never touched takes no room: a slot costs what the largest message in it was.
    bytes: Vec<u8>,
    came: Vec<Message>,
}

/// What one slot holds.
#[derive(Debug)]
struct Message {
    length: usize,
    from: SocketAddr,
    /// Size of each datagram but the last, which may be smaller.
    segment: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH * SLOT],
            came: Vec::with_capacity(BATCH),
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inbox").field("came", &self.came).finish()
    }
}

impl Inbox {
    /// What came, with its sender; the bytes may be changed.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (&mut [u8], SocketAddr)> {
        let slots = self.bytes.chunks_exact_mut(SLOT);
        slots.zip(&self.came).flat_map(|(slot, message)| {
            // No piece would be left of a datagram without bytes.
            let empty = (message.length == 0).then_some(&mut [][..]);
            let pieces = slot[..message.length].chunks_mut(message.segment);
            empty.into_iter().chain(pieces).map(|datagram| (datagram, message.from))
        })
    }

    fn fill(&mut self, descriptor: RawFd) -> nix::Result<bool> {
        let mut slices: Vec<_> = self
            .bytes
            .chunks_exact_mut(SLOT)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        // New ones for each call: the kernel notes how long address and control message were, and would take that for the
        // room there is.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(i32)));
        let messages = socket::recvmmsg(descriptor, &mut headers, slices.iter_mut(), flags, None)?;
        for message in messages {
            let from = message.address.as_ref().and_then(address);
            let segment = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
                _ => None,
            });
            self.came.push(Message {
                length: message.bytes,
                // Without a sender it is nobody's: an address that nobody has takes its place.
                from: from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
                segment: segment.unwrap_or(message.bytes).max(1),
            });
        }
        Ok(self.came.len() == BATCH)
    }
}

impl Socket {
    /// Takes what has come, as much as the inbox holds; answers whether there may be more. An error means that the socket
    /// is dead.
    pub fn drain(&self, inbox: &mut Inbox) -> io::Result<bool> {
        inbox.came.clear();
        loop {
            match inbox.fill(self.descriptor.as_raw_fd()) {
                Ok(is_full) => return Ok(is_full),
                Err(Errno::EINTR) => {}
                Err(error @ (Errno::EBADF | Errno::ENOTSOCK)) => return Err(error.into()),
                // Nothing has come, or the system says something about a peer or a route.
                Err(_) => return Ok(false),
            }
        }
    }
}
