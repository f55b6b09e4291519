//! Parses, makes and verifies X.509 certificate chains. Knows no QUIC, and reads no clock: times are arguments, in
//! seconds since the Unix epoch.
//!
//! | module | concept |
//! | --- | --- |
//! | [`pem`] | PEM ↔ DER: certificates and private keys in text |
//! | [`certificate`] | the facts in one certificate; [`name`], [`alt_names`], [`usage`], [`key`], [`fingerprint`] are parts of it |
//! | [`chain`] | a peer's list of certificates, leaf first, bounded |
//! | [`anchors`] | whom the application trusts from the start |
//! | [`verify`] | judges a chain by the rules of the web, up to an anchor |
//! | [`successor`] | judges a chain by the rule of peers whose keys change |
//! | [`error`] | which check failed on which certificate |
//! | [`create`] | makes certificates; [`key`] makes keys |

pub mod alt_names;
pub mod anchors;
pub mod certificate;
pub mod chain;
mod constraints;
pub mod create;
pub mod error;
pub mod fingerprint;
pub mod key;
pub mod name;
pub mod oid;
pub mod pem;
mod signature;
pub mod successor;
#[cfg(test)]
mod testing;
pub mod usage;
pub mod verify;

pub use alt_names::{InvalidServerName, ServerName, SubjectAltNames};
pub use anchors::{AnchorError, Anchors};
pub(crate) use certificate::hex;
pub use certificate::{BasicConstraints, Certificate, CertificateError, Extension, MAX_CERTIFICATE_BYTES};
pub use chain::{Chain, ChainError, MAX_CHAIN_BYTES, MAX_CHAIN_LENGTH};
pub use create::{
    CaParams, CertificateParams, CreateError, IssuerParams, MAX_SERIAL_BYTES, MAX_TIME, NewCertificate,
    create_certificate,
};
pub use error::VerifyError;
pub use fingerprint::{FingerprintError, key_fingerprint};
pub use key::{KeyAlgorithm, KeyError, KeyType, generate_key};
pub use name::Name;
pub use pem::{PemError, PrivateKey, PrivateKeyFormat};
pub use successor::{Dates, Identity, SuccessorChain, SuccessorOptions, Target, verify_signed_by_successor};
pub use usage::{ExtendedKeyUsage, KeyUsage, Purpose};
pub use verify::{VerifiedChain, VerifyOptions, verify_chain};
