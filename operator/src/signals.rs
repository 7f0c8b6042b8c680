//! What hosts say of their load, put together for each workload.
//!
//! Hosts count from a share's start and say so about once a second, each at a moment of its own, and only what has changed.
//! [`Samples`] makes rates of that: for each share over its own newest interval of a second or more, and a workload's rate
//! is the sum. So nothing waits until all hosts have spoken, and a report that is early or late bends the rate a little
//! instead of halving or doubling it.
//!
//! Nothing here asks for the time: moments are the time since any origin, the same for all calls.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::plan::Name;

/// How often hosts look whether their numbers have changed.
const TICK: Duration = Duration::from_secs(1);
/// The shortest interval that a rate is made of. A little less than a tick, since reports do not come to the millisecond.
const SHORTEST: Duration = Duration::from_millis(900);
/// After so long without news a share's rates begin to fall: the next report is overdue by half a tick.
const OVERDUE: Duration = Duration::from_millis(1500);
/// After so long without news nothing has happened in the share, and its rates are 0.
const SILENT: Duration = Duration::from_millis(2500);

/// What a workload's hosts say of its load, all together, over the last second (gauges are now).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkloadSignals {
    /// Replicas that serve.
    pub replicas: u32,
    /// Calls at once that these are good for.
    pub capacity: u64,
    /// Calls running.
    pub in_flight: u64,
    /// Calls waiting.
    pub queued: u64,
    /// Calls that came, each second: admitted, refused, and those that the queue grew by.
    pub requests_per_second: f64,
    /// Calls refused, each second.
    pub shed_per_second: f64,
    /// How many seconds admitted calls waited, on average.
    pub queue_wait: f64,
    /// How many seconds calls took from their arrival to the end of their answer, on average.
    pub latency: f64,
}

/// A signal by its name, as `spec.autoscaling`, KEDA's metadata and external.metrics.k8s.io have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Calls that came, each second.
    RequestsPerSecond,
    /// Calls running.
    InFlight,
    /// Calls waiting.
    Queued,
    /// Calls running and waiting.
    Concurrency,
    /// Calls running and waiting, as a part of those that the replicas are good for.
    Utilization,
    /// Seconds that admitted calls waited.
    QueueWait,
    /// Seconds from a call's arrival to the end of its answer.
    Latency,
    /// Calls refused, each second.
    ShedPerSecond,
}

/// What a host has counted for one share since that started, and how it stands now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls at once that it is good for.
    pub capacity: u64,
    /// Calls running.
    pub in_flight: u64,
    /// Calls waiting.
    pub queued: u64,
    /// Calls admitted.
    pub admitted: u64,
    /// Calls refused.
    pub shed: u64,
    /// Milliseconds that admitted calls have waited, all together.
    pub waited_ms: u64,
    /// Calls whose answer has ended.
    pub served: u64,
    /// Milliseconds that these took from their arrival on, all together.
    pub served_ms: u64,
}

/// The load of all workloads. A report costs as much as it has shares, reading a workload as much as that has; a share costs
/// a fixed number of bytes until it is forgotten.
#[derive(Debug, Default)]
pub struct Samples {
    hosts: HashMap<Arc<str>, Host>,
    workloads: Owners,
}

/// Who has shares of each workload: host and share. Sorted, so that sums are the same each time.
type Owners = HashMap<Name, BTreeSet<(Arc<str>, Arc<str>)>>;

#[derive(Debug, Default)]
struct Host {
    shares: HashMap<Arc<str>, Share>,
}

#[derive(Debug)]
struct Share {
    workload: Name,
    meter: Meter,
}

/// Counters at a moment.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Duration,
    counters: Counters,
}

/// One share's newest interval.
#[derive(Clone, Copy, Debug)]
struct Meter {
    /// Where the interval begins; none before there is one.
    base: Option<Point>,
    /// A report inside the interval: where the next one begins if the next report but one comes too early to begin at
    /// the newest.
    middle: Option<Point>,
    newest: Point,
}

/// Counts for each second; times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    came: f64,
    admitted: f64,
    shed: f64,
    waited_ms: f64,
    served: f64,
    served_ms: f64,
}

// === impl Signal ===

impl Signal {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::RequestsPerSecond,
        Self::InFlight,
        Self::Queued,
        Self::Concurrency,
        Self::Utilization,
        Self::QueueWait,
        Self::Latency,
        Self::ShedPerSecond,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests_per_second",
            Self::InFlight => "in_flight",
            Self::Queued => "queued",
            Self::Concurrency => "concurrency",
            Self::Utilization => "utilization",
            Self::QueueWait => "queue_wait_seconds",
            Self::Latency => "latency_seconds",
            Self::ShedPerSecond => "shed_per_second",
        }
    }

    /// The signal of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether all replicas' values add up to the workload's: then targets are an average for each replica
    /// (`AverageValue`), else a `Value`.
    #[must_use]
    pub const fn is_additive(self) -> bool {
        match self {
            Self::RequestsPerSecond | Self::InFlight | Self::Queued | Self::Concurrency | Self::ShedPerSecond => true,
            Self::Utilization | Self::QueueWait | Self::Latency => false,
        }
    }

    /// Its value, of the workload as a whole.
    #[must_use]
    pub fn of(self, signals: &WorkloadSignals) -> f64 {
        let calls = signals.in_flight.saturating_add(signals.queued) as f64;
        match self {
            Self::RequestsPerSecond => signals.requests_per_second,
            Self::InFlight => signals.in_flight as f64,
            Self::Queued => signals.queued as f64,
            Self::Concurrency => calls,
            // Without any capacity, the first call asks for all of one.
            Self::Utilization => calls / signals.capacity.max(1) as f64,
            Self::QueueWait => signals.queue_wait,
            Self::Latency => signals.latency,
            Self::ShedPerSecond => signals.shed_per_second,
        }
    }
}

// === impl Samples ===

impl Samples {
    /// Takes in what a host says: its shares whose numbers have changed, each with the workload that it is of.
    ///
    /// The first report of a host that was not known has all of its shares, and only says where counting begins. A share
    /// that comes up later has started since, so that all it has counted is new.
    pub fn report<'a>(
        &mut self,
        now: Duration,
        host: &str,
        shares: impl IntoIterator<Item = (&'a Name, &'a str, Counters)>,
    ) {
        let host: Arc<str> = match self.hosts.get_key_value(host) {
            Some((host, _)) => host.clone(),
            None => host.into(),
        };
        let known = self.hosts.contains_key(&host);
        let of = self.hosts.entry(host.clone()).or_default();
        for (workload, id, counters) in shares {
            let newest = Point { at: now, counters };
            match of.shares.get_mut(id) {
                Some(share) if share.workload == *workload => share.meter.add(newest),
                before => {
                    let id: Arc<str> = id.into();
                    if let Some(share) = before {
                        leave(&mut self.workloads, &share.workload, &host, &id);
                    }
                    let base = known.then(|| Point { at: now.saturating_sub(TICK), counters: Counters::default() });
                    let meter = Meter { base, middle: None, newest };
                    of.shares.insert(id.clone(), Share { workload: workload.clone(), meter });
                    self.workloads.entry(workload.clone()).or_default().insert((host.clone(), id));
                }
            }
        }
    }

    /// Forgets a host: it has left, or its stream begins anew.
    pub fn forget_host(&mut self, host: &str) {
        let Some((host, of)) = self.hosts.remove_entry(host) else { return };
        for (id, share) in of.shares {
            leave(&mut self.workloads, &share.workload, &host, &id);
        }
    }

    /// Forgets a share that a host no longer has.
    pub fn forget_share(&mut self, host: &str, share: &str) {
        let Some((host, _)) = self.hosts.get_key_value(host) else { return };
        let host = host.clone();
        if let Some((id, it)) = self.hosts.get_mut(&host).and_then(|of| of.shares.remove_entry(share)) {
            leave(&mut self.workloads, &it.workload, &host, &id);
        }
    }

    /// How loaded a workload is that has so many replicas.
    #[must_use]
    pub fn signals(&self, workload: &Name, replicas: u32, now: Duration) -> WorkloadSignals {
        let mut signals = WorkloadSignals { replicas, ..WorkloadSignals::default() };
        let mut rates = Rates::default();
        let shares = self.workloads.get(workload).into_iter().flatten();
        for meter in shares.filter_map(|(host, id)| Some(&self.hosts.get(host)?.shares.get(id)?.meter)) {
            let Counters { capacity, in_flight, queued, .. } = meter.newest.counters;
            signals.capacity = signals.capacity.saturating_add(capacity);
            signals.in_flight = signals.in_flight.saturating_add(in_flight);
            signals.queued = signals.queued.saturating_add(queued);
            rates.add(&meter.rates(now));
        }
        signals.requests_per_second = rates.came;
        signals.shed_per_second = rates.shed;
        signals.queue_wait = mean_seconds(rates.waited_ms, rates.admitted);
        signals.latency = mean_seconds(rates.served_ms, rates.served);
        signals
    }
}

/// Takes a share off a workload, and with its last one the workload.
fn leave(workloads: &mut Owners, workload: &Name, host: &Arc<str>, share: &Arc<str>) {
    let Some(shares) = workloads.get_mut(workload) else { return };
    shares.remove(&(host.clone(), share.clone()));
    if shares.is_empty() {
        workloads.remove(workload);
    }
}

fn mean_seconds(milliseconds: f64, calls: f64) -> f64 {
    if calls > 0.0 { milliseconds / calls / 1000.0 } else { 0.0 }
}

// === impl Meter ===

impl Meter {
    fn add(&mut self, point: Point) {
        if self.newest.counters.is_ahead_of(&point.counters) {
            // The share has started again, since the last look at it.
            let at = self.newest.at.max(point.at.saturating_sub(TICK));
            self.newest = Point { at, counters: Counters::default() };
            (self.base, self.middle) = (Some(self.newest), None);
        }
        let since = |point_before: &Point| point.at.saturating_sub(point_before.at);
        if since(&self.newest) >= SILENT {
            // Its host would have spoken earlier, had anything happened earlier.
            self.newest.at = point.at.saturating_sub(TICK);
        }
        if since(&self.newest) >= SHORTEST {
            (self.base, self.middle) = (Some(self.newest), None);
        } else if let Some(middle) = self.middle.filter(|it| since(it) >= SHORTEST) {
            (self.base, self.middle) = (Some(middle), Some(self.newest));
        } else if self.base.is_none() {
            self.base = Some(self.newest);
        } else if self.middle.is_none() {
            self.middle = Some(self.newest);
        }
        self.newest = point;
    }

    fn rates(&self, now: Duration) -> Rates {
        let Some(base) = self.base else { return Rates::default() };
        let (from, to) = (&base.counters, &self.newest.counters);
        let seconds = self.newest.at.saturating_sub(base.at).max(SHORTEST).as_secs_f64();
        let age = now.saturating_sub(self.newest.at);
        let fading = (SILENT - OVERDUE).as_secs_f64();
        let fresh = (SILENT.saturating_sub(age).as_secs_f64() / fading).min(1.0);
        let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds * fresh;
        Rates {
            came: rate(from.came(), to.came()),
            admitted: rate(from.admitted, to.admitted),
            shed: rate(from.shed, to.shed),
            waited_ms: rate(from.waited_ms, to.waited_ms),
            served: rate(from.served, to.served),
            served_ms: rate(from.served_ms, to.served_ms),
        }
    }
}

// === impl Counters and Rates ===

impl Counters {
    /// Calls that came: one that waits has come as well, and is admitted or refused later. Who leaves the queue without
    /// either is taken for one who never came.
    const fn came(&self) -> u64 {
        self.admitted.saturating_add(self.shed).saturating_add(self.queued)
    }

    /// Whether anything that only grows is further here: then the other is of a later start.
    const fn is_ahead_of(&self, other: &Self) -> bool {
        self.admitted > other.admitted
            || self.shed > other.shed
            || self.waited_ms > other.waited_ms
            || self.served > other.served
            || self.served_ms > other.served_ms
    }
}

impl Rates {
    fn add(&mut self, other: &Self) {
        self.came += other.came;
        self.admitted += other.admitted;
        self.shed += other.shed;
        self.waited_ms += other.waited_ms;
        self.served += other.served;
        self.served_ms += other.served_ms;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn app() -> Name {
        Name::new("default", "app")
    }

    fn admitted(admitted: u64) -> Counters {
        Counters { capacity: 10, admitted, ..Counters::default() }
    }

    fn tell(samples: &mut Samples, at: u64, host: &str, counters: Counters) {
        samples.report(ms(at), host, [(&app(), "s", counters)]);
    }

    fn rps(samples: &Samples, at: u64) -> f64 {
        samples.signals(&app(), 1, ms(at)).requests_per_second
    }

    #[test]
    fn names_and_values() {
        let signals = WorkloadSignals {
            replicas: 4,
            capacity: 40,
            in_flight: 20,
            queued: 10,
            requests_per_second: 100.0,
            shed_per_second: 2.0,
            queue_wait: 0.05,
            latency: 0.2,
        };
        let values: Vec<(&str, bool, f64)> =
            Signal::ALL.iter().map(|it| (it.name(), it.is_additive(), it.of(&signals))).collect();
        assert_eq!(
            values,
            [
                ("requests_per_second", true, 100.0),
                ("in_flight", true, 20.0),
                ("queued", true, 10.0),
                ("concurrency", true, 30.0),
                ("utilization", false, 0.75),
                ("queue_wait_seconds", false, 0.05),
                ("latency_seconds", false, 0.2),
                ("shed_per_second", true, 2.0),
            ]
        );
        for it in Signal::ALL {
            assert_eq!(Signal::parse(it.name()), Some(it));
        }
        assert_eq!(Signal::parse("cpu"), None);
        assert_eq!(Signal::Utilization.of(&WorkloadSignals::default()), 0.0);
        assert_eq!(Signal::Utilization.of(&WorkloadSignals { queued: 3, ..WorkloadSignals::default() }), 3.0);
    }

    #[test]
    fn gauges_rates_and_means_of_all_hosts() {
        let mut samples = Samples::default();
        let first = |host: &str, samples: &mut Samples| tell(samples, 0, host, Counters::default());
        first("a", &mut samples);
        first("b", &mut samples);
        let a = Counters {
            capacity: 10,
            in_flight: 3,
            queued: 1,
            admitted: 30,
            shed: 10,
            waited_ms: 600,
            served: 20,
            served_ms: 4000,
        };
        let b = Counters {
            capacity: 20,
            in_flight: 5,
            queued: 0,
            admitted: 10,
            shed: 0,
            waited_ms: 0,
            served: 20,
            served_ms: 0,
        };
        tell(&mut samples, 1000, "a", a);
        tell(&mut samples, 1000, "b", b);
        let signals = samples.signals(&app(), 3, ms(1000));
        let expected = WorkloadSignals {
            replicas: 3,
            capacity: 30,
            in_flight: 8,
            queued: 1,
            requests_per_second: 51.0,
            shed_per_second: 10.0,
            queue_wait: 600.0 / 40.0 / 1000.0,
            latency: 4000.0 / 40.0 / 1000.0,
        };
        assert_eq!(signals, expected);
        let unknown = samples.signals(&Name::new("default", "other"), 2, ms(2000));
        assert_eq!(unknown, WorkloadSignals { replicas: 2, ..WorkloadSignals::default() });
    }

    #[test]
    fn who_waits_has_come_and_comes_only_once() {
        let mut samples = Samples::default();
        let of = |admitted, queued| Counters { capacity: 10, queued, admitted, ..Counters::default() };
        tell(&mut samples, 0, "a", of(0, 0));
        tell(&mut samples, 1000, "a", of(10, 40));
        assert_eq!(rps(&samples, 1000), 50.0);
        // The queue drains beside 5 that come.
        tell(&mut samples, 2000, "a", of(55, 0));
        assert_eq!(rps(&samples, 2000), 5.0);
        // All of the queue leaves by itself.
        tell(&mut samples, 3000, "a", of(55, 40));
        tell(&mut samples, 4000, "a", of(56, 0));
        assert_eq!(rps(&samples, 4000), 0.0);
    }

    #[test]
    fn counters_of_a_host_that_was_not_known_say_only_where_counting_begins() {
        let mut samples = Samples::default();
        tell(&mut samples, 0, "a", admitted(5000));
        assert_eq!(rps(&samples, 0), 0.0);
        assert_eq!(samples.signals(&app(), 1, ms(0)).capacity, 10);
        tell(&mut samples, 1000, "a", admitted(5010));
        assert_eq!(rps(&samples, 1000), 10.0);
        // Its stream begins anew.
        samples.forget_host("a");
        tell(&mut samples, 2000, "a", admitted(9000));
        assert_eq!(rps(&samples, 2000), 0.0);
    }

    #[test]
    fn a_share_that_comes_up_on_a_known_host_has_counted_from_nothing() {
        let mut samples = Samples::default();
        samples.report(ms(0), "a", []);
        tell(&mut samples, 5000, "a", admitted(40));
        assert_eq!(rps(&samples, 5000), 40.0);
    }

    #[test]
    fn a_restart_begins_from_nothing() {
        let mut samples = Samples::default();
        tell(&mut samples, 0, "a", admitted(5000));
        tell(&mut samples, 1000, "a", admitted(5010));
        tell(&mut samples, 2000, "a", admitted(7));
        assert_eq!(rps(&samples, 2000), 7.0);
        tell(&mut samples, 3000, "a", admitted(27));
        assert_eq!(rps(&samples, 3000), 20.0);
        // Any of them tells.
        tell(&mut samples, 4000, "a", Counters { shed: 5, ..admitted(30) });
        tell(&mut samples, 5000, "a", Counters { shed: 1, ..admitted(50) });
        assert_eq!(rps(&samples, 5000), 51.0);
    }

    #[test]
    fn silence_means_that_nothing_happened() {
        let mut samples = Samples::default();
        tell(&mut samples, 0, "a", admitted(0));
        tell(&mut samples, 1000, "a", Counters { in_flight: 4, queued: 2, ..admitted(8) });
        // Until the next report is overdue, nothing falls; then all of it within a second.
        for (at, expected) in [(1000, 10.0), (2500, 10.0), (3000, 5.0), (3500, 0.0), (60_000, 0.0)] {
            assert!((rps(&samples, at) - expected).abs() < 1e-9, "{at}: {}", rps(&samples, at));
            let signals = samples.signals(&app(), 1, ms(at));
            assert_eq!((signals.capacity, signals.in_flight, signals.queued), (10, 4, 2), "{at}");
        }
        // What comes after it came within the last tick.
        tell(&mut samples, 60_000, "a", admitted(40));
        assert_eq!(rps(&samples, 60_000), 30.0);
    }

    #[test]
    fn what_leaves_is_forgotten() {
        let mut samples = Samples::default();
        let (app, other) = (app(), Name::new("default", "other"));
        for host in ["a", "b"] {
            samples.report(
                ms(0),
                host,
                [(&app, "s", admitted(0)), (&other, "t", admitted(0)), (&app, "u", admitted(0))],
            );
        }
        let capacity = |samples: &Samples, of: &Name| samples.signals(of, 1, ms(0)).capacity;
        assert_eq!((capacity(&samples, &app), capacity(&samples, &other)), (40, 20));
        samples.forget_share("a", "u");
        samples.forget_share("a", "nothing");
        samples.forget_share("nobody", "u");
        assert_eq!((capacity(&samples, &app), capacity(&samples, &other)), (30, 20));
        samples.forget_host("a");
        samples.forget_host("nobody");
        assert_eq!((capacity(&samples, &app), capacity(&samples, &other)), (20, 10));
        // A share that is of another workload now.
        samples.report(ms(1000), "b", [(&other, "s", admitted(0))]);
        assert_eq!((capacity(&samples, &app), capacity(&samples, &other)), (10, 20));
        samples.forget_host("b");
        assert!(samples.hosts.is_empty() && samples.workloads.is_empty());
    }

    #[test]
    fn early_and_late_reports_neither_halve_nor_double() {
        // When the reports of the ticks at 0, 1, 2, ... seconds come; each tick has 100 calls.
        for arrivals in [
            vec![0, 1000, 2000, 3000, 4000],
            vec![0, 1400, 2000, 3400, 4000, 5400],
            vec![0, 1450, 2000, 3450, 4000, 5450],
            vec![0, 1000, 2000, 3600, 4000, 5000, 6000],
            vec![0, 999, 1998, 2997, 3996],
            vec![0, 1200, 2100, 3200, 4100],
        ] {
            let mut samples = Samples::default();
            for (tick, at) in arrivals.iter().enumerate() {
                tell(&mut samples, *at, "a", admitted(100 * tick as u64));
                if tick > 1 {
                    let rate = rps(&samples, *at);
                    assert!((60.0..150.0).contains(&rate), "{arrivals:?} at {at}: {rate}");
                }
            }
        }
    }

    #[test]
    fn reports_that_come_more_often_are_put_together() {
        for every in [50, 100, 300, 500, 700] {
            let mut samples = Samples::default();
            for step in 0..100 {
                tell(&mut samples, step * every, "a", admitted(step * every / 10));
                if step * every >= 1000 {
                    let rate = rps(&samples, step * every);
                    assert!((rate - 100.0).abs() < 2.0, "every {every} ms: {rate}");
                }
            }
            // What was long ago is none of it: gauges go on changing, nothing is admitted.
            for step in 100..100 + 2500 / every {
                let last = Counters { in_flight: step, ..admitted(99 * every / 10) };
                tell(&mut samples, step * every, "a", last);
            }
            assert_eq!(rps(&samples, (99 + 2500 / every) * every), 0.0, "every {every} ms");
        }
    }

    proptest! {
        /// 20 hosts that report once a second, each at a moment of its own and up to 100 ms early or late: the sum stays
        /// within a tenth of what it is, whenever it is read.
        #[test]
        fn a_steady_load_reads_steady(
            offsets in proptest::collection::vec(0_u64..1000, 20),
            jitter in proptest::collection::vec(0_u64..100, 20 * 12),
            reads in proptest::collection::vec(3000_u64..11_000, 20),
        ) {
            let mut events: Vec<(u64, usize, u64)> = Vec::new();
            for (host, offset) in offsets.iter().enumerate() {
                for tick in 0..12_u64 {
                    events.push((tick * 1000 + offset + jitter[host * 12 + tick as usize], host, tick));
                }
            }
            events.sort_unstable();
            let mut reads = reads;
            reads.sort_unstable();
            let mut reads = reads.into_iter().peekable();
            let mut samples = Samples::default();
            for (at, host, tick) in events {
                while let Some(read) = reads.next_if(|it| *it < at) {
                    let rate = rps(&samples, read);
                    prop_assert!((rate - 1000.0).abs() < 100.0, "{rate}");
                }
                tell(&mut samples, at, &format!("h{host}"), admitted(50 * tick));
            }
        }

        /// Whatever counters do, rates are finite and not negative.
        #[test]
        fn rates_are_never_wild(
            reports in proptest::collection::vec((0_u64..5000, 0..2_usize, any::<u64>(), any::<u64>(), any::<u64>()), 1..40),
        ) {
            let mut samples = Samples::default();
            let mut now = 0;
            for (pause, host, a, b, c) in reports {
                now += pause;
                let counters =
                    Counters { capacity: a, in_flight: b, queued: c, admitted: a, shed: b, waited_ms: c, served: a, served_ms: b };
                tell(&mut samples, now, ["a", "b"][host], counters);
                let signals = samples.signals(&app(), 1, ms(now + pause / 3));
                for it in Signal::ALL {
                    prop_assert!(it.of(&signals).is_finite() && it.of(&signals) >= 0.0);
                }
            }
        }
    }
}
