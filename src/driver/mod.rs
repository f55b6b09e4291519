//! Joins an endpoint and a socket: what has come goes in, what wants to go out is sent, and what the system wouldn't take
//! is kept.

mod outgoing;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use self::outgoing::Outgoing;
use crate::quic::Result;
use crate::quic::endpoint::Endpoint;
use crate::udp::{Burst, Entry, Inbox};

/// Datagrams that one turn takes in: enough to pay for the turn, few enough that the peer's acknowledgements don't wait,
const MAX_RECEIVED: usize = 256;
/// Bytes that one turn sends, for the same reason.
const MAX_SENT: usize = 512 * 1024;

/// What a driver needs of a socket.
pub trait Wire {
    /// Takes what has come, as much as the inbox holds; answers how many datagrams. An error means the socket is dead.
    fn drain(&self, inbox: &mut Inbox) -> io::Result<usize>;
    /// Sends datagrams as far as the system takes them. An error means the socket is dead.
    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst>;
}

impl Wire for crate::udp::Socket {
    fn drain(&self, inbox: &mut Inbox) -> io::Result<usize> {
        crate::udp::Socket::drain(self, inbox)
    }

    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        crate::udp::Socket::burst(self, bytes, entries)
    }
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left to be sent.
    Done,
    /// The turn is over; there is more.
    More,
    /// The system takes no more: once the socket is writable, go on.
    Blocked,
    /// The socket is dead.
    Dead,
}

/// What a driver counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriverStats {
    /// Datagrams taken from the socket.
    pub received: u64,
    /// Datagrams that the system took.
    pub sent: u64,
    /// Datagrams that the system refused.
    pub failed: u64,
    /// How often the system took no more for now.
    pub blocked: u64,
}

/// A socket, and what its endpoint wanted to send when the system took no more.
#[derive(Debug)]
pub struct Driver<W> {
    wire: W,
    /// What somebody else has read from the socket since the last turn.
    handed: Vec<(Vec<u8>, SocketAddr)>,
    /// What the socket held right after the first of them.
    behind: Vec<Inbox>,
    leftovers: VecDeque<(Vec<u8>, SocketAddr)>,
    /// What happened so far.
    pub stats: DriverStats,
}

/// Memory for the datagrams of a turn, shared by all drivers of a thread.
#[derive(Default)]
struct Buffers {
    inboxes: Vec<Inbox>,
    outgoing: Outgoing,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl<W: Wire> Driver<W> {
    /// A driver of this socket.
    pub fn new(wire: W) -> Self {
        Self {
            wire,
            handed: Vec::new(),
            behind: Vec::new(),
            leftovers: VecDeque::new(),
            stats: DriverStats::default(),
        }
    }

    /// The socket.
    pub fn wire(&self) -> &W {
        &self.wire
    }

    /// The socket.
    pub fn wire_mut(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Keeps a datagram that somebody else has read from the socket. With the first one of a turn, takes what stands
    /// behind it in the socket, so that the other reader, who reads one by one, finds nothing more.
    pub fn hand(&mut self, datagram: &[u8], from: SocketAddr) {
        self.handed.push((datagram.to_vec(), from));
        if !self.behind.is_empty() {
            return;
        }
        while self.behind.len() * Inbox::CAPACITY < MAX_RECEIVED {
            let mut inbox = new_inbox();
            // A dead socket brings nothing; the flush tells.
            let count = self.wire.drain(&mut inbox).unwrap_or(0);
            self.behind.push(inbox);
            if count < Inbox::CAPACITY {
                return;
            }
        }
    }

    /// Hands the endpoint all datagrams that were kept, then what has come since, as much as a turn may take.
    pub fn receive(&mut self, endpoint: &mut Endpoint, now: Instant) -> Result<()> {
        endpoint.begin_receive()?;
        let mut handed = self.handed.drain(..);
        let mut received = handed.len();
        if let Some((mut datagram, from)) = handed.next() {
            endpoint.receive_one(&mut datagram, from, now);
        }
        for mut inbox in self.behind.drain(..) {
            received += take_in(endpoint, &mut inbox, now);
            keep_inbox(inbox);
        }
        for (mut datagram, from) in handed {
            endpoint.receive_one(&mut datagram, from, now);
        }
        let mut inbox = new_inbox();
        while received < MAX_RECEIVED {
            let count = self.wire.drain(&mut inbox).unwrap_or(0);
            received += take_in(endpoint, &mut inbox, now);
            if count < Inbox::CAPACITY {
                break;
            }
        }
        keep_inbox(inbox);
        self.stats.received += received as u64;
        endpoint.end_receive(now);
        Ok(())
    }

    /// Sends what is left over, then what the endpoint has, as much as a turn may take.
    pub fn flush(&mut self, endpoint: &mut Endpoint, now: Instant) -> Flushed {
        BUFFERS.with_borrow_mut(|buffers| self.flush_through(endpoint, &mut buffers.outgoing, now))
    }

    fn flush_through(&mut self, endpoint: &mut Endpoint, outgoing: &mut Outgoing, now: Instant) -> Flushed {
        let mut sent = 0;
        while sent < MAX_SENT {
            outgoing.clear();
            if self.leftovers.is_empty() {
                endpoint.transmit(outgoing, now);
            } else {
                self.load_leftovers(outgoing);
            }
            if outgoing.entries().is_empty() {
                return Flushed::Done;
            }
            match self.send(endpoint, outgoing) {
                Ok(false) => sent += outgoing.bytes().len(),
                Ok(true) => return Flushed::Blocked,
                Err(_) => return Flushed::Dead,
            }
        }
        Flushed::More
    }

    /// Answers whether the system took less than all.
    fn send(&mut self, endpoint: &mut Endpoint, outgoing: &Outgoing) -> io::Result<bool> {
        let (bytes, entries) = (outgoing.bytes(), outgoing.entries());
        let burst = self.wire.burst(bytes, entries)?;
        self.stats.sent += (burst.done - burst.failed) as u64;
        self.stats.failed += burst.failed as u64;
        for _ in 0..burst.failed {
            endpoint.send_failed();
        }
        if !burst.is_blocked {
            return Ok(false);
        }
        self.stats.blocked += 1;
        for entry in entries[burst.done..].iter().rev() {
            let datagram = bytes[entry.offset..entry.offset + entry.length].to_vec();
            self.leftovers.push_front((datagram, entry.address));
        }
        Ok(true)
    }

    fn load_leftovers(&mut self, outgoing: &mut Outgoing) {
        while let Some((datagram, to)) = self.leftovers.front() {
            if !outgoing.push(datagram, *to) {
                return;
            }
            self.leftovers.pop_front();
        }
    }

    /// After a blocked flush, takes the first datagram out, for whoever can wait until the socket takes it.
    pub fn take_leftover(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        self.leftovers.pop_front()
    }
}

/// The one that was used last is still in the processor's cache.
fn new_inbox() -> Inbox {
    BUFFERS
        .with_borrow_mut(|buffers| buffers.inboxes.pop())
        .unwrap_or_default()
}

fn keep_inbox(inbox: Inbox) {
    BUFFERS.with_borrow_mut(|buffers| buffers.inboxes.push(inbox));
}

/// Answers how many there were.
fn take_in(endpoint: &mut Endpoint, inbox: &mut Inbox, now: Instant) -> usize {
    let mut count = 0;
    for (datagram, from) in inbox.datagrams() {
        endpoint.receive_one(datagram, from, now);
        count += 1;
    }
    count
}
