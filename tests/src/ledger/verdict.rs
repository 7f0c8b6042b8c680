//! What the ledger found, in words.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Instant};

use http::StatusCode;

use super::Interval;

/// How many of a kind a report spells out.
const EXAMPLES: usize = 5;

/// One thing that must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Sent, but nothing is known of its end.
    Missing {
        /// The request.
        id: u64,
    },
    /// More than one end for one request.
    Repeated {
        /// The request.
        id: u64,
        /// How often.
        times: u64,
    },
    /// An id that was never sent.
    Invented {
        /// The id.
        id: u64,
    },
    /// No whole answer, or a wrong one.
    Failed {
        /// The request.
        id: u64,
        /// Handed to a connection.
        start: Instant,
        /// The end of it.
        end: Instant,
        /// What went wrong.
        failure: String,
    },
    /// An answer with a status that is not right.
    Status {
        /// The request.
        id: u64,
        /// Handed to a connection.
        start: Instant,
        /// The end of it.
        end: Instant,
        /// What it was.
        status: Option<StatusCode>,
    },
    /// The answer belongs to another request, or does not say to which.
    WrongAnswer {
        /// The request.
        id: u64,
        /// The id that the answer carries.
        echoed: Option<u64>,
    },
    /// The answer names no revision.
    Unsigned {
        /// The request.
        id: u64,
    },
    /// Answered by a revision that was not current at any moment of the request.
    NotCurrent {
        /// The request.
        id: u64,
        /// Who answered.
        revision: Arc<str>,
        /// Handed to a connection.
        start: Instant,
        /// Last byte of the answer.
        end: Instant,
        /// The closest span in which that revision was current; `None`: it never was.
        nearest: Option<Interval>,
    },
}

/// What the ledger found.
#[derive(Clone, Debug)]
pub struct Verdict {
    start: Instant,
    swaps: u64,
    good: u64,
    revisions: BTreeMap<Arc<str>, u64>,
    violations: Vec<Violation>,
}

// === impl Violation ===

impl Violation {
    /// The kind, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "never answered",
            Self::Repeated { .. } => "answered more than once",
            Self::Invented { .. } => "answered but never sent",
            Self::Failed { .. } => "failed",
            Self::Status { .. } => "wrong status",
            Self::WrongAnswer { .. } => "given another request's answer",
            Self::Unsigned { .. } => "answered without naming a revision",
            Self::NotCurrent { .. } => "answered by a revision that was not current",
        }
    }

    /// One line, with times in milliseconds since the given moment.
    #[must_use]
    pub fn describe(&self, since: Instant) -> String {
        let at = |moment: Instant| format!("{:.3} ms", moment.saturating_duration_since(since).as_secs_f64() * 1e3);
        match self {
            Self::Missing { id } | Self::Invented { id } | Self::Unsigned { id } => {
                format!("request {id}")
            }
            Self::Repeated { id, times } => format!("request {id}: {times} times"),
            Self::Failed { id, start, end, failure } => {
                format!("request {id} ({} to {}): {failure}", at(*start), at(*end))
            }
            Self::Status { id, start, end, status } => {
                let status = status.map_or_else(|| "none".into(), |status| status.to_string());
                format!("request {id} ({} to {}): {status}", at(*start), at(*end))
            }
            Self::WrongAnswer { id, echoed } => {
                let echoed = echoed.map_or_else(|| "no id".into(), |id| format!("id {id}"));
                format!("request {id}: the answer carries {echoed}")
            }
            Self::NotCurrent { id, revision, start, end, nearest } => {
                let nearest = match nearest {
                    None => "never".into(),
                    Some(Interval { from, until: None }) => format!("only from {}", at(*from)),
                    Some(Interval { from, until: Some(until) }) => format!("only from {} to {}", at(*from), at(*until)),
                };
                format!("request {id} ({} to {}): by {revision}, current {nearest}", at(*start), at(*end))
            }
        }
    }
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn new(start: Instant, swaps: u64) -> Self {
        Self { start, swaps, good: 0, revisions: BTreeMap::new(), violations: Vec::new() }
    }

    pub(super) fn add(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    pub(super) fn good(&mut self, revision: Option<&Arc<str>>) {
        self.good += 1;
        if let Some(revision) = revision {
            *self.revisions.entry(revision.clone()).or_default() += 1;
        }
    }

    /// Everything that must not have happened.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Right answers by revision.
    #[must_use]
    pub fn revisions(&self) -> &BTreeMap<Arc<str>, u64> {
        &self.revisions
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// For tests: the whole report as the error.
    ///
    /// # Errors
    /// If there is any violation.
    pub fn clean(&self) -> anyhow::Result<()> {
        if self.is_clean() { Ok(()) } else { Err(anyhow::anyhow!("{self}")) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} right answers by {} revisions, {} swaps", self.good, self.revisions.len(), self.swaps)?;
        write!(f, ", {} violations", self.violations.len())?;
        let mut kinds = BTreeMap::<&str, Vec<&Violation>>::new();
        for violation in &self.violations {
            kinds.entry(violation.kind()).or_default().push(violation);
        }
        for (kind, violations) in kinds {
            write!(f, "\n  {} {kind}", violations.len())?;
            for violation in violations.iter().take(EXAMPLES) {
                write!(f, "\n    {}", violation.describe(self.start))?;
            }
            if violations.len() > EXAMPLES {
                write!(f, "\n    and {} more", violations.len() - EXAMPLES)?;
            }
        }
        Ok(())
    }
}
