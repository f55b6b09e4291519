//! Connection ids: ours, by which the peer reaches us, and the peer's.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::Connection;
use crate::binding::error::Result;
use crate::binding::number::{self, ANY};
use crate::quic::header::{connection_id, reset_token};

#[napi]
impl Connection {
    /// Our connection id on the path in use. It changes with the path.
    #[napi]
    pub fn source_id(&self) -> Result<Buffer> {
        self.with(|connection| Ok(connection.live()?.source_id().to_vec().into()))
    }

    /// All our connection ids by which the peer may reach this connection.
    #[napi]
    pub fn source_ids(&self) -> Result<Vec<Buffer>> {
        self.with(|connection| Ok(connection.live()?.source_ids().map(|id| id.to_vec().into()).collect()))
    }

    /// The peer's connection id on the path in use. It changes with the path.
    #[napi]
    pub fn destination_id(&self) -> Result<Buffer> {
        self.with(|connection| Ok(connection.live()?.destination_id().to_vec().into()))
    }

    /// Gives the peer another connection id of ours (RFC 9000 §5.1.1), with the 16 bytes that a stateless reset for it would
    /// hold. `retireIfNeeded` retires the oldest when the peer keeps no more. Answers its number.
    ///
    /// Throws `IdLimit` when there is no room, `InvalidState` for a known id with another token or with empty ids,
    /// `InvalidArgument` for more than 20 bytes or another length of the token, and `DrivenByEndpoint`.
    #[napi]
    pub fn new_scid(&self, scid: &[u8], token: &[u8], retire_if_needed: bool) -> Result<f64> {
        self.with(|connection| {
            let (scid, token) = (connection_id("scid", scid)?, reset_token(token)?);
            Ok(connection
                .by_hand("newScid")?
                .new_scid(&scid, token, retire_if_needed)?)
        })
        .map(|sequence| sequence as f64)
    }

    /// How many of our connection ids are in use.
    #[napi]
    pub fn active_scids(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.active_scids() as f64))
    }

    /// How many more of our connection ids the peer would keep: give them by `newScid`.
    #[napi]
    pub fn scids_left(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.scids_left() as f64))
    }

    /// How many of our connection ids the peer has retired and `retiredScidNext` hasn't answered.
    #[napi]
    pub fn retired_scids(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.retired_scids() as f64))
    }

    /// The next of our connection ids that the peer has retired: packets to it are no longer for this connection; null for
    /// no more. Throws `DrivenByEndpoint`: an endpoint takes them out of its routes.
    #[napi]
    pub fn retired_scid_next(&self) -> Result<Option<Buffer>> {
        self.with(|connection| Ok(connection.by_hand("retiredScidNext")?.retired_scid_next()))
            .map(|id| id.map(|id| id.to_vec().into()))
    }

    /// How many spare connection ids of the peer we have, each good for one more path.
    #[napi]
    pub fn available_dcids(&self) -> Result<f64> {
        self.with(|connection| Ok(connection.live()?.available_dcids() as f64))
    }

    /// Gives back a connection id of the peer, by its number (RFC 9000 §5.1.2); the peer may then give another.
    ///
    /// Throws `OutOfIdentifiers` for the last one, `InvalidState` for an unknown one, and `DrivenByEndpoint`.
    #[napi]
    pub fn retire_dcid(&self, sequence: f64) -> Result<()> {
        let sequence = number::integer("sequence", sequence, ANY)?;
        self.with(|connection| Ok(connection.by_hand("retireDcid")?.retire_dcid(sequence)?))
    }
}
