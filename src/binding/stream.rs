//! `Stream`: a handle on one stream.

use napi_derive::napi;

use super::bytes::Uint8ArraySlice;
use super::connection::Connection;
use super::error::Result;
use super::number;
use crate::quic::stream;

/// A stream of a connection, by its id. It holds no state: any number of handles may stand for one stream, and one may
/// stand for a stream that is still to be opened, or is gone.
///
/// Methods answer what is to be expected (blocked, finished, reset or stopped by the peer) as values, and throw as the
/// connection does: `Closed`, `Poisoned`.
#[napi]
pub struct Stream {
    connection: Connection,
    id: u64,
}

/// What reading gave, by `kind`:
///
/// - `data`: `bytes` are in the buffer; with `fin`, the stream ends with them
/// - `blocked`: nothing to read now
/// - `finished`: the stream is gone, or never was
/// - `reset`: the peer reset it with `code` (RFC 9000 §19.4); codes beyond 2^53 are rounded
#[napi(discriminant = "kind", discriminant_case = "camelCase", object_from_js = false)]
pub enum StreamRead {
    /// Some data, or the end.
    Data {
        /// How many bytes.
        bytes: f64,
        /// Whether the stream ends with them.
        fin: bool,
    },
    /// Nothing now.
    Blocked {},
    /// Nothing any more.
    Finished {},
    /// The peer reset it.
    Reset {
        /// The peer's code.
        code: f64,
    },
}

/// What writing gave, by `kind`:
///
/// - `taken`: so many `bytes` were; fewer than offered: wait until the stream is writable
/// - `beyondLimit`: nothing was taken, not even the end: the peer's limit doesn't let us open the stream now
/// - `finished`: the stream is gone, or was ended; for `capacity` also: it isn't opened yet
/// - `stopped`: the peer wants no more, with `code` (RFC 9000 §19.5); codes beyond 2^53 are rounded
#[napi(discriminant = "kind", discriminant_case = "camelCase", object_from_js = false)]
pub enum StreamWrite {
    /// Some data.
    Taken {
        /// How many bytes.
        bytes: f64,
    },
    /// The stream can't be opened now.
    BeyondLimit {},
    /// Nothing any more.
    Finished {},
    /// The peer stopped it.
    Stopped {
        /// The peer's code.
        code: f64,
    },
}

#[napi]
impl Connection {
    /// A handle on a stream. Ids are 0 to 2^53-1: the last bit tells who opened it (0 client, 1 server), the one before
    /// the kind (0 bidirectional, 1 unidirectional); each kind counts up in steps of 4 (RFC 9000 §2.1).
    #[napi]
    pub fn stream(&self, id: f64) -> Result<Stream> {
        Ok(Stream {
            connection: Connection::from_shared(self.inner.clone()),
            id: number::stream_id(id)?,
        })
    }
}

#[napi]
impl Stream {
    /// The stream's id.
    #[napi(getter)]
    pub fn id(&self) -> f64 {
        self.id as f64
    }

    /// Whether the server opened it, or would.
    #[napi(getter)]
    pub fn is_server_initiated(&self) -> bool {
        stream::is_server_initiated(self.id)
    }

    /// Whether it carries data in both directions.
    #[napi(getter)]
    pub fn is_bidirectional(&self) -> bool {
        stream::is_bidi(self.id)
    }

    /// Reads into the buffer.
    #[napi]
    pub fn read(&self, buffer: Uint8ArraySlice) -> Result<StreamRead> {
        self.connection
            .with(|connection| connection.stream_read(self.id, buffer))
            .map(Into::into)
    }

    /// Drops up to `bytes` (0 to 2^53-1) of what could be read, without copying.
    #[napi]
    pub fn discard(&self, bytes: f64) -> Result<StreamRead> {
        let bytes = number::size("bytes", bytes, number::ANY)?;
        self.connection
            .with(|connection| connection.stream_discard(self.id, bytes))
            .map(Into::into)
    }

    /// Offers data, and the stream's end with `fin` (default false). The first use of a stream of ours opens it.
    #[napi]
    pub fn write(&self, data: &[u8], fin: Option<bool>) -> Result<StreamWrite> {
        let fin = fin.unwrap_or(false);
        self.connection
            .with(|connection| connection.stream_write(self.id, data, fin))
            .map(Into::into)
    }

    /// Ends the stream, after some last data if given: as `write` with `fin`. If fewer bytes than offered were taken,
    /// it is still open.
    #[napi]
    pub fn end(&self, data: Option<&[u8]>) -> Result<StreamWrite> {
        self.connection
            .with(|connection| connection.stream_write(self.id, data.unwrap_or(&[]), true))
            .map(Into::into)
    }

    /// Ends one part of the stream at once and drops what waits in it: see `Connection.streamShutdown`.
    #[napi]
    pub fn shutdown(&self, #[napi(ts_arg_type = "Shutdown | 0 | 1")] direction: f64, code: f64) -> Result<bool> {
        self.connection.stream_shutdown(self.id as f64, direction, code)
    }

    /// Sets which streams send first: see `Connection.streamPriority`.
    #[napi]
    pub fn priority(&self, urgency: f64, incremental: bool) -> Result<()> {
        self.connection.stream_priority(self.id as f64, urgency, incremental)
    }

    /// How many bytes `write` would take now.
    #[napi]
    pub fn capacity(&self) -> Result<StreamWrite> {
        self.connection
            .with(|connection| connection.stream_capacity(self.id))
            .map(Into::into)
    }

    /// Whether there is something to read: data, the end, or a reset.
    #[napi]
    pub fn is_readable(&self) -> Result<bool> {
        self.connection.stream_readable(self.id as f64)
    }

    /// How many bytes `read` would give now, counted up to `max` (0 to 2^53-1).
    #[napi]
    pub fn readable_length(&self, max: f64) -> Result<f64> {
        self.connection.stream_readable_len(self.id as f64, max)
    }

    /// Whether `write` would take `bytes` (default 1): see `Connection.streamWritable`.
    #[napi]
    pub fn is_writable(&self, bytes: Option<f64>) -> Result<bool> {
        self.connection.stream_writable(self.id as f64, bytes.unwrap_or(1.0))
    }

    /// Whether all that the peer sent was read, to its end or its reset; true for a stream that is not there.
    #[napi]
    pub fn is_finished(&self) -> Result<bool> {
        self.connection.stream_finished(self.id as f64)
    }

    /// Whether the stream is over in each direction that it has; false for one that never was.
    #[napi]
    pub fn is_closed(&self) -> Result<bool> {
        self.connection.stream_closed(self.id as f64)
    }
}

impl From<stream::Read> for StreamRead {
    fn from(read: stream::Read) -> Self {
        match read {
            stream::Read::Data { bytes, fin } => StreamRead::Data {
                bytes: bytes as f64,
                fin,
            },
            stream::Read::Blocked => StreamRead::Blocked {},
            stream::Read::Finished => StreamRead::Finished {},
            stream::Read::Reset { code } => StreamRead::Reset { code: code as f64 },
        }
    }
}

impl From<stream::Write> for StreamWrite {
    fn from(write: stream::Write) -> Self {
        match write {
            stream::Write::Taken(bytes) => StreamWrite::Taken { bytes: bytes as f64 },
            stream::Write::BeyondLimit => StreamWrite::BeyondLimit {},
            stream::Write::Finished => StreamWrite::Finished {},
            stream::Write::Stopped { code } => StreamWrite::Stopped { code: code as f64 },
        }
    }
}
