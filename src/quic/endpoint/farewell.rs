//! Tells a peer that goes on speaking once more that its connection was closed (RFC 9000 §10.2.1): the packet that said so
//! may have been lost. quiche sends it once, takes nothing in any more, and is gone before a peer that is near tries
//! again. So the packet is kept here, beyond the connection's end.
//!
//! Who hears of the end says nothing after it. What comes within a round trip was said before; what comes later is
//! answered, after ever longer pauses.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quiche::ConnectionId;

use super::rebinding::AMPLIFICATION;
use super::slot::Slot;
use super::{Endpoint, guarded};

/// How long a close is said again: as long as most wait for a peer that is silent. RFC 9000 §10.2 wants three probe timeouts
/// at least.
const LIFETIME: Duration = Duration::from_secs(30);
/// Closes that are kept: 1.2 kB each (measured over 60).
const MAX_FAREWELLS: usize = 1_024;
/// How often it is said again at most. Who hasn't understood it then may have other keys by now, and understand a stateless
/// reset.
const MAX_ANSWERS: u32 = 8;
/// The first pause, where the round trip is shorter.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// The packet with which we closed a connection. It may be sent again as it is (RFC 9000 §10.2.1).
#[derive(Debug)]
struct Farewell {
    packet: Vec<u8>,
    /// Our ids that its peer knows.
    ids: Vec<ConnectionId<'static>>,
    /// Where it went, if the peer is known to receive there.
    validated: Option<SocketAddr>,
    said: Instant,
    /// From when on it is sent again.
    next: Instant,
    pause: Duration,
    answers: u32,
}

impl Farewell {
    /// For a connection whose close frame goes out now, in `packet`.
    fn new(slot: &Slot, packet: Vec<u8>, to: SocketAddr, now: Instant) -> Option<Self> {
        let known = guarded(&slot.connection, |connection| {
            let quiche = connection.live()?;
            let is_validated = !quiche.is_server() || quiche.is_established();
            let round_trip = quiche.path_stats().find(|path| path.active).map(|path| path.rtt);
            Ok((is_validated, round_trip.unwrap_or_default()))
        });
        let (is_validated, round_trip) = known.ok()?;
        let pause = round_trip.max(LEAST_PAUSE);
        Some(Self {
            packet,
            ids: slot.ids.clone(),
            validated: (is_validated && slot.probation.is_none()).then_some(to),
            said: now,
            next: now + pause,
            pause,
            answers: 0,
        })
    }

    /// What to send as an answer to so many bytes.
    fn answer(&mut self, received: usize, from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        // RFC 9000 §8.1.
        let is_permitted = self.validated == Some(from) || self.packet.len() <= AMPLIFICATION * received;
        if now < self.next || !is_permitted {
            return None;
        }
        self.pause *= 2;
        self.next = now + self.pause;
        self.answers += 1;
        Some(self.packet.clone())
    }
}

/// Connections that we have closed lately.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// The oldest first.
    kept: VecDeque<Farewell>,
    /// How many there were before the oldest.
    dropped: usize,
    /// Which one, counted from the very first, has an id.
    by_id: HashMap<ConnectionId<'static>, usize>,
}

impl Farewells {
    fn add(&mut self, farewell: Farewell) {
        if self.kept.len() >= MAX_FAREWELLS {
            self.drop_oldest();
        }
        let number = self.dropped + self.kept.len();
        self.by_id.extend(farewell.ids.iter().map(|id| (id.clone(), number)));
        self.kept.push_back(farewell);
    }

    fn get(&mut self, id: &[u8]) -> Option<&mut Farewell> {
        let number = self.by_id.get(&ConnectionId::from_ref(id))?;
        self.kept.get_mut(number - self.dropped)
    }

    /// Lets go of those that are said no more.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|oldest| now > oldest.said + LIFETIME) {
            self.drop_oldest();
        }
        if self.kept.is_empty() && self.dropped > 0 {
            self.clear();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.kept.pop_front() else { return };
        self.dropped += 1;
        for id in &oldest.ids {
            self.by_id.remove(id);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Endpoint {
    /// Keeps the packet that tells a connection's peer of its end, and that goes out now.
    pub(super) fn keep_farewell(&mut self, key: usize, packet: Vec<u8>, to: SocketAddr, now: Instant) {
        self.slots[key].has_said_farewell = true;
        if let Some(farewell) = Farewell::new(&self.slots[key], packet, to, now) {
            self.farewells.add(farewell);
        }
    }

    /// Answers a datagram for a connection that we have closed, and have said so; answers whether it is for one, and no other
    /// answer is called for.
    pub(super) fn say_farewell(&mut self, id: &[u8], received: usize, from: SocketAddr, now: Instant) -> bool {
        let Some(farewell) = self.farewells.get(id) else {
            return false;
        };
        if farewell.answers >= MAX_ANSWERS {
            return false;
        }
        if let Some(packet) = farewell.answer(received, from, now)
            && self.reply(packet, from)
        {
            self.stats.closes_repeated += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn farewell(number: u32, said: Instant) -> Farewell {
        Farewell {
            packet: number.to_be_bytes().to_vec(),
            ids: [0, 1].map(|kind| id(kind, number)).to_vec(),
            validated: None,
            said,
            next: said,
            pause: LEAST_PAUSE,
            answers: 0,
        }
    }

    fn id(kind: u8, number: u32) -> ConnectionId<'static> {
        ConnectionId::from_vec([&[kind][..], &number.to_be_bytes()].concat())
    }

    #[test]
    fn the_oldest_make_room_for_new_ones() {
        #[allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]
        let now = Instant::now();
        let mut farewells = Farewells::default();
        for number in 0..3_000 {
            farewells.add(farewell(number, now));
            assert_eq!(farewells.by_id.len(), 2 * farewells.kept.len());
        }
        assert_eq!(farewells.kept.len(), MAX_FAREWELLS);
        for (number, is_kept) in [(2_999, true), (1_976, true), (1_975, false), (0, false)] {
            for kind in [0, 1] {
                let found = farewells.get(&id(kind, number)).map(|farewell| farewell.packet.clone());
                assert_eq!(found, is_kept.then(|| number.to_be_bytes().to_vec()), "{number}");
            }
        }
        // What is too old goes as well.
        farewells.add(farewell(3_000, now + LEAST_PAUSE));
        farewells.expire(now + LIFETIME + LEAST_PAUSE);
        assert_eq!((farewells.kept.len(), farewells.by_id.len()), (1, 2));
        assert!(farewells.get(&id(1, 3_000)).is_some());
        farewells.expire(now + 2 * LIFETIME);
        assert_eq!((farewells.kept.len(), farewells.by_id.len()), (0, 0));
    }
}
