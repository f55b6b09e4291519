//! Retry tokens (RFC 9000 §8.1.2): sealed, bound to the client's address, its first destination id and the time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::error::{Error, Result};

/// How long a token is good: enough for one round trip over a bad link, too short to be worth stealing.
pub const LIFETIME: Duration = Duration::from_secs(10);

/// Longest possible token: nonce, time, id and tag.
const OVERHEAD: usize = NONCE_LEN + 16;
const MAX_ID_LENGTH: usize = 20;

/// Mints tokens and checks them.
pub struct TokenKey {
    key: LessSafeKey,
    random: SystemRandom,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not sealed by this key for this address.
    Forged,
    /// Too old, or from the future.
    Expired,
}

impl TokenKey {
    /// A key from a secret of any length, or a random one.
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
        let okm = Salt::new(HKDF_SHA256, b"polykey-quic").extract(secret);
        let key = okm.expand(&[b"retry token"], &AES_256_GCM).map_err(|_| Error::Random)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(key)), random })
    }

    /// A token for a client at `address` whose first destination id was `original`. `now` is the time since the Unix
    /// epoch.
    pub fn mint(&self, address: SocketAddr, original: &[u8], now: Duration) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Error::Random)?;
        let mut sealed = now.as_millis().min(u128::from(u64::MAX)).to_be_bytes()[8..].to_vec();
        sealed.extend_from_slice(original);
        let aad = Aad::from(bound_to(address));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| Error::Random)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Checks a token; answers the client's first destination id.
    pub fn check(&self, token: &[u8], address: SocketAddr, now: Duration) -> Result<Vec<u8>, Refusal> {
        if token.len() > OVERHEAD + 8 + MAX_ID_LENGTH {
            return Err(Refusal::Forged);
        }
        let (nonce, sealed) = token.split_at_checked(NONCE_LEN).ok_or(Refusal::Forged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Refusal::Forged)?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(bound_to(address));
        let opened = self.key.open_in_place(nonce, aad, &mut sealed).map_err(|_| Refusal::Forged)?;
        let (time, original) = opened.split_first_chunk::<8>().ok_or(Refusal::Forged)?;
        let minted = Duration::from_millis(u64::from_be_bytes(*time));
        match now.checked_sub(minted) {
            Some(age) if age <= LIFETIME => Ok(original.to_vec()),
            _ => Err(Refusal::Expired),
        }
    }
}

/// What authenticates the address: all of it, in one length.
fn bound_to(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_token_gives_back_the_original_id() {
        let key = TokenKey::new(Some(b"secret")).expect("a key");
        let token = key.mint(address(1), &[7; 20], NOW).expect("a token");
        assert_eq!(key.check(&token, address(1), NOW + LIFETIME), Ok(vec![7; 20]));
        let same = TokenKey::new(Some(b"secret")).expect("a key");
        assert_eq!(same.check(&token, address(1), NOW), Ok(vec![7; 20]));
    }

    #[test]
    fn other_addresses_keys_and_times_are_refused() {
        let key = TokenKey::new(None).expect("a key");
        let token = key.mint(address(1), &[7; 8], NOW).expect("a token");
        assert_eq!(key.check(&token, address(2), NOW), Err(Refusal::Forged));
        let other = TokenKey::new(None).expect("a key");
        assert_eq!(other.check(&token, address(1), NOW), Err(Refusal::Forged));
        let late = NOW + LIFETIME + Duration::from_millis(1);
        assert_eq!(key.check(&token, address(1), late), Err(Refusal::Expired));
        assert_eq!(key.check(&token, address(1), NOW - Duration::from_secs(1)), Err(Refusal::Expired));
    }

    proptest! {
        #[test]
        fn arbitrary_and_mutated_tokens_are_forged(bytes in proptest::collection::vec(any::<u8>(), 0..100), flip in 0usize..64) {
            let key = TokenKey::new(Some(b"secret")).expect("a key");
            prop_assert_eq!(key.check(&bytes, address(1), NOW), Err(Refusal::Forged));
            let mut token = key.mint(address(1), &[7; 8], NOW).expect("a token");
            let place = flip % token.len();
            token[place] ^= 1;
            prop_assert_eq!(key.check(&token, address(1), NOW), Err(Refusal::Forged));
        }
    }
}
