//! Parses, makes and verifies X.509 certificate chains. Knows no QUIC.
