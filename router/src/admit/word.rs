//! The admission state that one atomic instruction can read and change: counts, limit and flags in 64 bits.

use std::fmt;

/// Bits per count: enough for a thousand million calls at once.
const WIDTH: u32 = 30;
const MASK: u64 = (1 << WIDTH) - 1;
const WAITING: u64 = 1 << (2 * WIDTH);
const WATCHED: u64 = 1 << (2 * WIDTH + 1);
const CLOSED: u64 = 1 << (2 * WIDTH + 2);

/// `closed | watched | waiting | limit (30 bits) | in flight (30 bits)`.
///
/// The limit stands in the same word as the count that it bounds, so that a compare-and-swap that adds one to the
/// count has proved, at that very moment, that the count was under the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// The largest limit that can be told apart; larger ones are taken for this one.
    pub(super) const MAX_LIMIT: usize = MASK as usize;

    pub(super) const fn in_flight(self) -> u64 {
        self.0 & MASK
    }

    pub(super) const fn limit(self) -> u64 {
        (self.0 >> WIDTH) & MASK
    }

    /// Somebody stands in the queue.
    pub(super) const fn waiting(self) -> bool {
        self.0 & WAITING != 0
    }

    /// Somebody wants to know when the last one has left.
    pub(super) const fn watched(self) -> bool {
        self.0 & WATCHED != 0
    }

    pub(super) const fn closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether there is a free place that nobody has a better right to.
    pub(super) const fn open(self) -> bool {
        self.0 & (WAITING | CLOSED) == 0 && self.has_room()
    }

    /// Somebody has to be told if one leaves now.
    pub(super) const fn leaving_matters(self) -> bool {
        self.waiting() || (self.watched() && self.in_flight() == 1)
    }

    pub(super) const fn has_room(self) -> bool {
        self.in_flight() < self.limit()
    }

    /// One more in flight. The caller has seen [`Self::has_room`], so the count cannot spill into the limit's bits.
    pub(super) const fn entered(self) -> Self {
        Self(self.0 + 1)
    }

    /// One less in flight. The caller is one of those counted, so the count is not zero.
    pub(super) const fn left(self) -> Self {
        Self(self.0 - 1)
    }

    pub(super) fn with_limit(self, limit: usize) -> Self {
        Self(self.0 & !(MASK << WIDTH) | ((limit.min(Self::MAX_LIMIT) as u64) << WIDTH))
    }

    pub(super) const fn with_waiting(self, waiting: bool) -> Self {
        Self(if waiting { self.0 | WAITING } else { self.0 & !WAITING })
    }

    pub(super) const fn with_watched(self, watched: bool) -> Self {
        Self(if watched { self.0 | WATCHED } else { self.0 & !WATCHED })
    }

    pub(super) const fn with_closed(self) -> Self {
        Self(self.0 | CLOSED)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("in_flight", &self.in_flight())
            .field("limit", &self.limit())
            .field("waiting", &self.waiting())
            .field("watched", &self.watched())
            .field("closed", &self.closed())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let word = Word(0).with_limit(usize::MAX).entered().entered().left();
        assert_eq!((word.in_flight(), word.limit()), (1, MASK));
        assert!(!word.waiting() && !word.watched() && !word.closed() && word.open());

        let word = word.with_waiting(true).with_watched(true).with_closed().with_limit(7);
        assert_eq!((word.in_flight(), word.limit()), (1, 7));
        assert!(word.waiting() && word.watched() && word.closed() && !word.open() && word.has_room());

        let word = word.with_waiting(false).with_watched(false);
        assert_eq!((word.in_flight(), word.limit()), (1, 7));
        assert!(!word.waiting() && !word.watched() && word.closed());
    }

    #[test]
    fn leaving_matters_to_waiters_and_at_the_last_one_to_watchers() {
        let (one, two) = (Word(0).entered(), Word(0).entered().entered());
        assert!(!one.leaving_matters() && two.with_waiting(true).leaving_matters());
        assert!(one.with_watched(true).leaving_matters() && !two.with_watched(true).leaving_matters());
    }

    #[test]
    fn room_ends_at_the_limit() {
        let word = Word(0).with_limit(2);
        assert!(word.open() && word.entered().open() && !word.entered().entered().open());
        assert!(!Word(0).with_limit(0).open(), "a limit of zero lets nobody in");
    }
}
