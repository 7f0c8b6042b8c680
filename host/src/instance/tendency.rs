//! Whether a component's calls tend to compute for long: if they do, they begin on the threads for that, and a burst of
//! them takes nothing of the threads that read requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the last calls were like.
#[derive(Debug, Default)]
pub(super) struct Tendency(AtomicU64);

impl Tendency {
    const MOST: u64 = 16;
    const HEAVY: u64 = 8;
    /// One heavy call weighs as much as so many light ones: it costs its neighbours more than a hand-over costs it.
    const STEP: u64 = 4;

    pub(super) fn is_heavy(&self) -> bool {
        self.0.load(Relaxed) >= Self::HEAVY
    }

    /// A call has ended, or has shown itself to be heavy.
    pub(super) fn learn(&self, heavy: bool) {
        let before = self.0.load(Relaxed);
        let after = if heavy { (before + Self::STEP).min(Self::MOST) } else { before.saturating_sub(1) };
        if after != before {
            // Two at once count as one: it is a tendency.
            self.0.store(after, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_compute_are_known_for_it() {
        let tendency = Tendency::default();
        tendency.learn(true);
        assert!(!tendency.is_heavy());
        tendency.learn(true);
        assert!(tendency.is_heavy());
        for _ in 0..100 {
            tendency.learn(true);
        }
        for _ in 0..=Tendency::HEAVY {
            tendency.learn(false);
        }
        assert!(!tendency.is_heavy());
    }
}
