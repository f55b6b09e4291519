//! Streams by their ids: the lean calls, whose outcome is one number.

use napi_derive::napi;

use super::Connection;
use crate::binding::bytes::{Float64ArraySlice, Uint8ArraySlice};
use crate::binding::error::{Result, invalid_argument};
use crate::binding::number::{self, ANY};
use crate::quic::stream::{Read, Write};

/// Nothing now: wait until the stream is readable.
const BLOCKED: f64 = -1.0;
/// The stream is gone.
const FINISHED: f64 = -2.0;
/// The peer reset or stopped the stream with code 0; greater codes count downwards.
const CODE_ZERO: f64 = -3.0;
/// The greatest code that can be counted down exactly.
const MAX_CODE: u64 = number::MAX_SAFE_INTEGER - 3;

/// A part of a stream.
#[napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// What we receive: sends STOP_SENDING (RFC 9000 §19.5).
    Read = 0,
    /// What we send: sends RESET_STREAM (RFC 9000 §19.4).
    Write = 1,
}

#[napi]
impl Connection {
    /// Reads from a stream into the buffer, from its byte `at` on (default 0). Answers one number:
    ///
    /// | n | means |
    /// | --- | --- |
    /// | 0 or more | `n >> 1` bytes were read (by division beyond 2^31), and the stream ends with them if `n & 1` |
    /// | -1 | blocked: nothing to read now |
    /// | -2 | finished: the stream is gone, or never was |
    /// | -3 or less | reset by the peer with code `-3 - n`, which is cut at 2^53 - 4 |
    #[napi]
    pub fn stream_read(&self, id: f64, buffer: Uint8ArraySlice, at: Option<f64>) -> Result<f64> {
        let id = number::stream_id(id)?;
        let at = number::size("at", at.unwrap_or_default(), 0..=buffer.len() as u64)?;
        self.with(|connection| connection.stream_read(id, &mut buffer[at..]))
            .map(pack_read)
    }

    /// Drops up to `bytes` (0 to 2^53-1) of what could be read, without copying. Answers as `streamRead`.
    #[napi]
    pub fn stream_discard(&self, id: f64, bytes: f64) -> Result<f64> {
        let (id, bytes) = (number::stream_id(id)?, number::size("bytes", bytes, ANY)?);
        self.with(|connection| connection.stream_discard(id, bytes))
            .map(pack_read)
    }

    /// Offers data to a stream, and its end with `fin`; the first use of an id of ours opens the stream. Answers one number:
    ///
    /// | n | means |
    /// | --- | --- |
    /// | 0 or more | so many bytes were taken; fewer than offered: wait until the stream is writable, `fin` wasn't taken |
    /// | -2 | finished: the stream is gone, or was ended |
    /// | -3 or less | stopped by the peer with code `-3 - n`, which is cut at 2^53 - 4 |
    ///
    /// Beyond the peer's limit of streams (`streamsLeft`) the answer is 0, and nothing was taken, an end without data
    /// neither.
    #[napi]
    pub fn stream_write(&self, id: f64, data: &[u8], fin: bool) -> Result<f64> {
        let id = number::stream_id(id)?;
        self.with(|connection| connection.stream_write(id, data, fin))
            .map(pack_write)
    }

    /// Ends one part of a stream at once and drops what waits in it: `Shutdown.Read` sends STOP_SENDING, `Shutdown.Write`
    /// RESET_STREAM, both with `code` (0 to 2^53-1). Answers whether there was anything to end.
    #[napi]
    pub fn stream_shutdown(
        &self,
        id: f64,
        #[napi(ts_arg_type = "Shutdown | 0 | 1")] direction: f64,
        code: f64,
    ) -> Result<bool> {
        let (id, code) = (number::stream_id(id)?, number::error_code(code)?);
        let direction = shutdown(direction)?;
        self.with(|connection| connection.stream_shutdown(id, direction, code))
    }

    /// Sets which streams send first: `urgency` 0 to 255, the smallest first, 127 by default; `incremental` streams of one
    /// urgency share the turn, others send one after the other. Opens a stream of ours that wasn't.
    ///
    /// Throws `StreamLimit` beyond the peer's limit of streams, and `InvalidStreamState` for a stream of the peer's that it
    /// hasn't opened.
    #[napi]
    pub fn stream_priority(&self, id: f64, urgency: f64, incremental: bool) -> Result<()> {
        let (id, urgency) = (number::stream_id(id)?, number::u8("urgency", urgency)?);
        self.with(|connection| Ok(connection.live_mut()?.stream_priority(id, urgency, incremental)?))
    }

    /// How many bytes `streamWrite` would take now; -2 and -3 or less as there, -2 also before a stream is opened.
    #[napi]
    pub fn stream_capacity(&self, id: f64) -> Result<f64> {
        let id = number::stream_id(id)?;
        self.with(|connection| connection.stream_capacity(id)).map(pack_write)
    }

    /// Of these streams, moves those that the connection still knows, and that weren't stopped, to the beginning; answers how
    /// many they are. The others are over and delivered, or nobody wants them.
    #[napi]
    pub fn keep_writable(&self, ids: Float64ArraySlice) -> Result<u32> {
        let mut kept = 0;
        for at in 0..ids.len() {
            let id = number::stream_id(ids[at])?;
            let capacity = self.with(|connection| connection.stream_capacity(id))?;
            if matches!(capacity, Write::Taken(_)) {
                ids[kept] = ids[at];
                kept += 1;
            }
        }
        Ok(kept as u32)
    }

    /// Whether `streamWrite` would take `bytes` now (0 to 2^53-1). If not, the stream is reported as writable again when
    /// it would. True as well for a stream that was stopped or is gone: the next `streamWrite` says so.
    #[napi]
    pub fn stream_writable(&self, id: f64, bytes: f64) -> Result<bool> {
        let (id, bytes) = (number::stream_id(id)?, number::size("bytes", bytes, ANY)?);
        self.with(|connection| connection.stream_writable(id, bytes))
    }

    /// Whether the stream has something to read: data, its end, or its reset.
    #[napi]
    pub fn stream_readable(&self, id: f64) -> Result<bool> {
        let id = number::stream_id(id)?;
        self.with(|connection| Ok(connection.readable()?.stream_readable(id)))
    }

    /// How many bytes `streamRead` would give now, counted up to `max` (0 to 2^53-1); 0 for no such stream.
    #[napi]
    pub fn stream_readable_len(&self, id: f64, max: f64) -> Result<f64> {
        let (id, max) = (number::stream_id(id)?, number::size("max", max, ANY)?);
        self.with(|connection| Ok(connection.readable()?.stream_readable_len(id, max)))
            .map(|bytes| bytes as f64)
    }

    /// Whether all that the peer sent on the stream was read, to its end or its reset; true for no such stream.
    #[napi]
    pub fn stream_finished(&self, id: f64) -> Result<bool> {
        let id = number::stream_id(id)?;
        self.with(|connection| Ok(connection.readable()?.stream_finished(id)))
    }

    /// Whether the stream is over in each direction that it has; false for a stream that never was.
    #[napi]
    pub fn stream_closed(&self, id: f64) -> Result<bool> {
        let id = number::stream_id(id)?;
        self.with(|connection| Ok(connection.live()?.stream_closed(id)))
    }

    /// How many more streams of a kind we may open now, by the peer's limit (RFC 9000 §4.6).
    #[napi]
    pub fn streams_left(&self, bidi: bool) -> Result<f64> {
        self.with(|connection| connection.streams_left(bidi))
            .map(|count| count as f64)
    }

    /// As `streamsLeft(true)`: quiche's name.
    #[napi]
    pub fn peer_streams_left_bidi(&self) -> Result<f64> {
        self.streams_left(true)
    }

    /// As `streamsLeft(false)`: quiche's name.
    #[napi]
    pub fn peer_streams_left_uni(&self) -> Result<f64> {
        self.streams_left(false)
    }

    /// The streams that have something to read now.
    #[napi]
    pub fn readable(&self) -> Result<Vec<f64>> {
        self.with(|connection| Ok(connection.live()?.readable().map(|id| id as f64).collect()))
    }

    /// The streams that take data now, or were stopped, in the order of their priorities. Not to be mixed with
    /// `streamWritableNext`.
    #[napi]
    pub fn writable(&self) -> Result<Vec<f64>> {
        self.with(|connection| Ok(connection.live()?.writable().map(|id| id as f64).collect()))
    }

    /// The next stream that has something to read, which isn't answered again before more arrives; -1 for none. Throws
    /// `DrivenByEndpoint`: an endpoint reports these as changes.
    #[napi]
    pub fn stream_readable_next(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.by_hand("streamReadableNext")?.stream_readable_next()))
            .map(id_or_none)
    }

    /// The next stream that takes data, which isn't answered again before it was blocked; -1 for none. Throws
    /// `DrivenByEndpoint`: an endpoint reports these as changes.
    #[napi]
    pub fn stream_writable_next(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.by_hand("streamWritableNext")?.stream_writable_next()))
            .map(id_or_none)
    }
}

/// A direction from JavaScript. Not taken as an enum: Node-API would wrap numbers of more than 32 bits.
pub(in crate::binding) fn shutdown(direction: f64) -> Result<quiche::Shutdown> {
    match direction {
        0.0 => Ok(quiche::Shutdown::Read),
        1.0 => Ok(quiche::Shutdown::Write),
        other => Err(invalid_argument(
            "direction",
            &format!("expected 0 (read) or 1 (write), got {other}"),
        )),
    }
}

fn pack_read(read: Read) -> f64 {
    match read {
        Read::Data { bytes, fin } => bytes as f64 * 2.0 + f64::from(u8::from(fin)),
        Read::Blocked => BLOCKED,
        Read::Finished => FINISHED,
        Read::Reset { code } => pack_code(code),
    }
}

fn pack_write(write: Write) -> f64 {
    match write {
        Write::Taken(bytes) => bytes as f64,
        Write::BeyondLimit => 0.0,
        Write::Finished => FINISHED,
        Write::Stopped { code } => pack_code(code),
    }
}

fn pack_code(code: u64) -> f64 {
    CODE_ZERO - code.min(MAX_CODE) as f64
}

fn id_or_none(id: Option<u64>) -> f64 {
    id.map_or(-1.0, |id| id as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart_by_one_number() {
        assert_eq!(pack_read(Read::Data { bytes: 0, fin: false }), 0.0);
        assert_eq!(pack_read(Read::Data { bytes: 0, fin: true }), 1.0);
        assert_eq!(pack_read(Read::Data { bytes: 7, fin: true }), 15.0);
        assert_eq!(pack_read(Read::Blocked), -1.0);
        assert_eq!(pack_read(Read::Finished), -2.0);
        assert_eq!(pack_read(Read::Reset { code: 0 }), -3.0);
        assert_eq!(pack_write(Write::Stopped { code: 9 }), -12.0);
        assert_eq!(pack_write(Write::Taken(9)), 9.0);
    }

    #[test]
    fn codes_beyond_javascript_are_cut_and_stay_exact() {
        assert_eq!(pack_code(u64::MAX), -(number::MAX_SAFE_INTEGER as f64));
        assert_eq!(pack_code(MAX_CODE - 1), -(number::MAX_SAFE_INTEGER as f64) + 1.0);
    }
}
