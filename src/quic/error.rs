//! What can go wrong while driving quiche, with a stable code for each.

use std::net::SocketAddr;

/// Result of an operation of [`crate::quic`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of [`crate::quic`]. Expected outcomes (nothing to do, blocked, reset by the peer) are values, not errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection is gone; its last statistics and its closing reason remain.
    #[error("the connection is closed")]
    Closed,
    /// The call belongs to the endpoint that drives this connection.
    #[error("the connection is driven by an endpoint, which alone may call {0}")]
    DrivenByEndpoint(&'static str),
    /// A panic inside this connection was caught; the connection can't be used any more.
    #[error("the connection failed inside and can't be used any more")]
    Poisoned,
    /// A setting has a value that quiche or BoringSSL refuses.
    #[error("{setting}: {reason}")]
    Config {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An argument has no meaning: the caller's mistake.
    #[error("{argument}: {reason}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The peer takes no datagrams, or hasn't said yet that it does (RFC 9221 §3).
    #[error("the peer takes no datagrams: both sides must enable them, and the handshake must be complete")]
    DatagramsUnsupported,
    /// A datagram is larger than a packet to the peer can hold.
    #[error("a datagram of {length} bytes is too large: {max} bytes fit into a packet now")]
    DatagramTooLarge {
        /// How long it is.
        length: usize,
        /// How long it may be.
        max: usize,
    },
    /// The endpoint has no local address yet.
    #[error("the endpoint has no local address: bind the socket first")]
    NotBound,
    /// A packet can't go to this address from this socket.
    #[error("{0} can't be reached from this socket")]
    Unreachable(SocketAddr),
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
    /// The connection doesn't exist at this endpoint.
    #[error("the endpoint has no connection {0}")]
    UnknownConnection(usize),
    /// The peer has asked not to migrate (RFC 9000 §18.2).
    #[error("the peer doesn't let us migrate: it has disabled active migration")]
    MigrationDisabled,
    /// The peer's flow control or the limits of the endpoint don't allow it now.
    #[error("{0}")]
    Limit(&'static str),
    /// quiche refused the operation.
    #[error("{}", describe(.0))]
    Quiche(quiche::Error),
}

impl Error {
    /// The stable code of this error: what JavaScript sees as `error.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Closed => "Closed",
            Error::DrivenByEndpoint(_) => "DrivenByEndpoint",
            Error::Poisoned => "Poisoned",
            Error::Config { .. } => "InvalidConfig",
            Error::Argument { .. } => "InvalidArgument",
            Error::DatagramsUnsupported => "DatagramsUnsupported",
            Error::DatagramTooLarge { .. } => "DatagramTooLarge",
            Error::NotBound => "NotBound",
            Error::Unreachable(_) => "Unreachable",
            Error::Random => "RandomFail",
            Error::UnknownConnection(_) => "UnknownConnection",
            Error::MigrationDisabled => "MigrationDisabled",
            Error::Limit(_) => "Limit",
            Error::Quiche(error) => quiche_code(error),
        }
    }
}

impl From<quiche::Error> for Error {
    fn from(error: quiche::Error) -> Self {
        Error::Quiche(error)
    }
}

/// quiche's variant names, without their data, are the codes.
fn quiche_code(error: &quiche::Error) -> &'static str {
    use quiche::Error as E;
    match error {
        E::Done => "Done",
        E::BufferTooShort => "BufferTooShort",
        E::UnknownVersion => "UnknownVersion",
        E::InvalidFrame => "InvalidFrame",
        E::InvalidPacket => "InvalidPacket",
        E::InvalidState => "InvalidState",
        E::InvalidStreamState(_) => "InvalidStreamState",
        E::InvalidTransportParam => "InvalidTransportParam",
        E::CryptoFail => "CryptoFail",
        E::TlsFail => "TlsFail",
        E::FlowControl => "FlowControl",
        E::StreamLimit => "StreamLimit",
        E::StreamStopped(_) => "StreamStopped",
        E::StreamReset(_) => "StreamReset",
        E::FinalSize => "FinalSize",
        E::CongestionControl => "CongestionControl",
        E::IdLimit => "IdLimit",
        E::OutOfIdentifiers => "OutOfIdentifiers",
        E::KeyUpdate => "KeyUpdate",
        E::CryptoBufferExceeded => "CryptoBufferExceeded",
        E::InvalidAckRange => "InvalidAckRange",
        E::OptimisticAckDetected => "OptimisticAckDetected",
        E::InvalidDcidInitialization => "InvalidDcidInitialization",
    }
}

/// One sentence for each of quiche's errors, which themselves print only their names.
fn describe(error: &quiche::Error) -> String {
    use quiche::Error as E;
    match error {
        E::Done => "there is nothing to do".into(),
        E::BufferTooShort => "the buffer is too short".into(),
        E::UnknownVersion => "the QUIC version is unknown".into(),
        E::InvalidFrame => "a packet holds a malformed frame".into(),
        E::InvalidPacket => "the packet is malformed".into(),
        E::InvalidState => "the connection's state doesn't allow this operation".into(),
        E::InvalidStreamState(id) => {
            format!("stream {id} doesn't exist, or its state doesn't allow this operation")
        }
        E::InvalidTransportParam => "the peer's transport parameters are invalid".into(),
        E::CryptoFail => "a cryptographic operation failed".into(),
        E::TlsFail => "the TLS handshake failed".into(),
        E::FlowControl => "the peer sent more data than it was allowed to".into(),
        E::StreamLimit => "the stream is beyond the limit of concurrent streams".into(),
        E::StreamStopped(code) => format!("the peer stopped the stream with code {code}"),
        E::StreamReset(code) => format!("the peer reset the stream with code {code}"),
        E::FinalSize => "the data goes beyond the stream's final size".into(),
        E::CongestionControl => "congestion control failed".into(),
        E::IdLimit => "there are too many connection ids".into(),
        E::OutOfIdentifiers => "no connection id is left".into(),
        E::KeyUpdate => "a key update failed".into(),
        E::CryptoBufferExceeded => "the peer sent more handshake data than can be buffered".into(),
        E::InvalidAckRange => "the peer acknowledged an invalid range".into(),
        E::OptimisticAckDetected => "the peer acknowledged packets that were never sent".into(),
        E::InvalidDcidInitialization => "the first destination connection id is invalid".into(),
    }
}
