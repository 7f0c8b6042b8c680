//! Pauses that grow, each somewhere between half and all of its length, so that many do not come back at once.

use std::time::Duration;

use kube::runtime::utils::Backoff as WatchBackoff;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_millis(200);
/// No pause is longer: after an outage of the API server, work goes on within this time.
const LAST: Duration = Duration::from_secs(5);

/// The pause after so many failures in a row; 0 are none.
pub(crate) fn pause(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let full = FIRST.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX)).min(LAST);
    full.mul_f64(fastrand::f64().midpoint(1.0))
}

/// The same for watches.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0 = self.0.saturating_add(1);
        Some(pause(self.0))
    }
}

impl WatchBackoff for Backoff {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_vary() {
        assert_eq!(pause(0), Duration::ZERO);
        for failures in 1..100 {
            let full = FIRST.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LAST);
            let pause = pause(failures);
            assert!(pause >= full / 2 && pause <= full, "{failures}: {pause:?}");
        }
    }
}
