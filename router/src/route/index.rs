//! From a request to the few candidates whose hostname and path fit, without allocation.
//!
//! Candidates are sorted by precedence, so those of one hostname stand together, and within it those of one path: a *group*. All that a lookup
//! reads lies in one [`Blob`], hostname by hostname:
//!
//! ```text
//! block  hostname, its number, then for few paths: their number and (length, kind, entry) each; for many: nought and a summary
//! entry  host, kind, path, group
//! group  selector, number of candidates, record each
//! record rule, match, what is asked for beside the path
//! ```
//!
//! A hash table leads from the hostname to its block. Few paths are compared in order. Many are hashed: a prefix is found
//! by asking for the request's path cut at each depth that the hostname has prefixes of, longest first. So a group is never copied into
//! those below it: a candidate takes the same room whatever shares its hostname or prefix, and a miss falls through to the
//! next shorter one.
//!
//! The other known way is a radix tree with catch-all leaves (the `matchit` crate). It takes three entries a prefix and, in each leaf, a
//! copy of the candidates of all shorter prefixes (quadratic when many share one); and its search allocates whenever it passes
//! a catch-all on the way to a longer path, which with a route for `/` is every time. The benchmark `route` measures both.

mod blob;
mod hosts;
mod paths;
mod record;
mod select;
mod slots;

use super::{
    host::HostPattern,
    path::Matched,
    rule::Match,
    table::{RequestKey, narrow},
};
use blob::{Blob, Place, Reader};
use hosts::Hosts;
use paths::{Key, Paths, Summary};

/// A (hostname, match) pair: where it is looked up, and the rule that it leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    host: u32,
    pub(super) matching: u32,
    pub(super) rule: u32,
}

/// A match as it is kept.
#[derive(Debug)]
pub(super) struct Matching {
    pub(super) spec: Match,
    /// How its path matches when it does.
    pub(super) matched: Matched,
    /// Its place in its rule.
    pub(super) position: usize,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(super) rule: u32,
    pub(super) matching: u32,
}

/// The candidates and the ways to them.
#[derive(Debug, Default)]
pub(super) struct Index {
    candidates: Vec<Candidate>,
    matchings: Vec<Matching>,
    blob: Blob,
    hosts: Hosts,
    paths: Paths,
    names: record::Names,
    selectors: Vec<select::Group>,
}

// === impl Candidate ===

impl Candidate {
    /// The number of "every host".
    pub(super) const ANY_HOST: u32 = u32::MAX;

    pub(super) fn new(host: u32, matching: u32, rule: u32) -> Self {
        Self { host, matching, rule }
    }

    /// The number of its hostname.
    pub(super) fn host(&self) -> Option<usize> {
        (self.host != Self::ANY_HOST).then_some(self.host as usize)
    }
}

// === impl Matching ===

impl Matching {
    pub(super) fn new(spec: Match, position: usize) -> Self {
        let spec = spec.without_repetitions();
        Self { matched: spec.path.matched(), spec, position }
    }
}

// === impl Index ===

impl Index {
    /// Indexes candidates that are sorted by rank.
    pub(super) fn build(candidates: Vec<Candidate>, matchings: Vec<Matching>, hosts: &[HostPattern]) -> Self {
        let mut index = Self { matchings, ..Self::default() };
        for of_host in candidates.chunk_by(|one, other| one.host == other.host) {
            let pattern = of_host[0].host().and_then(|host| hosts.get(host));
            let block = index.blob.end();
            index.blob.text(Hosts::text(pattern).as_bytes());
            index.add_paths(of_host);
            index.hosts.insert(&index.blob, pattern, block);
        }
        index.blob.shrink();
        index.candidates = candidates;
        index
    }

    /// The first candidate that matches.
    #[inline]
    pub(super) fn find(&self, request: &RequestKey<'_>) -> Option<Hit> {
        self.hosts.find_in(&self.blob, request.host, |mut block| {
            let (host, few) = (block.u32(), block.u16());
            if few == 0 {
                let many = (&self.paths, &self.blob);
                return Summary::read(&mut block)
                    .find_in(many, host, request.path, |group| self.first_in(group, request));
            }
            (0..few).find_map(|_| {
                let (length, kind, entry) = (block.u16(), block.u8(), block.u32());
                let mut text = self.blob.read(entry);
                let fits = paths::may_fit(kind, usize::from(length), request.path.as_bytes())
                    && paths::fits(text.bytes(usize::from(length)), request.path.as_bytes());
                fits.then_some(text).and_then(|group| self.first_in(group, request))
            })
        })
    }

    /// Every candidate in the order of precedence.
    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// A match by its number.
    pub(super) fn matching(&self, number: u32) -> &Matching {
        &self.matchings[number as usize]
    }

    /// The first of a group that matches, its path included if that is an expression.
    #[inline]
    fn first_in(&self, mut group: Reader<'_>, request: &RequestKey<'_>) -> Option<Hit> {
        let (selector, count) = (group.u32(), group.u32());
        if selector == NO_SELECTOR {
            return (0..count).find_map(|_| self.check(&mut group, request));
        }
        let holds = |record: Place| self.check(&mut self.blob.read(record), request);
        self.selectors[selector as usize].first(request, Place::MAX, &holds).map(|(_, hit)| hit)
    }

    #[inline]
    fn check(&self, record: &mut Reader<'_>, request: &RequestKey<'_>) -> Option<Hit> {
        record::check(record, request, &self.names, &self.matchings)
    }

    /// Writes what is behind the name of a hostname, and enters its paths if they are many.
    fn add_paths(&mut self, of_host: &[Candidate]) {
        let same_path = |one: &Candidate, other: &Candidate| self.key(one) == self.key(other);
        let groups: Vec<_> = of_host.chunk_by(same_path).collect();
        let host = of_host[0].host;
        self.blob.u32(host);
        if groups.len() <= paths::FEW {
            self.add_few(&groups);
            return;
        }
        self.blob.u16(0);
        let room = self.blob.end();
        let mut summary = Summary::default();
        summary.write(&mut self.blob);
        for group in groups {
            let entry = self.blob.end();
            let Self { blob, paths, matchings, .. } = self;
            let key = Key::of(&matchings[group[0].matching as usize].spec.path);
            blob.u32(host);
            blob.u8(key.kind as u8);
            blob.text(key.text.as_bytes());
            summary.add(key, blob.end());
            paths.insert(blob, host, key, entry);
            self.add_group(group);
        }
        summary.write_at(&mut self.blob, room);
    }

    /// Paths to be compared in order.
    fn add_few(&mut self, groups: &[&[Candidate]]) {
        self.blob.u16(groups.len() as u16);
        let mut rooms = Vec::with_capacity(groups.len());
        for group in groups {
            let Self { blob, matchings, .. } = self;
            let key = Key::of(&matchings[group[0].matching as usize].spec.path);
            blob.u16(key.text.len() as u16);
            blob.u8(key.kind as u8);
            rooms.push(blob.end());
            blob.u32(0);
        }
        for (group, room) in groups.iter().zip(rooms) {
            let Self { blob, matchings, .. } = self;
            let entry = blob.end();
            blob.set_u32(room, entry);
            blob.append(Key::of(&matchings[group[0].matching as usize].spec.path).text.as_bytes());
            self.add_group(group);
        }
    }

    /// Writes the candidates of one hostname and path.
    fn add_group(&mut self, group: &[Candidate]) {
        let Self { blob, matchings, names, selectors, .. } = self;
        let room = blob.end();
        blob.u32(NO_SELECTOR);
        blob.u32(narrow(group.len()));
        let write = |&Candidate { rule, matching, .. }: &Candidate| {
            (
                record::write(blob, names, rule, matching, &matchings[matching as usize]),
                &matchings[matching as usize].spec,
            )
        };
        let members: Vec<_> = group.iter().map(write).collect();
        if let Some(selector) = select::Group::build(members) {
            selectors.push(selector);
            blob.set_u32(room, narrow(selectors.len() - 1));
        }
    }

    fn key(&self, candidate: &Candidate) -> Key<'_> {
        Key::of(&self.matching(candidate.matching).spec.path)
    }
}

/// Candidates of the group are tried one after another.
const NO_SELECTOR: u32 = u32::MAX;
