//! The generic cell rate algorithm (ITU-T I.371): a token bucket whose whole state is one time.
//!
//! Times are nanoseconds since a start of the limiter's own. A bucket's state is when it is full again if nobody takes
//! anything: now or earlier means that it is full, so zero is a bucket that nobody has used.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What all buckets of a limiter have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// What one request costs: the time in which it comes back.
    cost: u64,
    /// What a full bucket is worth.
    depth: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken {
        /// How many more could come at once now.
        remaining: u64,
        /// When all of them could.
        full_in: u64,
    },
    Refused {
        /// When one would be taken.
        wait: u64,
        full_in: u64,
    },
}

/// A bucket that several threads take from.
#[derive(Debug, Default)]
pub(super) struct Cell(AtomicU64);

// === impl Bucket ===

impl Bucket {
    pub(super) fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up: rather a billionth too few than one too many.
        let cost = per.div_ceil(u64::from(requests.max(1))).max(1);
        // A quarter of all time is more than anybody waits for, and leaves room to count with.
        let depth = cost.saturating_mul(u64::from(burst.max(1))).min(u64::MAX / 4);
        Self { cost: cost.min(depth), depth }
    }

    /// Takes a request: when the bucket is full again after it, and what became of it.
    #[inline]
    pub(super) fn take(self, full_at: u64, now: u64) -> (u64, Verdict) {
        let before = full_at.max(now);
        let after = before.saturating_add(self.cost);
        match self.depth.checked_sub(after - now) {
            Some(left) => (after, Verdict::Taken { remaining: left / self.cost, full_in: after - now }),
            None => (full_at, Verdict::Refused { wait: after - now - self.depth, full_in: before - now }),
        }
    }
}

// === impl Cell ===

impl Cell {
    /// The state is one number that nothing else hangs on, hence `Relaxed`: of two at once one is first.
    pub(super) fn take(&self, bucket: Bucket, now: u64) -> Verdict {
        let mut full_at = self.0.load(Relaxed);
        loop {
            let (after, verdict) = bucket.take(full_at, now);
            if after == full_at {
                return verdict;
            }
            match self.0.compare_exchange_weak(full_at, after, Relaxed, Relaxed) {
                Ok(_) => return verdict,
                Err(another) => full_at = another,
            }
        }
    }
}
