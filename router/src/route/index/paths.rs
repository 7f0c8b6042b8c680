//! The paths of one hostname: read through when they are few, hashed when they are many.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use super::{
    super::path::{MAX_DEPTH, PathMatch},
    blob::{Blob, Place, Reader},
    slots::Slots,
};

/// Up to here a hostname's paths are compared one after another: they lie next to each other, and most differ in length.
pub(super) const FEW: usize = 16;

/// What a match's path is looked up by. Expressions of a hostname share one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) kind: Kind,
    /// A prefix stands here without the trailing slash, also that of the root.
    pub(super) text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exact,
    Expression,
    Prefix,
}

/// The hashed paths of all hostnames that have many.
#[derive(Debug, Default)]
pub(super) struct Paths {
    hasher: RandomState,
    slots: Slots,
}

/// What is known of the paths of a hostname that has many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    /// A bit for each length of an exact path (modulo 64).
    exact_lengths: u64,
    /// A bit for each number of elements that a prefix has.
    depths: u64,
    /// The group of the expressions.
    expressions: Option<Place>,
}

// === impl Key ===

impl<'a> Key<'a> {
    pub(super) fn of(path: &'a PathMatch) -> Self {
        match path {
            PathMatch::Exact(path) => Self { kind: Kind::Exact, text: path },
            PathMatch::Regex(_) => Self { kind: Kind::Expression, text: "" },
            PathMatch::Prefix(path) => Self { kind: Kind::Prefix, text: path.strip_suffix('/').unwrap_or(path) },
        }
    }
}

/// Whether a path of that length can fit the request's path at all: tells most apart without a look at the text.
#[inline]
pub(super) fn may_fit(kind: u8, length: usize, path: &[u8]) -> bool {
    if kind == Kind::Exact as u8 {
        length == path.len()
    } else {
        length == path.len() || path.get(length) == Some(&b'/') || length == 0
    }
}

/// Whether a path that may fit does. That of the root and that of expressions are empty and always do.
#[inline]
pub(super) fn fits(text: &[u8], path: &[u8]) -> bool {
    path.starts_with(text)
}

// === impl Paths ===

impl Paths {
    /// Enters a path whose entry (host, kind, text, group) stands at `entry`.
    pub(super) fn insert(&mut self, blob: &Blob, host: u32, key: Key<'_>, entry: Place) {
        let Self { hasher, slots } = self;
        slots.insert(hash(hasher, host, key.kind as u8, key.text.as_bytes()), entry, |entry| {
            let mut entry = blob.read(entry);
            let (host, kind) = (entry.u32(), entry.u8());
            hash(hasher, host, kind, entry.text())
        });
    }

    /// The group of a path.
    #[inline]
    fn get<'b>(&self, blob: &'b Blob, host: u32, kind: Kind, path: &[u8]) -> Option<Reader<'b>> {
        let group = |entry: Place| {
            let mut entry = blob.read(entry);
            (entry.u32() == host && entry.u8() == kind as u8 && entry.text() == path).then_some(entry)
        };
        let hash = hash(&self.hasher, host, kind as u8, path);
        self.slots.find(hash, |entry| group(entry).is_some()).and_then(group)
    }
}

// === impl Summary ===

impl Summary {
    pub(super) fn add(&mut self, key: Key<'_>, group: Place) {
        match key.kind {
            Kind::Exact => self.exact_lengths |= 1 << (key.text.len() % 64),
            Kind::Prefix => self.depths |= 1 << key.text.matches('/').count(),
            Kind::Expression => self.expressions = Some(group),
        }
    }

    pub(super) fn write(&self, blob: &mut Blob) {
        blob.u64(self.exact_lengths);
        blob.u64(self.depths);
        blob.u32(self.expressions.unwrap_or(Place::MAX));
    }

    /// Fills in what is known only after the entries were written.
    pub(super) fn write_at(&self, blob: &mut Blob, place: Place) {
        blob.set_u64(place, self.exact_lengths);
        blob.set_u64(place + 8, self.depths);
        blob.set_u32(place + 16, self.expressions.unwrap_or(Place::MAX));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Self {
        let (exact_lengths, depths, group) = (from.u64(), from.u64(), from.u32());
        Self { exact_lengths, depths, expressions: (group != Place::MAX).then_some(group) }
    }

    /// What `find` gives for the first group, by precedence, that fits the path and gives anything.
    pub(super) fn find_in<'b, T>(
        &self,
        (paths, blob): (&Paths, &'b Blob),
        host: u32,
        path: &str,
        mut find: impl FnMut(Reader<'b>) -> Option<T>,
    ) -> Option<T> {
        if self.exact_lengths >> (path.len() % 64) & 1 == 1
            && let Some(found) = paths.get(blob, host, Kind::Exact, path.as_bytes()).and_then(&mut find)
        {
            return Some(found);
        }
        if let Some(found) = self.expressions.and_then(|group| find(blob.read(group))) {
            return Some(found);
        }
        let cuts = Cuts::of(path.as_bytes(), self.depths);
        let mut depths = self.depths & cuts.depths();
        while depths != 0 {
            let depth = depths.ilog2() as usize;
            depths ^= 1 << depth;
            let prefix = cuts.first(path.as_bytes(), depth);
            if let Some(found) = paths.get(blob, host, Kind::Prefix, prefix).and_then(&mut find) {
                return Some(found);
            }
        }
        None
    }
}

/// Where a path can be cut.
struct Cuts {
    count: usize,
    slashes: [u32; MAX_DEPTH + 1],
}

// === impl Cuts ===

impl Cuts {
    /// The cuts down to the greatest of some depths.
    fn of(path: &[u8], depths: u64) -> Self {
        let mut cuts = Self { count: 0, slashes: [0; MAX_DEPTH + 1] };
        let wanted = depths.checked_ilog2().map_or(0, |deepest| deepest as usize + 1);
        if wanted > 1 {
            for (at, _) in path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').take(wanted) {
                cuts.slashes[cuts.count] = super::narrow(at);
                cuts.count += 1;
            }
        }
        cuts
    }

    /// A bit for each number of elements that the path can be cut to: `/a/b` has two slashes and three cuts, nothing, `/a` and `/a/b`.
    fn depths(&self) -> u64 {
        u64::MAX >> (MAX_DEPTH - self.count.min(MAX_DEPTH))
    }

    /// The first `depth` elements. Only for depths that [`Self::depths`] gave.
    fn first<'a>(&self, path: &'a [u8], depth: usize) -> &'a [u8] {
        match depth {
            0 => &[],
            _ if depth < self.count => &path[..self.slashes[depth] as usize],
            _ => path,
        }
    }
}

#[inline]
fn hash(hasher: &RandomState, host: u32, kind: u8, path: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(path);
    state.write_u64(u64::from(host) << 8 | u64::from(kind));
    state.finish()
}
