//! Our keys with their chains, and which of them is shown to whom.

use boring::pkey::{PKey, Private};
use boring::ssl::{ClientHello, NameType, SslContextBuilder, SslCredential, SslRef};
use boring::x509::X509;
use foreign_types_shared::{ForeignType, ForeignTypeRef};

use super::error::Result;
use super::tls::{Credential, certificates, config, refused};

/// Largest number of certificates in one chain of ours.
const MAX_CHAIN_LENGTH: usize = 64;

/// A credential in BoringSSL's form, and the host names that its leaf is for.
struct Named {
    credential: SslCredential,
    names: Vec<String>,
}

/// Adds the credentials to a context. Of several, a server shows the first that is for the name asked for (RFC 6066 §3)
/// and that the client's algorithms permit; where none is for that name, or none was asked for, the first permitted.
pub(super) fn add_credentials(builder: &mut SslContextBuilder, credentials: &[Credential]) -> Result<()> {
    let named = credentials.iter().map(parse).collect::<Result<Vec<_>>>()?;
    for one in &named {
        builder
            .add_credential(&one.credential)
            .map_err(|error| refused("cert", &error))?;
    }
    if named.len() > 1 {
        builder.set_select_certificate_callback(move |mut hello: ClientHello<'_>| {
            if let Some(name) = hello.servername(NameType::HOST_NAME).map(str::to_ascii_lowercase) {
                prefer(hello.ssl_mut(), &named, &name);
            }
            Ok(())
        });
    }
    Ok(())
}

/// Puts the credentials for this name first.
fn prefer(ssl: &mut SslRef, named: &[Named], name: &str) {
    let (fitting, others): (Vec<_>, Vec<_>) = named.iter().partition(|one| one.is_for(name));
    if fitting.is_empty() {
        return;
    }
    // SAFETY: BoringSSL lets this callback change the connection's certificates.
    unsafe { boring_sys::SSL_certs_clear(ssl.as_ptr()) };
    for one in fitting.into_iter().chain(others) {
        // Fails only without memory; the handshake then ends for want of a certificate.
        let _ = ssl.add_credential(&one.credential);
    }
}

impl Named {
    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| matches(pattern, name))
    }
}

/// RFC 6125 §6.4.3: a star stands for the whole first label.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => pattern == name,
    }
}

fn parse(credential: &Credential) -> Result<Named> {
    let key = private_key(&credential.key)?;
    let chain = certificates("cert", &credential.chain)?;
    if chain.len() > MAX_CHAIN_LENGTH {
        return Err(config("cert", "has more than 64 certificates"));
    }
    let same_key = chain[0].public_key().is_ok_and(|public| public.public_eq(&key));
    if !same_key {
        return Err(config("key", "is not the key of the first certificate of its chain"));
    }
    Ok(Named {
        credential: build(&key, &chain)?,
        names: host_names(&chain[0]),
    })
}

fn private_key(pem: &[u8]) -> Result<PKey<Private>> {
    // PKCS#8 says so in its first line, the older forms in a header (RFC 1421 §4.6.1.1).
    let is_encrypted = |line: &[u8]| {
        line.starts_with(b"-----BEGIN ENCRYPTED")
            || line.starts_with(b"Proc-Type:") && line.trim_ascii_end().ends_with(b"ENCRYPTED")
    };
    if pem.split(|byte| *byte == b'\n').any(is_encrypted) {
        return Err(config("key", "is encrypted: decrypt it first"));
    }
    // BoringSSL would take the first, and say nothing.
    let is_start =
        |line: &&[u8]| line.starts_with(b"-----BEGIN") && line.trim_ascii_end().ends_with(b"PRIVATE KEY-----");
    if pem.split(|byte| *byte == b'\n').filter(is_start).count() > 1 {
        return Err(config(
            "key",
            "holds several private keys: give each by itself, with its chain",
        ));
    }
    PKey::private_key_from_pem(pem).map_err(|error| refused("key", &error))
}

fn host_names(leaf: &X509) -> Vec<String> {
    let names = leaf.subject_alt_names();
    names
        .iter()
        .flatten()
        .filter_map(|name| name.dnsname().map(str::to_ascii_lowercase))
        .collect()
}

/// Makes one credential by BoringSSL's own calls: `boring` has no safe ones for X.509 credentials.
fn build(key: &PKey<Private>, chain: &[X509]) -> Result<SslCredential> {
    let ders = chain
        .iter()
        .map(|certificate| certificate.to_der().map_err(|error| refused("cert", &error)))
        .collect::<Result<Vec<_>>>()?;
    // SAFETY: every pointer is fresh from its constructor and checked there; BoringSSL counts references, so what is
    // released below stays alive as long as the credential needs it.
    unsafe {
        let credential = boring_sys::SSL_CREDENTIAL_new_x509();
        if credential.is_null() {
            return Err(config("cert", "BoringSSL ran out of memory"));
        }
        let credential = SslCredential::from_ptr(credential);
        let buffers: Vec<_> = ders
            .iter()
            .map(|der| boring_sys::CRYPTO_BUFFER_new(der.as_ptr(), der.len(), std::ptr::null_mut()))
            .collect();
        let is_complete = buffers.iter().all(|buffer| !buffer.is_null())
            && boring_sys::SSL_CREDENTIAL_set1_cert_chain(credential.as_ptr(), buffers.as_ptr(), buffers.len()) == 1
            && boring_sys::SSL_CREDENTIAL_set1_private_key(credential.as_ptr(), key.as_ptr()) == 1;
        buffers
            .into_iter()
            .for_each(|buffer| boring_sys::CRYPTO_BUFFER_free(buffer));
        if is_complete {
            Ok(credential)
        } else {
            Err(config("cert", "BoringSSL refuses this key or chain"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_one_label() {
        for (pattern, name, fits) in [
            ("a.example", "a.example", true),
            ("a.example", "b.example", false),
            ("*.example", "a.example", true),
            ("*.example", "b.a.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
