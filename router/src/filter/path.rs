//! `HTTPPathModifier`: a path in place of the whole path, or of the prefix that matched.

use std::borrow::Cow;

use http::uri::PathAndQuery;

use super::FilterError;
use crate::{Cause, Error};

/// What becomes of the path. The query stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathModifier {
    /// `ReplaceFullPath`.
    Full(Replacement),
    /// `ReplacePrefixMatch`.
    Prefix(Replacement),
}

/// A checked path (or, for a prefix, nothing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement(String);

// === impl PathModifier ===

impl PathModifier {
    /// `ReplaceFullPath` by `path`.
    ///
    /// # Errors
    /// If `path` does not begin with `/`, or holds a character that a path cannot.
    pub fn full(path: &str) -> Result<Self, FilterError> {
        Replacement::new(path).map(Self::Full)
    }

    /// `ReplacePrefixMatch` by `path`. The empty string takes the prefix away, as `/` does.
    ///
    /// # Errors
    /// If `path` does not begin with `/` and is not empty, or holds a character that a path cannot.
    pub fn prefix(path: &str) -> Result<Self, FilterError> {
        if path.is_empty() {
            Ok(Self::Prefix(Replacement(String::new())))
        } else {
            Replacement::new(path).map(Self::Prefix)
        }
    }

    /// The modified path of a request to `path`.
    ///
    /// A slash at the end of the prefix or of its replacement counts for nothing; one at the end of the request's
    /// path is kept; and there is always one at the beginning.
    ///
    /// # Errors
    /// [`Cause::Internal`] if a prefix shall be replaced that did not match: [`Filters::check`](super::Filters::check)
    /// refuses such rules.
    pub fn apply<'a>(&'a self, path: &str, matched_prefix: Option<&str>) -> Result<Cow<'a, str>, Error> {
        let with = match self {
            Self::Full(with) => return Ok(Cow::Borrowed(with.as_str())),
            Self::Prefix(with) => with.as_str().strip_suffix('/').unwrap_or(with.as_str()),
        };
        let rest = matched_prefix
            .and_then(|prefix| path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix)))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .ok_or_else(|| {
                Error::new(Cause::Internal, "the route replaces a path prefix that did not match; report this as a bug")
            })?;
        Ok(match (with, rest) {
            ("", "") => Cow::Borrowed("/"),
            (with, "") => Cow::Borrowed(with),
            (with, rest) => Cow::Owned([with, rest].concat()),
        })
    }

    /// The modified path with the request's query.
    pub(super) fn target(&self, from: &PathAndQuery, matched_prefix: Option<&str>) -> Result<PathAndQuery, Error> {
        let path = self.apply(from.path(), matched_prefix)?;
        let whole = match from.query() {
            Some(query) => [&path, "?", query].concat(),
            None => path.into_owned(),
        };
        PathAndQuery::try_from(whole).map_err(|error| {
            Error::new(Cause::Internal, format!("the modified path is not one ({error}); report this as a bug"))
        })
    }
}

// === impl Replacement ===

impl Replacement {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn new(path: &str) -> Result<Self, FilterError> {
        if !path.starts_with('/') {
            return Err(FilterError::PathNotAbsolute { path: path.to_owned() });
        }
        if let Some(character) = path.chars().find(|character| !is_pchar(*character)) {
            return Err(FilterError::PathCharacter { path: path.to_owned(), character });
        }
        Ok(Self(path.to_owned()))
    }
}

/// `pchar`, `/` or `%` of RFC 3986 section 3.3.
fn is_pchar(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(character)
}
