//! How a revision gives way to the next: apps/v1's rules, step by step.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use penstock_api::{
    WorkloadDeploymentSpec,
    deployment::{DeployPolicy, RollingUpdate, Strategy as Rolling},
};
use penstock_operator::plan::{
    Pace, Phase,
    rollout::{RevisionState, step},
};
use proptest::prelude::*;

fn pace(replicas: u32, max_surge: u32, max_unavailable: u32) -> Pace {
    Pace {
        max_surge,
        max_unavailable,
        ..Pace::of(&WorkloadDeploymentSpec { replicas: Some(replicas), ..Default::default() })
    }
}

/// `a:10 b:3/1`: the oldest first, replicas and those of them that serve. `c:0+2`: none is wanted and two are still there.
fn states(text: &str) -> Vec<RevisionState> {
    let one = |(number, it): (usize, &str)| {
        let (revision, counts) = it.split_once(':').unwrap();
        let (counts, more) = counts.split_once('+').unwrap_or((counts, "0"));
        let (replicas, ready) = counts.split_once('/').unwrap_or((counts, counts));
        let (replicas, ready) = (replicas.parse().unwrap(), ready.parse().unwrap());
        RevisionState {
            revision: revision.into(),
            number: number as u64 + 1,
            replicas,
            current: replicas + more.parse::<u32>().unwrap(),
            ready,
            available: ready,
        }
    };
    text.split_whitespace().enumerate().map(one).collect()
}

fn text(replicas: &[(String, u32)]) -> String {
    replicas.iter().map(|(revision, it)| format!("{revision}:{it}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn bounds_are_rounded_as_in_apps_v1() {
    let int = |it| Some(IntOrString::Int(it));
    let percent = |it: &str| Some(IntOrString::String(it.into()));
    // replicas, maxSurge, maxUnavailable, both in numbers
    let cases = [
        (10, None, None, (3, 2)),
        (4, None, None, (1, 1)),
        (1, None, None, (1, 0)),
        (3, percent("50%"), percent("50%"), (2, 1)),
        (10, int(0), int(0), (0, 1)),
        (10, percent("0%"), int(3), (0, 3)),
        (2, int(5), int(5), (5, 2)),
        (0, None, None, (0, 0)),
        (10, percent("many"), None, (3, 2)),
    ];
    for (replicas, max_surge, max_unavailable, bounds) in cases {
        let rolling_update = Some(RollingUpdate { max_surge, max_unavailable });
        let spec = WorkloadDeploymentSpec {
            replicas: Some(replicas),
            strategy: Some(Rolling { rolling_update }),
            ..Default::default()
        };
        let pace = Pace::of(&spec);
        assert_eq!((pace.max_surge, pace.max_unavailable), bounds, "{spec:?}");
    }
    let spec = WorkloadDeploymentSpec {
        deploy_policy: Some(DeployPolicy::Recreate),
        min_ready_seconds: Some(5),
        progress_deadline_seconds: None,
        ..Default::default()
    };
    let pace = Pace::of(&spec);
    assert!(pace.recreate && pace.replicas == 1);
    assert_eq!((pace.min_ready, pace.progress_deadline), (Duration::from_secs(5), Duration::from_secs(600)));
}

#[test]
fn one_step_at_a_time() {
    // what it is about, pace, before, after, phase; the last revision is the wanted one
    let ten = pace(10, 3, 2);
    let cases = [
        ("the first start", ten, "a:0", "a:10", Phase::Progressing),
        ("it starts", ten, "a:10/4", "a:10", Phase::Progressing),
        ("it serves", ten, "a:10", "a:10", Phase::Complete),
        ("scale out", pace(30, 8, 7), "a:10", "a:30", Phase::Progressing),
        ("scale in", pace(3, 1, 0), "a:30", "a:3", Phase::Complete),
        ("to nothing", pace(0, 0, 0), "a:3", "a:0", Phase::Complete),
        ("a rollout begins", ten, "a:10 b:0", "a:8 b:5", Phase::Progressing),
        ("the new one does not start", ten, "a:8 b:5/0", "a:8 b:5", Phase::Progressing),
        ("some of it serves", ten, "a:8 b:5/3", "a:5 b:8", Phase::Progressing),
        ("all of it serves", ten, "a:5 b:8", "a:0 b:10", Phase::Progressing),
        ("the old one drains", ten, "a:0+2 b:10", "a:0 b:10", Phase::Progressing),
        ("it is done", ten, "a:0 b:10", "a:0 b:10", Phase::Complete),
        ("one at a time, none fewer", pace(2, 1, 0), "a:2 b:0", "a:2 b:1", Phase::Progressing),
        ("one at a time, none more", pace(2, 0, 1), "a:2 b:0", "a:1 b:1", Phase::Progressing),
        ("what cannot serve leaves first", ten, "a:10/6 b:0", "a:8 b:5", Phase::Progressing),
        ("a second edit: the broken one leaves", ten, "a:8 b:5/0 c:0", "a:8 b:0 c:5", Phase::Progressing),
        ("all seem unready after a restart", ten, "a:8/0 b:5/0", "a:8 b:5", Phase::Progressing),
        ("scaled out while the new one does not start", pace(20, 5, 5), "a:8 b:5/0", "a:15 b:10", Phase::Progressing),
        ("and fewer may be missing now", pace(20, 2, 0), "a:8 b:5/0", "a:20 b:2", Phase::Progressing),
        ("scaled in while the new one does not start", pace(5, 2, 1), "a:8 b:5/0", "a:4 b:3", Phase::Progressing),
    ];
    for (about, pace, before, after, phase) in cases {
        let before = states(before);
        let wanted = before.last().unwrap().revision.clone();
        let got = step(&pace, Some(&wanted), &before);
        assert_eq!((text(&got.replicas).as_str(), got.phase), (after, phase), "{about}");
    }
}

#[test]
fn recreate_lets_the_old_one_leave_first() {
    let pace = Pace { recreate: true, ..pace(4, 0, 0) };
    for (before, after, phase) in [
        ("a:4 b:0", "a:0 b:0", Phase::Progressing),
        ("a:0+4 b:0", "a:0 b:0", Phase::Progressing),
        ("a:0 b:0", "a:0 b:4", Phase::Progressing),
        ("a:0 b:4", "a:0 b:4", Phase::Complete),
    ] {
        let got = step(&pace, Some("b"), &states(before));
        assert_eq!((text(&got.replicas).as_str(), got.phase), (after, phase), "{before}");
    }
}

#[test]
fn paused_deployments_scale_but_do_not_roll() {
    let ten = Pace { paused: true, ..pace(10, 3, 2) };
    let twenty = Pace { paused: true, ..pace(20, 5, 5) };
    for (pace, before, after, phase) in [
        (ten, "a:10 b:0", "a:10 b:0", Phase::Paused),
        (twenty, "a:10 b:0", "a:20 b:0", Phase::Paused),
        (ten, "a:8 b:5", "a:8 b:5", Phase::Paused),
        (twenty, "a:8 b:4", "a:14 b:6", Phase::Paused),
        (ten, "a:0 b:20", "a:0 b:10", Phase::Complete),
    ] {
        let got = step(&pace, Some("b"), &states(before));
        assert_eq!((text(&got.replicas).as_str(), got.phase), (after, phase), "{before}");
    }
}

#[test]
fn an_unknown_wanted_revision_takes_nothing_down() {
    for (before, after) in [("a:10", "a:10"), ("a:4", "a:10"), ("a:8 b:5/0", "a:8 b:5"), ("", "")] {
        assert_eq!(text(&step(&pace(10, 3, 2), None, &states(before)).replicas), after, "{before}");
    }
}

fn some_pace() -> impl Strategy<Value = Pace> {
    (0..25_u32, 0..10_u32, 0..10_u32).prop_map(|(replicas, surge, unavailable)| {
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        pace(replicas, surge, unavailable.min(replicas))
    })
}

fn some_states() -> impl Strategy<Value = Vec<RevisionState>> {
    prop::collection::vec((0..20_u32, 0..20_u32, 0..20_u32), 1..4).prop_map(|revisions| {
        let one = |(number, (replicas, ready, available)): (usize, (u32, u32, u32))| {
            let ready = ready.min(replicas);
            RevisionState {
                revision: format!("r{number}"),
                number: number as u64,
                replicas,
                current: replicas,
                ready,
                available: available.min(ready),
            }
        };
        revisions.into_iter().enumerate().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// From anywhere: what serves never falls below `replicas - maxUnavailable`, nor what there is rises above
    /// `replicas + maxSurge` unless it was above already.
    #[test]
    fn never_below_and_never_above(pace in some_pace(), states in some_states()) {
        let wanted = states.last().unwrap().revision.clone();
        let got = step(&pace, Some(&wanted), &states);
        let before: u32 = states.iter().map(|it| it.available).sum();
        let after: u32 = states.iter().map(|it| it.available.min(got.of(&it.revision))).sum();
        prop_assert!(after >= before.min(pace.min_available()), "{:?}", got);
        let total = |it: &dyn Fn(&RevisionState) -> u32| states.iter().map(it).sum::<u32>();
        let (was, is) = (total(&|it| it.replicas), total(&|it| got.of(&it.revision)));
        prop_assert!(is <= was.max(pace.replicas + pace.max_surge), "{was} -> {is}: {got:?}");
        prop_assert!(got.of(&wanted) <= pace.replicas);
    }

    /// A revision that cannot start: however often it is asked and whatever the numbers are changed to on the way, the old
    /// one serves as many as must, unless it was allowed to leave altogether.
    #[test]
    fn a_broken_revision_takes_nothing_down(first in 1..20_u32, changes in prop::collection::vec(some_pace(), 1..6)) {
        let mut states = states(&format!("a:{first} b:0"));
        for pace in changes.into_iter().filter(|it| it.min_available() > 0) {
            for _ in 0..10 {
                let got = step(&pace, Some("b"), &states);
                for it in &mut states {
                    it.replicas = got.of(&it.revision);
                    it.current = it.replicas;
                }
                states[0].available = states[0].replicas;
                states[0].ready = states[0].replicas;
            }
            prop_assert!(states[0].available >= pace.min_available(), "{:?} {:?}", pace, states);
        }
    }

    /// Asked again and again while everything gets ready, it ends with the wanted revision alone.
    #[test]
    fn it_comes_to_an_end(pace in some_pace(), mut states in some_states(), recreate in any::<bool>()) {
        let pace = Pace { recreate, ..pace };
        let wanted = states.last().unwrap().revision.clone();
        for _ in 0..100 {
            let got = step(&pace, Some(&wanted), &states);
            for it in &mut states {
                it.replicas = got.of(&it.revision);
                (it.current, it.ready, it.available) = (it.replicas, it.replicas, it.replicas);
            }
        }
        let got = step(&pace, Some(&wanted), &states);
        prop_assert_eq!(got.phase, Phase::Complete, "{:?}", states);
        prop_assert_eq!(got.of(&wanted), pace.replicas);
        prop_assert_eq!(got.replicas.iter().map(|it| it.1).sum::<u32>(), pace.replicas);
    }
}
