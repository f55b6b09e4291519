//! Parses, makes and verifies X.509 certificate chains. Knows no QUIC, and reads no clock: times are arguments, in
//! seconds since the Unix epoch.
//!
//! | module | concept |
//! | --- | --- |
//! | [`pem`] | PEM ↔ DER: certificates and private keys in text |

pub mod pem;

pub use pem::{PemError, PrivateKey, PrivateKeyFormat};
