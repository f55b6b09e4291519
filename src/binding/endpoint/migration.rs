//! Connections that change their endpoint.

use napi_derive::napi;

use super::Endpoint;
use crate::binding::clock::now;
use crate::binding::error::{Result, catch, invalid_argument};
use crate::binding::number;
use crate::quic::endpoint::migration;

/// A connection between two endpoints: from `detach`, for `attach`. It ends in silence if it is dropped.
#[napi]
pub struct DetachedConnection {
    inner: migration::Detached,
}

#[napi]
impl Endpoint {
    /// Takes a client's connection out, to be attached to the endpoint of another socket. What still comes for it here is
    /// dropped.
    ///
    /// Throws `MigrationDisabled` if the server wants no migration, `InvalidState` if the connection isn't up or is a
    /// server's, and `UnknownConnection`.
    #[napi]
    pub fn detach(&mut self, key: f64) -> Result<DetachedConnection> {
        let key = number::size("key", key, number::ANY)?;
        catch(|| self.inner.borrow_mut().detach(key)).map(|inner| DetachedConnection { inner })
    }

    /// Takes a connection in and moves it to our address (RFC 9000 §9): path events tell whether the new path works.
    /// Answers its key here. Throws `OutOfIdentifiers` while the server has given us no spare connection id: look at
    /// `availableDcids` before; the connection can then be detached again. Throws `NotBound` before this endpoint has an
    /// address, and takes nothing in.
    #[napi]
    pub fn attach(&mut self, detached: &mut DetachedConnection) -> Result<f64> {
        let detached = &mut detached.inner;
        if detached.is_attached() {
            return Err(invalid_argument("detached", "has been attached already"));
        }
        catch(|| self.inner.borrow_mut().attach(detached, now())).map(|key| key as f64)
    }
}
