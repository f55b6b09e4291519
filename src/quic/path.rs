//! Paths and connection ids: where a connection goes, and by which names.

use std::net::SocketAddr;

use super::connection::Connection;
use super::error::Result;

/// Path events that wait for the user; the oldest are dropped.
const MAX_PATH_EVENTS: usize = 64;

/// An address of the peer that quiche doesn't know of: see `endpoint::rebinding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alias {
    /// The address that quiche knows.
    pub inside: SocketAddr,
    /// Where the peer is now.
    pub outside: SocketAddr,
}

impl Connection {
    /// The next thing that happened to a path, from the endpoint that drives the connection or else from quiche.
    pub fn path_event_next(&mut self) -> Result<Option<quiche::PathEvent>> {
        if let Some(event) = self.path_events.pop_front() {
            return Ok(Some(event));
        }
        Ok(self.live_mut()?.path_event_next())
    }

    /// Keeps what quiche tells of a path, under the address that our end has now.
    pub(super) fn push_quiche_event(&mut self, mut event: quiche::PathEvent) {
        use quiche::PathEvent as E;
        match &mut event {
            E::Validated(local, _)
            | E::FailedValidation(local, _)
            | E::Closed(local, _)
            | E::PmtuUpdated { local, .. } => {
                *local = self.lanes.outside(*local);
            }
            _ => {}
        }
        self.push_path_event(event);
    }

    pub(super) fn push_path_event(&mut self, event: quiche::PathEvent) {
        if self.path_events.len() == MAX_PATH_EVENTS {
            self.path_events.pop_front();
        }
        self.path_events.push_back(event);
    }

    /// Asks whether a path works (RFC 9000 §8.2); answers the number of the destination id that it uses.
    pub fn probe_path(&mut self, local: SocketAddr, peer: SocketAddr) -> Result<u64> {
        Ok(self.by_hand("probePath")?.probe_path(local, peer)?)
    }

    /// Client: goes over to a path (RFC 9000 §9); answers the number of the destination id that it uses.
    pub fn migrate(&mut self, local: SocketAddr, peer: SocketAddr) -> Result<u64> {
        Ok(self.by_hand("migrate")?.migrate(local, peer)?)
    }

    /// Client: goes over to another local address.
    pub fn migrate_source(&mut self, local: SocketAddr) -> Result<u64> {
        Ok(self.by_hand("migrateSource")?.migrate_source(local)?)
    }

    /// Sends something that must be acknowledged, on the active path or on this one.
    pub fn send_ack_eliciting(&mut self, path: Option<(SocketAddr, SocketAddr)>) -> Result<()> {
        let quiche = self.live_mut()?;
        match path {
            None => quiche.send_ack_eliciting()?,
            Some((local, peer)) => quiche.send_ack_eliciting_on_path(local, peer)?,
        }
        self.touch();
        Ok(())
    }

    /// Probes again whether the largest known packet still gets through.
    pub fn revalidate_pmtu(&mut self) -> Result<()> {
        self.live_mut()?.revalidate_pmtu();
        self.touch();
        Ok(())
    }
}
