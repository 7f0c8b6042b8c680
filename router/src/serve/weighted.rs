//! Picks one of several by weight.

/// Alternatives with weights (Gateway API `BackendRef.weight`: an item's share is its weight over the sum of all).
#[derive(Clone, Debug)]
pub(super) struct Shares<T> {
    items: Items<T>,
    total: u64,
}

#[derive(Clone, Debug)]
enum Items<T> {
    /// Most have one only, which lies where its owner does: no second visit to memory.
    One(T),
    /// Each with the sum of the weights up to and with it. Rises, so an item of weight zero never is the first above a point.
    Many(Vec<(u64, T)>),
}

/// `r`, even over all `u64`, as a number below `total`: the high half of the product, without a division.
pub(super) fn scaled(r: u64, total: u64) -> u64 {
    ((u128::from(r) * u128::from(total)) >> u64::BITS) as u64
}

// === impl Shares ===

impl<T> Shares<T> {
    /// The alternatives in their order. Those of weight zero stay in the list and are never picked.
    #[must_use]
    pub(super) fn new(items: Vec<(u32, T)>) -> Self {
        let mut total = 0;
        let mut items: Vec<_> = items
            .into_iter()
            .map(|(weight, item)| {
                total += u64::from(weight);
                (total, item)
            })
            .collect();
        match items.pop() {
            Some((_, one)) if items.is_empty() => Self { items: Items::One(one), total },
            last => {
                items.extend(last);
                Self { items: Items::Many(items), total }
            }
        }
    }

    /// The place of the item that `r` falls on: for `r` even over all `u64`, each item in proportion to its weight. `None`
    /// if there is none with a weight. Logarithmic in the number of items.
    #[must_use]
    pub(super) fn pick(&self, r: u64) -> Option<usize> {
        match &self.items {
            Items::One(_) => (self.total > 0).then_some(0),
            Items::Many(items) => {
                let point = scaled(r, self.total);
                let index = items.partition_point(|(sum, _)| *sum <= point);
                (index < items.len()).then_some(index)
            }
        }
    }

    /// The same among all but the item at `place`, in proportion to what is left.
    #[must_use]
    pub(super) fn pick_but(&self, place: usize, r: u64) -> Option<usize> {
        let Items::Many(items) = &self.items else { return if place == 0 { None } else { self.pick(r) } };
        let Some((upto, _)) = items.get(place) else { return self.pick(r) };
        let before = place.checked_sub(1).and_then(|last| items.get(last)).map_or(0, |(sum, _)| *sum);
        let point = scaled(r, self.total - (upto - before));
        // The others as one range: what lies at or after the gap is moved beyond it.
        let point = if point < before { point } else { point + (upto - before) };
        let index = items.partition_point(|(sum, _)| *sum <= point);
        (index < items.len()).then_some(index)
    }

    /// An item by its place.
    #[must_use]
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        match &self.items {
            Items::One(item) => (place == 0).then_some(item),
            Items::Many(items) => items.get(place).map(|(_, item)| item),
        }
    }

    /// Every item, picked or not, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..).map_while(|place| self.get(place))
    }
}

impl<T> Default for Shares<T> {
    fn default() -> Self {
        Self { items: Items::Many(Vec::new()), total: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICKS: u32 = 100_000;

    fn shares(weights: &[u32]) -> Vec<f64> {
        let weighted = Shares::new(weights.iter().copied().zip(0..).collect());
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..PICKS {
            let picked = weighted.pick(random.u64(..)).expect("a weight above zero");
            counts[picked] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / f64::from(PICKS)).collect()
    }

    #[test]
    fn shares_follow_the_weights() {
        let thousand: Vec<u32> = (0..1000).map(|weight| weight % 7).collect();
        let tables: [(&str, &[u32]); 8] = [
            ("httproute-weight: 70, 30, 0", &[70, 30, 0]),
            ("equal", &[1, 1, 1, 1]),
            ("a canary", &[99, 1]),
            ("only one", &[5]),
            ("zero first and last", &[0, 3, 0, 1, 0]),
            ("the largest weights", &[1_000_000, 1_000_000, 500_000]),
            ("no overflow", &[u32::MAX, u32::MAX]),
            ("many", &thousand),
        ];
        for (name, weights) in tables {
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for (weight, share) in weights.iter().zip(shares(weights)) {
                let wanted = f64::from(*weight) / total as f64;
                assert!((share - wanted).abs() < 0.01, "{name}: {share} instead of {wanted}");
                assert!(*weight > 0 || share == 0.0, "{name}: weight zero was picked");
            }
        }
    }

    #[test]
    fn the_others_keep_their_proportions() {
        let mut random = fastrand::Rng::with_seed(7);
        for weights in [&[1, 2, 3, 4][..], &[0, 1, 0, 9], &[5, 5], &[1, 0]] {
            let weighted = Shares::new(weights.iter().copied().zip(0..).collect());
            for (but, left) in weights.iter().enumerate() {
                let total: u32 = weights.iter().sum::<u32>() - left;
                if total == 0 {
                    assert_eq!(weighted.pick_but(but, random.u64(..)), None, "{weights:?} but {but}");
                    continue;
                }
                let mut counts = vec![0_u32; weights.len()];
                for _ in 0..PICKS {
                    counts[weighted.pick_but(but, random.u64(..)).expect("another")] += 1;
                }
                for (place, weight) in weights.iter().enumerate() {
                    let wanted = if place == but { 0.0 } else { f64::from(*weight) / f64::from(total) };
                    let share = f64::from(counts[place]) / f64::from(PICKS);
                    assert!((share - wanted).abs() < 0.01, "{weights:?} but {but}: {share} instead of {wanted}");
                    assert!(wanted > 0.0 || share == 0.0, "{weights:?} but {but}: {place} was picked");
                }
            }
        }
        let one = Shares::new(vec![(3, 'a')]);
        assert_eq!((one.pick_but(0, 1), one.pick_but(1, 1)), (None, Some(0)));
        assert_eq!(Shares::<()>::default().pick_but(0, 1), None);
    }

    #[test]
    fn nothing_to_pick() {
        assert_eq!(Shares::<()>::default().pick(1), None);
        assert_eq!(Shares::<()>::new(vec![]).pick(u64::MAX), None);
        assert_eq!(Shares::new(vec![(0, 'a'), (0, 'b')]).pick(0), None, "httproute-all-backends-weight-zero");
    }

    #[test]
    fn the_ends_of_the_range() {
        let weighted = Shares::new(vec![(0, 'a'), (1, 'b'), (2, 'c'), (0, 'd')]);
        assert_eq!((weighted.pick(0), weighted.pick(u64::MAX)), (Some(1), Some(2)));
        assert_eq!(weighted.pick(u64::MAX / 3), Some(1));
        assert_eq!(weighted.pick(u64::MAX / 3 + 1), Some(2));
        assert_eq!(weighted.iter().collect::<String>(), "abcd");
    }
}
