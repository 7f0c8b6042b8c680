use super::*;
use crate::autoscale::record::Sample;

const GOAL: Goal = Goal { replicas: 38, slack: 1, steady: Duration::from_secs(20), skew: 1, least: 1 };

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A run from changes `(milliseconds, wanted, serving)`, with a sample each second whose hosts are as even as can be.
fn run(changes: &[(u64, u32, u32)], seconds: u64) -> Series {
    let mut series = Series { sent: 100, ..Series::default() };
    for &(at, wanted, serving) in changes {
        series.note(Change { at: Duration::from_millis(at), wanted, serving });
    }
    for second in 1..=seconds {
        let serving = series.replicas(secs(second)).unwrap_or_default().serving;
        let hosts = (0..3).map(|host| (format!("host-{host}"), (serving + host) / 3)).collect();
        series.samples.push(Sample { at: secs(second), serving, hosts, ..Sample::default() });
    }
    series
}

fn ramp() -> Ramp {
    Ramp::new().hold(6.0, 5).hold(460.0, 40).to(6.0, 10).hold(6.0, 30)
}

fn good() -> Series {
    run(
        &[
            (0, 1, 1),
            (5_600, 12, 1),
            (5_650, 12, 12),
            (7_000, 30, 30),
            (9_000, 38, 34),
            (9_100, 38, 35),
            (9_200, 38, 38),
            (50_000, 20, 20),
            (60_000, 1, 20),
            (60_500, 1, 1),
        ],
        85,
    )
}

#[test]
fn a_good_run_passes_everything() {
    let verdicts = judge(&ramp(), &good(), GOAL);
    assert!(verdicts.iter().all(|it| it.passed), "{verdicts:#?}");
    let names: Vec<_> = verdicts.iter().map(|it| it.name).collect();
    assert_eq!(names, ["reached", "held", "spread", "failed requests", "returned"]);
    assert_eq!(verdicts[0].found, "38");
    assert_eq!(verdicts[0].wanted, "38 ± 1 replicas that serve, 25 to 45 s");
    assert_eq!(verdicts[2].found, "1: 12, 13, 13");
}

#[test]
fn a_run_without_records_passes_nothing() {
    let verdicts = judge(&ramp(), &Series::default(), GOAL);
    assert!(verdicts.iter().all(|it| !it.passed), "{verdicts:#?}");
}

#[test]
fn reached_looks_at_all_of_the_time() {
    let case = |changes: &[(u64, u32, u32)]| reached(&run(changes, 45), secs(25), secs(45), GOAL);
    for (changes, passed, found) in [
        (&[(0, 38, 38)][..], true, "38"),
        (&[(0, 37, 37), (30_000, 39, 39)], true, "37 to 39"),
        (&[(0, 38, 38), (44_000, 40, 40)], false, "38 to 40"),
        (&[(0, 38, 38), (30_000, 38, 36), (30_100, 38, 38)], false, "36 to 38"),
        // Whatever was before or comes after does not count.
        (&[(0, 1, 1), (24_000, 38, 38), (45_001, 1, 1)], true, "38"),
        // It is reached when it serves, not when it is asked for.
        (&[(0, 38, 12)], false, "12"),
    ] {
        let verdict = case(changes);
        assert_eq!((verdict.passed, &*verdict.found), (passed, found), "{changes:?}");
    }
}

#[test]
fn flapping_is_a_change_of_direction() {
    let case = |changes: &[(u64, u32, u32)]| held(&run(changes, 45), secs(25), secs(45));
    for (changes, passed, found) in [
        (&[(0, 38, 38)][..], true, "0: 38"),
        (&[(0, 36, 36), (30_000, 37, 37), (35_000, 38, 38)], true, "0: 36 → 37 → 38"),
        (&[(0, 38, 38), (30_000, 39, 38), (35_000, 38, 38)], false, "1: 38 → 39 → 38"),
        (&[(0, 38, 38), (30_000, 37, 38), (35_000, 38, 38), (36_000, 36, 38)], false, "2: 38 → 37 → 38 → 36"),
        // A replica that starts is no change of what is wanted.
        (&[(0, 38, 38), (30_000, 38, 37), (35_000, 38, 38)], true, "0: 38"),
        // It came from below before, which is not part of this.
        (&[(0, 40, 40), (10_000, 38, 38), (30_000, 39, 39)], true, "0: 38 → 39"),
    ] {
        let verdict = case(changes);
        assert_eq!((verdict.passed, &*verdict.found), (passed, found), "{changes:?}");
    }
}

#[test]
fn spread_is_judged_by_its_worst_sample() {
    let mut series = good();
    assert!(spread(&series, secs(25), secs(45), 1).passed);
    series.samples[29].hosts = [("a", 12), ("b", 12), ("c", 14)].map(|(name, count)| (name.to_owned(), count)).into();
    let verdict = spread(&series, secs(25), secs(45), 1);
    assert_eq!((verdict.passed, &*verdict.found), (false, "2: 12, 12, 14"));
    assert!(spread(&series, secs(30), secs(45), 1).passed, "the span is what counts");
}

#[test]
fn one_failure_is_too_many() {
    let mut series = good();
    assert!(none_failed(&series).passed);
    series.failed = 1;
    series.failures.insert("no whole answer in time".to_owned(), 1);
    let verdict = none_failed(&series);
    assert_eq!((verdict.passed, &*verdict.found), (false, "1 of 100; 1 × no whole answer in time"));
}

#[test]
fn returned_asks_for_both_numbers() {
    for (last, passed) in [((90_000, 1, 2), false), ((90_000, 2, 2), false), ((90_000, 1, 1), true)] {
        assert_eq!(returned(&run(&[(0, 38, 38), last], 1), 1).passed, passed, "{last:?}");
    }
}

#[test]
fn reactions_are_from_the_moves_beginning() {
    let found = reactions(&ramp(), &good(), 1);
    let millis = Duration::from_millis;
    let short: Vec<_> = found.iter().map(|it| (it.replicas, it.first, it.most, it.back)).collect();
    assert_eq!(
        short,
        [(38, Some(millis(650)), Some(millis(4_100)), None), (1, None, None, Some(millis(15_500)))],
        "35 replicas are nine tenths of 38; 34 are not"
    );
}

#[test]
fn what_did_not_happen_has_no_time() {
    let stuck = run(&[(0, 1, 1)], 85);
    let short: Vec<_> = reactions(&ramp(), &stuck, 1).iter().map(|it| (it.first, it.most)).collect();
    assert_eq!(short, [(None, None), (None, None)]);
    let late = run(&[(0, 1, 1), (6_000, 38, 1)], 85);
    let rise = reactions(&ramp(), &late, 1).swap_remove(0);
    assert_eq!((rise.first, rise.most, rise.replicas), (None, None, 38), "asked for and never there");
    assert!(reactions(&ramp(), &Series::default(), 1).is_empty());
    let broken_off = run(&[(0, 1, 1), (6_000, 38, 38)], 40);
    assert_eq!(reactions(&ramp(), &broken_off, 1).len(), 1, "the load never fell");
}
