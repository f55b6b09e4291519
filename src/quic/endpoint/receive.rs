//! Takes datagrams in: whose is it?

use std::net::SocketAddr;
use std::time::Instant;

use super::change::Change;
use super::migration::Whereabouts;
use super::slot::Held;
use super::{Endpoint, guarded};
use crate::quic::address::normalise;
use crate::quic::datagrams;
use crate::quic::error::{Error, Result};
use crate::quic::frames::may_end_streams;
use crate::quic::packet::{self, Coalesced};
use crate::quic::probe::Probe;

/// 1-RTT datagrams held for a newcomer that is being judged: an initial window's worth (RFC 9002 §7.2), twice.
const MAX_HELD: usize = 20;
/// Bytes of them: as many of the size that Ethernet has room for, and more. UDP has room for far larger ones.
const MAX_HELD_BYTES: usize = 64 * 1024;
/// A short header packet must be longer than this to be answered by a reset that is shorter and still looks like one.
const MIN_RESETTABLE: usize = 42;
/// RFC 9000 §10.3: a reset has at least five bytes before its token.
const MIN_RESET: usize = 21;
/// RFC 9000 §14.1.
const MIN_INITIAL: usize = quiche::MIN_CLIENT_INITIAL_LEN;

/// What a connection made of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fed {
    /// A packet of it was authentic and new.
    Read,
    /// None was, or nobody counted.
    Unread,
    /// The connection failed at it, and ends.
    Refused,
}

impl Endpoint {
    /// Takes a batch of datagrams in: `count` entries of `layout` over `data`, which is decrypted in place. Entries that
    /// make no sense are counted and passed over.
    pub fn receive(&mut self, data: &mut [u8], layout: &[i32], count: usize, now: Instant) -> Result<()> {
        self.begin_receive()?;
        for index in 0..count {
            let entry = datagrams::entry(layout, index, data.len());
            let found = entry.and_then(|entry| Some((entry, self.addresses.address(entry.address)?)));
            let Some((entry, from)) = found else {
                self.stats.invalid += 1;
                continue;
            };
            self.receive_one(&mut data[entry.offset..entry.offset + entry.length], from, now);
        }
        self.end_receive(now);
        Ok(())
    }

    /// Before the datagrams of a batch that its owner takes in one by one.
    pub fn begin_receive(&mut self) -> Result<()> {
        self.local.ok_or(Error::NotBound)?;
        self.owes_answer = false;
        Ok(())
    }

    /// Whether somebody waits for what this batch made ready to be sent, whatever those who hear of it do: a client for the
    /// server's part of the handshake, a server for the end of it.
    pub fn owes_answer(&self) -> bool {
        self.owes_answer
    }

    /// Whether a server's handshake has completed since this was last asked.
    pub fn take_newcomer(&mut self) -> bool {
        std::mem::take(&mut self.has_newcomer)
    }

    /// After them: looks at all that they changed.
    pub fn end_receive(&mut self, now: Instant) {
        self.look_at_touched(now);
        self.audit_buffers(now);
        self.farewells.expire(now);
        self.tell_strays();
        self.tell_heard();
    }

    /// Takes one datagram in. The look at what it changed comes with the end of the batch.
    pub fn receive_one(&mut self, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        self.stats.received += 1;
        self.stats.received_bytes += datagram.len() as u64;
        self.audit.received += datagram.len();
        let from = normalise(from);
        self.notice(from);
        let Some(id) = packet::destination_id(datagram) else {
            return self.stray(datagram, from);
        };
        if let Some(&key) = self.routes.get(&quiche::ConnectionId::from_ref(id)) {
            return self.deliver(key, datagram, from, now);
        }
        if self.say_farewell(id, datagram.len(), from, now) {
            return;
        }
        match packet::version(datagram) {
            Some(0) => self.stray(datagram, from),
            Some(_) if datagram.len() < MIN_INITIAL => self.stray(datagram, from),
            Some(quiche::PROTOCOL_VERSION) => self.newcomer(datagram, from, now),
            Some(_) => self.negotiate_version(datagram, from),
            None => self.unknown_short(datagram, from, now),
        }
    }

    /// A datagram of a connection we have.
    pub(super) fn deliver(&mut self, key: usize, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        let Some(to) = self.local else { return };
        if self.slots[key].has_said_farewell {
            let id = packet::destination_id(datagram).unwrap_or_default();
            self.say_farewell(id, datagram.len(), from, now);
            return;
        }
        let whereabouts = self.whereabouts(key, datagram, from);
        if whereabouts == Whereabouts::Moved {
            self.stats.migrations_refused += 1;
            return;
        }
        let rebound = self.rebound(key, datagram, from);
        let slot = &mut self.slots[key];
        let info = quiche::RecvInfo {
            from: rebound.unwrap_or(from),
            to: slot.connection.borrow().lanes.inside(to),
        };
        let layout = packet::coalesced(datagram);
        // 1-RTT packets can't be decrypted before the verdict: without this they would come again only after the
        // client's probe timeout, and the loss would end its slow start.
        if slot.is_judging_client()
            && let Some(Coalesced { short: Some(0), .. }) = layout
        {
            self.hold(key, datagram, info);
            return;
        }
        let is_coalesced = layout.is_some_and(|layout| layout.short.is_some_and(|offset| offset > 0));
        let counts = is_coalesced || rebound.is_some() || whereabouts != Whereabouts::Known;
        let fed = self.feed(key, datagram, layout, info, counts);
        if fed == Fed::Read && rebound.is_some() {
            self.follow(key, info.from, from, datagram.len(), now);
        }
        // Not before: anybody who has seen an id may send a datagram with it.
        if fed == Fed::Read
            && let Whereabouts::New(id, from) = whereabouts
        {
            self.slots[key].last_spoken = Some((id, from));
        }
        // A connection that refuses a datagram is over: it reads nothing more.
        if is_coalesced && fed != Fed::Refused {
            self.keep_the_rest(key, datagram, layout, info, fed);
        }
    }

    /// Hands a datagram to its connection. Only with `counts` is what was read told from what wasn't.
    fn feed(
        &mut self,
        key: usize,
        datagram: &mut [u8],
        layout: Option<Coalesced>,
        info: quiche::RecvInfo,
        counts: bool,
    ) -> Fed {
        let slot = &mut self.slots[key];
        if !slot.is_touched {
            slot.is_touched = true;
            self.touched.push(key);
        }
        let confirms = !slot.is_confirmed && layout.is_some_and(|layout| layout.short.is_some());
        let received = guarded(&slot.connection, |connection| {
            let quiche = connection.live_mut()?;
            let before = (confirms || counts).then(|| quiche.stats().recv);
            let received = quiche.recv(datagram, info);
            let counted = before.map_or(0, |before| quiche.stats().recv - before);
            let is_established = quiche.is_established();
            if let Err(error) = received {
                connection.note_failure(error);
            }
            connection.touch();
            received?;
            if !matches!(layout, Some(Coalesced { short: Some(0), .. })) || may_end_streams(datagram) {
                connection.note_ends()?;
            }
            let sign = match connection.has_sent_early()? {
                // A server that took early data sends 1-RTT packets at once; it gives spare ids when the handshake is over.
                true => connection.live()?.available_dcids() > 0,
                // All packets counted, the 1-RTT one among them: the server had keys to send it, and so has judged us.
                false => layout.is_some_and(|layout| counted >= layout.count),
            };
            Ok((counted, is_established && sign))
        });
        let Ok((counted, is_accepted)) = received else {
            self.stats.invalid += 1;
            return Fed::Refused;
        };
        slot.is_confirmed |= confirms && is_accepted;
        if counted > 0 { Fed::Read } else { Fed::Unread }
    }

    /// Sees to the 1-RTT packet at the end of a coalesced datagram. One that came with the client's certificate is held. Where
    /// quiche has read no packet of the datagram, it gave up at the first, which is of a handshake that is over, or was there
    /// before; but others have to be processed (RFC 9000 §12.2), and a DATAGRAM frame never comes again.
    fn keep_the_rest(
        &mut self,
        key: usize,
        datagram: &mut [u8],
        layout: Option<Coalesced>,
        info: quiche::RecvInfo,
        fed: Fed,
    ) {
        let Some(rest) = layout.and_then(|layout| datagram.get_mut(layout.short?..)) else {
            return;
        };
        if self.slots[key].is_judging_client() {
            self.hold(key, rest, info);
        } else if fed == Fed::Unread {
            let layout = packet::coalesced(rest);
            self.feed(key, rest, layout, info, false);
        }
    }

    fn hold(&mut self, key: usize, packet: &[u8], info: quiche::RecvInfo) {
        let held = &mut self.slots[key].held;
        let bytes: usize = held.iter().map(|held| held.bytes.len()).sum();
        if held.len() == MAX_HELD || bytes + packet.len() > MAX_HELD_BYTES {
            self.stats.held_dropped += 1;
            return;
        }
        held.push(Held {
            bytes: packet.to_vec(),
            info,
        });
        self.stats.held += 1;
    }

    /// Feeds what was held, now that it can be decrypted.
    pub(super) fn feed_held(&mut self, key: usize) {
        for mut held in std::mem::take(&mut self.slots[key].held) {
            let layout = packet::coalesced(&held.bytes);
            self.feed(key, &mut held.bytes, layout, held.info, false);
        }
    }

    /// A short header packet for an id we don't have: perhaps of a connection that the peer has lost, or that was lost
    /// with our predecessor.
    fn unknown_short(&mut self, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        if let Some(probe) = Probe::parse(datagram) {
            return self.on_probe(probe, from, now);
        }
        if let Some(&key) = reset_token(datagram).and_then(|token| self.resettable.get(&token)) {
            return self.deliver(key, datagram, from, now);
        }
        let id = packet::destination_id(datagram).unwrap_or_default();
        // What comes late for a connection that has moved on.
        if self.gone.has(id) {
            self.stats.invalid += 1;
            return;
        }
        if !packet::is_short(datagram[0]) || datagram.len() <= MIN_RESETTABLE || !self.ids.is_ours(id) {
            return self.stray(datagram, from);
        }
        if self.resets.take(now)
            && let Some(reset) = self.ids.stateless_reset(id, datagram.len())
        {
            self.reply(reset, from);
            self.stats.stateless_resets += 1;
        }
    }

    /// A datagram that is nobody's: kept for whoever listens, never answered.
    pub(super) fn stray(&mut self, datagram: &[u8], from: SocketAddr) {
        self.stats.strays += 1;
        if self.strays.len() < self.limits.strays {
            self.strays.push_back((datagram.to_vec(), from));
        } else {
            self.stats.strays_dropped += 1;
        }
    }

    fn tell_strays(&mut self) {
        if self.strays.len() > self.strays_told {
            self.strays_told = self.strays.len();
            self.changes.push_back(Change::Stray(self.strays.len()));
        }
    }
}

/// What would be the token, if this were a stateless reset: its end (RFC 9000 §10.3).
fn reset_token(datagram: &[u8]) -> Option<u128> {
    let token = datagram.last_chunk()?;
    (datagram.len() >= MIN_RESET).then(|| u128::from_be_bytes(*token))
}
