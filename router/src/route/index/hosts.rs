//! Hostname to its block: exact, then the longest wildcard, then none.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use super::{
    super::host::{self, HostPattern, MAX_HOST},
    blob::{Blob, Place, Reader},
    slots::Slots,
};

/// The hostnames of a table.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    hasher: RandomState,
    /// Exact names, and wildcards as their suffix with the leading dot, which no exact name and no trimmed host has.
    slots: Slots,
    /// A bit for each length of a wildcard's suffix (modulo 64), so that most labels of a host are not looked up.
    suffix_lengths: u64,
    any: Option<Place>,
}

// === impl Hosts ===

impl Hosts {
    /// What stands at the start of a hostname's block.
    pub(super) fn text(pattern: Option<&HostPattern>) -> &str {
        pattern.map_or("", |pattern| pattern.as_str().trim_start_matches('*'))
    }

    /// Enters a hostname whose block stands at `block`; none is every host.
    pub(super) fn insert(&mut self, blob: &Blob, pattern: Option<&HostPattern>, block: Place) {
        let Some(pattern) = pattern else {
            self.any = Some(block);
            return;
        };
        let name = Self::text(Some(pattern)).as_bytes();
        if pattern.is_wildcard() {
            self.suffix_lengths |= 1 << (name.len() % 64);
        }
        let Self { hasher, slots, .. } = self;
        slots.insert(hash(hasher, name), block, |block| hash(hasher, blob.read(block).text()));
    }

    /// What `find` gives for the first hostname, by precedence, that stands for the request's host and gives anything. It is
    /// given the block behind the name.
    #[inline]
    pub(super) fn find_in<'b, T>(
        &self,
        blob: &'b Blob,
        authority: &str,
        mut find: impl FnMut(Reader<'b>) -> Option<T>,
    ) -> Option<T> {
        if !self.slots.is_empty() {
            let host = host::trim(authority);
            let found = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                self.find_lowered(blob, host, &mut find)
            } else {
                self.find_named(blob, host.as_bytes(), &mut find)
            };
            if found.is_some() {
                return found;
            }
        }
        self.any.and_then(|block| {
            let mut block = blob.read(block);
            block.text();
            find(block)
        })
    }

    /// Out of line, so that only hosts with capitals pay for the room.
    #[inline(never)]
    fn find_lowered<'b, T>(
        &self,
        blob: &'b Blob,
        host: &str,
        find: &mut impl FnMut(Reader<'b>) -> Option<T>,
    ) -> Option<T> {
        let mut buffer = [0; MAX_HOST];
        self.find_named(blob, host::lower(host, &mut buffer), find)
    }

    #[inline]
    fn find_named<'b, T>(
        &self,
        blob: &'b Blob,
        host: &[u8],
        find: &mut impl FnMut(Reader<'b>) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.get(blob, host).and_then(&mut *find) {
            return Some(found);
        }
        if self.suffix_lengths == 0 {
            return None;
        }
        // A wildcard stands for at least one character, so a dot at the very start does not count.
        (1..host.len())
            .filter(|&at| host[at] == b'.' && self.suffix_lengths >> ((host.len() - at) % 64) & 1 == 1)
            .find_map(|at| self.get(blob, &host[at..]).and_then(&mut *find))
    }

    #[inline]
    fn get<'b>(&self, blob: &'b Blob, name: &[u8]) -> Option<Reader<'b>> {
        let behind_name = |block: Place| {
            let mut block = blob.read(block);
            (block.text() == name).then_some(block)
        };
        self.slots.find(hash(&self.hasher, name), |block| behind_name(block).is_some()).and_then(behind_name)
    }
}

#[inline]
fn hash(hasher: &RandomState, name: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name);
    state.finish()
}
