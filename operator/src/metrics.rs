//! What the operator counts. All names are here; labels are kinds and outcomes, never names of objects.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
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
}

#[derive(Debug, Default)]
struct Registered(parking_lot::Mutex<Registry>);

impl Metrics {
    /// Everything at zero.
    pub(crate) fn new() -> Self {
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
        drop(guard);
        this
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

    #[test]
    fn names_are_as_documented() {
        let metrics = Metrics::new();
        metrics.writes.get_or_create(&WriteLabels { kind: "Workload", verb: "apply", outcome: "done" }).inc();
        metrics.busy.inc_by(0.5);
        let text = metrics.text();
        for line in [
            r#"penstock_operator_api_writes_total{kind="Workload",verb="apply",outcome="done"} 1"#,
            "penstock_operator_connected_hosts 0",
            "penstock_operator_leader 0",
            "penstock_operator_busy_seconds_total 0.5",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
