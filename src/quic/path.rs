//! Network paths of a connection: follows the peer through NAT rebindings.

use std::net::SocketAddr;

use super::connection::Connection;
use super::error::Result;

/// Path events that wait for the user; the oldest are dropped.
const MAX_PATH_EVENTS: usize = 64;

impl Connection {
    /// The next path event, from the endpoint that drives the connection or else from quiche.
    pub fn path_event_next(&mut self) -> Result<Option<quiche::PathEvent>> {
        if let Some(event) = self.path_events.pop_front() {
            return Ok(Some(event));
        }
        Ok(self.live_mut()?.path_event_next())
    }

    pub(super) fn push_path_event(&mut self, event: quiche::PathEvent) {
        if self.path_events.len() == MAX_PATH_EVENTS {
            self.path_events.pop_front();
        }
        self.path_events.push_back(event);
    }

    /// The peer's address on the path in use, as it is seen from outside.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        let active = match (self.live(), self.remains()) {
            (Ok(quiche), _) => quiche.path_stats().find(|path| path.active)?.peer_addr,
            (_, Some(remains)) => remains.paths.iter().find(|path| path.active)?.peer_addr,
            _ => return None,
        };
        Some(
            self.alias
                .filter(|alias| alias.inside == active)
                .map_or(active, |alias| alias.outside),
        )
    }
}

/// An address of the peer that quiche doesn't know of: see `endpoint::rebinding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alias {
    /// The address that quiche knows.
    pub inside: SocketAddr,
    /// Where the peer is now.
    pub outside: SocketAddr,
}
