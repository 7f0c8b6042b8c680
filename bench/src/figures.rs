//! Figures out of many samples.

/// The middle one, or the mean of the two in the middle; zero for none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => 0.0,
        values if values.len().is_multiple_of(2) => {
            f64::midpoint(values[values.len() / 2 - 1], values[values.len() / 2])
        }
        values => values[values.len() / 2],
    }
}

/// The sample that this share of all samples does not exceed (nearest rank); zero for none.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count"
    )]
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).or(values.last()).copied().unwrap_or(0.0)
}

/// The median, the least and the greatest.
#[must_use]
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(0.0, f64::max);
    (median(values.iter().copied()), least, greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_middle() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([9.0, 1.0, 3.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 3.0, 100.0]), 3.5);
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let hundred: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&hundred, 0.5), quantile(&hundred, 0.99), quantile(&hundred, 1.0)), (50.0, 99.0, 100.0));
        assert_eq!((quantile(&[7.0], 0.99), quantile(&[], 0.5)), (7.0, 0.0));
    }
}
