//! Drives quiche. Knows neither Node nor sockets: datagrams and times are arguments.

pub mod config;
pub mod connection;
pub mod error;
pub mod stream;
pub mod tls;
pub mod verification;

pub use config::{Config, Verification};
pub use connection::{Connection, RetryIds, SharedConnection};
pub use error::{Error, Result};
