//! What is said about objects: later a condition's reason and message, or an Event.

use std::{collections::BTreeSet, fmt};

use penstock_api::manifest::ObjectKey;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something that was asked for is not done.
    Error,
    /// It is done, but probably not as it was meant.
    Warning,
}

/// One thing that is said about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// The object.
    pub object: ObjectKey,
    /// The field, such as `spec.rules[0].backendRefs[1]`; empty for the object as a whole.
    pub path: String,
    /// How bad it is.
    pub severity: Severity,
    /// One of [`penstock_api::reasons`].
    pub reason: &'static str,
    /// What is wrong and what to do about it, in a sentence.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: ", self.object)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// Findings as they come up.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeSet<Finding>);

impl Findings {
    pub(super) fn error(&mut self, object: &ObjectKey, path: impl fmt::Display, reason: &'static str, message: String) {
        self.add(Severity::Error, object, &path, reason, message);
    }

    pub(super) fn warn(&mut self, object: &ObjectKey, path: impl fmt::Display, reason: &'static str, message: String) {
        self.add(Severity::Warning, object, &path, reason, message);
    }

    fn add(
        &mut self,
        severity: Severity,
        object: &ObjectKey,
        path: &dyn fmt::Display,
        reason: &'static str,
        message: String,
    ) {
        self.0.insert(Finding { object: object.clone(), path: path.to_string(), severity, reason, message });
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
    }

    pub(super) fn sorted(self) -> Vec<Finding> {
        self.0.into_iter().collect()
    }
}
