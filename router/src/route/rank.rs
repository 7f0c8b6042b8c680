//! Which of two candidates goes first: the precedence of Gateway API as one derived order.

use std::{cmp::Reverse, fmt, mem::discriminant};

use serde::Serialize;

use super::{host::HostPattern, path::PathMatch, rule::Match};

/// The place of a (hostname, match) pair in the table: the least goes first.
///
/// The order of the fields and of the variants *is* the precedence (Gateway API, `HTTPRouteRule.matches` and `HTTPRouteSpec.hostnames`).
/// Names and paths stand in it behind their length only to keep equal ones next to each other: no request can match two of
/// the same length.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank<'a> {
    host: HostRank<'a>,
    path: PathRank<'a>,
    method: MethodRank,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    age: Age,
    route: &'a str,
    rule: usize,
    position: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank<'a> {
    Exact(Reverse<usize>, &'a str),
    Wildcard(Reverse<usize>, &'a str),
    Any,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank<'a> {
    Exact(&'a str),
    Regex,
    Prefix(Reverse<usize>, &'a str),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MethodRank {
    Named,
    Any,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Since(i64),
    Unknown,
}

/// What set the winner above another candidate that would have matched too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// The more specific hostname.
    Hostname,
    /// Exact path, then expression, then prefix.
    PathKind,
    /// The longer prefix.
    PathLength,
    /// A method was asked for.
    Method,
    /// More headers were asked for.
    HeaderCount,
    /// More query parameters were asked for.
    QueryCount,
    /// The older route.
    Age,
    /// The route whose `namespace/name` comes first in the alphabet.
    Name,
    /// The rule that stands first in the route.
    RuleOrder,
    /// The match that stands first in the rule.
    MatchOrder,
}

// === impl Rank ===

impl<'a> Rank<'a> {
    /// The rank of a match under a hostname. `rule` and `position` count within the route and the rule.
    pub(super) fn new(
        host: Option<&'a HostPattern>,
        matching: &'a Match,
        (created, route): (Option<i64>, &'a str),
        (rule, position): (usize, usize),
    ) -> Self {
        Self {
            host: match host {
                None => HostRank::Any,
                Some(host) if host.is_wildcard() => HostRank::Wildcard(Reverse(host.as_str().len()), host.as_str()),
                Some(host) => HostRank::Exact(Reverse(host.as_str().len()), host.as_str()),
            },
            path: match &matching.path {
                PathMatch::Exact(path) => PathRank::Exact(path),
                PathMatch::Regex(_) => PathRank::Regex,
                PathMatch::Prefix(path) => PathRank::Prefix(Reverse(path.len()), path),
            },
            method: if matching.method.is_some() { MethodRank::Named } else { MethodRank::Any },
            headers: Reverse(matching.headers.len()),
            query: Reverse(matching.query.len()),
            age: created.map_or(Age::Unknown, Age::Since),
            route,
            rule,
            position,
        }
    }

    /// Which part of the order puts this before `other`.
    pub(super) fn decider(&self, other: &Self) -> Decider {
        match () {
            () if self.host != other.host => Decider::Hostname,
            () if discriminant(&self.path) != discriminant(&other.path) => Decider::PathKind,
            () if self.path != other.path => Decider::PathLength,
            () if self.method != other.method => Decider::Method,
            () if self.headers != other.headers => Decider::HeaderCount,
            () if self.query != other.query => Decider::QueryCount,
            () if self.age != other.age => Decider::Age,
            () if self.route != other.route => Decider::Name,
            () if self.rule != other.rule => Decider::RuleOrder,
            () => Decider::MatchOrder,
        }
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "its hostname is less specific",
            Self::PathKind => "an exact path goes before an expression, and that before a prefix",
            Self::PathLength => "its path prefix is shorter",
            Self::Method => "it asks for no method",
            Self::HeaderCount => "it asks for fewer headers",
            Self::QueryCount => "it asks for fewer query parameters",
            Self::Age => "its route is younger",
            Self::Name => "its route's name comes later in the alphabet",
            Self::RuleOrder => "its rule comes later in the route",
            Self::MatchOrder => "it comes later in the rule",
        })
    }
}
