//! One quiche connection: made or accepted, driven by hand or by an endpoint, judged, closed, remembered.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use boring::ssl::SslRef;

use super::abandoned::Abandoned;
use super::chain_check::ChainFailure;
use super::config::Config;
use super::error::{Error, Result};
use super::handshake::Handshake;
use super::key_share::KeySharePrediction;
use super::lanes::Lanes;
use super::path::Alias;
use super::pmtu::PmtuSearch;
use super::stops::Stops;
use super::stream::PeerStreams;
use super::tls;
use super::verification::{Alert, Examiner, Verdict};

/// A connection as it is held by an endpoint and by the handles of its user: one thread, no borrow kept across calls.
pub type SharedConnection = Rc<RefCell<Connection>>;

/// Bytes of a reason for closing that are sent. A CONNECTION_CLOSE frame is never split (RFC 9000 §19.19), and has to fit into
/// a packet of 1200 bytes: one that doesn't is never sent.
const MAX_REASON: usize = 1024;
/// The same before the handshake is complete: a token takes room in a client's Initial packets, and how long it is, its
/// server decides (RFC 9000 §17.2.5).
const MAX_EARLY_REASON: usize = 256;

/// Told by a driven connection that something of it wants to be sent.
pub(super) type DirtyList = Rc<RefCell<Vec<usize>>>;

/// One QUIC connection.
pub struct Connection {
    state: State,
    pub(super) examiner: Examiner,
    drive: Option<Drive>,
    pub(super) peer_streams: PeerStreams,
    pub(super) stops: Stops,
    pub(super) abandoned: Abandoned,
    /// Streams with something to read that the user was told of, data or an end.
    pub(super) unread: HashSet<u64>,
    /// Whether the peer may have reset streams since the last look.
    pub(super) may_have_resets: bool,
    /// Streams that took less than they were offered.
    pub(super) blocked_writers: HashSet<u64>,
    pub(super) path_events: VecDeque<quiche::PathEvent>,
    pub(super) alias: Option<Alias>,
    pub(super) lanes: Lanes,
    pub(super) pmtu_search: Option<PmtuSearch>,
    pub(super) handshake: Option<Box<Handshake>>,
    /// A client's.
    key_shares: Option<KeySharePrediction>,
    trace_id: String,
    is_server: bool,
    cause: Option<CloseCause>,
}

enum State {
    Live(Box<quiche::Connection>),
    Closed(Box<Remains>),
    Poisoned,
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// We closed it, or found the peer at fault: `local_error` says why.
    Local,
    /// The peer closed it: `peer_error` says why.
    Peer,
    /// Nothing came for as long as the idle timeout (RFC 9000 §10.1).
    IdleTimeout,
    /// The handshake, verification included, took too long.
    HandshakeTimeout,
    /// The peer has lost the connection's state (RFC 9000 §10.3), or our own endpoint let it go.
    StatelessReset,
    /// The server speaks no version that we do.
    VersionMismatch,
    /// Too much was received and not read, over all connections of the endpoint.
    MemoryLimit,
    /// The endpoint was closed under it.
    Released,
    /// A panic inside it was caught.
    Poisoned,
}

/// What is left of a connection when it is gone.
pub struct Remains {
    /// The last statistics.
    pub stats: quiche::Stats,
    /// The last statistics of each path.
    pub paths: Vec<quiche::PathStats>,
    /// Why it ended, if we said so.
    pub local_error: Option<quiche::ConnectionError>,
    /// Why it ended, if the peer said so.
    pub peer_error: Option<quiche::ConnectionError>,
    /// Whether it ended by idle timeout.
    pub is_timed_out: bool,
    /// Whether its handshake was ever complete.
    pub was_established: bool,
    /// What ended it.
    pub cause: CloseCause,
    /// quiche's connection, where the peer ended it while data was still unread.
    unread: Option<Box<quiche::Connection>>,
}

/// The link from a connection to the endpoint that drives it.
struct Drive {
    key: usize,
    dirty: DirtyList,
    is_dirty: bool,
}

/// The connection ids of a connection that a server accepts after a Retry (RFC 9000 §8.1.2).
#[derive(Debug, Clone)]
pub struct RetryIds<'a> {
    /// The destination id of the client's first Initial.
    pub original_destination: quiche::ConnectionId<'a>,
    /// The id that our Retry asked the client to use.
    pub retry_source: quiche::ConnectionId<'a>,
}

impl Connection {
    /// Dials: makes a client connection. `server_name` goes into SNI if it is a name, and is what the peer's
    /// certificate is checked for, name or IP address, where the chain is checked by BoringSSL.
    pub fn connect(
        config: &mut Config,
        server_name: Option<&str>,
        scid: &quiche::ConnectionId,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<Self> {
        Self::dial(
            quiche::connect(None, scid, local, peer, &mut config.quiche)?,
            server_name,
            config,
        )
    }

    /// Dials with a first destination id of the caller's choice, which must be unpredictable (RFC 9000 §7.2).
    pub fn connect_with_dcid(
        config: &mut Config,
        server_name: Option<&str>,
        scid: &quiche::ConnectionId,
        dcid: &quiche::ConnectionId,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<Self> {
        Self::dial(
            quiche::connect_with_dcid(None, scid, dcid, local, peer, &mut config.quiche)?,
            server_name,
            config,
        )
    }

    fn dial(mut quiche: quiche::Connection, server_name: Option<&str>, config: &Config) -> Result<Self> {
        if let Some(name) = server_name {
            name_peer(quiche.as_mut(), name)?;
        }
        config.key_shares.apply(quiche.as_mut());
        let mut connection = Self::new(quiche, config);
        connection.key_shares = Some(config.key_shares.clone());
        Ok(connection)
    }

    /// Accepts: makes a server connection for a client's first Initial, which is still to be received.
    pub fn accept(
        config: &mut Config,
        scid: &quiche::ConnectionId,
        retry: Option<&RetryIds>,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<Self> {
        let quiche = match retry {
            None => quiche::accept(scid, None, local, peer, &mut config.quiche)?,
            Some(ids) => {
                let ids = quiche::RetryConnectionIds {
                    original_destination_cid: &ids.original_destination,
                    retry_source_cid: &ids.retry_source,
                };
                quiche::accept_with_retry(scid, ids, local, peer, &mut config.quiche)?
            }
        };
        Ok(Self::new(quiche, config))
    }

    fn new(mut quiche: quiche::Connection, config: &Config) -> Self {
        let is_server = quiche.is_server();
        let trace_id = quiche.trace_id().to_owned();
        let examiner = Examiner::install(quiche.as_mut(), config.verification, is_server);
        tls::shed_after_handshake(quiche.as_mut());
        if let Some(context) = config.early_data_context.as_deref().filter(|_| is_server) {
            tls::bind_early_data(quiche.as_mut(), context);
        }
        if let Some(sink) = config.key_log.as_ref().and_then(|open| open(&trace_id)) {
            quiche.set_keylog(sink);
        }
        if let Some(sink) = config.qlog.as_ref().and_then(|open| open(&trace_id)) {
            quiche.set_qlog(sink, "polykey-quic".into(), format!("connection {trace_id}"));
        }
        let pmtu_search = config.discovers_pmtu.then(|| PmtuSearch::new(&quiche)).flatten();
        Self {
            state: State::Live(Box::new(quiche)),
            examiner,
            drive: None,
            peer_streams: PeerStreams::default(),
            stops: Stops::default(),
            abandoned: Abandoned::new(config.max_streams_uni),
            unread: HashSet::new(),
            may_have_resets: false,
            blocked_writers: HashSet::new(),
            path_events: VecDeque::new(),
            alias: None,
            lanes: Lanes::default(),
            pmtu_search,
            handshake: None,
            key_shares: None,
            trace_id,
            is_server,
            cause: None,
        }
    }

    /// quiche's connection, while there is one.
    pub fn live(&self) -> Result<&quiche::Connection> {
        match &self.state {
            State::Live(quiche) => Ok(quiche),
            State::Closed(_) => Err(Error::Closed),
            State::Poisoned => Err(Error::Poisoned),
        }
    }

    /// quiche's connection, while there is one. Call [`touch`](Self::touch) after what may want to be sent.
    pub fn live_mut(&mut self) -> Result<&mut quiche::Connection> {
        match &mut self.state {
            State::Live(quiche) => Ok(quiche),
            State::Closed(_) => Err(Error::Closed),
            State::Poisoned => Err(Error::Poisoned),
        }
    }

    /// quiche's connection for a call that only its driver may make: the caller itself, unless an endpoint drives it.
    pub fn by_hand(&mut self, call: &'static str) -> Result<&mut quiche::Connection> {
        if self.drive.is_some() {
            return Err(Error::DrivenByEndpoint(call));
        }
        self.live_mut()
    }

    /// BoringSSL's side of the connection.
    pub fn tls(&mut self) -> Result<&mut SslRef> {
        Ok(self.live_mut()?.as_mut())
    }

    /// Remembers for later dials, once, which group the server has taken. To be called when the handshake is complete.
    pub(super) fn learn_key_share(&mut self) -> Result<()> {
        if let Some(key_shares) = self.key_shares.take() {
            key_shares.learn(self.tls()?);
        }
        Ok(())
    }

    /// What is left, once the connection is gone.
    pub fn remains(&self) -> Option<&Remains> {
        match &self.state {
            State::Closed(remains) => Some(remains),
            State::Live(_) | State::Poisoned => None,
        }
    }

    /// The name of this connection in logs and qlog files.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// Whether this is the server's side.
    pub fn is_server(&self) -> bool {
        self.is_server
    }

    /// Whether the peer's chain waits for the application's verdict.
    pub fn is_verification_pending(&self) -> bool {
        self.examiner
            .judge()
            .is_some_and(|judge| judge.verdict() == Verdict::Pending)
    }

    /// What was wrong with the peer's chain, where BoringSSL judged and refused it.
    pub fn chain_failure(&self) -> Option<ChainFailure> {
        self.examiner.failure()
    }

    /// The application's verdict on the peer's chain: trusted, or refused with the alert that goes to the peer.
    /// Answers whether one was asked for: a late or second verdict changes nothing.
    pub fn settle_verification(&mut self, refusal: Option<Alert>) -> Result<bool> {
        self.live()?;
        let settled = self.examiner.judge().is_some_and(|judge| judge.settle(refusal));
        if settled {
            self.touch();
        }
        Ok(settled)
    }

    /// Closes the connection (RFC 9000 §10.2): `app` tells whose error codes `code` is one of. Answers whether this
    /// call did it: the first reason stays. Of a long reason the first 1024 bytes are sent, or 256 before the handshake is
    /// complete.
    pub fn close(&mut self, app: bool, code: u64, reason: &[u8]) -> Result<bool> {
        // RFC 9000 §10.2.3: the application's code isn't told before the handshake is complete. quiche leaves this to us while
        // a client sends early data, and would wait for keys that the server may never learn of.
        let is_established = self.live()?.is_established();
        let is_too_early = app && !self.is_server && !is_established;
        let (app, code, reason) = match is_too_early {
            true => (false, quiche::WireErrorCode::ApplicationError as u64, &[][..]),
            false => (app, code, reason),
        };
        let reason = cut(reason, if is_established { MAX_REASON } else { MAX_EARLY_REASON });
        let closed = match self.live_mut()?.close(app, code, reason) {
            Ok(()) => true,
            Err(quiche::Error::Done) => false,
            Err(error) => return Err(error.into()),
        };
        self.touch();
        Ok(closed)
    }

    /// Says that something of this connection wants to be sent: puts it on its endpoint's list, once.
    pub fn touch(&mut self) {
        if let Some(drive) = &mut self.drive
            && !drive.is_dirty
        {
            drive.is_dirty = true;
            drive.dirty.borrow_mut().push(drive.key);
        }
    }

    /// Marks the connection as one that must not be used any more, after a panic inside it was caught.
    pub fn poison(&mut self) {
        self.state = State::Poisoned;
        self.touch();
    }

    /// Hands the connection to an endpoint, which knows it by `key`.
    pub(super) fn drive(&mut self, key: usize, dirty: DirtyList) {
        self.drive = Some(Drive {
            key,
            dirty,
            is_dirty: false,
        });
    }

    /// Takes the connection from its endpoint, which it has nothing to say to any more.
    pub(super) fn undrive(&mut self) {
        self.drive = None;
    }

    /// The endpoint's number for this connection, while one drives it.
    pub fn key(&self) -> Option<usize> {
        self.drive.as_ref().map(|drive| drive.key)
    }

    pub(super) fn clear_dirty(&mut self) {
        if let Some(drive) = &mut self.drive {
            drive.is_dirty = false;
        }
    }

    /// quiche's connection for reading what arrived before the end: it outlives the connection where data is unread.
    pub fn readable(&mut self) -> Result<&mut quiche::Connection> {
        match &mut self.state {
            State::Live(quiche) => Ok(quiche),
            State::Closed(remains) => remains.unread.as_deref_mut().ok_or(Error::Closed),
            State::Poisoned => Err(Error::Poisoned),
        }
    }

    /// What ended the connection, or begins to end it; `None` while it lives.
    pub fn close_cause(&self) -> Option<CloseCause> {
        match &self.state {
            State::Closed(remains) => Some(remains.cause),
            State::Poisoned => Some(CloseCause::Poisoned),
            State::Live(quiche) => self.cause.or_else(|| cause_of(quiche)),
        }
    }

    /// Ends the connection for a reason of the endpoint's own.
    pub(super) fn end(&mut self, cause: CloseCause, code: quiche::WireErrorCode, reason: &str) {
        if self.close_cause().is_none() && self.close(false, code as u64, reason.as_bytes()) == Ok(true) {
            self.cause = Some(cause);
        }
    }

    /// Takes note of what quiche said about a received datagram, where it is the cause of the end.
    pub(super) fn note_failure(&mut self, error: quiche::Error) {
        if error == quiche::Error::UnknownVersion && !self.is_server {
            self.cause = Some(CloseCause::VersionMismatch);
        }
    }

    /// Lets quiche's connection go; its statistics and its end remain, and with them what is still unread, unless we
    /// ended it.
    pub(super) fn release(&mut self) {
        self.undrive();
        let cause = self.close_cause().unwrap_or(CloseCause::Released);
        let State::Live(quiche) = std::mem::replace(&mut self.state, State::Poisoned) else {
            return;
        };
        let mut remains = Remains {
            stats: quiche.stats(),
            paths: quiche.path_stats().collect(),
            local_error: quiche.local_error().cloned(),
            peer_error: quiche.peer_error().cloned(),
            is_timed_out: quiche.is_timed_out(),
            was_established: quiche.is_established(),
            cause,
            unread: None,
        };
        let has_unread = !self.unread.is_empty() || quiche.dgram_recv_queue_len() > 0;
        if has_unread
            && matches!(
                cause,
                CloseCause::Peer | CloseCause::IdleTimeout | CloseCause::StatelessReset
            )
        {
            remains.unread = Some(quiche);
        }
        self.state = State::Closed(Box::new(remains));
    }
}

fn cause_of(quiche: &quiche::Connection) -> Option<CloseCause> {
    if quiche.is_timed_out() {
        Some(CloseCause::IdleTimeout)
    } else if quiche.local_error().is_some() {
        Some(CloseCause::Local)
    } else if quiche.peer_error().is_some() {
        Some(CloseCause::Peer)
    } else if quiche.is_closed() {
        // Closed without a word from either side: quiche found the token of a stateless reset.
        Some(CloseCause::StatelessReset)
    } else {
        None
    }
}

/// What is sent of a reason. Where it is text, it isn't cut inside a character, of which at most three bytes follow the first.
fn cut(reason: &[u8], longest: usize) -> &[u8] {
    if reason.len() <= longest {
        return reason;
    }
    let is_boundary = |end: &usize| reason[*end] & 0xc0 != 0x80;
    let end = (longest - 3..=longest).rev().find(is_boundary).unwrap_or(longest);
    &reason[..end]
}

/// Tells BoringSSL whom we expect, so that its chain check includes the name (RFC 6125) or the address.
fn name_peer(ssl: &mut SslRef, name: &str) -> Result<()> {
    let refused = |_| Error::Config {
        setting: "serverName",
        reason: format!("{name:?} is no host name"),
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        // RFC 6066 §3: no addresses in SNI.
        return ssl.verify_param_mut().set_ip(address).map_err(refused);
    }
    ssl.set_hostname(name).map_err(refused)?;
    ssl.verify_param_mut().set_host(name).map_err(refused)
}
