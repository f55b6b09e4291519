//! quiche's log, to a function of the user's.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};
use napi::Status;
use napi::bindgen_prelude::{FnArgs, Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use super::error::{Code, Error, Result, invalid_argument};

/// Messages that may wait for JavaScript: a loop that writes more in one turn loses some.
const QUEUE_LENGTH: usize = 4096;

type Message = FnArgs<(String, String, String)>;
/// Weak: it doesn't keep the process alive. It never blocks, and JavaScript runs in a later turn.
type Callback = ThreadsafeFunction<Message, Unknown<'static>, Message, Status, false, true, QUEUE_LENGTH>;

static LOGGER: Logger = Logger {
    callback: Mutex::new(None),
    lost: AtomicU32::new(0),
};

/// Sends quiche's log to a function, or no more with null. There is one for the process, also with worker threads: the last
/// one set counts. It is called in a later turn, never keeps the process alive, and what it throws is an uncaught
/// exception.
///
/// `level` is the least important one to be told: `error`, `warn`, `info` (the default), `debug` or `trace`; or `off`. At
/// `trace` there are several messages for each packet. More than 4096 messages in one turn are lost; how many is told.
///
/// Throws `InvalidArgument` for another level.
#[napi(
    ts_args_type = "callback: ((level: string, target: string, message: string) => void) | null | undefined, level?: 'off' | 'error' | 'warn' | 'info' | 'debug' | 'trace'"
)]
pub fn set_logger(callback: Option<Function<Message, Unknown<'static>>>, level: Option<String>) -> Result<()> {
    let level = parse_level(level.as_deref())?;
    let callback = callback.map(|callback| threadsafe(&callback)).transpose()?;
    // Answers an error when it is set already, which is as good.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(if callback.is_some() { level } else { LevelFilter::Off });
    let old = std::mem::replace(&mut *LOGGER.callback(), callback);
    drop(old);
    Ok(())
}

fn parse_level(level: Option<&str>) -> Result<LevelFilter> {
    level.map_or(Ok(LevelFilter::Info), |level| {
        level.parse().map_err(|_| {
            invalid_argument(
                "level",
                &format!("{level:?} is none of off, error, warn, info, debug, trace"),
            )
        })
    })
}

fn threadsafe(callback: &Function<Message, Unknown<'static>>) -> Result<Callback> {
    callback
        .build_threadsafe_function()
        .callee_handled::<false>()
        .weak::<true>()
        .max_queue_size::<QUEUE_LENGTH>()
        .build()
        .map_err(|error| Error::new(Code::INVALID_ARGUMENT, format!("callback: {}", error.reason)))
}

struct Logger {
    callback: Mutex<Option<Callback>>,
    lost: AtomicU32,
}

impl Logger {
    fn callback(&self) -> MutexGuard<'_, Option<Callback>> {
        self.callback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether the message could be queued.
    fn tell(&self, callback: &Callback, level: &str, target: &str, message: String) -> bool {
        let message = (level.to_owned(), target.to_owned(), message).into();
        callback.call(message, ThreadsafeFunctionCallMode::NonBlocking) != Status::QueueFull
    }

    /// Tells how many messages were lost, as soon as there is room again.
    fn tell_lost(&self, callback: &Callback) -> bool {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == 0 {
            return true;
        }
        let told = self.tell(
            callback,
            "warn",
            module_path!(),
            format!("{lost} messages were lost: too many in one turn"),
        );
        if told {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
        }
        told
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let callback = self.callback();
        let Some(callback) = callback.as_ref() else { return };
        let level = record.level().as_str().to_ascii_lowercase();
        if !self.tell_lost(callback) || !self.tell(callback, &level, record.target(), record.args().to_string()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}
