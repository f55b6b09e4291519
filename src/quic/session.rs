//! What can be changed only before the handshake begins (the session to resume, our transport parameters), and what TLS
//! knows when it is over.

use boring::ssl::SslOptions;
use foreign_types_shared::ForeignTypeRef;

use super::connection::Connection;
use super::error::{Error, Result};
use super::verification::Examiner;

impl Connection {
    /// Client: resumes the session of an earlier connection to the same server. A session whose chain doesn't pass the check
    /// of this connection is left unused: the server has to prove itself anew.
    pub fn set_session(&mut self, session: &[u8]) -> Result<()> {
        self.before_handshake()?;
        if self.is_server() {
            return Err(quiche::Error::InvalidState.into());
        }
        self.live_mut()?.set_session(session).map_err(|_| Error::Argument {
            argument: "session",
            reason: "is no session of an earlier connection".into(),
        })?;
        let examiner = self.examiner.clone();
        let ssl = self.tls()?;
        if !examiner.approves_session(ssl) {
            // SAFETY: the connection lives, and its handshake hasn't begun.
            unsafe { boring_sys::SSL_set_session(ssl.as_ptr(), std::ptr::null_mut()) };
        }
        Ok(())
    }

    /// Sets this connection's idle timeout, in milliseconds; 0 for never.
    pub fn set_max_idle_timeout(&mut self, ms: u64) -> Result<()> {
        self.before_handshake()?;
        Ok(self.live_mut()?.set_max_idle_timeout(ms)?)
    }

    /// The cipher suite, by its name in the standard; `None` before the handshake has one.
    pub fn cipher(&mut self) -> Result<Option<&'static str>> {
        Ok(self.tls()?.current_cipher().and_then(|cipher| cipher.standard_name()))
    }

    /// The group of the key exchange, by BoringSSL's name; `None` before the handshake has one.
    pub fn group(&mut self) -> Result<Option<&'static str>> {
        Ok(self.tls()?.curve_name())
    }

    /// Keying material that only the two ends of this connection can compute (RFC 8446 §7.5, RFC 5705).
    pub fn export_keying_material(&mut self, label: &str, context: &[u8], length: usize) -> Result<Vec<u8>> {
        if !self.live()?.is_established() {
            return Err(quiche::Error::InvalidState.into());
        }
        let mut material = vec![0; length];
        // In TLS 1.3 an empty context and none are the same.
        let exported = self.tls()?.export_keying_material(&mut material, label, Some(context));
        exported.map(|()| material).map_err(|_| Error::Argument {
            argument: "label",
            reason: "is too long, or too much is asked for".into(),
        })
    }

    /// Server: whoever resumes is not judged again, and so gets no new ticket: the verdict ends with the ticket that it
    /// was given for. To be called before the client's last handshake message is taken in.
    pub(super) fn keep_verdict_short(&mut self) -> Result<()> {
        if !self.is_server() || matches!(self.examiner, Examiner::Nobody) || !self.live()?.is_resumed() {
            return Ok(());
        }
        let options = SslOptions::NO_TICKET.bits();
        // SAFETY: the connection lives.
        unsafe { boring_sys::SSL_set_options(self.tls()?.as_ptr(), options) };
        Ok(())
    }

    /// BoringSSL aborts the process when a session comes later.
    fn before_handshake(&mut self) -> Result<()> {
        match self.tls()?.state_string_long() {
            "TLS client start_connect" | "TLS server start_accept" => Ok(()),
            _ => Err(quiche::Error::InvalidState.into()),
        }
    }
}
