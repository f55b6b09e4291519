//! The paths of a client that moves from socket to socket (RFC 9000 §9).
//!
//! quiche keeps every path, each with a connection id of the peer: so many ids, so many addresses that a connection could
//! ever move to. So paths are used again: quiche knows a path by the address that it had first (inside), whatever the address
//! of the socket is now (outside). The id that a path was used with is given back when the path is left (§9.5), and quiche
//! gives it a fresh one. What quiche knows of the congestion on a path that is used again is old; a peer that gives seven
//! spare ids, as ours does, makes that so only after seven moves.

use std::net::SocketAddr;

use super::connection::Connection;
use super::error::{Error, Result};

/// The paths of a connection that has moved; none before.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// The one in use is the last, the one that wasn't used for longest the first.
    all: Vec<Lane>,
    /// Whether there are ids to be given back.
    has_left: bool,
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    /// Our address, as quiche knows it,
    inside: SocketAddr,
    /// and what it is now, or was when the path was used last.
    outside: SocketAddr,
    peer: SocketAddr,
    /// Number of the peer's id that the path is used with (RFC 9000 §5.1.1), until it is given back.
    id: Option<u64>,
    /// Packets that had come over the path before it was used.
    received: usize,
}

impl Lanes {
    /// The address by which quiche knows the socket, which is at `outside`.
    pub(super) fn inside(&self, outside: SocketAddr) -> SocketAddr {
        self.all.last().map_or(outside, |lane| lane.inside)
    }

    /// The other way round.
    pub(super) fn outside(&self, inside: SocketAddr) -> SocketAddr {
        let lane = self.all.iter().find(|lane| lane.inside == inside);
        lane.map_or(inside, |lane| lane.outside)
    }

    /// The index of a path to be used again from `outside` to `peer`; `None` for a new one, while there are ids to spare.
    fn choose(&self, outside: SocketAddr, peer: SocketAddr, spare_ids: usize) -> Option<usize> {
        let (_, left) = self.all.split_last()?;
        let find = |is: &dyn Fn(&Lane) -> bool| left.iter().position(|lane| lane.peer == peer && is(lane));
        // No two paths shall claim one address: what is told of the one would be taken for the other's.
        let last_there = find(&|lane| lane.outside == outside);
        let first_there = find(&|lane| lane.inside == outside);
        let is_taken = self.inside(outside) == outside;
        let oldest = find(&|_| spare_ids <= 1 || is_taken);
        last_there.or(first_there).or(oldest)
    }
}

impl Connection {
    /// Goes over to a path from another address of ours, which is still to be validated.
    pub(super) fn move_to(&mut self, outside: SocketAddr) -> Result<()> {
        // Both addresses as quiche knows them: where the peer was followed to isn't among its paths.
        let active = self.live()?.path_stats().find(|path| path.active);
        let active = active.ok_or(quiche::Error::InvalidState)?;
        // A move that failed before it began ends where it is.
        let stays = self.lanes.inside(outside) == active.local_addr && self.lanes.outside(active.local_addr) == outside;
        let inside = match stays {
            true => active.local_addr,
            false => self.change_lane(&active, outside)?,
        };
        let quiche = self.live_mut()?;
        // Going over alone would never ask whether the path works.
        quiche.probe_path(inside, active.peer_addr)?;
        // What a search found may be true of another network.
        quiche.revalidate_pmtu();
        self.touch();
        Ok(())
    }

    /// Where quiche has given up the path in use and gone back to that of a socket which the connection has left: goes on with
    /// the one in use, if the peer was ever heard there. It knows no other, and may be heard again. Answers whether it is so.
    pub(super) fn stays(&mut self, event: &quiche::PathEvent) -> Result<bool> {
        let (quiche::PathEvent::FailedValidation(local, peer), Some(lane)) = (event, self.lanes.all.last()) else {
            return Ok(false);
        };
        let (inside, received) = (lane.inside, lane.received);
        if (*local, *peer) != (inside, lane.peer) {
            return Ok(false);
        }
        let is_in_use = |path: &quiche::PathStats| (path.local_addr, path.peer_addr) == (inside, *peer);
        let quiche = self.live()?;
        let path = quiche.path_stats().find(is_in_use);
        if quiche.is_closed() || path.is_none_or(|path| path.active || path.recv <= received) {
            return Ok(false);
        }
        let quiche = self.live_mut()?;
        quiche.migrate(inside, *peer)?;
        quiche.probe_path(inside, *peer)?;
        self.touch();
        Ok(true)
    }

    /// Takes a path other than the active one into use; answers the address by which quiche knows it.
    fn change_lane(&mut self, active: &quiche::PathStats, outside: SocketAddr) -> Result<SocketAddr> {
        let peer = active.peer_addr;
        let spare_ids = self.live()?.available_dcids();
        let mut again = self.lanes.choose(outside, peer, spare_ids);
        let mut entered = self.enter(again, outside, peer);
        // A new path wants an id of ours as well, and quiche doesn't say whether one is to spare.
        if again.is_none() && matches!(entered, Err(Error::Quiche(quiche::Error::OutOfIdentifiers))) {
            again = self.lanes.choose(outside, peer, 0);
            entered = self.enter(again, outside, peer);
        }
        let (inside, id) = entered?;
        let received = self.received_over_active()?;
        if self.lanes.all.is_empty() {
            self.lanes.all.push(Lane {
                inside: active.local_addr,
                outside: active.local_addr,
                peer,
                id: Some(0),
                received: 0,
            });
        }
        if let Some(index) = again {
            self.lanes.all.remove(index);
        }
        self.lanes.all.push(Lane {
            inside,
            outside,
            peer,
            id: Some(id),
            received,
        });
        self.lanes.has_left = true;
        Ok(inside)
    }

    /// Has quiche go over to a path; answers the address by which it knows it, and the number of the peer's id.
    fn enter(&mut self, again: Option<usize>, outside: SocketAddr, peer: SocketAddr) -> Result<(SocketAddr, u64)> {
        let inside = again.map_or(outside, |index| self.lanes.all[index].inside);
        Ok((inside, self.live_mut()?.migrate(inside, peer)?))
    }

    /// Once the peer was heard over the path in use: gives back the ids that the others were used with. Answers whether the
    /// first id of all is among them.
    pub(super) fn give_ids_back(&mut self) -> Result<bool> {
        if !self.lanes.has_left {
            return Ok(false);
        }
        let received = self.received_over_active()?;
        let Some((active, left)) = self.lanes.all.split_last_mut() else {
            return Ok(false);
        };
        if received <= active.received {
            return Ok(false);
        }
        let mut ids: Vec<_> = left.iter_mut().filter_map(|lane| lane.id.take()).collect();
        self.lanes.has_left = false;
        let quiche = self.live_mut()?;
        // One that the peer has asked back meanwhile is unknown.
        ids.retain(|id| quiche.retire_dcid(*id).is_ok());
        self.touch();
        Ok(ids.contains(&0))
    }

    fn received_over_active(&self) -> Result<usize> {
        let active = self.live()?.path_stats().find(|path| path.active);
        Ok(active.map_or(0, |path| path.recv))
    }
}
