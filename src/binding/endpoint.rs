//! `Endpoint`: drives many connections over one socket of its owner.

use std::cell::RefCell;
use std::rc::Rc;

use napi::bindgen_prelude::{Buffer, Float64Array, Uint8Array};
use napi_derive::napi;

use super::address::{self, Address};
use super::bytes::{Int32ArraySlice, Uint8ArraySlice};
use super::clock::{now, since_unix_epoch};
use super::config::Config;
use super::connection::Connection;
use super::error::{Code, Error, Result, catch, invalid_argument};
use super::number;
use crate::quic::datagrams::Batch;
use crate::quic::endpoint::limits::{Limits, RetryPolicy};
use crate::quic::endpoint::{self, EndpointSettings, Epoch};

/// Numbers in one record of changes: kind, key, value.
const RECORD: usize = 3;
/// A timer that is to run later than this is to be looked at again before.
const LONGEST_TIMEOUT_MS: u64 = 0x7fff_ffff;

/// What a record of changes says. A record is three numbers: the kind, the `key` of the connection, a value.
#[napi]
pub enum ChangeKind {
    /// The peer's certificate chain waits for a verdict: `peerCertChain`, `settleVerification`.
    Verify = 1,
    /// The handshake is complete and the peer trusted: a newcomer to show, or a dial that succeeded. With
    /// `setConnectsEarly`, also as soon as early data can flow.
    Connected = 2,
    /// The other side is known to have accepted us: on a server when the handshake is complete, on a client with the
    /// server's first 1-RTT packet, which a foreign server may send before it has judged the client's certificate. Where
    /// the server has taken early data, it is the first spare connection id: 1-RTT packets come early, then.
    Confirmed = 3,
    /// The peer opened the stream `value`: told once, before all else about it.
    StreamOpened = 4,
    /// The stream `value` has something to read. Told at an edge: read until blocked. May be spurious.
    StreamReadable = 5,
    /// The stream `value` takes data again, or was stopped. Told at an edge. May be spurious.
    StreamWritable = 6,
    /// Datagrams can be read: until there is none.
    DatagramReadable = 7,
    /// The peer lets us open streams again: bidirectional (`value` 0) or unidirectional (1).
    StreamsAvailable = 8,
    /// Path events wait: `pathEventNext` until null.
    Path = 9,
    /// The connection begins to end: `closeCause` says why. What was received stays readable; nothing more comes.
    Ending = 10,
    /// The endpoint let go. The handle keeps statistics, errors, and what the peer had sent before it closed. Another
    /// connection may get the key.
    Closed = 11,
    /// `value` datagrams that are nobody's wait: `takeStray` until null.
    Stray = 12,
    /// A client has got a session ticket: `session`.
    Session = 13,
    /// `value` things were heard that are no connection's and that somebody waits for: `takeHeard` until null.
    Heard = 14,
    /// The handshake of a connection that was `Connected` early is complete: whether the server took the early data is
    /// known.
    Established = 15,
}

/// When newcomers must prove their address by a Retry (RFC 9000 §8.1).
#[napi(string_enum)]
pub enum Retry {
    /// When more handshakes than `retryThreshold` are half-open.
    Adaptive,
    /// Always: costs every newcomer a round trip.
    Always,
    /// Never.
    Never,
}

/// How an endpoint guards its door. All numbers are integers from 0 to 2^53-1.
#[napi(object)]
#[derive(Default)]
pub struct EndpointOptions {
    /// Default `Adaptive`.
    pub retry: Option<Retry>,
    /// Half-open handshakes that turn adaptive Retry on. Default 64.
    pub retry_threshold: Option<f64>,
    /// Seeds the key of the Retry tokens, any length. Default random: a restarted endpoint refuses its predecessor's.
    pub token_key: Option<Uint8Array>,
    /// Seeds connection ids and stateless reset tokens, 16 bytes or more. Default random: a restarted endpoint can't tell
    /// its predecessor's peers that their connections are gone.
    pub stateless_reset_key: Option<Uint8Array>,
    /// Connections in all. Default 65,536.
    pub max_connections: Option<f64>,
    /// Accepted connections from one IP address. Default 8,192.
    pub max_connections_per_address: Option<f64>,
    /// Accepted connections whose handshake isn't complete. Default 4,096.
    pub max_half_open: Option<f64>,
    /// Accepted connections per second, in bursts of as many; up to 2^32-1. Default 10,000.
    pub max_accepts_per_second: Option<f64>,
    /// Stream data and datagrams received and not yet read, over all connections, in bytes; exact to 1 MiB. Beyond it the
    /// connection that holds most is closed. Default 512 MiB.
    pub max_buffered_bytes: Option<f64>,
    /// Stray datagrams kept for `takeStray`. Default 0: they are counted and dropped.
    pub max_strays: Option<f64>,
}

/// A datagram that was nobody's.
#[napi(object)]
pub struct StrayDatagram {
    /// Its bytes.
    pub data: Buffer,
    /// The sender's literal address.
    pub host: String,
    /// The sender's port.
    pub port: f64,
}

/// What happened at an endpoint since it was made. Bytes are UDP payload.
#[napi(object)]
pub struct EndpointStats {
    /// Connections now.
    pub connections: f64,
    /// Accepted connections whose handshake isn't complete, now.
    pub half_open: f64,
    /// Datagrams received.
    pub received: f64,
    /// Bytes received.
    pub received_bytes: f64,
    /// Datagrams handed out for sending.
    pub transmitted: f64,
    /// Bytes handed out for sending.
    pub transmitted_bytes: f64,
    /// Datagrams that could not be sent.
    pub send_failures: f64,
    /// Connections dialled.
    pub dialled: f64,
    /// Connections accepted.
    pub accepted: f64,
    /// Connections let go.
    pub closed: f64,
    /// Newcomers' Initials refused by a limit, in all.
    pub refused: f64,
    /// Refused: too many connections.
    pub refused_connections: f64,
    /// Refused: too many connections from that address.
    pub refused_address: f64,
    /// Refused: too many half-open handshakes.
    pub refused_half_open: f64,
    /// Refused: too many newcomers in one second.
    pub refused_rate: f64,
    /// Connections closed because too much data was received and not read.
    pub closed_for_memory: f64,
    /// Version negotiation packets sent.
    pub version_negotiations: f64,
    /// Retry packets sent.
    pub retries: f64,
    /// Initials refused because their token was forged or expired.
    pub invalid_tokens: f64,
    /// Stateless resets sent.
    pub stateless_resets: f64,
    /// Closes said again, to peers that went on speaking.
    pub closes_repeated: f64,
    /// Datagrams that were nobody's.
    pub strays: f64,
    /// Of these, dropped: nobody listened, or the queue was full.
    pub strays_dropped: f64,
    /// Datagrams that a connection refused, and Initials that could not be accepted.
    pub invalid: f64,
    /// 1-RTT datagrams held back until the peer was judged.
    pub held: f64,
    /// The same that were dropped, since too many were held already: loss, for their sender.
    pub held_dropped: f64,
    /// Packets delayed by pacing.
    pub paced: f64,
    /// Peers that were followed to another port.
    pub rebindings: f64,
    /// Datagrams dropped of peers that moved by themselves although they were asked not to.
    pub migrations_refused: f64,
    /// Punches and questions sent.
    pub probes_sent: f64,
    /// Punches, questions and answers received.
    pub probes_received: f64,
    /// Of these, answered.
    pub probes_answered: f64,
    /// Of these, not answered: too many at once, or a question that isn't to be answered.
    pub probes_unanswered: f64,
    /// Of these, answers that nobody waits for.
    pub probes_unexpected: f64,
}

/// An endpoint, shared with the turns of its socket. Nobody calls JavaScript while it is borrowed.
pub type SharedEndpoint = Rc<RefCell<endpoint::Endpoint>>;

/// Drives many connections over one socket: routes datagrams, accepts newcomers, keeps timers. It has no socket: its owner
/// hands it what was received and sends what it hands out.
///
/// After each call that may change something, take the changes; after anything that may want to be sent (also calls on the
/// connections' own handles) call `transmit` until it answers 0, and then `timeout` to set a timer for `onTimeout`.
#[napi]
pub struct Endpoint {
    pub(super) inner: SharedEndpoint,
    changes: Option<Float64Array>,
    retry_threshold: usize,
}

// Below the class: napi's macro wants to see it before its methods.
mod migration;
mod probes;

#[napi]
impl Endpoint {
    /// An endpoint that accepts nobody until `listen`, and dials after `setLocalAddress`.
    #[napi(constructor)]
    pub fn new(options: Option<EndpointOptions>) -> Result<Self> {
        let options = options.unwrap_or_default();
        let settings = settings(options)?;
        let retry_threshold = match settings.retry {
            RetryPolicy::Adaptive(threshold) => threshold,
            RetryPolicy::Always | RetryPolicy::Never => 0,
        };
        let inner = catch(|| endpoint::Endpoint::new(settings, epoch()))?;
        Ok(Self {
            inner: Rc::new(RefCell::new(inner)),
            changes: None,
            retry_threshold,
        })
    }

    /// Sets the address of the socket, a wildcard if it is bound to one: all datagrams are said to come to it.
    #[napi]
    pub fn set_local_address(&mut self, host: String, port: f64) -> Result<()> {
        let local = address::parse(&host, port)?;
        self.inner.borrow_mut().set_local_address(local);
        Ok(())
    }

    /// Sets when newcomers must prove their address by a Retry.
    #[napi]
    pub fn set_retry(&mut self, retry: Retry) {
        self.inner.borrow_mut().set_retry(policy(retry, self.retry_threshold));
    }

    /// Changes the secret behind the Retry tokens, any length: tokens under way become invalid.
    #[napi]
    pub fn set_token_key(&mut self, secret: &[u8]) -> Result<()> {
        Ok(self.inner.borrow_mut().set_token_key(secret)?)
    }

    /// Changes the secret behind connection ids and stateless reset tokens, 16 bytes or more. Throws `Limit` while there
    /// are connections.
    #[napi]
    pub fn set_stateless_reset_key(&mut self, secret: &[u8]) -> Result<()> {
        check_reset_key(secret)?;
        Ok(self.inner.borrow_mut().set_stateless_reset_key(secret)?)
    }

    /// Accepts newcomers with this configuration from now on; those already accepted keep theirs: `accepted` names them.
    #[napi]
    pub fn listen(&mut self, config: &Config) {
        self.inner.borrow_mut().listen(config.shared());
    }

    /// Accepts newcomers no more: their packets are strays. Those whose handshake isn't complete are refused.
    #[napi]
    pub fn unlisten(&mut self) {
        self.inner.borrow_mut().unlisten(now());
    }

    /// Dials a literal address. `serverName` is what the server's certificate is checked for, a name or an address, where
    /// the chain is checked (`Verification.Chain`); names go into SNI. Throws `NotBound` before `setLocalAddress`, `Limit`
    /// where there are as many connections as may be, `InvalidConfig` for a name that is none.
    #[napi]
    pub fn connect(
        &mut self,
        config: &Config,
        host: String,
        port: f64,
        server_name: Option<String>,
    ) -> Result<Connection> {
        let peer = address::parse(&host, port)?;
        let shared = config.shared();
        catch(|| {
            self.inner
                .borrow_mut()
                .connect(&shared, server_name.as_deref(), peer, now())
        })
        .map(Connection::from_shared)
    }

    /// A handle on the connection with this key. Throws `UnknownConnection`.
    #[napi]
    pub fn connection(&self, key: f64) -> Result<Connection> {
        let key = number::size("key", key, number::ANY)?;
        Ok(Connection::from_shared(self.inner.borrow().connection(key)?))
    }

    /// The keys of all connections that were accepted and aren't gone, those that no record of changes has told of yet among
    /// them.
    #[napi]
    pub fn accepted(&self) -> Vec<f64> {
        self.inner.borrow().accepted().map(|key| key as f64).collect()
    }

    /// The number of a literal address in `receive` and `transmit`, valid until `resetAddresses`.
    #[napi]
    pub fn intern_address(&mut self, host: String, port: f64) -> Result<u32> {
        Ok(self.inner.borrow_mut().addresses.number(address::parse(&host, port)?))
    }

    /// The address with this number. Throws `InvalidArgument` if there is none.
    #[napi]
    pub fn address(&self, id: f64) -> Result<Address> {
        let found = self.inner.borrow().addresses.address(number::u32("address", id)?);
        found
            .map(Address::from)
            .ok_or_else(|| invalid_argument("address", "was given no number"))
    }

    /// Forgets the numbers of all addresses, so that strangers can't fill memory with theirs.
    #[napi]
    pub fn reset_addresses(&mut self) {
        self.inner.borrow_mut().addresses.clear();
    }

    /// Takes datagrams in: `count` entries of `layout`, each offset, length and address number, over `data`, which is
    /// decrypted in place. Entries that make no sense are counted as invalid. Answers how many records of changes stand in
    /// the changes buffer: if it is full, `takeChanges` gives more.
    #[napi]
    pub fn receive(&mut self, data: Uint8ArraySlice, layout: &[i32], count: f64) -> Result<u32> {
        let count = number::size("count", count, number::ANY_U32)?;
        catch(|| self.inner.borrow_mut().receive(data, layout, count, now()))?;
        self.take_changes()
    }

    /// Fills `data` and `layout` with datagrams to be sent, as `receive` takes them. Answers how many; call again until
    /// there is none. `data` must have room for 1500 bytes.
    #[napi]
    pub fn transmit(&mut self, data: Uint8ArraySlice, layout: Int32ArraySlice) -> Result<u32> {
        catch(|| -> Result<u32> {
            let mut batch = Batch::new(data, layout);
            self.inner.borrow_mut().transmit(&mut batch, now());
            Ok(batch.count() as u32)
        })
    }

    /// Says that a datagram handed out by `transmit` could not be sent: counted, and a loss on its path.
    #[napi]
    pub fn send_failed(&mut self) {
        self.inner.borrow_mut().send_failed();
    }

    /// In how many milliseconds, rounded up, `onTimeout` wants to be called; -1 for never.
    #[napi]
    pub fn timeout(&self) -> f64 {
        let Some(deadline) = self.inner.borrow().next_timeout() else {
            return -1.0;
        };
        let left = deadline.saturating_duration_since(now());
        left.as_nanos().div_ceil(1_000_000).min(LONGEST_TIMEOUT_MS.into()) as f64
    }

    /// Wakes every connection whose time has come. Answers like `receive`.
    #[napi]
    pub fn on_timeout(&mut self) -> Result<u32> {
        catch(|| -> Result<()> {
            self.inner.borrow_mut().on_timeout(now());
            Ok(())
        })?;
        self.take_changes()
    }

    /// Sets the buffer into which changes are written, three numbers each (see `ChangeKind`).
    #[napi]
    pub fn set_changes_buffer(&mut self, buffer: Float64Array) -> Result<()> {
        if buffer.len() < RECORD {
            return Err(invalid_argument(
                "buffer",
                "has no room for one record of three numbers",
            ));
        }
        self.changes = Some(buffer);
        Ok(())
    }

    /// Writes what has changed since it was last asked for into the changes buffer. Answers how many records; if the
    /// buffer is full, call again.
    #[napi]
    pub fn take_changes(&mut self) -> Result<u32> {
        let Some(buffer) = &mut self.changes else {
            return Err(Error::new(
                Code::INVALID_ARGUMENT,
                "call setChangesBuffer first".to_owned(),
            ));
        };
        Ok(write_changes(&mut self.inner.borrow_mut(), buffer))
    }

    /// The next datagram that was nobody's, or null.
    #[napi]
    pub fn take_stray(&mut self) -> Option<StrayDatagram> {
        let (bytes, from) = self.inner.borrow_mut().take_stray()?;
        let Address { host, port } = from.into();
        Some(StrayDatagram {
            data: bytes.into(),
            host,
            port,
        })
    }

    /// Drops the stray datagrams that wait, since nobody wants them.
    #[napi]
    pub fn drop_strays(&mut self) {
        self.inner.borrow_mut().drop_strays();
    }

    /// Keeps up to so many stray datagrams for `takeStray`; with 0 they are counted and dropped.
    #[napi]
    pub fn set_max_strays(&mut self, count: f64) -> Result<()> {
        self.inner
            .borrow_mut()
            .keep_strays(number::size("maxStrays", count, number::ANY)?);
        Ok(())
    }

    /// What happened so far.
    #[napi]
    pub fn stats(&self) -> EndpointStats {
        let endpoint = self.inner.borrow();
        let stats = &endpoint.stats;
        EndpointStats {
            connections: endpoint.len() as f64,
            half_open: endpoint.half_open() as f64,
            received: stats.received as f64,
            received_bytes: stats.received_bytes as f64,
            transmitted: stats.transmitted as f64,
            transmitted_bytes: stats.transmitted_bytes as f64,
            send_failures: stats.send_failures as f64,
            dialled: stats.dialled as f64,
            accepted: stats.accepted as f64,
            closed: stats.closed as f64,
            refused: stats.refused as f64,
            refused_connections: stats.refused_connections as f64,
            refused_address: stats.refused_address as f64,
            refused_half_open: stats.refused_half_open as f64,
            refused_rate: stats.refused_rate as f64,
            closed_for_memory: stats.closed_for_memory as f64,
            version_negotiations: stats.version_negotiations as f64,
            retries: stats.retries as f64,
            invalid_tokens: stats.invalid_tokens as f64,
            stateless_resets: stats.stateless_resets as f64,
            closes_repeated: stats.closes_repeated as f64,
            strays: stats.strays as f64,
            strays_dropped: stats.strays_dropped as f64,
            invalid: stats.invalid as f64,
            held: stats.held as f64,
            held_dropped: stats.held_dropped as f64,
            paced: stats.paced as f64,
            rebindings: stats.rebindings as f64,
            migrations_refused: stats.migrations_refused as f64,
            probes_sent: stats.probes_sent as f64,
            probes_received: stats.probes_received as f64,
            probes_answered: stats.probes_answered as f64,
            probes_unanswered: stats.probes_unanswered as f64,
            probes_unexpected: stats.probes_unexpected as f64,
        }
    }

    /// Lets go of all connections at once; no close frame goes out. Handles keep their statistics. Newcomers are accepted
    /// no more; `takeChanges` tells what was closed.
    #[napi]
    pub fn close(&mut self) {
        self.inner.borrow_mut().close();
    }
}

fn settings(options: EndpointOptions) -> Result<EndpointSettings> {
    let defaults = Limits::default();
    let limit = |name: &str, value: Option<f64>, default: usize| {
        value.map_or(Ok(default), |value| number::size(name, value, number::ANY))
    };
    options.stateless_reset_key.as_deref().map_or(Ok(()), check_reset_key)?;
    let RetryPolicy::Adaptive(default_threshold) = RetryPolicy::default() else {
        unreachable!("the default policy is adaptive");
    };
    let threshold = limit("retryThreshold", options.retry_threshold, default_threshold)?;
    Ok(EndpointSettings {
        limits: Limits {
            connections: limit("maxConnections", options.max_connections, defaults.connections)?,
            connections_per_address: limit(
                "maxConnectionsPerAddress",
                options.max_connections_per_address,
                defaults.connections_per_address,
            )?,
            half_open: limit("maxHalfOpen", options.max_half_open, defaults.half_open)?,
            accepts_per_second: options
                .max_accepts_per_second
                .map_or(Ok(defaults.accepts_per_second), |value| {
                    number::u32("maxAcceptsPerSecond", value)
                })?,
            buffered_bytes: limit("maxBufferedBytes", options.max_buffered_bytes, defaults.buffered_bytes)?,
            strays: limit("maxStrays", options.max_strays, defaults.strays)?,
        },
        retry: policy(options.retry.unwrap_or(Retry::Adaptive), threshold),
        token_key: options.token_key.map(|key| key.to_vec()),
        stateless_reset_key: options.stateless_reset_key.map(|key| key.to_vec()),
    })
}

fn check_reset_key(secret: &[u8]) -> Result<()> {
    if secret.len() < 16 {
        Err(invalid_argument("statelessResetKey", "has less than 16 bytes"))
    } else {
        Ok(())
    }
}

fn policy(retry: Retry, threshold: usize) -> RetryPolicy {
    match retry {
        Retry::Adaptive => RetryPolicy::Adaptive(threshold),
        Retry::Always => RetryPolicy::Always,
        Retry::Never => RetryPolicy::Never,
    }
}

/// Writes what has changed into a buffer; answers how many records, fewer than there are if it is full.
pub(super) fn write_changes(endpoint: &mut endpoint::Endpoint, buffer: &mut Float64Array) -> u32 {
    // SAFETY: its owner reads the buffer between calls, on this thread.
    let buffer = unsafe { buffer.as_mut() };
    let capacity = buffer.len() / RECORD;
    let mut count = 0;
    for (place, change) in buffer
        .chunks_exact_mut(RECORD)
        .zip(endpoint.take_changes().take(capacity))
    {
        for (number, part) in place.iter_mut().zip(change.record()) {
            *number = part as f64;
        }
        count += 1;
    }
    count
}

fn epoch() -> Epoch {
    Epoch {
        instant: now(),
        unix: since_unix_epoch(),
    }
}
