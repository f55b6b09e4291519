//! Certificates and keys as JavaScript hands them over: text or bytes, PEM or DER, one or many.

use crate::binding::error::Result;
use crate::x509::pem::{self, PrivateKey};
use napi::bindgen_prelude::{Either, Either3, Uint8Array};

/// PEM text as a string, or PEM text or DER as bytes.
pub type PemOrDer = Either<String, Uint8Array>;

/// One or many certificates: PEM text may hold several, DER one.
pub type PemOrDerList = Either3<String, Uint8Array, Vec<PemOrDer>>;

/// The bytes, of text or DER.
pub fn bytes(input: &PemOrDer) -> &[u8] {
    match input {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

/// The DER of all certificates, in their order.
pub fn certificate_ders(input: &PemOrDerList) -> Result<Vec<Vec<u8>>> {
    match input {
        Either3::A(text) => Ok(pem::certificates(text.as_bytes())?),
        Either3::B(bytes) => ders_in(bytes),
        Either3::C(items) => ders_of_all(items),
    }
}

/// The DER of all certificates in a list.
pub fn ders_of_all(items: &[PemOrDer]) -> Result<Vec<Vec<u8>>> {
    let mut ders = Vec::with_capacity(items.len());
    for item in items {
        ders.append(&mut ders_in(bytes(item))?);
    }
    Ok(ders)
}

/// The DER of all certificates in PEM text, or the one that the bytes are.
pub fn ders_in(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    if pem::is_pem(bytes) {
        Ok(pem::certificates(bytes)?)
    } else {
        Ok(vec![bytes.to_vec()])
    }
}

/// A private key: PEM text of any format, or PKCS#8 DER.
pub fn private_key(input: &PemOrDer) -> Result<PrivateKey> {
    match input {
        Either::A(text) => Ok(pem::private_key(text.as_bytes())?),
        Either::B(bytes) if pem::is_pem(bytes) => Ok(pem::private_key(bytes)?),
        Either::B(bytes) => Ok(PrivateKey::from_pkcs8(bytes.to_vec())),
    }
}
