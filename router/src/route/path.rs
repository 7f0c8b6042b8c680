//! Paths: what a match may ask for.

use std::fmt;

use thiserror::Error;

use super::{
    normalise::{self, PathRefused},
    value::{RegexMatch, RegexRefused},
};

/// The longest path of a match, in bytes (Gateway API, `HTTPPathMatch.value`).
const MAX_PATH: usize = 1024;
/// The most elements of a prefix. The index keeps the depths in use as the bits of one word.
pub(super) const MAX_DEPTH: usize = 63;

/// What a request's path must be. The constructors normalise as requests are normalised, so that `/%7Eme` and `/~me` are one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// The whole path, with regard to case and to a trailing slash. Made by [`PathMatch::exact`].
    Exact(String),
    /// The path or any path below it, element by element: `/abc` matches `/abc`, `/abc/` and `/abc/def`, not `/abcd`.
    /// Without trailing slash, but for `/` itself, which matches every path. Made by [`PathMatch::prefix`].
    Prefix(String),
    /// The whole path matches an expression.
    Regex(RegexMatch),
}

/// How a path matched, for filters that replace the matched prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The whole path.
    Exact,
    /// The prefix that matched, without trailing slash but for `/` itself.
    Prefix(String),
    /// An expression over the whole path.
    Regex,
}

/// Why a match's path was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathPatternRefused {
    /// More than 1024 bytes.
    #[error("the path has {0} bytes; at most 1024 are allowed")]
    TooLong(usize),
    /// More than 63 elements.
    #[error("the path prefix has {0} elements; at most 63 are allowed")]
    TooDeep(usize),
    /// `//`, `/./`, `/../`, `%2F`, `?`, `#`: what Gateway API refuses in a path.
    #[error("the path `{path}` must not contain `{part}`")]
    Part {
        /// The path.
        path: String,
        /// What it must not hold.
        part: &'static str,
    },
    /// A character that a path cannot hold as it is.
    #[error("the path `{path}` holds {character:?}; percent-encode it")]
    Character {
        /// The path.
        path: String,
        /// The first offender.
        character: char,
    },
    /// A path that a request could not have either.
    #[error("the path `{path}`: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: PathRefused,
    },
    /// The expression does not compile.
    #[error(transparent)]
    Regex(#[from] RegexRefused),
}

// === impl PathMatch ===

impl PathMatch {
    /// An exact path.
    ///
    /// # Errors
    /// When no normalised request path could equal it.
    pub fn exact(path: &str) -> Result<Self, PathPatternRefused> {
        check(path).map(Self::Exact)
    }

    /// A prefix; one trailing slash is ignored.
    ///
    /// # Errors
    /// When no normalised request path could start with it.
    pub fn prefix(path: &str) -> Result<Self, PathPatternRefused> {
        let mut path = check(path)?;
        if path.len() > 1 && path.ends_with('/') {
            path.pop();
        }
        match path.matches('/').count() {
            depth if depth > MAX_DEPTH => Err(PathPatternRefused::TooDeep(depth)),
            _ => Ok(Self::Prefix(path)),
        }
    }

    /// A regular expression over the whole normalised path.
    ///
    /// # Errors
    /// When the expression does not compile or is too large.
    pub fn regex(source: &str) -> Result<Self, PathPatternRefused> {
        Ok(Self::Regex(RegexMatch::new(source)?))
    }

    /// Whether a normalised path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => text == path,
            Self::Prefix(text) if text == "/" => true,
            Self::Prefix(text) => {
                path.strip_prefix(text.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Regex(regex) => regex.matches(path.as_bytes()),
        }
    }

    /// What filters get to know of it.
    pub(super) fn matched(&self) -> Matched {
        match self {
            Self::Exact(_) => Matched::Exact,
            Self::Prefix(text) => Matched::Prefix(text.clone()),
            Self::Regex(_) => Matched::Regex,
        }
    }
}

impl Default for PathMatch {
    /// `PathPrefix /`: every path.
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "={text}"),
            Self::Prefix(text) if text == "/" => f.write_str("/*"),
            Self::Prefix(text) => write!(f, "{text}/*"),
            Self::Regex(regex) => write!(f, "~{regex}"),
        }
    }
}

/// The normalised form of a path that Gateway API allows as the value of `Exact` and `PathPrefix`.
fn check(path: &str) -> Result<String, PathPatternRefused> {
    if path.len() > MAX_PATH {
        return Err(PathPatternRefused::TooLong(path.len()));
    }
    let lower = path.to_ascii_lowercase();
    let inside = ["//", "/./", "/../", "%2f", "#", "?"].into_iter().find(|part| lower.contains(part));
    let at_the_end = ["/..", "/."].into_iter().find(|part| lower.ends_with(part));
    if let Some(part) = inside.or(at_the_end) {
        return Err(PathPatternRefused::Part { path: path.to_owned(), part });
    }
    if let Some(character) = path.chars().find(|&c| c != '%' && c != '\\' && c != '/' && !normalise::is_literal(c)) {
        return Err(PathPatternRefused::Character { path: path.to_owned(), character });
    }
    match normalise::normalise(path) {
        Ok(_) if path.is_empty() => {
            Err(PathPatternRefused::Path { path: String::new(), reason: PathRefused::NotAbsolute })
        }
        Ok(_) if path == "*" => {
            Err(PathPatternRefused::Path { path: path.to_owned(), reason: PathRefused::NotAbsolute })
        }
        Ok(normal) => Ok(normal.into_owned()),
        Err(reason) => Err(PathPatternRefused::Path { path: path.to_owned(), reason }),
    }
}

#[cfg(test)]
#[path = "path/tests.rs"]
mod tests;
