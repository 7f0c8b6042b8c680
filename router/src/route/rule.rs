//! What is routed: routes, their rules and matches.

use std::{collections::HashSet, fmt, sync::Arc};

use http::Method;

use super::{header::HeaderMatch, host::HostPattern, path::PathMatch, query::QueryMatch, table::RequestKey};

/// One route: hostnames, and rules that share them.
#[derive(Clone, Debug)]
pub struct Route<A> {
    /// `namespace/name`: the last but one tie-break, and what people see.
    pub name: Arc<str>,
    /// When it was made, in seconds since 1970: the older of two equal matches wins, one without a date last.
    pub created: Option<i64>,
    /// The hosts it serves; none means every host.
    pub hostnames: Vec<HostPattern>,
    /// The rules, in the author's order.
    pub rules: Vec<Rule<A>>,
}

/// One rule: any of its matches leads to its action.
#[derive(Clone, Debug)]
pub struct Rule<A> {
    /// The author's name for it.
    pub name: Option<String>,
    /// Joined by OR; none means one match of every request.
    pub matches: Vec<Match>,
    /// What the caller gets back.
    pub action: A,
}

/// One match: all that it asks for must hold. The default matches every request.
///
/// Of several headers or query parameters of one name only the first counts (Gateway API, `HTTPRouteMatch`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// What the path must be.
    pub path: PathMatch,
    /// The method, if only one will do.
    pub method: Option<Method>,
    /// Headers that must be there.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters that must be there.
    pub query: Vec<QueryMatch>,
}

/// The first thing that a match asks for in vain.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed<'m> {
    Path,
    Method,
    Header(&'m str),
    Query(&'m str),
}

// === impl Match ===

impl Match {
    /// Whether anything but the path is asked for.
    pub(super) fn is_conditional(&self) -> bool {
        self.method.is_some() || !self.headers.is_empty() || !self.query.is_empty()
    }

    /// Whether method, headers and query are as asked for; the path is not looked at.
    pub(super) fn conditions_hold(&self, request: &RequestKey<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method == request.method)
            && self.headers.iter().all(|header| header.matches(request.headers))
            && self.query.iter().all(|query| query.matches(request.query))
    }

    /// What is first found wanting, for people.
    pub(super) fn check(&self, request: &RequestKey<'_>) -> Result<(), Failed<'_>> {
        if !self.path.matches(request.path) {
            return Err(Failed::Path);
        }
        if self.method.as_ref().is_some_and(|method| method != request.method) {
            return Err(Failed::Method);
        }
        if let Some(header) = self.headers.iter().find(|header| !header.matches(request.headers)) {
            return Err(Failed::Header(header.name.as_str()));
        }
        match self.query.iter().find(|query| !query.matches(request.query)) {
            Some(query) => Err(Failed::Query(&query.name)),
            None => Ok(()),
        }
    }

    /// The same without the headers and parameters that do not count.
    pub(super) fn without_repetitions(mut self) -> Self {
        if self.headers.len() > 1 {
            let mut seen = HashSet::new();
            self.headers.retain(|header| seen.insert(header.name.clone()));
        }
        if self.query.len() > 1 {
            let mut seen = HashSet::new();
            self.query.retain(|query| seen.insert(query.name.clone()));
        }
        self
    }

    /// One text for all matches that accept the same requests whatever the order of their headers and parameters.
    pub(super) fn canonical(&self) -> String {
        let sorted = |mut texts: Vec<String>| {
            texts.sort_unstable();
            texts
        };
        let headers = sorted(self.headers.iter().map(|header| format!("{header:?}")).collect());
        let query = sorted(self.query.iter().map(|query| format!("{query:?}")).collect());
        format!("{:?} {:?} {headers:?} {query:?}", self.path, self.method)
    }
}

impl fmt::Display for Match {
    /// As in `GET /api/* x-version=2 ?debug=1`: `=` exact, `~` an expression, `/*` a prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        write!(f, "{}", self.path)?;
        self.headers.iter().try_for_each(|header| write!(f, " {header}"))?;
        self.query.iter().try_for_each(|query| write!(f, " ?{query}"))
    }
}
