//! Pauses that grow, and differ from host to host.

use std::time::Duration;

use crate::backoff::doubled;

/// Pauses between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) const fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, failures: 0 }
    }

    /// It went well: the next pause is short again.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause: half of it sure, half of it by chance, so that hosts which lost their operator together do not come
    /// together.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = doubled(self.first, self.last, self.failures);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_cap_and_starts_again() {
        let (first, last) = (Duration::from_millis(250), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, last);
        for attempt in 0..100 {
            let whole = first.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(last);
            let pause = backoff.pause();
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
