//! What a load found out.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::Record;

/// Durations with three significant digits, up to an hour; made of nanoseconds.
#[derive(Clone)]
pub struct Latency(Histogram<u64>);

/// What a load found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the first request could start.
    pub started: Instant,
    /// When the last request ended.
    pub ended: Instant,
    /// Requests that were begun: ids `0..sent`.
    pub sent: u64,
    /// Whole answers, whatever their status.
    pub answered: u64,
    /// Requests that failed, checks included.
    pub failed: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Connections that were tried.
    pub connections: u32,
    /// Sent again since the connection closed before a byte was written.
    pub resent: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers by label.
    pub labels: BTreeMap<Arc<str>, u64>,
    /// Failures by text.
    pub failures: BTreeMap<String, u64>,
    /// From when a request was due to the end of its answer: the figure to quote.
    pub latency: Latency,
    /// From when a request was handed to a connection to the end of its answer.
    pub service: Latency,
    /// From when a request was due to when it was handed to a connection. Large: too few connections, a server that
    /// stalls, or a machine too busy to generate this rate.
    pub lag: Latency,
    /// One for each request, by id, if the plan kept them.
    pub records: Vec<Record>,
}

/// What ended within one span of time.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// Whole answers.
    pub answered: u64,
    /// Failures.
    pub failed: u64,
    /// Answers by label.
    pub labels: BTreeMap<Arc<str>, u64>,
    /// The longest latency.
    pub worst: Duration,
}

// === impl Latency ===

impl Latency {
    const MOST: u64 = 3_600_000_000_000;

    /// Adds one; beyond an hour counts as an hour.
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos.clamp(1, Self::MOST));
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        // Same bounds: it cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// Such as `p(0.99)`; zero if nothing was recorded.
    #[must_use]
    pub fn p(&self, quantile: f64) -> Duration {
        if self.0.is_empty() { Duration::ZERO } else { Duration::from_nanos(self.0.value_at_quantile(quantile)) }
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.p(1.0)
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e9)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

impl Default for Latency {
    fn default() -> Self {
        match Histogram::new_with_bounds(1, Self::MOST, 3) {
            Ok(histogram) => Self(histogram),
            Err(_) => unreachable!("constant bounds"),
        }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:?}, p99 {:?}, max {:?} of {}", self.p(0.5), self.p(0.99), self.max(), self.count())
    }
}

// === impl Report ===

impl Report {
    /// From start to the last end.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.ended - self.started
    }

    /// Answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let answered = self.answered as f64;
        answered / self.elapsed().as_secs_f64().max(f64::EPSILON)
    }

    /// The kept records in spans of equal width by when they ended, for charts. Empty without records.
    #[must_use]
    pub fn slices(&self, width: Duration) -> Vec<Slice> {
        let mut slices = Vec::new();
        for record in &self.records {
            let at = (record.end - self.started).as_nanos() / width.as_nanos().max(1);
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            if slices.len() <= at {
                slices.resize_with(at + 1, Slice::default);
            }
            let slice = &mut slices[at];
            slice.answered += u64::from(record.status.is_some());
            slice.failed += u64::from(record.failure.is_some());
            slice.worst = slice.worst.max(record.latency());
            if let Some(label) = &record.label {
                *slice.labels.entry(label.clone()).or_default() += 1;
            }
        }
        slices
    }

    /// The figures in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        use fmt::Write;
        let mut text = format!(
            "{} sent, {} answered, {} failed in {:.2} s ({:.0}/s); p50 {:?}, p99 {:?}, max {:?}",
            self.sent,
            self.answered,
            self.failed,
            self.elapsed().as_secs_f64(),
            self.rate(),
            self.latency.p(0.5),
            self.latency.p(0.99),
            self.latency.max(),
        );
        for (status, count) in &self.statuses {
            let _ = write!(text, "; {count} x {status}");
        }
        for (failure, count) in &self.failures {
            let _ = write!(text, "; {count} x {failure}");
        }
        text
    }
}
