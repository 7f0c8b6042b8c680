//! What is kept of each request, and the counters that can be read while the load runs.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{Answer, Latency, Plan, link::Reply, pace::Ticket};

/// Why a request counts as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect(String),
    /// The connection broke before the response's head was there.
    Send(String),
    /// The connection broke inside the response's body.
    Body(String),
    /// No whole answer within the plan's timeout.
    Timeout,
    /// It was due, but no connection came free for it in time.
    Unsent,
    /// Answered, but the plan's check did not like the answer.
    Check(String),
}

/// One request, from the moment it was due to the end of its response's body.
#[derive(Clone, Debug)]
pub struct Record {
    /// Unique and dense: 0, 1, 2, ...
    pub id: u64,
    /// The connection that carried it, numbered in the order of opening; `u32::MAX`: none.
    pub connection: u32,
    /// When it was meant to start; in closed loop the same as `start`.
    pub intended: Instant,
    /// When it was handed to a connection.
    pub start: Instant,
    /// When the last byte of its answer was there, or it failed.
    pub end: Instant,
    /// The answer's status, if there was one.
    pub status: Option<StatusCode>,
    /// What the plan's label made of the answer, such as a revision.
    pub label: Option<Arc<str>>,
    /// The response headers that the plan keeps, in its order.
    pub headers: Box<[Option<Box<str>>]>,
    /// Why it counts as failed.
    pub failure: Option<Box<Failure>>,
}

/// The counters of a load that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were begun.
    pub sent: u64,
    /// Whole answers, whatever their status.
    pub answered: u64,
    /// Requests that failed, checks included.
    pub failed: u64,
    /// Answers with a status of 500 and above.
    pub server_errors: u64,
    /// Answers by label.
    pub labels: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Live {
    sent: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    server_errors: AtomicU64,
    resent: AtomicU64,
    labels: Mutex<BTreeMap<Arc<str>, u64>>,
}

pub(super) struct Outcome {
    pub(super) ticket: Ticket,
    pub(super) connection: u32,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) reply: Option<Reply>,
    pub(super) failure: Option<Failure>,
}

/// What one thread keeps.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) records: Vec<Record>,
    pub(super) latency: Latency,
    pub(super) service: Latency,
    pub(super) lag: Latency,
    pub(super) bytes: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) last: Option<Instant>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&mut self, plan: &Plan, live: &Live, outcome: Outcome) {
        let Outcome { ticket: Ticket { id, intended, .. }, connection, start, end, reply, mut failure } = outcome;
        let mut label = None;
        let (mut status, mut headers) = (None, Vec::new());
        if let Some(reply) = &reply {
            let answer = Answer { id, head: &reply.head, body: &reply.body };
            if let Some(check) = &plan.check {
                failure = check(&answer).err().map(Failure::Check);
            }
            label = plan.label.as_ref().and_then(|label| label(&answer)).map(|label| live.label(label));
            status = Some(reply.head.status);
            self.bytes += reply.length;
            *self.statuses.entry(reply.head.status.as_u16()).or_default() += 1;
            if plan.records {
                let text = |name| reply.head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
                headers = plan.keep.iter().map(|name| text(name).map(|text| text.into())).collect();
            }
        }
        if let Some(failure) = &failure {
            *self.failures.entry(failure.to_string()).or_default() += 1;
        }
        live.finished(status, failure.is_some());
        self.latency.record(end - intended);
        self.service.record(end - start);
        self.lag.record(start - intended);
        self.last = self.last.max(Some(end));
        if plan.records {
            let (headers, failure) = (headers.into(), failure.map(Box::new));
            self.records.push(Record { id, connection, intended, start, end, status, label, headers, failure });
        }
    }
}

// === impl Live ===

impl Live {
    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resent(&self) {
        self.resent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resends(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    fn finished(&self, status: Option<StatusCode>, failed: bool) {
        if status.is_some() {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        if status.is_some_and(|status| status.is_server_error()) {
            self.server_errors.fetch_add(1, Ordering::Relaxed);
        }
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a label and gives its one shared copy.
    fn label(&self, label: &str) -> Arc<str> {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = labels.get_mut(label) {
            *count += 1;
            if let Some((shared, _)) = labels.get_key_value(label) {
                return shared.clone();
            }
        }
        let shared = Arc::<str>::from(label);
        labels.insert(shared.clone(), 1);
        shared
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            sent: self.sent.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            server_errors: self.server_errors.load(Ordering::Relaxed),
            labels: self.labels.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

// === impl Record ===

impl Record {
    /// From when it was due to the end of its answer.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.end - self.intended
    }
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Send(error) => write!(f, "no answer: {error}"),
            Self::Body(error) => write!(f, "the body broke off: {error}"),
            Self::Timeout => f.write_str("no whole answer in time"),
            Self::Unsent => f.write_str("due, but no connection came free in time"),
            Self::Check(error) => write!(f, "wrong answer: {error}"),
        }
    }
}
