//! Packets without a connection: what a header says, version negotiation, Retry.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

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

/// Makes a version negotiation packet (RFC 9000 §17.2.1), the answer to a long header packet of an unknown version with these
/// ids: its source id and its destination id.
///
/// Throws `InvalidArgument` for ids of more than 20 bytes.
#[napi]
pub fn negotiate_version(scid: &[u8], dcid: &[u8]) -> Result<Buffer> {
    catch(|| written(OVERHEAD, |out| header::negotiate_version(scid, dcid, out)))
}

/// Makes a Retry packet (RFC 9000 §17.2.5), the answer to an Initial with these ids: its source id and its destination id. The
/// client comes back to `newScid` with the token, of which you must make sure that it is yours, fresh, and of this address;
/// `Connection.accept` then wants both ids.
///
/// Throws `UnknownVersion`, and `InvalidArgument` for ids of more than 20 bytes and for an empty token.
#[napi]
pub fn retry(scid: &[u8], dcid: &[u8], new_scid: &[u8], token: &[u8], version: f64) -> Result<Buffer> {
    let version = number::u32("version", version)?;
    catch(|| {
        written(OVERHEAD + token.len(), |out| {
            header::retry(scid, dcid, new_scid, token, version, out)
        })
    })
}

/// More than these packets have besides a token: flags, versions, two ids with their lengths, an integrity tag.
const OVERHEAD: usize = 128;

/// What a function has written, of at most so many bytes.
fn written(room: usize, write: impl FnOnce(&mut [u8]) -> quic::Result<usize>) -> quic::Result<Buffer> {
    let mut out = vec![0; room];
    let length = write(&mut out)?;
    out.truncate(length);
    Ok(out.into())
}
