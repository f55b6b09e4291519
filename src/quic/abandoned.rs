//! Streams that the user reads no more, until quiche can forget them.
//!
//! The peer may open another stream when one of its own is forgotten here (RFC 9000 §4.6). quiche 0.30 forgets a stream
//! only in a read that comes to its end, or when the peer acknowledges something of *our* part of it. After STOP_SENDING
//! quiche throws away what arrives, so no read comes to the end; where our own part was acknowledged earlier, or where we
//! have none, the stream would stay for good, and the peer's credit with it. Hence:
//!
//! - What has arrived is read and dropped before all else: often it is all that there is.
//! - Of a stream with a part of ours, which is over, the empty end is sent once more when the peer's part is over too: its
//!   acknowledgement makes quiche forget. To the peer it is a duplicate, as the network may make them. Where our part was
//!   reset, the acknowledgement of that does the same, and only after it our patch of quiche lets the end go out: a peer that
//!   hears of an end but not of the reset would take what it has for all.
//! - For a stream of the peer's alone there is no remedy once STOP_SENDING is sent. Half of the peer's credit may be spent
//!   so; of later ones we drop what comes without telling the peer, as RFC 9000 §3.5 allows.

use std::collections::HashSet;

use super::connection::Connection;
use super::error::Result;
use super::stream::{Read, is_bidi};

/// The streams of one connection that are read no more.
#[derive(Debug)]
pub(super) struct Abandoned {
    /// Stopped ones with a part of ours, until the peer's part is over.
    stopped: HashSet<u64>,
    /// Those that the peer wasn't told of: what comes is read and dropped.
    dropped: HashSet<u64>,
    /// How many streams of the peer's alone may still be stopped.
    spare: u64,
    /// Streams of the peer's alone to be stopped when what they brought has been acknowledged, with our codes.
    deferred: Vec<(u64, u64)>,
}

impl Abandoned {
    /// None yet, where the peer may have `max_streams_uni` streams of its own alone.
    pub(super) fn new(max_streams_uni: u64) -> Self {
        Self {
            stopped: HashSet::new(),
            dropped: HashSet::new(),
            spare: max_streams_uni / 2,
            deferred: Vec::new(),
        }
    }

    fn knows(&self, id: u64) -> bool {
        self.dropped.contains(&id) || self.deferred.iter().any(|(deferred, _)| *deferred == id)
    }
}

impl Connection {
    /// Reads no more from a stream: tells the peer, if there can be more to come. Answers whether there was anything to
    /// end.
    pub(super) fn abandon(&mut self, id: u64, code: u64) -> Result<bool> {
        self.live()?;
        match self.stream_discard(id, usize::MAX)? {
            Read::Data { fin: true, .. } | Read::Reset { .. } => return Ok(true),
            Read::Finished => return Ok(false),
            Read::Data { fin: false, .. } | Read::Blocked => {}
        }
        // A sender of quiche's forgets why its stream was stopped when the last acknowledgement comes with the news in one
        // packet: the endpoint lets the acknowledgement go first.
        if !is_bidi(id) && self.key().is_some() {
            if self.abandoned.knows(id) {
                return Ok(false);
            }
            self.abandoned.deferred.push((id, code));
            self.touch();
            return Ok(true);
        }
        self.stop_reading(id, code)
    }

    fn stop_reading(&mut self, id: u64, code: u64) -> Result<bool> {
        if !is_bidi(id) && self.abandoned.spare == 0 {
            return Ok(self.abandoned.dropped.insert(id));
        }
        match self.live_mut()?.stream_shutdown(id, quiche::Shutdown::Read, code) {
            Ok(()) => {}
            Err(quiche::Error::Done) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if is_bidi(id) {
            self.abandoned.stopped.insert(id);
        } else {
            self.abandoned.spare -= 1;
        }
        self.touch();
        // The end may be there already, behind a gap.
        self.settle_abandoned()?;
        Ok(true)
    }

    /// Sees to the abandoned streams after something was received or sent.
    pub(super) fn settle_abandoned(&mut self) -> Result<()> {
        for (id, code) in std::mem::take(&mut self.abandoned.deferred) {
            self.stop_reading(id, code)?;
        }
        let quiche = self.live()?;
        let stopped = self.abandoned.stopped.iter().copied();
        let over: Vec<_> = stopped.filter(|id| quiche.stream_finished(*id)).collect();
        for id in over {
            self.abandoned.stopped.remove(&id);
            self.send_end_again(id)?;
        }
        let dropped: Vec<_> = self.abandoned.dropped.iter().copied().collect();
        for id in dropped {
            let read = self.stream_discard(id, usize::MAX)?;
            if !matches!(read, Read::Data { fin: false, .. } | Read::Blocked) {
                self.abandoned.dropped.remove(&id);
            }
        }
        Ok(())
    }

    /// Makes the peer acknowledge our part of a stream once more, if it is over; if it isn't, its end will be.
    fn send_end_again(&mut self, id: u64) -> Result<()> {
        let quiche = self.live_mut()?;
        if quiche.stream_closed(id) {
            // Refused for a stream that is forgotten, or that the peer stopped: this makes quiche forget it.
            let _ = quiche.stream_send(id, &[], true);
            self.touch();
        }
        Ok(())
    }
}
