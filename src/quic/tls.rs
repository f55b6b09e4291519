//! The BoringSSL context of a configuration: credentials, trust anchors, algorithms.

use boring::pkey::{PKey, Private};
use boring::ssl::{SslContextBuilder, SslMethod, SslOptions};
use boring::x509::X509;
use boring::x509::store::X509StoreBuilder;
use foreign_types_shared::ForeignType;

use super::error::{Error, Result};

/// Signature algorithms offered and accepted when none are named. BoringSSL leaves Ed25519 out unless it is asked for.
pub const DEFAULT_SIGNATURE_ALGORITHMS: &str = "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

/// Largest number of certificates in one chain of ours.
const MAX_CHAIN_LENGTH: usize = 64;

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
    /// Our keys and chains; the first that suits the peer is used.
    pub credentials: Vec<Credential>,
    /// Trust anchors, PEM, any number in each element.
    pub ca: Vec<Vec<u8>>,
    /// Trust anchors, DER: many of them (a system's roots) load faster so.
    pub ca_der: Vec<Vec<u8>>,
    /// BoringSSL's list of signature algorithms; [`DEFAULT_SIGNATURE_ALGORITHMS`] by default.
    pub signature_algorithms: Option<String>,
    /// BoringSSL's list of key exchange groups, as `X25519MLKEM768:X25519:P-256`.
    pub groups: Option<String>,
    /// Server: hand out session tickets, so that a returning client may resume.
    pub session_tickets: bool,
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
    if !settings.session_tickets {
        builder.set_options(SslOptions::NO_TICKET);
    }
    builder.set_cert_store(anchors(settings)?.build());
    for credential in &settings.credentials {
        add_credential(&mut builder, credential)?;
    }
    Ok(builder)
}

fn anchors(settings: &TlsSettings) -> Result<X509StoreBuilder> {
    let mut store = X509StoreBuilder::new().map_err(|error| refused("ca", error))?;
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

fn add_credential(builder: &mut SslContextBuilder, credential: &Credential) -> Result<()> {
    let key = private_key(&credential.key)?;
    let chain = X509::stack_from_pem(&credential.chain).map_err(|error| refused("cert", error))?;
    if chain.is_empty() {
        return Err(config("cert", "holds no certificate in PEM form"));
    }
    if chain.len() > MAX_CHAIN_LENGTH {
        return Err(config("cert", "has more than 64 certificates"));
    }
    let same_key = chain[0].public_key().is_ok_and(|public| public.public_eq(&key));
    if !same_key {
        return Err(config("key", "is not the key of the first certificate of its chain"));
    }
    install(builder, &key, &chain)
}

fn private_key(pem: &[u8]) -> Result<PKey<Private>> {
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return Err(config("key", "is encrypted: decrypt it first"));
    }
    PKey::private_key_from_pem(pem).map_err(|error| refused("key", error))
}

/// Adds one credential through BoringSSL's own calls: `boring` has no safe ones for X.509 credentials.
fn install(builder: &mut SslContextBuilder, key: &PKey<Private>, chain: &[X509]) -> Result<()> {
    let ders = chain
        .iter()
        .map(|certificate| certificate.to_der().map_err(|error| refused("cert", error)))
        .collect::<Result<Vec<_>>>()?;
    // SAFETY: every pointer is fresh from its constructor and checked there; BoringSSL counts references, so what is
    // released below stays alive as long as the credential and the context need it.
    let installed = unsafe {
        let credential = boring_sys::SSL_CREDENTIAL_new_x509();
        if credential.is_null() {
            return Err(config("cert", "BoringSSL ran out of memory"));
        }
        let buffers: Vec<_> = ders
            .iter()
            .map(|der| boring_sys::CRYPTO_BUFFER_new(der.as_ptr(), der.len(), std::ptr::null_mut()))
            .collect();
        let installed = buffers.iter().all(|buffer| !buffer.is_null())
            && boring_sys::SSL_CREDENTIAL_set1_cert_chain(credential, buffers.as_ptr(), buffers.len()) == 1
            && boring_sys::SSL_CREDENTIAL_set1_private_key(credential, key.as_ptr()) == 1
            && boring_sys::SSL_CTX_add1_credential(builder.as_ptr(), credential) == 1;
        buffers
            .into_iter()
            .for_each(|buffer| boring_sys::CRYPTO_BUFFER_free(buffer));
        boring_sys::SSL_CREDENTIAL_free(credential);
        installed
    };
    if installed {
        Ok(())
    } else {
        Err(config("cert", "BoringSSL refuses this key or chain"))
    }
}

fn refused(setting: &'static str, error: impl std::fmt::Display) -> Error {
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
