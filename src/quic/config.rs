//! Settings of connections: quiche's, and what this crate adds to them.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::error::{Error, Result};
use super::key_share::KeySharePrediction;
use super::tls::{self, TlsSettings};

/// How long a handshake may take, verification included, unless [`Config::handshake_timeout`] says otherwise.
/// Generous, since punching through a NAT takes time.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Who judges the peer's certificate chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Nobody: the peer may be anyone. A server asks for no certificate.
    None,
    /// BoringSSL, against the trust anchors of the configuration; a client checks the server's name as well.
    Chain,
    /// The application: the handshake pauses until [`settle_verification`](super::Connection::settle_verification).
    Application,
}

/// Where something written per connection goes.
pub type Sink = Box<dyn Write + Send + Sync>;
/// Opens the sink of one connection, named by its trace id; `None` writes nothing.
pub type OpenSink = Box<dyn Fn(&str) -> Option<Sink>>;

/// Settings for connections made or accepted with it. A connection takes what it needs when it is made: later changes
/// do not touch it.
pub struct Config {
    /// quiche's own settings.
    pub quiche: quiche::Config,
    /// Who judges the peer's chain; `None` leaves it to quiche's `verify_peer`.
    pub verification: Option<Verification>,
    /// How long the handshake may take, verification included; zero means without end.
    pub handshake_timeout: Duration,
    /// Sends a packet when the connection has been quiet for so long, which keeps NAT mappings and the peer's idle
    /// timer alive.
    pub keep_alive_interval: Option<Duration>,
    /// How many unidirectional streams the peer may open, as set by
    /// [`set_initial_max_streams_uni`](Self::set_initial_max_streams_uni).
    pub(super) max_streams_uni: u64,
    /// Client: whether to follow a server to another address. RFC 9000 §9 wants clients to stay: it is for servers that are
    /// behind NATs themselves, whose mappings may change.
    pub follow_server: bool,
    /// Whether peers are asked not to migrate, as set by
    /// [`set_disable_active_migration`](Self::set_disable_active_migration).
    pub(super) disable_active_migration: bool,
    /// Whether to search for the path MTU, as set by [`set_discover_pmtu`](Self::set_discover_pmtu).
    pub(super) discovers_pmtu: bool,
    /// Whether an endpoint tells of a connection as soon as early data can flow (RFC 9001 §4.6), and shows a server what
    /// came early, instead of when the handshake is complete. Early data can be replayed (RFC 9001 §9.2).
    pub connects_early: bool,
    /// Server: takes early data only with tickets that were handed out under the same bytes. RFC 9000 §7.4.1 wants this for
    /// what clients remember of a server: its limits.
    pub early_data_context: Option<Vec<u8>>,
    /// Client: what the servers dialled so far took.
    pub(super) key_shares: KeySharePrediction,
    /// Opens the qlog file of a connection.
    pub qlog: Option<OpenSink>,
    /// Opens the file that takes TLS secrets in SSLKEYLOGFILE format.
    pub key_log: Option<OpenSink>,
}

impl Config {
    /// quiche's defaults, without credentials, with the trust anchors where BoringSSL finds them.
    pub fn new(version: u32) -> Result<Self> {
        check_version(version)?;
        Ok(Self::around(quiche::Config::with_boring_ssl_ctx_builder(
            version,
            tls::plain_context()?,
        )?))
    }

    /// quiche's defaults over a TLS context made from `settings`.
    pub fn with_tls(version: u32, settings: &TlsSettings) -> Result<Self> {
        check_version(version)?;
        let context = tls::context(settings)?;
        Ok(Self::around(quiche::Config::with_boring_ssl_ctx_builder(
            version, context,
        )?))
    }

    /// Sets the application protocols (RFC 7301), the preferred first.
    pub fn set_application_protos(&mut self, protos: &[&[u8]]) -> Result<()> {
        // quiche would cut the length to eight bits.
        if protos
            .iter()
            .any(|proto| proto.is_empty() || proto.len() > usize::from(u8::MAX))
        {
            return Err(alpn("the name of a protocol has 1 to 255 bytes"));
        }
        self.quiche
            .set_application_protos(protos)
            .map_err(|_| alpn("BoringSSL refuses this list"))
    }

    /// The same from the wire format: each protocol after one byte with its length.
    pub fn set_application_protos_wire_format(&mut self, mut wire: &[u8]) -> Result<()> {
        let mut protos = Vec::new();
        while let Some((&length, rest)) = wire.split_first() {
            // quiche would ignore what is cut short.
            let (proto, rest) = rest
                .split_at_checked(length.into())
                .ok_or_else(|| alpn("the list ends within a name"))?;
            protos.push(proto);
            wire = rest;
        }
        self.set_application_protos(&protos)
    }

    /// Sets how many unidirectional streams the peer may have open, besides those that are over. quiche's setting, which
    /// can't be read back: some of the peer's credit is spent on streams that we stop (see `abandoned`).
    pub fn set_initial_max_streams_uni(&mut self, count: u64) {
        self.max_streams_uni = count;
        self.quiche.set_initial_max_streams_uni(count);
    }

    /// Asks the peer not to migrate on purpose (RFC 9000 §9). quiche's setting, which can't be read back: an endpoint
    /// refuses those that do it nevertheless.
    pub fn set_disable_active_migration(&mut self, disable: bool) {
        self.disable_active_migration = disable;
        self.quiche.set_disable_active_migration(disable);
    }

    /// Searches for the largest packet that a path carries (RFC 8899). quiche's setting, which can't be read back: see `pmtu`.
    pub fn set_discover_pmtu(&mut self, discover: bool) {
        self.discovers_pmtu = discover;
        self.quiche.discover_pmtu(discover);
    }

    fn around(quiche: quiche::Config) -> Self {
        Self {
            quiche,
            verification: None,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            keep_alive_interval: None,
            max_streams_uni: 0,
            follow_server: false,
            disable_active_migration: false,
            discovers_pmtu: false,
            connects_early: false,
            early_data_context: None,
            key_shares: KeySharePrediction::default(),
            qlog: None,
            key_log: None,
        }
    }
}

/// Spoken, or reserved to exercise version negotiation (RFC 9000 §15); quiche's own check lets more through.
fn check_version(version: u32) -> Result<()> {
    if quiche::version_is_supported(version) || version & 0x0f0f_0f0f == 0x0a0a_0a0a {
        return Ok(());
    }
    Err(quiche::Error::UnknownVersion.into())
}

fn alpn(reason: &str) -> Error {
    Error::Config {
        setting: "applicationProtos",
        reason: reason.into(),
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("verification", &self.verification)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("keep_alive_interval", &self.keep_alive_interval)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(quiche::PROTOCOL_VERSION).expect("quiche's defaults are valid")
    }

    #[test]
    fn only_known_and_reserved_versions_are_taken() {
        for version in [1, 0x0a0a_0a0a, 0xbaba_baba, 0xfafa_fafa] {
            assert!(Config::new(version).is_ok(), "{version:x}");
        }
        for version in [0, 2, 0xff00_001d, 0x6b33_43cf] {
            assert_eq!(Config::new(version).expect_err("unknown").code(), "UnknownVersion");
        }
    }

    #[test]
    fn application_protocols_have_1_to_255_bytes() {
        assert_eq!(config().set_application_protos(&[b"quic", &[b'a'; 255]]), Ok(()));
        for bad in [&b""[..], &[b'a'; 256]] {
            assert_eq!(
                config().set_application_protos(&[bad]).expect_err("bad length").code(),
                "InvalidConfig"
            );
        }
    }

    #[test]
    fn a_wire_format_that_is_cut_short_is_refused() {
        assert_eq!(config().set_application_protos_wire_format(b"\x04quic\x02h3"), Ok(()));
        for bad in [&b"\x04qui"[..], b"\x02h3\x00", b"\x02h3\x05"] {
            assert!(config().set_application_protos_wire_format(bad).is_err(), "{bad:?}");
        }
    }
}
