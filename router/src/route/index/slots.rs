//! A hash table of places: one visit to memory for a hit or a miss.

use super::blob::Place;

/// Places by hash, open addressing, at most half full. The caller keeps the keys and compares them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The upper half of the hash above the place plus one; nought is empty.
    slots: Vec<u64>,
    taken: usize,
}

// === impl Slots ===

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Enters a key that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, place: Place, hash_of: impl Fn(Place) -> u64) {
        if (self.taken + 1) * 2 > self.slots.len() {
            let grown = vec![0; (self.slots.len() * 2).max(8)];
            let old = std::mem::replace(&mut self.slots, grown);
            for place in old.into_iter().filter(|&slot| slot != 0).map(place_in) {
                self.put(hash_of(place), place);
            }
        }
        self.put(hash, place);
        self.taken += 1;
    }

    /// The place of the key with that hash that `is` says is the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(Place) -> bool) -> Option<Place> {
        let mut at = self.start(hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash >> 32 && is(place_in(slot)) {
                return Some(place_in(slot));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn put(&mut self, hash: u64, place: Place) {
        let mut at = self.start(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = hash >> 32 << 32 | (u64::from(place) + 1);
    }

    /// Where to look first. The number of slots is a power of two; the tag is made of the other half of the hash.
    #[inline]
    fn start(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }
}

#[inline]
fn place_in(slot: u64) -> Place {
    (slot as u32).wrapping_sub(1)
}
