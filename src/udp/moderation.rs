//! When to let what comes gather for a moment before it is looked at, as network cards do for their processor ("interrupt
//! moderation"). Where datagrams come one by one, and are taken in faster than they come, each wakes a process that sleeps, and
//! who sends them on the same machine pays for that as well.

use std::time::{Duration, Instant};

/// How long they gather: the shortest time that event loops know.
pub const PAUSE: Duration = Duration::from_millis(1);

/// Bytes per millisecond from which on pauses pay: fifty packets or so.
const WORTH: u64 = 64 * 1024;
/// The part of the receive buffer that may be filled in a pause. Systems count more than the datagrams' own bytes, about twice
/// as many, and the event loop may be late.
const SHARE: u64 = 8;
/// How long to look what comes without pauses.
const LOOK: Duration = Duration::from_millis(2);
/// Pauses until the next such look.
const ROUND: u32 = 32;
/// How long there are no pauses after those that took too much: the first time, and at most.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// Watches how fast bytes come to one socket.
///
/// A sender that waits for us, its window being full, gets slower by our pauses. So a pause that brings far less than came
/// before is the last one of its round, and after a round that brought less than before it takes ever longer until the next.
#[derive(Debug)]
pub struct Moderation {
    /// Bytes per millisecond that there is room for.
    most: u64,
    /// Since the last pause, or look.
    recent: Tally,
    round: Option<Round>,
    not_before: Option<Instant>,
    backoff: Duration,
}

/// What came since a moment.
#[derive(Debug, Clone, Copy)]
struct Tally {
    since: Instant,
    bytes: u64,
}

/// Pauses, one after the other.
#[derive(Debug)]
struct Round {
    /// Bytes per millisecond that came without them.
    usual: u64,
    all: Tally,
    pauses: u32,
}

impl Tally {
    fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0 }
    }

    /// Bytes per millisecond.
    fn rate(&self, now: Instant) -> u64 {
        let us = now.saturating_duration_since(self.since).as_micros().max(1);
        u64::try_from(u128::from(self.bytes) * 1000 / us).unwrap_or(u64::MAX)
    }
}

impl Moderation {
    /// For a socket with so many bytes of receive buffer, as the system counts them.
    pub fn new(receive_buffer: usize, now: Instant) -> Self {
        Self {
            most: receive_buffer as u64 / SHARE,
            recent: Tally::new(now),
            round: None,
            not_before: None,
            backoff: MIN_BACKOFF,
        }
    }

    /// A datagram of so many bytes has come.
    pub fn note(&mut self, bytes: usize) {
        self.recent.bytes += bytes as u64;
    }

    /// All that had come is taken: whether what comes next may gather for a `PAUSE`. If so, the next call follows it.
    pub fn pauses(&mut self, now: Instant) -> bool {
        if self.round.is_some() {
            return self.goes_on(now);
        }
        let rate = self.recent.rate(now);
        if now.saturating_duration_since(self.recent.since) < LOOK {
            return false;
        }
        self.recent = Tally::new(now);
        if !(WORTH..=self.most).contains(&rate) || self.not_before.is_some_and(|moment| now < moment) {
            return false;
        }
        self.round = Some(Round {
            usual: rate,
            all: self.recent,
            pauses: 1,
        });
        true
    }

    /// The same after a pause.
    fn goes_on(&mut self, now: Instant) -> bool {
        // Timers may be early.
        if now.saturating_duration_since(self.recent.since) < PAUSE / 2 {
            return true;
        }
        let recent = std::mem::replace(&mut self.recent, Tally::new(now));
        let Some(round) = &mut self.round else { return false };
        round.all.bytes += recent.bytes;
        let rate = recent.rate(now);
        if round.pauses < ROUND && (round.usual / 4..=self.most).contains(&rate) {
            round.pauses += 1;
            return true;
        }
        if round.all.rate(now) < round.usual / 4 * 3 {
            self.not_before = Some(now + self.backoff);
            self.backoff = (2 * self.backoff).min(MAX_BACKOFF);
        } else {
            self.backoff = MIN_BACKOFF;
        }
        self.round = None;
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

    use super::*;

    const MIB: usize = 1024 * 1024;
    const US: Duration = Duration::from_micros(1);

    /// A socket to which bytes come.
    struct Scene {
        moderation: Moderation,
        now: Instant,
        wait: Duration,
        pauses: u32,
    }

    impl Scene {
        fn new(receive_buffer: usize) -> Self {
            let now = Instant::now();
            Self {
                moderation: Moderation::new(receive_buffer, now),
                now,
                wait: 100 * US,
                pauses: 0,
            }
        }

        /// Runs for so long, while `comes` says how many bytes come within a time.
        fn run(&mut self, time: Duration, comes: impl Fn(Duration) -> u128) {
            let end = self.now + time;
            while self.now < end {
                self.now += self.wait;
                self.moderation.note(usize::try_from(comes(self.wait)).expect("few"));
                let pauses = self.moderation.pauses(self.now);
                self.pauses += u32::from(pauses);
                self.wait = if pauses { PAUSE } else { 100 * US };
            }
        }
    }

    /// Bytes that come at a steady rate, whenever they are taken.
    fn steady(per_ms: usize) -> impl Fn(Duration) -> u128 {
        move |wait| wait.as_micros() * per_ms as u128 / 1000
    }

    /// Bytes of a sender that waits after each window until that is taken.
    fn windowed(window: usize, per_ms: usize) -> impl Fn(Duration) -> u128 {
        move |wait| steady(per_ms)(wait).min(window as u128)
    }

    #[test]
    fn much_that_comes_steadily_gathers_most_of_the_time() {
        let mut scene = Scene::new(8 * MIB);
        scene.run(Duration::from_secs(1), steady(300_000));
        assert!(scene.pauses > 900, "{}", scene.pauses);
    }

    #[test]
    fn little_is_looked_at_as_it_comes() {
        let mut scene = Scene::new(8 * MIB);
        scene.run(Duration::from_secs(1), steady(60_000));
        assert_eq!(scene.pauses, 0);
    }

    #[test]
    fn what_the_buffer_might_not_hold_does_not_gather() {
        // What systems grant whose settings nobody has changed.
        let mut scene = Scene::new(425_984);
        scene.run(Duration::from_secs(1), steady(300_000));
        assert_eq!(scene.pauses, 0);
        let mut scene = Scene::new(4 * MIB);
        scene.run(Duration::from_millis(20), steady(300_000));
        let before = scene.pauses;
        scene.run(Duration::from_secs(1), steady(600_000));
        assert!(before > 10 && scene.pauses <= before + 1, "{before}, {}", scene.pauses);
    }

    #[test]
    fn a_sender_that_waits_for_us_is_hardly_held_up() {
        for window in [16_384, 100_000, 200_000] {
            let mut scene = Scene::new(8 * MIB);
            scene.run(Duration::from_secs(10), windowed(window, 300_000));
            assert!((1..600).contains(&scene.pauses), "{} with {window}", scene.pauses);
        }
        // One that hardly waits goes on.
        let mut scene = Scene::new(8 * MIB);
        scene.run(Duration::from_secs(10), windowed(280_000, 300_000));
        assert!(scene.pauses > 9_000, "{}", scene.pauses);
    }

    #[test]
    fn the_first_pause_that_brings_nothing_is_the_last() {
        let mut scene = Scene::new(8 * MIB);
        scene.run(Duration::from_millis(20), steady(300_000));
        let before = scene.pauses;
        scene.run(Duration::from_secs(10), steady(1_000));
        assert!(before > 10 && scene.pauses <= before, "{before}, {}", scene.pauses);
        // It is tried again when as much comes again.
        scene.run(Duration::from_secs(1), steady(300_000));
        assert!(scene.pauses > before + 900, "{}", scene.pauses);
    }
}
