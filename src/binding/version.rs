//! Versions and fixed sizes of QUIC.

use napi_derive::napi;

use super::error::Result;
use super::number;

/// The version of QUIC that is spoken: 1 (RFC 9000).
#[napi]
pub const PROTOCOL_VERSION: u32 = quiche::PROTOCOL_VERSION;

/// Length of the longest connection id, in bytes (RFC 9000 §17.2).
#[napi]
pub const MAX_CONN_ID_LEN: u32 = quiche::MAX_CONN_ID_LEN as u32;

/// Length of the shortest datagram with which a client may begin, in bytes (RFC 9000 §14.1).
#[napi]
pub const MIN_CLIENT_INITIAL_LEN: u32 = quiche::MIN_CLIENT_INITIAL_LEN as u32;

/// Whether a version of QUIC (0 to 2^32-1) is spoken here.
#[napi]
pub fn version_is_supported(version: f64) -> Result<bool> {
    Ok(quiche::version_is_supported(number::u32("version", version)?))
}
