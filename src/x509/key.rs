//! Keys: the kinds a certificate may carry, and new ones.

use super::oid;
use super::pem::PrivateKey;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use std::fmt;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The kind of a certificate's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyType {
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// ECDSA on P-256, also called prime256v1.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521. Read, but signatures by it can't be checked: ring lacks the curve.
    EcdsaP521,
    /// RSA.
    Rsa {
        /// Length of the modulus.
        bits: u32,
    },
    /// Any other.
    Other {
        /// The algorithm's object identifier, followed for elliptic curves by a slash and the curve's.
        oid: String,
    },
}

impl KeyType {
    /// `None` if the key contradicts its algorithm.
    pub(crate) fn read(spki: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let algorithm = oid::text_from_der(spki.algorithm.algorithm.as_bytes())?;
        match algorithm.as_str() {
            "1.3.101.112" => (spki.subject_public_key.data.len() == 32).then_some(Self::Ed25519),
            "1.2.840.10045.2.1" => {
                let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
                let curve = curve.and_then(|oid| oid::text_from_der(oid.as_bytes()));
                Some(match curve.as_deref() {
                    Some("1.2.840.10045.3.1.7") => Self::EcdsaP256,
                    Some("1.3.132.0.34") => Self::EcdsaP384,
                    Some("1.3.132.0.35") => Self::EcdsaP521,
                    Some(curve) => Self::Other {
                        oid: format!("{algorithm}/{curve}"),
                    },
                    None => Self::Other { oid: algorithm },
                })
            }
            "1.2.840.113549.1.1.1" => match spki.parsed() {
                Ok(PublicKey::RSA(key)) => Some(Self::Rsa {
                    bits: bit_length(key.modulus),
                }),
                _ => None,
            },
            _ => Some(Self::Other { oid: algorithm }),
        }
    }
}

fn bit_length(number: &[u8]) -> u32 {
    let digits = number
        .iter()
        .position(|byte| *byte != 0)
        .map_or(&[][..], |first| &number[first..]);
    let bits = digits.len() * 8 - digits.first().map_or(0, |byte| byte.leading_zeros() as usize);
    u32::try_from(bits).expect("a certificate's length is bounded, far below 512 MiB")
}

impl fmt::Display for KeyType {
    /// The name for JavaScript and messages: `Ed25519`, `P-256`, `P-384`, `P-521`, `RSA`, or an object identifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            Self::EcdsaP521 => "P-521",
            Self::Rsa { .. } => "RSA",
            Self::Other { oid } => oid,
        })
    }
}

/// The kinds of keys that [`generate_key`] makes. RSA keys are made by `node:crypto` or openssl: ring has no generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// Ed25519: small, fast, the usual choice for a peer's identity.
    Ed25519,
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
}

/// Why there is no new key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Keys of this kind are not made here.
    #[error(
        "{name:?} is not one of Ed25519, P-256 and P-384 (RSA keys: generateKeyPairSync('rsa', …) of node:crypto, exported as pkcs8)"
    )]
    UnknownAlgorithm {
        /// What was asked for.
        name: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a key")]
    NoRandomness,
}

impl KeyError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownAlgorithm { .. } => "UnknownKeyAlgorithm",
            Self::NoRandomness => "NoRandomness",
        }
    }
}

impl std::str::FromStr for KeyAlgorithm {
    type Err = KeyError;

    /// Reads the names that [`KeyType`] shows.
    fn from_str(name: &str) -> Result<Self, KeyError> {
        match name {
            "Ed25519" => Ok(Self::Ed25519),
            "P-256" => Ok(Self::EcdsaP256),
            "P-384" => Ok(Self::EcdsaP384),
            _ => Err(KeyError::UnknownAlgorithm {
                name: name.chars().take(40).collect(),
            }),
        }
    }
}

/// Makes a new private key, as PKCS#8.
pub fn generate_key(algorithm: KeyAlgorithm) -> Result<PrivateKey, KeyError> {
    let random = SystemRandom::new();
    let document = match algorithm {
        KeyAlgorithm::Ed25519 => {
            let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| KeyError::NoRandomness)?;
            return Ok(PrivateKey::from_pkcs8(without_public_key(document.as_ref())));
        }
        KeyAlgorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
        KeyAlgorithm::EcdsaP384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &random),
    };
    let document = document.map_err(|_| KeyError::NoRandomness)?;
    Ok(PrivateKey::from_pkcs8(document.as_ref().to_vec()))
}

/// An Ed25519 PKCS#8 document up to its secret (RFC 8410 §7): version 0, algorithm, 32 bytes in two OCTET STRINGs.
const ED25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// ring writes version 1 of the format, with the public key at the end; BoringSSL and old OpenSSL read only version 0.
fn without_public_key(document: &[u8]) -> Vec<u8> {
    let secret = document
        .get(16..48)
        .expect("ring's document has the secret behind a header of 16 bytes");
    [&ED25519_PREFIX[..], secret].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_readable_and_differ() {
        let random = SystemRandom::new();
        let key = generate_key(KeyAlgorithm::Ed25519).unwrap();
        assert_eq!(key.secret_der().len(), 48);
        assert!(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_der()).is_ok());
        assert_ne!(key, generate_key(KeyAlgorithm::Ed25519).unwrap());
        for (algorithm, signing) in [
            (KeyAlgorithm::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (KeyAlgorithm::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ] {
            let key = generate_key(algorithm).unwrap();
            assert!(EcdsaKeyPair::from_pkcs8(signing, key.secret_der(), &random).is_ok());
        }
    }

    #[test]
    fn rsa_is_declined_with_the_way_out() {
        let error = "RSA".parse::<KeyAlgorithm>().unwrap_err();
        assert_eq!(error.code(), "UnknownKeyAlgorithm");
        assert!(error.to_string().contains("node:crypto"));
    }

    #[test]
    fn bits_are_counted_from_the_first_one() {
        assert_eq!(bit_length(&[0, 0x80, 0]), 16);
        assert_eq!(bit_length(&[1]), 1);
        assert_eq!(bit_length(&[0]), 0);
        assert_eq!(bit_length(&[]), 0);
    }
}
