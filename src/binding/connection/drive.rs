//! Packets and time: what an endpoint does, by hand.

use std::net::SocketAddr;

use napi_derive::napi;

use super::{Connection, RecvInfo, SendInfo};
use crate::binding::address::Address;
use crate::binding::bytes::Uint8ArraySlice;
use crate::binding::clock;
use crate::binding::error::Result;
use crate::quic::Transmit;

#[napi]
impl Connection {
    /// Takes one datagram in. The buffer is decrypted in place: its content is used up. Answers how many of its bytes
    /// were processed; packets that can't be decrypted count as processed.
    ///
    /// A packet that breaks the protocol closes the connection and throws quiche's code for it, as `InvalidFrame`,
    /// `FlowControl` or `TlsFail`: go on with `send`, which tells the peer. Throws `BufferTooShort` for an empty buffer, and
    /// `DrivenByEndpoint`.
    #[napi]
    pub fn recv(&self, datagram: Uint8ArraySlice, info: RecvInfo) -> Result<u32> {
        let (from, to) = (SocketAddr::try_from(&info.from)?, SocketAddr::try_from(&info.to)?);
        self.with(|connection| connection.receive(datagram, from, to))
            .map(|bytes| bytes as u32)
    }

    /// Fills the buffer with the next datagram to be sent; null when there is nothing to send. Call it until then, after
    /// whatever may have given something to send: `recv`, `onTimeout`, reading, writing, closing.
    ///
    /// The buffer should hold `maxSendUdpPayloadSize()` bytes. Throws `BufferTooShort` for an empty buffer, `TlsFail` once
    /// when the handshake fails here (the close follows at the next call), and `DrivenByEndpoint`.
    #[napi]
    pub fn send(&self, buffer: Uint8ArraySlice) -> Result<Option<SendInfo>> {
        self.with(|connection| connection.transmit(buffer, None, None))
            .map(|sent| sent.map(SendInfo::from))
    }

    /// As `send`, on one path only: from a local address, to an address of the peer, or both; null stands for any.
    /// Throws `InvalidState` if both are given and there is no such path.
    #[napi]
    pub fn send_on_path(
        &self,
        buffer: Uint8ArraySlice,
        from: Option<Address>,
        to: Option<Address>,
    ) -> Result<Option<SendInfo>> {
        let from = from.as_ref().map(SocketAddr::try_from).transpose()?;
        let to = to.as_ref().map(SocketAddr::try_from).transpose()?;
        self.with(|connection| connection.transmit(buffer, from, to))
            .map(|sent| sent.map(SendInfo::from))
    }

    /// In how many milliseconds `onTimeout` wants to be called, rounded up; null for never.
    #[napi]
    pub fn timeout(&self) -> Result<Option<f64>> {
        self.with(|connection| Ok(connection.live()?.timeout()))
            .map(|timeout| timeout.map(|timeout| clock::milliseconds(timeout).ceil()))
    }

    /// Does what is due: loss detection, key updates, the end after the idle timeout. Nothing when called early. Call
    /// `send` afterwards. Throws `DrivenByEndpoint`.
    #[napi]
    pub fn on_timeout(&self) -> Result<()> {
        self.with(|connection| {
            connection.by_hand("onTimeout")?.on_timeout();
            Ok(())
        })
    }
}

impl From<Transmit> for SendInfo {
    fn from(transmit: Transmit) -> Self {
        Self {
            bytes: transmit.bytes as u32,
            from: transmit.from.into(),
            to: transmit.to.into(),
            at: clock::milliseconds(transmit.delay(clock::now())),
        }
    }
}
