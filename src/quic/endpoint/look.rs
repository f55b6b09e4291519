//! Looks at one connection: what changed for the user, and what the endpoint owes it (ids, timers, an end).

use std::time::{Duration, Instant};

use super::change::{Change, StreamKind};
use super::slot::Phase;
use super::{Endpoint, guarded};
use crate::quic::connection::{CloseCause, Connection};
use crate::quic::error::Result;
use crate::quic::stream::is_bidi;

/// Connection ids of ours that a peer may hold: rebinding must never run out of them.
const MAX_ACTIVE_IDS: usize = 8;

/// RFC 9000 §10.2 wants a connection to drain for three probe timeouts at least. It may be a little more, so that those that
/// ended one after the other are let go together.
const DRAINING_STEP: Duration = Duration::from_millis(10);

impl Endpoint {
    /// Looks at every connection that this batch touched.
    pub(super) fn look_at_touched(&mut self, now: Instant) {
        while let Some(key) = self.touched.pop() {
            self.slots[key].is_touched = false;
            self.tell_datagrams(key);
            self.look(key, now);
        }
    }

    /// Tells what changed in a connection, settles what is owed to it, and lets it go if it is over.
    pub(super) fn look(&mut self, key: usize, now: Instant) {
        self.stats.looks += 1;
        let before = self.slots[key].phase;
        if before == Phase::Gone {
            return;
        }
        let shared = self.slots[key].connection.clone();
        let looked = guarded(&shared, |connection| {
            self.look_at_handshake(key, connection)?;
            if self.slots[key].phase == Phase::Connected {
                // Not earlier: a client takes a spare id for a sign that the handshake is complete.
                self.keep_ids(key, connection)?;
                connection.watch_for_black_hole()?;
                self.tell_paths(key, connection)?;
                self.leave_paths(key, connection)?;
            }
            if self.slots[key].phase.is_open() {
                self.tell_streams(key, connection)?;
            }
            self.look_at_end(key, connection)
        });
        // A connection that fails inside is over.
        if looked.unwrap_or(true) {
            return self.end(key);
        }
        if before < Phase::Connected && self.slots[key].phase == Phase::Connected && !self.slots[key].held.is_empty() {
            self.feed_held(key);
            return self.look_at_touched(now);
        }
        self.set_timer(key);
    }

    /// A connection whose time has come.
    pub(super) fn wake(&mut self, key: usize, now: Instant) {
        let slot = &mut self.slots[key];
        let connection = slot.connection.clone();
        let handshake_is_over = slot.clock.handshake.is_some_and(|deadline| deadline <= now);
        let wants_life = match &mut slot.clock.keep_alive {
            Some(keep_alive) if slot.phase == Phase::Connected && keep_alive.due <= now => {
                keep_alive.due = now + keep_alive.interval;
                true
            }
            _ => false,
        };
        if handshake_is_over {
            slot.clock.handshake = None;
        }
        if let Some(paced) = &mut slot.paced {
            paced.is_due |= paced.info.at <= now;
        }
        if let Some(probation) = &mut slot.probation {
            probation.wake(now);
        }
        // A failure inside shows in the look that follows.
        let _ = guarded(&connection, |connection| {
            if handshake_is_over {
                connection.end(
                    CloseCause::HandshakeTimeout,
                    quiche::WireErrorCode::ConnectionRefused,
                    "the handshake took too long",
                );
            }
            let quiche = connection.live_mut()?;
            if quiche.timeout_instant().is_some_and(|deadline| deadline <= now) {
                quiche.on_timeout();
            }
            let quiche = connection.live_mut()?;
            if wants_life {
                quiche.send_ack_eliciting()?;
            }
            connection.touch();
            Ok(())
        });
    }

    fn look_at_handshake(&mut self, key: usize, connection: &mut Connection) -> Result<()> {
        let slot = &mut self.slots[key];
        if slot.phase < Phase::Connected {
            connection.keep_verdict_short()?;
        }
        if slot.phase == Phase::Handshaking && connection.is_verification_pending() {
            slot.phase = Phase::Verifying;
            self.changes.push_back(Change::Verify(key));
        }
        let quiche = connection.live()?;
        if slot.connects_early && slot.phase < Phase::Early && !quiche.is_established() && quiche.is_in_early_data() {
            slot.phase = Phase::Early;
            self.changes.push_back(Change::Connected(key));
            connection.note_handshake()?;
        }
        let quiche = connection.live()?;
        if slot.phase < Phase::Connected && quiche.is_established() {
            self.half_open -= usize::from(slot.is_half_open());
            let tells: fn(usize) -> Change = match slot.phase {
                Phase::Early => Change::Established,
                _ => Change::Connected,
            };
            slot.phase = Phase::Connected;
            slot.clock.handshake = None;
            self.changes.push_back(tells(key));
            if quiche.is_server() {
                slot.is_confirmed = true;
                self.changes.push_back(Change::Confirmed(key));
                self.has_newcomer = true;
            } else {
                self.owes_answer = true;
                if let Some(token) = quiche.peer_transport_params().and_then(|it| it.stateless_reset_token) {
                    slot.reset_token = Some(token);
                    self.resettable.insert(token, key);
                }
            }
            connection.note_handshake()?;
            connection.learn_key_share()?;
        }
        let quiche = connection.live()?;
        if slot.phase == Phase::Connected && !quiche.is_server() {
            if slot.is_confirmed && !slot.is_confirmation_told {
                slot.is_confirmation_told = true;
                self.changes.push_back(Change::Confirmed(key));
            }
            if !slot.has_session && quiche.session().is_some() {
                slot.has_session = true;
                self.changes.push_back(Change::Session(key));
            }
        }
        Ok(())
    }

    /// Gives the peer spare ids, and forgets those it has retired.
    fn keep_ids(&mut self, key: usize, connection: &mut Connection) -> Result<()> {
        let quiche = connection.live_mut()?;
        while let Some(retired) = quiche.retired_scid_next() {
            self.routes.remove(&retired);
            // What was under way to it may still come.
            self.gone.add(&retired);
            self.slots[key].ids.retain(|id| *id != retired);
        }
        let mut is_new = false;
        while quiche.scids_left() > 0 && quiche.active_scids() < MAX_ACTIVE_IDS {
            let id = self.ids.mint()?;
            // The peer may be slow to retire old ones: no reason to end the connection.
            if quiche.new_scid(&id, self.ids.reset_token(&id), false).is_err() {
                break;
            }
            self.add_route(key, id);
            is_new = true;
        }
        if is_new {
            connection.touch();
        }
        Ok(())
    }

    fn tell_paths(&mut self, key: usize, connection: &mut Connection) -> Result<()> {
        let mut is_new = false;
        while let Some(event) = connection.live_mut()?.path_event_next() {
            if connection.stays(&event)? {
                continue;
            }
            connection.push_quiche_event(event);
            is_new = true;
        }
        if is_new {
            self.changes.push_back(Change::Path(key));
        }
        Ok(())
    }

    fn tell_streams(&mut self, key: usize, connection: &mut Connection) -> Result<()> {
        connection.settle_abandoned()?;
        let resets = connection.take_resets()?;
        self.changes
            .extend(resets.iter().map(|&id| Change::StreamReadable(key, id)));
        while let Some(id) = connection.live_mut()?.stream_readable_next() {
            self.tell_new_stream(key, id, connection);
            connection.note_readable(id)?;
            self.audit.holders.insert(key);
            if !resets.contains(&id) {
                self.changes.push_back(Change::StreamReadable(key, id));
            }
        }
        for id in connection.take_stops() {
            self.tell_new_stream(key, id, connection);
            self.changes.push_back(Change::StreamWritable(key, id));
        }
        while let Some(id) = connection.live_mut()?.stream_writable_next() {
            self.tell_new_stream(key, id, connection);
            if connection.takes_writes_again(id) {
                self.changes.push_back(Change::StreamWritable(key, id));
            }
        }
        let has_credit = [connection.streams_left(true)? > 0, connection.streams_left(false)? > 0];
        let had_credit = std::mem::replace(&mut self.slots[key].had_credit, has_credit);
        for (index, kind) in [StreamKind::Bidi, StreamKind::Uni].into_iter().enumerate() {
            if has_credit[index] && !had_credit[index] {
                self.changes.push_back(Change::StreamsAvailable(key, kind));
            }
        }
        Ok(())
    }

    fn tell_new_stream(&mut self, key: usize, id: u64, connection: &mut Connection) {
        let is_server = connection.is_server();
        if connection.peer_streams.is_new(id, is_server) {
            connection.expect_stop(id);
            self.changes.push_back(Change::StreamOpened(key, id));
            // A stop that came with it was looked for before it was known.
            if is_bidi(id) && connection.is_newly_stopped(id) {
                self.changes.push_back(Change::StreamWritable(key, id));
            }
        }
    }

    fn tell_datagrams(&mut self, key: usize) {
        let slot = &self.slots[key];
        let waiting = slot
            .connection
            .borrow()
            .live()
            .is_ok_and(|quiche| quiche.dgram_recv_queue_len() > 0);
        if waiting {
            self.audit.holders.insert(key);
        }
        if waiting && slot.phase.is_open() {
            self.changes.push_back(Change::DatagramReadable(key));
        } else if waiting {
            // Told when the peer is trusted.
            self.slots[key].has_early_datagrams = true;
        }
    }

    /// Answers whether the connection is over.
    fn look_at_end(&mut self, key: usize, connection: &mut Connection) -> Result<bool> {
        let slot = &mut self.slots[key];
        if slot.phase.is_open() && std::mem::take(&mut slot.has_early_datagrams) {
            self.changes.push_back(Change::DatagramReadable(key));
        }
        if slot.phase < Phase::Ending && connection.close_cause().is_some() {
            self.half_open -= usize::from(slot.is_half_open());
            slot.phase = Phase::Ending;
            slot.clock.handshake = None;
            slot.held.clear();
            slot.paced = None;
            self.changes.push_back(Change::Ending(key));
        }
        Ok(connection.live()?.is_closed())
    }

    pub(super) fn end(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        if slot.phase < Phase::Ending {
            self.half_open -= usize::from(slot.is_half_open());
            slot.phase = Phase::Ending;
            self.changes.push_back(Change::Ending(key));
        }
        self.release(key);
    }

    /// Moves the connection's deadline in the timers.
    pub(super) fn set_timer(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let quiche = slot.connection.borrow().live().ok().and_then(|quiche| {
            let deadline = quiche.timeout_instant()?;
            Some(match quiche.is_draining() {
                true => self.epoch.round_up(deadline, DRAINING_STEP),
                false => deadline,
            })
        });
        let deadline = slot.deadline(quiche);
        self.timers.move_deadline(key, slot.clock.set, deadline);
        slot.clock.set = deadline;
    }
}
