//! Events of paths.

use napi_derive::napi;

use super::address::Address;

/// The two ends of a path.
#[napi(object, object_from_js = false)]
pub struct PathAddresses {
    /// Our end.
    pub local: Address,
    /// The peer's end.
    pub peer: Address,
}

/// Something that happened to a path of a connection.
#[napi(discriminant = "type", object_from_js = false)]
pub enum PathEvent {
    /// Server: a packet came over a path that wasn't known. It is validated without further ado.
    New {
        /// Our end.
        local: Address,
        /// The peer's end.
        peer: Address,
    },
    /// The path was validated (RFC 9000 §8.2): both ends are there.
    Validated {
        /// Our end.
        local: Address,
        /// The peer's end.
        peer: Address,
    },
    /// The path could not be validated, and is not used any more.
    FailedValidation {
        /// Our end.
        local: Address,
        /// The peer's end.
        peer: Address,
    },
    /// The path was closed, and can't be used any more.
    Closed {
        /// Our end.
        local: Address,
        /// The peer's end.
        peer: Address,
    },
    /// A connection id of ours was used by the peer on one path, and is now on another: its NAT has rebound.
    ReusedSourceConnectionId {
        /// Number of the connection id.
        sequence: f64,
        /// The path before.
        old: PathAddresses,
        /// Our end of the new path.
        local: Address,
        /// The peer's end of the new path.
        peer: Address,
    },
    /// Server: the peer went over to this path, which is validated.
    PeerMigrated {
        /// Our end.
        local: Address,
        /// The peer's end.
        peer: Address,
    },
    /// The largest packet that the path is known to carry has changed (`discoverPmtu`).
    PmtuUpdated {
        /// Our end.
        local: Address,
        /// The peer's end.
        peer: Address,
        /// Its size, in bytes.
        pmtu: f64,
    },
}

impl PathEvent {
    /// The event for JavaScript; `None` for one that a later quiche may add.
    pub(super) fn new(event: quiche::PathEvent) -> Option<Self> {
        use quiche::PathEvent as E;
        Some(match event {
            E::New(local, peer) => PathEvent::New {
                local: local.into(),
                peer: peer.into(),
            },
            E::Validated(local, peer) => PathEvent::Validated {
                local: local.into(),
                peer: peer.into(),
            },
            E::FailedValidation(local, peer) => PathEvent::FailedValidation {
                local: local.into(),
                peer: peer.into(),
            },
            E::Closed(local, peer) => PathEvent::Closed {
                local: local.into(),
                peer: peer.into(),
            },
            E::ReusedSourceConnectionId(sequence, (old_local, old_peer), (local, peer)) => {
                PathEvent::ReusedSourceConnectionId {
                    sequence: sequence as f64,
                    old: PathAddresses {
                        local: old_local.into(),
                        peer: old_peer.into(),
                    },
                    local: local.into(),
                    peer: peer.into(),
                }
            }
            E::PeerMigrated(local, peer) => PathEvent::PeerMigrated {
                local: local.into(),
                peer: peer.into(),
            },
            E::PmtuUpdated { local, peer, pmtu } => PathEvent::PmtuUpdated {
                local: local.into(),
                peer: peer.into(),
                pmtu: pmtu as f64,
            },
            _ => return None,
        })
    }
}
