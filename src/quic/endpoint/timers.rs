//! One deadline for each connection, the earliest first.

use std::collections::BTreeSet;
use std::time::Instant;

/// Deadlines by connection. The caller remembers each connection's own, so that moving it costs no search.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, usize)>);

impl Timers {
    /// Moves a connection's deadline from what it was.
    pub(super) fn move_deadline(&mut self, key: usize, was: Option<Instant>, is: Option<Instant>) {
        if was == is {
            return;
        }
        if let Some(was) = was {
            self.0.remove(&(was, key));
        }
        if let Some(is) = is {
            self.0.insert((is, key));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(deadline, _)| *deadline)
    }

    /// A connection whose deadline has come, taken off the list.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<usize> {
        let first = *self.0.first()?;
        if first.0 > now {
            return None;
        }
        self.0.remove(&first);
        Some(first.1)
    }
}
