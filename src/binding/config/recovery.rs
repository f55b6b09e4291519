//! Loss recovery, congestion control, pacing and path MTU (RFC 9002, RFC 8899).

use napi_derive::napi;

use super::Config;
use crate::binding::error::{Result, invalid_argument};
use crate::binding::number;
use crate::quic;

/// A congestion control algorithm.
#[napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CongestionControlAlgorithm {
    /// RFC 9002's NewReno; `reno`.
    Reno = 0,
    /// RFC 9438, the default; `cubic`.
    Cubic = 1,
    /// BBR version 2; `bbr2_gcongestion`, `bbr2` or `bbr`.
    Bbr2Gcongestion = 4,
}

#[napi]
impl Config {
    /// Sets the congestion control algorithm. Default cubic. Throws `InvalidArgument` for an unknown one.
    #[napi]
    pub fn set_cc_algorithm(&self, #[napi(ts_arg_type = "CongestionControlAlgorithm")] algorithm: f64) -> Result<()> {
        // Not taken as an enum: Node-API would wrap numbers of more than 32 bits.
        let algorithm = match algorithm {
            0.0 => quiche::CongestionControlAlgorithm::Reno,
            1.0 => quiche::CongestionControlAlgorithm::CUBIC,
            4.0 => quiche::CongestionControlAlgorithm::Bbr2Gcongestion,
            other => {
                return Err(invalid_argument("algorithm", &format!("there is no algorithm {other}")));
            }
        };
        self.edit(|config| config.quiche.set_cc_algorithm(algorithm))
    }

    /// Sets the congestion control algorithm by name: `reno`, `cubic`, `bbr2_gcongestion`, `bbr2` or `bbr`. Throws
    /// `InvalidConfig` for others.
    #[napi]
    pub fn set_cc_algorithm_name(&self, name: String) -> Result<()> {
        self.try_edit(|config| {
            config
                .quiche
                .set_cc_algorithm_name(&name)
                .map_err(|_| quic::Error::Config {
                    setting: "ccAlgorithmName",
                    reason: format!("{name:?} is none of reno, cubic, bbr2_gcongestion, bbr2, bbr"),
                })
        })
    }

    /// With how many packets in flight a connection begins: 1 to 65,535. Default 10.
    #[napi]
    pub fn set_initial_congestion_window_packets(&self, packets: f64) -> Result<()> {
        let packets = number::size("initialCongestionWindowPackets", packets, 1..=u16::MAX.into())?;
        self.edit(|config| config.quiche.set_initial_congestion_window_packets(packets))
    }

    /// Waits longer before packets count as lost, once some were wrongly taken for lost. Default false.
    #[napi]
    pub fn set_enable_relaxed_loss_threshold(&self, enable: bool) -> Result<()> {
        self.edit(|config| config.quiche.set_enable_relaxed_loss_threshold(enable))
    }

    /// Keeps cubic from counting an idle time as growth. Default true.
    #[napi]
    pub fn set_enable_cubic_idle_restart_fix(&self, enable: bool) -> Result<()> {
        self.edit(|config| config.quiche.set_enable_cubic_idle_restart_fix(enable))
    }

    /// Tells the peer when we want to open a stream beyond its limit (STREAMS_BLOCKED, RFC 9000 §19.14). Default false.
    #[napi]
    pub fn set_enable_send_streams_blocked(&self, enable: bool) -> Result<()> {
        self.edit(|config| config.quiche.set_enable_send_streams_blocked(enable))
    }

    /// Leaves slow start early when the round trips grow (HyStart++, RFC 9406). Default true.
    #[napi]
    pub fn enable_hystart(&self, enable: bool) -> Result<()> {
        self.edit(|config| config.quiche.enable_hystart(enable))
    }

    /// Spreads packets over time: `send` then says when each should leave. Default true.
    #[napi]
    pub fn enable_pacing(&self, enable: bool) -> Result<()> {
        self.edit(|config| config.quiche.enable_pacing(enable))
    }

    /// Bounds the rate of pacing: 1 to 2^32-1 megabits per second. Unbounded by default. Only BBR looks at it.
    #[napi]
    pub fn set_max_pacing_rate(&self, megabits_per_second: f64) -> Result<()> {
        let rate = number::integer("maxPacingRate", megabits_per_second, 1..=u32::MAX.into())?;
        self.edit(|config| config.quiche.set_max_pacing_rate(rate))
    }

    /// How much stream data may wait in the connection, as a multiple of the congestion window: 0.01 to 1000. Default 1.
    #[napi]
    pub fn set_send_capacity_factor(&self, factor: f64) -> Result<()> {
        let factor = number::factor("sendCapacityFactor", factor, 0.01..=1000.0)?;
        self.edit(|config| config.quiche.set_send_capacity_factor(factor))
    }

    /// The round trip time to assume before one was measured: 1 to 60,000 milliseconds. Default 333.
    #[napi]
    pub fn set_initial_rtt(&self, ms: f64) -> Result<()> {
        let rtt = number::milliseconds("initialRtt", ms, 1..=60_000)?;
        self.edit(|config| config.quiche.set_initial_rtt(rtt))
    }

    /// Probes for the largest packet that the path carries, up to `setMaxSendUdpPayloadSize` (RFC 8899). Default false.
    /// What it finds comes as the path event `PmtuUpdated`. Needs a socket that doesn't fragment.
    #[napi]
    pub fn discover_pmtu(&self, discover: bool) -> Result<()> {
        self.edit(|config| config.set_discover_pmtu(discover))
    }

    /// How often a size is probed before it counts as too large: 1 to 255, or 0 for the default of 3.
    #[napi]
    pub fn set_pmtud_max_probes(&self, probes: f64) -> Result<()> {
        let probes = number::u8("pmtudMaxProbes", probes)?;
        self.edit(|config| config.quiche.set_pmtud_max_probes(probes))
    }
}
