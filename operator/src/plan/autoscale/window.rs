//! What was, for as long as it matters.

use std::{collections::VecDeque, time::Duration};

/// So many entries before old ones are put together.
const MOST: usize = 256;
/// Two neighbours are put together if this times the time between them is less than their age.
const FINENESS: u32 = 32;

/// Entries with their moments, the newest last. Entries of an hour ago are as good by the minute as those of a minute ago
/// are by the second: neighbours that are close together for their age become one, at the later's moment. So it never holds
/// many more than 200, and each leaves at most a thirtieth of its age too late.
#[derive(Clone, Debug)]
pub(super) struct History<T> {
    entries: VecDeque<Entry<T>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    /// When the first of those was that it is made of.
    begin: Duration,
    /// When the last was.
    at: Duration,
    value: T,
}

/// What neighbours become.
pub(super) trait Merge: Copy {
    /// Both as one.
    fn merge(self, other: Self) -> Self;
}

/// The least and the most of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: u32,
    pub(super) most: u32,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new() }
    }
}

impl<T: Merge> History<T> {
    /// Adds what is now, and lets go of what is older than `keep`.
    pub(super) fn push(&mut self, now: Duration, keep: Duration, value: T) {
        while self.entries.front().is_some_and(|it| now.saturating_sub(it.at) > keep) {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { begin: now, at: now, value });
        if self.entries.len() > MOST {
            self.thin(now);
        }
    }

    /// What is younger than `age`, the newest first.
    pub(super) fn within(&self, now: Duration, age: Duration) -> impl Iterator<Item = T> {
        let younger = move |it: &&Entry<T>| now.saturating_sub(it.at) < age;
        self.entries.iter().rev().take_while(younger).map(|it| it.value)
    }

    fn thin(&mut self, now: Duration) {
        let mut kept: VecDeque<Entry<T>> = VecDeque::with_capacity(MOST);
        for it in self.entries.drain(..) {
            let age = now.saturating_sub(it.at);
            match kept.back_mut() {
                Some(last) if it.at.saturating_sub(last.begin).saturating_mul(FINENESS) < age => {
                    *last = Entry { begin: last.begin, at: it.at, value: last.value.merge(it.value) };
                }
                _ => kept.push_back(it),
            }
        }
        self.entries = kept;
        // However close together they came.
        while self.entries.len() > MOST {
            self.entries.pop_front();
        }
    }
}

impl Range {
    /// Of one value.
    pub(super) const fn of(value: u32) -> Self {
        Self { least: value, most: value }
    }
}

impl Merge for Range {
    fn merge(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

/// A change; two are their sum.
impl Merge for i64 {
    fn merge(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn within_is_younger_than() {
        let mut history = History::default();
        for at in 0..10 {
            history.push(seconds(at), seconds(5), Range::of(u32::try_from(at).unwrap()));
        }
        let within = |age| history.within(seconds(9), seconds(age)).map(|it| it.least).collect::<Vec<_>>();
        assert!(within(0).is_empty());
        assert_eq!(within(1), [9]);
        assert_eq!(within(3), [9, 8, 7]);
        assert_eq!(within(100), [9, 8, 7, 6, 5, 4]);
    }

    proptest! {
        /// An hour of entries, one a second: few are kept, none too early let go, and none kept much too long.
        #[test]
        fn few_are_kept_and_extremes_are_kept(values in proptest::collection::vec(0_u32..1000, 3600..4200), age in 1_u64..3600) {
            let mut history = History::default();
            for (at, value) in values.iter().enumerate() {
                history.push(seconds(at as u64), seconds(3600), Range::of(*value));
                prop_assert!(history.entries.len() <= MOST);
            }
            let now = values.len() as u64 - 1;
            let most = history.within(seconds(now), seconds(age)).map(|it| it.most).max();
            let of = |age: u64| values.iter().rev().take(usize::try_from(age).unwrap()).max().copied();
            prop_assert!(most >= of(age));
            prop_assert!(most <= of(age + age / 25 + 2));
        }

        #[test]
        fn sums_are_kept(values in proptest::collection::vec(-9_i64..9, 1000..1200), every in 1_u64..3000) {
            let mut history = History::default();
            for (at, value) in values.iter().enumerate() {
                history.push(Duration::from_millis(every * at as u64), seconds(100_000), *value);
            }
            let now = Duration::from_millis(every * values.len() as u64);
            if every > 500 {
                let sum: i64 = history.within(now, seconds(100_000)).sum();
                prop_assert_eq!(sum, values.iter().sum::<i64>());
            }
            prop_assert!(history.entries.len() <= MOST);
        }
    }
}
