//! What can be changed only before the handshake begins: the session to resume, and our transport parameters.

use super::connection::Connection;
use super::error::{Error, Result};

impl Connection {
    /// Client: resumes the session of an earlier connection to the same server.
    pub fn set_session(&mut self, session: &[u8]) -> Result<()> {
        self.before_handshake()?;
        if self.is_server() {
            return Err(quiche::Error::InvalidState.into());
        }
        self.live_mut()?.set_session(session).map_err(|_| Error::Argument {
            argument: "session",
            reason: "is no session of an earlier connection".into(),
        })
    }

    /// Sets this connection's idle timeout, in milliseconds; 0 for never.
    pub fn set_max_idle_timeout(&mut self, ms: u64) -> Result<()> {
        self.before_handshake()?;
        Ok(self.live_mut()?.set_max_idle_timeout(ms)?)
    }

    /// BoringSSL aborts the process when a session comes later.
    fn before_handshake(&mut self) -> Result<()> {
        match self.tls()?.state_string_long() {
            "TLS client start_connect" | "TLS server start_accept" => Ok(()),
            _ => Err(quiche::Error::InvalidState.into()),
        }
    }
}
