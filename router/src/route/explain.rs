//! Why a request goes where it goes.

use std::fmt;

use serde::Serialize;

use super::{
    host::HostPattern,
    rank::Decider,
    rule::Failed,
    table::{RequestKey, RouteTable, Row},
};

/// The winner, and what became of every other candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The rule that [`RouteTable::find`] gives.
    pub winner: Option<Considered>,
    /// The others, in the order of precedence.
    pub losers: Vec<Loser>,
}

/// One (hostname, match) pair of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// The hostname, `*` for every host.
    pub host: String,
    /// What it asks for.
    pub matches: String,
    /// `namespace/name` of the route.
    pub route: String,
    /// The rule's place in the route, from 0.
    pub rule: usize,
    /// The rule's name, if it has one.
    pub rule_name: Option<String>,
}

/// A pair that did not win.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loser {
    /// Which one.
    #[serde(flatten)]
    pub candidate: Considered,
    /// Why.
    pub lost: Lost,
}

/// Why a candidate did not win: the first thing that does not hold, else what put another before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// Its hostname is another.
    Host,
    /// Its path is another.
    Path,
    /// Its method is another.
    Method,
    /// This header is missing or has another value.
    Header(String),
    /// This query parameter is missing or has another value.
    Query(String),
    /// It matches too, but goes behind the winner.
    Precedence(Decider),
}

// === impl RouteTable ===

impl<A> RouteTable<A> {
    /// Considers every candidate one by one, without the index: slow, and a check on [`RouteTable::find`] by its very shape.
    #[must_use]
    pub fn explain(&self, request: &RequestKey<'_>) -> Explanation {
        let mut winner = None;
        let mut losers = Vec::with_capacity(self.len());
        for candidate in self.index.candidates() {
            let row = self.row(candidate);
            let lost = if !row.host.is_none_or(|host| host.matches(request.host)) {
                Lost::Host
            } else {
                match (row.matches.check(request), &winner) {
                    (Err(Failed::Path), _) => Lost::Path,
                    (Err(Failed::Method), _) => Lost::Method,
                    (Err(Failed::Header(name)), _) => Lost::Header(name.to_owned()),
                    (Err(Failed::Query(name)), _) => Lost::Query(name.to_owned()),
                    (Ok(()), Some(winner)) => Lost::Precedence(self.rank(winner).decider(&self.rank(candidate))),
                    (Ok(()), None) => {
                        winner = Some(*candidate);
                        continue;
                    }
                }
            };
            losers.push(Loser { candidate: Considered::new(&row), lost });
        }
        Explanation { winner: winner.map(|candidate| Considered::new(&self.row(&candidate))), losers }
    }
}

// === impl Considered ===

impl Considered {
    fn new<A>(row: &Row<'_, A>) -> Self {
        Self {
            host: row.host.map_or("*", HostPattern::as_str).to_owned(),
            matches: row.matches.to_string(),
            route: row.route.to_string(),
            rule: row.rule,
            rule_name: row.rule_name.map(str::to_owned),
        }
    }
}

impl fmt::Display for Considered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.route, self.rule)?;
        if let Some(name) = &self.rule_name {
            write!(f, " ({name})")?;
        }
        write!(f, ": {} {}", self.host, self.matches)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Precedence(decider) => write!(f, "lower precedence: {decider}"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.winner {
            Some(winner) => writeln!(f, "wins   {winner}")?,
            None => writeln!(f, "no route matches")?,
        }
        self.losers.iter().try_for_each(|loser| writeln!(f, "loses  {}: {}", loser.candidate, loser.lost))
    }
}
