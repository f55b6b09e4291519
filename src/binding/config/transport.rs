//! What is told to the peer as transport parameters (RFC 9000 §18.2), and the limits around it.

use napi_derive::napi;

use super::Config;
use crate::binding::error::Result;
use crate::binding::number::{self, ANY, ANY_U32};

/// Largest payload of a UDP datagram over IPv4 or IPv6.
const MAX_UDP_PAYLOAD: u64 = 65_527;
/// Smallest that QUIC works with (RFC 9000 §14).
const MIN_UDP_PAYLOAD: u64 = quiche::MIN_CLIENT_INITIAL_LEN as u64;

#[napi]
impl Config {
    /// Ends a connection when nothing was received for so many milliseconds; 0, the default, for never. The smaller of
    /// both sides' values counts, and never less than three probe timeouts (RFC 9000 §10.1).
    #[napi]
    pub fn set_max_idle_timeout(&self, ms: f64) -> Result<()> {
        let ms = number::integer("maxIdleTimeout", ms, ANY)?;
        self.edit(|config| config.quiche.set_max_idle_timeout(ms))
    }

    /// Largest UDP payload that we take, told to the peer: 1200 to 65,527 bytes. Default 65,527.
    #[napi]
    pub fn set_max_recv_udp_payload_size(&self, bytes: f64) -> Result<()> {
        let bytes = number::size("maxRecvUdpPayloadSize", bytes, MIN_UDP_PAYLOAD..=MAX_UDP_PAYLOAD)?;
        self.edit(|config| config.quiche.set_max_recv_udp_payload_size(bytes))
    }

    /// Largest UDP payload that we send: 1200 to 65,527 bytes. Default 1200, which every path carries.
    #[napi]
    pub fn set_max_send_udp_payload_size(&self, bytes: f64) -> Result<()> {
        let bytes = number::size("maxSendUdpPayloadSize", bytes, MIN_UDP_PAYLOAD..=MAX_UDP_PAYLOAD)?;
        self.edit(|config| config.quiche.set_max_send_udp_payload_size(bytes))
    }

    /// Bytes of stream data that the peer may send on the whole connection before some are read; more is granted as they
    /// are. Default 0: the peer may send none.
    #[napi]
    pub fn set_initial_max_data(&self, bytes: f64) -> Result<()> {
        let bytes = number::integer("initialMaxData", bytes, ANY)?;
        self.edit(|config| config.quiche.set_initial_max_data(bytes))
    }

    /// Bytes that the peer may send on each bidirectional stream of ours before some are read. Default 0.
    #[napi]
    pub fn set_initial_max_stream_data_bidi_local(&self, bytes: f64) -> Result<()> {
        let bytes = number::integer("initialMaxStreamDataBidiLocal", bytes, ANY)?;
        self.edit(|config| config.quiche.set_initial_max_stream_data_bidi_local(bytes))
    }

    /// Bytes that the peer may send on each bidirectional stream of its own before some are read. Default 0.
    #[napi]
    pub fn set_initial_max_stream_data_bidi_remote(&self, bytes: f64) -> Result<()> {
        let bytes = number::integer("initialMaxStreamDataBidiRemote", bytes, ANY)?;
        self.edit(|config| config.quiche.set_initial_max_stream_data_bidi_remote(bytes))
    }

    /// Bytes that the peer may send on each of its unidirectional streams before some are read. Default 0.
    #[napi]
    pub fn set_initial_max_stream_data_uni(&self, bytes: f64) -> Result<()> {
        let bytes = number::integer("initialMaxStreamDataUni", bytes, ANY)?;
        self.edit(|config| config.quiche.set_initial_max_stream_data_uni(bytes))
    }

    /// Bidirectional streams that the peer may have open at a time; finished ones make room. Default 0.
    #[napi]
    pub fn set_initial_max_streams_bidi(&self, count: f64) -> Result<()> {
        let count = number::integer("initialMaxStreamsBidi", count, ANY)?;
        self.edit(|config| config.quiche.set_initial_max_streams_bidi(count))
    }

    /// Unidirectional streams that the peer may have open at a time; finished ones make room. Default 0.
    #[napi]
    pub fn set_initial_max_streams_uni(&self, count: f64) -> Result<()> {
        let count = number::integer("initialMaxStreamsUni", count, ANY)?;
        self.edit(|config| config.set_initial_max_streams_uni(count))
    }

    /// The unit of the delays in our acknowledgements, as a power of two of microseconds: 0 to 20. Default 3.
    #[napi]
    pub fn set_ack_delay_exponent(&self, exponent: f64) -> Result<()> {
        let exponent = number::integer("ackDelayExponent", exponent, 0..=quiche::MAX_ACK_DELAY_EXPONENT)?;
        self.edit(|config| config.quiche.set_ack_delay_exponent(exponent))
    }

    /// How long we may wait before we acknowledge: 0 to 16,383 milliseconds. Default 25.
    #[napi]
    pub fn set_max_ack_delay(&self, ms: f64) -> Result<()> {
        // RFC 9000 §18.2: values of 2^14 or more are invalid.
        let ms = number::integer("maxAckDelay", ms, 0..=(1 << 14) - 1)?;
        self.edit(|config| config.quiche.set_max_ack_delay(ms))
    }

    /// Connection ids of the peer that we keep, which bounds the paths at a time: 2 to 1024. Default 2, at which the
    /// second NAT rebinding ends the connection in silence: 8 serves peers behind NATs.
    #[napi]
    pub fn set_active_connection_id_limit(&self, limit: f64) -> Result<()> {
        let limit = number::integer("activeConnectionIdLimit", limit, 2..=1024)?;
        self.edit(|config| config.quiche.set_active_connection_id_limit(limit))
    }

    /// Tells the peer not to migrate on purpose (RFC 9000 §9). Default false. quiche only tells; an endpoint also
    /// drops what comes from a peer that does it nevertheless.
    #[napi]
    pub fn set_disable_active_migration(&self, disable: bool) -> Result<()> {
        self.edit(|config| config.set_disable_active_migration(disable))
    }

    /// Client on an endpoint: follows the server to another address, once an authentic packet came from there. RFC 9000 §9
    /// wants clients to drop such packets; this is for servers behind NATs. Default false.
    #[napi]
    pub fn set_follow_server(&self, follow: bool) -> Result<()> {
        self.edit(|config| config.follow_server = follow)
    }

    /// Switches datagrams (RFC 9221) on or off, and sets how many may wait: 1 to 65,535 in each direction. Default off.
    /// A received datagram that finds the queue full pushes the oldest out; one to be sent is refused.
    #[napi]
    pub fn enable_dgram(&self, enabled: bool, recv_queue_length: f64, send_queue_length: f64) -> Result<()> {
        // With no room at all, quiche would drop what follows a datagram in its packet.
        let receive = number::size("recvQueueLength", recv_queue_length, 1..=u16::MAX.into())?;
        let send = number::size("sendQueueLength", send_queue_length, 1..=u16::MAX.into())?;
        self.edit(|config| config.quiche.enable_dgram(enabled, receive, send))
    }

    /// How many PATH_CHALLENGE frames of the peer may wait for our answer, others are dropped: 0 to 1024. Default 3.
    #[napi]
    pub fn set_path_challenge_recv_max_queue_len(&self, length: f64) -> Result<()> {
        let length = number::size("pathChallengeRecvMaxQueueLen", length, 0..=1024)?;
        self.edit(|config| config.quiche.set_path_challenge_recv_max_queue_len(length))
    }

    /// To how many bytes the window of a connection may grow when its data is read fast. Default 25,165,824 (24 MiB).
    #[napi]
    pub fn set_max_connection_window(&self, bytes: f64) -> Result<()> {
        let bytes = number::integer("maxConnectionWindow", bytes, ANY)?;
        self.edit(|config| config.quiche.set_max_connection_window(bytes))
    }

    /// To how many bytes the window of a stream may grow when its data is read fast. Default 16,777,216 (16 MiB).
    #[napi]
    pub fn set_max_stream_window(&self, bytes: f64) -> Result<()> {
        let bytes = number::integer("maxStreamWindow", bytes, ANY)?;
        self.edit(|config| config.quiche.set_max_stream_window(bytes))
    }

    /// Never uses one connection id of the peer on two paths (RFC 9000 §9.5). Default false. When the peer's NAT rebinds
    /// and it has given no spare id, the connection then stalls.
    #[napi]
    pub fn set_disable_dcid_reuse(&self, disable: bool) -> Result<()> {
        self.edit(|config| config.quiche.set_disable_dcid_reuse(disable))
    }

    /// Keeps transport parameters of the peer that quiche doesn't know, up to so many bytes, ids included (8 each), for
    /// `peerTransportParams().unknown`: 0 to 2^32-1. Default: kept are none.
    #[napi]
    pub fn enable_track_unknown_transport_parameters(&self, bytes: f64) -> Result<()> {
        let bytes = number::size("trackUnknownTransportParameters", bytes, ANY_U32)?;
        self.edit(|config| config.quiche.enable_track_unknown_transport_parameters(bytes))
    }

    /// Sends reserved values now and then, so that peers stay tolerant. Default true. quiche 0.30 does it in HTTP/3 only: no
    /// effect here.
    #[napi]
    pub fn grease(&self, grease: bool) -> Result<()> {
        self.edit(|config| config.quiche.grease(grease))
    }

    /// How many times the bytes it has received a server may send to an address that isn't validated yet: 1 to 1000.
    /// Default 3, and more breaks RFC 9000 §8.1: it makes the server an amplifier for attacks on others.
    #[napi]
    pub fn set_max_amplification_factor(&self, factor: f64) -> Result<()> {
        let factor = number::size("maxAmplificationFactor", factor, 1..=1000)?;
        self.edit(|config| config.quiche.set_max_amplification_factor(factor))
    }
}
