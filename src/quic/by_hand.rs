//! Driving a connection by oneself: what only its driver may call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::Result;

/// One datagram to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// Its length.
    pub bytes: usize,
    /// The local address to send from.
    pub from: SocketAddr,
    /// The address to send to.
    pub to: SocketAddr,
    /// When it should leave, for pacing; in the past means now.
    pub at: Instant,
}

impl Transmit {
    /// How long it should still wait.
    pub fn delay(&self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }
}

impl Connection {
    /// Takes one datagram in, which is decrypted in place; answers how many of its bytes were processed.
    pub fn receive(&mut self, datagram: &mut [u8], from: SocketAddr, to: SocketAddr) -> Result<usize> {
        let received = self.by_hand("recv")?.recv(datagram, quiche::RecvInfo { from, to })?;
        if !self.live()?.is_established() {
            self.keep_verdict_short()?;
        }
        self.settle_abandoned()?;
        Ok(received)
    }

    /// Fills `out` with the next datagram, on the given path or part of a path; `None` when there is nothing to send.
    pub fn transmit(
        &mut self,
        out: &mut [u8],
        from: Option<SocketAddr>,
        to: Option<SocketAddr>,
    ) -> Result<Option<Transmit>> {
        match self.by_hand("send")?.send_on_path(out, from, to) {
            Ok((bytes, info)) => Ok(Some(Transmit {
                bytes,
                from: info.from,
                to: info.to,
                at: info.at,
            })),
            Err(quiche::Error::Done) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
