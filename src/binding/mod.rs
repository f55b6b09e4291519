//! Node-API classes: one file per concept of the inner modules; each converts, delegates, and converts back.

pub mod address;
pub mod bytes;
pub mod callback;
pub mod clock;
pub mod codes;
pub mod config;
pub mod connection;
pub mod endpoint;
pub mod enums;
pub mod error;
pub mod event_loop;
pub mod header;
pub mod log;
pub mod number;
pub mod path;
pub mod socket;
pub mod stats;
pub mod stream;
pub mod turns;
pub mod version;
pub mod wire;
pub mod x509;
