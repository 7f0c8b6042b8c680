//! Whether instances of a component keep crashing, and how long to wait with the next.
//!
//! Two things are told apart. An instance that does not even start fails whatever is asked of it: after a few of these calls are refused
//! at once, with a pause that grows, and one call at a time tries again. A call that traps may be that request's own fault: calls go on,
//! since a client with a request that traps must not be able to keep others out; only warm instances are no longer started ahead,
//! with the same pauses. Both show as a message while they last.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use penstock_router::{Cause, Error};

use crate::backoff::doubled;

/// Crashes in a row that make a loop.
const LOOP: u32 = 5;
/// The pause after these; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What became of a component's instances lately.
#[derive(Debug, Default)]
pub(crate) struct Crashes {
    starts: Row,
    calls: Row,
    /// Calls that failed, and instances that did with several calls, in all.
    failed: AtomicU64,
}

/// Failures with no success between them.
#[derive(Debug, Default)]
struct Row {
    count: AtomicU32,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    /// Of the row's first one, so that what is said does not change with each.
    detail: String,
    until: Instant,
}

// === impl Crashes ===

impl Crashes {
    pub(super) fn started(&self) {
        self.starts.end();
    }

    pub(super) fn failed_to_start(&self, error: &Error) {
        self.starts.add(&error.detail);
    }

    pub(super) fn answered(&self) {
        self.calls.end();
    }

    /// A call has failed, or an instance with several calls.
    pub(super) fn failed(&self, error: &Error) {
        self.failed.fetch_add(1, Relaxed);
        if error.cause == Cause::GuestTrap {
            self.calls.add(&error.detail);
        }
    }

    /// How many have.
    pub(super) fn failures(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Whether an instance may be started for a call; if not, for how long and why. Of those that ask after a pause, one may.
    pub(super) fn may_start(&self) -> Result<(), (Duration, String)> {
        self.starts.may_try()
    }

    /// Whether an instance may be started before anybody asks for it.
    pub(super) fn may_start_ahead(&self) -> bool {
        self.starts.may_try().is_ok() && self.calls.may_try().is_ok()
    }

    /// What is wrong, while it is.
    pub(crate) fn message(&self) -> Option<String> {
        let said = |row: &Row, what: &str| row.detail().map(|detail| format!("crash loop: {what}: {detail}"));
        said(&self.starts, "no instance starts").or_else(|| said(&self.calls, "every call traps"))
    }
}

// === impl Row ===

impl Row {
    fn end(&self) {
        if self.count.load(Relaxed) > 0 {
            let mut last = self.last.lock();
            self.count.store(0, Relaxed);
            *last = None;
        }
    }

    fn add(&self, detail: &str) {
        let mut last = self.last.lock();
        let count = self.count.load(Relaxed).saturating_add(1);
        self.count.store(count, Relaxed);
        let detail = last.take().map_or_else(|| detail.to_owned(), |last| last.detail);
        *last = Some(Last { detail, until: Instant::now() + pause(count) });
    }

    fn may_try(&self) -> Result<(), (Duration, String)> {
        if self.count.load(Relaxed) < LOOP {
            return Ok(());
        }
        let mut last = self.last.lock();
        let Some(last) = last.as_mut() else { return Ok(()) };
        let now = Instant::now();
        let left = last.until.saturating_duration_since(now);
        if !left.is_zero() {
            return Err((left, last.detail.clone()));
        }
        // The others wait for what becomes of this one.
        last.until = now + FIRST_PAUSE;
        Ok(())
    }

    fn detail(&self) -> Option<String> {
        let looping = self.count.load(Relaxed) >= LOOP;
        looping.then(|| self.last.lock().as_ref().map(|last| last.detail.clone())).flatten()
    }
}

fn pause(count: u32) -> Duration {
    match count.checked_sub(LOOP) {
        None => Duration::ZERO,
        Some(further) => doubled(FIRST_PAUSE, LONGEST_PAUSE, further),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_fail_in_a_row_are_refused_for_a_while_and_then_tried_by_one() {
        let crashes = Crashes::default();
        let error = Error::new(Cause::GuestStart, "no memory");
        for _ in 1..LOOP {
            crashes.failed_to_start(&error);
            assert!(crashes.may_start().is_ok() && crashes.message().is_none());
        }
        crashes.failed_to_start(&error);
        let (left, detail) = crashes.may_start().unwrap_err();
        assert!(left <= FIRST_PAUSE && detail == "no memory", "{left:?} {detail}");
        assert_eq!(crashes.message().unwrap(), "crash loop: no instance starts: no memory");
        assert!(!crashes.may_start_ahead());
        crashes.starts.last.lock().as_mut().unwrap().until = Instant::now();
        assert!(crashes.may_start().is_ok(), "the pause is over");
        assert!(crashes.may_start().is_err(), "one at a time");
        crashes.started();
        assert!(crashes.may_start().is_ok() && crashes.message().is_none());
    }

    #[test]
    fn calls_that_trap_refuse_nobody() {
        let crashes = Crashes::default();
        for number in 0..20 {
            crashes.failed(&Error::new(Cause::GuestTrap, format!("unreachable {number}")));
        }
        assert!(crashes.may_start().is_ok());
        assert!(!crashes.may_start_ahead());
        assert_eq!(crashes.failures(), 20);
        assert_eq!(crashes.message().unwrap(), "crash loop: every call traps: unreachable 0");
        crashes.answered();
        assert!(crashes.may_start_ahead() && crashes.message().is_none());
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses: Vec<_> = [1, LOOP - 1, LOOP, LOOP + 1, LOOP + 2, 40, u32::MAX].map(pause).into();
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        assert_eq!(pauses, [s(0), s(0), ms(500), s(1), s(2), s(60), s(60)]);
    }
}
