//! Many connections over one socket: whose datagram is it, who may come in, what is to be sent, who wants attention when.
//!
//! An endpoint has no socket and no clock: datagrams and times come from outside. One call takes a batch of datagrams
//! in and answers, through [`changes`](Endpoint::take_changes), with all that changed.
//!
//! | file | concept |
//! | --- | --- |
//! | `receive` | routes datagrams; holds what comes too early |
//! | `rebinding` | follows a peer whose NAT gave it another port |
//! | `migration` | moves a connection of ours to another socket; refuses peers that move by themselves |
//! | `probes` | punches and questions: bare datagrams of ours |
//! | `admit` | newcomers: version, token, limits |
//! | `transmit` | what wants to be sent, in turns |
//! | `farewell` | says again that a connection was closed |
//! | `look` | what changed in a connection, and what the endpoint owes it |
//! | `slot`, `timers` | what is remembered of each connection, and when it wants attention |
//! | `audit` | bounds what is received and unread |
//! | `ids`, `refusal`, `limits` | connection ids and resets, CONNECTION_REFUSED, bounds |

mod admit;
mod audit;
pub mod change;
mod farewell;
mod ids;
pub mod limits;
mod look;
pub mod migration;
pub mod probes;
mod rebinding;
mod receive;
mod refusal;
mod slot;
pub mod stats;
mod timers;
mod transmit;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use slab::Slab;

use self::audit::Audit;
use self::change::Change;
use self::farewell::Farewells;
use self::ids::IdKey;
use self::limits::{Limits, PerAddress, Rate, RetryPolicy};
use self::migration::Gone;
use self::probes::Probes;
use self::slot::{Phase, Slot};
use self::stats::EndpointStats;
use self::timers::Timers;
use super::address::{AddressBook, normalise};
use super::config::Config;
use super::connection::{CloseCause, Connection, DirtyList, SharedConnection};
use super::error::{Error, Result};
use super::token::TokenKey;

/// A configuration shared by those who make connections with it.
pub type SharedConfig = Rc<RefCell<Config>>;

/// How an endpoint guards its door, and its secrets.
#[derive(Debug, Clone, Default)]
pub struct EndpointSettings {
    /// Bounds on what strangers can make it hold.
    pub limits: Limits,
    /// When newcomers must prove their address.
    pub retry: RetryPolicy,
    /// Seeds the key of the Retry tokens; random by default.
    pub token_key: Option<Vec<u8>>,
    /// Seeds the connection ids and the stateless reset tokens; random by default, and then a restarted endpoint can't
    /// reset what its predecessor left behind.
    pub stateless_reset_key: Option<Vec<u8>>,
}

/// Drives many connections.
pub struct Endpoint {
    slots: Slab<Slot>,
    /// Connections that are gone, but whose end isn't told: their keys aren't given away.
    departing: usize,
    /// Connections whose end has been told with the last changes.
    departed: Vec<usize>,
    routes: HashMap<quiche::ConnectionId<'static>, usize>,
    /// Whom a stateless reset is for, by the token that the server gave with its handshake.
    resettable: HashMap<u128, usize>,
    timers: Timers,
    /// Connections that want to send, as they told.
    dirty: DirtyList,
    /// The same, in the order of their turns.
    turns: VecDeque<usize>,
    touched: Vec<usize>,
    /// Answers that quiche has no part in: version negotiation, Retry, refusals, resets, closes said again.
    replies: VecDeque<(Vec<u8>, SocketAddr)>,
    strays: VecDeque<(Vec<u8>, SocketAddr)>,
    strays_told: usize,
    probes: Probes,
    farewells: Farewells,
    /// Ids of connections that were taken to another endpoint.
    gone: Gone,
    changes: VecDeque<Change>,
    /// Numbers of the addresses in batches.
    pub addresses: AddressBook,
    local: Option<SocketAddr>,
    server: Option<SharedConfig>,
    ids: IdKey,
    tokens: TokenKey,
    retry: RetryPolicy,
    limits: Limits,
    per_address: PerAddress,
    half_open: usize,
    accepts: Rate,
    resets: Rate,
    audit: Audit,
    epoch: Epoch,
    searches_pmtu: bool,
    owes_answer: bool,
    has_newcomer: bool,
    /// What happened so far.
    pub stats: EndpointStats,
}

/// Joins the two clocks: tokens outlive processes, timers don't.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// A moment,
    pub instant: Instant,
    /// and the time since the Unix epoch at that moment.
    pub unix: Duration,
}

impl Epoch {
    fn unix_at(self, now: Instant) -> Duration {
        self.unix + now.saturating_duration_since(self.instant)
    }

    /// The next of the moments that are `step` apart.
    fn round_up(self, time: Instant, step: Duration) -> Instant {
        let since = time.saturating_duration_since(self.instant).as_nanos();
        let past = u64::try_from(since % step.as_nanos().max(1)).unwrap_or(0);
        if past == 0 {
            time
        } else {
            time + step - Duration::from_nanos(past)
        }
    }
}

/// Stateless resets per second: enough for peers of a predecessor, useless for a reflector.
const RESETS_PER_SECOND: u32 = 100;

impl Endpoint {
    /// An endpoint without connections, which accepts none until [`listen`](Self::listen).
    pub fn new(settings: EndpointSettings, epoch: Epoch) -> Result<Self> {
        Ok(Self {
            slots: Slab::new(),
            departing: 0,
            departed: Vec::new(),
            routes: HashMap::new(),
            resettable: HashMap::new(),
            timers: Timers::default(),
            dirty: DirtyList::default(),
            turns: VecDeque::new(),
            touched: Vec::new(),
            replies: VecDeque::new(),
            strays: VecDeque::new(),
            strays_told: 0,
            probes: Probes::default(),
            farewells: Farewells::default(),
            gone: Gone::default(),
            changes: VecDeque::new(),
            addresses: AddressBook::default(),
            local: None,
            server: None,
            ids: IdKey::new(settings.stateless_reset_key.as_deref())?,
            tokens: TokenKey::new(settings.token_key.as_deref())?,
            retry: settings.retry,
            accepts: Rate::new(settings.limits.accepts_per_second),
            resets: Rate::new(RESETS_PER_SECOND),
            limits: settings.limits,
            per_address: PerAddress::default(),
            half_open: 0,
            audit: Audit::default(),
            epoch,
            searches_pmtu: false,
            owes_answer: false,
            has_newcomer: false,
            stats: EndpointStats::default(),
        })
    }

    /// Sets the address that all datagrams are said to come to. A wildcard is as good as any: it is one path end.
    pub fn set_local_address(&mut self, local: SocketAddr) {
        self.local = Some(normalise(local));
    }

    /// Sets when newcomers must prove their address.
    pub fn set_retry(&mut self, retry: RetryPolicy) {
        self.retry = retry;
    }

    /// Changes the secret behind the Retry tokens: those under way become invalid.
    pub fn set_token_key(&mut self, secret: &[u8]) -> Result<()> {
        self.tokens = TokenKey::new(Some(secret))?;
        Ok(())
    }

    /// Changes the secret behind connection ids and reset tokens; only while there are no connections, whose ids would
    /// no longer be known as ours.
    pub fn set_stateless_reset_key(&mut self, secret: &[u8]) -> Result<()> {
        if !self.is_empty() {
            return Err(Error::Limit(
                "the stateless reset key can't change while there are connections",
            ));
        }
        self.ids = IdKey::new(Some(secret))?;
        Ok(())
    }

    /// Accepts newcomers with this configuration from now on; those already accepted keep theirs.
    pub fn listen(&mut self, config: SharedConfig) {
        self.server = Some(config);
    }

    /// Accepts newcomers no more, and refuses those that weren't shown yet: nobody is left to show them to.
    pub fn unlisten(&mut self, now: Instant) {
        self.server = None;
        let newcomers: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_half_open() && !slot.phase.is_open())
            .map(|(key, _)| key)
            .collect();
        for key in newcomers {
            let connection = self.slots[key].connection.clone();
            // A failure inside shows in the look.
            let _ = guarded(&connection, |connection| {
                let code = quiche::WireErrorCode::ConnectionRefused;
                connection.end(CloseCause::Local, code, "the server accepts nobody any more");
                Ok(())
            });
            self.look(key, now);
        }
    }

    /// Dials. The connection is driven by this endpoint until [`Change::Closed`].
    pub fn connect(
        &mut self,
        config: &SharedConfig,
        server_name: Option<&str>,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<SharedConnection> {
        let local = self.local.ok_or(Error::NotBound)?;
        if self.len() >= self.limits.connections {
            return Err(Error::Limit("the endpoint has as many connections as it may"));
        }
        let peer = normalise(peer);
        let scid = self.ids.mint()?;
        let config = &mut *config.borrow_mut();
        // Only servers may send the parameter (RFC 9000 §18.2).
        config.quiche.set_stateless_reset_token(None);
        let connection = Connection::connect(config, server_name, &scid, local, peer)?;
        let key = self.adopt(connection, config, None, now);
        self.add_route(key, scid);
        self.stats.dialled += 1;
        let connection = self.slots[key].connection.clone();
        connection.borrow_mut().touch();
        Ok(connection)
    }

    /// The connection with this key, also when it has just gone: until changes are taken once more.
    pub fn connection(&self, key: usize) -> Result<SharedConnection> {
        self.slots
            .get(key)
            .map(|slot| slot.connection.clone())
            .ok_or(Error::UnknownConnection(key))
    }

    /// The keys of all connections that were accepted and aren't gone, those that no change has told of yet among them.
    pub fn accepted(&self) -> impl Iterator<Item = usize> + '_ {
        let is_accepted = |slot: &Slot| slot.admitted_from.is_some() && slot.phase < Phase::Gone;
        self.slots
            .iter()
            .filter(move |(_, slot)| is_accepted(slot))
            .map(|(key, _)| key)
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.departing
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a connection has ever searched for its path MTU: datagrams must not be cut into fragments then.
    pub fn searches_pmtu(&self) -> bool {
        self.searches_pmtu
    }

    /// How many accepted connections have an incomplete handshake.
    pub fn half_open(&self) -> usize {
        self.half_open
    }

    /// Whether anything has changed since it was last asked for.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether anything may want to be sent.
    pub fn has_output(&self) -> bool {
        !(self.replies.is_empty() && self.turns.is_empty() && self.dirty.borrow().is_empty())
    }

    /// What has changed since it was last asked for, the oldest first.
    pub fn take_changes(&mut self) -> impl Iterator<Item = Change> + '_ {
        for key in self.departed.drain(..) {
            self.slots.remove(key);
            self.departing -= 1;
        }
        std::iter::from_fn(|| {
            let change = self.changes.pop_front()?;
            if let Change::Closed(key) = change {
                self.departed.push(key);
            }
            Some(change)
        })
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Wakes every connection whose time has come.
    pub fn on_timeout(&mut self, now: Instant) {
        self.farewells.expire(now);
        // First all, then each: a connection may set its next deadline into the past.
        let due: Vec<_> = std::iter::from_fn(|| self.timers.take_due(now)).collect();
        for key in due {
            self.slots[key].clock.set = None;
            self.wake(key, now);
            self.look(key, now);
        }
    }

    /// The next datagram that was nobody's.
    pub fn take_stray(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        let stray = self.strays.pop_front();
        self.strays_told = self.strays_told.min(self.strays.len());
        stray
    }

    /// Drops the stray datagrams that wait, since nobody wants them.
    pub fn drop_strays(&mut self) {
        self.stats.strays_dropped += self.strays.len() as u64;
        self.strays.clear();
        self.strays_told = 0;
    }

    /// Keeps up to so many stray datagrams for whoever asks; with 0 they are only counted.
    pub fn keep_strays(&mut self, count: usize) {
        self.limits.strays = count;
        self.strays.truncate(count);
    }

    /// Lets go of everything at once; no close frame goes out. Handles keep their last statistics.
    pub fn close(&mut self) {
        let keys: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.phase < Phase::Gone)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.release(key);
        }
        self.server = None;
        self.replies.clear();
        self.farewells.clear();
        self.strays.clear();
        self.dirty.borrow_mut().clear();
        self.turns.clear();
    }

    fn adopt(
        &mut self,
        connection: Connection,
        config: &Config,
        from: Option<std::net::IpAddr>,
        now: Instant,
    ) -> usize {
        self.searches_pmtu |= connection.searches_pmtu();
        let shared = Rc::new(RefCell::new(connection));
        let slot = Slot::new(shared.clone(), config, from, now);
        self.half_open += usize::from(slot.is_half_open());
        if let Some(ip) = from {
            self.per_address.enter(ip);
        }
        let key = self.slots.insert(slot);
        shared.borrow_mut().drive(key, self.dirty.clone());
        key
    }

    fn add_route(&mut self, key: usize, id: quiche::ConnectionId<'static>) {
        self.slots[key].ids.push(id.clone());
        self.routes.insert(id, key);
    }

    /// Lets go of one connection, and tells.
    fn release(&mut self, key: usize) {
        self.let_go(key);
        self.stats.closed += 1;
        self.departing += 1;
        self.changes.push_back(Change::Closed(key));
    }

    /// Ends all that the endpoint does for a connection.
    fn let_go(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        self.half_open -= usize::from(slot.is_half_open());
        slot.phase = Phase::Gone;
        if let Some(ip) = slot.admitted_from {
            self.per_address.leave(ip);
        }
        for id in slot.ids.drain(..) {
            self.routes.remove(&id);
        }
        slot.connection.borrow_mut().release();
        self.forget(key);
    }

    /// Takes all traces of a connection out of the lists of what is to be done.
    fn forget(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        if let Some(token) = slot.reset_token {
            self.resettable.remove(&token);
        }
        self.timers.move_deadline(key, slot.clock.set.take(), None);
        self.touched.retain(|touched| *touched != key);
        self.turns.retain(|turn| *turn != key);
        self.dirty.borrow_mut().retain(|dirty| *dirty != key);
    }
}

/// Runs a call into one connection. A panic in it ends that connection, never the endpoint.
fn guarded<T>(connection: &SharedConnection, call: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(|| call(&mut connection.borrow_mut())));
    outcome.unwrap_or_else(|_| {
        connection.borrow_mut().poison();
        Err(Error::Poisoned)
    })
}
