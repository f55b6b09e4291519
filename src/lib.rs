//! QUIC for Node.js: Cloudflare's quiche behind Node-API, for programs whose peers know each other by certificate.
//!
//! | module | concept | knows |
//! | --- | --- | --- |
//! | [`quic`] | drives quiche: connections, streams, endpoint, tokens | quiche, BoringSSL, ring |
//! | [`x509`] | parses, makes and verifies certificate chains | x509-parser, rcgen, ring |
//! | [`udp`] | a UDP socket by its descriptor, in bursts | nix |
//! | [`driver`] | joins an endpoint and a socket, and runs their turns | `quic`, `udp` |
//! | [`binding`] | the Node-API classes: converts, delegates, converts | all above, and Node |
//!
//! Imports point downwards only: `quic`, `x509` and `udp` do not know each other, and none knows Node.

pub mod binding;
pub mod driver;
pub mod quic;
pub mod udp;
pub mod x509;
