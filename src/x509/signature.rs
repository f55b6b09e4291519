//! Whether a certificate was signed by a key: x509-parser's check (by ring), guarded by what we accept.

use super::certificate::Certificate;
use super::key::KeyType;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::error::X509Error;
use x509_parser::nom::Parser;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// It was not made by this key, or not over this certificate.
    Wrong,
    /// It can't be checked, or is too weak to say anything.
    Unsupported {
        /// The algorithm in words.
        algorithm: String,
    },
}

/// Checks that `certificate` was signed by the key in `signer`. Names and dates play no part.
pub(crate) fn check(certificate: &Certificate, signer: &Certificate) -> Result<(), SignatureError> {
    let algorithm = Algorithm::of(certificate);
    if !algorithm.fits(signer.key_type()) {
        return Err(SignatureError::Wrong);
    }
    if let Some(algorithm) = algorithm.objection(signer.key_type(), certificate) {
        return Err(SignatureError::Unsupported { algorithm });
    }
    // Both were parsed before; this second look without extensions takes microseconds.
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (_, parsed) = parser.parse(certificate.der()).map_err(|_| SignatureError::Wrong)?;
    let (_, key) = SubjectPublicKeyInfo::from_der(signer.spki()).map_err(|_| SignatureError::Wrong)?;
    parsed.verify_signature(Some(&key)).map_err(|error| match error {
        X509Error::SignatureUnsupportedAlgorithm => SignatureError::Unsupported {
            algorithm: certificate.signature_algorithm().to_owned(),
        },
        _ => SignatureError::Wrong,
    })
}

/// The families of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ed25519,
    /// With SHA-256 or SHA-384.
    Ecdsa,
    /// With SHA-512, which ring does not check.
    EcdsaSha512,
    /// PKCS#1 v1.5 or PSS.
    Rsa,
    /// Known, and not to be trusted any more.
    Sha1,
    Unknown,
}

impl Algorithm {
    fn of(certificate: &Certificate) -> Self {
        match certificate.signature_algorithm() {
            "1.3.101.112" => Self::Ed25519,
            "1.2.840.10045.4.3.2" | "1.2.840.10045.4.3.3" => Self::Ecdsa,
            "1.2.840.10045.4.3.4" => Self::EcdsaSha512,
            "1.2.840.113549.1.1.10" | "1.2.840.113549.1.1.11" | "1.2.840.113549.1.1.12" | "1.2.840.113549.1.1.13" => {
                Self::Rsa
            }
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" => Self::Sha1,
            _ => Self::Unknown,
        }
    }

    /// Whether such a key can have made such a signature.
    fn fits(self, key: &KeyType) -> bool {
        use KeyType::{EcdsaP256, EcdsaP384, EcdsaP521, Ed25519, Other, Rsa};
        match (self, key) {
            (Self::Ed25519, Ed25519) | (Self::Rsa, Rsa { .. }) => true,
            (Self::Ecdsa | Self::EcdsaSha512, EcdsaP256 | EcdsaP384 | EcdsaP521) => true,
            // What these are is for objection() to say.
            (Self::Sha1 | Self::Unknown, _) | (_, Other { .. }) => true,
            _ => false,
        }
    }

    /// Why the signature is not even looked at.
    fn objection(self, key: &KeyType, certificate: &Certificate) -> Option<String> {
        match (self, key) {
            (Self::Sha1, _) => Some("SHA-1".to_owned()),
            (Self::Unknown, _) => Some(certificate.signature_algorithm().to_owned()),
            (_, KeyType::Other { oid }) => Some(format!("key {oid}")),
            (_, KeyType::EcdsaP521) => Some("ECDSA P-521".to_owned()),
            (Self::EcdsaSha512, _) => Some("ECDSA with SHA-512".to_owned()),
            (_, KeyType::Rsa { bits }) if !(2048..=8192).contains(bits) => Some(format!("RSA with {bits} bits")),
            _ => None,
        }
    }
}
