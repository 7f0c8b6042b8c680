//! Text against text: equal, or a regular expression over the whole.

use std::{fmt, str::FromStr};

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// The longest expression, in bytes: Gateway API's own limit for a header's value.
const MAX_PATTERN: usize = 4096;
/// The most memory of one compiled expression, in bytes: `\pL{100}` and its kind are refused instead of filling the host.
const MAX_COMPILED: usize = 1 << 19;
/// The most memory of one expression's lazy automaton, in bytes. Past it the engine forgets and starts again; still linear.
const MAX_AUTOMATON: usize = 1 << 18;
/// The deepest nesting of groups.
const MAX_NESTING: u32 = 64;

/// What a header's or a query parameter's value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// The same bytes.
    Exact(String),
    /// The whole value matches the expression.
    Regex(RegexMatch),
}

/// A regular expression that must match the whole text: RE2-like syntax of the `regex` crate, linear time for every input.
#[derive(Clone)]
pub struct RegexMatch {
    source: String,
    regex: Regex,
}

/// Why an expression was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegexRefused {
    /// More than 4096 bytes.
    #[error("the regular expression has {0} bytes; at most 4096 are allowed")]
    TooLong(usize),
    /// It compiles to more than the limit allows.
    #[error("the regular expression `{0}` compiles to too much memory; use smaller repetition counts")]
    TooLarge(String),
    /// Not an expression of this syntax. Look-around and back-references do not exist in it.
    #[error("not a regular expression (RE2 syntax, without look-around and back-references): {0}")]
    Syntax(String),
}

// === impl StringMatch ===

impl StringMatch {
    /// Whether a value is what this asks for.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Regex(regex) => regex.matches(value),
        }
    }
}

impl fmt::Display for StringMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "={text}"),
            Self::Regex(regex) => write!(f, "~{regex}"),
        }
    }
}

// === impl RegexMatch ===

impl RegexMatch {
    /// Compiles an expression and anchors it at both ends.
    ///
    /// # Errors
    /// [`RegexRefused`] when it is too long, too large or not an expression.
    pub fn new(source: impl Into<String>) -> Result<Self, RegexRefused> {
        let source = source.into();
        if source.len() > MAX_PATTERN {
            return Err(RegexRefused::TooLong(source.len()));
        }
        // By itself first: `a)|(b` would be well formed between our own parentheses and escape the anchors.
        build(&source, &source)?;
        let regex = build(&format!(r"\A(?:{source})\z"), &source)?;
        Ok(Self { source, regex })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

impl FromStr for RegexMatch {
    type Err = RegexRefused;

    fn from_str(source: &str) -> Result<Self, RegexRefused> {
        Self::new(source)
    }
}

impl PartialEq for RegexMatch {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for RegexMatch {}

impl fmt::Display for RegexMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl fmt::Debug for RegexMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegexMatch").field(&self.source).finish()
    }
}

fn build(pattern: &str, source: &str) -> Result<Regex, RegexRefused> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_AUTOMATON)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => RegexRefused::TooLarge(source.to_owned()),
            other => RegexRefused::Syntax(other.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_the_whole_text() {
        let regex = RegexMatch::new("v[0-9]|beta").unwrap();
        for (text, wanted) in
            [("v1", true), ("beta", true), ("v12", false), ("xv1", false), ("beta ", false), ("", false)]
        {
            assert_eq!(regex.matches(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn an_expression_cannot_escape_its_anchors() {
        for source in ["a)|(b", "a)|(?:b", "(?x)a # comment", "a|b)("] {
            match RegexMatch::new(source) {
                Err(RegexRefused::Syntax(_)) => {}
                other => panic!("{source}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_expression_is_limited_in_length_memory_and_depth() {
        assert_eq!(RegexMatch::new("a".repeat(4097)), Err(RegexRefused::TooLong(4097)));
        assert!(matches!(RegexMatch::new(r"(\pL{100}){100}"), Err(RegexRefused::TooLarge(_))));
        assert!(matches!(RegexMatch::new("(".repeat(100) + &")".repeat(100)), Err(RegexRefused::Syntax(_))));
        assert!(matches!(RegexMatch::new(r"(?=a)"), Err(RegexRefused::Syntax(_))));
    }

    #[test]
    fn values_need_not_be_utf8() {
        assert!(RegexMatch::new(r"(?s-u).*").unwrap().matches(&[0xff, b'a']));
        assert!(!StringMatch::Exact("a".into()).matches(&[0xff]));
    }
}
