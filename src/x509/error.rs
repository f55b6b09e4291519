//! The refusals: which check failed, on which certificate.

use super::signature::SignatureError;

/// Why a chain is not accepted. `index` is the certificate's place in the chain, the leaf being 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The chain has more certificates than the caller allows.
    #[error("the chain has {length} certificates; the caller allows {max}")]
    TooLong {
        /// How many there are.
        length: usize,
        /// How many may be.
        max: usize,
    },
    /// The same certificate occurs twice.
    #[error("certificate {index} is the same as certificate {first}: the chain runs in a circle")]
    Loop {
        /// The second occurrence.
        index: usize,
        /// The first.
        first: usize,
    },
    /// The certificate names an issuer that is not the subject of the next one: the order is wrong, or one is missing.
    #[error("certificate {index} was issued by {issuer:?}, but the next is about {next:?}")]
    IssuerMismatch {
        /// The certificate.
        index: usize,
        /// Its issuer.
        issuer: String,
        /// The subject of its successor.
        next: String,
    },
    /// The certificate was not signed by the key of its issuer.
    #[error("certificate {index} was not signed by the key of its issuer")]
    BadSignature {
        /// The certificate.
        index: usize,
    },
    /// The signature can't be checked, or its algorithm is too weak.
    #[error("the signature of certificate {index} is not accepted: {algorithm}")]
    UnsupportedAlgorithm {
        /// The certificate.
        index: usize,
        /// The algorithm in words, or as an object identifier.
        algorithm: String,
    },
    /// The certificate's time has not come.
    #[error("certificate {index} is not valid before second {not_before}; the time of verification is {at}")]
    NotYetValid {
        /// The certificate.
        index: usize,
        /// Its first second, since the Unix epoch.
        not_before: i64,
        /// The time of verification, likewise.
        at: i64,
    },
    /// The certificate's time is over.
    #[error("certificate {index} expired after second {not_after}; the time of verification is {at}")]
    Expired {
        /// The certificate.
        index: usize,
        /// Its last second, since the Unix epoch.
        not_after: i64,
        /// The time of verification, likewise.
        at: i64,
    },
    /// The anchor that issued the certificate is not valid at this time.
    #[error("the trust anchor that issued certificate {index} is not valid at second {at}")]
    AnchorNotValid {
        /// The certificate, not the anchor.
        index: usize,
        /// The time of verification, in seconds since the Unix epoch.
        at: i64,
    },
    /// The certificate issued another, but is not a CA's.
    #[error("certificate {index} is no CA's, yet it issued the one before it")]
    NotCa {
        /// The issuer's certificate; the length of the chain stands for the anchor behind it.
        index: usize,
    },
    /// The CA allows fewer intermediate certificates below it.
    #[error("certificate {index} allows {allowed} intermediate certificates below it; there are {found}")]
    PathLengthExceeded {
        /// The CA's certificate; the length of the chain stands for the anchor behind it.
        index: usize,
        /// How many it allows.
        allowed: u32,
        /// How many there are.
        found: usize,
    },
    /// The certificate's key may not be used like this.
    #[error("certificate {index} may not be used for {usage}")]
    KeyUsage {
        /// The certificate; the length of the chain stands for the anchor behind it.
        index: usize,
        /// The usage that is missing.
        usage: &'static str,
    },
    /// The certificate has a critical extension nobody here understands.
    #[error("certificate {index} has the critical extension {oid}, which is not understood")]
    UnknownCriticalExtension {
        /// The certificate.
        index: usize,
        /// The extension.
        oid: String,
    },
    /// A CA above does not let the certificate have its names.
    #[error("certificate {index} has a name that the name constraints of certificate {issuer} don't permit")]
    NameNotPermitted {
        /// The certificate with the name.
        index: usize,
        /// The certificate with the constraints; the length of the chain stands for the anchor behind it.
        issuer: usize,
    },
    /// A CA above constrains names in more ways than is compared with a stranger's names.
    #[error("certificate {index} has too many names to be compared with all name constraints of certificate {issuer}")]
    TooManyConstraints {
        /// The certificate with the names.
        index: usize,
        /// The certificate with the constraints; the length of the chain stands for the anchor behind it.
        issuer: usize,
    },
    /// No anchor issued the last certificate.
    #[error("no trust anchor issued certificate {index} (its issuer: {issuer:?})")]
    Untrusted {
        /// The last certificate.
        index: usize,
        /// Its issuer.
        issuer: String,
    },
    /// The leaf is not the certificate of the server that was wanted.
    #[error("the certificate is not for {name}")]
    NameMismatch {
        /// The server's name.
        name: String,
    },
    /// No certificate of the chain has a wanted public key.
    #[error("none of the {length} certificates has a wanted public key")]
    IdentityNotFound {
        /// How many certificates were looked at.
        length: usize,
    },
}

impl VerifyError {
    pub(crate) fn from_signature(index: usize, error: SignatureError) -> Self {
        match error {
            SignatureError::Wrong => Self::BadSignature { index },
            SignatureError::Unsupported { algorithm } => Self::UnsupportedAlgorithm { index, algorithm },
        }
    }

    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "ChainTooLong",
            Self::Loop { .. } => "ChainLoop",
            Self::IssuerMismatch { .. } => "IssuerMismatch",
            Self::BadSignature { .. } => "BadSignature",
            Self::UnsupportedAlgorithm { .. } => "UnsupportedAlgorithm",
            Self::NotYetValid { .. } => "CertificateNotYetValid",
            Self::Expired { .. } => "CertificateExpired",
            Self::AnchorNotValid { .. } => "AnchorNotValid",
            Self::NotCa { .. } => "NotCa",
            Self::PathLengthExceeded { .. } => "PathLengthExceeded",
            Self::KeyUsage { .. } => "KeyUsage",
            Self::UnknownCriticalExtension { .. } => "UnknownCriticalExtension",
            Self::NameNotPermitted { .. } => "NameNotPermitted",
            Self::TooManyConstraints { .. } => "TooManyConstraints",
            Self::Untrusted { .. } => "Untrusted",
            Self::NameMismatch { .. } => "NameMismatch",
            Self::IdentityNotFound { .. } => "IdentityNotFound",
        }
    }

    /// The certificate to blame, the leaf being 0 and the length of the chain standing for the anchor behind it;
    /// `None` if it is the chain as a whole.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::TooLong { .. } | Self::IdentityNotFound { .. } => None,
            Self::NameMismatch { .. } => Some(0),
            Self::Loop { index, .. }
            | Self::IssuerMismatch { index, .. }
            | Self::BadSignature { index }
            | Self::UnsupportedAlgorithm { index, .. }
            | Self::NotYetValid { index, .. }
            | Self::Expired { index, .. }
            | Self::AnchorNotValid { index, .. }
            | Self::NotCa { index }
            | Self::PathLengthExceeded { index, .. }
            | Self::KeyUsage { index, .. }
            | Self::UnknownCriticalExtension { index, .. }
            | Self::NameNotPermitted { index, .. }
            | Self::TooManyConstraints { index, .. }
            | Self::Untrusted { index, .. } => Some(*index),
        }
    }

    /// The TLS alert (RFC 8446 §6.2) that tells the peer; QUIC sends it as 256 + alert (RFC 9001 §4.8).
    pub fn tls_alert(&self) -> u8 {
        match self {
            Self::UnsupportedAlgorithm { .. } => 43,               // unsupported_certificate
            Self::NotYetValid { .. } | Self::Expired { .. } => 45, // certificate_expired
            Self::Untrusted { .. } | Self::AnchorNotValid { .. } | Self::IssuerMismatch { .. } => 48, // unknown_ca
            _ => 42,                                               // bad_certificate
        }
    }
}
