//! QUIC for Node.js: Cloudflare's quiche behind Node-API, for programs whose peers know each other by certificate.
//!
//! | module | concept | knows |
//! | --- | --- | --- |
//! | [`quic`] | drives quiche: connections, streams, endpoint, tokens | quiche, BoringSSL, ring |
//! | [`x509`] | parses, makes and verifies certificate chains | x509-parser, rcgen, ring |
//! | [`binding`] | the Node-API classes: converts, delegates, converts | the two above, and Node |
//!
//! Imports point downwards only: `quic` and `x509` do not know each other, and neither knows Node.

pub mod binding;
pub mod quic;
pub mod x509;
