//! Counters and measurements, as plain objects.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::address::Address;
use super::clock;

/// Statistics of a connection. Counters start at 0 with the connection.
#[napi(object, object_from_js = false)]
pub struct ConnectionStats {
    /// QUIC packets received.
    pub recv: f64,
    /// QUIC packets sent.
    pub sent: f64,
    /// Packets taken for lost.
    pub lost: f64,
    /// Packets taken for lost and acknowledged later.
    pub spurious_lost: f64,
    /// Packets sent with data that was sent before.
    pub retrans: f64,
    /// Bytes sent.
    pub sent_bytes: f64,
    /// Bytes received.
    pub recv_bytes: f64,
    /// Bytes sent and acknowledged.
    pub acked_bytes: f64,
    /// Bytes sent and taken for lost.
    pub lost_bytes: f64,
    /// Bytes of stream data that were sent again.
    pub stream_retrans_bytes: f64,
    /// Datagrams (RFC 9221) received.
    pub dgram_recv: f64,
    /// Datagrams (RFC 9221) sent.
    pub dgram_sent: f64,
    /// Paths known now.
    pub paths_count: f64,
    /// Streams that we reset.
    pub reset_stream_count_local: f64,
    /// Streams that we asked the peer to stop.
    pub stopped_stream_count_local: f64,
    /// Streams that the peer reset.
    pub reset_stream_count_remote: f64,
    /// Streams that the peer asked us to stop.
    pub stopped_stream_count_remote: f64,
    /// How often we said that the peer's limit for the connection blocks us.
    pub data_blocked_sent_count: f64,
    /// How often we said that the peer's limit for a stream blocks us.
    pub stream_data_blocked_sent_count: f64,
    /// How often the peer said that our limit for the connection blocks it.
    pub data_blocked_recv_count: f64,
    /// How often the peer said that our limit for a stream blocks it.
    pub stream_data_blocked_recv_count: f64,
    /// How often the peer said that our limit of bidirectional streams blocks it.
    pub streams_blocked_bidi_recv_count: f64,
    /// How often the peer said that our limit of unidirectional streams blocks it.
    pub streams_blocked_uni_recv_count: f64,
    /// PATH_CHALLENGE frames received.
    pub path_challenge_rx_count: f64,
    /// How often nothing could be sent because the peer's address wasn't validated yet (RFC 9000 §8.1).
    pub amplification_limited_count: f64,
    /// For how many milliseconds something sent was waiting to be acknowledged.
    pub bytes_in_flight_duration: f64,
    /// False if quiche found its count of buffered bytes inconsistent, a bug inside it.
    pub tx_buffered_consistent: bool,
}

impl From<quiche::Stats> for ConnectionStats {
    fn from(stats: quiche::Stats) -> Self {
        Self {
            recv: stats.recv as f64,
            sent: stats.sent as f64,
            lost: stats.lost as f64,
            spurious_lost: stats.spurious_lost as f64,
            retrans: stats.retrans as f64,
            sent_bytes: stats.sent_bytes as f64,
            recv_bytes: stats.recv_bytes as f64,
            acked_bytes: stats.acked_bytes as f64,
            lost_bytes: stats.lost_bytes as f64,
            stream_retrans_bytes: stats.stream_retrans_bytes as f64,
            dgram_recv: stats.dgram_recv as f64,
            dgram_sent: stats.dgram_sent as f64,
            paths_count: stats.paths_count as f64,
            reset_stream_count_local: stats.reset_stream_count_local as f64,
            stopped_stream_count_local: stats.stopped_stream_count_local as f64,
            reset_stream_count_remote: stats.reset_stream_count_remote as f64,
            stopped_stream_count_remote: stats.stopped_stream_count_remote as f64,
            data_blocked_sent_count: stats.data_blocked_sent_count as f64,
            stream_data_blocked_sent_count: stats.stream_data_blocked_sent_count as f64,
            data_blocked_recv_count: stats.data_blocked_recv_count as f64,
            stream_data_blocked_recv_count: stats.stream_data_blocked_recv_count as f64,
            streams_blocked_bidi_recv_count: stats.streams_blocked_bidi_recv_count as f64,
            streams_blocked_uni_recv_count: stats.streams_blocked_uni_recv_count as f64,
            path_challenge_rx_count: stats.path_challenge_rx_count as f64,
            amplification_limited_count: stats.amplification_limited_count as f64,
            bytes_in_flight_duration: clock::milliseconds(stats.bytes_in_flight_duration),
            tx_buffered_consistent: stats.tx_buffered_state == quiche::TxBufferTrackingState::Ok,
        }
    }
}

/// Statistics of one path of a connection. Times are in milliseconds.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct PathStats {
    /// Our end of the path.
    pub local: Address,
    /// The peer's end of the path.
    pub peer: Address,
    /// How far the path is validated (RFC 9000 §8.2).
    #[napi(ts_type = "'Failed' | 'Unknown' | 'Validating' | 'ValidatingMTU' | 'Validated'")]
    pub validation_state: &'static str,
    /// Whether this is the path in use.
    pub active: bool,
    /// QUIC packets received.
    pub recv: f64,
    /// QUIC packets sent.
    pub sent: f64,
    /// Packets taken for lost.
    pub lost: f64,
    /// Packets sent with data that was sent before.
    pub retrans: f64,
    /// How often nothing was heard for a probe timeout.
    pub total_pto_count: f64,
    /// Datagrams (RFC 9221) received.
    pub dgram_recv: f64,
    /// Datagrams (RFC 9221) sent.
    pub dgram_sent: f64,
    /// Datagrams (RFC 9221) taken for lost.
    pub dgram_lost: f64,
    /// The smoothed round trip time; the assumed one before the first was measured.
    pub rtt: f64,
    /// The shortest round trip time; null before one was measured.
    pub min_rtt: Option<f64>,
    /// The longest round trip time; null before one was measured.
    pub max_rtt: Option<f64>,
    /// How much the round trip time varies.
    pub rttvar: f64,
    /// The congestion window, in bytes.
    pub cwnd: f64,
    /// Bytes sent.
    pub sent_bytes: f64,
    /// Bytes received.
    pub recv_bytes: f64,
    /// Bytes taken for lost.
    pub lost_bytes: f64,
    /// Bytes of stream data that were sent again.
    pub stream_retrans_bytes: f64,
    /// The largest packet, in bytes.
    pub pmtu: f64,
    /// The last estimate of what arrives, in bytes per second.
    pub delivery_rate: f64,
    /// The estimate of the path's bandwidth, in bytes per second; null but for BBR.
    pub max_bandwidth: Option<f64>,
    /// How often the round trip time jumped and stayed.
    pub rtt_persistent_jump_count: f64,
    /// How slow start ended; null as long as it lasts.
    pub startup_exit: Option<StartupExit>,
}

/// How slow start ended.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct StartupExit {
    /// The congestion window then, in bytes.
    pub cwnd: f64,
    /// The estimate of the bandwidth then, in bytes per second; null but for BBR.
    pub bandwidth: Option<f64>,
    /// Why.
    #[napi(ts_type = "'Loss' | 'BandwidthPlateau' | 'PersistentQueue' | 'ConservativeSlowStartRounds'")]
    pub reason: &'static str,
}

impl From<quiche::PathStats> for PathStats {
    fn from(stats: quiche::PathStats) -> Self {
        Self {
            local: stats.local_addr.into(),
            peer: stats.peer_addr.into(),
            validation_state: validation_state(&stats),
            active: stats.active,
            recv: stats.recv as f64,
            sent: stats.sent as f64,
            lost: stats.lost as f64,
            retrans: stats.retrans as f64,
            total_pto_count: stats.total_pto_count as f64,
            dgram_recv: stats.dgram_recv as f64,
            dgram_sent: stats.dgram_sent as f64,
            dgram_lost: stats.dgram_lost as f64,
            rtt: clock::milliseconds(stats.rtt),
            min_rtt: stats.min_rtt.map(clock::milliseconds),
            max_rtt: stats.max_rtt.map(clock::milliseconds),
            rttvar: clock::milliseconds(stats.rttvar),
            cwnd: stats.cwnd as f64,
            sent_bytes: stats.sent_bytes as f64,
            recv_bytes: stats.recv_bytes as f64,
            lost_bytes: stats.lost_bytes as f64,
            stream_retrans_bytes: stats.stream_retrans_bytes as f64,
            pmtu: stats.pmtu as f64,
            delivery_rate: stats.delivery_rate as f64,
            max_bandwidth: stats.max_bandwidth.map(|rate| rate as f64),
            rtt_persistent_jump_count: stats.rtt_persistent_jump_count as f64,
            startup_exit: stats.startup_exit.map(StartupExit::from),
        }
    }
}

impl From<quiche::StartupExit> for StartupExit {
    fn from(exit: quiche::StartupExit) -> Self {
        use quiche::StartupExitReason as Reason;
        Self {
            cwnd: exit.cwnd as f64,
            bandwidth: exit.bandwidth.map(|rate| rate as f64),
            reason: match exit.reason {
                Reason::Loss => "Loss",
                Reason::BandwidthPlateau => "BandwidthPlateau",
                Reason::PersistentQueue => "PersistentQueue",
                Reason::ConservativeSlowStartRounds => "ConservativeSlowStartRounds",
            },
        }
    }
}

/// quiche doesn't export the type of this state.
fn validation_state(stats: &quiche::PathStats) -> &'static str {
    match format!("{:?}", stats.validation_state).as_str() {
        "Failed" => "Failed",
        "Validating" => "Validating",
        "ValidatingMTU" => "ValidatingMTU",
        "Validated" => "Validated",
        _ => "Unknown",
    }
}

/// Transport parameters (RFC 9000 §18.2). Times are in milliseconds.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct TransportParams {
    /// Server: the destination id of the client's first Initial.
    pub original_destination_connection_id: Option<Buffer>,
    /// After what silence the connection ends; 0 for never.
    pub max_idle_timeout: f64,
    /// Server: what a stateless reset of its first id would hold.
    pub stateless_reset_token: Option<Buffer>,
    /// Largest UDP payload it takes.
    pub max_udp_payload_size: f64,
    /// Bytes for the whole connection.
    pub initial_max_data: f64,
    /// Bytes for each bidirectional stream of the one who sent the parameters.
    pub initial_max_stream_data_bidi_local: f64,
    /// Bytes for each bidirectional stream of the other side.
    pub initial_max_stream_data_bidi_remote: f64,
    /// Bytes for each unidirectional stream of the other side.
    pub initial_max_stream_data_uni: f64,
    /// Bidirectional streams that the other side may open.
    pub initial_max_streams_bidi: f64,
    /// Unidirectional streams that the other side may open.
    pub initial_max_streams_uni: f64,
    /// Unit of the delays in acknowledgements, as a power of two of microseconds.
    pub ack_delay_exponent: f64,
    /// How long it may wait before it acknowledges.
    pub max_ack_delay: f64,
    /// Whether it wishes no migration on purpose.
    pub disable_active_migration: bool,
    /// How many connection ids of the other side it keeps.
    pub active_conn_id_limit: f64,
    /// The source id of its first packet.
    pub initial_source_connection_id: Option<Buffer>,
    /// Server: the source id of its Retry.
    pub retry_source_connection_id: Option<Buffer>,
    /// Largest DATAGRAM frame it takes; null for none (RFC 9221 §3).
    pub max_datagram_frame_size: Option<f64>,
    /// Parameters that quiche doesn't know; null unless `enableTrackUnknownTransportParameters`.
    pub unknown: Option<Vec<UnknownTransportParameter>>,
}

/// A transport parameter that quiche doesn't know.
#[napi(object, object_from_js = false)]
pub struct UnknownTransportParameter {
    /// Its id, in decimal: it may have 62 bits.
    pub id: String,
    /// Its value.
    pub value: Buffer,
}

impl From<&quiche::TransportParams> for TransportParams {
    fn from(params: &quiche::TransportParams) -> Self {
        let id = |id: &Option<quiche::ConnectionId>| id.as_ref().map(|id| Buffer::from(id.to_vec()));
        Self {
            original_destination_connection_id: id(&params.original_destination_connection_id),
            max_idle_timeout: params.max_idle_timeout as f64,
            stateless_reset_token: params
                .stateless_reset_token
                .map(|token| token.to_be_bytes().to_vec().into()),
            max_udp_payload_size: params.max_udp_payload_size as f64,
            initial_max_data: params.initial_max_data as f64,
            initial_max_stream_data_bidi_local: params.initial_max_stream_data_bidi_local as f64,
            initial_max_stream_data_bidi_remote: params.initial_max_stream_data_bidi_remote as f64,
            initial_max_stream_data_uni: params.initial_max_stream_data_uni as f64,
            initial_max_streams_bidi: params.initial_max_streams_bidi as f64,
            initial_max_streams_uni: params.initial_max_streams_uni as f64,
            ack_delay_exponent: params.ack_delay_exponent as f64,
            max_ack_delay: params.max_ack_delay as f64,
            disable_active_migration: params.disable_active_migration,
            active_conn_id_limit: params.active_conn_id_limit as f64,
            initial_source_connection_id: id(&params.initial_source_connection_id),
            retry_source_connection_id: id(&params.retry_source_connection_id),
            max_datagram_frame_size: params.max_datagram_frame_size.map(|size| size as f64),
            unknown: params
                .unknown_params
                .as_ref()
                .map(|unknown| unknown.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<&quiche::UnknownTransportParameter<Vec<u8>>> for UnknownTransportParameter {
    fn from(parameter: &quiche::UnknownTransportParameter<Vec<u8>>) -> Self {
        Self {
            id: parameter.id.to_string(),
            value: parameter.value.clone().into(),
        }
    }
}
