//! Path MTU discovery (RFC 8899), where quiche's own falls short.
//!
//! quiche searches on the path of the handshake alone; a path that came later it trusts to carry the largest packet that was
//! ever to be tried. It doesn't know of the peer's limit (RFC 9000 §18.2), offers datagrams the size of the probe that is
//! under way, never notices that a path carries less than it did, and begins no search anew that isn't over.

use std::net::SocketAddr;

use super::connection::Connection;
use super::error::Result;

/// What every path carries (RFC 9000 §14).
const SMALLEST_MTU: usize = quiche::MIN_CLIENT_INITIAL_LEN;
/// Probe timeouts, or lost packets, after which the path is thought to carry less than it did (RFC 8899 §4.3)
const BLACK_HOLE_TIMEOUTS: u64 = 3;
const BLACK_HOLE_LOSSES: u64 = 32;
/// where at least so many bytes were lost for each that was acknowledged: small packets may still get through.
const BLACK_HOLE_RATIO: u64 = 4;
/// Of a 1-RTT packet: its first byte, a packet number of four bytes, and the tag of every cipher of TLS 1.3,
const PACKET_OVERHEAD: usize = 1 + 4 + 16;
/// and the type and length of a DATAGRAM frame (RFC 9221 §4), as quiche counts it.
const DATAGRAM_OVERHEAD: usize = 1 + 2;

/// The search for the largest packet of one connection.
#[derive(Debug)]
pub(super) struct PmtuSearch {
    /// Our end and the peer's, where quiche searches.
    path: (SocketAddr, SocketAddr),
    /// What there was when the path was last seen to carry what it is given.
    healthy: Tally,
    /// The size that was found and vanishes nevertheless (a black hole, RFC 8899 §4.3), until quiche unlearns it.
    vanishing: Option<usize>,
}

/// What came of the packets of a connection, probes for the path MTU apart: sums since its beginning.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    timeouts: u64,
    losses: u64,
    lost_bytes: u64,
    acked_bytes: u64,
}

impl Tally {
    /// What was added since it was `was`. A sum that is less than it was has begun anew, and all of it was added since: so do
    /// the timeouts of a path that was left and is used again. quiche's other sums only grow today, which it doesn't promise.
    fn since(&self, was: &Self) -> Self {
        let added = |now: u64, was: u64| now.checked_sub(was).unwrap_or(now);
        Self {
            timeouts: added(self.timeouts, was.timeouts),
            losses: added(self.losses, was.losses),
            lost_bytes: added(self.lost_bytes, was.lost_bytes),
            acked_bytes: added(self.acked_bytes, was.acked_bytes),
        }
    }

    /// Whether the path carries what it is given, more or less.
    fn is_healthy(&self) -> bool {
        self.acked_bytes.saturating_mul(BLACK_HOLE_RATIO) > self.lost_bytes
    }

    /// Whether so much vanished that packets may be too large.
    fn is_black_hole(&self) -> bool {
        !self.is_healthy() && (self.timeouts >= BLACK_HOLE_TIMEOUTS || self.losses >= BLACK_HOLE_LOSSES)
    }
}

/// Bounds on the packets of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketLimits {
    /// What the path in use may be given.
    pub room: usize,
    /// The same when nothing else wants to be sent: for probes.
    pub probe_room: usize,
    /// What the peer takes: larger probes are not sent, and so fail.
    pub peer: usize,
}

impl PmtuSearch {
    /// A search that begins on the first path of a connection.
    pub(super) fn new(quiche: &quiche::Connection) -> Option<Self> {
        let path = quiche.path_stats().next()?;
        Some(Self {
            path: (path.local_addr, path.peer_addr),
            healthy: Tally::default(),
            vanishing: None,
        })
    }
}

impl Connection {
    /// Whether its packets have to arrive in one piece, or not at all.
    pub(super) fn searches_pmtu(&self) -> bool {
        self.pmtu_search.is_some()
    }

    /// Bounds for the next packets. Until the handshake `is_confirmed` there are no probes, but packets that are coalesced.
    pub(super) fn packet_limits(&self, is_confirmed: bool) -> Result<PacketLimits> {
        let peer = self.peer_limit()?;
        let (room, probe_room) = match &self.pmtu_search {
            None => (peer, peer),
            Some(search) => match self.searched_path()? {
                Some(path) if is_confirmed && search.vanishing == Some(path.pmtu) => (SMALLEST_MTU, usize::MAX),
                // quiche keeps to what it has found, and wants room for probes.
                Some(_) if is_confirmed => (usize::MAX, usize::MAX),
                _ => (SMALLEST_MTU, SMALLEST_MTU),
            },
        };
        Ok(PacketLimits { room, probe_room, peer })
    }

    /// Largest datagram that fits into a packet now; `None` if the peer takes none.
    pub fn dgram_max_writable_len(&self) -> Result<Option<usize>> {
        let quiche = self.live()?;
        let Some(max) = quiche.dgram_max_writable_len() else {
            return Ok(None);
        };
        let carried = match &self.pmtu_search {
            None => usize::MAX,
            Some(search) => match self.searched_path()? {
                Some(path) if search.vanishing != Some(path.pmtu) => path.pmtu,
                _ => SMALLEST_MTU,
            },
        };
        let packet = carried.min(self.peer_limit()?);
        let overhead = PACKET_OVERHEAD + quiche.destination_id().len() + DATAGRAM_OVERHEAD;
        Ok(Some(max.min(packet.saturating_sub(overhead))))
    }

    /// After anything that may have told of packets: where nearly all that is sent seems to vanish, only small packets go on,
    /// and probes, until the search has begun anew.
    pub(super) fn watch_for_black_hole(&mut self) -> Result<()> {
        let Some(path) = self.searched_path()? else {
            return Ok(());
        };
        self.enter_black_hole(&path)?;
        self.leave_black_hole()
    }

    fn enter_black_hole(&mut self, path: &quiche::PathStats) -> Result<()> {
        let stats = self.live()?.stats();
        let Some(search) = &mut self.pmtu_search else {
            return Ok(());
        };
        let now = Tally {
            timeouts: path.total_pto_count as u64,
            losses: stats.lost as u64,
            lost_bytes: stats.lost_bytes,
            acked_bytes: stats.acked_bytes,
        };
        let added = now.since(&search.healthy);
        let is_black_hole = path.pmtu > SMALLEST_MTU && added.is_black_hole();
        if is_black_hole {
            search.vanishing = Some(path.pmtu);
        }
        if is_black_hole || added.is_healthy() {
            search.healthy = now;
        }
        Ok(())
    }

    /// Begins the search anew as soon as quiche can: when its search is over.
    fn leave_black_hole(&mut self) -> Result<()> {
        let Some(size) = self.pmtu_search.as_ref().and_then(|search| search.vanishing) else {
            return Ok(());
        };
        if self.live()?.pmtu() == Some(size) {
            self.revalidate_pmtu()?;
        }
        // What vanished is forgotten now, or a larger probe got through.
        let is_left = self.searched_path()?.is_some_and(|path| path.pmtu != size);
        if let Some(search) = self.pmtu_search.as_mut().filter(|_| is_left) {
            search.vanishing = None;
        }
        Ok(())
    }

    /// The largest packet that the peer takes (RFC 9000 §18.2).
    fn peer_limit(&self) -> Result<usize> {
        let params = self.live()?.peer_transport_params();
        Ok(params.map_or(usize::MAX, |params| {
            usize::try_from(params.max_udp_payload_size).unwrap_or(usize::MAX)
        }))
    }

    /// The path where quiche searches, if it is the one in use.
    fn searched_path(&self) -> Result<Option<quiche::PathStats>> {
        let Some(search) = &self.pmtu_search else {
            return Ok(None);
        };
        let mut paths = self.live()?.path_stats();
        Ok(paths.find(|path| path.active && (path.local_addr, path.peer_addr) == search.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_fell_has_begun_anew() {
        let was = Tally {
            timeouts: 10,
            losses: 40,
            lost_bytes: 50_000,
            acked_bytes: 900_000,
        };
        let now = Tally {
            timeouts: BLACK_HOLE_TIMEOUTS,
            lost_bytes: 54_000,
            ..was
        };
        let added = now.since(&was);
        let expected = Tally {
            timeouts: BLACK_HOLE_TIMEOUTS,
            lost_bytes: 4_000,
            ..Tally::default()
        };
        assert_eq!(added, expected);
        assert!(added.is_black_hole());
        assert_eq!(Tally::default().since(&now), Tally::default());
    }
}
