//! The numbers to see admission by: counters that cost one relaxed addition each.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Limits;

/// Upper bounds (inclusive) of the wait histogram's buckets; one more bucket, without a bound, follows the last.
pub const WAIT_BOUNDS: [Duration; 12] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
];

const BUCKETS: usize = WAIT_BOUNDS.len() + 1;

/// Each sample moves the recent wait by this part of the difference: about the last sixteen waits count.
const SMOOTHING: u64 = 8;

/// What an [`Admission`](super::Admission) has done and does. Counters only grow, from zero at its creation.
#[derive(Clone, Debug)]
pub struct AdmissionStats {
    /// The limits in force.
    pub limits: Limits,
    /// Permits out now. More than `limits.concurrency` only after that was lowered.
    pub in_flight: usize,
    /// Requests waiting now.
    pub queued: usize,
    /// Permits given, in all.
    pub admitted: u64,
    /// Requests refused, in all.
    pub shed: Shed,
    /// Requests that left the queue by themselves (the client went away), in all.
    pub left: u64,
    /// How long those admitted had waited.
    pub wait: WaitHistogram,
    /// Requests whose answer has ended, however it did, in all.
    pub served: u64,
    /// How long these took from their arrival on, all together.
    pub served_for: Duration,
}

/// Refusals by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// [`Cause::QueueFull`](crate::Cause::QueueFull).
    pub queue_full: u64,
    /// [`Cause::QueueTimeout`](crate::Cause::QueueTimeout).
    pub queue_timeout: u64,
    /// [`Cause::Deadline`](crate::Cause::Deadline).
    pub deadline: u64,
    /// [`Cause::Draining`](crate::Cause::Draining).
    pub draining: u64,
}

/// Waits by duration. Those admitted at once count as zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitHistogram {
    /// Number of waits.
    pub count: u64,
    /// All waits together.
    pub sum: Duration,
    /// Number of waits in each bucket alone (not cumulative), bounded by [`WAIT_BOUNDS`]; the last has no bound.
    pub buckets: [u64; BUCKETS],
}

#[derive(Default)]
pub(super) struct Counters {
    /// Beside the gate's word in memory, since both change on every admission.
    pub(super) at_once: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) queue_timeout: AtomicU64,
    pub(super) deadline: AtomicU64,
    pub(super) draining: AtomicU64,
    pub(super) left: AtomicU64,
    served: AtomicU64,
    served_nanos: AtomicU64,
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    recent: AtomicU64,
}

// === impl Shed ===

impl Shed {
    /// All refusals.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.queue_full + self.queue_timeout + self.deadline + self.draining
    }
}

// === impl WaitHistogram ===

impl WaitHistogram {
    /// Number of waits up to each bound, as Prometheus writes histograms (`None` is `+Inf`).
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let mut sum = 0;
        let bounds = WAIT_BOUNDS.iter().copied().map(Some).chain([None]);
        bounds.zip(self.buckets).map(move |(bound, count)| {
            sum += count;
            (bound, sum)
        })
    }
}

// === impl Counters ===

impl Counters {
    /// Somebody was admitted from the queue.
    pub(super) fn admitted_after(&self, wait: Duration) {
        let bucket = WAIT_BOUNDS.partition_point(|bound| *bound < wait);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(nanos(wait), Relaxed);
        self.observe(wait);
    }

    /// Somebody who was admitted has their answer.
    pub(super) fn served(&self, total: Duration) {
        self.served.fetch_add(1, Relaxed);
        self.served_nanos.fetch_add(nanos(total), Relaxed);
    }

    /// How many were served, and how long that took.
    pub(super) fn all_served(&self) -> (u64, Duration) {
        (self.served.load(Relaxed), Duration::from_nanos(self.served_nanos.load(Relaxed)))
    }

    /// Somebody's wait ended, one way or another.
    pub(super) fn observe(&self, wait: Duration) {
        let sample = nanos(wait);
        let smooth = |old: u64| {
            if old == 0 { sample } else { old - old / SMOOTHING + sample / SMOOTHING }
        };
        let _always = self.recent.fetch_update(Relaxed, Relaxed, |old| Some(smooth(old)));
    }

    /// How long a wait took lately; zero if nobody has waited yet.
    pub(super) fn recent_wait(&self) -> Duration {
        Duration::from_nanos(self.recent.load(Relaxed))
    }

    pub(super) fn shed(&self) -> Shed {
        Shed {
            queue_full: self.queue_full.load(Relaxed),
            queue_timeout: self.queue_timeout.load(Relaxed),
            deadline: self.deadline.load(Relaxed),
            draining: self.draining.load(Relaxed),
        }
    }

    pub(super) fn wait(&self) -> WaitHistogram {
        let mut buckets = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        buckets[0] += self.at_once.load(Relaxed);
        WaitHistogram { count: buckets.iter().sum(), sum: Duration::from_nanos(self.sum.load(Relaxed)), buckets }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
