//! The facts in certificates, as plain objects.

use super::input::{self, PemOrDer, PemOrDerList, certificate_ders};
use crate::binding::error::{Error, Result, catch};
use crate::x509::{self, Certificate, KeyType, key_fingerprint};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// An extension as it stands in a certificate.
#[napi(object, object_from_js = false)]
pub struct CertificateExtension {
    /// The object identifier in dotted form, as `2.5.29.17`.
    pub oid: String,
    /// Whether who doesn't understand it must refuse the certificate.
    pub critical: bool,
    /// The content of its OCTET STRING; DER, if its inventor kept to the rules.
    pub value: Uint8Array,
}

/// What one certificate says. Nothing of it is verified.
#[napi(object, object_from_js = false)]
pub struct CertificateInfo {
    /// The whole certificate.
    pub der: Uint8Array,
    /// 1, 2 or 3.
    pub version: u32,
    /// The serial number in upper-case hexadecimal, as in `X509Certificate` of `node:crypto`.
    pub serial_number: String,
    /// Whom the certificate is about, for people to read: `CN=alice, O=Example`. To compare names, use `subjectDer`.
    pub subject: String,
    /// The first common name of the subject, if it has one that is text.
    pub subject_common_name: Option<String>,
    /// The subject's name in DER.
    pub subject_der: Uint8Array,
    /// Who signed it, by its own account, for people to read. To compare names, use `issuerDer`.
    pub issuer: String,
    /// The first common name of the issuer, if it has one that is text.
    pub issuer_common_name: Option<String>,
    /// The issuer's name in DER.
    pub issuer_der: Uint8Array,
    /// First second at which it is valid, since the Unix epoch; negative before 1970.
    pub not_before: f64,
    /// Last second at which it is valid, since the Unix epoch.
    pub not_after: f64,
    /// `Ed25519`, `P-256`, `P-384`, `P-521`, `RSA`, or the object identifier of another algorithm.
    pub key_type: String,
    /// Bits of an RSA key's modulus; only for `RSA`.
    pub key_bits: Option<u32>,
    /// The public key alone: 32 bytes for Ed25519, the curve point for ECDSA, PKCS#1 DER for RSA.
    pub public_key: Uint8Array,
    /// The public key with its algorithm, as SubjectPublicKeyInfo DER.
    pub spki: Uint8Array,
    /// SHA-256 of `spki` in 64 lower-case hexadecimal digits: names the key, whatever certificate carries it.
    pub public_key_fingerprint: String,
    /// SHA-256 of the certificate in 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    /// The signature's algorithm as an object identifier: `1.3.101.112` for Ed25519.
    pub signature_algorithm: String,
    /// All extensions in their order.
    pub extensions: Vec<CertificateExtension>,
    /// Host names it is for (subject alternative names); the first label may be `*`.
    pub dns_names: Vec<String>,
    /// Addresses it is for, as text.
    pub ip_addresses: Vec<String>,
    /// Locators it is for.
    pub uris: Vec<String>,
    /// Mail addresses it is for.
    pub email_addresses: Vec<String>,
    /// Whether it may issue other certificates.
    pub is_ca: bool,
    /// How many intermediate certificates may stand between it and a leaf; left out if any number.
    pub path_length: Option<u32>,
    /// What the key may be used for, as `digitalSignature` or `keyCertSign`; left out if it doesn't say.
    pub key_usage: Option<Vec<String>>,
    /// The purposes it serves, as object identifiers (`1.3.6.1.5.5.7.3.1` is a TLS server); left out if it doesn't say.
    pub extended_key_usage: Option<Vec<String>>,
}

impl From<&Certificate> for CertificateInfo {
    fn from(certificate: &Certificate) -> Self {
        let names = certificate.alt_names();
        let usage = certificate.key_usage();
        Self {
            der: certificate.der().into(),
            version: certificate.version(),
            serial_number: certificate.serial_hex(),
            subject: certificate.subject().text().to_owned(),
            subject_common_name: certificate.subject().common_name().map(str::to_owned),
            subject_der: certificate.subject().der().into(),
            issuer: certificate.issuer().text().to_owned(),
            issuer_common_name: certificate.issuer().common_name().map(str::to_owned),
            issuer_der: certificate.issuer().der().into(),
            not_before: certificate.not_before() as f64,
            not_after: certificate.not_after() as f64,
            key_type: certificate.key_type().to_string(),
            key_bits: match certificate.key_type() {
                KeyType::Rsa { bits } => Some(*bits),
                _ => None,
            },
            public_key: certificate.public_key().into(),
            spki: certificate.spki().into(),
            public_key_fingerprint: x509::hex(&certificate.spki_fingerprint()),
            fingerprint: x509::hex(&certificate.fingerprint()),
            signature_algorithm: certificate.signature_algorithm().to_owned(),
            extensions: certificate.extensions().iter().map(Into::into).collect(),
            dns_names: names.dns.clone(),
            ip_addresses: names.ip.iter().map(ToString::to_string).collect(),
            uris: names.uri.clone(),
            email_addresses: names.email.clone(),
            is_ca: certificate.is_ca(),
            path_length: certificate
                .basic_constraints()
                .and_then(|constraints| constraints.path_length),
            key_usage: usage.map(|usage| usage.names().map(str::to_owned).collect()),
            extended_key_usage: certificate.extended_key_usage().map(|usage| usage.purposes().to_vec()),
        }
    }
}

impl From<&x509::Extension> for CertificateExtension {
    fn from(extension: &x509::Extension) -> Self {
        Self {
            oid: extension.oid.clone(),
            critical: extension.critical,
            value: extension.value.as_slice().into(),
        }
    }
}

/// Reads certificates: PEM text with any number of them, DER with one, or a list of such; as a peer's chain, leaf first.
/// Nothing is verified.
///
/// Throws `NoCertificate` and the codes of `pemToDer` for text, and `MalformedCertificate`, `TrailingBytes`,
/// `CertificateTooLarge` (128 KiB are allowed), `AlgorithmMismatch`, `DuplicateExtension` or `MalformedExtension` for what
/// is no certificate.
#[napi]
pub fn parse_certificates(
    #[napi(ts_arg_type = "string | Uint8Array | Array<string | Uint8Array>")] certificates: PemOrDerList,
) -> Result<Vec<CertificateInfo>> {
    catch(|| {
        let parse = |der: Vec<u8>| Ok(CertificateInfo::from(&Certificate::parse(&der)?));
        certificate_ders(&certificates)?
            .into_iter()
            .map(parse)
            .collect::<Result<_>>()
    })
}

/// SHA-256 of a public key (as SubjectPublicKeyInfo) in 64 lower-case hexadecimal digits: a short name for who holds the key.
///
/// Takes a certificate, a public key (SPKI) or a private key (PKCS#8: Ed25519, P-256, P-384 or RSA), PEM or DER; of several
/// PEM blocks the first. Throws `NoKey`, the codes of `pemToDer`, `EncryptedPrivateKey`, `UnsupportedKey` or `NotPkcs8`.
#[napi]
pub fn public_key_fingerprint(#[napi(ts_arg_type = "string | Uint8Array")] holder: PemOrDer) -> Result<String> {
    catch(|| Ok::<_, Error>(x509::hex(&key_fingerprint(input::bytes(&holder))?)))
}
