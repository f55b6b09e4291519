//! Makes certificates and keys for JavaScript.

use super::input::{PemOrDer, bytes, private_key};
use super::support::seconds;
use crate::binding::error::{Error, Result, catch, invalid_argument};
use crate::binding::number::integer;
use crate::x509::pem::{self, PrivateKey};
use crate::x509::{self, CaParams, CertificateParams, Extension, IssuerParams, MAX_SERIAL_BYTES, generate_key};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::net::IpAddr;

/// An extension to be written.
#[napi(object, object_to_js = false)]
pub struct NewExtension {
    /// The object identifier in dotted form; each number below 2^64.
    pub oid: String,
    /// Whether who doesn't understand it must refuse the certificate; false by default.
    pub critical: Option<bool>,
    /// The content of its OCTET STRING, which should be DER.
    pub value: Uint8Array,
}

/// Who signs a new certificate.
#[napi(object, object_to_js = false)]
pub struct CertificateIssuer {
    /// The issuer's certificate, PEM (the first in the text) or DER. It need not be a CA's.
    #[napi(ts_type = "string | Uint8Array")]
    pub certificate: PemOrDer,
    /// The issuer's private key, PKCS#8, PEM or DER.
    #[napi(ts_type = "string | Uint8Array")]
    pub key: PemOrDer,
}

/// What a new certificate says.
#[napi(object, object_to_js = false)]
pub struct NewCertificateOptions {
    /// The subject's private key, PKCS#8, PEM or DER: Ed25519, P-256, P-384, or RSA of 2048 to 4096 bits. Its public half goes
    /// into the certificate.
    #[napi(ts_type = "string | Uint8Array")]
    pub key: PemOrDer,
    /// First second of its validity, since the Unix epoch: 0 to 253402300799 (the year 9999).
    pub not_before: f64,
    /// Last second of its validity, likewise; not before the first.
    pub not_after: f64,
    /// The subject's common name; none by default.
    pub common_name: Option<String>,
    /// Host names it is for, in ASCII; the first label may be `*`.
    pub dns_names: Option<Vec<String>>,
    /// Addresses it is for.
    pub ip_addresses: Option<Vec<String>>,
    /// Locators it is for, in ASCII.
    pub uris: Option<Vec<String>>,
    /// Whether it may issue other certificates; false by default.
    pub is_ca: Option<bool>,
    /// How many intermediate certificates may stand between it and a leaf, 0 to 255; any number by default. Only with `isCa`.
    pub path_length: Option<f64>,
    /// The serial number in hexadecimal, up to 20 bytes; 16 random bytes by default.
    pub serial_number: Option<String>,
    /// Further extensions. One that is written anyway (key usage, say) is written as given here instead.
    pub extensions: Option<Vec<NewExtension>>,
    /// Who signs; self-signed by default.
    pub issuer: Option<CertificateIssuer>,
}

/// A new certificate.
#[napi(object, object_from_js = false)]
pub struct NewCertificate {
    /// In DER.
    pub der: Uint8Array,
    /// The same as PEM text.
    pub pem: String,
}

/// Makes a certificate and signs it: an identity for a peer, a CA for tests, the next link of a chain.
///
/// A CA's key may sign certificates, lists and handshakes; a leaf's key may sign handshakes, as server and as client. Throws
/// `OutOfRange` and `InvalidArgument` for numbers, addresses and hexadecimal, `InvalidValidity`, `InvalidSerial`,
/// `InvalidName`, `InvalidOid`, `DuplicateExtension`, `UnsupportedKey` or `NotPkcs8` for the rest of the options,
/// `IssuerKeyMismatch` if the issuer's key is not the one in its certificate, `UnsupportedIssuerName`, and the codes of
/// `pemToDer` and `parseCertificates` for the issuer's certificate.
#[napi]
pub fn create_certificate(options: NewCertificateOptions) -> Result<NewCertificate> {
    catch(|| {
        let key = private_key(&options.key)?;
        let issuer = options.issuer.as_ref().map(Issuer::read).transpose()?;
        let params = params(&options, &key, issuer.as_ref())?;
        let made = x509::create_certificate(&params)?;
        Ok::<_, Error>(NewCertificate {
            der: made.der.into(),
            pem: made.pem,
        })
    })
}

struct Issuer {
    certificate: Vec<u8>,
    key: PrivateKey,
}

impl Issuer {
    fn read(issuer: &CertificateIssuer) -> Result<Self> {
        let certificate = bytes(&issuer.certificate);
        let certificate = if pem::is_pem(certificate) {
            pem::certificates(certificate)?.swap_remove(0)
        } else {
            certificate.to_vec()
        };
        Ok(Self {
            certificate,
            key: private_key(&issuer.key)?,
        })
    }
}

fn params<'a>(
    options: &'a NewCertificateOptions,
    key: &'a PrivateKey,
    issuer: Option<&'a Issuer>,
) -> Result<CertificateParams<'a>> {
    Ok(CertificateParams {
        common_name: options.common_name.as_deref().unwrap_or_default(),
        dns_names: options.dns_names.clone().unwrap_or_default(),
        ip_addresses: options
            .ip_addresses
            .iter()
            .flatten()
            .map(|ip| address(ip))
            .collect::<Result<_>>()?,
        uris: options.uris.clone().unwrap_or_default(),
        not_before: seconds("notBefore", options.not_before)?,
        not_after: seconds("notAfter", options.not_after)?,
        ca: ca(options)?,
        serial: options.serial_number.as_deref().map(serial).transpose()?,
        extensions: options.extensions.iter().flatten().map(Into::into).collect(),
        key,
        issuer: issuer.map(|issuer| IssuerParams {
            certificate: &issuer.certificate,
            key: &issuer.key,
        }),
    })
}

impl From<&NewExtension> for Extension {
    fn from(extension: &NewExtension) -> Self {
        Self {
            oid: extension.oid.clone(),
            critical: extension.critical.unwrap_or(false),
            value: extension.value.to_vec(),
        }
    }
}

fn address(text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| invalid_argument("ipAddresses", &format!("{text:?} is no IP address")))
}

fn ca(options: &NewCertificateOptions) -> Result<Option<CaParams>> {
    let path_length = match options.path_length {
        Some(length) => Some(integer("pathLength", length, 0..=255)? as u8),
        None => None,
    };
    match options.is_ca {
        Some(true) => Ok(Some(CaParams { path_length })),
        _ if path_length.is_some() => Err(invalid_argument("pathLength", "only a CA has one: set isCa")),
        _ => Ok(None),
    }
}

fn serial(hex: &str) -> Result<Vec<u8>> {
    let invalid = || invalid_argument("serialNumber", &format!("{hex:?} is not 1 to 20 bytes in hexadecimal"));
    if hex.is_empty() || hex.len() > 2 * MAX_SERIAL_BYTES || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(invalid());
    }
    let even = if hex.len().is_multiple_of(2) {
        hex.to_owned()
    } else {
        format!("0{hex}")
    };
    let byte = |at: usize| u8::from_str_radix(&even[at..at + 2], 16).map_err(|_| invalid());
    (0..even.len()).step_by(2).map(byte).collect()
}

/// Makes a new private key; answers with PKCS#8 PEM text, for `createCertificate`, for a connection's settings, and for
/// `crypto.createPrivateKey`.
///
/// For RSA keys take `node:crypto`: `generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8',
/// format: 'pem' })`. Throws `UnknownKeyAlgorithm` and `NoRandomness`.
#[napi(js_name = "generateKey")]
pub fn generate_key_pem(#[napi(ts_arg_type = "'Ed25519' | 'P-256' | 'P-384'")] algorithm: String) -> Result<String> {
    catch(|| generate_key(algorithm.parse()?).map(|key| key.to_pem()))
}
