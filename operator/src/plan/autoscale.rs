//! How many replicas a workload should have now: pure, asked once a second.
//!
//! # What it takes from a HorizontalPodAutoscaler (autoscaling/v2)
//! The metric that asks for most replicas wins; a signal that is off its target by less than the tolerance changes nothing;
//! a metric that is missing never lets replicas go; the most careful recommendation of a stabilisation window counts;
//! policies bound how much changes within a period; bounds are kept at once; a workload that was scaled to 0 by hand while
//! `minReplicas` is not 0 stays there until somebody calls it.
//!
//! # What it takes from Knative
//! Signals are averaged over a *stable window*. A burst is seen in a much shorter *panic window*: if that asks for twice the
//! replicas that there are, it counts alone, and until a stable window has passed without another such reason nothing is
//! taken away.
//!
//! # What is its own
//! - Calls that wait or are refused are a reason to panic whatever the factor, and the newest sample counts alone, if it asks
//!   for more: the average would hide what the queue shows already.
//! - A difference below the tolerance that lasts for a minute without a change is made good for, unless the tolerance was
//!   asked for in the spec: growth in steps ends up to a tolerance beside the goal, and would stay there. One replica too
//!   many is let go, one too few is not added, so that a load on the edge between two numbers does not move it.
//! - At 0, the past is forgotten: the first calls are answered by what they ask for.

mod behavior;
mod demand;
#[cfg(test)]
mod tests;
mod window;

use std::{collections::VecDeque, fmt, time::Duration};

use penstock_api::autoscaling::{Autoscaling, Scaling};

use self::{
    behavior::Changes,
    demand::Demand,
    window::{History, Merge, Range},
};
use crate::signals::WorkloadSignals;

/// What signals are averaged over. Half of Knative's: a replica that was taken too early is back within milliseconds.
const STABLE_WINDOW: Duration = Duration::from_secs(30);
/// What a burst is seen in: a tenth, as in Knative.
const PANIC_WINDOW: Duration = Duration::from_secs(3);
/// How many times the replicas that there are the panic window must ask for.
const PANIC_THRESHOLD: u32 = 2;
/// Percent by which the panic window must ask for more to count: calls come in clusters, and what three seconds of them say is no more
/// exact than that. The rest is left to the stable window.
const SMALL: u64 = 10;
/// How long a difference below the tolerance must last.
const SETTLING: Duration = Duration::from_secs(60);
/// Samples closer together than that are one.
const CLOSE: Duration = Duration::from_millis(250);
/// After so long without a step it begins anew: what was not seen may have been anything.
const GAP: Duration = Duration::from_secs(15);
/// So much later than the status hosts may say of new replicas what these are good for.
const CATCH_UP: Duration = Duration::from_secs(5);
/// What rounding up does not see: averages of whole numbers are not whole to the last bit.
const ROUNDING: f64 = 1e-6;

/// Of one workload: what was, as far as it matters. It has at most about 30 KiB, mostly far less.
#[derive(Clone, Debug, Default)]
pub struct Scaler {
    /// Of the last stable window.
    samples: VecDeque<Sample>,
    /// What was recommended, before anything limited it.
    recommended: History<Range>,
    /// What the stable window asked for, whatever the tolerance.
    asked: History<Range>,
    changes: Changes,
    /// When there was reason to panic last, while that counts.
    panic: Option<Duration>,
    last: Option<Last>,
}

/// What the last step saw.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Duration,
    current: u32,
    /// When the number of replicas changed last.
    changed: Duration,
    /// When there was a call last, or nobody knew.
    busy: Duration,
    /// When more replicas served than before.
    grown: Duration,
}

/// Signals at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    signals: WorkloadSignals,
    /// Replicas that stood behind the signals. A new replica may be in the status before its host has said what it is good
    /// for.
    serving: f64,
}

/// What a step is about.
struct Step<'a> {
    now: Duration,
    current: u32,
    /// Whether anything is known of the load.
    known: bool,
    up: Scaling<'a>,
    down: Scaling<'a>,
}

/// On the way to a decision.
#[derive(Clone, Copy)]
struct Goal {
    replicas: u32,
    reason: Reason,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Replicas that there should be.
    pub desired: u32,
    /// Why.
    pub reason: Reason,
    /// What kept it from more, or from fewer.
    pub limited: Option<Limit>,
    /// The same with numbers, for people.
    pub explain: String,
}

/// Why there should be so many replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There are as many as the signals ask for, give or take the tolerance.
    WithinTolerance,
    /// The stable window asks for more.
    LoadAboveTarget,
    /// A burst: the panic window asks for many more, or calls wait.
    Panic,
    /// The signals have been asking for fewer throughout the stabilisation window.
    LoadBelowTarget,
    /// A small difference has lasted.
    Settled,
    /// Fewer would be enough, but not for long enough yet.
    ScaleDownStabilized,
    /// More are asked for, but not for long enough yet.
    ScaleUpStabilized,
    /// The first calls at 0.
    Activated,
    /// No call for the whole stabilisation window.
    Idle,
    /// No metric can be computed now.
    MetricsMissing,
    /// Scaled to 0 by hand, which `minReplicas` does not allow by itself.
    ScalingDisabled,
}

/// What kept it from more, or from fewer. The names are the HorizontalPodAutoscaler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// `minReplicas`.
    TooFewReplicas,
    /// `maxReplicas`.
    TooManyReplicas,
    /// `behavior.scaleUp`.
    ScaleUpLimit,
    /// `behavior.scaleDown`.
    ScaleDownLimit,
}

// === impl Scaler ===

impl Scaler {
    /// The next step. `current` is `spec.replicas` as it is now; `now` is the time since any origin. Without any capacity
    /// while there should be replicas, nothing is known of the load, and nothing is taken away.
    pub fn step(&mut self, now: Duration, spec: &Autoscaling, current: u32, signals: &WorkloadSignals) -> Decision {
        let known = current == 0 || signals.capacity > 0;
        let step = Step { now, current, known, up: spec.scale_up(), down: spec.scale_down() };
        let last = self.observe(&step, signals);
        let max = spec.max_replicas.max(1);
        let min = spec.min_replicas().min(max);
        if current == 0 && !calls(signals) {
            self.samples.clear();
            let reason = if min == 0 { Reason::Idle } else { Reason::ScalingDisabled };
            return Decision { desired: 0, reason, limited: None, explain: "0 replicas and no call".to_owned() };
        }

        let stable = demand::average(spec, &self.samples.iter());
        let fast = self.fast(now, spec);
        let wanted = self.wanted(&step, stable.as_ref(), fast.as_ref());
        let mut goal = self.stabilised(&step, wanted);
        if let Some(settled) = self.settled(&step, &last, stable.as_ref(), goal) {
            goal = settled;
        }

        let idle = min == 0 && now.saturating_sub(last.busy) >= step.down.window.max(PANIC_WINDOW);
        goal = match goal.replicas {
            _ if current == 0 => Goal { replicas: goal.replicas.max(1), reason: Reason::Activated },
            _ if idle => Goal { replicas: 0, reason: Reason::Idle },
            0 => Goal { replicas: 1, reason: if current > 1 { goal.reason } else { Reason::ScaleDownStabilized } },
            _ => goal,
        };
        let floor = if idle { 0 } else { min.max(1) };
        let (desired, limited) = self.limited(&step, goal.replicas, floor, max);
        let explain = explain(&step, wanted.replicas, stable.as_ref(), fast.as_ref(), self.panic.is_some());
        Decision { desired, reason: goal.reason, limited, explain }
    }

    /// Takes in what is now.
    fn observe(&mut self, step: &Step<'_>, signals: &WorkloadSignals) -> Last {
        let Step { now, current, .. } = *step;
        if self.last.is_some_and(|it| now.saturating_sub(it.at) > GAP) {
            *self = Self::default();
        }
        let mut last = self.last.unwrap_or_else(|| {
            // What was recommended before is not known: what there is was.
            self.recommended.push(now, Duration::ZERO, Range::of(current));
            Last { at: now, current, changed: now, busy: now, grown: now }
        });
        if last.current != current {
            // The last step's doing, or that of somebody who came between.
            let change = i64::from(current) - i64::from(last.current);
            self.changes.push(last.at, behavior::longest(&step.up, &step.down), change);
            last.changed = now;
        }
        if calls(signals) || !step.known {
            last.busy = now;
        }
        if self.samples.back().is_some_and(|it| it.signals.replicas < signals.replicas) {
            last.grown = now;
        }
        (last.at, last.current) = (now, current);
        self.last = Some(last);
        if step.known {
            self.sample(now, signals, last.grown);
        }
        while self.samples.front().is_some_and(|it| now.saturating_sub(it.at) >= STABLE_WINDOW) {
            self.samples.pop_front();
        }
        last
    }

    fn sample(&mut self, now: Duration, signals: &WorkloadSignals, grown: Duration) {
        let replicas = f64::from(signals.replicas.max(1));
        let mut serving = replicas;
        if let Some(before) = self.samples.back()
            && now.saturating_sub(grown) < CATCH_UP
            && before.serving < replicas
            && before.signals.capacity > 0
        {
            let each = before.signals.capacity as f64 / before.serving;
            serving = (signals.capacity as f64 / each).clamp(before.serving, replicas);
        }
        if self.samples.back().is_some_and(|it| now.saturating_sub(it.at) < CLOSE) {
            self.samples.pop_back();
        }
        self.samples.push_back(Sample { at: now, signals: *signals, serving });
    }

    /// What the panic window asks for, or the newest sample if calls wait and it asks for more.
    fn fast<'a>(&self, now: Duration, spec: &'a Autoscaling) -> Option<Demand<'a>> {
        let samples = self.samples.iter().rev();
        let young = samples.clone().take_while(move |it| now.saturating_sub(it.at) < PANIC_WINDOW);
        let average = demand::average(spec, &young);
        if !self.pressed() {
            return average;
        }
        let newest = demand::average(spec, &samples.take(1));
        let most = |a: &Demand<'_>, b: &Demand<'_>| a.replicas.total_cmp(&b.replicas);
        average.into_iter().chain(newest).max_by(most)
    }

    /// Whether calls are refused or wait, and not just for a moment: a tenth of what runs at once, or twice in a row.
    fn pressed(&self) -> bool {
        let mut newest = self.samples.iter().rev().map(|it| &it.signals);
        let Some(now) = newest.next() else { return false };
        let waiting = now.queued > 0
            && (now.queued.saturating_mul(10) >= now.capacity || newest.next().is_some_and(|it| it.queued > 0));
        waiting || now.shed_per_second > 0.0
    }

    /// What is recommended now, before anything limits it.
    fn wanted(&mut self, step: &Step<'_>, stable: Option<&Demand<'_>>, fast: Option<&Demand<'_>>) -> Goal {
        let Step { now, current, .. } = *step;
        let asked = |it: Option<&Demand<'_>>| it.map_or(current, |it| step.beyond_tolerance(it.replicas));
        let large = |it: u32| u64::from(it) * 100 > u64::from(current) * (100 + SMALL);
        let (slow, fast) = (asked(stable), Some(asked(fast)).filter(|it| large(*it)).unwrap_or(current));
        if fast > current && (self.pressed() || fast >= current.saturating_mul(PANIC_THRESHOLD)) {
            self.panic = Some(now);
        }
        self.panic = self.panic.filter(|reason| now.saturating_sub(*reason) < STABLE_WINDOW);
        let incomplete = !step.known || stable.is_none_or(|it| it.incomplete);
        let (replicas, reason) = match self.panic {
            Some(_) if fast > current => (fast.max(slow), Reason::Panic),
            _ if slow > current => (slow, Reason::LoadAboveTarget),
            _ if slow < current && incomplete => (current, Reason::MetricsMissing),
            Some(_) if slow < current => (current, Reason::ScaleDownStabilized),
            None if slow < current => (slow, Reason::LoadBelowTarget),
            _ if stable.is_none() => (current, Reason::MetricsMissing),
            _ => (current, Reason::WithinTolerance),
        };
        Goal { replicas, reason }
    }

    /// The most careful of what was recommended within the stabilisation windows.
    fn stabilised(&mut self, step: &Step<'_>, wanted: Goal) -> Goal {
        let Step { now, current, up, down, .. } = step;
        self.recommended.push(*now, up.window.max(down.window), Range::of(wanted.replicas));
        let least = self.recommended.within(*now, up.window).map(|it| it.least).fold(wanted.replicas, u32::min);
        let most = self.recommended.within(*now, down.window).map(|it| it.most).fold(wanted.replicas, u32::max);
        let replicas = (*current).max(least).min(most);
        let reason = match replicas == *current {
            true if wanted.replicas > *current => Reason::ScaleUpStabilized,
            true if wanted.replicas < *current => Reason::ScaleDownStabilized,
            _ => wanted.reason,
        };
        Goal { replicas, reason }
    }

    /// What a difference below the tolerance leads to that has lasted: as little as it ever was in that time.
    fn settled(&mut self, step: &Step<'_>, last: &Last, stable: Option<&Demand<'_>>, goal: Goal) -> Option<Goal> {
        let Step { now, current, up, down, .. } = step;
        let windows = (up.window.max(SETTLING), down.window.max(SETTLING));
        let asked = Range::of(whole(stable?.replicas));
        self.asked.push(*now, windows.0.max(windows.1), asked);
        if goal.reason != Reason::WithinTolerance || self.panic.is_some() || stable?.incomplete || !step.known {
            return None;
        }
        let lasted = |window: Duration| now.saturating_sub(last.changed) >= window;
        let within = |window| self.asked.within(*now, window).reduce(Merge::merge);
        let more =
            within(windows.0).filter(|it| !up.strict && lasted(windows.0) && it.least > current.saturating_add(1));
        let fewer = within(windows.1).filter(|it| !down.strict && lasted(windows.1) && it.most < *current);
        let replicas = more.map(|it| it.least).or(fewer.map(|it| it.most))?;
        Some(Goal { replicas, reason: Reason::Settled })
    }

    /// What bounds and policies make of it.
    fn limited(&self, step: &Step<'_>, desired: u32, min: u32, max: u32) -> (u32, Option<Limit>) {
        let Step { now, current, up, down, .. } = step;
        let bounded = desired.max(min).min(max);
        let bound = match bounded {
            _ if bounded > desired => Some(Limit::TooFewReplicas),
            _ if bounded < desired => Some(Limit::TooManyReplicas),
            _ => None,
        };
        // Bounds hold at once, whatever the policies.
        let most = behavior::most(*current, &self.changes, *now, up).max(min);
        let least = behavior::least(*current, &self.changes, *now, down).min(max);
        match bounded {
            _ if bounded > most => (most, Some(Limit::ScaleUpLimit)),
            _ if bounded < least => (least, Some(Limit::ScaleDownLimit)),
            _ => (bounded, bound),
        }
    }
}

/// Whether anybody calls.
fn calls(signals: &WorkloadSignals) -> bool {
    signals.in_flight > 0 || signals.queued > 0 || signals.requests_per_second > 0.0 || signals.shed_per_second > 0.0
}

/// Rounded up.
fn whole(replicas: f64) -> u32 {
    // Beyond the range, the cast stops at its end.
    (replicas - ROUNDING).ceil() as u32
}

fn explain(
    step: &Step<'_>,
    wanted: u32,
    stable: Option<&Demand<'_>>,
    fast: Option<&Demand<'_>>,
    panic: bool,
) -> String {
    let current = step.current;
    let Some(stable) = stable else { return format!("nothing is known of the load; {current} replicas stay") };
    let Demand { metric, value, target, replicas, .. } = fast.filter(|_| panic).unwrap_or(stable);
    let (over, unknown) =
        (if panic { "a burst" } else { "30 s" }, if stable.incomplete { "; a metric is missing" } else { "" });
    format!(
        "{metric} is {value:.3} ({over}) and should be {target}, which asks for {replicas:.1} replicas; \
         {current} now, {wanted} recommended{unknown}"
    )
}

// === impl Step ===

impl Step<'_> {
    /// What so many replicas, not rounded, come to: those that there are if the difference is below the tolerance.
    fn beyond_tolerance(&self, replicas: f64) -> u32 {
        let current = f64::from(self.current);
        let above = replicas > current * (1.0 + self.up.tolerance) + ROUNDING;
        let below = replicas < current * (1.0 - self.down.tolerance) - ROUNDING;
        if above || below { whole(replicas) } else { self.current }
    }
}

// === impl Reason and Limit ===

impl Reason {
    /// Its name, as conditions have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WithinTolerance => "WithinTolerance",
            Self::LoadAboveTarget => "LoadAboveTarget",
            Self::Panic => "Panic",
            Self::LoadBelowTarget => "LoadBelowTarget",
            Self::Settled => "Settled",
            Self::ScaleDownStabilized => "ScaleDownStabilized",
            Self::ScaleUpStabilized => "ScaleUpStabilized",
            Self::Activated => "Activated",
            Self::Idle => "Idle",
            Self::MetricsMissing => "MetricsMissing",
            Self::ScalingDisabled => "ScalingDisabled",
        }
    }
}

impl Limit {
    /// Its name, as conditions have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooFewReplicas => "TooFewReplicas",
            Self::TooManyReplicas => "TooManyReplicas",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::ScaleDownLimit => "ScaleDownLimit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
