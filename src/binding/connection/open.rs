//! Connections that are driven by hand: dialled and accepted without an endpoint.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use super::Connection;
use crate::binding::address::Address;
use crate::binding::config::Config;
use crate::binding::error::{Result, catch};
use crate::quic::header::connection_id;
use crate::quic::{self, RetryIds};

/// The connection ids of a handshake in which the server sent a Retry (RFC 9000 §7.3).
#[napi(object, object_to_js = false)]
pub struct RetryConnectionIds {
    /// The destination id of the client's first Initial, before the Retry.
    pub original_destination: Uint8Array,
    /// The id that the Retry asked the client to use: the `newScid` of `retry`.
    pub retry_source: Uint8Array,
}

#[napi]
impl Connection {
    /// Dials: makes a client connection that is driven by hand. Nothing is sent before `send`.
    ///
    /// `serverName` goes into SNI if it is a name; `setVerification('Chain')` checks the certificate for it, name or
    /// address. `scid` is our connection id, 0 to 20 bytes that name this connection among ours. `local` and `peer` are
    /// the ends of the first path.
    ///
    /// Throws `InvalidArgument` for an address or id that can't be, `InvalidConfig` for a `serverName` that can't be.
    #[napi(factory)]
    pub fn connect(
        config: &Config,
        server_name: Option<String>,
        scid: &[u8],
        local: Address,
        peer: Address,
    ) -> Result<Self> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        let config = config.shared();
        catch(|| {
            let scid = connection_id("scid", scid)?;
            quic::Connection::connect(&mut config.borrow_mut(), server_name.as_deref(), &scid, local, peer)
        })
        .map(Self::new)
    }

    /// Dials with a first destination id of your choice: 8 to 20 bytes, which must be unpredictable (RFC 9000 §7.2). Else as
    /// `connect`; throws `InvalidDcidInitialization` for a shorter one.
    #[napi(factory)]
    pub fn connect_with_dcid(
        config: &Config,
        server_name: Option<String>,
        scid: &[u8],
        dcid: &[u8],
        local: Address,
        peer: Address,
    ) -> Result<Self> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        let config = config.shared();
        catch(|| {
            let (scid, dcid) = (connection_id("scid", scid)?, connection_id("dcid", dcid)?);
            let name = server_name.as_deref();
            quic::Connection::connect_with_dcid(&mut config.borrow_mut(), name, &scid, &dcid, local, peer)
        })
        .map(Self::new)
    }

    /// Accepts: makes a server connection, driven by hand, for a client's Initial, which is still to be given to `recv`.
    ///
    /// `scid` is our connection id, 0 to 20 bytes. `retry` names the ids of the exchange before, if the client came back
    /// from a Retry; its address then counts as validated.
    ///
    /// Throws `InvalidArgument` for an address or id that can't be.
    #[napi(factory)]
    pub fn accept(
        config: &Config,
        scid: &[u8],
        local: Address,
        peer: Address,
        retry: Option<RetryConnectionIds>,
    ) -> Result<Self> {
        let (local, peer) = (SocketAddr::try_from(&local)?, SocketAddr::try_from(&peer)?);
        let config = config.shared();
        catch(|| {
            let scid = connection_id("scid", scid)?;
            let retry = retry.as_ref().map(retry_ids).transpose()?;
            quic::Connection::accept(&mut config.borrow_mut(), &scid, retry.as_ref(), local, peer)
        })
        .map(Self::new)
    }
}

impl Connection {
    fn new(connection: quic::Connection) -> Self {
        Self::from_shared(Rc::new(RefCell::new(connection)))
    }
}

fn retry_ids(ids: &RetryConnectionIds) -> quic::Result<RetryIds<'_>> {
    Ok(RetryIds {
        original_destination: connection_id("originalDestination", &ids.original_destination)?,
        retry_source: connection_id("retrySource", &ids.retry_source)?,
    })
}
