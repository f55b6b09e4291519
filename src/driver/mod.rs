//! Joins an endpoint and a socket: what has come goes in, what wants to go out is sent, and what the system wouldn't take
//! is kept. [`turns`] says when.

mod outgoing;
#[cfg(test)]
mod tests;
pub mod turns;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use self::outgoing::Outgoing;
use crate::quic::Result;
use crate::quic::endpoint::Endpoint;
use crate::quic::packet;
use crate::udp::{Burst, Entry, Inbox};

/// Datagrams that one turn takes in: enough to pay for the turn, few enough that the peer's acknowledgements don't wait,
const MAX_RECEIVED: usize = 256;
/// Datagrams with a long header after which answers go out at once: a handshake's arithmetic takes as long as a hundred packets
/// of data, and while we work through a crowd, the other side would have nothing to do.
const CROWD: usize = 8;
/// Bytes after which a turn sends no further burst, for the same reason, and because timers and others' data wait as well: the
/// event loop may run three turns before it looks at them again.
const MAX_SENT: usize = 256 * 1024;

/// What a driver needs of a socket.
pub trait Wire {
    /// Takes what has come, as much as the inbox holds; answers whether there may be more. An error means the socket is
    /// dead.
    fn drain(&self, inbox: &mut Inbox) -> io::Result<bool>;
    /// Sends datagrams as far as the system takes them. An error means the socket is dead.
    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst>;
    /// Sends one datagram.
    fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()>;
    /// From now on datagrams that don't fit into one packet of the network are lost, where the system can do that.
    fn forbid_fragments(&mut self);
}

impl Wire for crate::udp::Socket {
    fn drain(&self, inbox: &mut Inbox) -> io::Result<bool> {
        crate::udp::Socket::drain(self, inbox)
    }

    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        crate::udp::Socket::burst(self, bytes, entries)
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        crate::udp::Socket::send(self, datagram, to)
    }

    fn forbid_fragments(&mut self) {
        crate::udp::Socket::forbid_fragments(self);
    }
}

/// What a driver waits for before it sends more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The next turn: this one has sent its share.
    Turn,
    /// Room in the socket: the system takes no more.
    Room,
    /// Nothing any more: the socket is dead.
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
    pause: Option<Pause>,
    leftovers: VecDeque<(Vec<u8>, SocketAddr)>,
    forbids_fragments: bool,
    /// What happened so far.
    pub stats: DriverStats,
}

/// Memory for the datagrams of a turn, shared by all drivers of a thread.
#[derive(Default)]
struct Buffers {
    inbox: Inbox,
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
            pause: None,
            leftovers: VecDeque::new(),
            forbids_fragments: false,
            stats: DriverStats::default(),
        }
    }

    /// The socket.
    pub fn wire(&self) -> &W {
        &self.wire
    }

    /// Hands the endpoint what has come, as much as a turn may take.
    pub fn receive(&mut self, endpoint: &mut Endpoint, now: Instant) -> Result<()> {
        endpoint.begin_receive()?;
        BUFFERS.with_borrow_mut(|buffers| self.receive_through(endpoint, buffers, now));
        endpoint.end_receive(now);
        if endpoint.owes_answer() {
            self.flush(endpoint, now);
        }
        Ok(())
    }

    fn receive_through(&mut self, endpoint: &mut Endpoint, buffers: &mut Buffers, now: Instant) {
        let Buffers { inbox, outgoing } = buffers;
        let (mut received, mut crowd) = (0, 0);
        while received < MAX_RECEIVED {
            // Somebody else has closed it.
            let Ok(has_more) = self.wire.drain(inbox) else {
                self.pause = Some(Pause::Dead);
                break;
            };
            for (datagram, from) in inbox.datagrams() {
                crowd += usize::from(datagram.first().is_some_and(|first| packet::is_long(*first)));
                endpoint.receive_one(datagram, from, now);
                received += 1;
                if crowd == CROWD {
                    crowd = 0;
                    self.flush_through(endpoint, outgoing, now);
                }
            }
            if !has_more {
                break;
            }
        }
        self.stats.received += received as u64;
    }

    /// Sends what is left over, then what the endpoint has, as much as a turn may take; nothing during a pause. Afterwards
    /// `pause` tells whether that was all.
    pub fn flush(&mut self, endpoint: &mut Endpoint, now: Instant) {
        BUFFERS.with_borrow_mut(|buffers| self.flush_through(endpoint, &mut buffers.outgoing, now));
    }

    /// What it waits for; `None`: all is sent.
    pub fn pause(&self) -> Option<Pause> {
        self.pause
    }

    /// What it waited for is there: the next flush sends again.
    pub fn resume(&mut self, from: Pause) {
        if self.pause == Some(from) {
            self.pause = None;
        }
    }

    fn flush_through(&mut self, endpoint: &mut Endpoint, outgoing: &mut Outgoing, now: Instant) {
        if self.pause.is_none() {
            self.pause = self.send_share(endpoint, outgoing, now);
        }
    }

    fn send_share(&mut self, endpoint: &mut Endpoint, outgoing: &mut Outgoing, now: Instant) -> Option<Pause> {
        // RFC 9000 §14: what arrives in fragments says nothing about the path.
        if endpoint.searches_pmtu() && !self.forbids_fragments {
            self.forbids_fragments = true;
            self.wire.forbid_fragments();
        }
        let mut sent = 0;
        while sent < MAX_SENT {
            outgoing.clear();
            if self.leftovers.is_empty() {
                endpoint.transmit(outgoing, now);
            } else {
                self.load_leftovers(outgoing);
            }
            if outgoing.entries().is_empty() {
                return None;
            }
            match self.burst(endpoint, outgoing) {
                Ok(false) => sent += outgoing.bytes().len(),
                Ok(true) => return Some(Pause::Room),
                Err(_) => return Some(Pause::Dead),
            }
        }
        Some(Pause::Turn)
    }

    /// Answers whether the system took less than all.
    fn burst(&mut self, endpoint: &mut Endpoint, outgoing: &Outgoing) -> io::Result<bool> {
        let (bytes, entries) = (outgoing.bytes(), outgoing.entries());
        let burst = self.wire.burst(bytes, entries)?;
        // Those that failed may have been taken before.
        self.stats.sent = (self.stats.sent + burst.done as u64).saturating_sub(burst.failed as u64);
        self.stats.failed += burst.failed as u64;
        for _ in 0..burst.failed {
            endpoint.send_failed();
        }
        if !burst.is_blocked {
            return Ok(false);
        }
        self.stats.blocked += 1;
        for entry in entries[burst.done..].iter().rev() {
            let datagram = entry.datagram(bytes).to_vec();
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

    /// Sends one datagram as it is, or keeps it until the system takes it. An error is what the system has against it.
    pub fn send_raw(&mut self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let sent = if self.leftovers.is_empty() {
            self.wire.send(datagram, to)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        };
        match sent {
            Ok(()) => {
                self.stats.sent += 1;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.leftovers.push_back((datagram.to_vec(), to));
                self.pause.get_or_insert(Pause::Room);
                Ok(())
            }
            Err(error) => {
                self.stats.failed += 1;
                Err(error)
            }
        }
    }
}
