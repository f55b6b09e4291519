//! Systems without a way of their own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use super::{BindOptions, Burst, Entry, Inbox};

/// Never made.
#[derive(Debug)]
pub struct Socket(Infallible);

impl Socket {
    /// Always fails.
    pub fn bind(_options: &BindOptions) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self.0 {}
    }

    /// Bytes of buffer the system granted, for receiving and for sending.
    pub fn buffer_sizes(&self) -> (usize, usize) {
        match self.0 {}
    }

    /// Whether the kernel cuts bursts.
    pub fn segments(&self) -> bool {
        match self.0 {}
    }

    /// Whether the kernel merges what comes.
    pub fn merges(&self) -> bool {
        match self.0 {}
    }

    /// Its descriptor, to wait for.
    pub fn descriptor(&self) -> i32 {
        match self.0 {}
    }

    /// Sends one datagram.
    pub fn send(&self, _datagram: &[u8], _to: SocketAddr) -> io::Result<()> {
        match self.0 {}
    }

    /// Lets no datagram leave in fragments.
    pub fn forbid_fragments(&mut self) {
        match self.0 {}
    }

    /// Takes what has come.
    pub fn drain(&self, _inbox: &mut Inbox) -> io::Result<bool> {
        match self.0 {}
    }

    /// Sends datagrams.
    pub fn burst(&mut self, _bytes: &[u8], _entries: &[Entry]) -> io::Result<Burst> {
        match self.0 {}
    }
}
