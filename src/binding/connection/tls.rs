//! The peer's certificates, the verdict on them, and sessions.

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;

use super::Connection;
use crate::binding::error::{Result, invalid_argument};
use crate::binding::number;
use crate::quic::verification::Alert;
use crate::quic::{chain_check, handshake};

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

    /// What was wrong with the peer's certificates, where BoringSSL judged them (`setVerification('Chain')`) and refused; null
    /// if it did not. Answers at any time.
    #[napi]
    pub fn chain_failure(&self) -> Option<ChainFailure> {
        self.inner.borrow().chain_failure().map(Into::into)
    }

    /// The cipher suite, by the standard's name, as `TLS_AES_128_GCM_SHA256`; null before the handshake has one.
    #[napi]
    pub fn cipher(&self) -> Result<Option<&'static str>> {
        self.with(|connection| connection.cipher())
    }

    /// The group of the key exchange, by BoringSSL's name, as `X25519MLKEM768`; null before the handshake has one.
    #[napi]
    pub fn group(&self) -> Result<Option<&'static str>> {
        self.with(|connection| connection.group())
    }

    /// What the handshake told; null before it is over. A connection that an endpoint drives tells it also when it is gone.
    #[napi]
    pub fn handshake(&self) -> Result<Option<Handshake>> {
        self.with(|connection| Ok(connection.handshake()?.cloned()))
            .map(|told| told.map(Into::into))
    }

    /// Keying material that only the two ends of this connection can compute (RFC 8446 §7.5, RFC 5705): the same at both for
    /// the same arguments, other than any other connection's. `length` is 1 to 4096 bytes.
    ///
    /// Throws `InvalidState` before the handshake is complete, `InvalidArgument` for a label of more than 249 bytes.
    #[napi]
    pub fn export_keying_material(&self, label: String, context: &[u8], length: f64) -> Result<Buffer> {
        let length = number::size("length", length, 1..=MAX_KEYING_MATERIAL)?;
        self.with(|connection| connection.export_keying_material(&label, context, length))
            .map(Into::into)
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

/// What a handshake told, complete or so far that early data can flow.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct Handshake {
    /// Our connection id, as it was then.
    pub source_id: Buffer,
    /// The peer's connection id, as it was then.
    pub destination_id: Buffer,
    /// As `peerCertChain`.
    pub peer_cert_chain: Option<Vec<Uint8Array>>,
    /// As `cipher`.
    pub cipher: Option<&'static str>,
    /// As `group`.
    pub group: Option<&'static str>,
    /// As `applicationProto`.
    pub application_proto: Buffer,
    /// As `serverName`.
    pub server_name: Option<String>,
    /// As `isResumed`.
    pub is_resumed: bool,
}

impl From<handshake::Handshake> for Handshake {
    fn from(told: handshake::Handshake) -> Self {
        let chain = told.peer_cert_chain;
        Self {
            source_id: told.source_id.into(),
            destination_id: told.destination_id.into(),
            peer_cert_chain: chain.map(|chain| chain.into_iter().map(Into::into).collect()),
            cipher: told.cipher,
            group: told.group,
            application_proto: told.application_proto.into(),
            server_name: told.server_name,
            is_resumed: told.is_resumed,
        }
    }
}

/// Bytes of keying material: beyond what anyone needs, below what HKDF can give.
const MAX_KEYING_MATERIAL: u64 = 4096;

/// Which check failed on which of the peer's certificates.
#[napi(object, object_from_js = false)]
pub struct ChainFailure {
    /// The check, by the codes of `RefusedChain`; `ChainInvalid` for one that has no code there.
    pub check: String,
    /// The certificate's place in the chain as the peer sent it, the leaf being 0; the length of the chain stands for a trust
    /// anchor.
    pub index: u32,
    /// The certificate's subject, for people to read.
    pub subject: String,
    /// BoringSSL's words, for people to read.
    pub message: String,
}

impl From<chain_check::ChainFailure> for ChainFailure {
    fn from(failure: chain_check::ChainFailure) -> Self {
        Self {
            check: failure.check.to_owned(),
            index: u32::try_from(failure.index).unwrap_or(u32::MAX),
            subject: failure.subject,
            message: failure.message,
        }
    }
}

fn parse_alert(alert: f64) -> Result<Alert> {
    let code = number::u8("alert", alert)?;
    Alert::new(code).ok_or_else(|| invalid_argument("alert", &format!("there is no TLS alert {code}")))
}
