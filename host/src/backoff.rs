//! Pauses that double.

use std::time::Duration;

/// The pause after so many failures beyond the first: it doubles with each, up to the last one.
pub(crate) fn doubled(first: Duration, last: Duration, times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(last)
}
