//! The table: routes compiled once, asked by every request.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, Method};
use serde::Serialize;

use super::{
    host::HostPattern,
    index::{Candidate, Hit, Index, Matching},
    path::Matched,
    rank::Rank,
    rule::{Match, Route, Rule},
};

/// Every route of a listener, compiled: immutable, and cheap to ask.
#[derive(Debug)]
pub struct RouteTable<A> {
    routes: Vec<RouteEntry>,
    rules: Vec<RuleEntry<A>>,
    hosts: Vec<HostPattern>,
    pub(super) index: Index,
}

#[derive(Debug)]
struct RouteEntry {
    name: Arc<str>,
    created: Option<i64>,
}

#[derive(Debug)]
struct RuleEntry<A> {
    action: A,
    route: u32,
    position: u32,
    name: Option<String>,
}

/// What a request is matched by.
#[derive(Clone, Copy, Debug)]
pub struct RequestKey<'a> {
    /// The authority as it was sent: any case, with or without a port, maybe empty.
    pub host: &'a str,
    /// The path, normalised by [`normalise`](super::normalise()).
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The rule that a request goes to.
#[derive(Debug)]
pub struct Found<'t, A> {
    /// The rule's action.
    pub action: &'t A,
    /// `namespace/name` of the route.
    pub route: &'t Arc<str>,
    /// The rule's place in the route, from 0.
    pub rule: usize,
    /// How the path matched.
    pub matched: &'t Matched,
}

/// One line of the table, for people.
#[derive(Debug)]
pub struct Row<'t, A> {
    /// The hostname; none is every host.
    pub host: Option<&'t HostPattern>,
    /// What must match; its `Display` is the short form.
    pub matches: &'t Match,
    /// `namespace/name` of the route.
    pub route: &'t Arc<str>,
    /// The rule's place in the route, from 0.
    pub rule: usize,
    /// The rule's name, if it has one.
    pub rule_name: Option<&'t str>,
    /// The rule's action.
    pub action: &'t A,
}

/// A match that never wins, since an equal one goes before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shadowed {
    /// The hostname, `*` for every host.
    pub host: String,
    /// What both ask for.
    pub matches: String,
    /// `namespace/name` of the route that never wins here.
    pub route: String,
    /// Its rule, from 0.
    pub rule: usize,
    /// `namespace/name` of the route that takes its requests.
    pub by_route: String,
    /// Its rule, from 0.
    pub by_rule: usize,
}

// === impl RouteTable ===

impl<A> RouteTable<A> {
    /// Sorts and indexes routes. Time is O(n log n) and memory O(n) in the number of (hostname, match) pairs, whatever they share.
    #[must_use]
    pub fn compile(routes: Vec<Route<A>>) -> Self {
        let mut table = Self {
            routes: Vec::with_capacity(routes.len()),
            rules: Vec::new(),
            hosts: Vec::new(),
            index: Index::default(),
        };
        let mut known = HashMap::new();
        let mut matchings = Vec::with_capacity(routes.len());
        let mut candidates = Vec::with_capacity(routes.len());
        for (number, route) in routes.into_iter().enumerate() {
            table.routes.push(RouteEntry { name: route.name, created: route.created });
            let hosts = table.intern(route.hostnames, &mut known);
            for (position, Rule { name, matches, action }) in route.rules.into_iter().enumerate() {
                let rule = narrow(table.rules.len());
                table.rules.push(RuleEntry { action, route: narrow(number), position: narrow(position), name });
                let matches = if matches.is_empty() { vec![Match::default()] } else { matches };
                for (position, matching) in matches.into_iter().enumerate() {
                    let matching = Matching::new(matching, position);
                    let id = narrow(matchings.len());
                    candidates.extend(hosts.iter().map(|&host| Candidate::new(host, id, rule)));
                    matchings.push(matching);
                }
            }
        }
        candidates.sort_by_cached_key(|candidate| table.rank_among(candidate, &matchings));
        table.index = Index::build(candidates, matchings, &table.hosts);
        table
    }

    /// The rule that a request goes to: the first candidate by precedence whose match holds.
    #[must_use]
    pub fn find<'t>(&'t self, request: &RequestKey<'_>) -> Option<Found<'t, A>> {
        self.locate(request).map(|hit| self.found(hit))
    }

    /// As [`find`](Self::find), as numbers: who holds the table need not also borrow from it.
    #[inline]
    pub(crate) fn locate(&self, request: &RequestKey<'_>) -> Option<Hit> {
        self.index.find(request)
    }

    /// The action of a hit in this very table. Each thing is asked for by itself, since each is a visit to memory that
    /// requests for other routes have driven out of the caches.
    #[inline]
    pub(crate) fn action(&self, hit: Hit) -> &A {
        &self.rules[hit.rule as usize].action
    }

    /// How the path matched, for a hit in this very table.
    #[inline]
    pub(crate) fn matched(&self, hit: Hit) -> &Matched {
        &self.index.matching(hit.matching).matched
    }

    /// What was hit in this very table.
    pub(crate) fn found(&self, hit: Hit) -> Found<'_, A> {
        let rule = &self.rules[hit.rule as usize];
        Found {
            action: &rule.action,
            route: &self.routes[rule.route as usize].name,
            rule: rule.position as usize,
            matched: self.matched(hit),
        }
    }

    /// Every (hostname, match) pair in the order of precedence.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_, A>> {
        self.index.candidates().iter().map(|candidate| self.row(candidate))
    }

    /// The pairs that can never win because an equal pair goes before them, in the order of precedence.
    #[must_use]
    pub fn shadowed(&self) -> Vec<Shadowed> {
        let mut first = HashMap::new();
        let mut shadowed = Vec::new();
        for row in self.rows() {
            let by = first.entry((row.host, row.matches.canonical())).or_insert((row.route, row.rule));
            if !std::ptr::eq(by.0, row.route) || by.1 != row.rule {
                shadowed.push(Shadowed {
                    host: row.host_text().to_owned(),
                    matches: row.matches.to_string(),
                    route: row.route.to_string(),
                    rule: row.rule,
                    by_route: by.0.to_string(),
                    by_rule: by.1,
                });
            }
        }
        shadowed
    }

    /// The number of (hostname, match) pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.candidates().len()
    }

    /// Whether nothing can be found in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A candidate with what it refers to.
    pub(super) fn row(&self, candidate: &Candidate) -> Row<'_, A> {
        let rule = &self.rules[candidate.rule as usize];
        Row {
            host: self.host(candidate),
            matches: &self.index.matching(candidate.matching).spec,
            route: &self.routes[rule.route as usize].name,
            rule: rule.position as usize,
            rule_name: rule.name.as_deref(),
            action: &rule.action,
        }
    }

    /// A candidate's place in the order.
    pub(super) fn rank(&self, candidate: &Candidate) -> Rank<'_> {
        self.rank_of(candidate, self.index.matching(candidate.matching))
    }

    fn rank_among<'m>(&'m self, candidate: &Candidate, matchings: &'m [Matching]) -> Rank<'m> {
        self.rank_of(candidate, &matchings[candidate.matching as usize])
    }

    fn rank_of<'m>(&'m self, candidate: &Candidate, matching: &'m Matching) -> Rank<'m> {
        let rule = &self.rules[candidate.rule as usize];
        let route = &self.routes[rule.route as usize];
        Rank::new(
            self.host(candidate),
            &matching.spec,
            (route.created, &route.name),
            (rule.position as usize, matching.position),
        )
    }

    fn host(&self, candidate: &Candidate) -> Option<&HostPattern> {
        candidate.host().map(|host| &self.hosts[host])
    }

    /// The numbers of a route's hostnames, each once; the number of "every host" if it has none.
    fn intern(&mut self, hostnames: Vec<HostPattern>, known: &mut HashMap<HostPattern, u32>) -> Vec<u32> {
        if hostnames.is_empty() {
            return vec![Candidate::ANY_HOST];
        }
        let mut numbers = Vec::with_capacity(hostnames.len());
        for host in hostnames {
            let number = *known.entry(host).or_insert_with_key(|host| {
                self.hosts.push(host.clone());
                narrow(self.hosts.len() - 1)
            });
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }
}

impl<A> Default for RouteTable<A> {
    fn default() -> Self {
        Self::compile(Vec::new())
    }
}

// === impl Row ===

impl<A> Row<'_, A> {
    /// The hostname, `*` for every host.
    #[must_use]
    pub fn host_text(&self) -> &str {
        self.host.map_or("*", HostPattern::as_str)
    }
}

/// An index in half the room. A table of four thousand million entries would fill a terabyte first.
pub(super) fn narrow(index: usize) -> u32 {
    debug_assert!(u32::try_from(index).is_ok(), "more than 2^32 entries in a route table");
    index as u32
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
