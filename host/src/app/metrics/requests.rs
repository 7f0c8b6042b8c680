//! Counts requests: a lookup without a lock and three additions for each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::StatusCode;
use penstock_api::snapshot::Snapshot;
use penstock_router::{AccessRecord, Cause, Mirrored, Observer};

use crate::HostStatus;

/// Classes of status codes; the first is for clients that left before there was one.
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of the duration histogram's buckets in seconds: Prometheus' own defaults, and two below for components that
/// answer at once.
pub(super) const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Requests by listener and by the workload that was to answer; empty if none was.
type ByListener = BTreeMap<String, BTreeMap<String, Arc<Series>>>;

/// What a process counts beside the state of its host: requests, and its stream to the operator.
#[derive(Default)]
pub struct Metrics {
    series: ArcSwap<ByListener>,
    pub(crate) connected: AtomicBool,
    pub(crate) attempts: AtomicU64,
    /// Why there is no stream to the operator.
    pub(crate) trouble: ArcSwapOption<String>,
}

#[derive(Default)]
pub(super) struct Series {
    pub(super) classes: [AtomicU64; CLASSES.len()],
    pub(super) causes: [AtomicU64; Cause::ALL.len()],
    pub(super) buckets: [AtomicU64; BOUNDS.len() + 1],
    pub(super) nanos: AtomicU64,
    /// Attempts beyond the first of each request.
    pub(super) retries: AtomicU64,
    /// Copies of requests, by what became of them.
    pub(super) mirrored: [AtomicU64; Mirrored::ALL.len()],
}

// === impl Metrics ===

impl Metrics {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether the stream to the operator is open.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// How often opening it was tried.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Relaxed)
    }

    /// Why it is not, in a sentence, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    pub(super) fn series(&self) -> Arc<ByListener> {
        self.series.load_full()
    }

    /// Drops the series of what is no longer there: listeners, and workloads that have no share and that no route leads to.
    pub(super) fn forget(&self, status: &HostStatus, snapshot: &Snapshot) {
        let all = self.series.load();
        let shares: BTreeSet<&str> = status.shares.values().map(|share| share.deployment.as_str()).collect();
        let gone = |listener: &str, workload: &str| {
            !status.listeners.contains_key(listener) || !(workload.is_empty() || shares.contains(workload))
        };
        if !all.iter().any(|(listener, of)| of.keys().any(|workload| gone(listener, workload))) {
            return;
        }
        // Those are few, and looked for only then: a table may have many routes.
        let rules = snapshot.listeners.iter().flat_map(|it| &it.routes).flat_map(|it| &it.rules);
        let names = rules.flat_map(|rule| {
            let backends = rule.backends.iter().map(|it| it.deployment.as_str());
            backends.chain(rule.all_mirrors().map(|it| it.deployment.as_str()))
        });
        let routed: BTreeSet<&str> = names.collect();
        self.series.rcu(|all| {
            let mut all = ByListener::clone(all);
            all.retain(|listener, of| {
                of.retain(|workload, _| !gone(listener, workload) || routed.contains(workload.as_str()));
                status.listeners.contains_key(listener) && !of.is_empty()
            });
            all
        });
    }

    fn of(&self, listener: &str, workload: &str) -> Arc<Series> {
        let known = |all: &ByListener| all.get(listener).and_then(|of| of.get(workload)).cloned();
        if let Some(series) = known(&self.series.load()) {
            return series;
        }
        // The first request of its kind. Two at once make it once.
        self.series.rcu(|all| {
            let mut all = ByListener::clone(all);
            all.entry(listener.to_owned()).or_default().entry(workload.to_owned()).or_default();
            all
        });
        known(&self.series.load()).unwrap_or_default()
    }
}

impl Observer for Metrics {
    fn request(&self, record: &AccessRecord<'_>) {
        let ended =
            Outcome { status: record.status, cause: record.cause, total: record.total, retries: record.retries };
        self.of(record.listener, record.backend().unwrap_or_default()).add(&ended);
    }

    fn mirrored(&self, listener: &str, backend: &str, outcome: Mirrored) {
        let series = self.of(listener, backend);
        if let Some(counter) = Mirrored::ALL.iter().position(|it| *it == outcome).and_then(|it| series.mirrored.get(it))
        {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// What is counted of a request.
struct Outcome {
    status: Option<StatusCode>,
    cause: Option<Cause>,
    total: Duration,
    retries: u32,
}

// === impl Series ===

impl Series {
    fn add(&self, record: &Outcome) {
        let one = |counters: &[AtomicU64], index: usize| {
            if let Some(counter) = counters.get(index) {
                counter.fetch_add(1, Relaxed);
            }
        };
        one(&self.classes, record.status.map_or(0, |status| usize::from(status.as_u16() / 100)));
        if let Some(cause) = record.cause
            && let Some(index) = Cause::ALL.iter().position(|it| *it == cause)
        {
            one(&self.causes, index);
        }
        if record.retries > 0 {
            self.retries.fetch_add(record.retries.into(), Relaxed);
        }
        let took = record.total.as_secs_f64();
        one(&self.buckets, BOUNDS.partition_point(|bound| *bound < took));
        self.nanos.fetch_add(u64::try_from(record.total.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use penstock_api::snapshot::{Listener, Route, RouteBackend, RouteRule};

    use super::*;
    use crate::{ListenerStatus, ShareState, ShareStatus};

    fn ended(status: u16, cause: Option<Cause>) -> Outcome {
        Outcome { status: StatusCode::from_u16(status).ok(), cause, total: Duration::from_millis(3), retries: 1 }
    }

    #[test]
    fn counts_and_forgets() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            metrics.of("l", "ns/a").add(&ended(200, None));
        }
        metrics.of("l", "ns/b").add(&ended(503, Some(Cause::NotReady)));
        metrics.of("gone", "").add(&ended(404, Some(Cause::NoRoute)));
        let all = metrics.series();
        let a = &all["l"]["ns/a"];
        assert_eq!(a.classes[2].load(Relaxed), 2);
        assert_eq!(a.buckets[BOUNDS.partition_point(|it| *it < 0.003)].load(Relaxed), 2);
        assert_eq!(a.nanos.load(Relaxed), 6_000_000);
        assert_eq!(a.retries.load(Relaxed), 2);
        let not_ready = Cause::ALL.iter().position(|it| *it == Cause::NotReady).unwrap();
        assert_eq!(all["l"]["ns/b"].causes[not_ready].load(Relaxed), 1);
        assert_eq!(all["gone"][""].classes[4].load(Relaxed), 1);

        let share: ShareStatus = serde_json::from_value(serde_json::json!({
            "deployment": "ns/a", "revision": "1", "state": ShareState::Ready, "replicas": 1, "capacity": 1, "inFlight": 0,
            "queued": 0, "shed": 0, "idleInstances": 0, "startedInstances": 0, "reusedInstances": 0, "trapped": 0, "cpuMs": 0,
        }))
        .unwrap();
        let status = HostStatus {
            shares: [("ns/a@1".to_owned(), share)].into(),
            listeners: [("l".to_owned(), ListenerStatus::default())].into(),
            ..HostStatus::default()
        };
        let rule = |name: &str| RouteRule {
            backends: vec![RouteBackend { deployment: name.to_owned(), ..RouteBackend::default() }],
            ..RouteRule::default()
        };
        let route = Route { rules: vec![rule("ns/c")], ..Route::default() };
        let snapshot = Snapshot {
            listeners: vec![Listener { routes: vec![route], ..Listener::default() }],
            ..Snapshot::default()
        };
        metrics.of("l", "ns/c").add(&ended(503, Some(Cause::NotReady)));
        metrics.forget(&status, &snapshot);
        let all = metrics.series();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["l"]);
        assert_eq!(
            all["l"].keys().collect::<Vec<_>>(),
            ["ns/a", "ns/c"],
            "c has no share, but requests are routed to it"
        );
    }
}
