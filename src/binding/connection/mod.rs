//! `Connection`: a handle on one connection, shared with the endpoint that drives it, or driven by hand.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::address::Address;
use super::error::Result;
use crate::quic::{self, SharedConnection};

/// A QUIC connection. Its streams, datagrams and state are used directly; packets are taken in and handed out either by
/// the endpoint that drives it, or by its owner: a connection made by `connect` or `accept` is driven by hand with `recv`,
/// `send`, `timeout` and `onTimeout`.
///
/// On a connection that an endpoint drives, what only the driver may do throws `DrivenByEndpoint`. When it is gone, methods
/// throw `Closed`, but for its statistics, errors and names. After a failure inside they throw `Poisoned`. Collecting a
/// handle never ends a connection that an endpoint drives.
#[napi]
pub struct Connection {
    pub(super) inner: SharedConnection,
}

// Below the class: napi's macro wants to see it before its methods.
mod cause;
mod datagrams;
mod drive;
mod ids;
mod logs;
mod open;
mod paths;
mod state;
mod streams;
mod tls;

/// Why a connection ended, as it was said on the wire.
#[napi(object, object_from_js = false)]
pub struct ConnectionError {
    /// Whether `errorCode` is the application's, else it is one of QUIC's (RFC 9000 §20.1), or 0x100 + a TLS alert
    /// (`CryptoError`).
    pub is_app: bool,
    /// The code; codes beyond 2^53 are rounded.
    pub error_code: f64,
    /// What the closing side said for people and logs.
    pub reason: Buffer,
}

impl From<quiche::ConnectionError> for ConnectionError {
    fn from(error: quiche::ConnectionError) -> Self {
        Self {
            is_app: error.is_app,
            error_code: error.error_code as f64,
            reason: error.reason.into(),
        }
    }
}

/// Where a datagram came from, and where it arrived.
#[napi(object, object_to_js = false)]
pub struct RecvInfo {
    /// The sender's address.
    pub from: Address,
    /// The address of ours at which it arrived: always the same form of the socket's bound address, or it is another path.
    pub to: Address,
}

/// A datagram to be sent.
#[napi(object, object_from_js = false)]
pub struct SendInfo {
    /// Length of the datagram at the begin of the buffer.
    pub bytes: u32,
    /// The address of ours to send from.
    pub from: Address,
    /// The address to send to.
    pub to: Address,
    /// For pacing: in how many milliseconds it should leave; 0 for now.
    pub at: f64,
}

impl Connection {
    /// A handle on a connection that an endpoint drives.
    pub(crate) fn from_shared(inner: SharedConnection) -> Self {
        Self { inner }
    }

    /// Uses the connection. No borrow outlives this call, and `run` never calls JavaScript. A panic becomes an error,
    /// and is the end of this connection alone.
    pub(super) fn with<T>(&self, run: impl FnOnce(&mut quic::Connection) -> quic::Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(|| run(&mut self.inner.borrow_mut()))) {
            Ok(outcome) => outcome.map_err(Into::into),
            Err(_) => {
                // What is dropped here has just panicked: it may do so again.
                let _ = catch_unwind(AssertUnwindSafe(|| self.inner.borrow_mut().poison()));
                Err(quic::Error::Poisoned.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    fn connection() -> Connection {
        let mut config = quic::Config::new(quiche::PROTOCOL_VERSION).expect("quiche's defaults are valid");
        let address = "127.0.0.1:4433".parse().expect("a literal address");
        let scid = quiche::ConnectionId::from_ref(&[1; 16]);
        let connection = quic::Connection::connect(&mut config, None, &scid, address, address).expect("no I/O yet");
        Connection::from_shared(Rc::new(RefCell::new(connection)))
    }

    #[test]
    fn a_panic_poisons_this_connection_alone() {
        let (broken, healthy) = (connection(), connection());
        let error = broken
            .with::<()>(|_| panic!("expected by this test"))
            .expect_err("it panicked");
        assert_eq!(error.status.as_ref(), "Poisoned");
        let again = broken
            .with(|connection| connection.live().map(|_| ()))
            .expect_err("it stays so");
        assert_eq!(again.status.as_ref(), "Poisoned");
        assert!(healthy.with(|connection| connection.live().map(|_| ())).is_ok());
    }
}
