//! What all instances of one component of a share have used: the bill, and what their limits have stopped.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

use super::meter::now;

/// Limits that a component may run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Memory,
    Tables,
    Cpu,
    Outbound,
    Response,
}

impl Limit {
    pub(crate) const ALL: [Self; 5] = [Self::Memory, Self::Tables, Self::Cpu, Self::Outbound, Self::Response];

    /// For metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tables => "tables",
            Self::Cpu => "cpu",
            Self::Outbound => "outbound",
            Self::Response => "response",
        }
    }
}

/// What all instances of one component have used, written by whoever runs them.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    cpu_nanos: AtomicU64,
    memory: Mutex<Memory>,
    longest: Mutex<Longest>,
    /// The longest of this minute so far, so that most polls need no lock.
    long: AtomicU64,
    stopped: [AtomicU64; Limit::ALL.len()],
}

/// Totals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// Bytes of linear memory now.
    pub(crate) memory: u64,
    /// One byte for one second is 1.
    pub(crate) byte_seconds: f64,
    /// The longest time that one of them has kept its thread, in this minute and the one before.
    pub(crate) longest_poll: Duration,
    /// How often each of [`Limit::ALL`] has stopped something.
    pub(crate) stopped: [u64; Limit::ALL.len()],
}

/// An integral over time.
#[derive(Debug, Default)]
struct Memory {
    bytes: u64,
    /// When `bytes` last changed.
    since: u64,
    /// Byte nanoseconds until then.
    area: u128,
}

/// The longest poll of a minute, and of the one before.
#[derive(Debug, Default)]
struct Longest {
    minute: u64,
    before: u64,
}

const MINUTE: u64 = 60 * 1_000_000_000;

// === impl Usage ===

impl Usage {
    pub(super) fn add_cpu(&self, nanos: u64) {
        self.cpu_nanos.fetch_add(nanos, Relaxed);
    }

    /// A poll has kept its thread for so long.
    pub(super) fn kept(&self, nanos: u64) {
        if nanos > self.long.load(Relaxed) {
            self.longest.lock().turn(now(), &self.long);
            self.long.fetch_max(nanos, Relaxed);
        }
    }

    pub(super) fn grow(&self, bytes: usize) {
        self.memory.lock().change(now(), |held| held.saturating_add(bytes as u64));
    }

    pub(super) fn shrink(&self, bytes: usize) {
        self.memory.lock().change(now(), |held| held.saturating_sub(bytes as u64));
    }

    /// A limit has stopped something.
    pub(crate) fn stop(&self, limit: Limit) {
        if let Some(count) = self.stopped.get(limit as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Used {
        let now = now();
        let (memory, byte_seconds) = {
            let memory = self.memory.lock();
            (memory.bytes, memory.byte_seconds(now))
        };
        let longest = {
            let mut longest = self.longest.lock();
            longest.turn(now, &self.long);
            longest.before.max(self.long.load(Relaxed))
        };
        Used {
            cpu: Duration::from_nanos(self.cpu_nanos.load(Relaxed)),
            memory,
            byte_seconds,
            longest_poll: Duration::from_nanos(longest),
            stopped: std::array::from_fn(|at| self.stopped.get(at).map_or(0, |count| count.load(Relaxed))),
        }
    }
}

impl std::iter::Sum for Used {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, it| Self {
            cpu: sum.cpu + it.cpu,
            memory: sum.memory + it.memory,
            byte_seconds: sum.byte_seconds + it.byte_seconds,
            longest_poll: sum.longest_poll.max(it.longest_poll),
            stopped: std::array::from_fn(|at| {
                sum.stopped.get(at).copied().unwrap_or(0) + it.stopped.get(at).copied().unwrap_or(0)
            }),
        })
    }
}

// === impl Memory ===

impl Memory {
    fn change(&mut self, now: u64, change: impl FnOnce(u64) -> u64) {
        self.area += u128::from(self.bytes) * u128::from(now.saturating_sub(self.since));
        self.since = now;
        self.bytes = change(self.bytes);
    }

    #[allow(clippy::cast_precision_loss, reason = "a total for people and their bills")]
    fn byte_seconds(&self, now: u64) -> f64 {
        let area = self.area + u128::from(self.bytes) * u128::from(now.saturating_sub(self.since));
        area as f64 / 1e9
    }
}

// === impl Longest ===

impl Longest {
    /// Begins a new minute if it is time.
    fn turn(&mut self, now: u64, longest: &AtomicU64) {
        let minute = now / MINUTE;
        if minute != self.minute {
            let last = longest.swap(0, Relaxed);
            self.before = if minute == self.minute + 1 { last } else { 0 };
            self.minute = minute;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    #[allow(clippy::float_cmp, reason = "these are exact")]
    fn memory_is_summed_over_time() {
        let mut memory = Memory::default();
        memory.change(SECOND, |held| held + 100);
        assert_eq!(memory.byte_seconds(3 * SECOND), 200.0);
        memory.change(3 * SECOND, |held| held + 50);
        memory.change(4 * SECOND, |held| held - 150);
        assert_eq!((memory.byte_seconds(9 * SECOND), memory.bytes), (350.0, 0));
    }

    #[test]
    fn the_longest_poll_is_that_of_this_minute_and_the_one_before() {
        let (mut longest, current) = (Longest::default(), AtomicU64::new(7));
        longest.turn(MINUTE / 2, &current);
        assert_eq!((longest.before, current.load(Relaxed)), (0, 7), "the same minute");
        longest.turn(MINUTE, &current);
        assert_eq!((longest.before, current.load(Relaxed)), (7, 0), "the next");
        current.store(3, Relaxed);
        longest.turn(2 * MINUTE + 1, &current);
        assert_eq!((longest.before, current.load(Relaxed)), (3, 0));
        longest.turn(9 * MINUTE, &current);
        assert_eq!(longest.before, 0, "long ago");
    }

    #[test]
    fn totals_add_up() {
        let (one, other) = (Usage::default(), Usage::default());
        one.add_cpu(5);
        other.add_cpu(7);
        one.kept(3);
        other.kept(2);
        one.grow(10);
        one.stop(Limit::Cpu);
        other.stop(Limit::Cpu);
        other.stop(Limit::Memory);
        let sum: Used = [one.read(), other.read()].into_iter().sum();
        assert_eq!((sum.cpu, sum.longest_poll), (Duration::from_nanos(12), Duration::from_nanos(3)));
        assert_eq!((sum.memory, sum.stopped), (10, [1, 0, 2, 0, 0]));
    }
}
