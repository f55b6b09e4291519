//! What ended a connection, in one word.

use napi_derive::napi;

use super::Connection;
use crate::quic::connection;

/// What ended a connection.
#[napi(string_enum)]
pub enum CloseCause {
    /// We closed it, or found the peer at fault: `localError` says why.
    Local,
    /// The peer closed it: `peerError` says why.
    Peer,
    /// Nothing came for as long as the idle timeout (RFC 9000 §10.1).
    IdleTimeout,
    /// The handshake, verification included, took too long.
    HandshakeTimeout,
    /// The peer has lost the connection's state (RFC 9000 §10.3).
    StatelessReset,
    /// The server speaks no version that we do.
    VersionMismatch,
    /// Too much was received and not read, over all connections of the endpoint.
    MemoryLimit,
    /// Its endpoint was closed under it: the peer wasn't told.
    Released,
    /// It failed inside.
    Poisoned,
}

#[napi]
impl Connection {
    /// What ended the connection, or begins to end it; null while it lives.
    #[napi]
    pub fn close_cause(&self) -> Option<CloseCause> {
        Some(match self.inner.borrow().close_cause()? {
            connection::CloseCause::Local => CloseCause::Local,
            connection::CloseCause::Peer => CloseCause::Peer,
            connection::CloseCause::IdleTimeout => CloseCause::IdleTimeout,
            connection::CloseCause::HandshakeTimeout => CloseCause::HandshakeTimeout,
            connection::CloseCause::StatelessReset => CloseCause::StatelessReset,
            connection::CloseCause::VersionMismatch => CloseCause::VersionMismatch,
            connection::CloseCause::MemoryLimit => CloseCause::MemoryLimit,
            connection::CloseCause::Released => CloseCause::Released,
            connection::CloseCause::Poisoned => CloseCause::Poisoned,
        })
    }
}
