//! Hands out what wants to be sent, connection by connection, in turns.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::slot::Paced;
use super::{Endpoint, guarded};
use crate::quic::datagrams::Outbox;
use crate::quic::pmtu::PacketLimits;

/// Room that a connection needs for its next packet: an Ethernet frame's payload. Larger packets want a larger buffer.
const ROOM: usize = 1500;
/// JavaScript timers have this granularity: what is due within it goes out at once.
const TIMER_GRANULARITY: Duration = Duration::from_millis(1);

/// How a connection's turn ended.
enum Turn {
    /// It has nothing more to send now.
    Done,
    /// It has had its share.
    Over,
    /// The batch is full.
    Full,
    /// quiche can't get its close frame out, and would send empty packets without end.
    Stuck,
}

/// What quiche wrote.
enum Kind {
    Plain,
    /// It has to wait.
    Paced,
    /// It closes the connection, and is the last.
    Farewell,
}

/// Packets that a connection may send after it was closed and before its close frame is out: handshake packets under way,
/// acknowledgements, a probe.
///
/// Where an application closes while quiche 0.30 still has handshake data to repeat, it writes handshake packets only, which
/// can't carry the application's close frame and, since the connection is closing, carry no data either: without end.
const MAX_PACKETS_BEFORE_CLOSE: u32 = 16;

impl Endpoint {
    /// Fills a batch with datagrams. Call again until it stays empty: connections take turns, and a full batch may
    /// leave some waiting.
    pub fn transmit(&mut self, batch: &mut impl Outbox, now: Instant) {
        if !self.transmit_replies(batch) {
            return;
        }
        loop {
            self.turns.extend(self.dirty.borrow_mut().drain(..));
            let Some(key) = self.turns.pop_front() else { return };
            match self.transmit_turn(key, batch, now) {
                Turn::Over => self.turns.push_back(key),
                Turn::Full => return self.turns.push_front(key),
                Turn::Done => {
                    self.slots[key].connection.borrow_mut().clear_dirty();
                    self.look(key, now);
                }
                // The server hasn't got our last handshake packets, and so has shown us to nobody.
                Turn::Stuck => self.end(key),
            }
        }
    }

    /// A datagram that was handed out could not be sent: a loss on that path, which the connection finds out itself.
    pub fn send_failed(&mut self) {
        self.stats.send_failures += 1;
    }

    /// Answers whether all went in.
    fn transmit_replies(&mut self, batch: &mut impl Outbox) -> bool {
        while let Some((packet, to)) = self.replies.front() {
            let Some(room) = batch.room(packet.len()) else {
                return false;
            };
            room[..packet.len()].copy_from_slice(packet);
            let length = packet.len();
            batch.add(length, *to, &mut self.addresses);
            self.count_transmitted(length);
            self.replies.pop_front();
        }
        true
    }

    fn transmit_turn(&mut self, key: usize, batch: &mut impl Outbox, now: Instant) -> Turn {
        let mut sent = 0;
        let mut quantum = usize::MAX;
        let slot = &self.slots[key];
        let limits = slot.connection.borrow().packet_limits(slot.is_confirmed);
        let Ok(PacketLimits { room, probe_room, peer }) = limits else {
            return Turn::Done;
        };
        let mut limit = room;
        let local = self.local.map(|local| slot.connection.borrow().lanes.inside(local));
        // What ends a connection waits for no packet of its data, and not for its own time.
        let is_closing = slot.connection.borrow().close_cause().is_some();
        if is_closing {
            self.slots[key].paced = None;
        }
        loop {
            if let Some(paced) = &self.slots[key].paced {
                if paced.info.at > now + TIMER_GRANULARITY {
                    return Turn::Done;
                }
                let Some(room) = batch.room(paced.bytes.len()) else {
                    return Turn::Full;
                };
                room[..paced.bytes.len()].copy_from_slice(&paced.bytes);
                let (length, to) = (paced.bytes.len(), paced.info.to);
                self.slots[key].paced = None;
                self.push(key, batch, length, to, now);
            }
            if sent >= quantum {
                return Turn::Over;
            }
            let allowance = self.allowance(key, now);
            if allowance == Some(0) {
                return Turn::Done;
            }
            let Some(room) = batch.room(ROOM) else {
                return Turn::Full;
            };
            let size = room.len().min(limit).min(allowance.unwrap_or(usize::MAX));
            let room = &mut room[..size];
            let connection = self.slots[key].connection.clone();
            let packet = guarded(&connection, |connection| {
                let quiche = connection.live_mut()?;
                if quantum == usize::MAX {
                    quantum = quiche.send_quantum();
                }
                match quiche.send(room) {
                    Ok((length, info)) if quiche.is_draining() => Ok(Some((length, info, Kind::Farewell))),
                    Ok((length, info)) if !is_closing && is_paced(quiche, &info, now) => {
                        Ok(Some((length, info, Kind::Paced)))
                    }
                    Ok((length, info)) => Ok(Some((length, info, Kind::Plain))),
                    Err(quiche::Error::Done) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            });
            match packet {
                // Of a path that belongs to the socket from which the connection has moved away.
                Ok(Some((_, info, _))) if Some(info.from) != local => {}
                // A probe larger than the peer takes: it fails.
                Ok(Some((length, ..))) if length > peer => {}
                Ok(Some((length, info, Kind::Paced))) => {
                    self.stats.paced += 1;
                    self.slots[key].paced = Some(Paced {
                        bytes: room[..length].to_vec(),
                        info,
                        is_due: false,
                    });
                    return Turn::Done;
                }
                Ok(Some((length, info, Kind::Farewell))) => {
                    let packet = room[..length].to_vec();
                    let to = self.push(key, batch, length, info.to, now);
                    self.keep_farewell(key, packet, to, now);
                    return Turn::Done;
                }
                Ok(Some((length, info, Kind::Plain))) => {
                    sent += length;
                    self.push(key, batch, length, info.to, now);
                    if self.is_stuck(key) {
                        return Turn::Stuck;
                    }
                }
                // What still wants to go is a probe, or a datagram that was meant for larger packets.
                Ok(None) if limit < probe_room => limit = probe_room,
                Ok(None) => return Turn::Done,
                // A handshake refused by us fails once; the next call hands out the close frame that says so.
                Err(crate::quic::Error::Quiche(_)) if !self.slots[key].has_failed => self.slots[key].has_failed = true,
                Err(_) => return Turn::Done,
            }
        }
    }

    /// Counts a packet of a connection that is closed and hasn't said so yet; answers whether it never will.
    fn is_stuck(&mut self, key: usize) -> bool {
        let slot = &mut self.slots[key];
        let connection = slot.connection.borrow();
        let is_closing = connection
            .live()
            .is_ok_and(|quiche| quiche.local_error().is_some() && !quiche.is_draining());
        slot.packets_before_close = if is_closing { slot.packets_before_close + 1 } else { 0 };
        slot.packets_before_close > MAX_PACKETS_BEFORE_CLOSE
    }

    /// Answers where it goes.
    fn push(&mut self, key: usize, batch: &mut impl Outbox, length: usize, to: SocketAddr, now: Instant) -> SocketAddr {
        let to = self.outside(key, to, length, now);
        batch.add(length, to, &mut self.addresses);
        self.count_transmitted(length);
        if let Some(keep_alive) = &mut self.slots[key].clock.keep_alive {
            keep_alive.due = now + keep_alive.interval;
        }
        to
    }

    fn count_transmitted(&mut self, length: usize) {
        self.stats.transmitted += 1;
        self.stats.transmitted_bytes += length as u64;
    }
}

/// Whether the pacer wants a packet to wait. Without a pacer quiche says when the packet was made, by its own clock, which
/// is ahead of `now` where much is sent in one call.
fn is_paced(quiche: &quiche::Connection, info: &quiche::SendInfo, now: Instant) -> bool {
    let release = quiche.get_next_release_time();
    info.at > now + TIMER_GRANULARITY && release.is_some_and(|release| release.time(now).is_some())
}
