//! How much may change: the policies of `behavior.scaleUp` and `behavior.scaleDown`, as a HorizontalPodAutoscaler applies them.

use std::time::Duration;

use penstock_api::autoscaling::{Scaling, ScalingPolicy, ScalingPolicyType, SelectPolicy};

use super::window::History;

/// Steps come about once a second: a change of the last step must not count against a policy of one second again because the
/// next step came a little early.
const EARLY: Duration = Duration::from_millis(250);

/// The changes that there were, each as the number of replicas that came (or went, below 0).
pub(super) type Changes = History<i64>;

/// As many replicas as there may be at most.
pub(super) fn most(current: u32, changes: &Changes, now: Duration, scaling: &Scaling<'_>) -> u32 {
    let proposed = scaling.policies.iter().map(|policy| {
        let start = start(current, changes, now, policy);
        match policy.r#type {
            ScalingPolicyType::Pods => start.saturating_add(i64::from(policy.value)),
            // Up, or one percent of a few would be nothing for ever.
            ScalingPolicyType::Percent => start.saturating_add(percent(start, policy.value.into(), 99)),
        }
    });
    let limit = match scaling.select {
        SelectPolicy::Disabled => None,
        SelectPolicy::Max => proposed.max(),
        SelectPolicy::Min => proposed.min(),
    };
    replicas(limit.unwrap_or_default()).max(current)
}

/// As few replicas as there may be at least.
pub(super) fn least(current: u32, changes: &Changes, now: Duration, scaling: &Scaling<'_>) -> u32 {
    let proposed = scaling.policies.iter().map(|policy| {
        let start = start(current, changes, now, policy);
        match policy.r#type {
            ScalingPolicyType::Pods => start - i64::from(policy.value),
            // Down, or the last few would stay for ever.
            ScalingPolicyType::Percent => percent(start, 100_i64.saturating_sub(policy.value.into()).max(0), 0),
        }
    });
    let limit = match scaling.select {
        SelectPolicy::Disabled => None,
        // The policy that lets most change, and the one that lets least.
        SelectPolicy::Max => proposed.min(),
        SelectPolicy::Min => proposed.max(),
    };
    limit.map_or(current, replicas).min(current)
}

/// For how long changes matter.
pub(super) fn longest(up: &Scaling<'_>, down: &Scaling<'_>) -> Duration {
    let periods = up.policies.iter().chain(down.policies).map(|it| it.period_seconds);
    Duration::from_secs(periods.max().unwrap_or_default().into())
}

/// Replicas that there were when the policy's period began.
fn start(current: u32, changes: &Changes, now: Duration, policy: &ScalingPolicy) -> i64 {
    let period = Duration::from_secs(policy.period_seconds.into()).saturating_sub(EARLY);
    let changed: i64 = changes.within(now, period).sum();
    (i64::from(current) - changed).clamp(0, u32::MAX.into())
}

/// So many percent, rounded down; up if 99 hundredths are added.
fn percent(of: i64, percent: i64, hundredths: i64) -> i64 {
    of.saturating_mul(percent).saturating_add(hundredths) / 100
}

fn replicas(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pods(value: u32, period_seconds: u32) -> ScalingPolicy {
        ScalingPolicy { r#type: ScalingPolicyType::Pods, value, period_seconds }
    }

    const fn percent(value: u32, period_seconds: u32) -> ScalingPolicy {
        ScalingPolicy { r#type: ScalingPolicyType::Percent, value, period_seconds }
    }

    fn scaling(select: SelectPolicy, policies: &[ScalingPolicy]) -> Scaling<'_> {
        Scaling { select, policies, ..Scaling::UP }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_changes() {
        use SelectPolicy::{Disabled, Max, Min};
        let none = Changes::default();
        // Replicas, which policy counts, the policies, at most, at least.
        let cases: &[(u32, SelectPolicy, &[ScalingPolicy], u32, u32)] = &[
            (10, Max, &[pods(4, 1)], 14, 6),
            (10, Max, &[percent(50, 1)], 15, 5),
            (10, Max, &[percent(50, 1), pods(4, 1)], 15, 5),
            (10, Min, &[percent(50, 1), pods(4, 1)], 14, 6),
            (10, Disabled, &[percent(50, 1), pods(4, 1)], 10, 10),
            (3, Max, &[percent(10, 1)], 4, 2),
            (1, Max, Scaling::UP.policies, 5, 0),
            (20, Max, Scaling::UP.policies, 40, 0),
            (20, Max, Scaling::DOWN.policies, 40, 0),
            (0, Max, Scaling::UP.policies, 4, 0),
            (3, Max, &[pods(9, 1)], 12, 0),
            (3, Max, &[percent(900, 1)], 30, 0),
            (u32::MAX, Max, &[percent(u32::MAX, 1), pods(u32::MAX, 1)], u32::MAX, 0),
            (7, Max, &[], 7, 7),
        ];
        for (current, select, policies, at_most, at_least) in cases {
            let scaling = scaling(*select, policies);
            assert_eq!(most(*current, &none, seconds(9), &scaling), *at_most, "{current} {scaling:?}");
            assert_eq!(least(*current, &none, seconds(9), &scaling), *at_least, "{current} {scaling:?}");
        }
    }

    #[test]
    fn what_has_changed_within_the_period_counts() {
        let mut changes = Changes::default();
        changes.push(seconds(100), seconds(60), 4);
        changes.push(seconds(110), seconds(60), 2);
        let policies = [pods(8, 15)];
        let scaling = scaling(SelectPolicy::Max, &policies);
        // 16 now: 10 when the period began.
        assert_eq!(most(16, &changes, seconds(111), &scaling), 18);
        // The first change is not in the period any more: 14 when it began.
        assert_eq!(most(16, &changes, seconds(116), &scaling), 22);
        assert_eq!(most(16, &changes, seconds(126), &scaling), 24);
        // Down, it may go below the beginning as well.
        assert_eq!(least(16, &changes, seconds(111), &scaling), 2);
        // What was used up gives no way back.
        changes.push(seconds(112), seconds(60), 6);
        assert_eq!(most(22, &changes, seconds(112), &scaling), 22);
    }

    #[test]
    fn a_step_that_comes_early_is_a_step_of_its_own() {
        let mut changes = Changes::default();
        changes.push(seconds(100), seconds(60), 4);
        let at = |milliseconds| seconds(100) + Duration::from_millis(milliseconds);
        assert_eq!(most(8, &changes, at(800), &Scaling::UP), 16);
        assert_eq!(most(8, &changes, at(500), &Scaling::UP), 8);
    }
}
