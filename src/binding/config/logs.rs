//! Files that connections write: qlog, and TLS secrets.

use std::fs::{File, OpenOptions};
use std::io::{self, LineWriter};
use std::path::{Path, PathBuf};

use napi_derive::napi;

use super::Config;
use crate::binding::error::Result;
use crate::quic;
use crate::quic::config::Sink;

#[napi]
impl Config {
    /// Makes each connection write a qlog (JSON-SEQ, readable by qvis) to `<trace id>.sqlog` in this directory, which
    /// must exist. Files are appended to. Throws `InvalidConfig` if it is no directory that can be written to; a file that
    /// can't be opened later is counted by `logFailures`.
    #[napi]
    pub fn set_qlog_directory(&self, path: String) -> Result<()> {
        let directory = PathBuf::from(path);
        check_directory(&directory)?;
        let failures = self.log_failures.clone();
        self.edit(|config| {
            config.qlog = Some(Box::new(move |trace_id| {
                let opened = append(&directory.join(format!("{trace_id}.sqlog")));
                count_failure(&failures, opened).map(|file| Box::new(LineWriter::new(file)) as Sink)
            }));
        })
    }

    /// Makes each connection append its TLS secrets to this file, in the format of `SSLKEYLOGFILE`: whoever has it can
    /// read the traffic. Throws `InvalidConfig` if it can't be opened.
    #[napi]
    pub fn set_key_log_file(&self, path: String) -> Result<()> {
        let file = append(Path::new(&path)).map_err(|error| refused("keyLogFile", Path::new(&path), &error))?;
        let failures = self.log_failures.clone();
        self.edit(|config| {
            config.quiche.log_keys();
            config.key_log = Some(Box::new(move |_| {
                count_failure(&failures, file.try_clone()).map(|file| Box::new(file) as Sink)
            }));
        })
    }

    /// How many qlog and key log files of connections could not be opened.
    #[napi]
    pub fn log_failures(&self) -> u32 {
        self.log_failures.get()
    }
}

/// Opens a file to append to, for its owner alone where it is new: secrets and traffic are nobody else's business.
pub(in crate::binding) fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// What the system said about a file, as an error of a setting.
pub(in crate::binding) fn refused(setting: &'static str, path: &Path, error: &io::Error) -> quic::Error {
    quic::Error::Config {
        setting,
        reason: format!("{}: {error}", path.display()),
    }
}

fn check_directory(path: &Path) -> quic::Result<()> {
    let metadata = path
        .metadata()
        .map_err(|error| refused("qlogDirectory", path, &error))?;
    if !metadata.is_dir() {
        let reason = format!("{} is no directory", path.display());
        return Err(quic::Error::Config {
            setting: "qlogDirectory",
            reason,
        });
    }
    if metadata.permissions().readonly() {
        let reason = format!("{} can't be written to", path.display());
        return Err(quic::Error::Config {
            setting: "qlogDirectory",
            reason,
        });
    }
    Ok(())
}

fn count_failure<T>(failures: &std::cell::Cell<u32>, opened: io::Result<T>) -> Option<T> {
    if opened.is_err() {
        failures.set(failures.get().saturating_add(1));
    }
    opened.ok()
}
