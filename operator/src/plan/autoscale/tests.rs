//! The scaler beside simulated workloads, a second at a time.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use penstock_api::autoscaling::{
    ExternalMetric, MetricIdentifier, MetricTarget, MetricTargetType, ScalingBehavior, ScalingMetric,
    ScalingMetricType, ScalingPolicy, ScalingPolicyType, ScalingRules, SelectPolicy,
};
use proptest::prelude::*;

use super::*;
use crate::signals::Signal;

fn metric(name: &str, target: &str) -> ScalingMetric {
    let number = Some(Quantity(target.to_owned()));
    let target = match Signal::parse(name).unwrap().is_additive() {
        true => MetricTarget { r#type: MetricTargetType::AverageValue, average_value: number, value: None },
        false => MetricTarget { r#type: MetricTargetType::Value, average_value: None, value: number },
    };
    let metric = MetricIdentifier { name: name.to_owned() };
    ScalingMetric { r#type: ScalingMetricType::External, external: ExternalMetric { metric, target } }
}

fn spec(min: u32, max: u32, metrics: &[(&str, &str)]) -> Autoscaling {
    let metrics = metrics.iter().map(|(name, target)| metric(name, target)).collect();
    Autoscaling { min_replicas: Some(min), max_replicas: max, metrics, behavior: None }
}

fn rps(target: &str) -> Autoscaling {
    spec(1, 100, &[("requests_per_second", target)])
}

fn with_rules(mut spec: Autoscaling, up: ScalingRules, down: ScalingRules) -> Autoscaling {
    spec.behavior = Some(ScalingBehavior { scale_up: Some(up), scale_down: Some(down) });
    spec
}

fn window(seconds: u32) -> ScalingRules {
    ScalingRules { stabilization_window_seconds: Some(seconds), ..ScalingRules::default() }
}

/// A workload each of whose replicas is good for so many calls a second, and for one at a time. What cannot run waits, up to
/// two seconds' worth, and the rest is refused.
struct World {
    spec: Autoscaling,
    each: f64,
    scaler: Scaler,
    second: u64,
    replicas: u32,
    queue: f64,
    /// Whether hosts say what new replicas are good for only a second after the status has them.
    late: bool,
    capacity: u64,
    history: Vec<Decision>,
}

impl World {
    fn new(spec: Autoscaling, each: f64, replicas: u32) -> Self {
        let (scaler, capacity) = (Scaler::default(), u64::from(replicas) * 10);
        Self { spec, each, scaler, second: 0, replicas, queue: 0.0, late: false, capacity, history: Vec::new() }
    }

    /// A second under so many calls; returns the replicas after it.
    fn second(&mut self, load: f64) -> u32 {
        self.second += 1;
        let replicas = f64::from(self.replicas.max(1));
        let admitted = (self.queue + load).min(replicas * self.each);
        let waiting = self.queue + load - admitted;
        self.queue = waiting.min(replicas * self.each * 2.0);
        let shed = waiting - self.queue;
        let capacity = u64::from(self.replicas) * 10;
        let queue_wait = if admitted > 0.0 { self.queue / admitted } else { 0.0 };
        let signals = WorkloadSignals {
            replicas: self.replicas,
            capacity: if self.late { self.capacity } else { capacity },
            in_flight: (admitted / self.each * 10.0).round() as u64,
            queued: self.queue.round() as u64,
            requests_per_second: load,
            shed_per_second: shed,
            queue_wait,
            latency: if admitted > 0.0 { queue_wait + 10.0 / self.each } else { 0.0 },
        };
        self.capacity = capacity;
        self.step(&signals)
    }

    fn step(&mut self, signals: &WorkloadSignals) -> u32 {
        let now = Duration::from_secs(self.second);
        let decision = self.scaler.step(now, &self.spec, self.replicas, signals);
        self.replicas = decision.desired;
        self.history.push(decision);
        self.replicas
    }

    fn seconds(&mut self, seconds: u64, load: f64) -> Vec<u32> {
        (0..seconds).map(|_| self.second(load)).collect()
    }

    fn reason(&self) -> Reason {
        self.history.last().unwrap().reason
    }

    fn limited(&self) -> Option<Limit> {
        self.history.last().unwrap().limited
    }

    /// The seconds in which the number of replicas rose (or fell, below 0).
    fn moves(&self) -> Vec<(usize, i64)> {
        let counts: Vec<i64> = self.history.iter().map(|it| i64::from(it.desired)).collect();
        let moves = counts.windows(2).enumerate().map(|(at, it)| (at + 1, it[1] - it[0]));
        moves.filter(|it| it.1 != 0).collect()
    }

    /// The shortest time between a move one way and the next one the other way.
    fn shortest_turn(&self) -> Option<usize> {
        let moves = self.moves();
        moves.windows(2).filter(|it| it[0].1.signum() != it[1].1.signum()).map(|it| it[1].0 - it[0].0).min()
    }
}

/// Up to 0.08 more or less each time (splitmix64).
fn noise(mut seed: u64) -> impl Iterator<Item = f64> {
    std::iter::repeat_with(move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = seed;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^= it >> 31;
        ((it >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 0.16
    })
}

// === steps ===

#[test]
fn a_step_from_1_to_460_calls_a_second() {
    let mut world = World::new(rps("10"), 10.0, 1);
    assert!(world.seconds(40, 1.0).iter().all(|it| *it == 1));
    // 4 more, then twice as many each second: the policies, and nothing else, set the pace.
    let steps = world.seconds(5, 460.0);
    assert_eq!(steps[..4], [5, 10, 20, 40]);
    assert!((46..=47).contains(&steps[4]), "{steps:?}");
    // What waited meanwhile does not count again, and it stays.
    let rest = world.seconds(300, 460.0);
    assert!(rest.iter().all(|it| *it == steps[4]), "{rest:?}");
}

#[test]
fn the_demo_reaches_38_and_stays_there() {
    for max in [38, 100] {
        let spec = spec(1, max, &[("requests_per_second", "12.2")]);
        let mut world = World::new(spec, 14.0, 1);
        world.seconds(10, 1.0);
        let steps = world.seconds(5, 460.0);
        assert_eq!(steps, [5, 10, 20, 38, 38], "{max}");
        assert!(world.seconds(300, 460.0).iter().all(|it| *it == 38));
    }
}

#[test]
fn replicas_leave_a_minute_after_the_load() {
    let mut world = World::new(rps("10"), 10.0, 1);
    world.seconds(10, 1.0);
    world.seconds(120, 460.0);
    let after = world.seconds(250, 100.0);
    let first = after.iter().position(|it| *it < after[0]).unwrap();
    // The stable window begins to tell after some seconds, and the stabilisation window waits for a minute.
    assert!((60..=70).contains(&first), "{first}");
    assert_eq!(after.last(), Some(&10));
    assert_eq!(world.reason(), Reason::WithinTolerance);
    assert!(world.shortest_turn().is_none_or(|it| it >= 60));
}

#[test]
fn utilization_is_the_default() {
    // At 10 calls a second each, 46 replicas are full: 58 of them are full to 0.8.
    for late in [false, true] {
        let spec = Autoscaling { max_replicas: 200, ..Autoscaling::default() };
        let mut world = World::new(spec, 10.0, 1);
        world.late = late;
        world.seconds(10, 1.0);
        let steps = world.seconds(120, 460.0);
        let most = steps.iter().max().copied().unwrap();
        assert!(steps[0] > 1, "{steps:?}");
        // Two seconds' worth of calls wait by then, and they count.
        assert!((53..=140).contains(&steps[9]), "{late}: {steps:?}");
        assert!(most <= 140, "{late}: {steps:?}");
        let settled = world.seconds(200, 460.0);
        assert!(settled.iter().rev().take(60).all(|it| (57..=64).contains(it)), "{late}: {settled:?}");
    }
}

#[test]
fn what_hosts_have_not_said_yet_is_not_taken_for_load() {
    let spec = Autoscaling { max_replicas: 1000, ..Autoscaling::default() };
    let mut scaler = Scaler::default();
    let mut second = 0;
    let mut step = |current, signals: &WorkloadSignals| {
        second += 1;
        scaler.step(Duration::from_secs(second), &spec, current, signals).desired
    };
    let before = WorkloadSignals { replicas: 10, capacity: 100, in_flight: 80, ..WorkloadSignals::default() };
    for _ in 0..40 {
        assert_eq!(step(10, &before), 10);
    }
    // The status has 20 replicas at once; hosts speak of 10 for a while, so that all looks twice as busy.
    let late = WorkloadSignals { replicas: 20, in_flight: 160, queued: 20, ..before };
    for _ in 0..4 {
        let desired = step(20, &late);
        assert!(desired <= 25, "{desired}");
    }
    // If they never say more, it is so.
    assert!((0..30).map(|_| step(20, &late)).any(|it| it == 40));
}

#[test]
fn a_queue_scales_up_at_once() {
    for metrics in [
        &[("queue_wait_seconds", "50m")][..],
        &[("queued", "1")],
        &[("concurrency", "10")],
        &[("utilization", "0.8")],
        &[("latency_seconds", "10"), ("queue_wait_seconds", "50m")],
    ] {
        let mut world = World::new(spec(1, 200, metrics), 10.0, 20);
        // Half a load, for long; then a third more than there is room for, which is far from twice of anything.
        world.spec.min_replicas = Some(20);
        world.seconds(60, 100.0);
        world.spec.min_replicas = Some(1);
        assert_eq!(world.replicas, 20);
        let step = world.second(270.0);
        assert!(step > 20, "{metrics:?}: {step}");
        assert_eq!(world.reason(), Reason::Panic, "{metrics:?}");
    }
}

#[test]
fn a_few_calls_that_wait_for_a_moment_are_no_reason_to_panic() {
    let mut scaler = Scaler::default();
    let spec = spec(1, 200, &[("utilization", "0.8")]);
    let mut second = 0;
    let mut step = |in_flight, queued| {
        second += 1;
        let signals = WorkloadSignals { replicas: 20, capacity: 200, in_flight, queued, ..WorkloadSignals::default() };
        scaler.step(Duration::from_secs(second), &spec, 20, &signals).desired
    };
    for _ in 0..60 {
        assert_eq!(step(160, 0), 20);
    }
    for _ in 0..10 {
        assert_eq!(step(200, 5), 20);
        assert_eq!(step(120, 0), 20);
    }
    // For two in a row, they are; so are many at once.
    assert_eq!(step(200, 5), 20);
    assert_eq!(step(200, 5), 26);
}

#[test]
fn time_in_the_queue_does_not_run_away() {
    let mut world = World::new(spec(1, 1000, &[("queue_wait_seconds", "50m")]), 10.0, 20);
    world.seconds(10, 180.0);
    let steps = world.seconds(30, 400.0);
    // The ratio is 20 and more for some seconds; what would run all calls at once is far less than twenty times 20.
    assert!(steps.iter().all(|it| *it <= 130), "{steps:?}");
    assert!(world.queue < 1.0, "{}", world.queue);
    // With an empty queue, those stay that the running calls fill, and there is no seesaw.
    let rest = world.seconds(600, 400.0);
    assert_eq!(rest.last(), Some(&50), "{rest:?}");
    assert!(world.shortest_turn().is_none_or(|it| it >= 60), "{:?}", world.moves());
}

#[test]
fn latency_follows_its_ratio_as_far_as_policies_let_it() {
    let spec = spec(1, 1000, &[("latency_seconds", "100m")]);
    let mut world = World::new(spec, 10.0, 4);
    let slow = WorkloadSignals { replicas: 4, capacity: 40, in_flight: 20, latency: 1e9, ..WorkloadSignals::default() };
    world.second += 1;
    assert_eq!(world.step(&slow), 8);
    assert_eq!((world.reason(), world.limited()), (Reason::Panic, Some(Limit::ScaleUpLimit)));
}

/// The whole way: hosts that count and report at moments of their own, and steps that come a little early or late.
#[test]
fn a_step_as_hosts_report_it() {
    use crate::{
        plan::Name,
        signals::{Counters, Samples},
    };
    let (app, spec) = (Name::new("default", "app"), rps("10"));
    let (mut samples, mut scaler) = (Samples::default(), Scaler::default());
    let mut replicas = 1;
    let mut counts = Vec::new();
    let mut admitted = [0.0_f64; 5];
    for tick in 0..3000_u64 {
        // Tenths of a second: each host has its own one of two in which it reports, and all share the load.
        let now = Duration::from_millis(tick * 100);
        let load = if tick < 300 { 5.0 } else { 460.0 };
        for (host, admitted) in (0_u64..).zip(&mut admitted) {
            *admitted += load / 50.0;
            if tick % 10 == host * 2 {
                let counters = Counters {
                    capacity: u64::from(replicas) * 2,
                    admitted: *admitted as u64,
                    served: *admitted as u64,
                    ..Counters::default()
                };
                samples.report(now, &format!("host-{host}"), [(&app, "share", counters)]);
            }
        }
        if tick % 10 == 5 {
            let early = Duration::from_millis([0, 80, 160, 40][(tick / 10 % 4) as usize]);
            let signals = samples.signals(&app, replicas, now);
            replicas = scaler.step(now - early, &spec, replicas, &signals).desired;
            counts.push(replicas);
        }
    }
    assert!(counts[..30].iter().all(|it| *it == 1), "{counts:?}");
    assert!(counts[31] > 1, "{counts:?}");
    assert!(counts[35] >= 42, "{counts:?}");
    assert!(counts[36..].iter().all(|it| (45..=48).contains(it)), "{counts:?}");
}

// === what a HorizontalPodAutoscaler does ===

#[test]
fn tolerance() {
    // Replicas, calls a second for ten each, and what becomes of them.
    for (current, load, expected) in [(10, 109.0, 10), (10, 112.0, 12), (10, 91.0, 10), (10, 89.0, 9), (1, 1.0, 1)] {
        let spec = with_rules(rps("10"), ScalingRules::default(), window(0));
        let mut world = World::new(spec, 20.0, current);
        assert_eq!(world.second(load), expected, "{current} {load}");
    }
    // Asked for.
    let wide = ScalingRules { tolerance: Some(Quantity("0.5".to_owned())), ..window(0) };
    for (load, expected) in [(140.0, 10), (160.0, 16), (60.0, 10), (40.0, 4)] {
        let mut world = World::new(with_rules(rps("10"), wide.clone(), wide.clone()), 20.0, 10);
        assert_eq!(world.second(load), expected, "{load}");
        // And kept to, however long it lasts.
        assert!(world.seconds(300, load).iter().all(|it| *it == expected), "{load}");
    }
}

#[test]
fn a_small_difference_that_lasts_is_made_good_for() {
    for (load, expected) in [(480.0, 48), (425.0, 43), (465.0, 46), (455.0, 46), (470.0, 46), (445.0, 45)] {
        let mut world = World::new(rps("10"), 20.0, 46);
        let steps = world.seconds(59, load);
        assert!(steps.iter().all(|it| *it == 46), "{load}: {steps:?}");
        world.seconds(3, load);
        assert_eq!(world.replicas, expected, "{load}");
        if expected != 46 {
            assert!(world.history.iter().any(|it| it.reason == Reason::Settled));
        }
        assert!(world.seconds(300, load).iter().all(|it| *it == expected), "{load}");
    }
}

#[test]
fn stabilisation_windows() {
    let spec = with_rules(rps("10"), window(10), window(20));
    let mut world = World::new(spec, 1000.0, 10);
    world.seconds(60, 100.0);
    // Upwards, the least of ten seconds counts.
    let steps = world.seconds(12, 1000.0);
    let first = steps.iter().position(|it| *it > 10).unwrap();
    assert!((9..=11).contains(&first), "{steps:?}");
    assert!(world.history.iter().any(|it| it.reason == Reason::ScaleUpStabilized));
    world.seconds(120, 1000.0);
    assert_eq!(world.replicas, 100);
    let steps = world.seconds(80, 100.0);
    let first = steps.iter().position(|it| *it < 100).unwrap();
    assert!((19..=26).contains(&first), "{steps:?}");
    assert_eq!(steps.last(), Some(&10));
    assert!(world.history.iter().any(|it| it.reason == Reason::ScaleDownStabilized));
}

#[test]
fn policies_bound_each_way() {
    let policy = |r#type, value, period_seconds| ScalingPolicy { r#type, value, period_seconds };
    let rules = |policies: &[ScalingPolicy], window| ScalingRules {
        policies: policies.to_vec(),
        stabilization_window_seconds: Some(window),
        ..ScalingRules::default()
    };
    let up = rules(&[policy(ScalingPolicyType::Pods, 3, 10)], 0);
    let down = rules(&[policy(ScalingPolicyType::Percent, 50, 5)], 0);
    let mut world = World::new(with_rules(rps("10"), up, down), 1000.0, 10);
    let steps = world.seconds(30, 1000.0);
    assert_eq!(steps[..10], [13; 10][..], "{steps:?}");
    assert_eq!(steps[10..20], [16; 10][..], "{steps:?}");
    assert_eq!(world.limited(), Some(Limit::ScaleUpLimit));
    world.scaler = Scaler::default();
    let start = world.replicas;
    let steps = world.seconds(12, 1.0);
    assert_eq!((steps[0], world.history[30].limited), (start / 2, Some(Limit::ScaleDownLimit)));
    assert_eq!(steps[1..5], [start / 2; 4][..], "{steps:?}");
    assert!(steps[5] < start / 2 && steps[5] >= start / 4, "{steps:?}");
}

#[test]
fn nothing_goes_a_way_that_is_disabled() {
    let disabled = |window| ScalingRules {
        select_policy: Some(SelectPolicy::Disabled),
        stabilization_window_seconds: Some(window),
        ..ScalingRules::default()
    };
    let mut world = World::new(with_rules(rps("10"), disabled(0), window(0)), 10.0, 10);
    assert!(world.seconds(60, 1000.0).iter().all(|it| *it == 10));
    assert_eq!(world.limited(), Some(Limit::ScaleUpLimit));
    let mut world = World::new(with_rules(rps("10"), window(0), disabled(0)), 10.0, 10);
    assert!(world.seconds(300, 1.0).iter().all(|it| *it == 10));
    assert_eq!(world.limited(), Some(Limit::ScaleDownLimit));
}

#[test]
fn bounds_hold_at_once() {
    let steady = with_rules(spec(5, 20, &[("requests_per_second", "10")]), window(600), window(600));
    for (current, expected, limit) in [(1, 5, Limit::TooFewReplicas), (50, 20, Limit::TooManyReplicas)] {
        let mut world = World::new(steady.clone(), 100.0, current);
        assert_eq!(world.second(f64::from(current) * 10.0), expected);
        assert_eq!(world.limited(), Some(limit));
    }
    let mut world = World::new(spec(1, 20, &[("requests_per_second", "10")]), 100.0, 10);
    world.seconds(60, 500.0);
    assert_eq!((world.replicas, world.limited()), (20, Some(Limit::TooManyReplicas)));
}

#[test]
fn a_missing_metric_lets_nothing_go() {
    let mut unknown = spec(1, 100, &[("requests_per_second", "10"), ("in_flight", "10")]);
    unknown.metrics[1].external.metric.name = "cpu".to_owned();
    let mut world = World::new(with_rules(unknown, ScalingRules::default(), window(0)), 1000.0, 10);
    assert!(world.seconds(120, 10.0).iter().all(|it| *it == 10));
    assert_eq!(world.reason(), Reason::MetricsMissing);
    // The other one may still ask for more.
    assert_eq!(*world.seconds(60, 300.0).last().unwrap(), 30);

    // Nobody says anything: a host that is not connected may serve on.
    let mut world = World::new(with_rules(rps("10"), ScalingRules::default(), window(0)), 1000.0, 10);
    world.seconds(60, 100.0);
    for _ in 0..300 {
        world.second += 1;
        assert_eq!(world.step(&WorkloadSignals { replicas: 10, ..WorkloadSignals::default() }), 10);
    }
    assert_eq!(world.reason(), Reason::MetricsMissing);
}

#[test]
fn a_new_leader_takes_nothing_away_for_a_window() {
    let mut world = World::new(rps("10"), 10.0, 40);
    let steps = world.seconds(70, 10.0);
    assert_eq!(steps.iter().position(|it| *it < 40), Some(60), "{steps:?}");
    // Nor after a time without steps.
    let mut world = World::new(rps("10"), 10.0, 40);
    world.seconds(50, 10.0);
    world.second += 20;
    let steps = world.seconds(70, 10.0);
    assert_eq!(steps.iter().position(|it| *it < 40), Some(60), "{steps:?}");
}

// === panic ===

#[test]
fn a_burst_is_seen_in_seconds_and_nothing_leaves_for_a_stable_window_after_it() {
    // Nothing waits: only the factor tells. Without a window downwards, only the panic keeps what there is.
    let spec = with_rules(rps("10"), ScalingRules::default(), window(0));
    let mut world = World::new(spec, 1000.0, 10);
    world.seconds(60, 100.0);
    let steps = world.seconds(3, 400.0);
    assert!(steps[1] > 10 && steps[2] >= 40, "{steps:?}");
    assert_eq!(world.reason(), Reason::Panic);
    let after = world.seconds(40, 100.0);
    let first = after.iter().position(|it| *it < 40).unwrap();
    assert!((26..=28).contains(&first), "{after:?}");
}

#[test]
fn less_than_twice_is_for_the_stable_window() {
    let mut world = World::new(rps("10"), 1000.0, 10);
    world.seconds(60, 100.0);
    let steps = world.seconds(60, 150.0);
    assert!(steps[..4].iter().all(|it| *it == 10), "{steps:?}");
    assert!(!world.history.iter().any(|it| it.reason == Reason::Panic));
    assert!(*steps.last().unwrap() >= 14, "{steps:?}");
}

// === to and from 0 ===

#[test]
fn to_0_after_a_window_without_any_call() {
    let mut world = World::new(spec(0, 100, &[("requests_per_second", "10")]), 10.0, 3);
    world.seconds(100, 25.0);
    let steps = world.seconds(61, 0.0);
    assert!(steps[..59].iter().all(|it| *it >= 1), "{steps:?}");
    assert_eq!((world.replicas, world.reason()), (0, Reason::Idle));
    world.seconds(10, 0.0);
    assert_eq!((world.replicas, world.reason()), (0, Reason::Idle));

    // One call now and then keeps the last one.
    let mut world = World::new(spec(0, 100, &[("requests_per_second", "10")]), 10.0, 1);
    for _ in 0..20 {
        world.second(1.0);
        assert!(world.seconds(50, 0.0).iter().all(|it| *it == 1));
    }
    // A call that takes long is one.
    let mut world = World::new(spec(0, 100, &[("requests_per_second", "10")]), 10.0, 1);
    for _ in 0..200 {
        world.second += 1;
        let long = WorkloadSignals { replicas: 1, capacity: 10, in_flight: 1, ..WorkloadSignals::default() };
        assert_eq!(world.step(&long), 1);
    }
    // Nor is it known that nobody calls while nobody says so.
    let mut world = World::new(spec(0, 100, &[("requests_per_second", "10")]), 10.0, 1);
    for _ in 0..200 {
        world.second += 1;
        assert_eq!(world.step(&WorkloadSignals { replicas: 1, ..WorkloadSignals::default() }), 1);
    }
    // And nobody goes to 0 whose minimum is not 0.
    let mut world = World::new(rps("10"), 10.0, 3);
    assert_eq!(*world.seconds(300, 0.0).last().unwrap(), 1);
}

#[test]
fn the_first_call_at_0_starts_replicas() {
    let one = |signals: WorkloadSignals, spec: Autoscaling| {
        let mut world = World::new(spec, 10.0, 0);
        for _ in 0..100 {
            world.second += 1;
            assert_eq!(world.step(&WorkloadSignals::default()), 0);
        }
        world.second += 1;
        let replicas = world.step(&signals);
        assert_eq!(world.reason(), Reason::Activated);
        replicas
    };
    let none = WorkloadSignals::default();
    let zero = || spec(0, 100, &[("requests_per_second", "10")]);
    assert_eq!(one(WorkloadSignals { queued: 1, ..none }, zero()), 1);
    assert_eq!(one(WorkloadSignals { capacity: 10, in_flight: 1, ..none }, zero()), 1);
    assert_eq!(one(WorkloadSignals { requests_per_second: 0.1, ..none }, zero()), 1);
    assert_eq!(one(WorkloadSignals { shed_per_second: 0.1, ..none }, zero()), 1);
    // As many as policies allow if there is that much; whatever they say, one.
    assert_eq!(one(WorkloadSignals { requests_per_second: 900.0, ..none }, zero()), 4);
    let disabled = ScalingRules { select_policy: Some(SelectPolicy::Disabled), ..window(60) };
    let spec = with_rules(zero(), disabled, ScalingRules::default());
    assert_eq!(one(WorkloadSignals { requests_per_second: 900.0, ..none }, spec), 1);
}

#[test]
fn who_was_scaled_to_0_by_hand_stays_there_until_called() {
    let mut world = World::new(spec(2, 100, &[("requests_per_second", "10")]), 10.0, 5);
    world.seconds(60, 50.0);
    world.replicas = 0;
    world.seconds(5, 0.0);
    assert_eq!((world.replicas, world.reason()), (0, Reason::ScalingDisabled));
    assert_eq!(world.second(1.0), 2);
}

#[test]
fn at_0_a_new_leader_starts_nothing() {
    let mut world = World::new(spec(0, 100, &[("requests_per_second", "10")]), 10.0, 0);
    assert_eq!(world.second(0.0), 0);
}

// === long runs ===

#[test]
fn history_is_bounded() {
    let policies = vec![ScalingPolicy { r#type: ScalingPolicyType::Pods, value: 1, period_seconds: 1800 }];
    let rules = ScalingRules { policies, ..window(3600) };
    let mut world = World::new(with_rules(rps("10"), rules.clone(), rules), 10.0, 10);
    for second in 0..8000_u64 {
        world.replicas = 10 + u32::try_from(second % 2).unwrap();
        world.second(f64::from(world.replicas) * 10.0);
        world.history.clear();
    }
    let Scaler { samples, recommended, asked, changes, .. } = &world.scaler;
    assert!(samples.len() <= 30);
    let count = |it: usize| assert!(it <= 256, "{it}");
    let ages = Duration::from_secs(10_000);
    let now = Duration::from_secs(8000);
    count(recommended.within(now, ages).count());
    count(asked.within(now, ages).count());
    count(changes.within(now, ages).count());
}

#[test]
fn explanations_have_the_numbers() {
    let mut world = World::new(rps("10"), 10.0, 1);
    world.seconds(10, 1.0);
    world.second(460.0);
    let explain = &world.history.last().unwrap().explain;
    for part in ["requests_per_second", "should be 10", "1 now", "a burst"] {
        assert!(explain.contains(part), "{explain}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// 460 calls a second, up to 8% more or less each second: it gets there, to within one replica, and stays; and it never
    /// turns within a minute.
    #[test]
    fn a_noisy_load_is_held_without_flapping(
        seed: u64,
        (target, each, expected) in prop_oneof![Just(("10", 10.0, 46)), Just(("10", 14.0, 46)), Just(("12.2", 14.0, 38))],
        start in 1_u32..90,
    ) {
        let mut world = World::new(rps(target), each, start);
        for noise in noise(seed).take(700) {
            world.second(460.0 * (1.0 + noise));
        }
        let late: Vec<u32> = world.history.iter().skip(400).map(|it| it.desired).collect();
        // Where replicas are good for no more than the target, calls wait in every other second, and one of the highest
        // seconds may add as many as it asks for.
        let over = if each > 10.0 { 1 } else { 4 };
        prop_assert!(late.iter().all(|it| (expected - 1..=expected + over).contains(it)), "{:?}", world.moves());
        prop_assert!(world.shortest_turn().is_none_or(|it| it >= 60), "{:?}", world.moves());
    }

    /// The same by how busy replicas are, which is the default.
    #[test]
    fn a_noisy_utilization_is_held_without_flapping(
        seed: u64,
        start in 1_u32..90,
    ) {
        let mut world = World::new(Autoscaling { max_replicas: 200, ..Autoscaling::default() }, 10.0, start);
        for noise in noise(seed).take(600) {
            world.second(460.0 * (1.0 + noise));
        }
        let late: Vec<u32> = world.history.iter().skip(260).map(|it| it.desired).collect();
        prop_assert!(late.iter().all(|it| it.abs_diff(58) <= 3), "{:?}", world.moves());
        prop_assert!(world.shortest_turn().is_none_or(|it| it >= 60), "{:?}", world.moves());
    }

    /// Whatever signals say and people do, it stays within bounds and within what policies allow.
    #[test]
    fn bounds_and_policies_hold(
        (min, more) in (0_u32..5, 1_u32..50),
        metric in prop_oneof![
            Just(("requests_per_second", "10")),
            Just(("utilization", "0.8")),
            Just(("queue_wait_seconds", "1m")),
            Just(("latency_seconds", "1n")),
        ],
        signals in proptest::collection::vec(
            (0_u32..60, 0_u64..600, 0_u64..600, 0_u64..600, 0.0..1e6_f64, 0.0..1e3_f64, 0.0..10.0_f64, 0.0..10.0_f64, 0_u32..200),
            1..120,
        ),
    ) {
        let spec = spec(min, min + more, &[metric]);
        let mut scaler = Scaler::default();
        let mut current = min;
        for (second, it) in signals.into_iter().enumerate() {
            let (replicas, capacity, in_flight, queued, requests_per_second, shed_per_second, queue_wait, latency, by_hand) = it;
            let signals = WorkloadSignals {
                replicas, capacity, in_flight, queued, requests_per_second, shed_per_second, queue_wait, latency,
            };
            if by_hand < 60 {
                current = by_hand;
            }
            let decision = scaler.step(Duration::from_secs(second as u64), &spec, current, &signals);
            let desired = decision.desired;
            if !(desired == 0 && current == 0) {
                prop_assert!((min..=min + more).contains(&desired), "{current}: {decision:?}");
                prop_assert!(desired <= (current * 2).max(current + 4).max(min), "{current}: {decision:?}");
            }
            if calls(&signals) {
                prop_assert!(desired > 0, "{current}: {decision:?}");
            }
            current = desired;
        }
    }
}
