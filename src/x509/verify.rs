//! Judges a chain by the rules of the web (RFC 5280 §6): from the leaf, issuer by issuer, to a trust anchor.

use super::alt_names::ServerName;
use super::anchors::Anchors;
use super::certificate::Certificate;
use super::chain::{Chain, MAX_CHAIN_LENGTH};
use super::constraints::MAX_COMPARISONS;
use super::error::VerifyError;
use super::usage::Purpose;
use super::{oid, signature};
use std::cell::Cell;

/// What a chain is judged by.
#[derive(Debug, Clone)]
pub struct VerifyOptions<'a> {
    /// Whom the caller trusts. An anchor need not be a root: a peer's own certificate may be one, and is then enough.
    pub anchors: &'a Anchors,
    /// The time of verification, in seconds since the Unix epoch.
    pub at: i64,
    /// Whom the leaf identifies; looks at the extended key usage.
    pub purpose: Purpose,
    /// The server that was wanted; `None` accepts any names.
    pub server_name: Option<ServerName>,
    /// Most certificates the chain may have, besides [`MAX_CHAIN_LENGTH`].
    pub max_length: usize,
    /// Critical extensions, as dotted object identifiers, that the caller looks at by itself.
    pub accepted_critical: &'a [String],
}

impl<'a> VerifyOptions<'a> {
    /// For any purpose, any names, and chains as long as they are allowed to be.
    pub fn new(anchors: &'a Anchors, at: i64) -> Self {
        Self {
            anchors,
            at,
            purpose: Purpose::Any,
            server_name: None,
            max_length: MAX_CHAIN_LENGTH,
            accepted_critical: &[],
        }
    }
}

/// A chain that passed all checks. Comes only from [`verify_chain`].
#[derive(Debug, Clone, Copy)]
pub struct VerifiedChain<'a> {
    chain: &'a Chain,
    length: usize,
    anchor: usize,
}

impl<'a> VerifiedChain<'a> {
    /// The peer's own certificate.
    pub fn leaf(&self) -> &'a Certificate {
        self.chain.leaf()
    }

    /// The certificates that lead to the anchor, the leaf first. The peer may have sent more; those were not looked at.
    pub fn path(&self) -> &'a [Certificate] {
        &self.chain.certificates()[..self.length]
    }

    /// The place, among the anchors, of the one that was reached.
    pub fn anchor(&self) -> usize {
        self.anchor
    }
}

/// Judges a chain: order, signatures, dates, CA flags, path lengths, key usages, critical extensions, name constraints,
/// and whether it leads to a trust anchor; then the leaf's purpose and names.
///
/// The chain must be in order, the leaf first. It may end below an anchor, with an anchor, or go on behind one
/// (cross-signed roots): the first anchor reached decides. Revocation is not looked at.
pub fn verify_chain<'a>(chain: &'a Chain, options: &VerifyOptions<'_>) -> Result<VerifiedChain<'a>, VerifyError> {
    let length = chain.certificates().len();
    if length > options.max_length {
        return Err(VerifyError::TooLong {
            length,
            max: options.max_length,
        });
    }
    let path = Path {
        certificates: chain.certificates(),
        options,
        comparisons: &Cell::new(MAX_COMPARISONS),
    };
    path.check_leaf_usage()?;
    let (length, anchor) = path.find_anchor()?;
    path.check_server_name()?;
    Ok(VerifiedChain { chain, length, anchor })
}

/// The certificates under judgement.
struct Path<'a> {
    certificates: &'a [Certificate],
    options: &'a VerifyOptions<'a>,
    /// How many comparisons of a name with a constraint are left.
    comparisons: &'a Cell<usize>,
}

impl Path<'_> {
    fn check_leaf_usage(&self) -> Result<(), VerifyError> {
        let leaf = &self.certificates[0];
        if leaf.key_usage().is_some_and(|usage| !usage.digital_signature()) {
            return Err(VerifyError::KeyUsage {
                index: 0,
                usage: "digitalSignature",
            });
        }
        self.check_purpose(0, leaf)
    }

    fn check_server_name(&self) -> Result<(), VerifyError> {
        match &self.options.server_name {
            Some(name) if !name.is_among(self.certificates[0].alt_names()) => {
                Err(VerifyError::NameMismatch { name: name.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Walks up until an anchor is reached; answers with the length of the path and the anchor's place.
    fn find_anchor(&self) -> Result<(usize, usize), VerifyError> {
        let anchors = self.options.anchors;
        // An anchor with the right name that would not do explains more than "untrusted".
        let mut nearly = None;
        for (index, certificate) in self.certificates.iter().enumerate() {
            check_loop(self.certificates, index)?;
            check_dates(index, certificate, self.options.at)?;
            check_critical(index, certificate, self.options.accepted_critical)?;
            if index > 0 {
                self.check_issuer(index, certificate)?;
            }
            if let Some(anchor) = anchors.position(certificate) {
                return Ok((index + 1, anchor));
            }
            for (place, anchor) in anchors.named(certificate.issuer()) {
                match self.check_anchor(index, certificate, anchor) {
                    Ok(()) => return Ok((index + 1, place)),
                    Err(error) => nearly = nearly.or(Some(error)),
                }
            }
            let Some(next) = self.certificates.get(index + 1) else {
                break;
            };
            check_link(index, certificate, next).map_err(|error| nearly.take().unwrap_or(error))?;
        }
        let index = self.certificates.len() - 1;
        let issuer = self.certificates[index].issuer().text().to_owned();
        Err(nearly.unwrap_or(VerifyError::Untrusted { index, issuer }))
    }

    /// Whether the anchor issued the certificate.
    fn check_anchor(&self, index: usize, certificate: &Certificate, anchor: &Certificate) -> Result<(), VerifyError> {
        signature::check(certificate, anchor).map_err(|error| VerifyError::from_signature(index, error))?;
        let at = self.options.at;
        if at < anchor.not_before() || at > anchor.not_after() {
            return Err(VerifyError::AnchorNotValid { index, at });
        }
        // The anchor stands above this certificate, whatever the chain holds there.
        let below = Path {
            certificates: &self.certificates[..=index],
            ..*self
        };
        below.check_issuer(index + 1, anchor)
    }

    /// Whether the certificate at this place (the length of the path: an anchor) may have issued those below it.
    fn check_issuer(&self, index: usize, issuer: &Certificate) -> Result<(), VerifyError> {
        let below = &self.certificates[..index];
        let Some(constraints) = issuer.basic_constraints().filter(|constraints| constraints.is_ca) else {
            return Err(VerifyError::NotCa { index });
        };
        // RFC 5280 §4.2.1.9: self-issued certificates don't count, and the leaf is no intermediate.
        let found = below[1..]
            .iter()
            .filter(|certificate| !certificate.is_self_issued())
            .count();
        if let Some(allowed) = constraints.path_length
            && found > allowed as usize
        {
            return Err(VerifyError::PathLengthExceeded { index, allowed, found });
        }
        if issuer.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(VerifyError::KeyUsage {
                index,
                usage: "keyCertSign",
            });
        }
        self.check_purpose(index, issuer)?;
        self.check_names_below(index, issuer)
    }

    /// A CA's extended key usage limits what is below it: not in the RFC, but the custom of all web PKI verifiers.
    fn check_purpose(&self, index: usize, certificate: &Certificate) -> Result<(), VerifyError> {
        let purpose = self.options.purpose;
        let usage = match purpose {
            Purpose::Server => "serverAuth",
            Purpose::Client => "clientAuth",
            Purpose::Any => return Ok(()),
        };
        match certificate.extended_key_usage() {
            Some(allowed) if !allowed.allows(purpose) => Err(VerifyError::KeyUsage { index, usage }),
            _ => Ok(()),
        }
    }

    fn check_names_below(&self, issuer: usize, certificate: &Certificate) -> Result<(), VerifyError> {
        let Some(constraints) = certificate.name_constraints() else {
            return Ok(());
        };
        for (index, certificate) in self.certificates[..issuer].iter().enumerate() {
            // RFC 5280 §4.2.1.10: self-issued certificates are exempt, except as the leaf.
            if index > 0 && certificate.is_self_issued() {
                continue;
            }
            match constraints.permit(certificate, self.comparisons) {
                Some(true) => {}
                Some(false) => return Err(VerifyError::NameNotPermitted { index, issuer }),
                None => return Err(VerifyError::TooManyConstraints { index, issuer }),
            }
        }
        Ok(())
    }
}

/// Whether `certificate` names `next` as its issuer and was signed by its key.
pub(crate) fn check_link(index: usize, certificate: &Certificate, next: &Certificate) -> Result<(), VerifyError> {
    if certificate.issuer() != next.subject() {
        return Err(VerifyError::IssuerMismatch {
            index,
            issuer: certificate.issuer().text().to_owned(),
            next: next.subject().text().to_owned(),
        });
    }
    signature::check(certificate, next).map_err(|error| VerifyError::from_signature(index, error))
}

pub(crate) fn check_loop(certificates: &[Certificate], index: usize) -> Result<(), VerifyError> {
    let (earlier, rest) = certificates.split_at(index);
    match earlier
        .iter()
        .position(|certificate| certificate.der() == rest[0].der())
    {
        Some(first) => Err(VerifyError::Loop { index, first }),
        None => Ok(()),
    }
}

pub(crate) fn check_dates(index: usize, certificate: &Certificate, at: i64) -> Result<(), VerifyError> {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    if at < not_before {
        return Err(VerifyError::NotYetValid { index, not_before, at });
    }
    if at > not_after {
        return Err(VerifyError::Expired { index, not_after, at });
    }
    Ok(())
}

/// What is understood here. Policies are, in so far as no policy is ever asked for.
const UNDERSTOOD: [&str; 6] = [
    oid::KEY_USAGE,
    oid::SUBJECT_ALT_NAME,
    oid::BASIC_CONSTRAINTS,
    oid::NAME_CONSTRAINTS,
    oid::CERTIFICATE_POLICIES,
    oid::EXTENDED_KEY_USAGE,
];

pub(crate) fn check_critical(index: usize, certificate: &Certificate, accepted: &[String]) -> Result<(), VerifyError> {
    let unknown = certificate.extensions().iter().find(|extension| {
        extension.critical && !UNDERSTOOD.contains(&extension.oid.as_str()) && !accepted.contains(&extension.oid)
    });
    match unknown {
        Some(extension) => Err(VerifyError::UnknownCriticalExtension {
            index,
            oid: extension.oid.clone(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
