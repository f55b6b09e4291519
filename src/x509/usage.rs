//! What a key and a certificate may be used for: key usage and extended key usage.

use super::oid;
use x509_parser::extensions;

/// The key usage extension (RFC 5280 §4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    flags: u16,
}

/// The usages in the order of their bits.
const USAGES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

impl KeyUsage {
    /// Bit 0 is `digitalSignature`, as in x509-parser.
    pub(crate) fn from_flags(flags: u16) -> Self {
        Self { flags }
    }

    /// Whether the key may sign handshakes.
    pub fn digital_signature(self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether the key may sign certificates.
    pub fn key_cert_sign(self) -> bool {
        self.flags & (1 << 5) != 0
    }

    /// The RFC's names of all usages allowed, such as `digitalSignature`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        USAGES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.flags & (1 << bit) != 0)
            .map(|(_, name)| name)
    }
}

/// The extended key usage extension (RFC 5280 §4.2.1.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedKeyUsage {
    purposes: Vec<String>,
}

const ANY: &str = "2.5.29.37.0";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

impl ExtendedKeyUsage {
    /// `None` if a purpose has no reasonable object identifier.
    pub(crate) fn read(value: &extensions::ExtendedKeyUsage<'_>) -> Option<Self> {
        let known = [
            (value.any, ANY),
            (value.server_auth, SERVER_AUTH),
            (value.client_auth, CLIENT_AUTH),
            (value.code_signing, "1.3.6.1.5.5.7.3.3"),
            (value.email_protection, "1.3.6.1.5.5.7.3.4"),
            (value.time_stamping, "1.3.6.1.5.5.7.3.8"),
            (value.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
        ];
        let known = known
            .into_iter()
            .filter(|(present, _)| *present)
            .map(|(_, oid)| Some(oid.to_owned()));
        let other = value.other.iter().map(|oid| oid::text_from_der(oid.as_bytes()));
        Some(Self {
            purposes: known.chain(other).collect::<Option<_>>()?,
        })
    }

    /// The purposes as dotted object identifiers.
    pub fn purposes(&self) -> &[String] {
        &self.purposes
    }

    /// Whether the certificate may serve this purpose.
    pub fn allows(&self, purpose: Purpose) -> bool {
        let wanted = match purpose {
            Purpose::Any => return true,
            Purpose::Server => SERVER_AUTH,
            Purpose::Client => CLIENT_AUTH,
        };
        self.purposes.iter().any(|allowed| allowed == wanted || allowed == ANY)
    }
}

/// What a certificate is presented for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// By a TLS server.
    Server,
    /// By a TLS client.
    Client,
    /// Don't look at the extended key usage.
    #[default]
    Any,
}
