//! Numbers from JavaScript, checked: a number that is negative, fractional, NaN or too large is refused, never wrapped.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{Code, Error, Result};

/// `Number.MAX_SAFE_INTEGER`: beyond it, JavaScript's numbers skip integers.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// Any size that JavaScript can name.
pub const ANY: RangeInclusive<u64> = 0..=MAX_SAFE_INTEGER;
/// What fits into 32 bits.
pub const ANY_U32: RangeInclusive<u64> = 0..=u32::MAX as u64;

/// An integer within `range`, which ends at [`MAX_SAFE_INTEGER`] or below.
pub fn integer(name: &str, value: f64, range: RangeInclusive<u64>) -> Result<u64> {
    let (low, high) = (*range.start(), *range.end());
    // NaN and infinities have a fraction of NaN.
    if value.fract() != 0.0 || value < low as f64 || value > high as f64 {
        return Err(Error::new(
            Code::OUT_OF_RANGE,
            format!("{name}: expected an integer from {low} to {high}, got {value}"),
        ));
    }
    Ok(value as u64)
}

/// A count or a number of bytes.
pub fn size(name: &str, value: f64, range: RangeInclusive<u64>) -> Result<usize> {
    let value = integer(name, value, range)?;
    usize::try_from(value).map_err(|_| {
        Error::new(
            Code::OUT_OF_RANGE,
            format!("{name}: {value} is more than this system can address"),
        )
    })
}

/// An integer of 32 bits.
pub fn u32(name: &str, value: f64) -> Result<u32> {
    integer(name, value, ANY_U32).map(|value| value as u32)
}

/// An integer of 8 bits.
pub fn u8(name: &str, value: f64) -> Result<u8> {
    integer(name, value, 0..=u8::MAX.into()).map(|value| value as u8)
}

/// A UDP port.
pub fn port(name: &str, value: f64) -> Result<u16> {
    integer(name, value, 0..=u16::MAX.into()).map(|value| value as u16)
}

/// A stream id. QUIC allows 62 bits (RFC 9000 §2.1), JavaScript 53: no connection lives to see the difference.
pub fn stream_id(value: f64) -> Result<u64> {
    integer("stream id", value, ANY)
}

/// An error code of an application or of QUIC, of which JavaScript can name 2^53.
pub fn error_code(value: f64) -> Result<u64> {
    integer("error code", value, ANY)
}

/// A time in whole milliseconds.
pub fn milliseconds(name: &str, value: f64, range: RangeInclusive<u64>) -> Result<Duration> {
    integer(name, value, range).map(Duration::from_millis)
}

/// A factor within `range`, fractions allowed.
pub fn factor(name: &str, value: f64, range: RangeInclusive<f64>) -> Result<f64> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (low, high) = range.into_inner();
    Err(Error::new(
        Code::OUT_OF_RANGE,
        format!("{name}: expected a number from {low} to {high}, got {value}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_integer_in_range_is_refused() {
        for bad in [
            -1.0,
            0.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9_007_199_254_740_992.0,
            1e300,
        ] {
            assert_eq!(
                integer("n", bad, ANY).expect_err("bad").status,
                Code::OUT_OF_RANGE,
                "{bad}"
            );
        }
        assert_eq!(
            u8("n", 256.0).expect_err("too large").reason,
            "n: expected an integer from 0 to 255, got 256"
        );
        assert!(u32("n", 4_294_967_296.0).is_err());
        assert!(port("n", 65_536.0).is_err());
        assert!(factor("n", f64::NAN, 0.0..=1.0).is_err());
    }

    #[test]
    fn the_ends_of_a_range_are_in_it() {
        assert_eq!(
            integer("n", 9_007_199_254_740_991.0, ANY).expect("in range"),
            MAX_SAFE_INTEGER
        );
        assert_eq!(integer("n", -0.0, ANY).expect("zero"), 0);
        assert_eq!(port("n", 65_535.0).expect("in range"), u16::MAX);
        assert_eq!(factor("n", 1.0, 0.0..=1.0).expect("in range"), 1.0);
    }
}
