//! Two endpoints in memory, joined by a simulated link.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use polykey_quic::quic::datagrams::{self, Batch};
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::endpoint::{Endpoint, EndpointSettings, Epoch, SharedConfig};
use polykey_quic::quic::stream::{Read, Write};
use polykey_quic::quic::tls::{Credential, TlsSettings};
use polykey_quic::quic::{Config, SharedConnection, Verification};
use polykey_quic::x509::{
    CaParams, CertificateParams, IssuerParams, KeyAlgorithm, NewCertificate, PrivateKey, create_certificate,
    generate_key,
};

/// A certificate authority with one credential signed by it.
pub struct Authority {
    pub ca: Vec<u8>,
    pub credential: Credential,
}

impl Authority {
    /// One whose credential is good for `localhost` and 127.0.0.1.
    pub fn new() -> Self {
        Self::named("test authority")
    }

    /// The same under another name.
    pub fn named(name: &str) -> Self {
        Self::with_names(name, vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
    }

    /// One whose credential is good for these host names and addresses.
    pub fn with_names(name: &str, names: Vec<String>) -> Self {
        let ca_key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let ca = params.self_signed(&ca_key).expect("a certificate");
        let issuer = rcgen::Issuer::new(params, ca_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(names)
            .expect("valid names")
            .signed_by(&key, &issuer);
        let leaf = leaf.expect("a certificate");
        Self {
            ca: ca.pem().into_bytes(),
            credential: Credential {
                key: key.serialize_pem().into_bytes(),
                chain: leaf.pem().into_bytes(),
            },
        }
    }

    /// Settings for mutual TLS within this authority.
    pub fn config(&self, verification: Verification) -> Config {
        let settings = TlsSettings {
            credentials: vec![self.credential.clone()],
            ca: vec![self.ca.clone()],
            ..Default::default()
        };
        config(&settings, verification)
    }
}

/// Settings with windows and streams that suit tests.
pub fn config(settings: &TlsSettings, verification: Verification) -> Config {
    let mut config = Config::with_tls(quiche::PROTOCOL_VERSION, settings).expect("a configuration");
    config.verification = Some(verification);
    let quiche = &mut config.quiche;
    quiche.set_application_protos(&[b"test"]).expect("a protocol");
    quiche.set_initial_max_data(1 << 20);
    quiche.set_initial_max_stream_data_bidi_local(1 << 18);
    quiche.set_initial_max_stream_data_bidi_remote(1 << 18);
    quiche.set_initial_max_stream_data_uni(1 << 18);
    quiche.set_initial_max_streams_bidi(100);
    quiche.set_max_idle_timeout(5_000);
    quiche.set_active_connection_id_limit(8);
    quiche.enable_dgram(true, 100, 100);
    quiche.enable_pacing(false);
    config.set_initial_max_streams_uni(100);
    config
}

pub fn shared(config: Config) -> SharedConfig {
    Rc::new(RefCell::new(config))
}

/// One end: an endpoint, its address, and what it told.
pub struct End {
    pub endpoint: Endpoint,
    pub address: SocketAddr,
    pub changes: Vec<Change>,
}

impl End {
    pub fn new(address: &str, settings: EndpointSettings) -> Self {
        let mut endpoint = unbound(settings);
        let address = address.parse().expect("an address");
        endpoint.set_local_address(address);
        Self {
            endpoint,
            address,
            changes: Vec::new(),
        }
    }

    /// All datagrams that it wants to send.
    pub fn transmit(&mut self) -> Vec<Datagram> {
        self.transmit_at(Instant::now())
    }

    /// The same at a given moment.
    pub fn transmit_at(&mut self, now: Instant) -> Vec<Datagram> {
        let (mut data, mut layout) = (vec![0; 1 << 16], vec![0; datagrams::STRIDE * 32]);
        let mut all = Vec::new();
        loop {
            let mut batch = Batch::new(&mut data, &mut layout);
            self.endpoint.transmit(&mut batch, now);
            let count = batch.count();
            for index in 0..count {
                let entry = datagrams::entry(&layout, index, data.len()).expect("what was pushed");
                all.push(Datagram {
                    bytes: data[entry.offset..entry.offset + entry.length].to_vec(),
                    from: self.address,
                    to: self.endpoint.addresses.address(entry.address).expect("a known address"),
                });
            }
            self.changes.extend(self.endpoint.take_changes());
            if count == 0 {
                return all;
            }
        }
    }

    /// Takes datagrams in, in one batch.
    pub fn receive(&mut self, all: &[Datagram]) {
        self.receive_at(all, Instant::now());
    }

    /// The same at a given moment.
    pub fn receive_at(&mut self, all: &[Datagram], now: Instant) {
        let (mut data, mut layout) = (Vec::new(), Vec::new());
        for datagram in all {
            let number = self.endpoint.addresses.number(datagram.from);
            let entry = [data.len(), datagram.bytes.len(), number as usize];
            layout.extend(entry.map(|number| i32::try_from(number).expect("small")));
            data.extend_from_slice(&datagram.bytes);
        }
        self.endpoint
            .receive(&mut data, &layout, all.len(), now)
            .expect("a bound endpoint");
        self.changes.extend(self.endpoint.take_changes());
    }

    pub fn count(&self, matches: impl Fn(&Change) -> bool) -> usize {
        self.changes.iter().filter(|change| matches(change)).count()
    }

    /// The streams that were told as opened by the peer, in the order of telling.
    pub fn opened(&self) -> Vec<u64> {
        let opened = self.changes.iter().filter_map(|change| match change {
            Change::StreamOpened(_, id) => Some(*id),
            _ => None,
        });
        opened.collect()
    }

    /// The only connection that was shown.
    pub fn accepted(&self) -> SharedConnection {
        let key = self.changes.iter().find_map(|change| match change {
            Change::Connected(key) => Some(*key),
            _ => None,
        });
        self.endpoint
            .connection(key.expect("a connection"))
            .expect("a live connection")
    }
}

/// An endpoint that has no address yet.
pub fn unbound(settings: EndpointSettings) -> Endpoint {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let epoch = Epoch {
        instant: Instant::now(),
        unix,
    };
    Endpoint::new(settings, epoch).expect("an endpoint")
}

#[derive(Debug, Clone)]
pub struct Datagram {
    pub bytes: Vec<u8>,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

/// What the link does with the datagrams of one direction, one burst at a time.
pub type Link = Box<dyn FnMut(Vec<Datagram>) -> Vec<Datagram>>;

/// A client and a server, joined by a link in each direction.
pub struct Pair {
    pub client: End,
    pub server: End,
    pub up: Link,
    pub down: Link,
}

impl Pair {
    /// A perfect link between two endpoints with default settings.
    pub fn new() -> Self {
        Self::with(EndpointSettings::default())
    }

    pub fn with(settings: EndpointSettings) -> Self {
        Self {
            client: End::new("127.0.0.1:1001", EndpointSettings::default()),
            server: End::new("127.0.0.1:1002", settings),
            up: Box::new(|burst| burst),
            down: Box::new(|burst| burst),
        }
    }

    /// A pair in which the client has dialled the server and both are connected.
    pub fn connected() -> (Self, SharedConnection, SharedConnection) {
        Self::connected_with(|_| {}, |_| {})
    }

    /// The same with other settings for the client and for the server.
    pub fn connected_with(
        client: impl FnOnce(&mut Config),
        server: impl FnOnce(&mut Config),
    ) -> (Self, SharedConnection, SharedConnection) {
        let authority = Authority::new();
        let mut pair = Self::new();
        let mut config = authority.config(Verification::Chain);
        server(&mut config);
        pair.server.endpoint.listen(shared(config));
        let mut config = authority.config(Verification::Chain);
        client(&mut config);
        let client = pair.dial(config);
        pair.run();
        let server = pair.server.accepted();
        (pair, client, server)
    }

    /// A pair in which the client has dialled the server, and nothing was sent yet.
    pub fn dialling(client: Verification, server: Verification) -> (Self, SharedConnection) {
        let authority = Authority::new();
        let mut pair = Self::new();
        pair.server.endpoint.listen(shared(authority.config(server)));
        let client = pair.dial(authority.config(client));
        (pair, client)
    }

    pub fn dial(&mut self, config: Config) -> SharedConnection {
        let to = self.server.address;
        self.client
            .endpoint
            .connect(&shared(config), Some("localhost"), to, Instant::now())
            .expect("a connection")
    }

    /// Carries datagrams back and forth until both are silent.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// One burst in each direction; answers whether anything was said.
    pub fn step(&mut self) -> bool {
        let up = self.client.transmit();
        let down = self.server.transmit();
        let silent = up.is_empty() && down.is_empty();
        self.server.receive(&(self.up)(up));
        self.client.receive(&(self.down)(down));
        !silent
    }

    /// Carries datagrams and waits for timers, until `is_done`, which may also do something, or the time runs out.
    pub fn run_until(&mut self, mut is_done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            self.run();
            if is_done(self) {
                return;
            }
            assert!(Instant::now() < end, "the pair did not get there in time");
            if self.step() {
                continue;
            }
            let next = [&self.client, &self.server]
                .into_iter()
                .filter_map(|end| end.endpoint.next_timeout())
                .min();
            let next = next.unwrap_or(end);
            // quiche reads the clock itself, so waiting for its timers takes real time.
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            for end in [&mut self.client, &mut self.server] {
                end.endpoint.on_timeout(Instant::now());
                end.changes.extend(end.endpoint.take_changes());
            }
        }
    }
}

/// Loses, duplicates and reorders datagrams by a fixed pseudo-random sequence.
pub fn lossy(seed: u64, percent: u64) -> Link {
    let mut state = seed | 1;
    let mut next = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let mut late = VecDeque::new();
    Box::new(move |burst| {
        let mut out: Vec<_> = late.drain(..).collect();
        for datagram in burst {
            match next(100) {
                roll if roll < percent => {}
                roll if roll < 2 * percent => late.push_back(datagram),
                roll if roll < 3 * percent => out.extend([datagram.clone(), datagram]),
                _ => out.push(datagram),
            }
        }
        out
    })
}

/// Writes all, as far as flow control lets it; answers how much was taken.
pub fn write(connection: &SharedConnection, id: u64, data: &[u8], fin: bool) -> usize {
    match connection
        .borrow_mut()
        .stream_write(id, data, fin)
        .expect("a live connection")
    {
        Write::Taken(taken) => taken,
        other => panic!("the stream doesn't take data: {other:?}"),
    }
}

/// Reads what there is; answers it and whether the stream has ended.
pub fn read(connection: &SharedConnection, id: u64) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match connection
            .borrow_mut()
            .stream_read(id, &mut buffer)
            .expect("a readable connection")
        {
            Read::Data { bytes, fin } => {
                all.extend_from_slice(&buffer[..bytes]);
                if fin {
                    return (all, true);
                }
            }
            Read::Blocked => return (all, false),
            other => panic!("the stream can't be read: {other:?}"),
        }
    }
}

/// Reads what there is and drops it; answers the last outcome.
pub fn drain(connection: &SharedConnection, id: u64) -> Read {
    loop {
        let read = connection.borrow_mut().stream_discard(id, usize::MAX);
        match read.expect("a readable connection") {
            Read::Data { fin: false, .. } => {}
            last => return last,
        }
    }
}

/// Ends one part of a stream at once; answers whether there was anything to end.
pub fn shut(connection: &SharedConnection, id: u64, direction: quiche::Shutdown, code: u64) -> bool {
    let ended = connection.borrow_mut().stream_shutdown(id, direction, code);
    ended.expect("a live connection")
}

/// A key and its certificate, made by `x509`: chains of any shape.
#[derive(Clone)]
pub struct Party {
    pub key: PrivateKey,
    pub certificate: NewCertificate,
}

impl Party {
    /// A leaf for `localhost` and 127.0.0.1 signed by `issuer`, else by itself, valid for an hour around now; or whatever
    /// `change` makes of it.
    pub fn new(name: &str, issuer: Option<&Party>, change: impl FnOnce(&mut CertificateParams<'_>)) -> Self {
        let key = generate_key(KeyAlgorithm::Ed25519).expect("a key");
        let now = unix_now();
        let mut params = CertificateParams::new(name, &key, now - 3600, now + 3600);
        params.dns_names = vec!["localhost".into()];
        params.ip_addresses = vec![Ipv4Addr::LOCALHOST.into()];
        params.issuer = issuer.map(|issuer| IssuerParams {
            certificate: &issuer.certificate.der,
            key: &issuer.key,
        });
        change(&mut params);
        let certificate = create_certificate(&params).expect("a certificate");
        Self { key, certificate }
    }

    /// A certificate authority.
    pub fn ca(name: &str, issuer: Option<&Party>) -> Self {
        Self::new(name, issuer, |params| params.ca = Some(CaParams::default()))
    }

    /// Its key with its chain: itself, then `others`.
    pub fn credential(&self, others: &[&Party]) -> Credential {
        let pems = std::iter::once(self).chain(others.iter().copied());
        Credential {
            key: self.key.to_pem().into_bytes(),
            chain: pems.flat_map(|party| party.certificate.pem.bytes()).collect(),
        }
    }

    pub fn pem(&self) -> Vec<u8> {
        self.certificate.pem.clone().into_bytes()
    }
}

pub fn unix_now() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(unix.as_secs()).expect("before the end of time")
}
