//! The proof that a change under load lost nothing: every request answered exactly once, by a revision that was
//! current at some moment while the request was under way.
//!
//! A swap takes a moment, and nobody outside can tell on which side of it a request fell. So a [`Timeline`] notes the
//! time *before* and *after* each swap: the new revision may answer from *before* on, the old one until *after*. That
//! is never too strict, and too lenient only by the length of the swap itself.

mod verdict;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use http::StatusCode;

pub use self::verdict::{Verdict, Violation};
use crate::load::Record;

/// A span in which a revision could answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// From just before the swap that made it current.
    pub from: Instant,
    /// Until just after the swap that replaced it; `None`: still current.
    pub until: Option<Instant>,
}

/// Which revision was current when.
#[derive(Clone, Debug)]
pub struct Timeline {
    start: Instant,
    spans: HashMap<Arc<str>, Vec<Interval>>,
    current: Arc<str>,
    swaps: u64,
}

/// One request as the ledger sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Unique to the request.
    pub id: u64,
    /// The id that the answer carries, if it carries one: an answer given to the wrong request shows here.
    pub echoed: Option<u64>,
    /// Handed to a connection.
    pub start: Instant,
    /// Last byte of the answer.
    pub end: Instant,
    /// The answer's status; `None`: no answer.
    pub status: Option<StatusCode>,
    /// The revision that the answer names.
    pub revision: Option<Arc<str>>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What every answer must be like.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Requests sent, with ids `0..sent`: each must have exactly one entry.
    pub sent: u64,
    /// Whether each answer must carry its request's id.
    pub echo: bool,
    /// Statuses that are right; others are violations.
    pub status: fn(StatusCode) -> bool,
}

// === impl Timeline ===

impl Timeline {
    /// Begins with the revision that is current now.
    #[must_use]
    pub fn new(revision: impl Into<Arc<str>>) -> Self {
        Self::starting(revision, Instant::now())
    }

    /// Begins with a revision that is current since the given moment.
    #[must_use]
    pub fn starting(revision: impl Into<Arc<str>>, from: Instant) -> Self {
        let current = revision.into();
        let spans = HashMap::from([(current.clone(), vec![Interval { from, until: None }])]);
        Self { start: from, spans, current, swaps: 0 }
    }

    /// Makes a revision current by running the swap, and notes when.
    pub fn swap<R>(&mut self, revision: impl Into<Arc<str>>, swap: impl FnOnce() -> R) -> R {
        let before = Instant::now();
        let result = swap();
        self.note(revision, before, Instant::now());
        result
    }

    /// Notes a swap that happened between two moments. Swaps are noted in their order.
    pub fn note(&mut self, revision: impl Into<Arc<str>>, before: Instant, after: Instant) {
        let revision = revision.into();
        if let Some(last) = self.spans.get_mut(&self.current).and_then(|spans| spans.last_mut()) {
            last.until = Some(after);
        }
        self.spans.entry(revision.clone()).or_default().push(Interval { from: before, until: None });
        self.current = revision;
        self.swaps += 1;
    }

    /// Swaps noted so far.
    #[must_use]
    pub fn swaps(&self) -> u64 {
        self.swaps
    }

    /// Whether the revision could answer at some moment from `start` to `end`; if not, the span that comes closest.
    fn held(&self, revision: &str, start: Instant, end: Instant) -> Result<(), Option<&Interval>> {
        let Some(spans) = self.spans.get(revision) else { return Err(None) };
        // In order of time: only the last one that began before the end can reach furthest into the request.
        let begun = spans.partition_point(|span| span.from <= end);
        match begun.checked_sub(1).map(|last| &spans[last]) {
            Some(span) if span.until.is_none_or(|until| until >= start) => Ok(()),
            Some(span) => Err(Some(span)),
            None => Err(spans.first()),
        }
    }

    /// Judges all entries.
    #[must_use]
    pub fn judge(&self, terms: Terms, entries: &[Entry]) -> Verdict {
        let mut verdict = Verdict::new(self.start, self.swaps);
        let mut seen = BTreeMap::<u64, u64>::new();
        for entry in entries {
            *seen.entry(entry.id).or_default() += 1;
            if let Err(violation) = self.judge_one(terms, entry) {
                verdict.add(violation);
            } else {
                verdict.good(entry.revision.as_ref());
            }
        }
        for (&id, &times) in seen.iter().filter(|(id, times)| **times > 1 || **id >= terms.sent) {
            verdict.add(if id >= terms.sent { Violation::Invented { id } } else { Violation::Repeated { id, times } });
        }
        let mut expected = 0;
        for &id in seen.keys() {
            for id in expected..id.min(terms.sent) {
                verdict.add(Violation::Missing { id });
            }
            expected = id.saturating_add(1);
        }
        for id in expected..terms.sent {
            verdict.add(Violation::Missing { id });
        }
        verdict
    }

    fn judge_one(&self, terms: Terms, entry: &Entry) -> Result<(), Violation> {
        let id = entry.id;
        if let Some(failure) = &entry.failure {
            return Err(Violation::Failed { id, start: entry.start, end: entry.end, failure: failure.clone() });
        }
        let status = entry.status.filter(|status| (terms.status)(*status));
        if status.is_none() {
            return Err(Violation::Status { id, start: entry.start, end: entry.end, status: entry.status });
        }
        if terms.echo && entry.echoed != Some(id) {
            return Err(Violation::WrongAnswer { id, echoed: entry.echoed });
        }
        let Some(revision) = &entry.revision else { return Err(Violation::Unsigned { id }) };
        self.held(revision, entry.start, entry.end).map_err(|nearest| Violation::NotCurrent {
            id,
            revision: revision.clone(),
            start: entry.start,
            end: entry.end,
            nearest: nearest.cloned(),
        })
    }
}

/// What backends wrote down themselves: every id must have reached a backend exactly once, so that a request that was
/// silently sent twice is found even though its client saw one answer.
#[must_use]
pub fn reached_once(sent: u64, reached: impl IntoIterator<Item = u64>) -> Vec<Violation> {
    let mut times = BTreeMap::<u64, u64>::new();
    for id in reached {
        *times.entry(id).or_default() += 1;
    }
    let mut violations = Vec::new();
    for (&id, &times) in &times {
        if id >= sent {
            violations.push(Violation::Invented { id });
        } else if times > 1 {
            violations.push(Violation::Repeated { id, times });
        }
    }
    violations.extend((0..sent).filter(|id| !times.contains_key(id)).map(|id| Violation::Missing { id }));
    violations
}

// === impl Terms ===

impl Terms {
    /// Every one of `sent` requests answered with a success.
    #[must_use]
    pub fn all(sent: u64) -> Self {
        Self { sent, echo: false, status: |status| status.is_success() }
    }

    /// The same, and each answer carries its request's id.
    #[must_use]
    pub fn echoed(sent: u64) -> Self {
        Self { echo: true, ..Self::all(sent) }
    }
}

// === impl Entry ===

impl Entry {
    /// A generator's record: its label is the revision; its first kept header, if any, is the echoed id.
    #[must_use]
    pub fn from_record(record: &Record) -> Self {
        Self {
            id: record.id,
            echoed: record.headers.first().and_then(|id| id.as_ref()?.parse().ok()),
            start: record.start,
            end: record.end,
            status: record.status,
            revision: record.label.clone(),
            failure: record.failure.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests;
