//! The name of a key: SHA-256 of its SubjectPublicKeyInfo, from whatever holds the key.

use super::certificate::{Certificate, sha256};
use super::pem::{self, PemError, PrivateKey};
use super::{CreateError, create};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Why there is no fingerprint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FingerprintError {
    /// The PEM text can't be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The private key can't be used.
    #[error(transparent)]
    Key(#[from] CreateError),
    /// Neither a certificate nor a key.
    #[error("this is neither a certificate, nor a public key (SPKI), nor a private key (PKCS#8)")]
    NoKey,
}

impl FingerprintError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pem(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::NoKey => "NoKey",
        }
    }
}

/// The fingerprint of the key in a certificate, in a public key (SPKI) or in a private key (PKCS#8); PEM or DER. Of
/// several PEM blocks the first counts.
pub fn key_fingerprint(holder: &[u8]) -> Result<[u8; 32], FingerprintError> {
    if !pem::is_pem(holder) {
        return from_der(holder);
    }
    let block = pem::blocks(holder)?.into_iter().next().ok_or(PemError::NoBlock)?;
    match block.label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" | "PUBLIC KEY" => from_der(&block.der),
        _ => from_private_key(&pem::private_key(holder)?),
    }
}

fn from_der(der: &[u8]) -> Result<[u8; 32], FingerprintError> {
    if let Ok(certificate) = Certificate::parse(der) {
        return Ok(certificate.spki_fingerprint());
    }
    if let Ok((rest, _)) = SubjectPublicKeyInfo::from_der(der)
        && rest.is_empty()
    {
        return Ok(sha256(der));
    }
    from_private_key(&PrivateKey::from_pkcs8(der.to_vec())).map_err(|_| FingerprintError::NoKey)
}

fn from_private_key(key: &PrivateKey) -> Result<[u8; 32], FingerprintError> {
    Ok(sha256(&create::public_key(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::testing::Party;

    #[test]
    fn a_key_has_one_fingerprint_wherever_it_is() {
        let party = Party::new("peer", None, |_| {});
        let certificate = Certificate::parse(&party.der).unwrap();
        let expected = certificate.spki_fingerprint();
        let encode = |label, der: &[u8]| pem::encode(label, der).unwrap().into_bytes();
        for holder in [
            party.der.clone(),
            certificate.spki().to_vec(),
            party.key.secret_der().to_vec(),
            party.key.to_pem().into_bytes(),
            encode("CERTIFICATE", &party.der),
            encode("PUBLIC KEY", certificate.spki()),
        ] {
            assert_eq!(key_fingerprint(&holder).unwrap(), expected);
        }
    }

    #[test]
    fn what_holds_no_key_is_refused() {
        let code = |holder: &[u8]| key_fingerprint(holder).unwrap_err().code();
        assert_eq!(code(b""), "NoKey");
        assert_eq!(code(b"\x30\x00"), "NoKey");
        assert_eq!(
            code(b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----"),
            "NoKey"
        );
        assert_eq!(
            code(b"-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----"),
            "NoPrivateKey"
        );
        assert_eq!(
            code(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----"),
            "EncryptedPrivateKey"
        );
    }
}
