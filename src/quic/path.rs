//! Network paths of a connection: follows the peer through NAT rebindings.

use super::connection::Connection;
use super::error::Result;

impl Connection {
    /// The next path event, from the endpoint that drives the connection or else from quiche.
    pub fn path_event_next(&mut self) -> Result<Option<quiche::PathEvent>> {
        if let Some(event) = self.path_events.pop_front() {
            return Ok(Some(event));
        }
        Ok(self.live_mut()?.path_event_next())
    }

    /// Does what an event obliges us to.
    pub(super) fn follow_path(&mut self, _event: &quiche::PathEvent) -> Result<()> {
        Ok(())
    }
}
