//! Linux.
//!
//! | file | concept |
//! | --- | --- |
//! | `descriptor` | closed only while it is ours |
//! | `receive` | many datagrams in one system call, merged by the kernel |
//! | `send` | the same the other way, cut by the kernel |

mod descriptor;
mod receive;
mod send;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage, sockopt,
};
use nix::{libc, setsockopt_impl, sockopt_impl};

use self::descriptor::Descriptor;
use self::send::Outbox;
use super::{BindOptions, reached_from};

/// A bound socket that blocks nobody.
#[derive(Debug)]
pub struct Socket {
    descriptor: Descriptor,
    is_ipv6: bool,
    /// Bytes of buffer that the system granted, for receiving and for sending.
    buffer_sizes: (usize, usize),
    segments: bool,
    merges: bool,
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
        let buffer_sizes = (
            socket::getsockopt(&descriptor, sockopt::RcvBuf)?,
            socket::getsockopt(&descriptor, sockopt::SndBuf)?,
        );
        // Before the first datagram: none comes merged to somebody who doesn't know.
        let merges = options.offload && socket::setsockopt(&descriptor, sockopt::UdpGroSegment, &true).is_ok();
        socket::bind(descriptor.as_raw_fd(), &SockaddrStorage::from(options.address))?;
        Ok(Self {
            descriptor: Descriptor::new(descriptor)?,
            is_ipv6: options.address.is_ipv6(),
            buffer_sizes,
            segments: options.offload,
            merges,
            outbox: Outbox::default(),
        })
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let name: SockaddrStorage = socket::getsockname(self.descriptor.as_raw_fd())?;
        address(&name).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Bytes of buffer the system granted, for receiving and for sending, as it counts them.
    pub fn buffer_sizes(&self) -> (usize, usize) {
        self.buffer_sizes
    }

    /// Whether the kernel cuts bursts into datagrams: until it refuses for the first time.
    pub fn segments(&self) -> bool {
        self.segments
    }

    /// Whether the kernel merges datagrams that come one after the other.
    pub fn merges(&self) -> bool {
        self.merges
    }

    /// Its descriptor, to wait for.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// From now on no datagram is cut into fragments, neither here nor on the way: what is too large is lost. What the system
    /// thinks to know about the path doesn't count: probes find out.
    pub fn forbid_fragments(&mut self) {
        // A socket of IPv6 that speaks IPv4 as well needs both. One that can't goes on as it is.
        let _ = socket::setsockopt(&self.descriptor, MtuDiscovery, &libc::IP_PMTUDISC_PROBE);
        if self.is_ipv6 {
            let _ = socket::setsockopt(&self.descriptor, MtuDiscovery6, &libc::IPV6_PMTUDISC_PROBE);
        }
    }

    /// An address in the form of this socket's family.
    fn target(&self, address: SocketAddr) -> SockaddrStorage {
        SockaddrStorage::from(reached_from(self.is_ipv6, address))
    }
}

sockopt_impl!(
    /// How IPv4 treats what is larger than the path carries.
    MtuDiscovery, SetOnly, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::c_int
);
sockopt_impl!(
    /// The same of IPv6.
    MtuDiscovery6, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::c_int
);

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
