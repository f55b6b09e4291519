//! Makes certificates: an identity for a peer, a CA for a test, the next link of a chain.

use super::certificate::{Certificate, CertificateError, Extension};
use super::oid::{self, OidError};
use super::pem::{self, PrivateKey, PrivateKeyFormat};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{RelativeDistinguishedName, X509Name};

/// Longest serial number, in bytes (RFC 5280 §4.1.2.2).
pub const MAX_SERIAL_BYTES: usize = 20;

/// The last second X.509 can name: the end of the year 9999.
pub const MAX_TIME: i64 = 253_402_300_799;

/// What a new certificate says.
#[derive(Debug, Clone)]
pub struct CertificateParams<'a> {
    /// The subject's common name; empty for a subject without name.
    pub common_name: &'a str,
    /// Host names it is for; the first label may be `*`.
    pub dns_names: Vec<String>,
    /// Addresses it is for.
    pub ip_addresses: Vec<IpAddr>,
    /// Locators it is for.
    pub uris: Vec<String>,
    /// First second of its validity, since the Unix epoch: 0 to [`MAX_TIME`].
    pub not_before: i64,
    /// Last second of its validity, likewise; not before the first.
    pub not_after: i64,
    /// Whether it may issue others; `None` makes a plain leaf.
    pub ca: Option<CaParams>,
    /// The serial number, big-endian, 1 to [`MAX_SERIAL_BYTES`] bytes; `None` draws 16 random ones.
    pub serial: Option<Vec<u8>>,
    /// Further extensions. One that would be written anyway (key usage, say) is written as given here instead.
    pub extensions: Vec<Extension>,
    /// The subject's key (PKCS#8: Ed25519, P-256, P-384 or RSA); its public half goes into the certificate.
    pub key: &'a PrivateKey,
    /// Who signs; `None` for a self-signed certificate.
    pub issuer: Option<IssuerParams<'a>>,
}

impl<'a> CertificateParams<'a> {
    /// A self-signed leaf without alternative names.
    pub fn new(common_name: &'a str, key: &'a PrivateKey, not_before: i64, not_after: i64) -> Self {
        Self {
            common_name,
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            uris: Vec::new(),
            not_before,
            not_after,
            ca: None,
            serial: None,
            extensions: Vec::new(),
            key,
            issuer: None,
        }
    }
}

/// What a CA may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaParams {
    /// How many intermediate certificates may stand between it and a leaf; `None` for any number.
    pub path_length: Option<u8>,
}

/// Who signs a certificate.
#[derive(Debug, Clone, Copy)]
pub struct IssuerParams<'a> {
    /// The issuer's certificate in DER. It need not be a CA's: peers that change keys sign as they are.
    pub certificate: &'a [u8],
    /// The issuer's key, PKCS#8.
    pub key: &'a PrivateKey,
}

/// A new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCertificate {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The same as PEM text.
    pub pem: String,
}

/// Why no certificate was made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CreateError {
    /// A key is not PKCS#8.
    #[error(
        "a {label} can't sign here: convert it to PKCS#8 (openssl pkcs8 -topk8 -nocrypt, or export({{ type: 'pkcs8' }}))"
    )]
    NotPkcs8 {
        /// The PEM label of the key's format.
        label: &'static str,
    },
    /// A key is of a kind that can't sign here.
    #[error("the key is not an Ed25519, P-256, P-384 or RSA key (2048 to 4096 bits) in PKCS#8")]
    UnsupportedKey,
    /// The dates are out of range, or in the wrong order.
    #[error("the dates {not_before} to {not_after} are not seconds from 0 to {MAX_TIME} in ascending order")]
    InvalidValidity {
        /// The first second asked for.
        not_before: i64,
        /// The last second asked for.
        not_after: i64,
    },
    /// The serial number is empty or too long, or zero.
    #[error(
        "a serial number is 1 to {MAX_SERIAL_BYTES} bytes, not all zero, the first below 128 if there are {MAX_SERIAL_BYTES}"
    )]
    InvalidSerial,
    /// A name has characters that certificates can't hold.
    #[error("the name {name:?} is empty or not ASCII (use the xn-- form of other scripts)")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// An extension's object identifier is not one, or not one that can be written.
    #[error("extension {oid:?}: {source}")]
    InvalidOid {
        /// The text.
        oid: String,
        /// What is wrong with it.
        source: OidError,
    },
    /// Two of the given extensions have the same object identifier.
    #[error("the extension {oid} is given twice")]
    DuplicateExtension {
        /// The extension.
        oid: String,
    },
    /// The issuer's certificate can't be read.
    #[error("the issuer's certificate: {0}")]
    Issuer(CertificateError),
    /// The issuer's key is not the one in its certificate.
    #[error("the issuer's key does not belong to the issuer's certificate")]
    IssuerKeyMismatch,
    /// The issuer's name has a form that can't be repeated in the new certificate.
    #[error("the issuer's name can't be copied: it has several attributes of one type, or of an uncommon string type")]
    UnsupportedIssuerName,
    /// The library refused.
    #[error("the certificate can't be made: {0}")]
    Failed(String),
}

impl CreateError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPkcs8 { .. } => "NotPkcs8",
            Self::UnsupportedKey => "UnsupportedKey",
            Self::InvalidValidity { .. } => "InvalidValidity",
            Self::InvalidSerial => "InvalidSerial",
            Self::InvalidName { .. } => "InvalidName",
            Self::InvalidOid { source, .. } => source.code(),
            Self::DuplicateExtension { .. } => "DuplicateExtension",
            Self::Issuer(source) => source.code(),
            Self::IssuerKeyMismatch => "IssuerKeyMismatch",
            Self::UnsupportedIssuerName => "UnsupportedIssuerName",
            Self::Failed(_) => "CertificateNotMade",
        }
    }
}

/// Makes a certificate and signs it.
///
/// A CA's key may sign certificates, lists and handshakes; a leaf's key may sign handshakes, as server and as client.
pub fn create_certificate(params: &CertificateParams<'_>) -> Result<NewCertificate, CreateError> {
    let key = signing_key(params.key)?;
    let content = content(params)?;
    let made = match &params.issuer {
        None => content.self_signed(&key).map_err(failed)?,
        Some(issuer) => {
            let certificate = Certificate::parse(issuer.certificate).map_err(CreateError::Issuer)?;
            let made = content
                .signed_by(&key, &signing_issuer(issuer, &certificate)?)
                .map_err(failed)?;
            let copied = Certificate::parse(made.der()).map_err(|error| failed(&error))?;
            if copied.issuer() != certificate.subject() {
                return Err(CreateError::UnsupportedIssuerName);
            }
            made
        }
    };
    let der = made.der().to_vec();
    let pem = pem::encode("CERTIFICATE", &der).expect("the label is valid");
    Ok(NewCertificate { der, pem })
}

fn failed(error: impl ToString) -> CreateError {
    CreateError::Failed(error.to_string())
}

fn signing_key(key: &PrivateKey) -> Result<KeyPair, CreateError> {
    if key.format() != PrivateKeyFormat::Pkcs8 {
        return Err(CreateError::NotPkcs8 {
            label: key.format().label(),
        });
    }
    KeyPair::try_from(key.secret_der()).map_err(|_| CreateError::UnsupportedKey)
}

/// The public half of a key, as SubjectPublicKeyInfo DER.
pub(crate) fn public_key(key: &PrivateKey) -> Result<Vec<u8>, CreateError> {
    Ok(signing_key(key)?.subject_public_key_info())
}

fn signing_issuer(
    issuer: &IssuerParams<'_>,
    certificate: &Certificate,
) -> Result<Issuer<'static, KeyPair>, CreateError> {
    let key = signing_key(issuer.key)?;
    if key.public_key_raw() != certificate.public_key() {
        return Err(CreateError::IssuerKeyMismatch);
    }
    if !has_plain_subject(certificate) {
        return Err(CreateError::UnsupportedIssuerName);
    }
    Issuer::from_ca_cert_der(&issuer.certificate.into(), key).map_err(|_| CreateError::UnsupportedIssuerName)
}

/// Whether each relative name has one attribute, of a kind that starts with a number below 2.40: rcgen copies no others, and
/// panics on an empty one, and on what it takes for a kind that starts with 3 (X.690 §8.19.4).
fn has_plain_subject(certificate: &Certificate) -> bool {
    let is_plain = |relative: &RelativeDistinguishedName<'_>| {
        let mut kinds = relative
            .iter()
            .map(|attribute| attribute.attr_type().as_bytes().first());
        matches!((kinds.next(), kinds.next()), (Some(Some(..120)), None))
    };
    X509Name::from_der(certificate.subject().der()).is_ok_and(|(_, name)| name.iter_rdn().all(is_plain))
}

fn content(params: &CertificateParams<'_>) -> Result<rcgen::CertificateParams, CreateError> {
    let is_given = |oid: &str| params.extensions.iter().any(|extension| extension.oid == oid);
    let mut content = rcgen::CertificateParams::default();
    let (not_before, not_after) = validity(params)?;
    content.not_before = not_before.to_datetime();
    content.not_after = not_after.to_datetime();
    content.serial_number = Some(serial(params)?);
    content.distinguished_name = DistinguishedName::new();
    if !params.common_name.is_empty() {
        content.distinguished_name.push(DnType::CommonName, params.common_name);
    }
    if !is_given(oid::SUBJECT_ALT_NAME) {
        content.subject_alt_names = alt_names(params)?;
    }
    if !is_given(oid::KEY_USAGE) {
        content.key_usages = key_usages(params);
    }
    if !is_given(oid::EXTENDED_KEY_USAGE) && params.ca.is_none() {
        content.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    }
    if !is_given(oid::BASIC_CONSTRAINTS) {
        content.is_ca = is_ca(params, is_given(oid::SUBJECT_KEY_IDENTIFIER))?;
    }
    content.use_authority_key_identifier_extension =
        params.issuer.is_some() && !is_given(oid::AUTHORITY_KEY_IDENTIFIER);
    content.custom_extensions = custom_extensions(&params.extensions)?;
    Ok(content)
}

fn validity(params: &CertificateParams<'_>) -> Result<(ASN1Time, ASN1Time), CreateError> {
    let &CertificateParams {
        not_before, not_after, ..
    } = params;
    let invalid = CreateError::InvalidValidity { not_before, not_after };
    if not_before < 0 || not_before > not_after || not_after > MAX_TIME {
        return Err(invalid);
    }
    match (
        ASN1Time::from_timestamp(not_before),
        ASN1Time::from_timestamp(not_after),
    ) {
        (Ok(not_before), Ok(not_after)) => Ok((not_before, not_after)),
        _ => Err(invalid),
    }
}

fn serial(params: &CertificateParams<'_>) -> Result<SerialNumber, CreateError> {
    let Some(serial) = &params.serial else {
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| failed("the system gave no random bytes"))?;
        random[0] = random[0] & 0x7f | 0x40; // positive, and always 16 bytes long
        return Ok(SerialNumber::from_slice(&random));
    };
    // A set first bit costs one byte more.
    let length = serial.len() + usize::from(serial.first().is_some_and(|byte| *byte >= 0x80));
    if length > MAX_SERIAL_BYTES || serial.iter().all(|byte| *byte == 0) {
        return Err(CreateError::InvalidSerial);
    }
    Ok(SerialNumber::from_slice(serial))
}

fn alt_names(params: &CertificateParams<'_>) -> Result<Vec<SanType>, CreateError> {
    let text = |name: &String| {
        let invalid = || CreateError::InvalidName {
            name: name.chars().take(300).collect(),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid());
        }
        Ia5String::try_from(name.as_str()).map_err(|_| invalid())
    };
    let dns = params.dns_names.iter().map(|name| text(name).map(SanType::DnsName));
    let ip = params.ip_addresses.iter().map(|ip| Ok(SanType::IpAddress(*ip)));
    let uri = params.uris.iter().map(|uri| text(uri).map(SanType::URI));
    dns.chain(ip).chain(uri).collect()
}

fn key_usages(params: &CertificateParams<'_>) -> Vec<KeyUsagePurpose> {
    match params.ca {
        None => vec![KeyUsagePurpose::DigitalSignature],
        Some(_) => {
            vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
            ]
        }
    }
}

fn is_ca(params: &CertificateParams<'_>, has_key_identifier: bool) -> Result<IsCa, CreateError> {
    match params.ca {
        None => Ok(IsCa::NoCa),
        // rcgen writes the subject key identifier of a CA together with its basic constraints.
        Some(_) if has_key_identifier => Err(CreateError::DuplicateExtension {
            oid: oid::SUBJECT_KEY_IDENTIFIER.to_owned(),
        }),
        Some(CaParams { path_length: None }) => Ok(IsCa::Ca(BasicConstraints::Unconstrained)),
        Some(CaParams {
            path_length: Some(length),
        }) => Ok(IsCa::Ca(BasicConstraints::Constrained(length))),
    }
}

fn custom_extensions(extensions: &[Extension]) -> Result<Vec<CustomExtension>, CreateError> {
    let mut custom = Vec::with_capacity(extensions.len());
    for (position, Extension { oid, critical, value }) in extensions.iter().enumerate() {
        if extensions[..position].iter().any(|earlier| earlier.oid == *oid) {
            return Err(CreateError::DuplicateExtension { oid: oid.clone() });
        }
        let invalid = |source| CreateError::InvalidOid {
            oid: oid.chars().take(100).collect(),
            source,
        };
        let arcs = oid::arcs_from_text(oid).map_err(invalid)?;
        let mut extension = CustomExtension::from_oid_content(&arcs, value.clone());
        extension.set_criticality(*critical);
        custom.push(extension);
    }
    Ok(custom)
}

#[cfg(test)]
mod tests;
