//! Certificates for JavaScript: parse, make, verify. Each file converts for the one of the same name in
//! [`crate::x509`].

mod certificate;
mod create;
mod input;
mod pem;
mod successor;
mod support;
mod verify;
