//! The BoringSSL context of a configuration: credentials, trust anchors, algorithms.

use std::time::Duration;

use boring::ssl::{SslContextBuilder, SslMethod, SslOptions, SslRef};
use boring::x509::X509;
use boring::x509::store::X509StoreBuilder;
use boring::x509::verify::X509VerifyFlags;
use foreign_types_shared::ForeignTypeRef;

use super::credentials::add_credentials;
use super::error::{Error, Result};

/// Signature algorithms offered and accepted when none are named. BoringSSL leaves Ed25519 out unless it is asked for.
pub const DEFAULT_SIGNATURE_ALGORITHMS: &str = "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

/// How long a session ticket is good for, unless [`TlsSettings::ticket_lifetime`] says otherwise.
pub const DEFAULT_TICKET_LIFETIME: Duration = Duration::from_secs(3600);

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
    /// Client: judge the server's chain again when a session is resumed. It needs a verification other than `None`.
    pub verify_resumed: bool,
}

/// The context that quiche itself would make: no credentials, and trust anchors where BoringSSL finds the system's. Made
/// here, since `boring` refuses to set whom a connection expects on a context that it hasn't made itself.
pub fn plain_context() -> Result<SslContextBuilder> {
    let mut builder = SslContextBuilder::new(SslMethod::tls()).map_err(|error| refused("tls", error))?;
    builder
        .set_sigalgs_list(DEFAULT_SIGNATURE_ALGORITHMS)
        .map_err(|error| refused("sigalgs", error))?;
    builder
        .set_default_verify_paths()
        .map_err(|error| refused("ca", error))?;
    Ok(builder)
}

/// Builds the context; every refusal names its setting.
pub fn context(settings: &TlsSettings) -> Result<SslContextBuilder> {
    let mut builder = SslContextBuilder::new(SslMethod::tls()).map_err(|error| refused("tls", error))?;
    let algorithms = settings
        .signature_algorithms
        .as_deref()
        .unwrap_or(DEFAULT_SIGNATURE_ALGORITHMS);
    builder
        .set_sigalgs_list(algorithms)
        .map_err(|error| refused("sigalgs", error))?;
    if let Some(groups) = &settings.groups {
        builder
            .set_curves_list(groups)
            .map_err(|error| refused("groups", error))?;
    }
    builder.set_cert_store(anchors(settings)?.build());
    add_credentials(&mut builder, &settings.credentials)?;
    set_resumption(&mut builder, settings);
    Ok(builder)
}

fn set_resumption(builder: &mut SslContextBuilder, settings: &TlsSettings) {
    if !settings.session_tickets {
        builder.set_options(SslOptions::NO_TICKET);
    }
    let lifetime = settings.ticket_lifetime.unwrap_or(DEFAULT_TICKET_LIFETIME);
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
    // SAFETY: the context lives; `boring` has no safe calls for these two.
    unsafe {
        boring_sys::SSL_CTX_set_session_psk_dhe_timeout(builder.as_ptr(), seconds);
        boring_sys::SSL_CTX_set_reverify_on_resume(builder.as_ptr(), settings.verify_resumed.into());
    }
}

fn anchors(settings: &TlsSettings) -> Result<X509StoreBuilder> {
    let mut store = X509StoreBuilder::new().map_err(|error| refused("ca", error))?;
    // RFC 5280 §6.1.1 (d): whom the user trusts is an anchor, whoever signed it.
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN);
    for pem in &settings.ca {
        let certificates = X509::stack_from_pem(pem).map_err(|error| refused("ca", error))?;
        if certificates.is_empty() {
            return Err(config("ca", "holds no certificate in PEM form"));
        }
        for certificate in certificates {
            store.add_cert(&certificate).map_err(|error| refused("ca", error))?;
        }
    }
    for der in &settings.ca_der {
        let certificate = X509::from_der(der).map_err(|error| refused("ca", error))?;
        store.add_cert(&certificate).map_err(|error| refused("ca", error))?;
    }
    Ok(store)
}

/// Lets a connection forget its TLS settings when its handshake is complete: nothing asks for them any more.
pub(super) fn shed_after_handshake(ssl: &mut SslRef) {
    // SAFETY: the pointer is valid for the call.
    unsafe { boring_sys::SSL_set_shed_handshake_config(ssl.as_ptr(), 1) };
}

pub(super) fn refused(setting: &'static str, error: impl std::fmt::Display) -> Error {
    let text = error.to_string();
    Error::Config {
        setting,
        reason: if text.is_empty() { "is not valid".into() } else { text },
    }
}

pub(super) fn config(setting: &'static str, reason: &str) -> Error {
    Error::Config {
        setting,
        reason: reason.into(),
    }
}
