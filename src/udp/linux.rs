//! Linux.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrIn, SockaddrIn6,
    SockaddrLike, SockaddrStorage, sockopt,
};

use super::{BindOptions, Burst, Entry};

/// Datagrams per system call, either way.
const BATCH: usize = 64;
/// The largest datagram, and a little: slots a power of two apart would share a few lines of the processor's caches.
const SLOT: usize = 65_536 + 1472;
/// What the kernel cuts at most from one buffer.
const MAX_SEGMENTS: usize = 64;
/// The largest UDP payload over IPv4, which bounds a burst too.
const MAX_PAYLOAD: usize = 65_507;

/// A bound socket that blocks nobody.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    /// A second one to the same socket, until whoever waits for datagrams has taken it.
    shared: Option<OwnedFd>,
    is_ipv6: bool,
    segments: bool,
    outbox: Outbox,
}

impl Socket {
    /// Binds a socket.
    pub fn bind(options: &BindOptions) -> io::Result<Self> {
        let family = if options.address.is_ipv6() {
            AddressFamily::Inet6
        } else {
            AddressFamily::Inet
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let descriptor = socket::socket(family, SockType::Datagram, flags, None)?;
        if options.address.is_ipv6() {
            socket::setsockopt(&descriptor, sockopt::Ipv6V6Only, &options.is_ipv6_only)?;
        }
        if options.reuses_address {
            socket::setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
        }
        // The system grants what it likes.
        let _ = socket::setsockopt(&descriptor, sockopt::RcvBuf, &options.receive_buffer);
        let _ = socket::setsockopt(&descriptor, sockopt::SndBuf, &options.send_buffer);
        socket::bind(descriptor.as_raw_fd(), &SockaddrStorage::from(options.address))?;
        Ok(Self {
            descriptor,
            shared: None,
            is_ipv6: options.address.is_ipv6(),
            segments: options.segments,
            outbox: Outbox::default(),
        })
    }

    /// A second descriptor to the same socket, for whoever waits for datagrams. It is closed with this one, unless it
    /// was handed over. Neither is inherited by child processes.
    pub fn share(&mut self) -> io::Result<RawFd> {
        let shared = self.descriptor.try_clone()?;
        let number = shared.as_raw_fd();
        self.shared = Some(shared);
        Ok(number)
    }

    /// The shared descriptor has an owner now, who will close it.
    pub fn hand_over(&mut self) {
        if let Some(shared) = self.shared.take() {
            let _ = shared.into_raw_fd();
        }
    }

    /// Whether others may bind the same port.
    pub fn set_reuses_address(&self, reuses_address: bool) -> io::Result<()> {
        Ok(socket::setsockopt(
            &self.descriptor,
            sockopt::ReuseAddr,
            &reuses_address,
        )?)
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let name: SockaddrStorage = socket::getsockname(self.descriptor.as_raw_fd())?;
        address(&name).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Bytes of buffer the system granted, for receiving and for sending, as it counts them.
    pub fn buffer_sizes(&self) -> io::Result<(usize, usize)> {
        let receive = socket::getsockopt(&self.descriptor, sockopt::RcvBuf)?;
        let send = socket::getsockopt(&self.descriptor, sockopt::SndBuf)?;
        Ok((receive, send))
    }

    /// Whether the kernel cuts bursts into datagrams: until it refuses for the first time.
    pub fn segments(&self) -> bool {
        self.segments
    }

    /// Takes what has come, as much as the inbox holds; answers how many datagrams. Fewer than it holds means that there
    /// were no more. An error means that the socket is dead.
    pub fn drain(&self, inbox: &mut Inbox) -> io::Result<usize> {
        inbox.came.clear();
        loop {
            match inbox.fill(self.descriptor.as_raw_fd(), self.is_ipv6) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(error @ (Errno::EBADF | Errno::ENOTSOCK)) => return Err(error.into()),
                // Nothing has come, or the system says something about a peer or a route.
                Err(_) => return Ok(0),
            }
        }
    }

    /// Sends datagrams, which stand in `bytes` as `entries` tell. Those that the system refuses are lost, as datagrams
    /// may be; an error means that the socket is dead.
    pub fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        let mut burst = Burst::default();
        while burst.done < entries.len() {
            let rest = &entries[burst.done..];
            let run = if self.segments { segmentable(rest) } else { 1 };
            let sent = if run > 1 {
                self.send_segments(bytes, &rest[..run]).map(|()| run)
            } else {
                self.send_each(bytes, rest)
            };
            match sent {
                Ok(sent) => burst.done += sent,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    burst.is_blocked = true;
                    break;
                }
                // The kernel, the driver or the route can't cut: never try again.
                Err(Errno::EIO | Errno::EINVAL) if run > 1 => self.segments = false,
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
            .map(|entry| [IoSlice::new(&bytes[entry.offset..entry.offset + entry.length])])
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

    /// An address in the form of this socket's family.
    fn target(&self, address: SocketAddr) -> SockaddrStorage {
        match address {
            SocketAddr::V4(v4) if self.is_ipv6 => {
                let mapped = v4.ip().to_ipv6_mapped();
                SockaddrStorage::from(SocketAddr::new(mapped.into(), v4.port()))
            }
            other => SockaddrStorage::from(other),
        }
    }
}

/// The number of a network interface, as scope ids name it.
pub fn interface_number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
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
struct Outbox(MultiHeaders<SockaddrStorage>);

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

/// Room for the datagrams of one system call. Any number of sockets can use it, one after the other.
pub struct Inbox {
    /// Memory that was never touched takes no room: a slot costs what the largest datagram in it was.
    bytes: Vec<u8>,
    /// For sockets of either family: the kernel notes the length of the last address, and takes it for the room there is.
    headers: [MultiHeaders<SockaddrStorage>; 2],
    /// Length and sender of each that came.
    came: Vec<(usize, SocketAddr)>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH * SLOT],
            headers: [(); 2].map(|()| MultiHeaders::preallocate(BATCH, None)),
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
    /// How many datagrams it holds.
    pub const CAPACITY: usize = BATCH;

    /// What came, with its sender; the bytes may be changed.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (&mut [u8], SocketAddr)> {
        let slots = self.bytes.chunks_exact_mut(SLOT);
        slots
            .zip(&self.came)
            .map(|(slot, (length, from))| (&mut slot[..*length], *from))
    }

    fn fill(&mut self, descriptor: RawFd, is_ipv6: bool) -> nix::Result<usize> {
        let mut slices: Vec<_> = self
            .bytes
            .chunks_exact_mut(SLOT)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let headers = &mut self.headers[usize::from(is_ipv6)];
        let messages = socket::recvmmsg(descriptor, headers, slices.iter_mut(), flags, None)?;
        for message in messages {
            let from = message.address.as_ref().and_then(address);
            // Without a sender it is nobody's: an address that nobody has takes its place.
            let from = from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
            self.came.push((message.bytes, from));
        }
        Ok(self.came.len())
    }
}

fn address(name: &SockaddrStorage) -> Option<SocketAddr> {
    match name.family()? {
        AddressFamily::Inet => name
            .as_sockaddr_in()
            .map(|v4: &SockaddrIn| SocketAddr::V4((*v4).into())),
        AddressFamily::Inet6 => name
            .as_sockaddr_in6()
            .map(|v6: &SockaddrIn6| SocketAddr::V6((*v6).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
