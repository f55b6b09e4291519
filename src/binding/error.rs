//! Errors as JavaScript sees them: `error.code` is a stable name, `error.message` a sentence for people.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::{Env, JsError};

use crate::quic;

/// The stable name of an error, `error.code` in JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(&'static str);

impl Code {
    /// A number is not an integer, or not in the range that its description gives.
    pub const OUT_OF_RANGE: Code = Code("OutOfRange");
    /// What JavaScript threw is pending already: napi then throws nothing else.
    const PENDING_EXCEPTION: Code = Code("PendingException");
    /// An argument has the right type and no meaning: a host that is no address, a connection id that is too long.
    pub const INVALID_ARGUMENT: Code = Code("InvalidArgument");
    /// A panic was caught outside any connection.
    pub const PANIC: Code = Code("Panic");

    /// A code of an inner module.
    pub const fn new(code: &'static str) -> Self {
        Self(code)
    }
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

/// An error on its way to JavaScript.
pub type Error = napi::Error<Code>;
/// Result of what JavaScript calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<quic::Error> for Error {
    fn from(error: quic::Error) -> Self {
        Error::new(Code::new(error.code()), error.to_string())
    }
}

/// The error for an argument without meaning.
pub fn invalid_argument(name: &str, reason: &str) -> Error {
    Error::new(Code::INVALID_ARGUMENT, format!("{name}: {reason}"))
}

/// Lets through, as it is, what a function of the caller's threw.
pub fn rethrow(env: &Env, error: napi::Error) -> Error {
    // SAFETY: the environment is the one of the running call.
    unsafe { JsError::from(error).throw_into(env.raw()) };
    Error::new(Code::PENDING_EXCEPTION, String::new())
}

/// Runs what touches no connection; a panic becomes an error, since it must never reach Node.
pub fn catch<T, E: Into<Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Error::new(
            Code::PANIC,
            "an assertion inside the addon failed: please report it".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_way_to_javascript() {
        let error = Error::from(quic::Error::DrivenByEndpoint("recv"));
        assert_eq!(error.status.as_ref(), "DrivenByEndpoint");
        assert_eq!(
            error.reason,
            "the connection is driven by an endpoint, which alone may call recv"
        );
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let outcome = catch(|| -> Result<()> { panic!("expected by this test") });
        assert_eq!(outcome.expect_err("it panicked").status, Code::PANIC);
    }
}
