//! Errors with a code, and checked numbers, for this folder.

use crate::x509::{
    AnchorError, CertificateError, CreateError, FingerprintError, InvalidServerName, KeyError, MAX_TIME, PemError,
};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `error.code` in JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub(super) &'static str);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

/// An error on its way to JavaScript.
pub type Error = napi::Error<Code>;
/// Result of what JavaScript calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! convert {
    ($($inner:ty),+) => {
        $(impl From<$inner> for Error {
            fn from(error: $inner) -> Self {
                Error::new(Code(error.code()), error.to_string())
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

/// The error for an argument without meaning.
pub fn invalid_argument(name: &str, reason: &str) -> Error {
    Error::new(Code("InvalidArgument"), format!("{name}: {reason}"))
}

/// An integer within `range`.
pub fn integer(name: &str, value: f64, range: RangeInclusive<u64>) -> Result<u64> {
    let (low, high) = (*range.start(), *range.end());
    // NaN and infinities have a fraction of NaN.
    if value.fract() != 0.0 || value < low as f64 || value > high as f64 {
        let message = format!("{name}: expected an integer from {low} to {high}, got {value}");
        return Err(Error::new(Code("OutOfRange"), message));
    }
    Ok(value as u64)
}

/// Seconds since the Unix epoch; the fraction is dropped. Milliseconds don't pass: today they exceed the range.
pub fn seconds(name: &str, value: f64) -> Result<i64> {
    if !(0.0..=MAX_TIME as f64).contains(&value) {
        let message = format!("{name}: expected seconds (not milliseconds) from 0 to {MAX_TIME}, got {value}");
        return Err(Error::new(Code("OutOfRange"), message));
    }
    Ok(value as i64)
}

/// Runs what reads strangers' bytes; a panic becomes an error, since it must never reach Node.
pub fn catch<T, E: Into<Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Error::new(
            Code("Panic"),
            "an assertion inside the addon failed: please report it".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_not_taken_for_seconds() {
        assert_eq!(seconds("at", 1_800_000_000.9).expect("seconds"), 1_800_000_000);
        for value in [1_800_000_000_000.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(seconds("at", value).expect_err("no second").status, Code("OutOfRange"));
        }
    }

    #[test]
    fn integers_are_whole_and_in_range() {
        assert_eq!(integer("length", 3.0, 1..=64).expect("in range"), 3);
        for value in [0.0, 65.0, 1.5, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                integer("length", value, 1..=64).expect_err("out of range").status,
                Code("OutOfRange")
            );
        }
    }
}
