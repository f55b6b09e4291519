//! Our connection ids: random, marked with a short MAC by which a restarted endpoint knows its own, and the stateless
//! reset tokens that belong to them.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::quic::error::{Error, Result};
use crate::quic::packet::ID_LENGTH;

const RANDOM_LENGTH: usize = 8;
/// The id that a Retry gives lives for one handshake, in long headers only.
const RETRY_ID_LENGTH: usize = 8;

/// Mints connection ids and derives what belongs to them from one static key.
pub struct IdKey {
    mark: hmac::Key,
    reset: hmac::Key,
    random: SystemRandom,
}

impl IdKey {
    /// A key from a secret, which must outlive the process for stateless resets to be of use after a restart; else a
    /// random one.
    pub fn new(secret: Option<&[u8]>) -> Result<Self> {
        let random = SystemRandom::new();
        let mut fresh = [0; 32];
        let secret = match secret {
            Some(secret) => secret,
            None => {
                random.fill(&mut fresh).map_err(|_| Error::Random)?;
                &fresh
            }
        };
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive = |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label).as_ref());
        Ok(Self { mark: derive(b"connection id"), reset: derive(b"stateless reset"), random })
    }

    /// A new connection id.
    pub fn mint(&self) -> Result<quiche::ConnectionId<'static>> {
        let mut id = vec![0; ID_LENGTH];
        let (random, mark) = id.split_at_mut(RANDOM_LENGTH);
        self.fill(random)?;
        mark.copy_from_slice(&self.mark(random));
        Ok(quiche::ConnectionId::from_vec(id))
    }

    /// A source id for a Retry (RFC 9000 §17.2.5).
    pub fn mint_retry_id(&self) -> Result<quiche::ConnectionId<'static>> {
        let mut id = vec![0; RETRY_ID_LENGTH];
        self.fill(&mut id)?;
        Ok(quiche::ConnectionId::from_vec(id))
    }

    /// Whether this key minted the id.
    pub fn is_ours(&self, id: &[u8]) -> bool {
        id.len() == ID_LENGTH && self.mark(&id[..RANDOM_LENGTH]) == id[RANDOM_LENGTH..]
    }

    /// The stateless reset token of an id (RFC 9000 §10.3.2).
    pub fn reset_token(&self, id: &[u8]) -> u128 {
        let tag = hmac::sign(&self.reset, id);
        let bytes: [u8; 16] = tag.as_ref()[..16].try_into().expect("SHA-256 gives 32 bytes");
        u128::from_be_bytes(bytes)
    }

    /// A stateless reset for a packet of `length` bytes that came for `id`; `None` if it would not be smaller, and so
    /// could go round in a loop (RFC 9000 §10.3.3).
    pub fn stateless_reset(&self, id: &[u8], length: usize) -> Option<Vec<u8>> {
        const SMALLEST: usize = 21;
        const LARGEST: usize = 43;
        let length = length.checked_sub(1)?.min(LARGEST);
        if length < SMALLEST {
            return None;
        }
        let mut packet = vec![0; length];
        self.fill(&mut packet).ok()?;
        // It looks like a short header packet.
        packet[0] = packet[0] & 0x3f | 0x40;
        packet[length - 16..].copy_from_slice(&self.reset_token(id).to_be_bytes());
        Some(packet)
    }

    fn mark(&self, random: &[u8]) -> [u8; ID_LENGTH - RANDOM_LENGTH] {
        let tag = hmac::sign(&self.mark, random);
        tag.as_ref()[..ID_LENGTH - RANDOM_LENGTH].try_into().expect("SHA-256 gives 32 bytes")
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        self.random.fill(bytes).map_err(|_| Error::Random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_ids_and_no_others() {
        let key = IdKey::new(Some(b"secret")).expect("a key");
        let id = key.mint().expect("an id");
        assert!(key.is_ours(&id));
        assert!(IdKey::new(Some(b"secret")).expect("a key").is_ours(&id));
        assert!(!IdKey::new(Some(b"other")).expect("a key").is_ours(&id));
        assert!(!key.is_ours(&id[..8]));
    }

    #[test]
    fn resets_are_smaller_than_what_they_answer_and_end_with_the_token() {
        let key = IdKey::new(None).expect("a key");
        let id = key.mint().expect("an id");
        for length in 0..100 {
            match key.stateless_reset(&id, length) {
                None => assert!(length <= 21),
                Some(reset) => {
                    assert!(reset.len() < length);
                    assert_eq!(reset[reset.len() - 16..], key.reset_token(&id).to_be_bytes());
                    assert_eq!(reset[0] & 0xc0, 0x40);
                }
            }
        }
    }
}
