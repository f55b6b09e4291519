//! Who and what a connection is, where it stands, and its end.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::{Connection, ConnectionError};
use crate::binding::error::Result;
use crate::binding::number;
use crate::binding::stats::{ConnectionStats, PathStats, TransportParams};

#[napi]
impl Connection {
    /// The number by which its endpoint knows the connection, in its changes; null unless an endpoint drives it.
    #[napi(getter)]
    pub fn key(&self) -> Result<Option<f64>> {
        self.with(|connection| Ok(connection.key().map(|key| key as f64)))
    }

    /// Whether this is the server's side. Answers at any time.
    #[napi]
    pub fn is_server(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.is_server()))
    }

    /// Whether the handshake is complete, or ever was. A client's may be before the server has judged it.
    #[napi]
    pub fn is_established(&self) -> Result<bool> {
        self.with(|connection| connection.is_established())
    }

    /// Whether the session of an earlier connection was resumed.
    #[napi]
    pub fn is_resumed(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.live()?.is_resumed()))
    }

    /// Whether 0-RTT data can be sent or read now, before the handshake is complete.
    #[napi]
    pub fn is_in_early_data(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.live()?.is_in_early_data()))
    }

    /// Why 0-RTT data was taken or not: BoringSSL's `ssl_early_data_reason_t`, 0 unknown, 1 disabled, 2 accepted, …
    #[napi]
    pub fn early_data_reason(&self) -> Result<u32> {
        self.with(|connection| Ok(connection.live()?.early_data_reason()))
    }

    /// Whether a stream or datagram waits to be read.
    #[napi]
    pub fn is_readable(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.live()?.is_readable()))
    }

    /// Whether the connection is over but for late packets (RFC 9000 §10.2): nothing is sent, drive it on until `isClosed`.
    #[napi]
    pub fn is_draining(&self) -> Result<bool> {
        self.with(|connection| connection.is_draining())
    }

    /// Whether the connection is over and needs no driving. Answers at any time.
    #[napi]
    pub fn is_closed(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.is_closed()))
    }

    /// Whether the connection ended because nothing was heard for the idle timeout.
    #[napi]
    pub fn is_timed_out(&self) -> Result<bool> {
        self.with(|connection| connection.is_timed_out())
    }

    /// Ends the connection and tells the peer (RFC 9000 §10.2). `code` (0 to 2^53-1) is one of the application's with `app`,
    /// else one of QUIC's. Before the handshake is complete, an application's code and reason are hidden behind
    /// QUIC's APPLICATION_ERROR (0x0c). Answers whether this call did it: the first reason stays.
    ///
    /// At most 1024 bytes of the reason are sent, and 256 before the handshake is complete; what is longer is cut off.
    #[napi]
    pub fn close(&self, app: bool, code: f64, reason: &[u8]) -> Result<bool> {
        let code = number::error_code(code)?;
        self.with(|connection| connection.close(app, code, reason))
    }

    /// What the peer ended the connection with; null if it didn't.
    #[napi]
    pub fn peer_error(&self) -> Result<Option<ConnectionError>> {
        self.with(|connection| connection.peer_error())
            .map(|error| error.map(Into::into))
    }

    /// What we ended the connection with, by `close` or because the peer broke the protocol; null if we didn't.
    #[napi]
    pub fn local_error(&self) -> Result<Option<ConnectionError>> {
        self.with(|connection| connection.local_error())
            .map(|error| error.map(Into::into))
    }

    /// The name of this connection in logs and qlog files: its first source id in hexadecimal. Answers at any time.
    #[napi]
    pub fn trace_id(&self) -> Result<String> {
        self.with(|connection| Ok(connection.trace_id().to_owned()))
    }

    /// The application protocol (ALPN) that was agreed on; empty before that.
    #[napi]
    pub fn application_proto(&self) -> Result<Buffer> {
        self.with(|connection| Ok(connection.live()?.application_proto().to_vec().into()))
    }

    /// The server's name that the client asked for (SNI); null for none.
    #[napi]
    pub fn server_name(&self) -> Result<Option<String>> {
        self.with(|connection| Ok(connection.live()?.server_name().map(str::to_owned)))
    }

    /// Statistics; the last ones when the connection is gone.
    #[napi]
    pub fn stats(&self) -> Result<ConnectionStats> {
        self.with(|connection| connection.stats()).map(Into::into)
    }

    /// Statistics of each path; the last ones when the connection is gone.
    #[napi]
    pub fn path_stats(&self) -> Result<Vec<PathStats>> {
        self.with(|connection| connection.path_stats())
            .map(|paths| paths.into_iter().map(Into::into).collect())
    }

    /// What the peer told in the handshake; null before that. As long as the peer isn't trusted it may be anyone's word.
    #[napi]
    pub fn peer_transport_params(&self) -> Result<Option<TransportParams>> {
        self.with(|connection| Ok(connection.live()?.peer_transport_params().map(Into::into)))
    }

    /// Sets `maxIdleTimeout` of this connection: milliseconds, 0 for never. Only before the first `send` or `recv`: throws
    /// `InvalidState` later.
    #[napi]
    pub fn set_max_idle_timeout(&self, ms: f64) -> Result<()> {
        let ms = number::integer("maxIdleTimeout", ms, number::ANY)?;
        self.with(|connection| connection.set_max_idle_timeout(ms))
    }
}
