//! How many calls one instance should serve at once: fewer than it may while they wait for each other.
//!
//! Calls of one instance run on one thread. Where they mostly wait for something else, more at once cost nothing; where they compute, each
//! further one only waits in line inside an instance, while other processors could have served it in an instance of its own. So
//! the limit falls while two things are true for a whole window: the instance computes nearly all the time, and every call
//! had to wait before it began. It rises again while calls begin at once.
//!
//! Latency alone would not do: on a machine that is busy with other things every call is late, and to spread calls over more
//! instances then makes it worse.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

/// How long is looked at before the limit changes.
const WINDOW: Duration = Duration::from_millis(100);
/// Calls that a window must have seen to say anything.
const CALLS: u32 = 4;
/// Calls that wait no longer than this begin at once.
const SHORT: Duration = Duration::from_millis(1);
/// Percent of a window that an instance which is itself the bottleneck computes.
const BUSY: u64 = 80;

/// A limit between 1 and a maximum.
#[derive(Debug)]
pub(super) struct Adaptive {
    limit: AtomicUsize,
    most: usize,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// Nanoseconds of the clock, and of the instance's computing, when it began.
    began: u64,
    busy: u64,
    calls: u32,
    /// The shortest that a call has waited, in nanoseconds.
    least: u64,
}

impl Adaptive {
    /// Begins with as many as there may be: most components wait more than they compute.
    pub(super) fn new(most: usize) -> Self {
        Self { limit: AtomicUsize::new(most.max(1)), most: most.max(1), window: Mutex::default() }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// A call has begun that was handed over so many nanoseconds ago. `busy`: what the instance has computed in all, in
    /// nanoseconds. `heavy`: the component is known to compute for long, so that its instances wait for turns on the threads for that.
    pub(super) fn began(&self, now: u64, waited: u64, busy: u64, heavy: bool) {
        if self.most == 1 {
            return;
        }
        let mut window = self.window.lock();
        window.least = if window.calls == 0 { waited } else { window.least.min(waited) };
        window.calls = window.calls.saturating_add(1);
        let span = now.saturating_sub(window.began);
        if window.calls < CALLS || u128::from(span) < WINDOW.as_nanos() {
            return;
        }
        let computed = busy.saturating_sub(window.busy).saturating_mul(100) / span.max(1);
        let waits = u128::from(window.least) > SHORT.as_nanos();
        let limit = self.limit();
        let next = match (waits, heavy || computed >= BUSY) {
            (true, true) => limit * 3 / 4,
            (false, _) => limit + 1 + limit / 8,
            (true, false) => limit,
        };
        self.limit.store(next.clamp(1, self.most), Relaxed);
        *window = Window { began: now, busy, ..Window::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Ten windows of ten calls each.
    fn see(adaptive: &Adaptive, from: u64, waited: u64, busy_percent: u64) -> u64 {
        let mut now = from;
        for _ in 0..100 {
            now += 11 * MS;
            adaptive.began(now, waited, now * busy_percent / 100, false);
        }
        now
    }

    #[test]
    fn it_falls_while_calls_wait_for_each_other_and_rises_when_they_do_not() {
        let adaptive = Adaptive::new(16);
        let now = see(&adaptive, 0, 20 * MS, 95);
        assert_eq!(adaptive.limit(), 1, "computing, and all wait");
        let now = see(&adaptive, now, 20 * MS, 40);
        assert_eq!(adaptive.limit(), 1, "late, but not by itself");
        see(&adaptive, now, MS / 10, 95);
        assert!(adaptive.limit() > 8, "{}", adaptive.limit());
    }

    #[test]
    fn a_late_call_among_prompt_ones_changes_nothing() {
        let adaptive = Adaptive::new(16);
        for at in 1..1_000 {
            adaptive.began(at * MS, if at % 3 == 0 { 0 } else { 50 * MS }, at * MS, false);
        }
        assert_eq!(adaptive.limit(), 16);
    }

    #[test]
    fn one_stays_one() {
        let adaptive = Adaptive::new(0);
        see(&adaptive, 0, 0, 0);
        assert_eq!(adaptive.limit(), 1);
    }
}
