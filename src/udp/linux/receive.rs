//! Receiving: many datagrams in one system call (`recvmmsg`), those of one sender merged by the kernel (`UDP_GRO`).

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage};

use super::{Socket, address};
use crate::udp::inbox::{Inbox, Message, SLOT};

/// Messages per system call. Each may be a burst that the kernel has merged, so that few are enough.
const BATCH: usize = 8;

impl Socket {
    /// Takes what has come, as much as the inbox holds; answers whether there may be more. An error means that the socket
    /// is dead.
    pub fn drain(&self, inbox: &mut Inbox) -> io::Result<bool> {
        inbox.clear();
        loop {
            match fill(inbox, self.descriptor.as_raw_fd()) {
                Ok(is_full) => return Ok(is_full),
                Err(Errno::EINTR) => {}
                Err(error @ (Errno::EBADF | Errno::ENOTSOCK)) => return Err(error.into()),
                // Nothing has come, or the system says something about a peer or a route.
                Err(_) => return Ok(false),
            }
        }
    }
}

/// Answers whether all slots are full.
fn fill(inbox: &mut Inbox, descriptor: RawFd) -> nix::Result<bool> {
    let (memory, came) = inbox.parts();
    let mut slices: Vec<_> = memory
        .chunks_exact_mut(SLOT)
        .take(BATCH)
        .map(|slot| [IoSliceMut::new(slot)])
        .collect();
    let flags = MsgFlags::MSG_DONTWAIT;
    // New ones for each call: the kernel notes how long address and control message were, and would take that for the room
    // there is.
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(i32)));
    let messages = socket::recvmmsg(descriptor, &mut headers, slices.iter_mut(), flags, None)?;
    let mut count = 0;
    for message in messages {
        let from = message.address.as_ref().and_then(address);
        let segment = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
            _ => None,
        });
        came.push(Message {
            offset: count * SLOT,
            length: message.bytes,
            // Without a sender it is nobody's: an address that nobody has takes its place.
            from: from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            segment: segment.unwrap_or(message.bytes),
        });
        count += 1;
    }
    Ok(count == BATCH)
}
