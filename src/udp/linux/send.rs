//! Sending: bursts that the kernel cuts into datagrams (`UDP_SEGMENT`), and many datagrams in one system call (`sendmmsg`).

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage};

use super::Socket;
use crate::udp::{Burst, Entry};

/// Datagrams per system call.
const BATCH: usize = 64;
/// What the kernel cuts at most from one buffer.
const MAX_SEGMENTS: usize = 64;
/// The largest UDP payload over IPv4, which bounds a burst too.
const MAX_PAYLOAD: usize = 65_507;

impl Socket {
    /// Sends datagrams, which stand in `bytes` as `entries` tell. Those that the system refuses are lost, as datagrams
    /// may be; an error means that the socket is dead.
    pub fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        let mut burst = Burst::default();
        let mut is_refused = false;
        while burst.done < entries.len() {
            let rest = &entries[burst.done..];
            let run = if self.segments && !is_refused {
                segmentable(rest)
            } else {
                1
            };
            let sent = if run > 1 {
                self.send_segments(bytes, &rest[..run]).map(|()| run)
            } else if is_refused {
                self.send_each(bytes, &rest[..1])
            } else {
                self.send_each(bytes, rest)
            };
            let was_refused = std::mem::take(&mut is_refused);
            match sent {
                Ok(sent) => {
                    burst.done += sent;
                    // It goes by itself: the kernel, the driver or the route can't cut. Never try again.
                    self.segments &= !was_refused;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    burst.is_blocked = true;
                    break;
                }
                // The size of the first may be what it refuses: that is asked next.
                Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE) if run > 1 => is_refused = true,
                Err(error @ (Errno::EBADF | Errno::ENOTSOCK)) => return Err(error.into()),
                // Too large, no route, forbidden, no memory: a loss on that path.
                Err(_) => {
                    burst.done += run;
                    burst.failed += run;
                }
            }
        }
        Ok(burst)
    }

    /// Sends one datagram as it is.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = self.target(to);
        let slices = [IoSlice::new(datagram)];
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(socket::sendmsg(self.descriptor.as_raw_fd(), &slices, &[], flags, Some(&to)).map(|_| ())?)
    }

    fn send_segments(&self, bytes: &[u8], run: &[Entry]) -> nix::Result<()> {
        let size = u16::try_from(run[0].length).map_err(|_| Errno::EINVAL)?;
        let start = run[0].offset;
        let length: usize = run.iter().map(|entry| entry.length).sum();
        let slices = [IoSlice::new(&bytes[start..start + length])];
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let to = self.target(run[0].address);
        let descriptor = self.descriptor.as_raw_fd();
        socket::sendmsg(descriptor, &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to)).map(|_| ())
    }

    /// Sends datagrams as they are, up to the first that could be cut from a burst; answers how many.
    fn send_each(&mut self, bytes: &[u8], entries: &[Entry]) -> nix::Result<usize> {
        let mut count = 1;
        while count < entries.len().min(BATCH) && !(self.segments && segmentable(&entries[count..]) > 1) {
            count += 1;
        }
        let singles = &entries[..count];
        let slices: Vec<_> = singles
            .iter()
            .map(|entry| [IoSlice::new(entry.datagram(bytes))])
            .collect();
        let to: Vec<_> = singles.iter().map(|entry| Some(self.target(entry.address))).collect();
        let descriptor = self.descriptor.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        if let ([slices], [to]) = (&slices[..], &to[..]) {
            return socket::sendmsg(descriptor, slices, &[], flags, to.as_ref()).map(|_| 1);
        }
        let sent = socket::sendmmsg(descriptor, &mut self.outbox.0, &slices, &to, [], flags)?;
        Ok(sent.count())
    }
}

/// How many datagrams, from the first on, the kernel can cut from one buffer: one after the other, to the same address,
/// all of one size but the last, which may be smaller.
fn segmentable(entries: &[Entry]) -> usize {
    let first = entries[0];
    let mut end = first.offset + first.length;
    let mut count = 1;
    for entry in entries[1..].iter().take(MAX_SEGMENTS - 1) {
        let fits = entry.offset == end
            && entry.address == first.address
            && (1..=first.length).contains(&entry.length)
            && end + entry.length - first.offset <= MAX_PAYLOAD;
        if !fits {
            break;
        }
        count += 1;
        end += entry.length;
        if entry.length < first.length {
            break;
        }
    }
    count
}

/// The kernel's structures for sending.
pub(super) struct Outbox(MultiHeaders<SockaddrStorage>);

impl Default for Outbox {
    fn default() -> Self {
        Self(MultiHeaders::preallocate(BATCH, None))
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Outbox")
    }
}
