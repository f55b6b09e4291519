//! Streams of a connection: their ids, reading, writing, shutting down, and which of the peer's are new.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::error::Result;

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// `bytes` were written to the buffer; `fin` says that the stream ends with them.
    Data {
        /// How many bytes.
        bytes: usize,
        /// Whether the stream ends with them.
        fin: bool,
    },
    /// Nothing to read now.
    Blocked,
    /// The peer reset its sending part (RFC 9000 §19.4).
    Reset {
        /// The peer's application error code.
        code: u64,
    },
    /// The stream is gone: read to its end, reset, or shut down by us.
    Finished,
}

/// What a write gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// So many bytes were taken; fewer than offered, or none, means wait for writability.
    Taken(usize),
    /// Nothing was taken, not even the end: the peer's limit doesn't let us open the stream now (RFC 9000 §4.6).
    BeyondLimit,
    /// The peer doesn't want to read on (STOP_SENDING, RFC 9000 §19.5).
    Stopped {
        /// The peer's application error code.
        code: u64,
    },
    /// The stream is gone: ended, reset, or shut down by us.
    Finished,
}

/// Whether this stream was opened by the server (RFC 9000 §2.1).
pub fn is_server_initiated(id: u64) -> bool {
    id & 1 == 1
}

/// Whether this stream carries data in both directions (RFC 9000 §2.1).
pub fn is_bidi(id: u64) -> bool {
    id & 2 == 0
}

impl Connection {
    /// Reads from a stream into `buffer`.
    pub fn stream_read(&mut self, id: u64, buffer: &mut [u8]) -> Result<Read> {
        // quiche tells who has no room of an end that is next, too, but still counts it as unread, and never forgets the stream.
        let is_at_end = buffer.is_empty() && self.readable()?.stream_finished(id);
        self.read_with(id, |quiche| {
            if is_at_end {
                quiche.stream_recv(id, &mut [0])
            } else {
                quiche.stream_recv(id, buffer)
            }
        })
    }

    /// Drops up to `bytes` that could be read, as if they had been.
    pub fn stream_discard(&mut self, id: u64, bytes: usize) -> Result<Read> {
        self.read_with(id, |quiche| quiche.stream_discard(id, bytes))
    }

    fn read_with(
        &mut self,
        id: u64,
        read: impl FnOnce(&mut quiche::Connection) -> quiche::Result<(usize, bool)>,
    ) -> Result<Read> {
        let quiche = self.readable()?;
        let stop = stop_code(quiche, id);
        let mut read = read_outcome(read(quiche))?;
        if read == Read::Blocked && quiche.stream_finished(id) {
            read = Read::Finished;
        }
        if let Some(code) = stop
            && matches!(read, Read::Data { fin: true, .. } | Read::Reset { .. })
        {
            self.stops.remember(id, code);
        }
        if !matches!(read, Read::Data { fin: false, .. }) {
            self.unread.remove(&id);
        }
        // Reading gives the peer credit, which has to be told.
        if matches!(read, Read::Data { .. } | Read::Reset { .. }) {
            self.touch();
        }
        Ok(read)
    }

    /// Takes note that a datagram may have reset or stopped streams.
    pub(super) fn note_ends(&mut self) -> Result<()> {
        self.may_have_resets = true;
        self.note_stops()
    }

    /// Takes note that the user is told to read a stream.
    pub(super) fn note_readable(&mut self, id: u64) -> Result<()> {
        // With its end known and nothing before it, there is no more to be told.
        if !self.live()?.stream_finished(id) {
            self.unread.insert(id);
        }
        Ok(())
    }

    /// Streams that the peer has reset, of those that the user was told to read and hasn't; each is told once. quiche drops
    /// what waited there, but reports such a stream as readable only once: nobody would learn before reading it.
    pub(super) fn take_resets(&mut self) -> Result<Vec<u64>> {
        if !std::mem::take(&mut self.may_have_resets) {
            return Ok(Vec::new());
        }
        let quiche = self.live()?;
        // Their end is known, and nothing before it is left.
        let resets = self.unread.iter().copied().filter(|id| quiche.stream_finished(*id));
        let resets: Vec<_> = resets.collect();
        for id in &resets {
            self.unread.remove(id);
        }
        Ok(resets)
    }

    /// How many bytes of stream data and datagrams wait for the user.
    pub(super) fn unread_bytes(&self) -> usize {
        let Ok(quiche) = self.live() else { return 0 };
        let streams = self.unread.iter().map(|id| quiche.stream_readable_len(*id, usize::MAX));
        quiche.dgram_recv_queue_byte_size() + streams.sum::<usize>()
    }

    /// Offers data to a stream; opens a stream of ours at its first use, for which the peer's credit must suffice.
    pub fn stream_write(&mut self, id: u64, data: &[u8], fin: bool) -> Result<Write> {
        let quiche = self.live_mut()?;
        let written = match quiche.stream_send(id, data, fin) {
            Ok(taken) => Write::Taken(taken),
            // quiche says the same of a stream that it has forgotten.
            Err(quiche::Error::Done) if quiche.stream_closed(id) => self.write_to_gone(id),
            Err(quiche::Error::Done) => Write::Taken(0),
            // `peer_streams_left_*` may lag.
            Err(quiche::Error::StreamLimit) => Write::BeyondLimit,
            Err(quiche::Error::StreamStopped(code)) => Write::Stopped { code },
            Err(quiche::Error::InvalidStreamState(_) | quiche::Error::FinalSize) => self.write_to_gone(id),
            Err(error) => return Err(error.into()),
        };
        let is_taken = written == Write::Taken(data.len());
        let is_over = matches!(written, Write::Stopped { .. } | Write::Finished);
        if is_taken || is_over {
            self.blocked_writers.remove(&id);
        } else if written != Write::BeyondLimit {
            self.blocked_writers.insert(id);
        }
        if is_over || is_taken && fin {
            self.stops.forget_writer(id);
        } else if written != Write::BeyondLimit {
            self.stops.add_writer(id);
        }
        self.touch();
        Ok(written)
    }

    /// Ends one part of a stream at once: reading sends STOP_SENDING, writing RESET_STREAM, both with `code`.
    /// Returns whether there was anything to end.
    pub fn stream_shutdown(&mut self, id: u64, direction: quiche::Shutdown, code: u64) -> Result<bool> {
        if direction == quiche::Shutdown::Read {
            return self.abandon(id, code);
        }
        let ended = match self.live_mut()?.stream_shutdown(id, direction, code) {
            Ok(()) => true,
            Err(quiche::Error::Done | quiche::Error::InvalidStreamState(_)) => false,
            Err(error) => return Err(error.into()),
        };
        // It is never writable again.
        self.blocked_writers.remove(&id);
        self.stops.forget_writer(id);
        self.touch();
        Ok(ended)
    }

    /// How many bytes a write to the stream would take now.
    pub fn stream_capacity(&mut self, id: u64) -> Result<Write> {
        match self.live_mut()?.stream_capacity(id) {
            Ok(bytes) => Ok(Write::Taken(bytes)),
            Err(quiche::Error::StreamStopped(code)) => Ok(Write::Stopped { code }),
            Err(quiche::Error::InvalidStreamState(_)) => Ok(self.write_to_gone(id)),
            Err(error) => Err(error.into()),
        }
    }

    fn write_to_gone(&self, id: u64) -> Write {
        self.stops
            .code(id)
            .map_or(Write::Finished, |code| Write::Stopped { code })
    }

    /// Whether the stream takes `bytes` now; if not, it is reported as writable again when it does. A stream that was
    /// stopped or is gone counts as writable: the next write says so.
    pub fn stream_writable(&mut self, id: u64, bytes: usize) -> Result<bool> {
        let writable = match self.live_mut()?.stream_writable(id, bytes) {
            Ok(writable) => writable,
            Err(quiche::Error::StreamStopped(_) | quiche::Error::InvalidStreamState(_)) => true,
            Err(error) => return Err(error.into()),
        };
        if !writable {
            // The peer may be told that we are blocked (RFC 9000 §19.12).
            self.touch();
        }
        Ok(writable)
    }

    /// Whether the user waits for this stream to be writable, or should know that it was stopped. quiche calls a stream
    /// writable after each write that was taken whole, too.
    pub(super) fn takes_writes_again(&mut self, id: u64) -> bool {
        self.blocked_writers.remove(&id) | self.is_newly_stopped(id)
    }

    /// How many more streams of a kind the peer lets us open.
    pub fn streams_left(&self, bidi: bool) -> Result<u64> {
        let quiche = self.live()?;
        Ok(if bidi {
            quiche.peer_streams_left_bidi()
        } else {
            quiche.peer_streams_left_uni()
        })
    }
}

fn read_outcome(outcome: quiche::Result<(usize, bool)>) -> Result<Read> {
    match outcome {
        Ok((bytes, fin)) => Ok(Read::Data { bytes, fin }),
        Err(quiche::Error::Done) => Ok(Read::Blocked),
        Err(quiche::Error::StreamReset(code)) => Ok(Read::Reset { code }),
        // quiche forgets a stream once both parts are done.
        Err(quiche::Error::InvalidStreamState(_)) => Ok(Read::Finished),
        Err(error) => Err(error.into()),
    }
}

/// The code with which the peer stopped a stream, as long as quiche knows the stream.
fn stop_code(quiche: &mut quiche::Connection, id: u64) -> Option<u64> {
    match quiche.stream_capacity(id) {
        Err(quiche::Error::StreamStopped(code)) => Some(code),
        _ => None,
    }
}

/// Remembers which of the peer's streams have been seen, so that each is new exactly once: a late frame for a stream
/// that is gone never makes a new one. Its size is bounded by the streams the peer may have open.
#[derive(Debug, Default)]
pub(super) struct PeerStreams {
    bidi: Seen,
    uni: Seen,
}

impl PeerStreams {
    /// Takes note of a stream; answers whether the peer opened it and it is seen for the first time.
    pub(super) fn is_new(&mut self, id: u64, we_are_server: bool) -> bool {
        if is_server_initiated(id) == we_are_server {
            return false;
        }
        let index = id >> 2;
        if is_bidi(id) {
            self.bidi.insert(index)
        } else {
            self.uni.insert(index)
        }
    }
}

/// A set of indices that fills from below.
#[derive(Debug, Default)]
struct Seen {
    /// All below have been seen, but the missing.
    next: u64,
    /// Ranges that haven't, each by its start: a peer may be let open any number of streams, and begin with the last.
    missing: BTreeMap<u64, u64>,
}

impl Seen {
    fn insert(&mut self, index: u64) -> bool {
        if index < self.next {
            return self.fill(index);
        }
        self.leave_out(self.next, index);
        self.next = index + 1;
        true
    }

    /// Answers whether the index was missing.
    fn fill(&mut self, index: u64) -> bool {
        let below = self.missing.range(..=index).next_back();
        let Some((start, end)) = below.map(|(start, end)| (*start, *end)).filter(|(_, end)| index < *end) else {
            return false;
        };
        self.missing.remove(&start);
        self.leave_out(start, index);
        self.leave_out(index + 1, end);
        true
    }

    fn leave_out(&mut self, start: u64, end: u64) {
        if start < end {
            self.missing.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_stream_is_new_once_in_any_order() {
        let mut streams = PeerStreams::default();
        assert!(streams.is_new(8, true));
        assert!(streams.is_new(0, true));
        assert!(!streams.is_new(8, true));
        assert!(streams.is_new(4, true));
        assert!(!streams.is_new(4, true));
        assert!(streams.is_new(2, true));
    }

    #[test]
    fn streams_far_ahead_are_remembered_by_what_is_between_them() {
        let mut seen = Seen::default();
        let far = 1 << 22;
        assert!(seen.insert(far) && seen.insert(far / 2));
        assert_eq!(seen.missing.len(), 2);
        // In an order of their own, and so that all ranges get smaller, on either side and in the middle, and go.
        for index in (0..40).map(|turn| far / 2 - 20 + turn * 11 % 40) {
            assert_eq!(seen.insert(index), index != far / 2, "{index}");
            assert!(!seen.insert(index), "{index}");
        }
        assert_eq!(seen.missing.len(), 2);
    }

    #[test]
    fn our_own_streams_are_never_new() {
        let mut streams = PeerStreams::default();
        assert!(!streams.is_new(1, true));
        assert!(!streams.is_new(0, false));
    }
}
