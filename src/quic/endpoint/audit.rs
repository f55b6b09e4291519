//! Bounds what is received and unread, over all connections.

use std::collections::HashSet;
use std::time::Instant;

use super::{Endpoint, guarded};
use crate::quic::connection::CloseCause;

/// Received bytes between two audits of what is unread: the bound on memory is exact to so much.
const INTERVAL: usize = 1 << 20;

/// What an audit has to look at.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Bytes received since the last.
    pub received: usize,
    /// Connections that may hold data that is unread: an audit costs nothing for those that are idle.
    pub holders: HashSet<usize>,
}

impl Endpoint {
    /// Keeps what is received and unread within bounds: the connection that holds most is closed. Data that waits for
    /// a gap to be filled isn't seen here; the window of its connection bounds it.
    pub(super) fn audit_buffers(&mut self, now: Instant) {
        if self.audit.received < INTERVAL.min(self.limits.buffered_bytes) {
            return;
        }
        self.audit.received = 0;
        let mut holdings = self.holdings();
        let mut total: usize = holdings.iter().map(|(bytes, _)| bytes).sum();
        holdings.sort_unstable();
        while total > self.limits.buffered_bytes
            && let Some((bytes, key)) = holdings.pop()
        {
            total -= bytes;
            self.stats.closed_for_memory += 1;
            let connection = self.slots[key].connection.clone();
            let _ = guarded(&connection, |connection| {
                let reason = "too much data is unread";
                connection.end(CloseCause::MemoryLimit, quiche::WireErrorCode::InternalError, reason);
                // Not to be counted again before it is gone.
                connection.unread.clear();
                Ok(())
            });
            self.look(key, now);
        }
    }

    /// Unread bytes of each connection that has any; the others are holders no more.
    fn holdings(&mut self) -> Vec<(usize, usize)> {
        let mut holdings = Vec::new();
        self.audit.holders.retain(|&key| {
            let slot = self.slots.get(key);
            let bytes = slot.map_or(0, |slot| slot.connection.borrow().unread_bytes());
            if bytes > 0 {
                holdings.push((bytes, key));
            }
            bytes > 0
        });
        holdings
    }
}
