//! Error codes on the wire.

use napi_derive::napi;

/// QUIC's own error codes (RFC 9000 §20.1), as in `ConnectionError` without `isApp`. Codes of the TLS handshake are
/// `CryptoError`.
#[napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionErrorCode {
    /// The connection ends without an error.
    NoError = 0x0,
    /// The endpoint failed inside.
    InternalError = 0x1,
    /// The server takes no new connection.
    ConnectionRefused = 0x2,
    /// More data came than was allowed.
    FlowControlError = 0x3,
    /// A stream beyond the limit was opened.
    StreamLimitError = 0x4,
    /// A frame came for a stream whose state doesn't allow it.
    StreamStateError = 0x5,
    /// The final size of a stream changed, or data came beyond it.
    FinalSizeError = 0x6,
    /// A frame was malformed.
    FrameEncodingError = 0x7,
    /// The transport parameters were malformed, or one was missing or forbidden.
    TransportParameterError = 0x8,
    /// More connection ids were given than allowed.
    ConnectionIdLimitError = 0x9,
    /// The protocol was broken in a way that has no code of its own.
    ProtocolViolation = 0xa,
    /// The token in a client's Initial is invalid.
    InvalidToken = 0xb,
    /// The application ended the connection before the handshake was complete.
    ApplicationError = 0xc,
    /// More handshake data came than can be buffered.
    CryptoBufferExceeded = 0xd,
    /// A key update went wrong.
    KeyUpdateError = 0xe,
    /// Keys were used as often as is safe.
    AEADLimitReached = 0xf,
    /// The path can't carry QUIC.
    NoViablePath = 0x10,
}

/// Error codes of the TLS handshake: 0x100 + the alert (RFC 9001 §4.8, RFC 8446 §6.2).
#[napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoError {
    /// close_notify, alert 0.
    CloseNotify = 0x100,
    /// unexpected_message, alert 10.
    UnexpectedMessage = 0x10a,
    /// bad_record_mac, alert 20.
    BadRecordMac = 0x114,
    /// record_overflow, alert 22.
    RecordOverflow = 0x116,
    /// handshake_failure, alert 40: nothing in common.
    HandshakeFailure = 0x128,
    /// bad_certificate, alert 42.
    BadCertificate = 0x12a,
    /// unsupported_certificate, alert 43.
    UnsupportedCertificate = 0x12b,
    /// certificate_revoked, alert 44.
    CertificateRevoked = 0x12c,
    /// certificate_expired, alert 45.
    CertificateExpired = 0x12d,
    /// certificate_unknown, alert 46.
    CertificateUnknown = 0x12e,
    /// illegal_parameter, alert 47.
    IllegalParameter = 0x12f,
    /// unknown_ca, alert 48: no trust anchor.
    UnknownCA = 0x130,
    /// access_denied, alert 49.
    AccessDenied = 0x131,
    /// decode_error, alert 50.
    DecodeError = 0x132,
    /// decrypt_error, alert 51: a signature is wrong.
    DecryptError = 0x133,
    /// protocol_version, alert 70.
    ProtocolVersion = 0x146,
    /// insufficient_security, alert 71.
    InsufficientSecurity = 0x147,
    /// internal_error, alert 80.
    InternalError = 0x150,
    /// inappropriate_fallback, alert 86.
    InappropriateFallback = 0x156,
    /// user_canceled, alert 90.
    UserCanceled = 0x15a,
    /// missing_extension, alert 109.
    MissingExtension = 0x16d,
    /// unsupported_extension, alert 110.
    UnsupportedExtension = 0x16e,
    /// unrecognized_name, alert 112.
    UnrecognizedName = 0x170,
    /// bad_certificate_status_response, alert 113.
    BadCertificateStatusResponse = 0x171,
    /// unknown_psk_identity, alert 115.
    UnknownPSKIdentity = 0x173,
    /// certificate_required, alert 116: the server wants one.
    CertificateRequired = 0x174,
    /// no_application_protocol, alert 120: no ALPN in common.
    NoApplicationProtocol = 0x178,
}
