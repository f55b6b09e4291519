//! Refuses a newcomer with CONNECTION_REFUSED, without the cost of a connection: one Initial packet that holds one
//! CONNECTION_CLOSE frame (RFC 9000 §10.2.3), protected by the keys that everyone can derive (RFC 9001 §5.2).

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf::{self, HKDF_SHA256, KeyType, Prk, Salt};

/// RFC 9001 §5.2.
const INITIAL_SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f,
    0x0a,
];
const TAG_LENGTH: usize = 16;

/// The packet that tells the client which sent an Initial with these ids why it is refused. `code` is below 64, as all
/// transport error codes of RFC 9000 §20.1 are.
pub fn refusal(destination: &[u8], source: &[u8], code: u8) -> Option<Vec<u8>> {
    let frame = [0x1c, code & 0x3f, 0, 0];
    // One byte of packet number, the frame, the tag: below 64, and so a one-byte length.
    let length = 1 + frame.len() + TAG_LENGTH;
    let mut packet = vec![0xc0, 0, 0, 0, 1];
    for id in [source, destination] {
        packet.push(u8::try_from(id.len()).ok()?);
        packet.extend_from_slice(id);
    }
    packet.push(0); // no token
    packet.extend_from_slice(&[0x40, u8::try_from(length).ok()?]);
    let number_at = packet.len();
    packet.push(0); // packet number 0
    protect(packet, number_at, &frame, destination)
}

/// RFC 9001 §5.3 and §5.4.
fn protect(mut packet: Vec<u8>, number_at: usize, frame: &[u8], destination: &[u8]) -> Option<Vec<u8>> {
    let initial = Salt::new(HKDF_SHA256, &INITIAL_SALT_V1).extract(destination);
    let server = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&initial, "server in")?);
    let key = UnboundKey::new(&AES_128_GCM, &expand::<16>(&server, "quic key")?).ok()?;
    let header_key = quic::HeaderProtectionKey::new(&quic::AES_128, &expand::<16>(&server, "quic hp")?).ok()?;
    // Packet number 0: the nonce is the IV itself.
    let nonce = Nonce::assume_unique_for_key(expand::<12>(&server, "quic iv")?);
    let mut payload = frame.to_vec();
    LessSafeKey::new(key).seal_in_place_append_tag(nonce, Aad::from(&packet), &mut payload).ok()?;
    packet.extend_from_slice(&payload);
    let mask = header_key.new_mask(packet.get(number_at + 4..number_at + 20)?).ok()?;
    packet[0] ^= mask[0] & 0x0f;
    packet[number_at] ^= mask[1];
    Some(packet)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label of TLS 1.3 (RFC 8446 §7.1) with an empty context.
fn expand<const N: usize>(secret: &Prk, label: &str) -> Option<[u8; N]> {
    let length = u16::try_from(N).ok()?.to_be_bytes();
    let label_length = [u8::try_from("tls13 ".len() + label.len()).ok()?];
    let info = [&length[..], &label_length, b"tls13 ", label.as_bytes(), &[0]];
    let mut output = [0; N];
    let okm: hkdf::Okm<'_, Length> = secret.expand(&info, Length(N)).ok()?;
    okm.fill(&mut output).ok()?;
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001 Appendix A.1 gives the keys for this destination id.
    #[test]
    fn derives_the_keys_of_the_rfc() {
        let initial =
            Salt::new(HKDF_SHA256, &INITIAL_SALT_V1).extract(&[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]);
        let server = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&initial, "server in").expect("32 bytes"));
        let key = [0xcf, 0x3a, 0x53, 0x31, 0x65, 0x3c, 0x36, 0x4c, 0x88, 0xf0, 0xf3, 0x79, 0xb6, 0x06, 0x7e, 0x37];
        assert_eq!(expand::<16>(&server, "quic key"), Some(key));
    }
}
