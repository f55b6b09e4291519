//! The BoringSSL context of a configuration: credentials, trust anchors, algorithms.

use std::time::Duration;

use boring::error::ErrorStack;
use boring::ssl::{SslContextBuilder, SslMethod, SslRef};
use boring::x509::X509;
use boring::x509::store::X509StoreBuilder;
use boring::x509::verify::X509VerifyFlags;
use foreign_types_shared::ForeignTypeRef;

use super::credentials::add_credentials;
use super::error::{Error, Result};
pub use super::tickets::DEFAULT_TICKET_LIFETIME;
use super::tickets::set_resumption;

/// Signature algorithms offered and accepted when none are named. BoringSSL leaves Ed25519 out unless it is asked for.
pub const DEFAULT_SIGNATURE_ALGORITHMS: &str = "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

/// A private key with the certificate chain that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The private key, PEM.
    pub key: Vec<u8>,
    /// The chain, PEM, leaf first.
    pub chain: Vec<u8>,
}

/// What the TLS part of a connection is made of.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Our keys and chains. A server shows the first that is for the name asked for, else the first that the client's
    /// algorithms permit.
    pub credentials: Vec<Credential>,
    /// Trust anchors, PEM, any number in each element. An anchor need not be a root: an intermediate is one too, and so is
    /// a peer's own certificate.
    pub ca: Vec<Vec<u8>>,
    /// Trust anchors, DER: many of them (a system's roots) load faster so.
    pub ca_der: Vec<Vec<u8>>,
    /// BoringSSL's list of signature algorithms; [`DEFAULT_SIGNATURE_ALGORITHMS`] by default.
    pub signature_algorithms: Option<String>,
    /// BoringSSL's list of key exchange groups, as `X25519MLKEM768:X25519:P-256`.
    pub groups: Option<String>,
    /// Server: hand out session tickets, so that a returning client may resume.
    pub session_tickets: bool,
    /// Server: how long a ticket is good for, in whole seconds; [`DEFAULT_TICKET_LIFETIME`] by default.
    pub ticket_lifetime: Option<Duration>,
    /// Server: secrets of at least 32 bytes. The first encrypts the tickets that are handed out, those of the others are still
    /// taken. None, the default: random ones, which BoringSSL changes every two days.
    pub ticket_keys: Vec<Vec<u8>>,
    /// Server: a ticket is good only under the context under which it was handed out. Whoever shares ticket keys has to put
    /// in here all that its clients are judged by, or a ticket gets past it.
    pub session_context: Option<Vec<u8>>,
    /// Client: judge the server's chain again when a session is resumed. It needs a verification other than `None`.
    pub verify_resumed: bool,
}

/// The context that quiche itself would make: no credentials, and trust anchors where BoringSSL finds the system's. Made
/// here, since `boring` refuses to set whom a connection expects on a context that it hasn't made itself.
pub fn plain_context() -> Result<SslContextBuilder> {
    let mut builder = new_context()?;
    builder
        .set_sigalgs_list(DEFAULT_SIGNATURE_ALGORITHMS)
        .map_err(|error| refused("sigalgs", &error))?;
    builder
        .set_default_verify_paths()
        .map_err(|error| refused("ca", &error))?;
    Ok(builder)
}

/// Builds the context; every refusal names its setting.
pub fn context(settings: &TlsSettings) -> Result<SslContextBuilder> {
    let mut builder = new_context()?;
    let algorithms = settings
        .signature_algorithms
        .as_deref()
        .unwrap_or(DEFAULT_SIGNATURE_ALGORITHMS);
    builder
        .set_sigalgs_list(algorithms)
        .map_err(|error| refused("sigalgs", &error))?;
    if let Some(groups) = &settings.groups {
        builder
            .set_curves_list(groups)
            .map_err(|error| refused("groups", &error))?;
    }
    builder.set_cert_store(anchors(settings)?.build());
    add_credentials(&mut builder, &settings.credentials)?;
    set_resumption(&mut builder, settings)?;
    Ok(builder)
}

/// All certificates of a PEM text.
pub(super) fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<X509>> {
    let found = X509::stack_from_pem(pem).map_err(|error| refused(setting, &error))?;
    if found.is_empty() {
        return Err(config(setting, "holds no certificate in PEM form"));
    }
    // BoringSSL passes over what doesn't begin a line: a chain or a list of anchors would be shorter than it looks.
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(BEGIN.len()).filter(|window| *window == BEGIN).count() > found.len() {
        return Err(config(
            setting,
            "holds a certificate that doesn't begin a line of its own: BoringSSL would pass over it",
        ));
    }
    Ok(found)
}

fn new_context() -> Result<SslContextBuilder> {
    // What failed earlier on this thread, as handshakes do, must not be taken for what fails now.
    drop(ErrorStack::get());
    SslContextBuilder::new(SslMethod::tls()).map_err(|error| refused("tls", &error))
}

fn anchors(settings: &TlsSettings) -> Result<X509StoreBuilder> {
    let mut store = X509StoreBuilder::new().map_err(|error| refused("ca", &error))?;
    // RFC 5280 §6.1.1 (d): whom the user trusts is an anchor, whoever signed it.
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN);
    for pem in &settings.ca {
        for certificate in certificates("ca", pem)? {
            store.add_cert(&certificate).map_err(|error| refused("ca", &error))?;
        }
    }
    for der in &settings.ca_der {
        let certificate = X509::from_der(der).map_err(|error| refused("ca", &error))?;
        store.add_cert(&certificate).map_err(|error| refused("ca", &error))?;
    }
    Ok(store)
}

/// Lets a connection forget its TLS settings when its handshake is complete: nothing asks for them any more.
pub(super) fn shed_after_handshake(ssl: &mut SslRef) {
    // SAFETY: the pointer is valid for the call.
    unsafe { boring_sys::SSL_set_shed_handshake_config(ssl.as_ptr(), 1) };
}

/// Lets a server take early data only with tickets that were made under the same context.
pub(super) fn bind_early_data(ssl: &mut SslRef, context: &[u8]) {
    // SAFETY: the pointers are valid for the call, which copies. It fails only without memory; quiche's own context stays.
    unsafe { boring_sys::SSL_set_quic_early_data_context(ssl.as_ptr(), context.as_ptr(), context.len()) };
}

/// What BoringSSL doesn't take, with what to do about it.
pub(super) fn refused(setting: &'static str, error: &ErrorStack) -> Error {
    let words: Vec<_> = error.errors().iter().filter_map(|error| error.reason()).collect();
    let says = match words.as_slice() {
        [] => String::new(),
        words => format!(" (BoringSSL: {})", words.join(", ")),
    };
    config(setting, &format!("{}{says}", advice(setting)))
}

fn advice(setting: &str) -> &'static str {
    match setting {
        "key" => {
            "is no private key that can be read: give one in PEM form, unencrypted, as PKCS#8 (PRIVATE KEY), RSA PRIVATE KEY or EC \
             PRIVATE KEY"
        }
        "cert" => "holds a certificate that can't be read: give a chain in PEM form, the leaf first",
        "ca" => "holds a certificate that can't be read: give trust anchors in PEM form",
        "sigalgs" => {
            "is no list of signature algorithms that BoringSSL knows: separate them by colons, as in ed25519:ECDSA+SHA256"
        }
        "groups" => {
            "is no list of groups that BoringSSL knows: separate them by colons, as in X25519MLKEM768:X25519:P-256"
        }
        _ => "is refused by BoringSSL",
    }
}

pub(super) fn config(setting: &'static str, reason: &str) -> Error {
    Error::Config {
        setting,
        reason: reason.into(),
    }
}
