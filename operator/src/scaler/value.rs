//! What an HPA is told, in thousandths: the smallest unit that its quantities have in common.

use crate::signals::{Signal, WorkloadSignals};

/// Nothing is that large. An HPA turns value / target into 32 bits without looking whether it fits.
const MOST: f64 = 1e12;

/// The total of a signal over all replicas, so that an HPA with a target of the type `AverageValue` is right: it asks for
/// total / target replicas.
///
/// A workload without replicas for which calls come or wait has a total above 0 whatever the signal is: its calls have no
/// latency yet and no capacity to be measured against, and 0 would leave it where it is.
pub(crate) fn milli(signal: Signal, signals: &WorkloadSignals) -> i64 {
    let replicas = if signal.is_additive() { 1.0 } else { f64::from(signals.replicas.max(1)) };
    let total = milli_of(signal.of(signals) * replicas);
    if signals.replicas == 0 && is_called(signals) { total.max(1) } else { total }
}

/// As KEDA wants it.
pub(super) fn float(milli: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let milli = milli as f64;
    milli / 1000.0
}

/// Calls come, run or wait.
pub(super) fn is_called(signals: &WorkloadSignals) -> bool {
    signals.in_flight > 0 || signals.queued > 0 || signals.requests_per_second > 0.0
}

/// A ratio to nothing counts as 0.
pub(super) fn milli_of(value: f64) -> i64 {
    let milli = (value * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "it is between 0 and MOST")]
    let milli = if milli.is_finite() { milli.clamp(0.0, MOST) as i64 } else { 0 };
    milli
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> WorkloadSignals {
        WorkloadSignals { shed_per_second: 0.25, queue_wait: 0.05, ..crate::scaler::tests::busy() }
    }

    #[test]
    fn sums_are_told_as_they_are_and_averages_times_the_replicas() {
        let told = Signal::ALL.map(|it| (it.name(), milli(it, &busy())));
        let expected = [
            ("requests_per_second", 12_500),
            ("in_flight", 28_000),
            ("queued", 4_000),
            ("concurrency", 32_000),
            ("utilization", 3_200),
            ("queue_wait_seconds", 200),
            ("latency_seconds", 800),
            ("shed_per_second", 250),
        ];
        assert_eq!(told, expected);
    }

    /// What an HPA with a target of the type `AverageValue` makes of it.
    #[test]
    fn an_average_that_is_twice_the_target_asks_for_twice_the_replicas() {
        for signal in Signal::ALL.into_iter().filter(|it| !it.is_additive()) {
            let target = signal.of(&busy()) / 2.0;
            let wanted = (float(milli(signal, &busy())) / target).ceil();
            assert!((wanted - 8.0).abs() < 1e-9, "{}: {wanted}", signal.name());
        }
    }

    #[test]
    fn a_workload_at_zero_is_woken_by_any_signal() {
        let idle = WorkloadSignals::default();
        let called = [
            WorkloadSignals { queued: 1, ..idle },
            WorkloadSignals { in_flight: 1, ..idle },
            WorkloadSignals { requests_per_second: 0.01, ..idle },
        ];
        for signal in Signal::ALL {
            assert_eq!(milli(signal, &idle), 0, "{}", signal.name());
            for called in &called {
                assert!(milli(signal, called) > 0, "{} of {called:?}", signal.name());
            }
        }
        let served = WorkloadSignals { replicas: 1, capacity: 1, queued: 1, ..idle };
        assert_eq!(milli(Signal::Latency, &served), 0);
    }

    #[test]
    fn what_is_no_number_is_none_and_what_is_too_large_is_cut() {
        let told = [f64::NAN, f64::INFINITY, -1.0, 0.0004, 0.0005, f64::MAX].map(milli_of);
        assert_eq!(told, [0, 0, 0, 0, 1, 0]);
        assert_eq!(milli_of(1e300), 1_000_000_000_000);
    }
}
