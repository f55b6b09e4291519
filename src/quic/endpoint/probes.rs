//! Answers bare datagrams of ours, and tells of those that somebody waits for.
//!
//! A punch is answered without the application's help, and a question for the asker's address where the endpoint is told to
//! answer them. Both within limits, since the sender's address may be forged: an answer is never larger than what it
//! answers, there are so many a second, and fewer to one address.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::change::Change;
use super::limits::Rate;
use super::{Endpoint, normalise};
use crate::quic::probe::{Nonce, Probe, Said};

/// Answers per second: many peers at once, and still less than 1 Mbit/s of reflected traffic.
const ANSWERS_PER_SECOND: u32 = 1_000;
/// Answers per second to one address, or to the few that share its counter.
const ANSWERS_PER_SOURCE: u32 = 50;
/// Counters for addresses: strangers can't make it more.
const SOURCES: usize = 256;
/// Events kept until they are asked for.
const MAX_TOLD: usize = 256;
/// Punches that are remembered for whoever punches by the same nonce a little later,
const MAX_RECENT: usize = 256;
/// and for how long: the other side was introduced at about the same time.
const RECENT: Duration = Duration::from_secs(30);

/// Something that whoever punches or asks may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A probe: an answer to one of ours, or a punch while we punch.
    Probe(Probe),
    /// Any datagram from a watched address.
    Anything,
}

/// What an endpoint knows of probes.
pub(super) struct Probes {
    heard: VecDeque<(Heard, SocketAddr)>,
    told: usize,
    /// Punches that were answered lately. The one who sent them knows by our answer that the way is open, and sends no more.
    recent: VecDeque<(Nonce, SocketAddr, Instant)>,
    /// Nonces of our own punches and questions under way.
    expected: HashSet<Nonce>,
    /// Addresses from which any datagram counts, once.
    watched: HashSet<SocketAddr>,
    answers_questions: bool,
    answers: Rate,
    sources: Vec<Rate>,
    hasher: RandomState,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            heard: VecDeque::new(),
            told: 0,
            recent: VecDeque::new(),
            expected: HashSet::new(),
            watched: HashSet::new(),
            answers_questions: false,
            answers: Rate::new(ANSWERS_PER_SECOND),
            sources: (0..SOURCES).map(|_| Rate::new(ANSWERS_PER_SOURCE)).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Probes {
    fn may_answer(&mut self, to: IpAddr, now: Instant) -> bool {
        let source = self.hasher.hash_one(to) as usize % SOURCES;
        self.sources[source].take(now) && self.answers.take(now)
    }
}

impl Endpoint {
    /// Whether to tell those who ask from which address they are seen.
    pub fn answer_questions(&mut self, answers: bool) {
        self.probes.answers_questions = answers;
    }

    /// Tells of answers with this nonce from now on, of all punches while any nonce is expected, and of punches with this
    /// one that came before. Answers whether it is a new one.
    pub fn expect_probe(&mut self, nonce: Nonce, now: Instant) -> bool {
        let is_new = self.probes.expected.insert(nonce);
        let is_meant = |punch: &&(Nonce, SocketAddr, Instant)| punch.0 == nonce && now < punch.2 + RECENT;
        let early: Vec<_> = self.probes.recent.iter().filter(is_meant).copied().collect();
        for (nonce, from, _) in early {
            let said = Said::Punch;
            self.hear(Heard::Probe(Probe { said, nonce }), from);
        }
        self.tell_heard();
        is_new
    }

    /// The opposite.
    pub fn forget_probe(&mut self, nonce: &Nonce) {
        self.probes.expected.remove(nonce);
    }

    /// Tells of the next datagram from this address, whatever it is.
    pub fn watch(&mut self, address: SocketAddr) {
        self.probes.watched.insert(normalise(address));
    }

    /// The opposite.
    pub fn unwatch(&mut self, address: SocketAddr) {
        self.probes.watched.remove(&normalise(address));
    }

    /// Sends a probe with the next batch.
    pub fn send_probe(&mut self, probe: Probe, to: SocketAddr) {
        self.stats.probes_sent += 1;
        self.reply(probe.encode().to_vec(), normalise(to));
    }

    /// The next thing that was heard.
    pub fn take_heard(&mut self) -> Option<(Heard, SocketAddr)> {
        let heard = self.probes.heard.pop_front();
        self.probes.told = self.probes.told.min(self.probes.heard.len());
        heard
    }

    pub(super) fn on_probe(&mut self, probe: Probe, from: SocketAddr, now: Instant) {
        self.stats.probes_received += 1;
        let answer = match probe.said {
            Said::Punch => Some(Said::PunchAnswer(from)),
            Said::Observe if self.probes.answers_questions => Some(Said::ObserveAnswer(from)),
            Said::Observe => None,
            Said::PunchAnswer(_) | Said::ObserveAnswer(_) if self.probes.expected.contains(&probe.nonce) => {
                return self.hear(Heard::Probe(probe), from);
            }
            Said::PunchAnswer(_) | Said::ObserveAnswer(_) => {
                self.stats.probes_unexpected += 1;
                return;
            }
        };
        let Some(said) = answer.filter(|_| self.probes.may_answer(from.ip(), now)) else {
            self.stats.probes_unanswered += 1;
            return;
        };
        self.stats.probes_answered += 1;
        let nonce = probe.nonce;
        self.reply(Probe { said, nonce }.encode().to_vec(), from);
        if probe.said == Said::Punch {
            self.on_punch(probe, from, now);
        }
    }

    fn on_punch(&mut self, probe: Probe, from: SocketAddr, now: Instant) {
        let recent = &mut self.probes.recent;
        if !recent
            .iter()
            .any(|(nonce, address, _)| *nonce == probe.nonce && *address == from)
        {
            if recent.len() == MAX_RECENT {
                recent.pop_front();
            }
            recent.push_back((probe.nonce, from, now));
        }
        if !self.probes.expected.is_empty() {
            self.hear(Heard::Probe(probe), from);
        }
    }

    /// A datagram came from an address that may be watched.
    pub(super) fn notice(&mut self, from: SocketAddr) {
        if !self.probes.watched.is_empty() && self.probes.watched.remove(&from) {
            self.hear(Heard::Anything, from);
        }
    }

    fn hear(&mut self, heard: Heard, from: SocketAddr) {
        if self.probes.heard.len() < MAX_TOLD {
            self.probes.heard.push_back((heard, from));
        }
    }

    pub(super) fn tell_heard(&mut self) {
        let count = self.probes.heard.len();
        if count > self.probes.told {
            self.probes.told = count;
            self.changes.push_back(Change::Heard(count));
        }
    }
}
