//! `Config`: settings of connections, checked at the door.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use napi_derive::napi;

use super::error::{Result, catch};
use super::number;
use crate::quic;

pub use tls::{Credential, TlsSettings, Verification};

/// Settings for connections that are made or accepted with it. A connection takes what it needs when it is made: later
/// changes touch later connections only.
///
/// Numbers that are negative, fractional, NaN or beyond the stated range throw `OutOfRange`.
#[napi]
pub struct Config {
    inner: Rc<RefCell<quic::Config>>,
    log_failures: Rc<Cell<u32>>,
}

// Below the class: napi's macro wants to see it before its methods.
pub(super) mod logs;
mod recovery;
mod tls;
mod transport;

#[napi]
impl Config {
    /// quiche's defaults, without credentials; trust anchors are the system's, where BoringSSL finds them, and those of
    /// `loadVerifyLocations…`.
    ///
    /// `version` is 1 by default; reserved versions (0x?a?a?a?a, RFC 9000 §15) are taken too, and force a version
    /// negotiation. Throws `UnknownVersion` for others.
    #[napi(constructor)]
    pub fn new(version: Option<f64>) -> Result<Self> {
        let version = version_or_default(version)?;
        catch(|| quic::Config::new(version)).map(Self::around)
    }

    /// How long a handshake may take, the verdict of `settleVerification` included, before an endpoint gives the
    /// connection up: milliseconds, 0 for without end. Default 30,000. Connections driven by hand do not have it.
    #[napi]
    pub fn set_handshake_timeout(&self, ms: f64) -> Result<()> {
        let timeout = number::milliseconds("handshakeTimeout", ms, number::ANY_U32)?;
        self.edit(|config| config.handshake_timeout = timeout)
    }

    /// After how long a silence an endpoint sends a packet that must be acknowledged, which keeps NAT mappings and the
    /// peer's idle timer alive: milliseconds, 0 for never. Default 0. Driven by hand: see `sendAckEliciting`.
    #[napi]
    pub fn set_keep_alive_interval(&self, ms: f64) -> Result<()> {
        let interval = number::milliseconds("keepAliveInterval", ms, number::ANY_U32)?;
        self.edit(|config| config.keep_alive_interval = (!interval.is_zero()).then_some(interval))
    }
}

impl Config {
    fn around(config: quic::Config) -> Self {
        Self {
            inner: Rc::new(RefCell::new(config)),
            log_failures: Rc::default(),
        }
    }

    /// The settings, as an endpoint keeps them for the newcomers it accepts.
    pub(crate) fn shared(&self) -> Rc<RefCell<quic::Config>> {
        self.inner.clone()
    }

    fn edit<T>(&self, change: impl FnOnce(&mut quic::Config) -> T) -> Result<T> {
        self.try_edit(|config| Ok(change(config)))
    }

    fn try_edit<T>(&self, change: impl FnOnce(&mut quic::Config) -> quic::Result<T>) -> Result<T> {
        catch(|| change(&mut self.inner.borrow_mut()))
    }
}

fn version_or_default(version: Option<f64>) -> Result<u32> {
    version.map_or(Ok(quiche::PROTOCOL_VERSION), |version| number::u32("version", version))
}
