//! The sockets that we have, as one type.

use std::io;
use std::net::SocketAddr;

use napi::Env;

use super::event_loop::{LoopSocket, Source};
use super::socket::UdpSocketKind;
use crate::driver;
use crate::udp::{BindOptions, Burst, Entry, Inbox, Socket};

/// A bound socket. Which it is costs one comparison per burst.
pub enum Wire {
    /// The system's.
    Descriptor(Socket),
    /// libuv's.
    Loop(LoopSocket),
}

impl Wire {
    /// Binds a socket.
    pub fn bind(env: Env, kind: UdpSocketKind, options: &BindOptions) -> io::Result<Self> {
        Ok(match kind {
            UdpSocketKind::Descriptor => Self::Descriptor(Socket::bind(options)?),
            UdpSocketKind::Libuv => Self::Loop(LoopSocket::bind(env, options)?),
        })
    }

    /// By what the event loop waits for it.
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Descriptor(socket) => Source::Descriptor(socket.descriptor()),
            Self::Loop(socket) => Source::Socket(socket),
        }
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Descriptor(socket) => socket.local_address(),
            Self::Loop(socket) => socket.local_address(),
        }
    }

    /// Bytes of buffer the system granted, for receiving and for sending, as it counts them.
    pub fn buffer_sizes(&self) -> (usize, usize) {
        match self {
            Self::Descriptor(socket) => socket.buffer_sizes(),
            Self::Loop(socket) => socket.buffer_sizes(),
        }
    }

    /// How often what came was let gather for a moment.
    pub fn pauses(&self) -> u64 {
        match self {
            Self::Descriptor(_) => 0,
            Self::Loop(socket) => socket.pauses(),
        }
    }

    /// Whether the kernel cuts bursts into datagrams.
    pub fn segments(&self) -> bool {
        matches!(self, Self::Descriptor(socket) if socket.segments())
    }

    /// Whether it merges those that come one after the other.
    pub fn merges(&self) -> bool {
        matches!(self, Self::Descriptor(socket) if socket.merges())
    }
}

impl driver::Wire for Wire {
    fn drain(&self, inbox: &mut Inbox) -> io::Result<bool> {
        match self {
            Self::Descriptor(socket) => driver::Wire::drain(socket, inbox),
            Self::Loop(socket) => socket.drain(inbox),
        }
    }

    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        match self {
            Self::Descriptor(socket) => driver::Wire::burst(socket, bytes, entries),
            Self::Loop(socket) => socket.burst(bytes, entries),
        }
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        match self {
            Self::Descriptor(socket) => driver::Wire::send(socket, datagram, to),
            Self::Loop(socket) => socket.send(datagram, to),
        }
    }

    fn forbid_fragments(&mut self) {
        match self {
            Self::Descriptor(socket) => driver::Wire::forbid_fragments(socket),
            Self::Loop(socket) => socket.forbid_fragments(),
        }
    }
}
