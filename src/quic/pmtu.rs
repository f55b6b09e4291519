//! Path MTU discovery (RFC 8899), where quiche's own falls short.
//!
//! quiche searches on the path of the handshake alone; a path that came later it trusts to carry the largest packet that was
//! ever to be tried. It doesn't know of the peer's limit (RFC 9000 §18.2), offers datagrams the size of the probe that is
//! under way, and never notices that a path carries less than it did.

use std::net::SocketAddr;

use super::connection::Connection;
use super::error::Result;

/// What every path carries (RFC 9000 §14).
const SMALLEST_MTU: usize = quiche::MIN_CLIENT_INITIAL_LEN;
/// Probe timeouts in a row after which the path is thought to carry less than it did (RFC 8899 §4.3).
const BLACK_HOLE_TIMEOUTS: usize = 3;
/// Of a 1-RTT packet: its first byte, a packet number of four bytes, and the tag of every cipher of TLS 1.3,
const PACKET_OVERHEAD: usize = 1 + 4 + 16;
/// and the type and length of a DATAGRAM frame (RFC 9221 §4), as quiche counts it.
const DATAGRAM_OVERHEAD: usize = 1 + 2;

/// The search for the largest packet of one connection.
#[derive(Debug)]
pub(super) struct PmtuSearch {
    /// Our end and the peer's, where quiche searches.
    path: (SocketAddr, SocketAddr),
    /// Probe timeouts on it, and bytes acknowledged, when something was acknowledged last.
    timeouts: usize,
    acked: u64,
}

/// Bounds on the packets of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketLimits {
    /// What the path in use may be given.
    pub room: usize,
    /// What the peer takes: larger probes are not sent, and so fail.
    pub peer: usize,
}

impl PmtuSearch {
    /// A search that begins on the first path of a connection.
    pub(super) fn new(quiche: &quiche::Connection) -> Option<Self> {
        let path = quiche.path_stats().next()?;
        Some(Self {
            path: (path.local_addr, path.peer_addr),
            timeouts: 0,
            acked: 0,
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
        let peer = self.live()?.peer_transport_params().map_or(usize::MAX, |params| {
            usize::try_from(params.max_udp_payload_size).unwrap_or(usize::MAX)
        });
        let room = match &self.pmtu_search {
            None => peer,
            // quiche keeps to what it has found, and wants room for probes.
            Some(search) if is_confirmed && self.searched_path(search)?.is_some() => usize::MAX,
            Some(_) => SMALLEST_MTU,
        };
        Ok(PacketLimits { room, peer })
    }

    /// Largest datagram that fits into a packet now; `None` if the peer takes none.
    pub fn dgram_max_writable_len(&self) -> Result<Option<usize>> {
        let quiche = self.live()?;
        let Some(max) = quiche.dgram_max_writable_len() else {
            return Ok(None);
        };
        let limits = self.packet_limits(false)?;
        let packet = match &self.pmtu_search {
            None => limits.room,
            Some(search) => self
                .searched_path(search)?
                .map_or(limits.room, |path| path.pmtu)
                .min(limits.peer),
        };
        let overhead = PACKET_OVERHEAD + quiche.destination_id().len() + DATAGRAM_OVERHEAD;
        Ok(Some(max.min(packet.saturating_sub(overhead))))
    }

    /// After a timeout: where all that is sent seems to vanish, begins the search anew. Small packets go on meanwhile.
    pub(super) fn escape_black_hole(&mut self) -> Result<()> {
        let Some(search) = &self.pmtu_search else {
            return Ok(());
        };
        let Some(path) = self.searched_path(search)? else {
            return Ok(());
        };
        let acked = self.live()?.stats().acked_bytes;
        let Some(search) = &mut self.pmtu_search else {
            return Ok(());
        };
        if acked > search.acked {
            search.acked = acked;
            search.timeouts = path.total_pto_count;
        } else if path.total_pto_count >= search.timeouts + BLACK_HOLE_TIMEOUTS && path.pmtu > SMALLEST_MTU {
            search.timeouts = path.total_pto_count;
            self.revalidate_pmtu()?;
        }
        Ok(())
    }

    /// The path where quiche searches, if it is the one in use.
    fn searched_path(&self, search: &PmtuSearch) -> Result<Option<quiche::PathStats>> {
        let mut paths = self.live()?.path_stats();
        Ok(paths.find(|path| path.active && (path.local_addr, path.peer_addr) == search.path))
    }
}
