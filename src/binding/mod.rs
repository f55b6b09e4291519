//! Node-API classes: one file per concept of the inner modules; each converts, delegates, and converts back.

pub mod address;
pub mod bytes;
pub mod clock;
pub mod codes;
pub mod config;
pub mod connection;
pub mod endpoint;
pub mod enums;
pub mod error;
pub mod header;
pub mod log;
pub mod number;
pub mod path;
pub mod poll;
pub mod socket;
pub mod stats;
pub mod stream;
pub mod version;
pub mod x509;
