//! Guards the door: how many may come in, how fast, from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Bounds on what strangers can make an endpoint hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all, dialled and accepted.
    pub connections: usize,
    /// Accepted connections from one IP address.
    pub connections_per_address: usize,
    /// Accepted connections whose handshake isn't complete.
    pub half_open: usize,
    /// Accepted connections per second, in bursts of as many.
    pub accepts_per_second: u32,
    /// Stream data and datagrams received and not yet read, over all connections, in bytes.
    pub buffered_bytes: usize,
    /// Stray datagrams kept for whoever wants them.
    pub strays: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            connections_per_address: 8_192,
            half_open: 4_096,
            accepts_per_second: 10_000,
            buffered_bytes: 512 << 20,
            strays: 0,
        }
    }
}

/// When newcomers must prove their address by a Retry (RFC 9000 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// When more handshakes than this are half-open: costs no round trip in quiet times.
    Adaptive(usize),
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::Adaptive(64)
    }
}

/// Lets through so many a second, in bursts of as many.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: u32,
    left: f64,
    filled: Option<Instant>,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            left: f64::from(per_second),
            filled: None,
        }
    }

    /// Takes one, if there is one left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = self
            .filled
            .map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        let full = f64::from(self.per_second);
        self.left = (self.left + passed.as_secs_f64() * full).min(full);
        self.filled = Some(now);
        let some_left = self.left >= 1.0;
        if some_left {
            self.left -= 1.0;
        }
        some_left
    }
}

/// Counts accepted connections by IP address.
#[derive(Debug, Default)]
pub(super) struct PerAddress(HashMap<IpAddr, usize>);

impl PerAddress {
    pub(super) fn count(&self, ip: IpAddr) -> usize {
        self.0.get(&ip).copied().unwrap_or(0)
    }

    pub(super) fn enter(&mut self, ip: IpAddr) {
        *self.0.entry(ip).or_default() += 1;
    }

    pub(super) fn leave(&mut self, ip: IpAddr) {
        if let Some(count) = self.0.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_lets_a_burst_through_and_refills() {
        let mut rate = Rate::new(2);
        #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
        let start = Instant::now();
        assert!(rate.take(start) && rate.take(start) && !rate.take(start));
        let later = start + Duration::from_millis(600);
        assert!(rate.take(later) && !rate.take(later));
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let mut addresses = PerAddress::default();
        let ip = IpAddr::from([192, 0, 2, 1]);
        addresses.enter(ip);
        addresses.enter(ip);
        addresses.leave(ip);
        assert_eq!(addresses.count(ip), 1);
        addresses.leave(ip);
        assert!(addresses.0.is_empty());
    }
}
