//! Follows a peer whose NAT gave it another port, however often.
//!
//! quiche makes a path of every new address and gives it a connection id for good: after as many rebindings as there are
//! ids it drops all packets in silence. And what was under way on the path before, it only sends again two packets at a
//! time, with ever longer pauses. So a change of address is kept from it: the peer stays at the address that quiche knows
//! (inside), and datagrams are re-addressed here, to and from where the peer is now (outside). RFC 9000 §9.4 allows to keep
//! the congestion state where the port alone has changed; where the IP address has changed as well, loss must teach it.
//! A peer that moves by itself (RFC 9000 §9.5) is treated alike: better that whoever watches both networks can tell that the
//! connection is the same one than that it stands still.
//!
//! A client follows its server only where it is told to (`follow_server`).
//!
//! RFC 9000 §9.3 wants the peer's new address validated, so that nobody can direct our packets at a victim. Only a packet
//! that is authentic and new moves the peer, and then it is on probation: we send at most three times what came from
//! there (§8.1), until the peer has acknowledged something that was sent there, which it can't without receiving. quiche
//! doesn't say what is acknowledged. More bytes than were under way when the peer moved is one proof; what was under way
//! may be lost with the old address, though, and so anything acknowledged later than a probe timeout after the move (RFC
//! 9002 §6.2.1) is another: what was sent before would have been acknowledged by then.
//!
//! A peer that waits for us alone says nothing by itself, so that what we may send would never grow if its last
//! acknowledgement got lost. So the last part of the allowance, unless that is small, is kept for small packets, which the peer
//! acknowledges: one after each silent probe timeout, which doubles until the peer says something.
//!
//! This holds for peers that tell the truth. One that has the keys and can forge its own address may acknowledge, from there,
//! what it got elsewhere before, or never got (RFC 9000 §21.4). Only a PATH_CHALLENGE would catch it, but of the answer to one on
//! a path that is valid already quiche doesn't tell, and where several get lost it gives the path up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Endpoint, guarded};
use crate::quic::packet;
use crate::quic::path::Alias;

/// RFC 9000 §8.1.
pub(super) const AMPLIFICATION: usize = 3;
/// What a peer may wait before it acknowledges (RFC 9000 §18.2, the default), and the granularity of timers (RFC 9002
/// §6.1.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(25);
const GRANULARITY: Duration = Duration::from_millis(1);
/// No packet of use is smaller.
const MIN_PACKET: usize = 40;
/// The size of the small packets that a part of the allowance is kept for: room for an acknowledgement and a bit of a stream.
const PROBE: usize = 64;
/// The largest such part.
const MAX_RESERVE: usize = 8 * PROBE;
/// The longest pause between two of them.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// What a rebound peer has shown, and what it was sent.
#[derive(Debug)]
pub(super) struct Probation {
    received: usize,
    sent: usize,
    /// Bytes acknowledged in all that prove the address.
    proof: u64,
    /// When any acknowledgement proves it.
    ripe: Instant,
    /// Bytes acknowledged in all before that.
    acked: u64,
    /// How long a packet's acknowledgement may take,
    probe_timeout: Duration,
    /// and how long that of the next one may.
    pause: Duration,
    /// When the next small packet may be sent of what is kept for them.
    next_probe: Instant,
    /// Whether something waits for that.
    is_waited_for: bool,
}

impl Probation {
    /// Whether the peer has shown that it receives at its new address, now that so many bytes are acknowledged.
    fn is_over(&mut self, acked: u64, now: Instant) -> bool {
        if now < self.ripe {
            self.acked = acked;
        }
        acked >= self.proof || acked > self.acked
    }

    /// How many bytes may be sent in all.
    fn left(&self) -> usize {
        (AMPLIFICATION * self.received).saturating_sub(self.sent)
    }

    /// How many of them are kept for small packets.
    fn reserve(&self) -> usize {
        match AMPLIFICATION * self.received / 4 {
            // Where little came, the answer wants all, and at once.
            part if part < PROBE => 0,
            part => part.min(MAX_RESERVE),
        }
    }

    /// How many bytes may be sent now.
    fn allowance(&mut self, now: Instant, is_last: bool) -> usize {
        let left = self.left();
        let reserve = if is_last { 0 } else { self.reserve() };
        self.is_waited_for = false;
        if left < MIN_PACKET {
            return 0;
        }
        if left >= reserve + MIN_PACKET {
            return left - reserve;
        }
        if now < self.next_probe {
            self.is_waited_for = true;
            return 0;
        }
        left.min(PROBE)
    }

    fn note_sent(&mut self, length: usize, now: Instant) {
        let is_kept = self.left() < self.reserve() + MIN_PACKET;
        self.sent += length;
        self.next_probe = now + self.pause;
        if is_kept {
            self.pause = (2 * self.pause).min(MAX_PAUSE);
        }
    }

    /// When a packet that waits may be sent.
    pub(super) fn due(&self) -> Option<Instant> {
        self.is_waited_for.then_some(self.next_probe)
    }

    /// That time may have come.
    pub(super) fn wake(&mut self, now: Instant) {
        self.is_waited_for &= now < self.next_probe;
    }
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
                probation.pause = probation.probe_timeout;
            }
            return Some(alias.inside);
        }
        if !slot.may_be_rebound() || !packet::is_short(datagram[0]) {
            slot.last_from = Some(from);
            return None;
        }
        let quiche = connection.live().ok()?;
        let mut active = None;
        for path in quiche.path_stats() {
            // A path that quiche knows under this very address, unless the peer has left it behind.
            if path.peer_addr == from && connection.alias.is_none_or(|alias| alias.inside != from) {
                return None;
            }
            active = if path.active { Some(path.peer_addr) } else { active };
        }
        active
    }

    /// The peer has spoken from `outside`, and truly: it is there now.
    pub(super) fn follow(
        &mut self,
        key: usize,
        inside: SocketAddr,
        outside: SocketAddr,
        received: usize,
        now: Instant,
    ) {
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
            let quiche = connection.live()?;
            let probe_timeout = quiche
                .path_stats()
                .find(|path| path.peer_addr == inside)
                .map(probe_timeout);
            Ok(has_moved.then(|| (quiche.stats(), probe_timeout.unwrap_or_default())))
        });
        let Ok(Some((stats, probe_timeout))) = moved else {
            return;
        };
        let under_way = stats.sent_bytes.saturating_sub(stats.acked_bytes + stats.lost_bytes);
        slot.probation = Some(Probation {
            received,
            sent: 0,
            proof: stats.acked_bytes + under_way + 1,
            ripe: now + probe_timeout,
            acked: stats.acked_bytes,
            probe_timeout,
            pause: probe_timeout,
            next_probe: now,
            is_waited_for: false,
        });
        slot.last_from = Some(outside);
        self.stats.rebindings += 1;
        self.changes.push_back(super::change::Change::Path(key));
    }

    /// How many bytes a rebound peer may be sent before it proves its address; `None` where nothing is to be proved.
    pub(super) fn allowance(&mut self, key: usize, now: Instant) -> Option<usize> {
        let slot = &mut self.slots[key];
        let probation = slot.probation.as_mut()?;
        let connection = slot.connection.borrow();
        let acked = connection.live().map_or(0, |quiche| quiche.stats().acked_bytes);
        if probation.is_over(acked, now) {
            slot.probation = None;
            return None;
        }
        // Nothing comes after a close.
        let is_last = connection.close_cause().is_some();
        Some(probation.allowance(now, is_last))
    }

    /// Where a packet for the address `to`, as quiche knows it, must go.
    pub(super) fn outside(&mut self, key: usize, to: SocketAddr, length: usize, now: Instant) -> SocketAddr {
        let slot = &mut self.slots[key];
        let alias = slot.connection.borrow().alias.filter(|alias| alias.inside == to);
        if alias.is_some()
            && let Some(probation) = &mut slot.probation
        {
            probation.note_sent(length, now);
        }
        alias.map_or(to, |alias| alias.outside)
    }
}

/// RFC 9002 §6.2.1.
fn probe_timeout(path: quiche::PathStats) -> Duration {
    path.rtt + (4 * path.rttvar).max(GRANULARITY) + MAX_ACK_DELAY
}
