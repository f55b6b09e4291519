//! What can be asked of a connection at any time, also when it is gone.

use super::connection::Connection;
use super::error::{Error, Result};

impl Connection {
    /// Statistics of the connection; the last ones when it is gone.
    pub fn stats(&self) -> Result<quiche::Stats> {
        self.ask(|quiche| quiche.stats(), |remains| remains.stats.clone())
    }

    /// Statistics of each path, the addresses as they are seen from outside; the last ones when the connection is gone.
    pub fn path_stats(&self) -> Result<Vec<quiche::PathStats>> {
        let mut paths: Vec<_> = self.ask(|quiche| quiche.path_stats().collect(), |remains| remains.paths.clone())?;
        for path in &mut paths {
            if let Some(alias) = self.alias.filter(|alias| alias.inside == path.peer_addr) {
                path.peer_addr = alias.outside;
            }
            path.local_addr = self.lanes.outside(path.local_addr);
        }
        Ok(paths)
    }

    /// The path in use: the active one, else the first known.
    pub fn active_path(&self) -> Result<Option<quiche::PathStats>> {
        let mut paths = self.path_stats()?;
        let active = paths.iter().position(|path| path.active).unwrap_or(0);
        Ok((active < paths.len()).then(|| paths.swap_remove(active)))
    }

    /// Why we ended the connection, if we did.
    pub fn local_error(&self) -> Result<Option<quiche::ConnectionError>> {
        self.ask(
            |quiche| quiche.local_error().cloned(),
            |remains| remains.local_error.clone(),
        )
    }

    /// Why the peer ended the connection, if it did.
    pub fn peer_error(&self) -> Result<Option<quiche::ConnectionError>> {
        self.ask(
            |quiche| quiche.peer_error().cloned(),
            |remains| remains.peer_error.clone(),
        )
    }

    /// Whether the connection ended because nothing was heard for the idle timeout.
    pub fn is_timed_out(&self) -> Result<bool> {
        self.ask(quiche::Connection::is_timed_out, |remains| remains.is_timed_out)
    }

    /// Whether the handshake is complete, or ever was.
    pub fn is_established(&self) -> Result<bool> {
        self.ask(quiche::Connection::is_established, |remains| remains.was_established)
    }

    /// Whether the connection only waits for late packets before it is closed (RFC 9000 §10.2).
    pub fn is_draining(&self) -> Result<bool> {
        self.ask(quiche::Connection::is_draining, |_| false)
    }

    /// Whether the connection is over: nothing of it can be sent or received.
    pub fn is_closed(&self) -> bool {
        self.live().map_or(true, quiche::Connection::is_closed)
    }

    /// Client: whether the server took early data, sent or not.
    pub(super) fn has_sent_early(&self) -> Result<bool> {
        let accepted = boring_sys::ssl_early_data_reason_t::ssl_early_data_accepted;
        Ok(!self.is_server() && self.live()?.early_data_reason() == accepted.0)
    }

    fn ask<T>(
        &self,
        live: impl FnOnce(&quiche::Connection) -> T,
        gone: impl FnOnce(&super::connection::Remains) -> T,
    ) -> Result<T> {
        match self.live() {
            Ok(quiche) => Ok(live(quiche)),
            Err(Error::Closed) => self.remains().map(gone).ok_or(Error::Closed),
            Err(error) => Err(error),
        }
    }
}
