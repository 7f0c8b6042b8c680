//! Choosing among many candidates of one hostname and path by the value of a header or query parameter.
//!
//! Hundreds of tenants behind one path, told apart by a header, would otherwise be tried one after another. A large span is split by the
//! name that most of its candidates ask an exact value of, again and again while that pays; the candidates keep their order.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use http::HeaderName;

use super::{
    super::{query, rule::Match, table::RequestKey, value::StringMatch},
    blob::Place,
};

/// Up to here candidates are tried one after another: cheaper than a hash table.
const FEW: usize = 4;
/// How often a span is split; bounds the time to build and the stack.
const MAX_SPLITS: usize = 8;

/// The place of a candidate's record, which grows with its rank, and what it asks for.
type Member<'m> = (Place, &'m Match);

/// Candidates in the order of precedence, or the way to them.
#[derive(Debug)]
pub(super) enum Group {
    /// Tried one after another.
    List(Box<[Place]>),
    /// Told apart by a value.
    Split(Box<Split>),
}

#[derive(Debug)]
pub(super) struct Split {
    by: Facet,
    /// By the exact value that they ask for.
    values: HashMap<Box<[u8]>, Group, RandomState>,
    /// Those that ask for no exact value of this.
    rest: Group,
}

/// What values are asked of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Facet {
    Header(HeaderName),
    Query(String),
}

// === impl Group ===

impl Group {
    /// Splits a group, given as the place of each record and what it asks for; `None` if trying one after another will do.
    pub(super) fn build(members: Vec<Member<'_>>) -> Option<Self> {
        match Self::split(members, &mut Vec::new()) {
            Self::List(_) => None,
            split => Some(split),
        }
    }

    fn split(members: Vec<Member<'_>>, done: &mut Vec<Facet>) -> Self {
        let list = |members: Vec<Member<'_>>| Self::List(members.into_iter().map(|(place, _)| place).collect());
        if members.len() <= FEW || done.len() == MAX_SPLITS {
            return list(members);
        }
        let Some(by) = most_asked(&members, done) else { return list(members) };
        let mut values: HashMap<&[u8], Vec<Member<'_>>> = HashMap::new();
        let mut rest = Vec::new();
        for member in members {
            match by.exact_in(member.1) {
                Some(value) => values.entry(value).or_default().push(member),
                None => rest.push(member),
            }
        }
        done.push(by.clone());
        let values = values.into_iter().map(|(value, members)| (value.into(), Self::split(members, done))).collect();
        let rest = Self::split(rest, done);
        done.pop();
        Self::Split(Box::new(Split { by, values, rest }))
    }

    /// The first member before `bound` for which `check` gives something, and what.
    pub(super) fn first<T>(
        &self,
        request: &RequestKey<'_>,
        bound: Place,
        check: &impl Fn(Place) -> Option<T>,
    ) -> Option<(Place, T)> {
        match self {
            Self::List(members) => members
                .iter()
                .take_while(|&&member| member < bound)
                .find_map(|&member| check(member).map(|found| (member, found))),
            Self::Split(split) => split.first(request, bound, check),
        }
    }
}

// === impl Split ===

impl Split {
    fn first<T>(
        &self,
        request: &RequestKey<'_>,
        mut bound: Place,
        check: &impl Fn(Place) -> Option<T>,
    ) -> Option<(Place, T)> {
        let mut best = None;
        let mut consider = |group: &Group| {
            if let Some(better) = group.first(request, bound, check) {
                bound = better.0;
                best = Some(better);
            }
        };
        match &self.by {
            // Any line of a repeated field may match, so each leads to its candidates.
            Facet::Header(name) => request
                .headers
                .get_all(name)
                .iter()
                .filter_map(|line| self.values.get(line.as_bytes()))
                .for_each(&mut consider),
            Facet::Query(name) => query::first(request.query.unwrap_or_default(), name.as_bytes())
                .and_then(|raw| self.values.get(&*query::decoded(raw)))
                .into_iter()
                .for_each(&mut consider),
        }
        consider(&self.rest);
        best
    }
}

// === impl Facet ===

impl Facet {
    fn name(&self) -> &str {
        match self {
            Self::Header(name) => name.as_str(),
            Self::Query(name) => name,
        }
    }

    /// The exact value that a match asks of it.
    fn exact_in<'m>(&self, spec: &'m Match) -> Option<&'m [u8]> {
        facets(spec).find(|(facet, _)| facet == self).map(|(_, value)| value)
    }
}

/// Everything that a match asks an exact value of.
fn facets(spec: &Match) -> impl Iterator<Item = (Facet, &[u8])> {
    fn exact(value: &StringMatch) -> Option<&[u8]> {
        match value {
            StringMatch::Exact(text) => Some(text.as_bytes()),
            StringMatch::Regex(_) => None,
        }
    }
    let headers =
        spec.headers.iter().filter_map(move |header| Some((Facet::Header(header.name.clone()), exact(&header.value)?)));
    let query =
        spec.query.iter().filter_map(move |query| Some((Facet::Query(query.name.clone()), exact(&query.value)?)));
    headers.chain(query)
}

/// What most members ask an exact value of, if that is worth a split.
fn most_asked(members: &[Member<'_>], done: &[Facet]) -> Option<Facet> {
    let mut asked: HashMap<Facet, usize> = HashMap::new();
    for (facet, _) in members.iter().flat_map(|&(_, spec)| facets(spec)) {
        *asked.entry(facet).or_default() += 1;
    }
    asked
        .into_iter()
        .filter(|(facet, count)| *count > FEW && !done.contains(facet))
        .max_by(|(one, ones), (other, others)| ones.cmp(others).then_with(|| other.name().cmp(one.name())))
        .map(|(facet, _)| facet)
}
