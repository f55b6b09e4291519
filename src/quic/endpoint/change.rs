//! What changed, as an endpoint tells it: small records, many in one answer.

/// One thing that changed. `key` is the endpoint's number for the connection; it may be given to another connection
/// after `Closed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The peer's chain waits for the application's verdict.
    Verify(usize),
    /// The handshake is complete and the peer trusted: a newcomer to show, or a dial that succeeded. Where the
    /// configuration [connects early](crate::quic::config::Config::connects_early), also when early data can flow.
    Connected(usize),
    /// The other side is known to have accepted us: at once on a server, with the first 1-RTT packet on a client.
    Confirmed(usize),
    /// The peer opened a stream: told once for each, before all else about it.
    StreamOpened(usize, u64),
    /// A stream has data, its end, or a reset to read. Told at an edge: read until blocked. May be spurious.
    StreamReadable(usize, u64),
    /// A stream takes data again, or was stopped by the peer. Told at an edge. May be spurious.
    StreamWritable(usize, u64),
    /// Datagrams (RFC 9221) can be read.
    DatagramReadable(usize),
    /// The peer lets us open streams again, of this kind.
    StreamsAvailable(usize, StreamKind),
    /// Path events wait.
    Path(usize),
    /// The connection begins to end: what was received remains readable, nothing more comes.
    Ending(usize),
    /// The endpoint let go of the connection.
    Closed(usize),
    /// So many datagrams that are nobody's wait.
    Stray(usize),
    /// A client has got a session ticket.
    Session(usize),
    /// So many probes wait that somebody may want to know of.
    Heard(usize),
    /// The handshake of a connection that was connected early is complete.
    Established(usize),
}

/// The two kinds of streams (RFC 9000 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Data in both directions.
    Bidi,
    /// Data from its initiator only.
    Uni,
}

impl Change {
    /// The record as three numbers: kind, key, value.
    pub fn record(self) -> [u64; 3] {
        let (kind, key, value) = match self {
            Change::Verify(key) => (1, key, 0),
            Change::Connected(key) => (2, key, 0),
            Change::Confirmed(key) => (3, key, 0),
            Change::StreamOpened(key, id) => (4, key, id),
            Change::StreamReadable(key, id) => (5, key, id),
            Change::StreamWritable(key, id) => (6, key, id),
            Change::DatagramReadable(key) => (7, key, 0),
            Change::StreamsAvailable(key, kind) => (8, key, u64::from(kind == StreamKind::Uni)),
            Change::Path(key) => (9, key, 0),
            Change::Ending(key) => (10, key, 0),
            Change::Closed(key) => (11, key, 0),
            Change::Stray(count) => (12, 0, count as u64),
            Change::Session(key) => (13, key, 0),
            Change::Heard(count) => (14, 0, count as u64),
            Change::Established(key) => (15, key, 0),
        };
        [kind, key as u64, value]
    }
}
