//! The subject's alternative names, and whether one of them is the server that was wanted (RFC 6125, RFC 9525).

use std::net::IpAddr;
use x509_parser::extensions::GeneralName;

/// The subject alternative name extension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectAltNames {
    /// Host names, as they stand; the first label may be `*`.
    pub dns: Vec<String>,
    /// Addresses.
    pub ip: Vec<IpAddr>,
    /// Locators.
    pub uri: Vec<String>,
    /// Mail addresses.
    pub email: Vec<String>,
    /// Directory names in DER.
    pub(crate) directory: Vec<Vec<u8>>,
    /// Whether there are names of other kinds.
    pub has_other: bool,
}

impl SubjectAltNames {
    /// `None` if a name is malformed.
    pub(crate) fn read(names: &[GeneralName<'_>]) -> Option<Self> {
        let mut read = Self::default();
        for name in names {
            match name {
                GeneralName::DNSName(name) => read.dns.push((*name).to_owned()),
                GeneralName::URI(uri) => read.uri.push((*uri).to_owned()),
                GeneralName::RFC822Name(mail) => read.email.push((*mail).to_owned()),
                GeneralName::DirectoryName(name) => read.directory.push(name.as_raw().to_vec()),
                GeneralName::IPAddress(bytes) => read.ip.push(ip_from_bytes(bytes)?),
                GeneralName::Invalid(..) => return None,
                _ => read.has_other = true,
            }
        }
        Some(read)
    }
}

pub(crate) fn ip_from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Why a text can't be the name of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is neither an IP address nor a host name (in ASCII: use the xn-- form of other scripts)")]
pub struct InvalidServerName {
    /// The text.
    pub name: String,
}

impl InvalidServerName {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        "InvalidServerName"
    }
}

/// The server that was wanted. Comes only from [`ServerName::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// In lower case, without a final dot.
    Dns(String),
    Ip(IpAddr),
}

impl ServerName {
    /// Reads a host name, or an IP address. A zone (`%eth0`) and a final dot don't count.
    pub fn parse(name: &str) -> Result<Self, InvalidServerName> {
        let address = match name.split_once('%') {
            Some((address, _zone)) if address.contains(':') => address,
            _ => name,
        };
        if let Ok(ip) = address.parse::<IpAddr>() {
            return Ok(Self(Kind::Ip(ip.to_canonical())));
        }
        let host = name.strip_suffix('.').unwrap_or(name);
        if !is_host_name(host) {
            return Err(InvalidServerName {
                name: name.chars().take(300).collect(),
            });
        }
        Ok(Self(Kind::Dns(host.to_ascii_lowercase())))
    }

    /// Whether one of the names is this server. The common name is never asked: RFC 9525 forbids it.
    pub fn is_among(&self, names: &SubjectAltNames) -> bool {
        match &self.0 {
            Kind::Ip(ip) => names.ip.iter().any(|name| name.to_canonical() == *ip),
            Kind::Dns(host) => names.dns.iter().any(|pattern| matches_host(pattern, host)),
        }
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Dns(host) => f.write_str(host),
            Kind::Ip(ip) => ip.fmt(f),
        }
    }
}

fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

/// Whether the certificate's name covers the host. A `*` stands for exactly one label, the first, above at least two others.
fn matches_host(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    if let Some(parent) = pattern.strip_prefix("*.") {
        return parent.contains('.')
            && host
                .split_once('.')
                .is_some_and(|(_, rest)| parent.eq_ignore_ascii_case(rest));
    }
    pattern.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dns: &[&str], ip: &[&str]) -> SubjectAltNames {
        SubjectAltNames {
            dns: dns.iter().map(|name| (*name).to_owned()).collect(),
            ip: ip.iter().map(|name| name.parse().unwrap()).collect(),
            ..SubjectAltNames::default()
        }
    }

    #[test]
    fn hosts_match_their_names() {
        let matches = |pattern: &str, host: &str| ServerName::parse(host).unwrap().is_among(&names(&[pattern], &[]));
        assert!(matches("example.com", "EXAMPLE.com."));
        assert!(matches("Example.COM.", "example.com"));
        assert!(matches("*.example.com", "a.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(!matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.com", "example.com"));
        assert!(!matches("*", "example"));
        assert!(!matches("a*.example.com", "ab.example.com"));
        assert!(!matches("example.com", "example.com.evil.net"));
        assert!(!matches("", "example.com"));
        assert!(!matches("127.0.0.1", "127.0.0.1"), "an address is no host name");
    }

    #[test]
    fn addresses_match_in_all_their_forms() {
        let known = names(&["localhost"], &["127.0.0.1", "::1", "fe80::1", "::ffff:10.0.0.1"]);
        for name in [
            "127.0.0.1",
            "::1",
            "0:0::1",
            "::ffff:127.0.0.1",
            "fe80::1%eth0",
            "10.0.0.1",
            "localhost",
        ] {
            assert!(ServerName::parse(name).unwrap().is_among(&known), "{name}");
        }
        assert!(!ServerName::parse("127.0.0.2").unwrap().is_among(&known));
    }

    #[test]
    fn what_cannot_be_a_server_is_refused() {
        let long = "a".repeat(64);
        for name in [
            "",
            ".",
            "a..b",
            "a b",
            "*.example.com",
            "ex\0ample.com",
            "bücher.example",
            "[::1]",
            &long,
        ] {
            assert!(ServerName::parse(name).is_err(), "{name}");
        }
    }
}
