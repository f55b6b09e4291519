//! Judges a chain by the rule of peers whose keys change: each certificate was signed by its successor's key, and
//! somewhere along the chain stands the key by which the peer is known.
//!
//! A peer that takes a new key signs the new certificate with the old one and puts it in front:
//!
//! ```text
//! 0  leaf: the key in use today, signed by the key of 1
//! 1  the key before it,          signed by the key of 2 (the same key, if the certificate was only renewed)
//! 2  the key before that: the identity by which we know the peer
//! ```
//!
//! Whoever knows the peer by the key of certificate 2 may believe the leaf, since 2 vouched for 1 and 1 for 0. No
//! authority takes part; CA flags, path lengths and key usages say nothing here. Polykey's nodes prove themselves so.

use super::certificate::Certificate;
use super::chain::{Chain, MAX_CHAIN_LENGTH};
use super::error::VerifyError;
use super::key::KeyType;
use super::verify::{check_critical, check_dates, check_link, check_loop};

/// A key by which a peer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The public key alone, as [`Certificate::public_key`] gives it: 32 bytes for Ed25519.
    PublicKey(Vec<u8>),
    /// The key's fingerprint, as [`Certificate::spki_fingerprint`] gives it.
    SpkiSha256([u8; 32]),
}

impl Identity {
    /// Whether the certificate carries this key.
    pub fn is_in(&self, certificate: &Certificate) -> bool {
        match self {
            // A bare key doesn't say what it is for: bytes of an unknown kind must not pass as, say, Ed25519.
            Self::PublicKey(key) => {
                !matches!(certificate.key_type(), KeyType::Other { .. }) && certificate.public_key() == key
            }
            Self::SpkiSha256(fingerprint) => certificate.spki_fingerprint() == *fingerprint,
        }
    }
}

/// How far the chain is followed.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// To the first certificate with one of these keys, and no further: a client that wants this peer.
    Identities(&'a [Identity]),
    /// To its end: a server that takes any peer, and learns by which keys it was known.
    WholeChain,
}

/// Whose dates must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dates {
    /// The leaf's. Old keys vouch for new ones after their certificates have expired.
    #[default]
    Leaf,
    /// Those of all certificates that are followed.
    Every,
}

/// What a chain is judged by.
#[derive(Debug, Clone)]
pub struct SuccessorOptions<'a> {
    /// How far the chain is followed.
    pub target: Target<'a>,
    /// The time of verification, in seconds since the Unix epoch.
    pub at: i64,
    /// Whose dates must hold.
    pub dates: Dates,
    /// Most certificates the chain may have, besides [`MAX_CHAIN_LENGTH`].
    pub max_length: usize,
    /// Critical extensions, as dotted object identifiers, that the caller looks at by itself.
    pub accepted_critical: &'a [String],
}

impl<'a> SuccessorOptions<'a> {
    /// With the leaf's dates, and chains as long as they are allowed to be.
    pub fn new(target: Target<'a>, at: i64) -> Self {
        Self {
            target,
            at,
            dates: Dates::Leaf,
            max_length: MAX_CHAIN_LENGTH,
            accepted_critical: &[],
        }
    }
}

/// A chain that keeps to the rule. Comes only from [`verify_signed_by_successor`].
#[derive(Debug, Clone, Copy)]
pub struct SuccessorChain<'a> {
    chain: &'a Chain,
    index: usize,
    identity: Option<usize>,
}

impl<'a> SuccessorChain<'a> {
    /// The peer's own certificate.
    pub fn leaf(&self) -> &'a Certificate {
        self.chain.leaf()
    }

    /// The place of the last certificate that was followed: the one with the wanted key, or the end of the chain.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The place of the key that was found among the wanted ones; `None` if the whole chain was asked for.
    pub fn identity(&self) -> Option<usize> {
        self.identity
    }
}

/// Follows a chain, leaf first: each certificate names its successor as its issuer and was signed by its key.
///
/// The last certificate followed is not itself checked against anything: its *key* is what the caller knows. That the
/// peer holds the leaf's key is TLS's business, not ours.
pub fn verify_signed_by_successor<'a>(
    chain: &'a Chain,
    options: &SuccessorOptions<'_>,
) -> Result<SuccessorChain<'a>, VerifyError> {
    let certificates = chain.certificates();
    let length = certificates.len();
    if length > options.max_length {
        return Err(VerifyError::TooLong {
            length,
            max: options.max_length,
        });
    }
    // Looked for before any signature is checked, so that a stranger's long chain costs nothing.
    let (index, identity) = match options.target {
        Target::WholeChain => (length - 1, None),
        Target::Identities(wanted) => {
            let (index, identity) = find(certificates, wanted).ok_or(VerifyError::IdentityNotFound { length })?;
            (index, Some(identity))
        }
    };
    for (place, certificate) in certificates[..=index].iter().enumerate() {
        check_loop(certificates, place)?;
        if place == 0 || options.dates == Dates::Every {
            check_dates(place, certificate, options.at)?;
        }
        check_critical(place, certificate, options.accepted_critical)?;
        if place < index {
            check_link(place, certificate, &certificates[place + 1])?;
        }
    }
    Ok(SuccessorChain { chain, index, identity })
}

fn find(certificates: &[Certificate], wanted: &[Identity]) -> Option<(usize, usize)> {
    certificates.iter().enumerate().find_map(|(index, certificate)| {
        let identity = wanted.iter().position(|identity| identity.is_in(certificate))?;
        Some((index, identity))
    })
}

#[cfg(test)]
mod tests;
