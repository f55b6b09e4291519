//! The peer's certificates, the verdict on them, and sessions.

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;

use super::Connection;
use crate::binding::error::{Result, invalid_argument};
use crate::binding::number;
use crate::quic::verification::Alert;

#[napi]
impl Connection {
    /// The peer's certificate, DER; null for none, or not yet.
    #[napi]
    pub fn peer_cert(&self) -> Result<Option<Buffer>> {
        self.with(|connection| Ok(connection.live()?.peer_cert().map(|der| der.to_vec().into())))
    }

    /// The peer's certificates as it sent them, DER, leaf first; null for none, or not yet. They can be read while the
    /// verdict on them is awaited.
    #[napi]
    pub fn peer_cert_chain(&self) -> Result<Option<Vec<Uint8Array>>> {
        self.with(|connection| {
            let chain = connection.live()?.peer_cert_chain();
            Ok(chain.map(|chain| chain.into_iter().map(|der| der.to_vec().into()).collect()))
        })
    }

    /// Whether the peer's certificates wait for a verdict, and the handshake with them (`setVerification('Application')`).
    #[napi]
    pub fn is_verification_pending(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.is_verification_pending()))
    }

    /// Gives the verdict on the peer's certificates: trusted without `alert`, else refused with that TLS alert (RFC 8446
    /// §6), as 42 for bad_certificate, which reaches the peer as the QUIC error 0x100 + alert. Answers whether a verdict
    /// was awaited: a second one changes nothing. Driven by hand, call `send` afterwards: it throws `TlsFail` once after a
    /// refusal, the close follows at the next call.
    ///
    /// Throws `InvalidArgument` for a number that is no TLS alert.
    #[napi]
    pub fn settle_verification(&self, alert: Option<f64>) -> Result<bool> {
        let refusal = alert.map(parse_alert).transpose()?;
        self.with(|connection| connection.settle_verification(refusal))
    }

    /// Client: the session and the peer's transport parameters, to be given to `setSession` of a later connection to the
    /// same server; null as long as the server has sent no ticket. It holds secrets.
    #[napi]
    pub fn session(&self) -> Result<Option<Buffer>> {
        self.with(|connection| Ok(connection.live()?.session().map(|session| session.to_vec().into())))
    }

    /// Client: resumes an earlier session. Only before the first `send`: throws `InvalidState` later, and on a server. Throws
    /// `InvalidArgument` if the bytes are no session.
    #[napi]
    pub fn set_session(&self, session: &[u8]) -> Result<()> {
        self.with(|connection| connection.set_session(session))
    }
}

fn parse_alert(alert: f64) -> Result<Alert> {
    let code = number::u8("alert", alert)?;
    Alert::new(code).ok_or_else(|| invalid_argument("alert", &format!("there is no TLS alert {code}")))
}
