//! Headers: what a match may ask for.

use std::fmt;

use http::{HeaderMap, HeaderName};

use super::value::StringMatch;

/// A header that a request must carry. Names are compared without regard to case, values with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// The field's name.
    pub name: HeaderName,
    /// What one of its lines must be.
    pub value: StringMatch,
}

// === impl HeaderMatch ===

impl HeaderMatch {
    /// Whether some line of the field has the value that is asked for.
    ///
    /// Gateway API leaves repeated fields to the implementation. Any one line may match: no order of lines then turns a match into
    /// a miss, and a field that was sent once is never affected.
    #[must_use]
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        headers.get_all(&self.name).iter().any(|line| self.value.matches(line.as_bytes()))
    }
}

impl fmt::Display for HeaderMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.value)
    }
}
