//! Moves a connection of ours to another socket (RFC 9000 §9), and keeps peers where they are that were asked to stay.
//!
//! An endpoint has one socket, so a client's connection that changes its socket changes its endpoint: it is detached from
//! the one, with all that is remembered of it, and attached to the other, where quiche makes a path of the new address.
//! What still comes to the old socket is lost, like what is under way when a network goes.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use super::slot::{Phase, Slot};
use super::{Endpoint, guarded};
use crate::quic::connection::Connection;
use crate::quic::error::{Error, Result};
use crate::quic::packet;

/// Ids of detached connections, and retired ids, that are remembered.
const MAX_GONE: usize = 1_024;

/// A connection between two endpoints. It does nothing, and ends when it is dropped.
pub struct Detached(Option<Slot>);

impl Detached {
    /// Whether an endpoint has taken the connection in.
    pub fn is_attached(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(slot) = &self.0 {
            slot.connection.borrow_mut().release();
        }
    }
}

/// Ids of connections that live on elsewhere in this process, or under other ids: no stateless reset may end them.
#[derive(Debug, Default)]
pub(super) struct Gone {
    ids: HashSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl Gone {
    pub(super) fn has(&self, id: &[u8]) -> bool {
        !self.ids.is_empty() && self.ids.contains(id)
    }

    pub(super) fn add(&mut self, id: &[u8]) {
        if self.ids.insert(id.to_vec()) {
            self.order.push_back(id.to_vec());
        }
        if self.order.len() > MAX_GONE
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    fn forget(&mut self, id: &[u8]) {
        if self.ids.remove(id) {
            self.order.retain(|gone| gone != id);
        }
    }
}

/// Where a peer is, of which a datagram says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Where it was, or it doesn't matter.
    Known,
    /// It uses another of our ids, or another address: to be remembered when the datagram has turned out to be authentic.
    New(Vec<u8>, SocketAddr),
    /// It has moved although it was asked not to.
    Moved,
}

impl Endpoint {
    /// Takes a client's connection out, to be attached to another endpoint.
    ///
    /// Only a connection that is up can move, and only where the server lets it.
    pub fn detach(&mut self, key: usize) -> Result<Detached> {
        let slot = self.slots.get(key).ok_or(Error::UnknownConnection(key))?;
        if slot.phase != Phase::Connected || slot.admitted_from.is_some() {
            return Err(quiche::Error::InvalidState.into());
        }
        {
            let connection = slot.connection.borrow();
            let quiche = connection.live()?;
            let params = quiche.peer_transport_params();
            if params.is_some_and(|params| params.disable_active_migration) {
                return Err(Error::MigrationDisabled);
            }
        }
        self.forget(key);
        let slot = self.slots.remove(key);
        for id in &slot.ids {
            self.routes.remove(id);
            self.gone.add(id);
        }
        // Its handle may be used meanwhile: what that has to say waits, and isn't said to us.
        slot.connection.borrow_mut().undrive();
        Ok(Detached(Some(slot)))
    }

    /// Takes a connection in, which goes on from this endpoint's address to where its peer is. The path is new, and will
    /// be validated; path events tell. Answers the connection's key here.
    ///
    /// An endpoint without an address takes nothing in.
    pub fn attach(&mut self, detached: &mut Detached, now: Instant) -> Result<usize> {
        let local = self.local.ok_or(Error::NotBound)?;
        let mut slot = detached.0.take().ok_or(quiche::Error::InvalidState)?;
        slot.paced = None;
        let shared = slot.connection.clone();
        let ids = std::mem::take(&mut slot.ids);
        let token = slot.reset_token;
        self.searches_pmtu |= shared.borrow().searches_pmtu();
        let key = self.slots.insert(slot);
        for id in ids {
            self.gone.forget(&id);
            self.add_route(key, id);
        }
        if let Some(token) = token {
            self.resettable.insert(token, key);
        }
        // It may bring along what is unread.
        self.audit.holders.insert(key);
        shared.borrow_mut().drive(key, self.dirty.clone());
        shared.borrow_mut().touch();
        let migrated = guarded(&shared, |connection| connection.move_to(local));
        self.look(key, now);
        migrated.map(|()| key)
    }

    /// Gives back what paths that a connection has left would hold.
    pub(super) fn leave_paths(&mut self, key: usize, connection: &mut Connection) -> Result<()> {
        // RFC 9000 §10.3.1: the token of an id that was given back ends nothing any more.
        if connection.give_ids_back()?
            && let Some(token) = self.slots[key].reset_token.take()
        {
            self.resettable.remove(&token);
        }
        Ok(())
    }

    /// What a datagram shows, if it is authentic, of where a peer is that was asked not to move by itself: a rebinding NAT, or
    /// a host that gets another address, changes the address alone; a peer that moves takes a new connection id as well (RFC
    /// 9000 §9.5).
    pub(super) fn whereabouts(&self, key: usize, datagram: &[u8], from: SocketAddr) -> Whereabouts {
        let slot = &self.slots[key];
        if !slot.refuses_migration || slot.phase != Phase::Connected || !packet::is_short(datagram[0]) {
            return Whereabouts::Known;
        }
        let id = packet::destination_id(datagram).unwrap_or_default();
        match &slot.last_spoken {
            Some((last_id, last_from)) if last_id == id && *last_from == from => Whereabouts::Known,
            Some((last_id, last_from)) if last_id != id && *last_from != from => Whereabouts::Moved,
            _ => Whereabouts::New(id.to_vec(), from),
        }
    }
}
