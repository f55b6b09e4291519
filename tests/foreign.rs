//! Another QUIC stack (quinn with rustls) as the peer: verdicts arrive there as the very alerts that were asked for.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Datagram, End, Party, config, read, shared};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::tls::TlsSettings;
use polykey_quic::quic::verification::Alert;
use polykey_quic::quic::{Config, SharedConnection, Verification};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Alerts that a judge is likely to choose (RFC 8446 §6.2).
const ALERTS: [u8; 10] = [40, 42, 43, 44, 45, 46, 48, 49, 80, 116];

/// Who is in these tests.
struct Cast {
    root: Party,
    ours: Party,
    theirs: Party,
}

impl Cast {
    fn new() -> Self {
        let root = Party::ca("root", None);
        let ours = Party::new("ours", Some(&root), |_| {});
        let theirs = Party::new("theirs", Some(&root), |_| {});
        Self { root, ours, theirs }
    }

    fn config(&self, verification: Verification) -> Config {
        let settings = TlsSettings {
            credentials: vec![self.ours.credential(&[])],
            ca: vec![self.root.pem()],
            ..Default::default()
        };
        config(&settings, verification)
    }

    fn roots(&self) -> Arc<rustls::RootCertStore> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.root.certificate.der.clone()))
            .expect("a root");
        Arc::new(roots)
    }

    fn provider() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    fn quinn_client(&self, shows: Option<&Party>) -> quinn::Endpoint {
        let builder = rustls::ClientConfig::builder_with_provider(Self::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(self.roots());
        let mut tls = match shows {
            Some(party) => builder
                .with_client_auth_cert(vec![der(party)], key(party))
                .expect("a certificate"),
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"test".to_vec()];
        let mut endpoint = quinn::Endpoint::client(loopback()).expect("a socket");
        let crypto = QuicClientConfig::try_from(tls).expect("a cipher for Initial packets");
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        endpoint
    }

    fn quinn_server(&self) -> quinn::Endpoint {
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(self.roots(), Self::provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(Self::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier.build().expect("roots"))
            .with_single_cert(vec![der(&self.theirs)], key(&self.theirs))
            .expect("a certificate");
        tls.alpn_protocols = vec![b"test".to_vec()];
        let crypto = QuicServerConfig::try_from(tls).expect("a cipher for Initial packets");
        quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), loopback()).expect("a socket")
    }
}

fn der(party: &Party) -> CertificateDer<'static> {
    CertificateDer::from(party.certificate.der.clone())
}

fn key(party: &Party) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(party.key.secret_der().to_vec()).into()
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// Our endpoint on a real socket.
struct Ours {
    end: End,
    socket: UdpSocket,
}

impl Ours {
    async fn new() -> Self {
        let socket = UdpSocket::bind(loopback()).await.expect("a socket");
        let address = socket.local_addr().expect("bound").to_string();
        let end = End::new(&address, EndpointSettings::default());
        Self { end, socket }
    }

    fn address(&self) -> SocketAddr {
        self.end.address
    }

    fn dial(&mut self, config: Config, to: SocketAddr) -> SharedConnection {
        let dialled = self
            .end
            .endpoint
            .connect(&shared(config), Some("localhost"), to, Instant::now());
        dialled.expect("a connection")
    }

    /// Carries datagrams until `is_done`, which may also do something.
    async fn drive(&mut self, mut is_done: impl FnMut(&mut End) -> bool) {
        let mut buffer = vec![0; 65_536];
        loop {
            for datagram in self.end.transmit() {
                self.socket.send_to(&datagram.bytes, datagram.to).await.expect("sent");
            }
            if is_done(&mut self.end) {
                return;
            }
            let next = self.end.endpoint.next_timeout();
            let wait = next.map_or(Duration::from_millis(50), |at| {
                at.saturating_duration_since(Instant::now())
            });
            if let Ok(received) = timeout(wait.min(Duration::from_millis(50)), self.socket.recv_from(&mut buffer)).await
            {
                let (length, from) = received.expect("received");
                let to = self.address();
                let bytes = buffer[..length].to_vec();
                self.end.receive(&[Datagram { bytes, from, to }]);
            }
            self.end.endpoint.on_timeout(Instant::now());
            self.end.changes.extend(self.end.endpoint.take_changes());
        }
    }

    /// Answers the question about the peer once it is asked, and drives on.
    async fn judge(&mut self, refusal: Option<u8>, mut is_done: impl FnMut(&mut End) -> bool) {
        let refusal = refusal.map(|code| Alert::new(code).expect("an alert"));
        let mut is_settled = false;
        self.drive(|end| {
            let asked = end.changes.iter().find_map(|change| match change {
                Change::Verify(key) => Some(*key),
                _ => None,
            });
            if let (Some(key), false) = (asked, is_settled) {
                let connection = end.endpoint.connection(key).expect("live");
                is_settled = connection.borrow_mut().settle_verification(refusal).expect("live");
            }
            is_settled && is_done(end)
        })
        .await;
    }
}

fn is_connected(end: &End) -> bool {
    end.count(|change| matches!(change, Change::Connected(_))) > 0
}

/// The code of a close that came from the peer.
fn closed_with(error: &quinn::ConnectionError) -> u64 {
    match error {
        quinn::ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        other => panic!("it was not closed by us: {other:?}"),
    }
}

async fn in_time<T>(test: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), test).await.expect("in time")
}

#[tokio::test]
async fn a_foreign_client_that_is_trusted_is_served() {
    let cast = Cast::new();
    let mut ours = Ours::new().await;
    ours.end.endpoint.listen(shared(cast.config(Verification::Application)));
    let foreign = cast.quinn_client(Some(&cast.theirs));
    let to = ours.address();
    let client = async {
        let connection = foreign
            .connect(to, "localhost")
            .expect("dialled")
            .await
            .expect("trusted");
        let (mut send, _receive) = connection.open_bi().await.expect("a stream");
        send.write_all(b"hello from quinn").await.expect("written");
        send.finish().expect("open");
        connection
    };
    let server = ours.judge(None, |end| end.opened() == [0] && is_connected(end));
    let (_connection, ()) = in_time(async { tokio::join!(client, server) }).await;
    let accepted = ours.end.accepted();
    let chain = accepted
        .borrow()
        .live()
        .expect("live")
        .peer_cert_chain()
        .map(|chain| chain[0].to_vec());
    assert_eq!(chain.as_ref(), Some(&cast.theirs.certificate.der));
    let mut heard = Vec::new();
    in_time(ours.drive(|_| {
        let (bytes, fin) = read(&accepted, 0);
        heard.extend(bytes);
        fin
    }))
    .await;
    assert_eq!(heard, b"hello from quinn");
}

#[tokio::test]
async fn a_foreign_client_hears_the_alert_of_our_verdict() {
    let cast = Cast::new();
    for alert in ALERTS {
        let mut ours = Ours::new().await;
        ours.end.endpoint.listen(shared(cast.config(Verification::Application)));
        let foreign = cast.quinn_client(Some(&cast.theirs));
        let to = ours.address();
        let client = async {
            // As every TLS 1.3 client it takes itself for connected before it is judged.
            match foreign.connect(to, "localhost").expect("dialled").await {
                Ok(connection) => connection.closed().await,
                Err(error) => error,
            }
        };
        let server = ours.judge(Some(alert), |end| end.endpoint.is_empty());
        let (error, ()) = in_time(async { tokio::join!(client, server) }).await;
        assert_eq!(closed_with(&error), 0x100 + u64::from(alert));
        assert!(!is_connected(&ours.end));
    }
}

#[tokio::test]
async fn a_foreign_client_without_certificate_hears_that_one_is_required() {
    let cast = Cast::new();
    for verification in [Verification::Chain, Verification::Application] {
        let mut ours = Ours::new().await;
        ours.end.endpoint.listen(shared(cast.config(verification)));
        let foreign = cast.quinn_client(None);
        let to = ours.address();
        let client = async {
            match foreign.connect(to, "localhost").expect("dialled").await {
                Ok(connection) => connection.closed().await,
                Err(error) => error,
            }
        };
        let server = ours.drive(|end| end.count(|change| matches!(change, Change::Closed(_))) == 1);
        let (error, ()) = in_time(async { tokio::join!(client, server) }).await;
        assert_eq!(closed_with(&error), 0x100 + 116);
    }
}

#[tokio::test]
async fn a_foreign_server_hears_the_alert_of_our_verdict() {
    let cast = Cast::new();
    for alert in ALERTS {
        let foreign = cast.quinn_server();
        let mut ours = Ours::new().await;
        let dialled = ours.dial(
            cast.config(Verification::Application),
            foreign.local_addr().expect("bound"),
        );
        let server = async {
            let incoming = foreign.accept().await.expect("open");
            incoming.await.expect_err("refused")
        };
        let client = ours.judge(Some(alert), |end| end.endpoint.is_empty());
        let (error, ()) = in_time(async { tokio::join!(server, client) }).await;
        assert_eq!(closed_with(&error), 0x100 + u64::from(alert));
        assert_eq!(dialled.borrow().close_cause(), Some(CloseCause::Local));
    }
}

#[tokio::test]
async fn a_foreign_server_that_is_trusted_serves_us_and_judges_us() {
    let cast = Cast::new();
    let stranger = Party::new("stranger", None, |_| {});
    for (mine, is_trusted) in [(&cast.ours, true), (&stranger, false)] {
        let foreign = cast.quinn_server();
        let mut ours = Ours::new().await;
        let settings = TlsSettings {
            credentials: vec![mine.credential(&[])],
            ca: vec![cast.root.pem()],
            ..Default::default()
        };
        let dialled = ours.dial(
            config(&settings, Verification::Chain),
            foreign.local_addr().expect("bound"),
        );
        let server = async {
            let connection = foreign.accept().await.expect("open").await;
            if let Ok(connection) = &connection {
                connection.closed().await;
            }
            connection.is_ok()
        };
        let client = ours.drive(|end| {
            let is_confirmed = end.count(|change| matches!(change, Change::Confirmed(_))) == 1;
            if is_confirmed && is_trusted && dialled.borrow().close_cause().is_none() {
                dialled.borrow_mut().close(true, 0, b"").expect("live");
            }
            end.endpoint.is_empty()
        });
        let (was_trusted, ()) = in_time(async { tokio::join!(server, client) }).await;
        assert_eq!(was_trusted, is_trusted);
        if !is_trusted {
            assert_eq!(dialled.borrow().close_cause(), Some(CloseCause::Peer));
            let told = dialled.borrow().peer_error().expect("known").expect("told");
            assert!((0x100..0x200).contains(&told.error_code), "an alert: {told:?}");
        }
    }
}

/// Shows whatever it was given, be it certificates or not.
#[derive(Debug)]
struct Shameless(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Shameless {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server that shows these as its chain, signing with this party's key.
fn shameless_server(party: &Party, chain: Vec<Vec<u8>>) -> quinn::Endpoint {
    let provider = Cast::provider();
    let signer = provider.key_provider.load_private_key(key(party)).expect("a key");
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let shown = rustls::sign::CertifiedKey::new(chain, signer);
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shameless(Arc::new(shown))));
    tls.alpn_protocols = vec![b"test".to_vec()];
    let crypto = QuicServerConfig::try_from(tls).expect("a cipher for Initial packets");
    quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), loopback()).expect("a socket")
}

/// How our client ends when it is shown this chain, and whether a judge was asked about it.
async fn shown(cast: &Cast, chain: Vec<Vec<u8>>, verification: Verification) -> (Option<u64>, bool) {
    let foreign = shameless_server(&cast.theirs, chain);
    let mut ours = Ours::new().await;
    let dialled = ours.dial(cast.config(verification), foreign.local_addr().expect("bound"));
    let server = async {
        let incoming = foreign.accept().await.expect("open");
        let connecting = incoming.accept().expect("open");
        if let Ok(connection) = connecting.await {
            connection.closed().await;
        }
    };
    let mut was_asked = false;
    let client = ours.drive(|end| {
        was_asked |= end.count(|change| matches!(change, Change::Verify(_))) > 0;
        if is_connected(end) || was_asked {
            let _ = dialled.borrow_mut().close(true, 0, b"");
        }
        end.endpoint.is_empty()
    });
    in_time(async { tokio::join!(server, client) }).await;
    let error = dialled.borrow().local_error().expect("known").expect("ours");
    let is_alert = !error.is_app && error.error_code >= 0x100;
    (is_alert.then(|| error.error_code - 0x100), was_asked)
}

#[tokio::test]
async fn chains_that_are_no_chains_are_refused() {
    let mut cast = Cast::new();
    let intermediate = Party::ca("intermediate", Some(&cast.root));
    cast.theirs = Party::new("theirs", Some(&intermediate), |_| {});
    let (leaf, link) = (
        cast.theirs.certificate.der.clone(),
        intermediate.certificate.der.clone(),
    );
    let good = vec![leaf.clone(), link.clone()];
    assert_eq!(shown(&cast, good.clone(), Verification::Chain).await, (None, false));
    assert_eq!(shown(&cast, good, Verification::Application).await, (None, true));
    let cut = leaf[..leaf.len() - 1].to_vec();
    let trailing = [&leaf[..], &[0]].concat();
    // What isn't DER never gets as far as to a verdict. 50: decode_error.
    for (what, chain) in [
        ("a leaf cut short", vec![cut, link.clone()]),
        ("bytes behind a leaf", vec![trailing, link.clone()]),
        ("rubbish as leaf", vec![b"rubbish".to_vec()]),
        ("rubbish behind the leaf", vec![leaf.clone(), b"rubbish".to_vec()]),
        ("nothing behind the leaf", vec![leaf.clone(), Vec::new()]),
    ] {
        for verification in [Verification::Chain, Verification::Application] {
            let (alert, was_asked) = shown(&cast, chain.clone(), verification).await;
            assert!(alert.is_some() && !was_asked, "{what}: {alert:?} {was_asked}");
        }
    }
    // No chain at all.
    let (alert, was_asked) = shown(&cast, vec![], Verification::Application).await;
    assert!(alert.is_some() && !was_asked, "{alert:?}");
    // The leaf isn't first: its key isn't the one that signed the handshake.
    let (alert, _) = shown(&cast, vec![link.clone(), leaf.clone()], Verification::Chain).await;
    assert!(alert.is_some(), "{alert:?}");
    // Circles and repetitions lead nowhere, or do no harm.
    let around = vec![leaf.clone(), leaf.clone(), leaf.clone()];
    assert_eq!(shown(&cast, around, Verification::Chain).await, (Some(48), false));
    let again = vec![leaf, link.clone(), link.clone(), link];
    assert_eq!(shown(&cast, again, Verification::Chain).await, (None, false));
}
