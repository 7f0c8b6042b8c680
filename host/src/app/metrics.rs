//! `/metrics`: what a host counts, in Prometheus' text format.
//!
//! Labels are bounded by what is deployed: listeners, workloads and revisions of the snapshot, classes of status codes, and
//! the causes of [`Cause::ALL`]. No path, no client, no route that a client could make up. Series of listeners and workloads
//! that are gone are dropped at the next look.
//!
//! Written by hand: all numbers are kept elsewhere already, and there is nothing to register.

mod requests;
mod text;

use std::sync::atomic::Ordering::Relaxed;

use penstock_router::{Cause, Mirrored};

pub use self::requests::Metrics;
pub(super) use self::text::TEXT;
use self::{
    requests::{BOUNDS, CLASSES},
    text::Page,
};
use super::{Host, HostStatus, ShareState, ShareStatus, tables};

/// A family of numbers, one for each share: name, help, and the number.
type OfShare = (&'static str, &'static str, fn(&ShareStatus) -> f64);

const SHARE_GAUGES: [OfShare; 11] = [
    ("penstock_workload_replicas", "Units of capacity.", |it| f64::from(it.replicas)),
    ("penstock_workload_lent_replicas", "Units of capacity that the host lends it beyond those.", |it| {
        f64::from(it.lent)
    }),
    ("penstock_workload_capacity", "Calls at once that these are good for.", |it| number(it.capacity)),
    ("penstock_workload_in_flight", "Calls running.", |it| number(it.in_flight)),
    ("penstock_workload_queued", "Calls waiting.", |it| number(it.queued)),
    ("penstock_workload_instances", "Instances, idle or not.", |it| number(it.instances)),
    ("penstock_workload_idle_instances", "Warm instances without a call.", |it| number(it.idle_instances)),
    (
        "penstock_workload_instance_concurrency",
        "Calls that instances which serve several take at once now, all together.",
        |it| number(it.instance_concurrency),
    ),
    ("penstock_workload_memory_bytes", "Memory of its instances.", |it| number(it.memory_bytes)),
    (
        "penstock_workload_longest_poll_seconds",
        "How long an instance has kept its thread at most, in this minute and the one before.",
        |it| number(it.longest_poll_us) / 1e6,
    ),
    ("penstock_workload_spill_peers", "Other hosts that calls can be passed on to.", |it| number(it.spill.peers)),
];

const SHARE_COUNTERS: [OfShare; 15] = [
    ("penstock_workload_admitted_total", "Calls admitted.", |it| number(it.admitted)),
    ("penstock_workload_shed_total", "Calls refused: queue full, waited too long, or draining.", |it| number(it.shed)),
    ("penstock_workload_queue_wait_seconds_total", "What admitted calls have waited, all together.", |it| {
        seconds(it.waited_ms)
    }),
    ("penstock_workload_served_total", "Calls whose answer has ended, however it did.", |it| number(it.served)),
    ("penstock_workload_served_seconds_total", "What these took from their arrival on, all together.", |it| {
        seconds(it.served_ms)
    }),
    ("penstock_workload_cpu_seconds_total", "CPU time of its instances.", |it| seconds(it.cpu_ms)),
    (
        "penstock_workload_memory_byte_seconds_total",
        "Memory of its instances, summed over time: a byte for a second is 1.",
        |it| it.memory_byte_seconds,
    ),
    ("penstock_workload_traps_total", "Calls that ended in a trap.", |it| number(it.trapped)),
    ("penstock_workload_started_instances_total", "Instances made.", |it| number(it.started_instances)),
    ("penstock_workload_cold_starts_total", "Instances made while a call waited.", |it| number(it.cold_starts)),
    ("penstock_workload_reused_instances_total", "Calls that found a warm instance.", |it| number(it.reused_instances)),
    (
        "penstock_workload_spilled_out_total",
        "Calls that another host has taken, since there was no place here.",
        |it| number(it.spill.out),
    ),
    ("penstock_workload_spills_refused_total", "Calls that another host had no place for either.", |it| {
        number(it.spill.refused)
    }),
    ("penstock_workload_spills_lost_total", "Calls that were passed on to a host that was lost then.", |it| {
        number(it.spill.lost)
    }),
    ("penstock_workload_spilled_in_total", "Calls of other hosts that were taken here.", |it| number(it.spill.taken)),
];

const STATES: [(ShareState, &str); 4] = [
    (ShareState::Loading, "loading"),
    (ShareState::Ready, "ready"),
    (ShareState::Failed, "failed"),
    (ShareState::Draining, "draining"),
];

/// All metrics of a host.
pub(super) fn page(host: &Host) -> String {
    let status = host.status.borrow().clone();
    let mut page = Page::default();
    page.family("penstock_host_info", "gauge", "The host's version.");
    page.sample("penstock_host_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.one(
        "penstock_host_leaving",
        "gauge",
        "1 once the host has been told to stop.",
        f64::from(u8::from(status.leaving)),
    );
    page.one(
        "penstock_snapshot_follows_version",
        "gauge",
        "The snapshot that the route tables follow.",
        number(status.follows),
    );
    page.one(
        "penstock_snapshot_settled_version",
        "gauge",
        "The last snapshot of which nothing is loading any more.",
        number(status.version),
    );
    shares(&mut page, &status);
    listeners(&mut page, &status);
    tls(&mut page, &status);
    outliers(&mut page);
    if let Some(metrics) = host.metrics.get() {
        metrics.forget(&status, &host.desired.borrow());
        control(&mut page, metrics);
        requests(&mut page, metrics);
    }
    page.into_text()
}

fn shares(page: &mut Page, status: &HostStatus) {
    page.family("penstock_workload_state", "gauge", "1 for the state that a revision of a workload is in.");
    for share in status.shares.values() {
        for (state, name) in STATES {
            let labels =
                [("workload", share.deployment.as_str()), ("revision", share.revision.as_str()), ("state", name)];
            page.sample("penstock_workload_state", &labels, f64::from(u8::from(share.state == state)));
        }
    }
    let families = SHARE_GAUGES.iter().map(|it| (it, "gauge")).chain(SHARE_COUNTERS.iter().map(|it| (it, "counter")));
    for ((name, help, value), kind) in families {
        page.family(name, kind, help);
        for share in status.shares.values() {
            let labels = [("workload", share.deployment.as_str()), ("revision", share.revision.as_str())];
            page.sample(name, &labels, value(share));
        }
    }
    let name = "penstock_workload_limit_hits_total";
    page.family(name, "counter", "How often a limit of the component has stopped something, by limit.");
    for share in status.shares.values() {
        for (limit, count) in &share.limits {
            let labels =
                [("workload", share.deployment.as_str()), ("revision", share.revision.as_str()), ("limit", limit)];
            page.counted(name, &labels, *count);
        }
    }
}

fn listeners(page: &mut Page, status: &HostStatus) {
    page.family("penstock_listener_bound", "gauge", "1 if the listener has its port.");
    for (name, listener) in &status.listeners {
        page.sample(
            "penstock_listener_bound",
            &[("listener", name.as_str())],
            f64::from(u8::from(listener.address.is_some())),
        );
    }
    page.family("penstock_listener_matches", "gauge", "Matches in the listener's route table.");
    for (name, listener) in &status.listeners {
        page.sample("penstock_listener_matches", &[("listener", name.as_str())], number(listener.matches as u64));
    }
    page.family("penstock_listener_swaps_total", "counter", "Route tables that the listener has had.");
    for (name, listener) in &status.listeners {
        page.sample("penstock_listener_swaps_total", &[("listener", name.as_str())], number(listener.generation));
    }
}

fn tls(page: &mut Page, status: &HostStatus) {
    let all = || status.listeners.iter().filter_map(|(name, listener)| Some((name.as_str(), listener.tls.as_ref()?)));
    page.family(
        "penstock_tls_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a listener's certificate ends, in seconds since the epoch.",
    );
    for (listener, tls) in all() {
        for it in &tls.certificates {
            let labels = [("listener", listener), ("certificate", it.name.as_str())];
            #[allow(clippy::cast_precision_loss, reason = "exact for the next 280 million years")]
            page.sample("penstock_tls_certificate_expiry_timestamp_seconds", &labels, it.not_after as f64);
        }
    }
    page.family("penstock_tls_handshakes_total", "counter", "TLS handshakes that went well.");
    for (listener, tls) in all() {
        page.sample("penstock_tls_handshakes_total", &[("listener", listener)], number(tls.handshakes));
    }
    page.family("penstock_tls_handshake_failures_total", "counter", "TLS handshakes that failed, by cause.");
    for (listener, tls) in all() {
        for (cause, count) in &tls.failures {
            let labels = [("listener", listener), ("cause", cause.as_str())];
            page.sample("penstock_tls_handshake_failures_total", &labels, number(*count));
        }
    }
}

fn outliers(page: &mut Page) {
    let healths = tables::healths();
    let each = || {
        healths.iter().map(|it| {
            let (workload, revision) = it.backend.split_once('@').unwrap_or((&it.backend, ""));
            (it, [("rule", it.rule.as_str()), ("workload", workload), ("revision", revision)])
        })
    };
    let help = "How often a rule has left out a backend that failed.";
    page.family("penstock_outlier_ejections_total", "counter", help);
    for (health, labels) in each() {
        page.sample("penstock_outlier_ejections_total", &labels, number(health.ejections));
    }
    page.family("penstock_outlier_ejected", "gauge", "1 while a rule leaves out a backend that failed.");
    for (health, labels) in each() {
        page.sample("penstock_outlier_ejected", &labels, f64::from(u8::from(health.ejected)));
    }
}

fn control(page: &mut Page, metrics: &Metrics) {
    let connected = f64::from(u8::from(metrics.connected()));
    page.one("penstock_control_connected", "gauge", "1 while the stream to the operator is open.", connected);
    let attempts = number(metrics.attempts.load(Relaxed));
    page.one("penstock_control_attempts_total", "counter", "Attempts to open the stream to the operator.", attempts);
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let all = metrics.series();
    let each = || all.iter().flat_map(|(listener, of)| of.iter().map(move |(workload, it)| (listener, workload, it)));
    page.family(
        "penstock_http_requests_total",
        "counter",
        "Requests by class of status; `none`: the client left before there was one.",
    );
    for (listener, workload, series) in each() {
        for (class, count) in CLASSES.iter().zip(&series.classes) {
            let labels = [("listener", listener.as_str()), ("workload", workload.as_str()), ("code", class)];
            page.counted("penstock_http_requests_total", &labels, count.load(Relaxed));
        }
    }
    page.family("penstock_http_generated_responses_total", "counter", "Responses that the host made itself, by cause.");
    for (listener, workload, series) in each() {
        for (cause, count) in Cause::ALL.iter().zip(&series.causes) {
            let labels =
                [("listener", listener.as_str()), ("workload", workload.as_str()), ("cause", cause.shape().name)];
            page.counted("penstock_http_generated_responses_total", &labels, count.load(Relaxed));
        }
    }
    page.family("penstock_http_request_retries_total", "counter", "Attempts beyond the first, by rules with `retry`.");
    for (listener, workload, series) in each() {
        let labels = [("listener", listener.as_str()), ("workload", workload.as_str())];
        page.counted("penstock_http_request_retries_total", &labels, series.retries.load(Relaxed));
    }
    page.family(
        "penstock_http_mirrored_requests_total",
        "counter",
        "Copies of requests that RequestMirror filters asked for, by what became of them.",
    );
    for (listener, workload, series) in each() {
        for (outcome, count) in Mirrored::ALL.iter().zip(&series.mirrored) {
            let labels =
                [("listener", listener.as_str()), ("workload", workload.as_str()), ("outcome", outcome.name())];
            page.counted("penstock_http_mirrored_requests_total", &labels, count.load(Relaxed));
        }
    }
    page.family(
        "penstock_http_request_duration_seconds",
        "histogram",
        "From the end of a request's headers to the end of its response.",
    );
    for (listener, workload, series) in each() {
        let labels = [("listener", listener.as_str()), ("workload", workload.as_str())];
        let buckets = series.buckets.iter().map(|count| count.load(Relaxed));
        let sum = number(series.nanos.load(Relaxed)) / 1e9;
        page.histogram("penstock_http_request_duration_seconds", &labels, &BOUNDS, buckets, sum);
    }
}

/// Exact up to 2^53, which no counter here reaches in a host's life.
#[allow(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn number(value: u64) -> f64 {
    value as f64
}

fn seconds(ms: u64) -> f64 {
    number(ms) / 1e3
}
