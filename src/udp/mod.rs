//! A UDP socket by its file descriptor: many datagrams in one system call. Knows nothing of QUIC.
//!
//! | file | concept, or system |
//! | --- | --- |
//! | `inbox` | what has come, for whatever socket |
//! | `moderation` | when to let it gather |
//! | `linux` | `recvmmsg`, `sendmmsg`, bursts cut and merged by the kernel ("GSO", "GRO") |
//! | `unsupported` | the others: nothing can be bound, and their users go through libuv |

mod inbox;
#[cfg(target_os = "linux")]
mod linux;
mod moderation;
#[cfg(not(target_os = "linux"))]
mod unsupported;

use std::net::SocketAddr;

pub use self::inbox::{Inbox, Message, Messages, SLOT};
pub use self::moderation::{Moderation, PAUSE};
#[cfg(target_os = "linux")]
pub use linux::Socket;
#[cfg(not(target_os = "linux"))]
pub use unsupported::Socket;

/// What a socket is bound to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindOptions {
    /// The address; port 0 lets the system choose. `::` means IPv4 too, unless `is_ipv6_only`.
    pub address: SocketAddr,
    /// An IPv6 socket doesn't speak IPv4.
    pub is_ipv6_only: bool,
    /// Others may bind the same port, if they want it too.
    pub reuses_address: bool,
    /// Bytes of buffer to ask the system for; it may grant fewer.
    pub receive_buffer: usize,
    /// The same for sending.
    pub send_buffer: usize,
    /// Lets the kernel cut bursts into datagrams and merge those that come, where it can.
    pub offload: bool,
}

/// One of many datagrams in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its first byte.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// Where it goes to, or comes from.
    pub address: SocketAddr,
}

impl Entry {
    /// Its bytes, of those of all.
    pub fn datagram<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.offset..self.offset + self.length]
    }
}

/// How far a burst got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Burst {
    /// Datagrams that are done with, from the first on.
    pub done: usize,
    /// Those of them, or of earlier bursts, that the system refused: lost.
    pub failed: usize,
    /// The system takes no more now.
    pub is_blocked: bool,
}

/// An address in the form that a socket of this family wants: IPv6 reaches IPv4 by its mapped form.
pub fn reached_from(is_ipv6: bool, address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if is_ipv6 => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        other => other,
    }
}
