//! What the operator counts, and the load of workloads as it hears it. All names are here; labels are kinds and outcomes, and of
//! workloads' load their names: as many as there are.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::{Registry, Unit},
};

use crate::{
    board::Board,
    signals::{Signal, WorkloadSignals},
};

/// A write to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabels {
    /// The kind of object.
    pub(crate) kind: &'static str,
    /// `apply`, `status`, `delete` or `create`.
    pub(crate) verb: &'static str,
    /// `done`, `missing`, `another`, `refused` or `failed`.
    pub(crate) outcome: &'static str,
}

/// Something about one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabels {
    /// The kind of object.
    pub(crate) kind: String,
}

impl From<&str> for KindLabels {
    fn from(kind: &str) -> Self {
        Self { kind: kind.to_owned() }
    }
}

/// What the operator counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    registry: Arc<Registered>,
    /// Writes to the API server.
    pub(crate) writes: Family<WriteLabels, Counter>,
    /// Events of watches.
    pub(crate) watched: Family<KindLabels, Counter>,
    /// Errors of watches.
    pub(crate) watch_errors: Family<KindLabels, Counter>,
    /// Objects that were looked at because something changed.
    pub(crate) reconciled: Family<KindLabels, Counter>,
    /// Objects that are known.
    pub(crate) objects: Family<KindLabels, Gauge<i64, AtomicI64>>,
    /// Snapshots given to hosts' streams.
    pub(crate) snapshots: Counter,
    /// Hosts whose stream is here.
    pub(crate) hosts: Gauge<i64, AtomicI64>,
    /// Objects that wait to be looked at, and writes that wait to be sent.
    pub(crate) waiting: Family<KindLabels, Gauge<i64, AtomicI64>>,
    /// 1 while this operator leads.
    pub(crate) leader: Gauge<i64, AtomicI64>,
    /// Seconds since the epoch at which the serving certificate ends.
    pub(crate) certificate_end: Gauge<i64, AtomicI64>,
    /// CPU time of the task that decides.
    pub(crate) busy: Counter<f64, AtomicU64>,
    /// Changes of replicas by `spec.autoscaling`.
    rescales: Family<DirectionLabels, Counter>,
}

/// More or fewer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    /// `up` or `down`.
    direction: &'static str,
}

/// A family of numbers, one for each workload: name, help, and the number.
type OfWorkload = (&'static str, &'static str, fn(&WorkloadSignals) -> f64);

/// What workloads' hosts say of their load, as `spec.autoscaling` and external scalers see it.
#[derive(Debug)]
struct Workloads(Board);

impl Collector for Workloads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.all();
        let families: [OfWorkload; 10] = [
            ("replicas", "Replicas that serve", |it| f64::from(it.replicas)),
            ("capacity", "Calls at once that these are good for", |it| it.capacity as f64),
            ("requests_per_second", "Calls that came in the last second", |it| Signal::RequestsPerSecond.of(it)),
            ("in_flight", "Calls running", |it| Signal::InFlight.of(it)),
            ("queued", "Calls waiting", |it| Signal::Queued.of(it)),
            ("concurrency", "Calls running and waiting", |it| Signal::Concurrency.of(it)),
            ("utilization", "Calls running and waiting by capacity", |it| Signal::Utilization.of(it)),
            ("queue_wait_seconds", "Mean wait of the last second's calls", |it| Signal::QueueWait.of(it)),
            ("latency_seconds", "Mean time from arrival to end of the last second's calls", |it| {
                Signal::Latency.of(it)
            }),
            ("shed_per_second", "Calls refused in the last second", |it| Signal::ShedPerSecond.of(it)),
        ];
        for (name, help, value) in families {
            let name = format!("penstock_workload_load_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for (workload, signals) in &all {
                let labels = [("namespace", workload.namespace.as_str()), ("workload", workload.name.as_str())];
                ConstGauge::new(value(signals)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Registered(parking_lot::Mutex<Registry>);

impl Metrics {
    /// Everything at zero.
    pub(crate) fn new(board: Board) -> Self {
        let this = Self::default();
        let mut guard = this.registry.0.lock();
        let it = guard.sub_registry_with_prefix("penstock_operator");
        it.register("api_writes", "Writes to the API server", this.writes.clone());
        it.register("watch_events", "Events of watches", this.watched.clone());
        it.register("watch_errors", "Errors of watches", this.watch_errors.clone());
        it.register("reconciliations", "Objects that were looked at", this.reconciled.clone());
        it.register("objects", "Objects that are known", this.objects.clone());
        it.register("snapshots", "Snapshots given to hosts", this.snapshots.clone());
        it.register("connected_hosts", "Hosts whose stream is here", this.hosts.clone());
        it.register("waiting", "Objects to be looked at, and writes to be sent", this.waiting.clone());
        it.register("leader", "1 while this operator leads", this.leader.clone());
        it.register_with_unit("busy", "Time spent on deciding", Unit::Seconds, this.busy.clone());
        it.register(
            "certificate_end_timestamp_seconds",
            "When the serving certificate ends",
            this.certificate_end.clone(),
        );
        it.register("rescales", "Changes of replicas by spec.autoscaling", this.rescales.clone());
        guard.register_collector(Box::new(Workloads(board)));
        drop(guard);
        this
    }

    /// Replicas have been changed by load.
    pub(crate) fn rescaled(&self, up: bool) {
        self.rescales.get_or_create(&DirectionLabels { direction: if up { "up" } else { "down" } }).inc();
    }

    /// All of them as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry.0.lock()) {
            // Writing into a String does not fail.
            let _ = writeln!(text, "# {error}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Name;

    #[test]
    fn names_are_as_documented() {
        let board = Board::default();
        board.lead(true);
        board.serving(&Name::new("default", "app"), 3);
        let metrics = Metrics::new(board);
        metrics.writes.get_or_create(&WriteLabels { kind: "Workload", verb: "apply", outcome: "done" }).inc();
        metrics.busy.inc_by(0.5);
        let text = metrics.text();
        for line in [
            r#"penstock_operator_api_writes_total{kind="Workload",verb="apply",outcome="done"} 1"#,
            "penstock_operator_connected_hosts 0",
            "penstock_operator_leader 0",
            "penstock_operator_busy_seconds_total 0.5",
            r#"penstock_workload_load_replicas{namespace="default",workload="app"} 3"#,
            r#"penstock_workload_load_queue_wait_seconds{namespace="default",workload="app"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
