//! How much CPU a guest has used, when it must pause, and when it must stop.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::engine::TICK;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Wall clock: cheap enough to read at both ends of every poll.
fn now() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// CPU time of this thread: a system call, so it is asked only when a poll takes long.
pub(super) fn cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

const TICK_NANOS: u64 = TICK.as_nanos() as u64;

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
    /// CPU nanoseconds of the finished polls of this call.
    used: AtomicU64,
    /// CPU nanoseconds that a call may use; `u64::MAX`: no limit of its own.
    budget: u64,
    /// Whether this call has shown itself to be long computing.
    heavy: AtomicBool,
    /// Whether the budget ended the call.
    exhausted: AtomicBool,
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
    pub(crate) fn new(budget: Option<Duration>) -> Self {
        Self {
            slice_start: AtomicU64::new(now()),
            long_since: AtomicU64::new(0),
            used: AtomicU64::new(0),
            budget: budget.map_or(u64::MAX, |budget| budget.as_nanos() as u64),
            heavy: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
        }
    }

    /// A new call begins on a store that served others before.
    pub(crate) fn begin_call(&self) {
        self.used.store(0, Relaxed);
        self.heavy.store(false, Relaxed);
        self.exhausted.store(false, Relaxed);
        self.begin_slice();
    }

    pub(crate) fn begin_slice(&self) {
        self.slice_start.store(now(), Relaxed);
        self.long_since.store(0, Relaxed);
    }

    pub(crate) fn end_slice(&self) {
        self.used.fetch_add(self.slice(), Relaxed);
    }

    /// CPU nanoseconds of the poll that is running: what it surely had before it was found to be long, and what the
    /// thread's clock says since.
    fn slice(&self) -> u64 {
        match self.long_since.load(Relaxed) {
            0 => now().saturating_sub(self.slice_start.load(Relaxed)).min(2 * TICK_NANOS),
            since => cpu().saturating_sub(since).saturating_add(TICK_NANOS),
        }
    }

    /// Called when the epoch has passed the store's deadline. The epoch moves on while a guest waits for I/O, so the
    /// time since the poll began decides, not the epoch.
    pub(crate) fn tick(&self) -> Verdict {
        if now().saturating_sub(self.slice_start.load(Relaxed)) < TICK_NANOS {
            return Verdict::Run;
        }
        let since = self.long_since.load(Relaxed);
        if since == 0 {
            self.long_since.store(cpu().max(1), Relaxed);
            return Verdict::Run;
        }
        if self.used.load(Relaxed).saturating_add(self.slice()) > self.budget {
            self.exhausted.store(true, Relaxed);
            return Verdict::Stop;
        }
        if cpu().saturating_sub(since) < TICK_NANOS / 2 {
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

    /// CPU time of this call so far.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
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
        let meter = Meter::new(Some(Duration::from_millis(20)));
        meter.begin_call();
        compute(TICK * 2);
        assert_eq!(meter.tick(), Verdict::Run, "found to be long");
        compute(TICK);
        assert_eq!(meter.tick(), Verdict::Pause);
        assert!(meter.is_heavy());
        meter.end_slice();
        assert!(meter.used() >= TICK);
        meter.begin_slice();
        compute(TICK * 2);
        assert_eq!(meter.tick(), Verdict::Run);
        compute(Duration::from_millis(20));
        assert_eq!(meter.tick(), Verdict::Stop);
        assert!(meter.is_exhausted());
        meter.begin_call();
        assert!(!meter.is_exhausted() && !meter.is_heavy());
    }

    #[test]
    fn a_thread_that_was_put_aside_is_no_spinner() {
        let meter = Meter::new(Some(Duration::from_millis(20)));
        // A busy machine may charge a thread for more than it does: then it is tried again.
        let quiet = (0..100).any(|_| {
            meter.begin_call();
            std::thread::sleep(TICK * 30);
            let before = cpu();
            let verdicts = [meter.tick(), {
                std::thread::sleep(TICK * 30);
                meter.tick()
            }];
            if cpu() - before >= TICK_NANOS / 2 {
                return false;
            }
            assert_eq!(verdicts, [Verdict::Run, Verdict::Run]);
            assert!(!meter.is_heavy() && !meter.is_exhausted());
            meter.end_slice();
            assert!(meter.used() < TICK * 10);
            true
        });
        assert!(quiet, "a hundred times a thread that slept had used CPU time");
    }
}
