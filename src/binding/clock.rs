//! The clock. The inner modules take times as arguments; this is the layer that has them.

use std::time::{Duration, Instant};

/// Now, on the clock that quiche reads.
#[expect(clippy::disallowed_methods, reason = "the outermost layer reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// A time in milliseconds with fractions.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
