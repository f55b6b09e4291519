//! Files that one connection writes.

use std::io::LineWriter;
use std::path::Path;

use napi_derive::napi;

use super::Connection;
use crate::binding::config::logs::{append, refused};
use crate::binding::error::{Result, invalid_argument};

/// How much goes into a qlog.
#[napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QlogLevel {
    /// The most important events.
    Core = 0,
    /// Those and what explains them; the default.
    Base = 1,
    /// All there is.
    Extra = 2,
}

#[napi]
impl Connection {
    /// Writes a qlog (JSON-SEQ, readable by qvis) to this file from now on, with a title and a description that viewers
    /// show. It is appended to, event by event. Call it before the first packet, to have all.
    ///
    /// Throws `InvalidConfig` if the file can't be opened.
    #[napi]
    pub fn set_qlog(
        &self,
        path: String,
        title: String,
        description: String,
        #[napi(ts_arg_type = "QlogLevel | 0 | 1 | 2 | undefined | null")] level: Option<f64>,
    ) -> Result<()> {
        let level = qlog_level(level)?;
        self.with(|connection| {
            let quiche = connection.live_mut()?;
            let path = Path::new(&path);
            let file = append(path).map_err(|error| refused("qlog", path, &error))?;
            quiche.set_qlog_with_level(Box::new(LineWriter::new(file)), title, description, level);
            Ok(())
        })
    }

    /// Appends the TLS secrets of this connection to this file from now on, in the format of `SSLKEYLOGFILE`: whoever has it
    /// can read the traffic. Needs `logKeys` of the configuration. Call it before the first packet, to have all.
    ///
    /// Throws `InvalidConfig` if the file can't be opened.
    #[napi]
    pub fn set_keylog(&self, path: String) -> Result<()> {
        self.with(|connection| {
            let quiche = connection.live_mut()?;
            let path = Path::new(&path);
            quiche.set_keylog(Box::new(append(path).map_err(|error| refused("keylog", path, &error))?));
            Ok(())
        })
    }
}

fn qlog_level(level: Option<f64>) -> Result<quiche::QlogLevel> {
    match level {
        Some(0.0) => Ok(quiche::QlogLevel::Core),
        None | Some(1.0) => Ok(quiche::QlogLevel::Base),
        Some(2.0) => Ok(quiche::QlogLevel::Extra),
        Some(other) => Err(invalid_argument("level", &format!("expected 0, 1 or 2, got {other}"))),
    }
}
