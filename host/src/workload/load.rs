//! How loaded a share is, for gateways that balance by it: ORCA load reports.
//!
//! The numbers are those that the share and the process have anyway. They are put together at most once in a while, by the
//! request that finds them old; all others take what is there.

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;
use penstock_router::admit::{Admission, AdmissionStats};
use rustix::time::{ClockId, clock_gettime};

use crate::instance::Pool;

/// A report is good for so long.
const GOOD_FOR: Duration = Duration::from_millis(100);
/// Rates are those of about the last second.
const SMOOTHED_OVER: f64 = 1.0;

/// The processors' share that this process had lately. One number for all shares.
static PROCESS: LazyLock<Mutex<Process>> = LazyLock::new(|| Mutex::new(Process::new()));

/// The part of the processors that this process uses, lately.
pub(super) fn processors_in_use() -> f64 {
    PROCESS.lock().utilization()
}

/// How loaded a share is.
pub(crate) struct Load {
    admission: Arc<Admission>,
    pools: Vec<Arc<Pool>>,
    started: Instant,
    /// When the report is to be made anew, in milliseconds from the start.
    due: AtomicU64,
    report: ArcSwap<HeaderValue>,
    rates: Mutex<Rates>,
}

/// Counters at a time, and what they grew by in a second, lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rates {
    at: Duration,
    calls: u64,
    errors: u64,
    calls_per_second: f64,
    errors_per_second: f64,
}

/// The four numbers that balancers know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Report {
    /// Of the processors that this process may use, by this process. 1 is all.
    cpu: f64,
    /// Calls that run or wait, by those that may run at once. More than 1 while some wait.
    utilization: f64,
    calls_per_second: f64,
    errors_per_second: f64,
}

struct Process {
    at: Instant,
    used: Duration,
    utilization: f64,
}

// === impl Load ===

impl Load {
    pub(crate) fn new(admission: Arc<Admission>, pools: Vec<Arc<Pool>>) -> Arc<Self> {
        Arc::new(Self {
            admission,
            pools,
            started: Instant::now(),
            due: AtomicU64::new(0),
            report: ArcSwap::new(Arc::new(Report::default().header())),
            rates: Mutex::default(),
        })
    }

    /// What it said last, or what it says now if that is old.
    pub(crate) fn report(&self) -> HeaderValue {
        let now = self.started.elapsed();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let due = self.due.load(Relaxed);
        let next = millis.saturating_add(GOOD_FOR.as_millis() as u64);
        // One of those that find it old makes it anew.
        if millis >= due && self.due.compare_exchange(due, next, Relaxed, Relaxed).is_ok() {
            self.report.store(Arc::new(self.look(now).header()));
        }
        HeaderValue::clone(&self.report.load())
    }

    fn look(&self, now: Duration) -> Report {
        let stats = self.admission.stats();
        let trapped: u64 = self.pools.iter().map(|pool| pool.stats().trapped).sum();
        let mut rates = self.rates.lock();
        *rates = rates.after(now, stats.admitted, trapped + stats.shed.total());
        Report {
            cpu: PROCESS.lock().utilization(),
            utilization: utilization(&stats),
            calls_per_second: rates.calls_per_second,
            errors_per_second: rates.errors_per_second,
        }
    }
}

/// With no places at all, anybody who waits is too many.
#[allow(clippy::cast_precision_loss, reason = "a ratio")]
fn utilization(stats: &AdmissionStats) -> f64 {
    (stats.in_flight + stats.queued) as f64 / stats.limits.concurrency.max(1) as f64
}

// === impl Rates ===

impl Rates {
    /// The same with newer counts: the longer ago the last ones were, the less their rates count.
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    fn after(self, at: Duration, calls: u64, errors: u64) -> Self {
        let span = at.saturating_sub(self.at).as_secs_f64();
        if span <= 0.0 {
            return self;
        }
        let fresh = 1.0 - (-span / SMOOTHED_OVER).exp();
        let mix = |old: f64, before: u64, now: u64| old + fresh * (now.saturating_sub(before) as f64 / span - old);
        Self {
            at,
            calls,
            errors,
            calls_per_second: mix(self.calls_per_second, self.calls, calls),
            errors_per_second: mix(self.errors_per_second, self.errors, errors),
        }
    }
}

// === impl Report ===

impl Report {
    fn header(&self) -> HeaderValue {
        // Digits and signs: there is no such text that is no value.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("TEXT"))
    }
}

impl fmt::Display for Report {
    /// ORCA's text format, with the names of `xds.data.orca.v3.OrcaLoadReport`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, utilization, calls_per_second, errors_per_second } = self;
        write!(
            f,
            "TEXT cpu_utilization={cpu:.3}, application_utilization={utilization:.3}, rps_fractional={calls_per_second:.1}, \
             eps={errors_per_second:.1}"
        )
    }
}

// === impl Process ===

impl Process {
    fn new() -> Self {
        Self { at: Instant::now(), used: cpu_time(), utilization: 0.0 }
    }

    /// Since the last look, unless that was a moment ago.
    fn utilization(&mut self) -> f64 {
        let span = self.at.elapsed();
        if span >= GOOD_FOR {
            let used = cpu_time();
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            #[allow(clippy::cast_precision_loss, reason = "a handful of processors")]
            let all = span.as_secs_f64() * processors as f64;
            self.utilization = used.saturating_sub(self.used).as_secs_f64() / all;
            (self.at, self.used) = (Instant::now(), used);
        }
        self.utilization
    }
}

/// What all threads of this process have used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use penstock_router::admit::Limits;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_report_is_what_balancers_read() {
        let report = Report { cpu: 0.25, utilization: 1.5, calls_per_second: 1234.56, errors_per_second: 0.0 };
        let text = "TEXT cpu_utilization=0.250, application_utilization=1.500, rps_fractional=1234.6, eps=0.0";
        assert_eq!(report.header(), text);
    }

    #[test]
    fn rates_follow_the_last_second() {
        let mut rates = Rates::default();
        // 100 a second, of which 10 fail, looked at now and then.
        for (at, calls, errors) in [(0.1, 10, 1), (0.9, 90, 9), (1.0, 100, 10), (5.0, 500, 50)] {
            rates = rates.after(seconds(at), calls, errors);
        }
        assert!((98.0..=100.0).contains(&rates.calls_per_second), "{rates:?}");
        assert!((9.8..=10.0).contains(&rates.errors_per_second), "{rates:?}");
        let quiet = rates.after(seconds(6.0), 500, 50);
        assert!((30.0..40.0).contains(&quiet.calls_per_second), "{quiet:?}");
        assert_eq!(rates.after(seconds(5.0), 900, 50), rates, "no time has passed");
    }

    #[tokio::test]
    async fn a_share_says_how_full_it_is_and_not_more_often_than_need_be() {
        let limits = Limits { concurrency: 4, queue_depth: 4, queue_timeout: Duration::from_secs(5) };
        let admission = Admission::new(limits);
        let load = Load::new(admission.clone(), Vec::new());
        let says = |part: &str| load.report().to_str().unwrap().contains(part);
        assert!(says("application_utilization=0.000"), "{:?}", load.report());
        let permits: Vec<_> = (0..3).filter_map(|_| admission.try_admit()).collect();
        assert!(says("application_utilization=0.000"), "what is said is good for a while");
        let until = Instant::now() + Duration::from_secs(5);
        while !says("application_utilization=0.750") {
            assert!(Instant::now() < until, "{:?}", load.report());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!says("rps_fractional=0.0,"), "{:?}", load.report());
        drop(permits);
    }

    #[test]
    fn the_process_is_measured() {
        let mut process = Process::new();
        let until = Instant::now() + GOOD_FOR * 2;
        let mut number = 0_u64;
        while Instant::now() < until {
            number = std::hint::black_box(number.wrapping_mul(31) + 1);
        }
        let used = process.utilization();
        assert!(used > 0.0 && used < 1.1, "{used}");
    }
}
