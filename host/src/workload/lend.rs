//! Room beyond a share's replicas, which the host lends by itself: at once, on the thread of the call that begins to wait.
//!
//! How many replicas there are is decided elsewhere, from what hosts say each second. Until then a burst would wait although the
//! host has room. So each call that begins to wait gets one replica's worth of room, up to the share's `burst`, as long as the host has
//! places for instances left and its processors are not busy: more calls at once would only make each of them slower. What was lent
//! is taken back step by step once it has not been needed for some seconds, and at once as far as replicas come in its place.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use penstock_api::snapshot::Capacity;
use penstock_router::admit::{Admission, Limits};
use tokio::sync::{Notify, Semaphore};

use super::load;
use crate::instance::Pool;

/// Of the host's places for instances, one in so many is never lent.
const RESERVED: usize = 8;
/// The part of the host's processors in use from which on nothing is lent.
const BUSY: f64 = 0.9;
/// Looks, one a second, without need after which some is taken back.
const QUIET: u32 = 5;

/// A share's room: its limits, and its pools' sizes, by its replicas and what is lent.
pub(crate) struct Room {
    admission: Arc<Admission>,
    /// With the warm instances per replica.
    pools: Vec<(Arc<Pool>, u32)>,
    /// The host's places for instances, and how many there are in all.
    slots: Arc<Semaphore>,
    all_slots: usize,
    /// Told when a call begins to wait: somebody may want to know soon.
    waiting: Arc<Notify>,
    units: Mutex<Units>,
}

/// What one share has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Units {
    capacity: Capacity,
    replicas: u32,
    standby: bool,
    lent: u32,
    /// Looks since the last one that found it needed.
    quiet: u32,
}

impl Room {
    pub(crate) fn new(
        pools: Vec<(Arc<Pool>, u32)>,
        (slots, all_slots): (Arc<Semaphore>, usize),
        waiting: Arc<Notify>,
    ) -> Arc<Self> {
        let admission = Admission::new(Limits { concurrency: 0, ..Limits::default() });
        let room = Arc::new(Self { admission, pools, slots, all_slots, waiting, units: Mutex::default() });
        let weak = Arc::downgrade(&room);
        room.admission.when_waiting(move || {
            if let Some(room) = Weak::upgrade(&weak) {
                room.lend();
            }
        });
        room
    }

    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter().map(|(pool, _)| pool)
    }

    /// Units that are lent now.
    pub(crate) fn lent(&self) -> u32 {
        self.units.lock().lent
    }

    /// The share has so many replicas from now on.
    pub(crate) fn resize(&self, capacity: Capacity, replicas: u32, standby: bool) {
        let mut units = self.units.lock();
        *units = units.resized(capacity, replicas, standby);
        self.apply(&units);
    }

    /// A call begins to wait.
    fn lend(&self) {
        self.waiting.notify_one();
        // Whoever holds it makes room already.
        let Some(mut units) = self.units.try_lock() else { return };
        units.quiet = 0;
        let spare = self.slots.available_permits() > self.all_slots / RESERVED;
        if units.lent < units.capacity.burst && spare && load::processors_in_use() < BUSY {
            units.lent += 1;
            self.apply(&units);
        }
    }

    /// Once a second: takes back what is not needed.
    pub(crate) fn tend(&self) {
        let mut units = self.units.lock();
        if units.lent == 0 {
            return;
        }
        let stats = self.admission.stats();
        let before = units.lent;
        *units = units.looked_at(stats.in_flight + stats.queued);
        if units.lent != before {
            self.apply(&units);
        }
    }

    fn apply(&self, units: &Units) {
        self.admission.set_limits(units.limits());
        for (pool, per_replica) in &self.pools {
            pool.resize(times(*per_replica, units.replicas.saturating_add(units.lent)));
        }
    }
}

impl Units {
    /// New replicas take the place of lent ones.
    fn resized(self, capacity: Capacity, replicas: u32, standby: bool) -> Self {
        let more = replicas.saturating_sub(self.replicas);
        let lent = self.lent.saturating_sub(more).min(capacity.burst);
        Self { capacity, replicas, standby, lent, quiet: self.quiet }
    }

    /// So many calls run or wait.
    fn looked_at(mut self, calls: usize) -> Self {
        if calls > times(self.capacity.concurrency, self.all().saturating_sub(1)) {
            self.quiet = 0;
            return self;
        }
        self.quiet += 1;
        if self.quiet >= QUIET {
            self.lent -= (self.lent / 4).clamp(1, self.lent);
        }
        self
    }

    /// One that is on standby is good for a replica's calls.
    fn all(self) -> u32 {
        self.replicas.max(u32::from(self.standby)).saturating_add(self.lent)
    }

    fn limits(self) -> Limits {
        // Who waits is told apart from who is lent room: lending does not lengthen the queue.
        let own = self.replicas.max(u32::from(self.standby));
        Limits {
            concurrency: times(self.capacity.concurrency, self.all()),
            queue_depth: times(self.capacity.queue_depth, own),
            queue_timeout: std::time::Duration::from_millis(self.capacity.queue_timeout_ms),
        }
    }
}

/// What so many units are good for.
pub(super) fn times(each: u32, units: u32) -> usize {
    usize::try_from(u64::from(each) * u64::from(units)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(replicas: u32, lent: u32) -> Units {
        let capacity = Capacity { concurrency: 10, queue_depth: 5, burst: 8, ..Capacity::default() };
        Units { capacity, replicas, lent, ..Units::default() }
    }

    #[test]
    fn standby_is_good_for_one_and_nothing_for_none() {
        assert_eq!(units(0, 0).limits().concurrency, 0);
        let standby = Units { standby: true, ..units(0, 0) };
        assert_eq!((standby.limits().concurrency, standby.limits().queue_depth), (10, 5));
        let more = Units { standby: true, ..units(3, 2) };
        assert_eq!((more.limits().concurrency, more.limits().queue_depth), (50, 15));
    }

    #[test]
    fn replicas_take_the_place_of_what_was_lent() {
        let before = units(2, 4);
        let after = before.resized(before.capacity, 5, false);
        assert_eq!((after.replicas, after.lent), (5, 1));
        assert_eq!(after.resized(before.capacity, 4, false).lent, 1, "fewer replicas change nothing");
        assert_eq!(after.resized(Capacity { burst: 0, ..before.capacity }, 5, false).lent, 0);
    }

    #[test]
    fn what_is_not_needed_is_taken_back_step_by_step() {
        let mut it = units(1, 8);
        for _ in 0..100 {
            it = it.looked_at(85);
        }
        assert_eq!(it.lent, 8, "needed");
        for _ in 1..QUIET {
            it = it.looked_at(20);
        }
        assert_eq!(it.lent, 8, "not yet");
        let mut steps = Vec::new();
        for _ in 0..20 {
            it = it.looked_at(20);
            steps.push(it.lent);
        }
        assert_eq!(steps[..7], [6, 5, 4, 3, 2, 1, 1], "as far as the calls that run allow");
        for _ in 1..QUIET {
            it = it.looked_at(0);
        }
        assert_eq!((it.lent, it.looked_at(0).lent), (1, 0));
    }
}
