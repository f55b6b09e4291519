//! Follows a peer whose NAT gave it another port, however often.
//!
//! quiche makes a path of every new address and gives it a connection id for good: after as many rebindings as there are
//! ids it drops all packets in silence. So a change of the port alone is kept from it: the peer stays at the address that
//! quiche knows (inside), and datagrams are re-addressed here, to and from where the peer is now (outside). RFC 9000 §9.4
//! allows to keep the congestion state of such a path. A change of the IP address is a new path for quiche, as long as it
//! has room for one.
//!
//! RFC 9000 §9.3 wants the peer's new address validated, so that nobody can direct our packets at a victim. Only a packet
//! that is authentic and new moves the peer, and then it is on probation: we send at most three times what came from
//! there (§8.1), until the peer has acknowledged more than was under way when it moved, which it can't without receiving.

use std::net::SocketAddr;

use super::{Endpoint, guarded};
use crate::quic::packet;
use crate::quic::path::Alias;

/// RFC 9000 §8.1.
const AMPLIFICATION: usize = 3;
/// Paths that quiche may have before further addresses are kept from it: one less than the ids it can have.
const MAX_PATHS: usize = 7;

/// What a rebound peer has shown, and what it was sent.
#[derive(Debug)]
pub(super) struct Probation {
    received: usize,
    sent: usize,
    /// Bytes acknowledged in all that prove the address.
    proof: u64,
}

impl Endpoint {
    /// The address that quiche knows, for a datagram that comes from another; `None` if it shall see the real one.
    pub(super) fn rebound(&mut self, key: usize, datagram: &[u8], from: SocketAddr) -> Option<SocketAddr> {
        let slot = &mut self.slots[key];
        let connection = slot.connection.borrow();
        if slot.last_from == Some(from) && connection.alias.is_none() {
            return None;
        }
        if let Some(alias) = connection.alias.filter(|alias| alias.outside == from) {
            if let Some(probation) = &mut slot.probation {
                probation.received += datagram.len();
            }
            return Some(alias.inside);
        }
        if !slot.may_be_rebound() || !packet::is_short(datagram[0]) {
            slot.last_from = Some(from);
            return None;
        }
        let quiche = connection.live().ok()?;
        let mut paths = 0;
        let mut active = None;
        for path in quiche.path_stats() {
            // A path that quiche knows under this very address, unless the peer has left it behind.
            if path.peer_addr == from && connection.alias.is_none_or(|alias| alias.inside != from) {
                return None;
            }
            paths += 1;
            active = if path.active { Some(path.peer_addr) } else { active };
        }
        let active = active?;
        (active.ip() == from.ip() || paths >= MAX_PATHS).then_some(active)
    }

    /// The peer has spoken from `outside`, and truly: it is there now.
    pub(super) fn follow(&mut self, key: usize, inside: SocketAddr, outside: SocketAddr, received: usize) {
        let Some(to) = self.local else { return };
        let slot = &mut self.slots[key];
        let alias = (inside != outside).then_some(Alias { inside, outside });
        let shared = slot.connection.clone();
        let moved = guarded(&shared, |connection| {
            let has_moved = connection.alias != alias;
            connection.alias = alias;
            if has_moved {
                connection.push_path_event(quiche::PathEvent::PeerMigrated(to, outside));
            }
            let stats = connection.live()?.stats();
            Ok(has_moved.then_some(stats))
        });
        let Ok(Some(stats)) = moved else { return };
        let under_way = stats.sent_bytes.saturating_sub(stats.acked_bytes + stats.lost_bytes);
        slot.probation = Some(Probation {
            received,
            sent: 0,
            proof: stats.acked_bytes + under_way + 1,
        });
        slot.last_from = Some(outside);
        self.stats.rebindings += 1;
        self.changes.push_back(super::change::Change::Path(key));
    }

    /// Whether a rebound peer has been sent as much as it may before it proves its address.
    pub(super) fn is_on_probation(&mut self, key: usize) -> bool {
        let slot = &mut self.slots[key];
        let Some(probation) = &slot.probation else { return false };
        let acked = slot
            .connection
            .borrow()
            .live()
            .map_or(0, |quiche| quiche.stats().acked_bytes);
        if acked >= probation.proof {
            slot.probation = None;
            return false;
        }
        probation.sent >= AMPLIFICATION * probation.received
    }

    /// Where a packet for the address `to`, as quiche knows it, must go.
    pub(super) fn outside(&mut self, key: usize, to: SocketAddr, length: usize) -> SocketAddr {
        let slot = &mut self.slots[key];
        let alias = slot.connection.borrow().alias.filter(|alias| alias.inside == to);
        if alias.is_some()
            && let Some(probation) = &mut slot.probation
        {
            probation.sent += length;
        }
        alias.map_or(to, |alias| alias.outside)
    }
}
