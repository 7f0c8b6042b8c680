//! What is said about a manifest.

use std::{fmt, sync::Arc};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object cannot be used.
    Error,
    /// The object is used, but probably not as it was meant.
    Warning,
    /// For information.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A place in a file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The file's name, as [`parse`](super::parse) was given it.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is said about a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub source: Source,
    /// `kind namespace/name` of the object, as far as it is known.
    pub object: Option<String>,
    /// The field, such as `spec.template.spec.components[0].image`; empty for the object as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// One line: place, severity, field, what is wrong, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.source, self.severity)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, ", {advice}"),
            None => Ok(()),
        }
    }
}

/// A [`Diagnostic`] before its place is known: the path leads there.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) advice: Option<String>,
}

impl Problem {
    pub(super) fn error(path: impl fmt::Display, message: impl Into<String>, advice: impl Into<String>) -> Self {
        let (message, advice) = (message.into(), Some(advice.into()));
        Self { severity: Severity::Error, path: path.to_string(), message, advice }
    }

    pub(super) fn warning(path: impl fmt::Display, message: impl Into<String>, advice: Option<String>) -> Self {
        Self { severity: Severity::Warning, path: path.to_string(), message: message.into(), advice }
    }
}
