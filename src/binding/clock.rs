//! The clock. The inner modules take times as arguments; this is the layer that has them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, on the clock that quiche reads.
#[expect(clippy::disallowed_methods, reason = "the outermost layer reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, as the time since 1970; zero on a clock that is set before.
#[expect(clippy::disallowed_methods, reason = "the outermost layer reads the clock")]
pub fn since_unix_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time in milliseconds with fractions.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
