//! Drives quiche. Knows neither Node nor sockets: datagrams and times are arguments.

mod abandoned;
pub mod address;
pub mod by_hand;
pub mod chain_check;
pub mod config;
pub mod connection;
mod credentials;
pub mod datagrams;
pub mod dgram;
pub mod endpoint;
pub mod error;
mod frames;
pub mod handshake;
pub mod header;
mod key_share;
mod lanes;
pub mod packet;
pub mod path;
mod pmtu;
pub mod probe;
pub mod session;
pub mod status;
mod stops;
pub mod stream;
mod tickets;
pub mod tls;
pub mod token;
pub mod verification;

pub use by_hand::Transmit;
pub use config::{Config, Verification};
pub use connection::{Connection, RetryIds, SharedConnection};
pub use error::{Error, Result};
