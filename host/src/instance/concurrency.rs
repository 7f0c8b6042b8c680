//! How many calls one instance should serve at once: fewer than it may while they compute.
//!
//! Calls of one instance run on one thread. Where they mostly wait for something else, more at once cost nothing; where they compute, each
//! further one only takes its turn inside an instance, while other processors could have served it in an instance of its own. So
//! the limit falls while the component's calls tend to compute for longer than a slice, and rises again while they do not.
//!
//! Neither latency nor how long calls wait to begin would do: on a machine that is busy with other things every call is late, and
//! to spread calls over more instances then makes it worse; and calls that compute all begin at once, since each pauses after a slice.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

/// How long is looked at before the limit changes.
const WINDOW: Duration = Duration::from_millis(100);
/// Calls that a window must have seen to say anything.
const CALLS: u32 = 4;

/// A limit between 1 and a maximum.
#[derive(Debug)]
pub(super) struct Adaptive {
    limit: AtomicUsize,
    most: usize,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// Nanoseconds of the clock when it began.
    began: u64,
    calls: u32,
}

impl Adaptive {
    /// Begins with as many as there may be: most components wait more than they compute.
    pub(super) fn new(most: usize) -> Self {
        Self { limit: AtomicUsize::new(most.max(1)), most: most.max(1), window: Mutex::default() }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// A call has ended. `heavy`: the component's calls tend to compute for long.
    pub(super) fn ended(&self, now: u64, heavy: bool) {
        let mut window = self.window.lock();
        window.calls += 1;
        if window.calls < CALLS || u128::from(now.saturating_sub(window.began)) < WINDOW.as_nanos() {
            return;
        }
        let limit = self.limit();
        let next = if heavy { limit * 3 / 4 } else { limit + 1 + limit / 8 };
        self.limit.store(next.clamp(1, self.most), Relaxed);
        *window = Window { began: now, calls: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Ten windows of ten calls each.
    fn see(adaptive: &Adaptive, from: u64, heavy: bool) -> u64 {
        (1..=100).map(|call| from + call * 11 * MS).inspect(|now| adaptive.ended(*now, heavy)).last().unwrap()
    }

    #[test]
    fn it_falls_while_calls_compute_and_rises_when_they_do_not() {
        let adaptive = Adaptive::new(16);
        let now = see(&adaptive, 0, true);
        assert_eq!(adaptive.limit(), 1);
        let now = see(&adaptive, now, false);
        assert!(adaptive.limit() > 8, "{}", adaptive.limit());
        see(&adaptive, now, false);
        assert_eq!(adaptive.limit(), 16, "and no further");
    }

    #[test]
    fn one_stays_one() {
        let adaptive = Adaptive::new(0);
        see(&adaptive, 0, false);
        assert_eq!(adaptive.limit(), 1);
    }

    #[test]
    fn a_few_calls_or_a_moment_say_nothing() {
        let adaptive = Adaptive::new(16);
        for _ in 1..CALLS {
            adaptive.ended(1_000 * MS, true);
        }
        assert_eq!(adaptive.limit(), 16);
        adaptive.ended(1_000 * MS, true);
        assert_eq!(adaptive.limit(), 12);
        for at in 0..99 {
            adaptive.ended((1_000 + at) * MS, true);
        }
        assert_eq!(adaptive.limit(), 12);
    }
}
