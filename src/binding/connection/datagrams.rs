//! Datagrams of a connection (RFC 9221).

use napi::Env;
use napi::bindgen_prelude::{Buffer, Function};
use napi_derive::napi;

use super::Connection;
use crate::binding::bytes::{Int32ArraySlice, Uint8ArraySlice};
use crate::binding::error::{Result, rethrow};

#[napi]
impl Connection {
    /// Queues a datagram; false when the queue is full and nothing was queued.
    ///
    /// Throws `DatagramsUnsupported` when the peer takes none, or hasn't said so yet, and `DatagramTooLarge` beyond
    /// `dgramMaxWritableLen()`.
    #[napi]
    pub fn dgram_send(&self, data: &[u8]) -> Result<bool> {
        self.with(|connection| connection.dgram_send(data))
    }

    /// Drops the oldest datagram that waits to be sent, to make room for another one. Answers whether there was one.
    #[napi]
    pub fn dgram_drop_oldest(&self) -> Result<bool> {
        self.with(|connection| connection.dgram_drop_oldest())
    }

    /// Takes the oldest datagram that was received: answers its length, -1 for none. Throws `BufferTooShort` when it
    /// doesn't fit; it then stays.
    #[napi]
    pub fn dgram_recv(&self, buffer: Uint8ArraySlice) -> Result<f64> {
        self.with(|connection| connection.dgram_recv(buffer))
            .map(length_or_none)
    }

    /// Takes the oldest datagrams that were received, as many as fit: their bytes stand in `buffer` one after the other, the
    /// length of each in `lengths`. Answers how many. Throws `BufferTooShort` when not even the first fits; it then stays.
    #[napi]
    pub fn dgram_recv_many(&self, buffer: Uint8ArraySlice, lengths: Int32ArraySlice) -> Result<f64> {
        self.with(|connection| connection.dgram_recv_many(buffer, lengths))
            .map(|count| count as f64)
    }

    /// Copies the begin of the oldest datagram that was received, as much as fits, and leaves it: answers how many bytes
    /// were copied, -1 for none.
    #[napi]
    pub fn dgram_recv_peek(&self, buffer: Uint8ArraySlice) -> Result<f64> {
        self.with(|connection| connection.dgram_recv_peek(buffer))
            .map(length_or_none)
    }

    /// Length of the oldest datagram that was received, null for none.
    #[napi]
    pub fn dgram_recv_front_len(&self) -> Result<Option<f64>> {
        self.with(|connection| Ok(connection.live()?.dgram_recv_front_len()))
            .map(|length| length.map(|length| length as f64))
    }

    /// How many received datagrams wait to be taken.
    #[napi]
    pub fn dgram_recv_queue_len(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.dgram_recv_queue_len() as f64))
    }

    /// How many bytes they have together.
    #[napi]
    pub fn dgram_recv_queue_byte_size(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.dgram_recv_queue_byte_size() as f64))
    }

    /// How many datagrams wait to be sent.
    #[napi]
    pub fn dgram_send_queue_len(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.dgram_send_queue_len() as f64))
    }

    /// How many bytes they have together.
    #[napi]
    pub fn dgram_send_queue_byte_size(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.dgram_send_queue_byte_size() as f64))
    }

    /// Whether the next `dgramSend` would find no room.
    #[napi]
    pub fn is_dgram_send_queue_full(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.live()?.is_dgram_send_queue_full()))
    }

    /// Whether the next datagram that arrives pushes the oldest out.
    #[napi]
    pub fn is_dgram_recv_queue_full(&self) -> Result<bool> {
        self.with(|connection| Ok(connection.live()?.is_dgram_recv_queue_full()))
    }

    /// Largest datagram that fits into a packet to the peer now; null when the peer takes none. It may change with the
    /// path.
    #[napi]
    pub fn dgram_max_writable_len(&self) -> Result<Option<f64>> {
        self.with(|connection| connection.dgram_max_writable_len())
            .map(|length| length.map(|length| length as f64))
    }

    /// Drops the datagrams that wait to be sent and for which `isDoomed` answers true; answers how many. `isDoomed` is
    /// shown a copy of each. What it throws is thrown here, and nothing is dropped.
    #[napi(strict, ts_args_type = "isDoomed: (datagram: Buffer) => boolean")]
    pub fn dgram_purge_outgoing(&self, env: &Env, is_doomed: Function<Buffer, bool>) -> Result<f64> {
        let waiting = self.with(|connection| connection.dgrams_outgoing())?;
        let mut doomed = Vec::new();
        // JavaScript may use this connection meanwhile, so nothing is borrowed here, and datagrams are known by content.
        for datagram in waiting {
            if is_doomed
                .call(datagram.clone().into())
                .map_err(|error| rethrow(env, error))?
            {
                doomed.push(datagram);
            }
        }
        let dropped =
            self.with(|connection| connection.dgram_purge_outgoing(|data| doomed.iter().any(|other| other == data)))?;
        Ok(dropped as f64)
    }
}

fn length_or_none(length: Option<usize>) -> f64 {
    length.map_or(-1.0, |length| length as f64)
}
