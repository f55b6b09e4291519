//! Session tickets: for how long they are good, where, and what encrypts them.

use std::time::Duration;

use boring::error::ErrorStack;
use boring::hash::MessageDigest;
use boring::ssl::{SslContextBuilder, SslOptions, TicketKeyCallbackResult};
use boring::symm::Cipher;
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::error::{Error, Result};
use super::tls::{TlsSettings, config, refused};

/// How long a session ticket is good for, unless [`TlsSettings::ticket_lifetime`] says otherwise.
pub const DEFAULT_TICKET_LIFETIME: Duration = Duration::from_secs(3600);

/// A ticket's key is as good as what it is made from.
const MIN_SECRET: usize = 32;
/// Keys that may be held: each ticket is looked up among them.
const MAX_KEYS: usize = 16;

pub(super) fn set_resumption(builder: &mut SslContextBuilder, settings: &TlsSettings) -> Result<()> {
    if !settings.session_tickets {
        builder.set_options(SslOptions::NO_TICKET);
    }
    let lifetime = settings.ticket_lifetime.unwrap_or(DEFAULT_TICKET_LIFETIME);
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
    // SAFETY: the context lives; `boring` has no safe calls for these two.
    unsafe {
        boring_sys::SSL_CTX_set_session_psk_dhe_timeout(builder.as_ptr(), seconds);
        boring_sys::SSL_CTX_set_reverify_on_resume(builder.as_ptr(), settings.verify_resumed.into());
    }
    if let Some(context) = &settings.session_context {
        builder
            .set_session_id_context(digest(&SHA256, context).as_ref())
            .map_err(|error| refused("sessionContext", &error))?;
    }
    match settings.ticket_keys.as_slice() {
        [] => Ok(()),
        keys => encrypt_with(builder, keys),
    }
}

/// Encrypts tickets with the first key, and takes those of every other.
fn encrypt_with(builder: &mut SslContextBuilder, secrets: &[Vec<u8>]) -> Result<()> {
    if secrets.len() > MAX_KEYS {
        return Err(config("ticketKeys", "are more than 16"));
    }
    if secrets.iter().any(|secret| secret.len() < MIN_SECRET) {
        return Err(config("ticketKeys", "has to be keys of at least 32 random bytes each"));
    }
    let keys = secrets
        .iter()
        .map(|secret| TicketKey::new(secret))
        .collect::<Result<Vec<_>>>()?;
    // SAFETY: the callback sets the name, the vector and both contexts, or says that it doesn't.
    unsafe {
        builder.set_ticket_key_callback(move |_, name, vector, cipher, mac, encrypts| {
            let (key, answer) = if encrypts {
                if SystemRandom::new().fill(vector).is_err() {
                    return TicketKeyCallbackResult::Error;
                }
                *name = keys[0].name;
                (&keys[0], TicketKeyCallbackResult::Success)
            } else if let Some(key) = keys.iter().find(|key| key.name == *name) {
                (key, TicketKeyCallbackResult::Success)
            } else {
                return TicketKeyCallbackResult::Noop;
            };
            let aes = Cipher::aes_256_cbc();
            let is_ready = if encrypts {
                cipher.init_encrypt(&aes, &key.cipher, vector)
            } else {
                cipher.init_decrypt(&aes, &key.cipher, vector)
            }
            .and_then(|()| mac.init(&key.mac, &MessageDigest::sha256()));
            is_ready.map_or_else(|_: ErrorStack| TicketKeyCallbackResult::Error, |()| answer)
        });
    }
    Ok(())
}

/// What encrypts and authenticates tickets (RFC 5077 §4), and how it is named in them.
struct TicketKey {
    name: [u8; 16],
    cipher: [u8; 32],
    mac: [u8; 32],
}

impl TicketKey {
    fn new(secret: &[u8]) -> Result<Self> {
        let mut key = Self {
            name: [0; 16],
            cipher: [0; 32],
            mac: [0; 32],
        };
        let root = Salt::new(HKDF_SHA256, b"polykey-quic").extract(secret);
        for (purpose, out) in [
            (&b"ticket name"[..], &mut key.name[..]),
            (b"ticket cipher", &mut key.cipher),
            (b"ticket authentication", &mut key.mac),
        ] {
            let info = [purpose];
            let expanded = root.expand(&info, Length(out.len())).map_err(|_| Error::Random)?;
            expanded.fill(out).map_err(|_| Error::Random)?;
        }
        Ok(key)
    }
}

/// So many bytes of keying material.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
