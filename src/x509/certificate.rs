//! One certificate: its facts, read once from DER and owned. Nothing here trusts anything.

use super::alt_names::SubjectAltNames;
use super::constraints::NameConstraints;
use super::key::KeyType;
use super::name::Name;
use super::oid;
use super::usage::{ExtendedKeyUsage, KeyUsage};
use ring::digest::{SHA256, digest};
use std::collections::HashSet;
use x509_parser::asn1_rs::Oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;

/// Longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 128 * 1024;

/// Why DER is not a certificate that can be judged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not the DER of a certificate.
    #[error("the bytes are not a DER certificate ({0})")]
    Malformed(X509Error),
    /// There are bytes behind the certificate.
    #[error("{bytes} bytes follow the certificate")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The certificate is longer than [`MAX_CERTIFICATE_BYTES`].
    #[error("the certificate has {bytes} bytes; {MAX_CERTIFICATE_BYTES} are allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The signed part names another signature algorithm than the signature (RFC 5280 §4.1.1.2).
    #[error("the certificate names two different signature algorithms")]
    AlgorithmMismatch,
    /// The same extension occurs twice (RFC 5280 §4.2).
    #[error("the certificate holds the extension {oid} twice")]
    DuplicateExtension {
        /// The extension.
        oid: String,
    },
    /// An extension that has to be understood does not have the form the RFC gives it.
    #[error("the certificate's extension {oid} is malformed")]
    MalformedExtension {
        /// The extension.
        oid: String,
    },
}

impl CertificateError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "MalformedCertificate",
            Self::TrailingBytes { .. } => "TrailingBytes",
            Self::TooLarge { .. } => "CertificateTooLarge",
            Self::AlgorithmMismatch => "AlgorithmMismatch",
            Self::DuplicateExtension { .. } => "DuplicateExtension",
            Self::MalformedExtension { .. } => "MalformedExtension",
        }
    }
}

/// An extension as it stands in the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its object identifier in dotted form.
    pub oid: String,
    /// Whether who does not understand it must refuse the certificate.
    pub critical: bool,
    /// The content of its OCTET STRING; DER, if its inventor kept to the rules.
    pub value: Vec<u8>,
}

/// The basic constraints extension (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// Whether the subject may issue certificates.
    pub is_ca: bool,
    /// How many intermediate certificates may stand between this one and the leaf.
    pub path_length: Option<u32>,
}

/// A parsed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    version: u32,
    serial: Vec<u8>,
    subject: Name,
    issuer: Name,
    not_before: i64,
    not_after: i64,
    key_type: KeyType,
    public_key: Vec<u8>,
    spki: Vec<u8>,
    signature_algorithm: String,
    extensions: Vec<Extension>,
    alt_names: SubjectAltNames,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    name_constraints: Option<NameConstraints>,
}

impl Certificate {
    /// Reads one certificate; there must be nothing behind it.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge { bytes: der.len() });
        }
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.into()))?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingBytes { bytes: rest.len() });
        }
        if parsed.signature_algorithm != parsed.signature {
            return Err(CertificateError::AlgorithmMismatch);
        }
        if !is_canonical(der, &parsed) {
            return Err(CertificateError::Malformed(X509Error::InvalidCertificate));
        }
        Self::read(der, &parsed)
    }

    fn read(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed;
        let spki = &parsed.subject_pki;
        if spki.subject_public_key.unused_bits != 0 || parsed.signature_value.unused_bits != 0 {
            return Err(malformed(X509Error::InvalidSPKI));
        }
        let mut certificate = Self {
            der: der.to_vec(),
            version: parsed.version.0 + 1,
            serial: parsed.raw_serial().to_vec(),
            subject: Name::read(&parsed.subject).ok_or(malformed(X509Error::InvalidX509Name))?,
            issuer: Name::read(&parsed.issuer).ok_or(malformed(X509Error::InvalidX509Name))?,
            not_before: parsed.validity.not_before.timestamp(),
            not_after: parsed.validity.not_after.timestamp(),
            key_type: KeyType::read(spki).ok_or(malformed(X509Error::InvalidSPKI))?,
            public_key: spki.subject_public_key.data.to_vec(),
            spki: spki.raw.to_vec(),
            signature_algorithm: text(&parsed.signature_algorithm.algorithm)
                .ok_or(malformed(X509Error::InvalidAlgorithmIdentifier))?,
            extensions: Vec::with_capacity(parsed.extensions().len()),
            alt_names: SubjectAltNames::default(),
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            name_constraints: None,
        };
        // A stranger's certificate has room for thousands: none is compared with all others.
        let mut known = HashSet::with_capacity(parsed.extensions().len());
        for extension in parsed.extensions() {
            let oid = text(&extension.oid).ok_or(malformed(X509Error::InvalidExtensions))?;
            if !known.insert(extension.oid.as_bytes()) {
                return Err(CertificateError::DuplicateExtension { oid });
            }
            certificate.read_extension(oid, extension)?;
        }
        Ok(certificate)
    }

    fn read_extension(&mut self, oid: String, extension: &X509Extension<'_>) -> Result<(), CertificateError> {
        let understood = match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(value) => {
                let path_length = value.path_len_constraint;
                self.basic_constraints = Some(BasicConstraints {
                    is_ca: value.ca,
                    path_length,
                });
                true
            }
            ParsedExtension::KeyUsage(value) => {
                self.key_usage = Some(KeyUsage::from_flags(value.flags));
                true
            }
            ParsedExtension::ExtendedKeyUsage(value) => {
                self.extended_key_usage = ExtendedKeyUsage::read(value);
                self.extended_key_usage.is_some()
            }
            ParsedExtension::SubjectAlternativeName(value) => {
                let names = SubjectAltNames::read(&value.general_names);
                let understood = names.is_some();
                self.alt_names = names.unwrap_or_default();
                understood
            }
            ParsedExtension::NameConstraints(value) => {
                self.name_constraints = NameConstraints::read(value, extension.value);
                self.name_constraints.is_some()
            }
            ParsedExtension::ParseError { .. } => !JUDGED.contains(&oid.as_str()),
            _ => true,
        };
        if !understood {
            return Err(CertificateError::MalformedExtension { oid });
        }
        self.extensions.push(Extension {
            oid,
            critical: extension.critical,
            value: extension.value.to_vec(),
        });
        Ok(())
    }
}

/// Whether what stands around the signed part is encoded in the one way DER allows, so that a certificate has one
/// fingerprint. The parser takes other tag classes and longer lengths there, and no signature covers them.
fn is_canonical(der: &[u8], parsed: &X509Certificate<'_>) -> bool {
    let signed = parsed.tbs_certificate.as_ref();
    let signature = &parsed.signature_value.data;
    let signature = [&der_header(0x03, signature.len() + 1), &[0][..], signature].concat();
    // The header's length depends on the length it states.
    let mut headers = (2..6).filter_map(|length| Some(der_header(0x30, der.len().checked_sub(length)?)));
    let Some(header) = headers.find(|header| der.starts_with(header) && der[header.len()..].starts_with(signed)) else {
        return false;
    };
    let start = header.len() + signed.len();
    let Some(algorithm) = der
        .len()
        .checked_sub(signature.len())
        .and_then(|end| der.get(start..end))
    else {
        return false;
    };
    // The same algorithm stands in the signed part; equal bytes there are as good as signed.
    !algorithm.is_empty()
        && signed.windows(algorithm.len()).any(|window| window == algorithm)
        && der == [&header, signed, algorithm, &signature].concat()
}

/// Tag and shortest length.
fn der_header(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let digits = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    match digits {
        [short @ 0..=0x7f] => vec![tag, *short],
        long => [&[tag, 0x80 | long.len() as u8], long].concat(),
    }
}

/// The extensions a verdict depends on: they must be well-formed, critical or not.
const JUDGED: [&str; 5] = [
    oid::KEY_USAGE,
    oid::SUBJECT_ALT_NAME,
    oid::BASIC_CONSTRAINTS,
    oid::NAME_CONSTRAINTS,
    oid::EXTENDED_KEY_USAGE,
];

fn text(oid: &Oid<'_>) -> Option<String> {
    oid::text_from_der(oid.as_bytes())
}

impl Certificate {
    /// The whole certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The X.509 version, as people count: 1, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The serial number as it is encoded: big-endian, with a leading zero byte if the first bit would be set.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The serial number in upper-case hexadecimal, as Node.js shows it.
    pub fn serial_hex(&self) -> String {
        let digits = match self.serial.as_slice() {
            [0, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        hex(digits).to_uppercase()
    }

    /// Whom the certificate is about.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// Who signed it, by its own account.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// First second at which it is valid, since the Unix epoch.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Last second at which it is valid, since the Unix epoch.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The kind of the public key.
    pub fn key_type(&self) -> &KeyType {
        &self.key_type
    }

    /// The public key alone: 32 bytes for Ed25519, the curve point for ECDSA, PKCS#1 DER for RSA.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The public key with its algorithm, as SubjectPublicKeyInfo DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`spki`](Self::spki): names the key, whatever certificate carries it.
    pub fn spki_fingerprint(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// SHA-256 of the whole certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// The signature's algorithm as a dotted object identifier.
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// All extensions, in their order.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The extension with this dotted object identifier.
    pub fn extension(&self, oid: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.oid == oid)
    }

    /// The names in the subject alternative name extension; empty without one.
    pub fn alt_names(&self) -> &SubjectAltNames {
        &self.alt_names
    }

    /// The basic constraints, if the certificate has the extension.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// Whether its subject may issue certificates.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.is_ca)
    }

    /// What the key may be used for, if the certificate says so.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// What purposes the certificate serves, if it says so.
    pub fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage> {
        self.extended_key_usage.as_ref()
    }

    /// What names it lets certificates below it have.
    pub(crate) fn name_constraints(&self) -> Option<&NameConstraints> {
        self.name_constraints.as_ref()
    }

    /// Whether subject and issuer are the same name (which says nothing about the signature).
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
