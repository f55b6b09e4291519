//! Datagrams on a connection (RFC 9221): unreliable, unordered, one packet each.

use std::cell::{Cell, RefCell};

use super::connection::Connection;
use super::error::{Error, Result};

impl Connection {
    /// Queues a datagram; answers false when the queue is full, and nothing was queued.
    pub fn dgram_send(&mut self, data: &[u8]) -> Result<bool> {
        let max = self.dgram_max_writable_len()?.ok_or(Error::DatagramsUnsupported)?;
        if data.len() > max {
            return Err(Error::DatagramTooLarge {
                length: data.len(),
                max,
            });
        }
        match self.live_mut()?.dgram_send(data) {
            Ok(()) => {
                self.touch();
                Ok(true)
            }
            Err(quiche::Error::Done) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops the oldest datagram that waits to be sent; answers whether there was one.
    pub fn dgram_drop_oldest(&mut self) -> Result<bool> {
        let is_first = Cell::new(true);
        Ok(self.dgram_purge_outgoing(|_| is_first.replace(false))? > 0)
    }

    /// Takes the oldest datagram that was received; `None` if there is none. One that doesn't fit stays. What came before
    /// the peer's end can still be taken after it.
    pub fn dgram_recv(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let quiche = self.readable()?;
        // quiche would drop a datagram that doesn't fit.
        match quiche.dgram_recv_front_len() {
            None => Ok(None),
            Some(length) if length > buffer.len() => Err(quiche::Error::BufferTooShort.into()),
            Some(_) => Ok(Some(quiche.dgram_recv(buffer)?)),
        }
    }

    /// Takes the oldest datagrams that were received, as many as `buffer` and `lengths` have room for: their bytes one after
    /// the other, and the length of each. Answers how many. One that doesn't fit stays, as in [`dgram_recv`](Self::dgram_recv).
    pub fn dgram_recv_many(&mut self, buffer: &mut [u8], lengths: &mut [i32]) -> Result<usize> {
        let quiche = self.readable()?;
        let mut rest = buffer;
        let mut count = 0;
        while count < lengths.len()
            && let Some(length) = quiche.dgram_recv_front_len()
        {
            if length > rest.len() {
                if count == 0 {
                    return Err(quiche::Error::BufferTooShort.into());
                }
                break;
            }
            let (datagram, left) = rest.split_at_mut(length);
            quiche.dgram_recv(datagram)?;
            lengths[count] = i32::try_from(length).expect("a datagram fits into a packet");
            rest = left;
            count += 1;
        }
        Ok(count)
    }

    /// Copies the first bytes of the oldest datagram that was received, as many as fit into `buffer`, and leaves it.
    pub fn dgram_recv_peek(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let length = buffer.len();
        match self.live()?.dgram_recv_peek(buffer, length) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(quiche::Error::Done) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The datagrams that wait to be sent.
    pub fn dgrams_outgoing(&mut self) -> Result<Vec<Vec<u8>>> {
        let waiting = RefCell::new(Vec::new());
        self.live_mut()?.dgram_purge_outgoing(|data| {
            waiting.borrow_mut().push(data.to_vec());
            false
        });
        Ok(waiting.into_inner())
    }

    /// Drops the datagrams that wait to be sent and for which `doomed` says so; answers how many.
    pub fn dgram_purge_outgoing(&mut self, doomed: impl Fn(&[u8]) -> bool) -> Result<usize> {
        let quiche = self.live_mut()?;
        let before = quiche.dgram_send_queue_len();
        quiche.dgram_purge_outgoing(doomed);
        Ok(before - quiche.dgram_send_queue_len())
    }
}
