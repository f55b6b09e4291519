//! A chain of certificates as a peer sends it: leaf first, bounded before anything is read.

use super::certificate::{Certificate, CertificateError};

/// Most certificates a chain may have.
pub const MAX_CHAIN_LENGTH: usize = 64;

/// Most bytes a chain may have, all certificates together.
pub const MAX_CHAIN_BYTES: usize = 256 * 1024;

/// Why a list of DER is no chain.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// There is no certificate.
    #[error("the chain holds no certificate")]
    Empty,
    /// There are more than [`MAX_CHAIN_LENGTH`] certificates.
    #[error("the chain has {length} certificates; {MAX_CHAIN_LENGTH} are allowed")]
    TooLong {
        /// How many.
        length: usize,
    },
    /// The certificates have more than [`MAX_CHAIN_BYTES`] bytes.
    #[error("the chain has {bytes} bytes; {MAX_CHAIN_BYTES} are allowed")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// One of the certificates can't be read.
    #[error("certificate {index} of the chain: {source}")]
    Certificate {
        /// Its place, the leaf being 0.
        index: usize,
        /// What is wrong with it.
        source: CertificateError,
    },
}

impl ChainError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "EmptyChain",
            Self::TooLong { .. } => "ChainTooLong",
            Self::TooLarge { .. } => "ChainTooLarge",
            Self::Certificate { source, .. } => source.code(),
        }
    }

    /// The certificate to blame, the leaf being 0; `None` if it is the chain as a whole.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Certificate { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// The TLS alert (RFC 8446 §6) that tells the peer.
    pub fn tls_alert(&self) -> u8 {
        match self {
            Self::Empty => 116, // certificate_required
            _ => 42,            // bad_certificate
        }
    }
}

/// One to [`MAX_CHAIN_LENGTH`] parsed certificates, the leaf first. Whether they belong together is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    certificates: Vec<Certificate>,
}

impl Chain {
    /// Reads a chain from the DER of its certificates.
    pub fn parse<D: AsRef<[u8]>>(ders: &[D]) -> Result<Self, ChainError> {
        if ders.is_empty() {
            return Err(ChainError::Empty);
        }
        if ders.len() > MAX_CHAIN_LENGTH {
            return Err(ChainError::TooLong { length: ders.len() });
        }
        let bytes = ders.iter().map(|der| der.as_ref().len()).sum();
        if bytes > MAX_CHAIN_BYTES {
            return Err(ChainError::TooLarge { bytes });
        }
        let parse = |(index, der): (usize, &D)| {
            Certificate::parse(der.as_ref()).map_err(|source| ChainError::Certificate { index, source })
        };
        let certificates = ders.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { certificates })
    }

    /// The certificates, the leaf first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The peer's own certificate.
    pub fn leaf(&self) -> &Certificate {
        self.certificates
            .first()
            .expect("a chain is never empty: parse() refuses that")
    }

    /// The certificates, taken out.
    pub fn into_certificates(self) -> Vec<Certificate> {
        self.certificates
    }
}
