//! The hook that pauses a handshake until the application has judged the peer's certificate chain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boring::ssl::{SslAlert, SslRef, SslVerifyError, SslVerifyMode};
use foreign_types_shared::ForeignTypeRef;

use super::chain_check::{ChainCheck, ChainFailure};
use super::config::Verification;

/// Where the application's judgement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Verdict {
    /// The handshake hasn't come to the peer's chain.
    #[default]
    NotAsked,
    /// The chain is there; the handshake waits.
    Pending,
    /// The application trusts the peer.
    Trusted,
    /// The application refuses the peer.
    Refused(Alert),
}

/// A TLS alert that may answer a peer's certificate (RFC 8446 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert(u8);

impl Alert {
    pub(super) const BAD_CERTIFICATE: Self = Self(42);
    pub(super) const INTERNAL_ERROR: Self = Self(80);

    /// An alert by its number, if BoringSSL can send it.
    pub fn new(code: u8) -> Option<Self> {
        to_boring(code).map(|_| Self(code))
    }

    /// The alert's number. On the wire it is the QUIC error 0x100 + this (RFC 9001 §4.8).
    pub fn code(self) -> u8 {
        self.0
    }

    pub(super) fn to_boring(self) -> SslAlert {
        to_boring(self.0).unwrap_or(SslAlert::BAD_CERTIFICATE)
    }
}

/// Who examines one connection's peer.
#[derive(Debug, Clone)]
pub(super) enum Examiner {
    /// Nobody, or BoringSSL by settings that quiche made.
    Nobody,
    Chain(ChainCheck),
    Application(Judge),
}

impl Examiner {
    /// Takes its place, before the handshake begins.
    pub(super) fn install(ssl: &mut SslRef, who: Option<Verification>, is_server: bool) -> Self {
        // A server that wants a certificate refuses a client without one: CertificateRequired.
        let demand = if is_server {
            SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
        } else {
            SslVerifyMode::PEER
        };
        let examiner = match who {
            None => Self::Nobody,
            Some(Verification::None) => {
                ssl.set_verify(SslVerifyMode::NONE);
                Self::Nobody
            }
            Some(Verification::Chain) => {
                let check = ChainCheck::default();
                let asked = check.clone();
                ssl.set_custom_verify_callback(demand, move |ssl| asked.check(ssl));
                Self::Chain(check)
            }
            Some(Verification::Application) => {
                let judge = Judge::default();
                let asked = judge.clone();
                ssl.set_custom_verify_callback(demand, move |_| asked.ask());
                Self::Application(judge)
            }
        };
        // A server: BoringSSL renews the ticket with early data at once, and the verdict with it (`keep_verdict_short`).
        // A judge: BoringSSL would ask about the chain of the session before the server has said whether it takes it.
        if matches!(
            (&examiner, is_server),
            (Self::Application(_), _) | (Self::Chain(_), true)
        ) {
            // SAFETY: the connection lives.
            unsafe { boring_sys::SSL_set_early_data_enabled(ssl.as_ptr(), 0) };
        }
        examiner
    }

    pub(super) fn judge(&self) -> Option<&Judge> {
        match self {
            Self::Application(judge) => Some(judge),
            Self::Nobody | Self::Chain(_) => None,
        }
    }

    /// Whether the chain of the session that a client was given would still pass. A judge is asked in the handshake.
    pub(super) fn approves_session(&self, ssl: &mut SslRef) -> bool {
        match self {
            Self::Chain(check) => check.passes(ssl),
            Self::Nobody | Self::Application(_) => true,
        }
    }

    pub(super) fn failure(&self) -> Option<ChainFailure> {
        match self {
            Self::Chain(check) => check.failure(),
            Self::Nobody | Self::Application(_) => None,
        }
    }
}

/// Shared by a connection and its TLS callback; BoringSSL wants it to be `Send + Sync`, though it never leaves the thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Judge(Arc<Mutex<Verdict>>);

impl Judge {
    pub(super) fn verdict(&self) -> Verdict {
        *self.lock()
    }

    /// Answers BoringSSL, which asks anew at every drive of the handshake until it has a verdict.
    fn ask(&self) -> Result<(), SslVerifyError> {
        let mut verdict = self.lock();
        match *verdict {
            Verdict::Trusted => Ok(()),
            Verdict::Refused(alert) => Err(SslVerifyError::Invalid(alert.to_boring())),
            Verdict::NotAsked | Verdict::Pending => {
                *verdict = Verdict::Pending;
                Err(SslVerifyError::Retry)
            }
        }
    }

    /// Takes the verdict, if one is awaited.
    pub(super) fn settle(&self, refusal: Option<Alert>) -> bool {
        let mut verdict = self.lock();
        if *verdict != Verdict::Pending {
            return false;
        }
        *verdict = refusal.map_or(Verdict::Trusted, Verdict::Refused);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Verdict> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `SslAlert` has no constructor from a number.
fn to_boring(code: u8) -> Option<SslAlert> {
    Some(match code {
        0 => SslAlert::CLOSE_NOTIFY,
        10 => SslAlert::UNEXPECTED_MESSAGE,
        20 => SslAlert::BAD_RECORD_MAC,
        21 => SslAlert::DECRYPTION_FAILED,
        22 => SslAlert::RECORD_OVERFLOW,
        30 => SslAlert::DECOMPRESSION_FAILURE,
        40 => SslAlert::HANDSHAKE_FAILURE,
        41 => SslAlert::NO_CERTIFICATE,
        42 => SslAlert::BAD_CERTIFICATE,
        43 => SslAlert::UNSUPPORTED_CERTIFICATE,
        44 => SslAlert::CERTIFICATE_REVOKED,
        45 => SslAlert::CERTIFICATE_EXPIRED,
        46 => SslAlert::CERTIFICATE_UNKNOWN,
        47 => SslAlert::ILLEGAL_PARAMETER,
        48 => SslAlert::UNKNOWN_CA,
        49 => SslAlert::ACCESS_DENIED,
        50 => SslAlert::DECODE_ERROR,
        51 => SslAlert::DECRYPT_ERROR,
        60 => SslAlert::EXPORT_RESTRICTION,
        70 => SslAlert::PROTOCOL_VERSION,
        71 => SslAlert::INSUFFICIENT_SECURITY,
        80 => SslAlert::INTERNAL_ERROR,
        86 => SslAlert::INAPPROPRIATE_FALLBACK,
        90 => SslAlert::USER_CANCELLED,
        100 => SslAlert::NO_RENEGOTIATION,
        109 => SslAlert::MISSING_EXTENSION,
        110 => SslAlert::UNSUPPORTED_EXTENSION,
        111 => SslAlert::CERTIFICATE_UNOBTAINABLE,
        112 => SslAlert::UNRECOGNIZED_NAME,
        113 => SslAlert::BAD_CERTIFICATE_STATUS_RESPONSE,
        114 => SslAlert::BAD_CERTIFICATE_HASH_VALUE,
        115 => SslAlert::UNKNOWN_PSK_IDENTITY,
        116 => SslAlert::CERTIFICATE_REQUIRED,
        120 => SslAlert::NO_APPLICATION_PROTOCOL,
        _ => return None,
    })
}
