//! PEM ↔ DER for JavaScript.

use super::input::{PemOrDer, bytes};
use crate::binding::error::{Result, catch};
use crate::x509::pem::{self, PemError};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// Writes DER as a PEM block with lines of 64 characters and a final newline.
///
/// `label` is what stands behind `BEGIN`, 1 to 64 upper-case letters, digits and spaces; `CERTIFICATE` by default. Throws
/// `InvalidPemLabel`.
#[napi]
pub fn der_to_pem(der: Uint8Array, label: Option<String>) -> Result<String> {
    catch(|| pem::encode(label.as_deref().unwrap_or("CERTIFICATE"), &der))
}

/// Takes the DER out of all blocks of a PEM text, in their order; with a `label`, only of blocks that have it.
///
/// CRLF, text around the blocks, and a missing final newline do no harm. Throws `NoPemBlock` if there is none (or none with
/// the label), and `MalformedPemHeader`, `MissingPemEnd`, `InvalidBase64`, `TruncatedBase64` or `EmptyPemBlock`, naming the
/// line, if one is broken.
#[napi]
pub fn pem_to_der(
    #[napi(ts_arg_type = "string | Uint8Array")] pem: PemOrDer,
    label: Option<String>,
) -> Result<Vec<Uint8Array>> {
    catch(|| {
        let mut blocks = pem::blocks(bytes(&pem))?;
        blocks.retain(|block| label.as_ref().is_none_or(|label| block.label == *label));
        if blocks.is_empty() {
            return Err(PemError::NoBlock);
        }
        Ok(blocks.into_iter().map(|block| block.der.into()).collect())
    })
}
