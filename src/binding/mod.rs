//! Node-API classes: one file per concept of the inner modules; each converts, delegates, and converts back.

pub mod x509;
