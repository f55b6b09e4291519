//! Drives quiche. Knows neither Node nor sockets: datagrams and times are arguments.

pub mod address;
pub mod config;
pub mod connection;
pub mod datagrams;
pub mod endpoint;
pub mod error;
pub mod packet;
pub mod path;
pub mod stream;
pub mod tls;
pub mod token;
pub mod verification;

pub use config::{Config, Verification};
pub use connection::{Connection, RetryIds, SharedConnection};
pub use error::{Error, Result};
