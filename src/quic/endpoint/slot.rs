//! What an endpoint remembers about one connection.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::rebinding::Probation;
use crate::quic::config::Config;
use crate::quic::connection::SharedConnection;

/// How far a connection is. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Handshaking,
    /// The application has been asked about the peer's chain.
    Verifying,
    /// Told of, since early data can flow; the handshake goes on.
    Early,
    Connected,
    Ending,
    /// Nothing is left but to tell of its end.
    Gone,
}

impl Phase {
    /// Whether the application has the connection and can use it.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Early | Self::Connected)
    }
}

pub(super) struct Slot {
    pub connection: SharedConnection,
    pub phase: Phase,
    /// Whether it is told of when early data can flow.
    pub connects_early: bool,
    /// Whom an accepted connection counts for; `None` if we dialled.
    pub admitted_from: Option<IpAddr>,
    /// Our ids that lead here.
    pub ids: Vec<quiche::ConnectionId<'static>>,
    /// What the server will end a stateless reset with, if it has lost the connection.
    pub reset_token: Option<u128>,
    pub clock: Clock,
    /// 1-RTT packets that came before the verdict that makes them readable.
    pub held: Vec<Held>,
    /// A packet that must not go out yet.
    pub paced: Option<Paced>,
    /// Where the last datagram came from.
    pub last_from: Option<SocketAddr>,
    /// Whether the peer is followed to another address: a client, or a server by `follow_server`.
    pub follows: bool,
    /// Whether a peer that moves by itself is refused.
    pub refuses_migration: bool,
    /// Our id that the peer used last, and from where.
    pub last_spoken: Option<(Vec<u8>, SocketAddr)>,
    /// What may be sent to a rebound peer before it has shown that it receives there.
    pub probation: Option<Probation>,
    pub is_confirmed: bool,
    pub is_confirmation_told: bool,
    /// Datagrams came before the peer was trusted.
    pub has_early_datagrams: bool,
    /// quiche refused to send once: it says so before it hands out the close frame.
    pub has_failed: bool,
    /// Whether we have closed it, and have said so.
    pub has_said_farewell: bool,
    /// Packets sent since it was closed, without the close frame.
    pub packets_before_close: u32,
    /// Whether the peer let us open more streams, bidi and uni, when last looked at.
    pub had_credit: [bool; 2],
    /// Whether a look at the connection is due at the end of this batch.
    pub is_touched: bool,
    pub has_session: bool,
}

/// When a connection wants attention.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The deadline as it stands in the endpoint's timers.
    pub set: Option<Instant>,
    /// When the handshake must be complete.
    pub handshake: Option<Instant>,
    pub keep_alive: Option<KeepAlive>,
}

#[derive(Debug)]
pub(super) struct KeepAlive {
    pub interval: Duration,
    pub due: Instant,
}

pub(super) struct Held {
    pub bytes: Vec<u8>,
    pub info: quiche::RecvInfo,
}

pub(super) struct Paced {
    pub bytes: Vec<u8>,
    pub info: quiche::SendInfo,
    /// Whether the connection was woken for it: it waits for room in the socket now, and wakes nobody any more.
    pub is_due: bool,
}

impl Slot {
    pub(super) fn new(connection: SharedConnection, config: &Config, from: Option<IpAddr>, now: Instant) -> Self {
        let handshake = (config.handshake_timeout > Duration::ZERO).then(|| now + config.handshake_timeout);
        let keep_alive = config.keep_alive_interval.map(|interval| KeepAlive {
            interval,
            due: now + interval,
        });
        Self {
            connection,
            phase: Phase::Handshaking,
            connects_early: config.connects_early,
            admitted_from: from,
            ids: Vec::new(),
            reset_token: None,
            clock: Clock {
                set: None,
                handshake,
                keep_alive,
            },
            held: Vec::new(),
            paced: None,
            last_from: None,
            follows: from.is_some() || config.follow_server,
            refuses_migration: config.disable_active_migration && from.is_some(),
            last_spoken: None,
            probation: None,
            is_confirmed: false,
            is_confirmation_told: false,
            has_early_datagrams: false,
            has_failed: false,
            has_said_farewell: false,
            packets_before_close: 0,
            had_credit: [true; 2],
            is_touched: false,
            has_session: false,
        }
    }

    /// Whether the peer may have moved.
    pub(super) fn may_be_rebound(&self) -> bool {
        self.follows && self.phase == Phase::Connected
    }

    /// Whether this is a newcomer whose handshake isn't complete.
    pub(super) fn is_half_open(&self) -> bool {
        self.admitted_from.is_some() && self.phase < Phase::Connected
    }

    /// Whether this is a newcomer whose chain waits for a verdict, told to the application or not yet.
    pub(super) fn is_judging_client(&self) -> bool {
        self.is_half_open() && self.connection.borrow().is_verification_pending()
    }

    /// When the connection wants attention next, its own timers at `quiche`.
    pub(super) fn deadline(&self, quiche: Option<Instant>) -> Option<Instant> {
        let keep_alive = self
            .clock
            .keep_alive
            .as_ref()
            .filter(|_| self.phase == Phase::Connected)
            .map(|it| it.due);
        let paced = self.paced.as_ref().filter(|paced| !paced.is_due);
        let paced = paced.map(|paced| paced.info.at);
        let probation = self.probation.as_ref().and_then(Probation::due);
        [quiche, self.clock.handshake, keep_alive, paced, probation]
            .into_iter()
            .flatten()
            .min()
    }
}
