//! Errors of [`crate::x509`] for JavaScript, and times.

use crate::binding::error::{Code, Error, Result};
use crate::x509::{
    AnchorError, CertificateError, CreateError, FingerprintError, InvalidServerName, KeyError, MAX_TIME, PemError,
};

macro_rules! convert {
    ($($inner:ty),+) => {
        $(impl From<$inner> for Error {
            fn from(error: $inner) -> Self {
                Error::new(Code::new(error.code()), error.to_string())
            }
        })+
    };
}

convert!(
    AnchorError,
    CertificateError,
    CreateError,
    FingerprintError,
    InvalidServerName,
    KeyError,
    PemError
);

/// Seconds since the Unix epoch; the fraction is dropped. Milliseconds don't pass: today they exceed the range.
pub fn seconds(name: &str, value: f64) -> Result<i64> {
    if !(0.0..=MAX_TIME as f64).contains(&value) {
        return Err(Error::new(
            Code::OUT_OF_RANGE,
            format!("{name}: expected seconds (not milliseconds) from 0 to {MAX_TIME}, got {value}"),
        ));
    }
    Ok(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_not_taken_for_seconds() {
        assert_eq!(seconds("at", 1_800_000_000.9).expect("seconds"), 1_800_000_000);
        for value in [1_800_000_000_000.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(seconds("at", value).expect_err("no second").status, Code::OUT_OF_RANGE);
        }
    }
}
