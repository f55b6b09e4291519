//! Paths: migration, probes, path MTU, pacing.

use std::net::SocketAddr;

use napi_derive::napi;

use super::Connection;
use crate::binding::address::Address;
use crate::binding::clock;
use crate::binding::error::Result;
use crate::binding::path::PathEvent;
use crate::quic;

/// When the next packet should leave.
#[napi(object, object_from_js = false)]
pub struct ReleaseDecision {
    /// In how many milliseconds; 0 for now.
    pub delay: f64,
    /// Whether it may leave in one burst with the packet before.
    pub can_burst: bool,
}

#[napi]
impl Connection {
    /// The next thing that happened to a path, each once; null for no more.
    #[napi]
    pub fn path_event_next(&self) -> Result<Option<PathEvent>> {
        while let Some(event) = self.with(|connection| connection.path_event_next())? {
            if let Some(event) = PathEvent::new(event) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Our end of the path in use; the last one when the connection is gone.
    #[napi]
    pub fn local_address(&self) -> Result<Address> {
        self.active_path().map(|path| path.local_addr.into())
    }

    /// The peer's end of the path in use; the last one when the connection is gone.
    #[napi]
    pub fn remote_address(&self) -> Result<Address> {
        self.active_path().map(|path| path.peer_addr.into())
    }

    /// The addresses of the peer to which packets can go from this address of ours.
    #[napi]
    pub fn paths_iter(&self, from: Address) -> Result<Vec<Address>> {
        let from = SocketAddr::try_from(&from)?;
        self.with(|connection| Ok(connection.live()?.paths_iter(from).map(Address::from).collect()))
    }

    /// Whether the path is validated (RFC 9000 §8.2). Throws `InvalidState` if there is no such path.
    #[napi]
    pub fn is_path_validated(&self, local: Address, peer: Address) -> Result<bool> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        self.with(|connection| Ok(connection.live()?.is_path_validated(local, peer)?))
    }

    /// Asks the peer whether a path works: a new one if this is the client's side, else a known one. The answer is a path
    /// event. Answers the number of the peer's connection id that the path uses.
    ///
    /// Throws `OutOfIdentifiers` when one side has no spare connection id for a new path, `InvalidState` for a new path on a
    /// server, and `DrivenByEndpoint`.
    #[napi]
    pub fn probe_path(&self, local: Address, peer: Address) -> Result<f64> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        self.with(|connection| connection.probe_path(local, peer))
            .map(|sequence| sequence as f64)
    }

    /// Client: goes over to a path (RFC 9000 §9), at once if it is new. Answers the number of the peer's connection id that
    /// the path uses. quiche does it even if the peer has disabled migration: look at `peerTransportParams()`.
    ///
    /// Throws `OutOfIdentifiers` when one side has no spare connection id, `InvalidState` on a server, and
    /// `DrivenByEndpoint`.
    #[napi]
    pub fn migrate(&self, local: Address, peer: Address) -> Result<f64> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        self.with(|connection| connection.migrate(local, peer))
            .map(|sequence| sequence as f64)
    }

    /// Client: goes over to another address of ours, and stays with the peer's. Else as `migrate`.
    #[napi]
    pub fn migrate_source(&self, local: Address) -> Result<f64> {
        let local = SocketAddr::try_from(&local)?;
        self.with(|connection| connection.migrate_source(local))
            .map(|sequence| sequence as f64)
    }

    /// Makes the next packet one that the peer must acknowledge, by a PING frame if need be: keeps NAT mappings and idle
    /// timers alive. Nothing once the connection is closing.
    #[napi]
    pub fn send_ack_eliciting(&self) -> Result<()> {
        self.with(|connection| connection.send_ack_eliciting(None))
    }

    /// The same on one path. Throws `InvalidState` if there is no such path.
    #[napi]
    pub fn send_ack_eliciting_on_path(&self, local: Address, peer: Address) -> Result<()> {
        let path = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        self.with(|connection| connection.send_ack_eliciting(Some(path)))
    }

    /// Largest UDP payload that `send` may make now: 1200 bytes before the handshake is complete, never more than 16,383.
    #[napi]
    pub fn max_send_udp_payload_size(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.max_send_udp_payload_size() as f64))
    }

    /// The largest packet that the path in use was found to carry, in bytes; null before that (`discoverPmtu`).
    #[napi]
    pub fn pmtu(&self) -> Result<Option<f64>> {
        self.with(|connection| Ok(connection.live()?.pmtu()))
            .map(|pmtu| pmtu.map(|pmtu| pmtu as f64))
    }

    /// Probes again whether the path in use still carries such packets; if not, the search begins anew.
    #[napi]
    pub fn revalidate_pmtu(&self) -> Result<()> {
        self.with(|connection| connection.revalidate_pmtu())
    }

    /// How many bytes may leave in one burst now.
    #[napi]
    pub fn send_quantum(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.send_quantum() as f64))
    }

    /// The same on one path; 0 if there is no such path.
    #[napi]
    pub fn send_quantum_on_path(&self, local: Address, peer: Address) -> Result<f64> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        self.with(|connection| Ok(connection.live()?.send_quantum_on_path(local, peer) as f64))
    }

    /// Whether packets are paced: `SendInfo.at` then matters.
    #[napi]
    pub fn pacing_enabled(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.live()?.pacing_enabled()))
    }

    /// When the next packet should leave; null without a path in use.
    #[napi]
    pub fn get_next_release_time(&self) -> Result<Option<ReleaseDecision>> {
        self.with(|connection| {
            let now = clock::now();
            Ok(connection
                .live()?
                .get_next_release_time()
                .map(|decision| ReleaseDecision {
                    delay: decision
                        .time(now)
                        .map_or(0.0, |at| clock::milliseconds(at.saturating_duration_since(now))),
                    can_burst: decision.can_burst(),
                }))
        })
    }

    /// How far ahead packets may be handed to the system, where it paces itself: milliseconds, an eighth of the round trip
    /// time, but 1 to 5.
    #[napi]
    pub fn max_release_into_future(&self) -> Result<f64> {
        self.with(|connection| Ok(clock::milliseconds(connection.live()?.max_release_into_future())))
    }

    /// Whether congestion control is BBR's newer implementation; null without a path in use.
    #[napi]
    pub fn gcongestion_enabled(&self) -> Result<Option<bool>> {
        self.with(|connection| Ok(connection.live()?.gcongestion_enabled()))
    }
}

impl Connection {
    fn active_path(&self) -> Result<quiche::PathStats> {
        self.with(|connection| connection.active_path()?.ok_or(quic::Error::Closed))
    }
}
