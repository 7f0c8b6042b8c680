//! How much load is offered when: steps and ramps of requests a second over time.
//!
//! The plan says when each request is due, and [`Plan::arrivals`](crate::load::Plan::arrivals) sends it then, whether or
//! not earlier ones have been answered. A load that waits for answers would fall by itself where replicas are missing,
//! and hide what is to be measured.

use std::time::Duration;

/// A span in which the rate stays or changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// When it begins.
    pub start: Duration,
    /// How long it is.
    pub length: Duration,
    /// Requests a second at its start.
    pub from: f64,
    /// Requests a second at its end.
    pub to: f64,
    /// Requests due before its start.
    before: f64,
}

/// A change of the rate: at once between two phases, or evenly through one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// When it begins.
    pub at: Duration,
    /// How long it takes; zero for a step.
    pub takes: Duration,
    /// When the next one begins, or the plan ends.
    pub until: Duration,
    /// Requests a second before it.
    pub from: f64,
    /// Requests a second after it.
    pub to: f64,
}

/// Phases one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ramp {
    phases: Vec<Phase>,
}

// === impl Phase ===

impl Phase {
    /// When it ends.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.start + self.length
    }

    /// Requests a second more with each second.
    fn slope(&self) -> f64 {
        (self.to - self.from) / self.length.as_secs_f64()
    }

    /// Requests due within the first `seconds` of it.
    fn within(&self, seconds: f64) -> f64 {
        self.from * seconds + self.slope() * seconds * seconds / 2.0
    }
}

// === impl Ramp ===

impl Ramp {
    /// A plan without phases.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// So many requests a second for so long. After a phase that ends at another rate this is a step.
    #[must_use]
    pub fn hold(self, rate: f64, seconds: u64) -> Self {
        self.phase(rate, rate, seconds)
    }

    /// Evenly from the rate at which the last phase ends to this one.
    #[must_use]
    pub fn to(self, rate: f64, seconds: u64) -> Self {
        let from = self.phases.last().map_or(0.0, |it| it.to);
        self.phase(from, rate, seconds)
    }

    /// A rate below zero counts as zero, and a phase without length is none.
    fn phase(mut self, from: f64, to: f64, seconds: u64) -> Self {
        let start = self.length();
        let before = self.due_before(start);
        let length = Duration::from_secs(seconds);
        if seconds > 0 {
            self.phases.push(Phase { start, length, from: from.max(0.0), to: to.max(0.0), before });
        }
        self
    }

    /// The phases in their order.
    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// From the start to the end of the last phase.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, Phase::end)
    }

    /// The highest rate.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.phases.iter().fold(0.0, |most, it| most.max(it.from).max(it.to))
    }

    /// Requests a second at a moment: zero after the end, and of a step what comes after it.
    #[must_use]
    pub fn rate(&self, at: Duration) -> f64 {
        let Some(phase) = self.phases.iter().find(|it| at < it.end()) else { return 0.0 };
        phase.from + phase.slope() * (at - phase.start).as_secs_f64()
    }

    /// Requests due before a moment, not a whole number.
    #[must_use]
    pub fn due_before(&self, at: Duration) -> f64 {
        let begun = self.phases.partition_point(|it| it.start <= at);
        let Some(phase) = begun.checked_sub(1).map(|last| &self.phases[last]) else { return 0.0 };
        phase.before + phase.within(at.min(phase.end()).saturating_sub(phase.start).as_secs_f64())
    }

    /// When a request is due, counted from zero; `None` if the plan ends before.
    #[must_use]
    pub fn due(&self, request: u64) -> Option<Duration> {
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let number = request as f64;
        if number >= self.due_before(self.length()) {
            return None;
        }
        let begun = self.phases.partition_point(|it| it.before <= number);
        let phase = &self.phases[begun.checked_sub(1)?];
        let left = number - phase.before;
        // The root of `from * t + slope * t² / 2 = left` in the form that divides by no slope, which may be zero.
        let root = (phase.from * phase.from + 2.0 * phase.slope() * left).max(0.0).sqrt();
        let seconds = if left > 0.0 { 2.0 * left / (phase.from + root) } else { 0.0 };
        Some((phase.start + Duration::from_secs_f64(seconds)).min(phase.end()))
    }

    /// Every change of the rate but the plan's own start and end.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        let mut moves: Vec<Move> = Vec::new();
        let mut add = |at, takes, from, to| {
            if let Some(last) = moves.last_mut() {
                last.until = at;
            }
            moves.push(Move { at, takes, until: self.length(), from, to });
        };
        let mut last: Option<&Phase> = None;
        for phase in &self.phases {
            if let Some(last) = last.filter(|last| differ(last.to, phase.from)) {
                add(phase.start, Duration::ZERO, last.to, phase.from);
            }
            if differ(phase.from, phase.to) {
                add(phase.start, phase.length, phase.from, phase.to);
            }
            last = Some(phase);
        }
        moves
    }

    /// The end of the first phase that stays at the highest rate: where replicas must have settled for so long.
    #[must_use]
    pub fn steady(&self, length: Duration) -> Option<(Duration, Duration)> {
        let peak = self.peak();
        let hold = self.phases.iter().find(|it| !differ(it.from, peak) && !differ(it.to, peak))?;
        Some((hold.end().saturating_sub(length).max(hold.start), hold.end()))
    }
}

/// Rates are given, not computed: what differs at all differs by more than this.
fn differ(one: f64, other: f64) -> bool {
    (one - other).abs() > 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn requests_of_a_hold_are_evenly_spaced() {
        let ramp = Ramp::new().hold(4.0, 2);
        let due: Vec<_> = (0..9).map(|it| ramp.due(it)).collect();
        let expected = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75].map(|it| Some(seconds(it)));
        assert_eq!(due[..8], expected);
        assert_eq!(due[8], None, "the plan ends before");
    }

    #[test]
    fn a_ramp_sends_as_many_requests_as_the_area_below_it() {
        let ramp = Ramp::new().hold(6.0, 10).to(460.0, 60).hold(460.0, 30).to(0.0, 60).hold(0.0, 10).hold(2.0, 5);
        assert!((ramp.due_before(seconds(10.0)) - 60.0).abs() < 1e-9);
        assert!((ramp.due_before(seconds(70.0)) - 60.0 - 233.0 * 60.0).abs() < 1e-6);
        let all = 60.0 + 233.0 * 60.0 + 460.0 * 30.0 + 230.0 * 60.0 + 10.0;
        assert!((ramp.due_before(ramp.length()) - all).abs() < 1e-6);
        let mut last = Duration::ZERO;
        let mut requests = 0;
        while let Some(due) = ramp.due(requests) {
            assert!(due >= last && due <= ramp.length(), "request {requests} at {due:?} after {last:?}");
            // Both directions agree: so many requests are due before the moment at which the next one is.
            #[allow(clippy::cast_precision_loss, reason = "a test's counts")]
            let back = ramp.due_before(due) - requests as f64;
            assert!(back.abs() < 1e-3, "request {requests} at {due:?}: {back}");
            (last, requests) = (due, requests + 1);
        }
        assert_eq!(requests, 41_650);
    }

    #[test]
    fn nothing_is_due_in_a_pause() {
        let ramp = Ramp::new().hold(0.0, 10).hold(1.0, 2);
        assert_eq!(ramp.due(0), Some(seconds(10.0)));
        assert_eq!(ramp.due(1), Some(seconds(11.0)));
        assert_eq!(ramp.due(2), None);
        assert_eq!(Ramp::new().due(0), None);
    }

    #[test]
    fn the_rate_of_a_step_is_what_comes_after_it() {
        let ramp = Ramp::new().hold(6.0, 5).hold(460.0, 5).to(6.0, 10);
        let cases = [(0.0, 6.0), (4.9, 6.0), (5.0, 460.0), (10.0, 460.0), (15.0, 233.0), (20.0, 0.0), (99.0, 0.0)];
        for (at, rate) in cases {
            assert!((ramp.rate(seconds(at)) - rate).abs() < 1e-6, "{at}: {}", ramp.rate(seconds(at)));
        }
        assert!((ramp.peak() - 460.0).abs() < 1e-9);
    }

    #[test]
    fn moves_are_steps_and_ramps() {
        let ramp = Ramp::new().hold(6.0, 5).to(460.0, 20).hold(460.0, 60).hold(6.0, 10);
        let secs = Duration::from_secs;
        assert_eq!(
            ramp.moves(),
            [
                Move { at: secs(5), takes: secs(20), until: secs(85), from: 6.0, to: 460.0 },
                Move { at: secs(85), takes: secs(0), until: secs(95), from: 460.0, to: 6.0 },
            ]
        );
        assert_eq!(ramp.steady(secs(40)), Some((secs(45), secs(85))));
        assert_eq!(ramp.steady(secs(900)), Some((secs(25), secs(85))), "never longer than the hold");
        assert_eq!(Ramp::new().to(9.0, 5).steady(secs(1)), None);
    }
}
