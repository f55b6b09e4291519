//! Packets without a connection: what a header says, version negotiation, Retry.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::bytes::Uint8ArraySlice;
use super::error::{Result, catch};
use super::number;
use crate::quic::{self, header};

/// What the plain part of a packet's header says (RFC 9000 §17).
#[napi]
pub struct Header {
    inner: quiche::Header<'static>,
}

#[napi]
impl Header {
    /// Reads the header of a datagram's first packet; null if the bytes are no QUIC packet.
    ///
    /// `dcidLength` is the length of our connection ids, 0 to 20: short headers do not carry it. Throws `OutOfRange`.
    #[napi]
    pub fn parse(datagram: &[u8], dcid_length: f64) -> Result<Option<Header>> {
        let length = number::size("dcidLength", dcid_length, 0..=quiche::MAX_CONN_ID_LEN as u64)?;
        catch(|| Ok::<_, quic::Error>(header::parse(datagram, length).map(|inner| Header { inner })))
    }

    /// The packet's type; `Short` is the one for data once the handshake is complete (1-RTT).
    #[napi(
        getter,
        js_name = "type",
        ts_return_type = "'Initial' | 'Retry' | 'Handshake' | 'ZeroRTT' | 'VersionNegotiation' | 'Short'"
    )]
    pub fn kind(&self) -> &'static str {
        match self.inner.ty {
            quiche::Type::Initial => "Initial",
            quiche::Type::Retry => "Retry",
            quiche::Type::Handshake => "Handshake",
            quiche::Type::ZeroRTT => "ZeroRTT",
            quiche::Type::VersionNegotiation => "VersionNegotiation",
            quiche::Type::Short => "Short",
        }
    }

    /// The version; 0 in short headers, which do not carry it, and in version negotiation.
    #[napi(getter)]
    pub fn version(&self) -> u32 {
        self.inner.version
    }

    /// The destination connection id.
    #[napi(getter)]
    pub fn dcid(&self) -> Buffer {
        self.inner.dcid.to_vec().into()
    }

    /// The source connection id; empty in short headers, which do not carry it.
    #[napi(getter)]
    pub fn scid(&self) -> Buffer {
        self.inner.scid.to_vec().into()
    }

    /// The token of an Initial (empty for none) or a Retry; null in other packets.
    #[napi(getter)]
    pub fn token(&self) -> Option<Buffer> {
        self.inner.token.clone().map(Into::into)
    }

    /// The versions that a version negotiation offers; null in other packets.
    #[napi(getter)]
    pub fn versions(&self) -> Option<Vec<u32>> {
        self.inner.versions.clone()
    }
}

/// Writes a version negotiation packet (RFC 9000 §17.2.1) into the buffer, as the answer to a long header packet of an
/// unknown version with these ids: its source id and its destination id. Answers the length.
///
/// Throws `BufferTooShort`, and `InvalidArgument` for ids of more than 20 bytes.
#[napi]
pub fn negotiate_version(scid: &[u8], dcid: &[u8], buffer: Uint8ArraySlice) -> Result<u32> {
    catch(|| header::negotiate_version(scid, dcid, buffer)).map(|length| length as u32)
}

/// Writes a Retry packet (RFC 9000 §17.2.5) into the buffer, as the answer to an Initial with these ids: its source id and
/// its destination id. The client comes back to `newScid` with the token, of which you must make sure that it is yours,
/// fresh, and of this address: `Connection.accept` then wants both ids. Answers the length.
///
/// Throws `BufferTooShort`, `UnknownVersion`, and `InvalidArgument` for ids of more than 20 bytes or an empty token.
#[napi]
pub fn retry(
    scid: &[u8],
    dcid: &[u8],
    new_scid: &[u8],
    token: &[u8],
    version: f64,
    buffer: Uint8ArraySlice,
) -> Result<u32> {
    let version = number::u32("version", version)?;
    catch(|| header::retry(scid, dcid, new_scid, token, version, buffer)).map(|length| length as u32)
}
