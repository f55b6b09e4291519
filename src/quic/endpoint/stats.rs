//! Counters of an endpoint.

/// What happened at an endpoint since it was made. Bytes are UDP payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Datagrams received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams handed out for sending.
    pub transmitted: u64,
    /// Bytes handed out for sending.
    pub transmitted_bytes: u64,
    /// Datagrams that could not be sent.
    pub send_failures: u64,
    /// Connections dialled.
    pub dialled: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections let go.
    pub closed: u64,
    /// Newcomers refused by a limit, in all.
    pub refused: u64,
    /// Newcomers refused because there were too many connections.
    pub refused_connections: u64,
    /// Newcomers refused because their address had too many connections.
    pub refused_address: u64,
    /// Newcomers refused because too many handshakes were half-open.
    pub refused_half_open: u64,
    /// Newcomers refused because too many came in one second.
    pub refused_rate: u64,
    /// Connections closed because too much data was received and not read.
    pub closed_for_memory: u64,
    /// Version negotiation packets sent.
    pub version_negotiations: u64,
    /// Retry packets sent.
    pub retries: u64,
    /// Initials refused because their token was forged or expired.
    pub invalid_tokens: u64,
    /// Stateless resets sent.
    pub stateless_resets: u64,
    /// Closes said again, to peers that went on speaking.
    pub closes_repeated: u64,
    /// Datagrams that were nobody's.
    pub strays: u64,
    /// Of these, dropped: nobody listened, or the queue was full.
    pub strays_dropped: u64,
    /// Datagrams of a known connection that it refused, and newcomers' that could not be accepted.
    pub invalid: u64,
    /// 1-RTT datagrams held back until the peer was judged.
    pub held: u64,
    /// The same that were dropped, since too many were held already: loss, for their sender.
    pub held_dropped: u64,
    /// Packets delayed by pacing.
    pub paced: u64,
    /// Looks at what changed in one connection: the endpoint's work, which grows with what happens and not with how many
    /// connections there are.
    pub looks: u64,
    /// Peers that were followed to another port.
    pub rebindings: u64,
    /// Datagrams of peers that moved by themselves although they were asked not to.
    pub migrations_refused: u64,
    /// Punches and questions of ours sent.
    pub probes_sent: u64,
    /// Punches, questions and answers received.
    pub probes_received: u64,
    /// Of these, answered.
    pub probes_answered: u64,
    /// Of these, not answered: too many at once, or a question that isn't to be answered.
    pub probes_unanswered: u64,
    /// Of these, answers that nobody waits for.
    pub probes_unexpected: u64,
}
