//! Connection ids, and the packets that are made without a connection: version negotiation and Retry.

use super::error::{Error, Result};

/// A connection id of the caller's, if QUIC v1 can carry it (RFC 9000 §17.2).
pub fn connection_id<'a>(argument: &'static str, bytes: &'a [u8]) -> Result<quiche::ConnectionId<'a>> {
    let longest = quiche::MAX_CONN_ID_LEN;
    if bytes.len() > longest {
        let reason = format!("a connection id has at most {longest} bytes, this one {}", bytes.len());
        return Err(Error::Argument { argument, reason });
    }
    Ok(quiche::ConnectionId::from_ref(bytes))
}

/// A stateless reset token (RFC 9000 §10.3) from its bytes as they are on the wire.
pub fn reset_token(bytes: &[u8]) -> Result<u128> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| Error::Argument {
        argument: "resetToken",
        reason: format!("a stateless reset token has 16 bytes, this one {}", bytes.len()),
    })?;
    Ok(u128::from_be_bytes(bytes))
}

/// What the plain part of a packet's header says; `None` if the bytes are no QUIC packet. Short headers do not carry
/// the length of their destination id, so it is an argument.
pub fn parse(packet: &[u8], dcid_length: usize) -> Option<quiche::Header<'static>> {
    // quiche wants to write where it only reads.
    quiche::Header::from_slice(&mut packet.to_vec(), dcid_length).ok()
}

/// Writes a version negotiation packet for a client's Initial with these ids (RFC 9000 §17.2.1); answers its length.
pub fn negotiate_version(scid: &[u8], dcid: &[u8], out: &mut [u8]) -> Result<usize> {
    let (scid, dcid) = (connection_id("scid", scid)?, connection_id("dcid", dcid)?);
    Ok(quiche::negotiate_version(&scid, &dcid, out)?)
}

/// Writes a Retry packet for a client's Initial with these ids (RFC 9000 §17.2.5); answers its length. The client comes
/// back to `new_scid` with `token`.
pub fn retry(scid: &[u8], dcid: &[u8], new_scid: &[u8], token: &[u8], version: u32, out: &mut [u8]) -> Result<usize> {
    let (scid, dcid) = (connection_id("scid", scid)?, connection_id("dcid", dcid)?);
    let new_scid = connection_id("newScid", new_scid)?;
    if token.is_empty() {
        // RFC 9000 §17.2.5.2: a client discards a Retry without a token.
        return Err(Error::Argument {
            argument: "token",
            reason: "a Retry needs a token".into(),
        });
    }
    Ok(quiche::retry(&scid, &dcid, &new_scid, token, version, out)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_beyond_twenty_bytes_are_refused() {
        assert!(connection_id("scid", &[0; 20]).is_ok());
        assert_eq!(
            connection_id("scid", &[0; 21]).expect_err("too long").code(),
            "InvalidArgument"
        );
    }

    #[test]
    fn a_reset_token_has_sixteen_bytes() {
        assert_eq!(reset_token(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), Ok(258));
        assert_eq!(reset_token(&[0; 15]).expect_err("too short").code(), "InvalidArgument");
    }

    proptest! {
        #[test]
        fn strangers_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in 0..=20usize) {
            let _ = parse(&bytes, length);
        }
    }
}
