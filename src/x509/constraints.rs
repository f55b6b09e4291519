//! Name constraints: which names a CA lets the certificates below it have (RFC 5280 §4.2.1.10).

use super::alt_names::SubjectAltNames;
use super::certificate::Certificate;
use std::cell::Cell;
use std::net::IpAddr;
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::extensions::{self, GeneralName, GeneralSubtree};

/// Comparisons of a name with a constraint, in all of a chain. A stranger's chain has room for many of both, and would cost
/// their product. Go's and Rustls's verifiers have the same bound (`maxConstraintComparisons`, webpki's `Budget`).
pub(crate) const MAX_COMPARISONS: usize = 250_000;

/// The name constraints extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameConstraints {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// One kind of names, limited to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subtree {
    /// A domain with all below it, in lower case; with a leading dot only what is below it.
    Dns(String),
    /// An address and a mask, as bytes of equal length.
    Ip(Vec<u8>, Vec<u8>),
    /// The DER of the relative names that must come first.
    Directory(Vec<u8>),
    Uri,
    Email,
    Other,
}

impl NameConstraints {
    /// `None` if the extension is malformed; the parser skips parts it can't read, so they are counted again in the DER.
    pub(crate) fn read(value: &extensions::NameConstraints<'_>, der: &[u8]) -> Option<Self> {
        let (_, sequence) = Any::from_der(der).ok()?;
        let present = elements(sequence.data)?.len();
        let parts = [&value.permitted_subtrees, &value.excluded_subtrees];
        if present == 0 || parts.iter().filter(|part| part.is_some()).count() != present {
            return None;
        }
        let [permitted, excluded] = parts.map(|part| subtrees(part.as_deref().unwrap_or_default()));
        Some(Self {
            permitted: permitted?,
            excluded: excluded?,
        })
    }

    /// Whether a certificate below may have all its names. A name of a kind that is limited in a way not understood
    /// here (locators, mail addresses) may not. `None` if finding out would be more than is left of `comparisons`.
    pub(crate) fn permit(&self, certificate: &Certificate, comparisons: &Cell<usize>) -> Option<bool> {
        let names = NameUnderTest::all_of(certificate);
        let wanted = names.len() * (self.permitted.len() + self.excluded.len());
        comparisons.set(comparisons.get().checked_sub(wanted)?);
        Some(names.iter().all(|name| self.permits(name)))
    }

    fn permits(&self, name: &NameUnderTest<'_>) -> bool {
        let mut same_kind = self
            .permitted
            .iter()
            .filter_map(|subtree| name.verdict(subtree, Side::Permitted))
            .peekable();
        let permitted = same_kind.peek().is_none() || same_kind.any(|covered| covered);
        let excluded = self
            .excluded
            .iter()
            .any(|subtree| name.verdict(subtree, Side::Excluded) == Some(true));
        permitted && !excluded
    }
}

fn subtrees(subtrees: &[GeneralSubtree<'_>]) -> Option<Vec<Subtree>> {
    subtrees.iter().map(|subtree| Subtree::read(&subtree.base)).collect()
}

impl Subtree {
    fn read(base: &GeneralName<'_>) -> Option<Self> {
        Some(match base {
            GeneralName::DNSName(domain) => Self::Dns(domain.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) if matches!(bytes.len(), 8 | 32) => {
                let (address, mask) = bytes.split_at(bytes.len() / 2);
                Self::Ip(address.to_vec(), mask.to_vec())
            }
            GeneralName::IPAddress(_) | GeneralName::Invalid(..) => return None,
            GeneralName::DirectoryName(name) => Self::Directory(sequence_content(name.as_raw())?.to_vec()),
            GeneralName::URI(_) => Self::Uri,
            GeneralName::RFC822Name(_) => Self::Email,
            _ => Self::Other,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Permitted,
    Excluded,
}

/// A name of the certificate that is judged.
enum NameUnderTest<'a> {
    Dns(String),
    Ip(IpAddr),
    Directory(&'a [u8]),
    Uri,
    Email,
    Other,
}

impl<'a> NameUnderTest<'a> {
    fn all_of(certificate: &'a Certificate) -> Vec<Self> {
        let SubjectAltNames {
            dns,
            ip,
            uri,
            email,
            directory,
            has_other,
        } = certificate.alt_names();
        let subject = (!certificate.subject().is_empty()).then(|| certificate.subject().der());
        let mut names = Vec::new();
        names.extend(dns.iter().map(|name| Self::Dns(name.to_ascii_lowercase())));
        names.extend(ip.iter().map(|ip| Self::Ip(*ip)));
        names.extend(directory.iter().map(Vec::as_slice).chain(subject).map(Self::Directory));
        names.extend(uri.iter().map(|_| Self::Uri));
        names.extend(email.iter().map(|_| Self::Email));
        names.extend(has_other.then_some(Self::Other));
        names
    }

    /// Whether the subtree covers this name; `None` if it speaks of another kind of names.
    fn verdict(&self, subtree: &Subtree, side: Side) -> Option<bool> {
        match (self, subtree) {
            (Self::Dns(name), Subtree::Dns(domain)) => Some(match name.strip_prefix("*.") {
                // Some host under the wildcard would be excluded.
                Some(parent) if side == Side::Excluded => is_within(parent, domain) || is_within(domain, parent),
                _ => is_within(name, domain),
            }),
            (Self::Ip(ip), Subtree::Ip(address, mask)) => Some(is_in_network(*ip, address, mask)),
            (Self::Directory(name), Subtree::Directory(base)) => {
                Some(sequence_content(name).is_some_and(|content| content.starts_with(base)))
            }
            // Not understood: as if not permitted, and as if excluded.
            (Self::Uri, Subtree::Uri) | (Self::Email, Subtree::Email) | (Self::Other, Subtree::Other) => {
                Some(side == Side::Excluded)
            }
            _ => None,
        }
    }
}

fn is_within(name: &str, domain: &str) -> bool {
    let Some(below) = name.strip_suffix(domain) else {
        return false;
    };
    let is_below = domain.starts_with('.') || below.ends_with('.');
    domain.is_empty() || below.is_empty() || is_below
}

fn is_in_network(ip: IpAddr, address: &[u8], mask: &[u8]) -> bool {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let bits = |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(mask).map(|(byte, mask)| byte & mask).collect() };
    octets.len() == address.len() && bits(&octets) == bits(address)
}

fn sequence_content(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, sequence)| sequence.data)
}

/// Splits DER into the contents of the elements that stand side by side in it.
fn elements(mut der: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while !der.is_empty() {
        let (rest, element) = Any::from_der(der).ok()?;
        elements.push(element.data);
        der = rest;
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_contain_what_is_below_them() {
        assert!(is_within("example.com", "example.com"));
        assert!(is_within("a.b.example.com", "example.com"));
        assert!(!is_within("badexample.com", "example.com"));
        assert!(is_within("a.example.com", ".example.com"));
        assert!(!is_within("example.com", ".example.com"));
        assert!(is_within("anything", ""));
    }

    #[test]
    fn networks_contain_their_addresses() {
        let contains = |ip: &str| is_in_network(ip.parse().unwrap(), &[10, 1, 0, 0], &[255, 255, 0, 0]);
        assert!(contains("10.1.2.3"));
        assert!(!contains("10.2.0.1") && !contains("::1"));
    }
}
