//! Buckets by key, of bounded number.
//!
//! A bucket that is full says nothing that a new one would not say, so those are what is forgotten when there are too many:
//! at first the oldest, whose owners have been away for longest. While none is full, so many keys are in use at once that
//! either the limit is too low for this rule or somebody makes up keys. Then newcomers share one bucket: together they get
//! what one key may, whatever their number. Those that are known are counted as before.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use parking_lot::Mutex;

use super::gcra::{Bucket, Cell, Verdict};

/// Bits of a hash that choose its shard.
const SHARD_BITS: u32 = 4;
const SHARDS: usize = 1 << SHARD_BITS;

/// Looking for full buckets among thousands takes some microseconds: not more often than this.
const SWEEP_PAUSE: u64 = 10_000_000;

/// Buckets by a hash of their key.
#[derive(Debug)]
pub(super) struct Keys {
    /// By the highest bits of the hash. A lock is held for one lookup, and requests of one key need an order anyway.
    shards: [Mutex<Shard>; SHARDS],
    /// Buckets of one shard at most.
    most: usize,
    /// Those of newcomers while there is no room.
    newcomers: Cell,
}

#[derive(Debug, Default)]
struct Shard {
    /// When each bucket is full again.
    full_at: HashMap<u64, u64, FixedState>,
    /// When to look for full ones again. Before that there are none, or it has just been tried.
    sweep_at: u64,
}

// === impl Keys ===

impl Keys {
    /// None yet, and at most so many.
    pub(super) fn new(most: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, most: most.div_ceil(SHARDS), newcomers: Cell::default() }
    }

    pub(super) fn take(&self, key: u64, bucket: Bucket, now: u64) -> Verdict {
        // As many bits as there are shards: always one of them.
        let mut shard = self.shards[(key >> (u64::BITS - SHARD_BITS)) as usize].lock();
        if let Some(full_at) = shard.full_at.get_mut(&key) {
            let (after, verdict) = bucket.take(*full_at, now);
            *full_at = after;
            return verdict;
        }
        if shard.full_at.len() >= self.most && !shard.sweep(now, self.most) {
            drop(shard);
            return self.newcomers.take(bucket, now);
        }
        let (after, verdict) = bucket.take(0, now);
        shard.full_at.insert(key, after);
        verdict
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.len()).sum()
    }

    /// Room that is held, used or not.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.capacity()).sum()
    }
}

// === impl Shard ===

impl Shard {
    /// Forgets the buckets that are full. Whether there is room now.
    fn sweep(&mut self, now: u64, most: usize) -> bool {
        if now < self.sweep_at {
            return false;
        }
        let mut first = u64::MAX;
        self.full_at.retain(|_, full_at| {
            let used = *full_at > now;
            if used {
                first = first.min(*full_at);
            }
            used
        });
        // Taking from a bucket only makes it full later, so none is before the first of now.
        self.sweep_at = first.max(now.saturating_add(SWEEP_PAUSE));
        self.full_at.len() < most
    }
}
