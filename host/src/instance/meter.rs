//! How much CPU a guest has used, when it must pause, and when it must stop.

use std::{
    cell::Cell,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::usage::{Limit, Usage};
use crate::engine::TICK;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Wall clock: cheap enough to read at both ends of every poll.
pub(super) fn now() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// CPU time of this thread: a system call, so it is asked only when a poll takes long.
pub(super) fn cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// What it costs to ask: in each poll that is measured, once.
static ASKING: LazyLock<u64> = LazyLock::new(|| {
    let once = || {
        let before = cpu();
        cpu().saturating_sub(before)
    };
    (0..100).map(|_| once()).min().unwrap_or(0)
});

const TICK_NANOS: u64 = TICK.as_nanos() as u64;

/// Of the polls that follow each other closely on a thread, one in so many is measured by the CPU clock and stands for all.
const SAMPLED: u32 = 16;
/// A poll that comes so long after the one before is measured in any case: then the clock costs little by comparison.
const CLOSE: u64 = 200_000;

thread_local! {
    /// When the last poll on this thread began.
    static LAST: Cell<u64> = const { Cell::new(0) };
    /// Draws the sample: a regular one could follow a regular guest.
    static DRAW: Cell<u32> = const { Cell::new(0x9E37_79B9) };
}

/// How many polls the one that begins now stands for in the account of CPU time; 0: it is not measured. It depends on nothing that the
/// poll itself does, so that the sum is right on average.
fn weight(now: u64) -> u32 {
    let last = LAST.replace(now);
    if now.saturating_sub(last) >= CLOSE {
        return 1;
    }
    // Marsaglia's xorshift of 32 bits.
    let mut draw = DRAW.get();
    draw ^= draw << 13;
    draw ^= draw >> 17;
    draw ^= draw << 5;
    DRAW.set(draw);
    if draw.is_multiple_of(SAMPLED) { SAMPLED } else { 0 }
}

/// The running account of one store. Written by whoever polls the guest and read by the epoch callback on that same
/// thread, so plain relaxed atomics suffice.
///
/// The wall clock tells when a poll may have become long; whether it really computes is then asked of the thread's CPU
/// clock over the next tick. A guest whose thread the kernel has put aside is not taken for a spinner.
#[derive(Debug)]
pub(crate) struct Meter {
    /// When the poll that is running now began, in nanoseconds since [`START`].
    slice_start: AtomicU64,
    /// The thread's CPU time when this poll was first found to be long; 0: it was not.
    long_since: AtomicU64,
    /// How long it had lasted by then.
    long_after: AtomicU64,
    /// The thread's CPU time when this poll began, if it is measured.
    measured_from: AtomicU64,
    /// How many polls this one stands for; 0: it is not measured.
    weight: AtomicU32,
    /// CPU nanoseconds of the finished polls of this call.
    used: AtomicU64,
    /// CPU nanoseconds that a call may use; `u64::MAX`: no limit of its own.
    budget: u64,
    /// Whether this call has shown itself to be long computing.
    heavy: AtomicBool,
    /// Whether the budget ended the call.
    exhausted: AtomicBool,
    /// Where the CPU time goes.
    usage: Arc<Usage>,
}

/// What the epoch callback should do with the guest that it interrupted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has only just been resumed: let it run.
    Run,
    /// It has had its slice: let others run.
    Pause,
    /// It has used all the CPU that a call may use.
    Stop,
}

impl Meter {
    pub(crate) fn new(budget: Option<Duration>, usage: Arc<Usage>) -> Self {
        Self {
            slice_start: AtomicU64::new(now()),
            long_since: AtomicU64::new(0),
            long_after: AtomicU64::new(0),
            measured_from: AtomicU64::new(0),
            weight: AtomicU32::new(0),
            used: AtomicU64::new(0),
            budget: budget.map_or(u64::MAX, |budget| budget.as_nanos() as u64),
            heavy: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            usage,
        }
    }

    /// A new call begins on a store that served others before.
    pub(crate) fn begin_call(&self) {
        self.used.store(0, Relaxed);
        self.heavy.store(false, Relaxed);
        self.exhausted.store(false, Relaxed);
    }

    pub(crate) fn begin_slice(&self) {
        let now = now();
        self.slice_start.store(now, Relaxed);
        self.long_since.store(0, Relaxed);
        let weight = weight(now);
        self.weight.store(weight, Relaxed);
        if weight > 0 {
            self.measured_from.store(cpu(), Relaxed);
        }
    }

    pub(crate) fn end_slice(&self) {
        let wall = now().saturating_sub(self.slice_start.load(Relaxed));
        let since = self.long_since.load(Relaxed);
        // What it surely had before it was found to be long, and what the thread's clock says since.
        let (short, long) = match since {
            0 => (wall.min(2 * TICK_NANOS), 0),
            since => (TICK_NANOS, cpu().saturating_sub(since)),
        };
        self.used.fetch_add(short.saturating_add(long), Relaxed);
        let measured = self.measured(since, long);
        if measured > 0 {
            self.usage.add_cpu(measured);
        }
        self.usage.kept(wall);
    }

    /// What this poll adds to the account: what it has used since it was found to be long, and what it had used before by the
    /// sample. If it went on computing it did so before too, and needs no sample.
    fn measured(&self, since: u64, long: u64) -> u64 {
        let weight = u64::from(self.weight.load(Relaxed));
        if weight != 1 && long >= TICK_NANOS / 2 {
            return self.long_after.load(Relaxed).min(2 * TICK_NANOS).saturating_add(long);
        }
        if weight == 0 {
            return long;
        }
        let until = if since == 0 { cpu() } else { since };
        let short = until.saturating_sub(self.measured_from.load(Relaxed)).saturating_sub(*ASKING);
        short.saturating_mul(weight).saturating_add(long)
    }

    /// Called when the epoch has passed the store's deadline. The epoch moves on while a guest waits for I/O, so the
    /// time since the poll began decides, not the epoch.
    pub(crate) fn tick(&self) -> Verdict {
        let wall = now().saturating_sub(self.slice_start.load(Relaxed));
        if wall < TICK_NANOS {
            return Verdict::Run;
        }
        let since = self.long_since.load(Relaxed);
        if since == 0 {
            self.long_after.store(wall, Relaxed);
            self.long_since.store(cpu().max(1), Relaxed);
            return Verdict::Run;
        }
        let long = cpu().saturating_sub(since);
        if self.used.load(Relaxed).saturating_add(TICK_NANOS).saturating_add(long) > self.budget {
            self.exhausted.store(true, Relaxed);
            self.usage.stop(Limit::Cpu);
            return Verdict::Stop;
        }
        if long < TICK_NANOS / 2 {
            return Verdict::Run;
        }
        self.heavy.store(true, Relaxed);
        Verdict::Pause
    }

    pub(crate) fn is_heavy(&self) -> bool {
        self.heavy.load(Relaxed)
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(span: Duration) {
        let start = cpu();
        while cpu() - start < span.as_nanos() as u64 {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_fresh_slice_runs_a_long_one_pauses_and_a_spent_budget_stops() {
        let usage = Arc::new(Usage::default());
        let meter = Meter::new(Some(Duration::from_millis(20)), usage.clone());
        meter.begin_call();
        meter.begin_slice();
        compute(TICK * 2);
        assert_eq!(meter.tick(), Verdict::Run, "found to be long");
        compute(TICK);
        assert_eq!(meter.tick(), Verdict::Pause);
        assert!(meter.is_heavy());
        meter.end_slice();
        // It went on computing, so that all of it is counted, sample or not.
        assert!(usage.read().cpu >= TICK * 2, "{usage:?}");
        assert!(usage.read().longest_poll >= TICK * 3, "{usage:?}");
        meter.begin_slice();
        compute(TICK * 2);
        assert_eq!(meter.tick(), Verdict::Run);
        compute(Duration::from_millis(20));
        assert_eq!(meter.tick(), Verdict::Stop);
        assert!(meter.is_exhausted());
        assert_eq!(usage.read().stopped.iter().sum::<u64>(), 1);
        meter.begin_call();
        assert!(!meter.is_exhausted() && !meter.is_heavy());
    }

    #[test]
    fn a_thread_that_was_put_aside_is_no_spinner() {
        let usage = Arc::new(Usage::default());
        let meter = Meter::new(Some(Duration::from_millis(20)), usage.clone());
        // A busy machine may charge a thread for more than it does: then it is tried again.
        let quiet = (0..100).any(|_| {
            meter.begin_call();
            meter.begin_slice();
            let before = cpu();
            std::thread::sleep(TICK * 30);
            let verdicts = [meter.tick(), {
                std::thread::sleep(TICK * 30);
                meter.tick()
            }];
            if cpu() - before >= TICK_NANOS / 2 {
                return false;
            }
            assert_eq!(verdicts, [Verdict::Run, Verdict::Run]);
            assert!(!meter.is_heavy() && !meter.is_exhausted());
            let counted = usage.read().cpu;
            meter.end_slice();
            assert!(usage.read().cpu - counted < TICK * 10);
            true
        });
        assert!(quiet, "a hundred times a thread that slept had used CPU time");
    }

    /// Thousands of polls of a few microseconds, one after another, and among them one in which the thread sleeps.
    #[test]
    fn the_sample_adds_up_to_what_was_used() {
        let usage = Arc::new(Usage::default());
        let meter = Meter::new(None, usage.clone());
        let begun = cpu();
        for round in 0..40_000 {
            meter.begin_slice();
            compute(Duration::from_micros(10));
            if round == 20_000 {
                std::thread::sleep(TICK * 20);
            }
            meter.end_slice();
        }
        let (counted, all) = (usage.read().cpu.as_secs_f64(), Duration::from_nanos(cpu() - begun).as_secs_f64());
        // What is between two polls is not the guest's.
        assert!((0.85..=1.05).contains(&(counted / all)), "{counted} of {all} seconds");
    }
}
