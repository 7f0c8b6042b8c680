//! What happened when: one sample a second, and every change of the number of replicas at its own moment.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::load::{Latency, Report};

/// How many replicas there are, from a moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Since the load began.
    pub at: Duration,
    /// `spec.replicas`.
    pub wanted: u32,
    /// Those that serve: `status.currentReplicas`.
    pub serving: u32,
}

/// One span of time, as long as the span between two samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Its end, since the load began.
    pub at: Duration,
    /// Requests a second that were due.
    pub offered: f64,
    /// Answers a second.
    pub answered: f64,
    /// Requests that failed in it.
    pub failed: u64,
    /// Median latency of the requests that fell due in it, from that moment on.
    pub p50: Option<Duration>,
    /// The same of the slowest hundredth.
    pub p99: Option<Duration>,
    /// `spec.replicas` at its end.
    pub wanted: u32,
    /// Replicas that serve at its end.
    pub serving: u32,
    /// Replicas on each host at its end, hosts without any among them.
    pub hosts: BTreeMap<String, u32>,
    /// What an admitted call waited on the hosts, on average; `None`: no call, or the hosts did not say.
    pub queue_wait: Option<Duration>,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// One for each second, in order.
    pub samples: Vec<Sample>,
    /// In order; no two in a row say the same.
    pub changes: Vec<Change>,
    /// Requests that were due.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
    /// Failures by text.
    pub failures: BTreeMap<String, u64>,
}

// === impl Sample ===

impl Sample {
    /// By how many replicas the fullest and the emptiest host differ.
    #[must_use]
    pub fn skew(&self) -> u32 {
        let most = self.hosts.values().max().copied().unwrap_or_default();
        most - self.hosts.values().min().copied().unwrap_or_default()
    }
}

// === impl Series ===

impl Series {
    /// Notes how many replicas there are now, if that is news.
    pub fn note(&mut self, change: Change) {
        let same = |last: &Change| (last.wanted, last.serving) == (change.wanted, change.serving);
        if !self.changes.last().is_some_and(same) {
            self.changes.push(change);
        }
    }

    /// What was so at a moment.
    #[must_use]
    pub fn replicas(&self, at: Duration) -> Option<Change> {
        let begun = self.changes.partition_point(|it| it.at <= at);
        begun.checked_sub(1).map(|last| self.changes[last])
    }

    /// What was so at a moment, and every change after it until another.
    pub fn changes_within(&self, from: Duration, until: Duration) -> impl Iterator<Item = Change> + '_ {
        let later = self.changes.iter().copied().filter(move |it| it.at > from && it.at <= until);
        self.replicas(from).into_iter().chain(later)
    }

    /// Samples whose whole span lies between two moments.
    pub fn samples_within(&self, from: Duration, until: Duration) -> impl Iterator<Item = &Sample> + '_ {
        self.samples.iter().filter(move |it| it.at > from && it.at <= until)
    }

    /// The names of all hosts that there were.
    #[must_use]
    pub fn hosts(&self) -> Vec<&str> {
        let mut hosts: Vec<&str> = self.samples.iter().flat_map(|it| it.hosts.keys().map(String::as_str)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// Adds what is known only at the end: the latency of each span, and what became of all requests. The plan must have
    /// kept its records.
    pub fn finish(&mut self, report: &Report) {
        let mut latencies = vec![Latency::default(); self.samples.len()];
        for record in &report.records {
            let due = record.intended.saturating_duration_since(report.started);
            let span = self.samples.partition_point(|it| it.at <= due);
            if let Some(latency) = latencies.get_mut(span) {
                latency.record(record.latency());
            }
        }
        for (sample, latency) in self.samples.iter_mut().zip(&latencies) {
            let quantile = |q| (latency.count() > 0).then(|| latency.p(q));
            (sample.p50, sample.p99) = (quantile(0.5), quantile(0.99));
        }
        (self.sent, self.failed) = (report.sent, report.failed);
        self.failures.clone_from(&report.failures);
    }
}

/// Counts since the sample before, made from counters that only grow.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    at: Instant,
    answered: u64,
    failed: u64,
}

impl Since {
    /// Counts from a moment on.
    #[must_use]
    pub fn new(at: Instant) -> Self {
        Self { at, answered: 0, failed: 0 }
    }

    /// Answers a second and failures since the last call.
    pub fn next(&mut self, now: Instant, answered: u64, failed: u64) -> (f64, u64) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64().max(1e-3);
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let rate = answered.saturating_sub(self.answered) as f64 / seconds;
        let failures = failed.saturating_sub(self.failed);
        *self = Self { at: now, answered, failed };
        (rate, failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Failure, Record};

    fn change(at: u64, wanted: u32, serving: u32) -> Change {
        Change { at: Duration::from_secs(at), wanted, serving }
    }

    #[test]
    fn only_news_is_noted() {
        let mut series = Series::default();
        for it in [change(0, 1, 1), change(3, 1, 1), change(4, 5, 1), change(5, 5, 5), change(9, 5, 5)] {
            series.note(it);
        }
        assert_eq!(series.changes, [change(0, 1, 1), change(4, 5, 1), change(5, 5, 5)]);
        let secs = Duration::from_secs;
        assert_eq!(series.replicas(secs(4)), Some(change(4, 5, 1)));
        assert_eq!(series.changes_within(secs(3), secs(4)).collect::<Vec<_>>(), [change(0, 1, 1), change(4, 5, 1)]);
        assert_eq!(Series::default().replicas(secs(4)), None);
    }

    #[test]
    fn skew_counts_hosts_without_replicas() {
        let hosts = |all: &[u32]| {
            let named = all.iter().enumerate().map(|(index, count)| (format!("host-{index}"), *count));
            Sample { hosts: named.collect(), ..Sample::default() }.skew()
        };
        assert_eq!(hosts(&[13, 12, 13]), 1);
        assert_eq!(hosts(&[2, 0, 1]), 2);
        assert_eq!(hosts(&[]), 0);
    }

    #[test]
    fn latencies_go_to_the_second_in_which_a_request_was_due() {
        let started = Instant::now();
        let record = |id: u64, due: u64, took: u64| Record {
            id,
            connection: 0,
            intended: started + Duration::from_millis(due),
            start: started + Duration::from_millis(due),
            end: started + Duration::from_millis(due + took),
            status: None,
            label: None,
            headers: Box::default(),
            failure: (id == 2).then(|| Box::new(Failure::Timeout)),
        };
        let report = Report {
            started,
            ended: started,
            sent: 3,
            answered: 2,
            failed: 1,
            bytes: 0,
            connections: 1,
            resent: 0,
            statuses: BTreeMap::new(),
            labels: BTreeMap::new(),
            failures: BTreeMap::from([("no whole answer in time".to_owned(), 1)]),
            latency: Latency::default(),
            service: Latency::default(),
            lag: Latency::default(),
            records: vec![record(0, 100, 10), record(1, 900, 4_000), record(2, 2_500, 50)],
        };
        let sample = |at| Sample { at: Duration::from_secs(at), ..Sample::default() };
        let mut series = Series { samples: vec![sample(1), sample(2), sample(3)], ..Series::default() };
        series.finish(&report);
        let millis = |it: Option<Duration>| it.map(|it| it.as_millis() / 10);
        let found: Vec<_> = series.samples.iter().map(|it| (millis(it.p50), millis(it.p99))).collect();
        assert_eq!(found, [(Some(1), Some(400)), (None, None), (Some(5), Some(5))]);
        assert_eq!((series.sent, series.failed, series.failures.len()), (3, 1, 1));
    }

    #[test]
    fn counters_become_counts() {
        let start = Instant::now();
        let mut since = Since::new(start);
        assert_eq!(since.next(start + Duration::from_secs(2), 10, 1), (5.0, 1));
        assert_eq!(since.next(start + Duration::from_secs(3), 10, 1), (0.0, 0));
    }
}
