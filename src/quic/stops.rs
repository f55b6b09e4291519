//! Streams that the peer doesn't want to read on (STOP_SENDING, RFC 9000 §3.5): noticed, told once, remembered.
//!
//! quiche 0.30 reports such a stream among the writable ones, but not one that had room for more and was reported before:
//! an idle writer would never learn. It counts them, though. And it forgets a stopped stream when the other direction is
//! over: a writer that looks later would not learn why.

use std::collections::{HashSet, VecDeque};

use super::connection::Connection;
use super::error::Result;
use super::stream::{Write, is_bidi};

/// What is known of the stops of one connection.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// Streams that the user may still write to.
    writers: HashSet<u64>,
    /// How many stops quiche had counted when last looked at.
    counted: u64,
    /// Streams that were found stopped, for the next look.
    untold: Vec<u64>,
    /// The last stopped streams, with the peer's codes. Not all, since most have no writer that looks later.
    last: VecDeque<(u64, u64)>,
}

impl Stops {
    const KEPT: usize = 256;

    pub(super) fn add_writer(&mut self, id: u64) {
        self.writers.insert(id);
    }

    pub(super) fn forget_writer(&mut self, id: u64) {
        self.writers.remove(&id);
    }

    /// Takes note of a stop; answers whether it is new.
    pub(super) fn remember(&mut self, id: u64, code: u64) -> bool {
        self.writers.remove(&id);
        if self.code(id).is_some() {
            return false;
        }
        if self.last.len() == Self::KEPT {
            self.last.pop_front();
        }
        self.last.push_back((id, code));
        true
    }

    /// The code with which the peer stopped a stream.
    pub(super) fn code(&self, id: u64) -> Option<u64> {
        self.last
            .iter()
            .find_map(|&(other, code)| (other == id).then_some(code))
    }
}

impl Connection {
    /// A stream that the peer opened may be written to.
    pub(super) fn expect_stop(&mut self, id: u64) {
        if is_bidi(id) {
            self.stops.add_writer(id);
        }
    }

    /// Looks for streams that the peer has stopped. To be called after each datagram that may have stopped some: with a
    /// later one's acknowledgement quiche may forget the stream, and the code with it.
    pub(super) fn note_stops(&mut self) -> Result<()> {
        let counted = self.live()?.stats().stopped_stream_count_remote;
        if counted == self.stops.counted {
            return Ok(());
        }
        self.stops.counted = counted;
        let mut stopped: Vec<_> = self.stops.writers.iter().copied().collect();
        stopped.retain(|id| self.is_newly_stopped(*id));
        self.stops.untold.append(&mut stopped);
        Ok(())
    }

    /// The streams that were found stopped and weren't told yet.
    pub(super) fn take_stops(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.stops.untold)
    }

    /// Whether the peer has stopped this stream, which nobody was told yet.
    pub(super) fn is_newly_stopped(&mut self, id: u64) -> bool {
        let Ok(Write::Stopped { code }) = self.stream_capacity(id) else {
            return false;
        };
        self.blocked_writers.remove(&id);
        self.stops.remember(id, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stops_are_remembered() {
        let mut stops = Stops::default();
        for id in 0..=Stops::KEPT as u64 {
            stops.remember(id, id + 7);
        }
        assert_eq!(stops.code(0), None);
        assert_eq!(stops.code(1), Some(8));
        assert_eq!(stops.code(Stops::KEPT as u64), Some(Stops::KEPT as u64 + 7));
    }
}
