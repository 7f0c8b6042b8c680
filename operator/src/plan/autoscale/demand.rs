//! How many replicas the load asks for, as a number that is not rounded yet.
//!
//! A signal that replicas share (requests, calls) asks for its value divided by the target of one replica; one that they do
//! not share (utilization, latency) for the replicas that served, times how far it is above its target. In both cases that
//! is what a HorizontalPodAutoscaler computes. Each sample is turned into replicas with those that served *then*, and only
//! replicas are averaged: an old ratio times today's replicas would count growth twice.
//!
//! # Signals that say nothing when all is well
//! An empty queue says that there are enough replicas, not that none is needed. `queued`, `queue_wait_seconds`,
//! `shed_per_second` and `latency_seconds` therefore never ask for fewer replicas than the calls on hand fill.
//!
//! Time in a queue looks back and grows without bound while nothing is admitted. So it is read together with the queue that
//! there is (as long as that will take at the present pace), and asks for no more replicas than would run all calls at once,
//! unless some were refused and not counted.

use penstock_api::autoscaling::Autoscaling;

use super::Sample;
use crate::signals::Signal;

/// How full replicas are when they are filled by the calls on hand: what `utilization` aims at unless told otherwise.
const FULL: f64 = Autoscaling::DEFAULT_METRIC.1;
/// The smallest target that is divided by.
const SMALLEST: f64 = 1e-6;

/// What all metrics together ask for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Demand<'a> {
    /// Replicas, not rounded.
    pub(super) replicas: f64,
    /// Which metric asks for so many.
    pub(super) metric: &'a str,
    /// Its value, averaged.
    pub(super) value: f64,
    /// Its target.
    pub(super) target: f64,
    /// Whether a metric could not be computed, so that it could ask for more.
    pub(super) incomplete: bool,
}

/// What the samples ask for on average; nothing without samples or without a metric that can be computed.
pub(super) fn average<'a, 's>(
    spec: &'a Autoscaling,
    samples: &(impl Iterator<Item = &'s Sample> + Clone),
) -> Option<Demand<'a>> {
    let mut most: Option<Demand<'a>> = None;
    let mut incomplete = false;
    for (name, target) in spec.targets() {
        let of = Signal::parse(name).zip(target).and_then(|(signal, target)| {
            let (mut sum, mut value, mut count) = (0.0, 0.0, 0.0);
            for sample in samples.clone() {
                sum += replicas(signal, target, sample);
                value += signal.of(&sample.signals);
                count += 1.0;
            }
            let (replicas, value) = (sum / count, value / count);
            replicas.is_finite().then_some(Demand { replicas, metric: name, value, target, incomplete: false })
        });
        match of {
            Some(it) if most.as_ref().is_none_or(|most| it.replicas > most.replicas) => most = Some(it),
            Some(_) => {}
            None => incomplete = true,
        }
    }
    most.map(|it| Demand { incomplete, ..it })
}

/// What one sample of one signal asks for.
fn replicas(signal: Signal, target: f64, sample: &Sample) -> f64 {
    let target = target.max(SMALLEST);
    let ratio = |value: f64| sample.serving * value / target;
    let value = signal.of(&sample.signals);
    let needed = filled(sample);
    let enough = needed.min(sample.serving);
    match signal {
        Signal::RequestsPerSecond | Signal::InFlight | Signal::Concurrency => value / target,
        Signal::Utilization => ratio(value),
        Signal::Queued | Signal::ShedPerSecond => (value / target).max(enough),
        Signal::Latency => ratio(value).max(enough),
        Signal::QueueWait => {
            let most = if sample.signals.shed_per_second > 0.0 { f64::INFINITY } else { needed.max(sample.serving) };
            ratio(value.max(wait_ahead(sample))).max(enough).min(most)
        }
    }
}

/// Replicas that the calls on hand fill. Calls are counted as they are now, and as the average that times and rates tell of
/// (Little's law): a look once a second misses what comes in bursts.
fn filled(sample: &Sample) -> f64 {
    let it = &sample.signals;
    let admitted = (it.requests_per_second - it.shed_per_second).max(0.0);
    let calls = Signal::Concurrency.of(it).max(admitted * it.latency.max(it.queue_wait));
    sample.serving * calls / it.capacity.max(1) as f64 / FULL
}

/// Seconds that the last one in the queue will wait. A pace of less than one a second is none to divide by.
fn wait_ahead(sample: &Sample) -> f64 {
    let it = &sample.signals;
    it.queued as f64 / (it.requests_per_second - it.shed_per_second).max(1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use penstock_api::autoscaling::{
        ExternalMetric, MetricIdentifier, MetricTarget, MetricTargetType, ScalingMetric, ScalingMetricType,
    };

    use super::*;
    use crate::signals::WorkloadSignals;

    fn spec(metrics: &[(&str, &str)]) -> Autoscaling {
        let metric = |(name, target): &(&str, &str)| {
            let number = Some(Quantity((*target).to_owned()));
            let target = match Signal::parse(name).is_none_or(Signal::is_additive) {
                true => MetricTarget { r#type: MetricTargetType::AverageValue, average_value: number, value: None },
                false => MetricTarget { r#type: MetricTargetType::Value, average_value: None, value: number },
            };
            let metric = MetricIdentifier { name: (*name).to_owned() };
            ScalingMetric { r#type: ScalingMetricType::External, external: ExternalMetric { metric, target } }
        };
        Autoscaling { max_replicas: 100, metrics: metrics.iter().map(metric).collect(), ..Autoscaling::default() }
    }

    fn sample(signals: WorkloadSignals) -> Sample {
        Sample { at: Duration::ZERO, signals, serving: f64::from(signals.replicas) }
    }

    fn asked(metrics: &[(&str, &str)], signals: WorkloadSignals) -> f64 {
        average(&spec(metrics), &[sample(signals)].iter()).unwrap().replicas
    }

    fn loaded(replicas: u32, in_flight: u64, queued: u64) -> WorkloadSignals {
        WorkloadSignals {
            replicas,
            capacity: u64::from(replicas) * 10,
            in_flight,
            queued,
            ..WorkloadSignals::default()
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// What a spec may name is what there is.
    #[test]
    fn the_api_knows_the_same_signals() {
        let of = |it: Signal| match it.is_additive() {
            true => (it.name(), MetricTargetType::AverageValue),
            false => (it.name(), MetricTargetType::Value),
        };
        assert_eq!(Signal::ALL.map(of), Autoscaling::METRICS.map(|it| (it.name, it.target)));
    }

    #[test]
    fn each_signal() {
        let rated = WorkloadSignals { requests_per_second: 460.0, shed_per_second: 30.0, ..loaded(10, 40, 20) };
        for (metric, target, expected) in [
            ("requests_per_second", "10", 46.0),
            ("in_flight", "5", 8.0),
            ("concurrency", "5", 12.0),
            ("utilization", "0.8", 7.5),
            ("utilization", "300m", 20.0),
            ("queued", "2", 10.0),
            ("shed_per_second", "2", 15.0),
        ] {
            assert!(close(asked(&[(metric, target)], rated), expected), "{metric}");
        }
        let slow = WorkloadSignals { latency: 0.3, ..loaded(10, 10, 0) };
        assert!(close(asked(&[("latency_seconds", "100m")], slow), 30.0));
    }

    #[test]
    fn the_metric_that_asks_for_most_wins() {
        let spec = spec(&[("requests_per_second", "10"), ("utilization", "0.5"), ("in_flight", "10")]);
        let demand = average(&spec, &[sample(loaded(10, 40, 20))].iter()).unwrap();
        assert_eq!((demand.metric, demand.value, demand.target), ("utilization", 0.6, 0.5));
        assert!(close(demand.replicas, 12.0) && !demand.incomplete);
    }

    #[test]
    fn what_cannot_be_computed_is_known_to_be_missing() {
        let signals = loaded(10, 40, 20);
        for bad in [("cpu", "1"), ("queued", "0"), ("queued", "many"), ("queued", "-1")] {
            let spec = spec(&[bad, ("in_flight", "10")]);
            let demand = average(&spec, &[sample(signals)].iter()).unwrap();
            assert!(demand.incomplete && close(demand.replicas, 4.0), "{bad:?}");
        }
        assert_eq!(average(&spec(&[("cpu", "1")]), &[sample(signals)].iter()), None);
        assert_eq!(average(&spec(&[]), &[].iter()), None);
    }

    #[test]
    fn replicas_are_averaged_not_ratios() {
        // One replica four times too busy, then four that are as busy as they should be.
        let samples = [sample(loaded(1, 10, 22)), sample(loaded(4, 32, 0))];
        let demand = average(&spec(&[]), &samples.iter()).map(|it| it.replicas);
        assert!(demand.is_some_and(|it| close(it, 4.0)), "{demand:?}");
    }

    #[test]
    fn an_empty_queue_says_that_there_are_enough() {
        for metric in
            [("queued", "1"), ("queue_wait_seconds", "50m"), ("shed_per_second", "1"), ("latency_seconds", "1")]
        {
            // 48 calls fill 6 replicas at 0.8; without calls none is needed, and a full house asks for no more by itself.
            assert!(close(asked(&[metric], loaded(10, 48, 0)), 6.0), "{metric:?}");
            assert!(close(asked(&[metric], loaded(10, 0, 0)), 0.0), "{metric:?}");
            assert!(close(asked(&[metric], loaded(10, 100, 0)), 10.0), "{metric:?}");
            // In bursts: 100 calls a second of 0.48 s each, none of which runs at this moment.
            let bursts = WorkloadSignals { requests_per_second: 100.0, latency: 0.48, ..loaded(10, 0, 0) };
            assert!(close(asked(&[metric], bursts), 6.0), "{metric:?}");
        }
    }

    #[test]
    fn time_in_the_queue_asks_for_what_would_run_all_at_once() {
        let metric = [("queue_wait_seconds", "50m")];
        // A queue of 60 beside 100 running calls fills 20 replicas; the ratio alone would be 100.
        let waiting =
            WorkloadSignals { requests_per_second: 200.0, queue_wait: 5.0, latency: 0.0, ..loaded(10, 100, 60) };
        assert!(close(
            asked(&metric, WorkloadSignals { queue_wait: 0.06, requests_per_second: 1200.0, ..waiting }),
            12.0
        ));
        assert!(close(asked(&metric, waiting), 200.0 * 5.0 / 10.0 / 0.8));
        // Nobody was admitted yet, so that nobody has waited: the queue itself is seen.
        assert!(close(asked(&metric, loaded(10, 100, 60)), 20.0));
        // What was refused is not on hand: no bound.
        let refused =
            WorkloadSignals { requests_per_second: 300.0, shed_per_second: 100.0, queue_wait: 0.5, ..waiting };
        assert!(close(asked(&metric, refused), 100.0));
    }

    #[test]
    fn numbers_stay_numbers() {
        let wild = WorkloadSignals {
            replicas: u32::MAX,
            capacity: 0,
            in_flight: u64::MAX,
            queued: u64::MAX,
            requests_per_second: 1e300,
            shed_per_second: 1e300,
            queue_wait: 1e300,
            latency: 1e300,
        };
        for metric in Signal::ALL {
            let spec = spec(&[(metric.name(), "1n")]);
            if let Some(demand) = average(&spec, &[sample(wild)].iter()) {
                assert!(demand.replicas.is_finite() && demand.replicas >= 0.0, "{metric:?}");
            }
        }
    }
}
