//! Certificates for JavaScript: parse, make, verify. Each file converts for the one of the same name in
//! [`crate::x509`].

pub mod certificate;
pub mod create;
pub mod input;
pub mod pem;
pub mod successor;
pub mod support;
pub mod verify;
