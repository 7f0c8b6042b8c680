//! What is wrong with manifests or with what they ask for, for people and for programs.

use std::fmt;

use penstock_api::manifest::{Diagnostic, Severity};
use serde::Serialize;

use crate::term::{BAD, DIM, HEAD, WARN, paint};

/// One thing that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// The file, as it is shown.
    pub(crate) file: String,
    /// From 1; 0 if it is about the file as a whole.
    pub(crate) line: u32,
    /// From 1; 0 if it is about the file as a whole.
    pub(crate) column: u32,
    /// How bad it is.
    pub(crate) level: Level,
    /// `kind namespace/name`, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    /// The field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warning,
    Note,
}

impl Problem {
    /// About a file as a whole.
    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            level: Level::Error,
            object: None,
            path: String::new(),
            message: message.into(),
            advice: None,
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            file: diagnostic.source.file.to_string(),
            line: diagnostic.source.line,
            column: diagnostic.source.column,
            level: match diagnostic.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
                Severity::Note => Level::Note,
            },
            object: diagnostic.object.clone(),
            path: diagnostic.path.clone(),
            message: diagnostic.message.clone(),
            advice: diagnostic.advice.clone(),
        }
    }
}

/// `file:line:column: error: path: what, advice`, in colours.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place =
            if self.line == 0 { self.file.clone() } else { format!("{}:{}:{}", self.file, self.line, self.column) };
        let (word, style) = match self.level {
            Level::Error => ("error", BAD),
            Level::Warning => ("warning", WARN),
            Level::Note => ("note", DIM),
        };
        write!(f, "{}: {}: ", paint(HEAD, place), paint(style, word))?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}
