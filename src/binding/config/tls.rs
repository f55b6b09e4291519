//! Credentials, trust anchors, who judges the peer, ALPN, tickets and early data.

use std::fs::File;
use std::time::Duration;

use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

use super::{Config, version_or_default};
use crate::binding::error::{Result, catch};
use crate::binding::number;
use crate::quic;
use crate::quic::tls;

/// RFC 8446 §4.6.1: seven days.
const MAX_TICKET_LIFETIME: u64 = 7 * 24 * 3600;

/// A private key with the certificate chain that proves it.
#[napi(object, object_to_js = false)]
pub struct Credential {
    /// The private key, PEM, not encrypted.
    pub key: Uint8Array,
    /// The certificate chain, PEM, leaf first.
    pub cert: Uint8Array,
}

/// What the TLS part of connections is made of.
#[napi(object, object_to_js = false)]
pub struct TlsSettings {
    /// Our keys and chains. A server shows the first that is for the name asked for (SNI), else the first that the client's
    /// algorithms permit. None by default.
    pub credentials: Option<Vec<Credential>>,
    /// Trust anchors, PEM, any number in each element: roots, intermediates, or peers' own certificates. None by default: the
    /// system's are not loaded.
    pub ca: Option<Vec<Uint8Array>>,
    /// Trust anchors, DER, one in each element: many of them load faster so.
    pub ca_der: Option<Vec<Uint8Array>>,
    /// Signature algorithms offered and accepted, a colon-separated list of BoringSSL's names. By default Ed25519, ECDSA
    /// with P-256, P-384 and P-521, and RSA.
    pub sigalgs: Option<String>,
    /// Groups for the key exchange, a colon-separated list of BoringSSL's names, the preferred first, as
    /// `X25519MLKEM768:X25519:P-256`. BoringSSL's own by default.
    pub groups: Option<String>,
    /// Server: hand out session tickets, so that a returning client may resume. Default false.
    pub session_tickets: Option<bool>,
    /// Server: how long a session ticket is good for, in seconds, 1 to 604800 (RFC 8446 §4.6.1); a fraction is dropped.
    /// Default 3600. Whoever resumes is not judged again; where a server judges at all, he gets no new ticket either.
    pub ticket_lifetime: Option<f64>,
    /// Server: secrets of at least 32 random bytes each, 16 at most. The first encrypts the tickets that are handed out, those
    /// of the others are still taken; so several servers, or one after a restart, know each other's. Default: random
    /// ones, changed every two days. Change yours yourself: past sessions are only as secret as they are.
    pub ticket_keys: Option<Vec<Uint8Array>>,
    /// Server: any bytes; a ticket is good only under the context under which it was handed out. Whoever gives `ticketKeys`
    /// has to put in here what its clients are judged by, or a ticket gets past it. Default: none.
    pub session_context: Option<Uint8Array>,
    /// Client: have the server's chain judged again when a session is resumed. Needs `setVerification` with `Chain` or
    /// `Application`: a resumption fails without. Default false.
    pub verify_resumed: Option<bool>,
}

impl TlsSettings {
    fn parse(&self) -> Result<tls::TlsSettings> {
        let bytes = |list: &Option<Vec<Uint8Array>>| list.iter().flatten().map(|item| item.to_vec()).collect();
        let seconds = |value: f64| number::size("ticketLifetime", value.trunc(), 1..=MAX_TICKET_LIFETIME);
        let ticket_lifetime = self.ticket_lifetime.map(seconds).transpose()?;
        Ok(tls::TlsSettings {
            credentials: self.credentials.iter().flatten().map(tls::Credential::from).collect(),
            ca: bytes(&self.ca),
            ca_der: bytes(&self.ca_der),
            signature_algorithms: self.sigalgs.clone(),
            groups: self.groups.clone(),
            session_tickets: self.session_tickets.unwrap_or(false),
            ticket_lifetime: ticket_lifetime.map(|seconds| Duration::from_secs(seconds as u64)),
            ticket_keys: bytes(&self.ticket_keys),
            session_context: self.session_context.as_ref().map(|context| context.to_vec()),
            verify_resumed: self.verify_resumed.unwrap_or(false),
        })
    }
}

impl From<&Credential> for tls::Credential {
    fn from(credential: &Credential) -> Self {
        Self {
            key: credential.key.to_vec(),
            chain: credential.cert.to_vec(),
        }
    }
}

/// Who judges the peer's certificate chain:
///
/// - `None`: nobody, the peer may be anyone; a server asks for no certificate
/// - `Chain`: BoringSSL, against the trust anchors; a client checks the server's name or address as well
/// - `Application`: the handshake pauses until `settleVerification`
#[napi(string_enum)]
#[derive(Debug, Clone, Copy)]
pub enum Verification {
    /// Nobody: the peer may be anyone. A server asks for no certificate.
    None,
    /// BoringSSL, against the trust anchors; a client checks the server's name or address as well.
    Chain,
    /// The application: the handshake pauses until `settleVerification`.
    Application,
}

impl From<Verification> for quic::Verification {
    fn from(who: Verification) -> Self {
        match who {
            Verification::None => quic::Verification::None,
            Verification::Chain => quic::Verification::Chain,
            Verification::Application => quic::Verification::Application,
        }
    }
}

#[napi]
impl Config {
    /// quiche's defaults with credentials and trust anchors from memory; nothing is read from files or from the system.
    ///
    /// Throws `InvalidConfig`, naming the setting, when a key, a chain or a list can't be used, and `UnknownVersion`.
    #[napi(factory)]
    pub fn with_tls(settings: TlsSettings, version: Option<f64>) -> Result<Self> {
        let version = version_or_default(version)?;
        let settings = settings.parse()?;
        catch(|| quic::Config::with_tls(version, &settings)).map(Self::around)
    }

    /// Sets who judges the peer's certificate chain; goes before `verifyPeer`. A server that asks for a certificate
    /// refuses clients without one, with the TLS alert `certificate_required`.
    #[napi]
    pub fn set_verification(&self, who: Verification) -> Result<()> {
        self.edit(|config| config.verification = Some(who.into()))
    }

    /// quiche's own switch: whether BoringSSL checks the peer's chain. Default false. Other than `setVerification('Chain')`,
    /// a server lets clients without a certificate in.
    #[napi]
    pub fn verify_peer(&self, verify: bool) -> Result<()> {
        self.edit(|config| config.quiche.verify_peer(verify))
    }

    /// Loads our certificate chain from a PEM file, leaf first. Throws `InvalidConfig` if it can't be read or used.
    #[napi]
    pub fn load_cert_chain_from_pem_file(&self, path: String) -> Result<()> {
        self.try_edit(|config| {
            config
                .quiche
                .load_cert_chain_from_pem_file(&path)
                .map_err(|_| unusable("certChain", &path))
        })
    }

    /// Loads our private key from a PEM file. Throws `InvalidConfig` if it can't be read or used, or is not the key of
    /// the certificate that was loaded before.
    #[napi]
    pub fn load_priv_key_from_pem_file(&self, path: String) -> Result<()> {
        self.try_edit(|config| {
            config
                .quiche
                .load_priv_key_from_pem_file(&path)
                .map_err(|_| unusable("privKey", &path))
        })
    }

    /// Adds the trust anchors of a PEM file. Throws `InvalidConfig` if it can't be read or holds none.
    #[napi]
    pub fn load_verify_locations_from_file(&self, path: String) -> Result<()> {
        self.try_edit(|config| {
            config
                .quiche
                .load_verify_locations_from_file(&path)
                .map_err(|_| unusable("verifyLocations", &path))
        })
    }

    /// Looks for trust anchors in a directory, in OpenSSL's layout (PEM files named by subject hash: `c_rehash`), when a
    /// chain is checked. Throws `InvalidConfig` if BoringSSL refuses the path.
    #[napi]
    pub fn load_verify_locations_from_directory(&self, path: String) -> Result<()> {
        self.try_edit(|config| {
            config
                .quiche
                .load_verify_locations_from_directory(&path)
                .map_err(|_| unusable("verifyLocations", &path))
        })
    }

    /// Sets the groups for the key exchange, as `groups` of `withTls`. Throws `InvalidConfig` if a name is unknown.
    #[napi]
    pub fn set_curves_list(&self, groups: String) -> Result<()> {
        self.try_edit(|config| {
            config.quiche.set_curves_list(&groups).map_err(|_| {
                invalid(
                    "groups",
                    format!("{groups:?} is no list of groups that BoringSSL knows"),
                )
            })
        })
    }

    /// Makes BoringSSL hand out the secrets of connections, for `setKeylog` to write. Default off.
    #[napi]
    pub fn log_keys(&self) -> Result<()> {
        self.edit(|config| config.quiche.log_keys())
    }

    /// Server: sets the key that encrypts session tickets: 48 bytes. By default a random one, changed regularly. With a
    /// key of your own, change it yourself, or past sessions are only as secret as this key. Throws `InvalidConfig` at
    /// any other length.
    #[napi]
    pub fn set_ticket_key(&self, key: &[u8]) -> Result<()> {
        self.try_edit(|config| {
            config
                .quiche
                .set_ticket_key(key)
                .map_err(|_| invalid("ticketKey", format!("has 48 bytes, this one {}", key.len())))
        })
    }

    /// Permits 0-RTT data (RFC 9001 §4.6): a client with a session may send before the handshake is complete, and a
    /// server takes it. It can be replayed by an attacker. Default off.
    #[napi]
    pub fn enable_early_data(&self) -> Result<()> {
        self.edit(|config| config.quiche.enable_early_data())
    }

    /// Whether an endpoint tells of a connection (`ChangeKind.Connected`) as soon as 0-RTT data can flow, and a server shows
    /// what came with a client's first flight, which may be a replay, at once. Default false: when the handshake is
    /// complete, which a replayed one never is. Connections driven by hand show everything as it comes.
    #[napi]
    pub fn set_connects_early(&self, connects: bool) -> Result<()> {
        self.edit(|config| config.connects_early = connects)
    }

    /// Server: takes 0-RTT data only with tickets that were handed out under the same bytes, 1 to 255; null, the default,
    /// for any. RFC 9000 §7.4.1 wants it for the limits that clients remember: a server that lowers them has to refuse. Throws
    /// `InvalidConfig` at any other length.
    #[napi]
    pub fn set_early_data_context(&self, context: Option<&[u8]>) -> Result<()> {
        if context.is_some_and(|context| !(1..=255).contains(&context.len())) {
            return Err(invalid("earlyDataContext", "has 1 to 255 bytes".into()).into());
        }
        self.edit(|config| config.early_data_context = context.map(<[u8]>::to_vec))
    }

    /// Sets the application protocols (ALPN, RFC 7301) that are offered and accepted: each 1 to 255 bytes. The client's order
    /// counts: the first of its list that the server has is taken. There is no default, and without a common one there is no connection. Throws `InvalidConfig` for an empty
    /// or too long name.
    #[napi]
    pub fn set_application_protos(&self, protos: Vec<Either<String, Uint8Array>>) -> Result<()> {
        let protos: Vec<&[u8]> = protos
            .iter()
            .map(|proto| match proto {
                Either::A(text) => text.as_bytes(),
                Either::B(bytes) => bytes,
            })
            .collect();
        self.try_edit(|config| config.set_application_protos(&protos))
    }

    /// The same from ALPN's wire format: each protocol after one byte with its length. Throws `InvalidConfig` if it is
    /// malformed.
    #[napi]
    pub fn set_application_protos_wire_format(&self, protos: &[u8]) -> Result<()> {
        self.try_edit(|config| config.set_application_protos_wire_format(protos))
    }

    /// Server: sets the stateless reset token of the first connection id (RFC 9000 §10.3): 16 bytes, or null for none,
    /// the default. Clients do not send it. Throws `InvalidArgument` at any other length. An endpoint sets its own.
    #[napi]
    pub fn set_stateless_reset_token(&self, token: Option<&[u8]>) -> Result<()> {
        let token = token.map(quic::header::reset_token).transpose()?;
        self.edit(|config| config.quiche.set_stateless_reset_token(token))
    }
}

/// quiche does not say why a file failed: look whether it can be read at all.
fn unusable(setting: &'static str, path: &str) -> quic::Error {
    match File::open(path) {
        Err(error) => invalid(setting, format!("{path}: {error}")),
        Ok(_) => invalid(
            setting,
            format!("{path} holds nothing in PEM form that can be used here"),
        ),
    }
}

fn invalid(setting: &'static str, reason: String) -> quic::Error {
    quic::Error::Config { setting, reason }
}
