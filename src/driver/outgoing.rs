//! Datagrams gathered for one burst.

use std::net::SocketAddr;

use crate::quic::address::AddressBook;
use crate::quic::datagrams::Outbox;
use crate::udp::Entry;

/// Enough for two bursts of 64 KiB, few enough to stay in the processor's cache.
const CAPACITY: usize = 128 * 1024;

/// A buffer of datagrams, one after the other.
pub(super) struct Outgoing {
    data: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            data: vec![0; CAPACITY],
            used: 0,
            entries: Vec::new(),
        }
    }
}

impl Outgoing {
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.entries.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[..self.used]
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a datagram, if there is room.
    pub(super) fn push(&mut self, datagram: &[u8], to: SocketAddr) -> bool {
        let Some(room) = self.room(datagram.len()) else {
            return false;
        };
        room[..datagram.len()].copy_from_slice(datagram);
        self.record(datagram.len(), to);
        true
    }

    fn record(&mut self, length: usize, to: SocketAddr) {
        self.entries.push(Entry {
            offset: self.used,
            length,
            address: to,
        });
        self.used += length;
    }
}

impl Outbox for Outgoing {
    fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        let rest = &mut self.data[self.used..];
        (rest.len() >= size).then_some(rest)
    }

    fn add(&mut self, length: usize, to: SocketAddr, _addresses: &mut AddressBook) {
        self.record(length, to);
    }
}
