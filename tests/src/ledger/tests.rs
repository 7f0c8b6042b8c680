use std::time::Duration;

use super::*;

/// Moments in milliseconds.
struct Clock(Instant);

impl Clock {
    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }

    /// `r1` until 100..102, `r2` until 200..201, then `r1` again.
    fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::starting("r1", self.at(0));
        timeline.note("r2", self.at(100), self.at(102));
        timeline.note("r1", self.at(200), self.at(201));
        timeline
    }

    fn entry(&self, id: u64, revision: &str, start: u64, end: u64) -> Entry {
        Entry {
            id,
            echoed: Some(id),
            start: self.at(start),
            end: self.at(end),
            status: Some(StatusCode::OK),
            revision: Some(revision.into()),
            failure: None,
        }
    }
}

#[test]
fn a_revision_may_answer_while_it_is_current() {
    let clock = Clock(Instant::now());
    let timeline = clock.timeline();
    let cases = [
        // revision, start, end, allowed
        ("r1", 0, 10, true),
        ("r1", 90, 110, true),   // began before the swap: keeps the table it started with
        ("r1", 101, 110, true),  // the swap was not over yet
        ("r1", 103, 110, false), // old revision after the swap: stale
        ("r2", 90, 99, false),   // new revision before the swap: from the future
        ("r2", 90, 100, true),
        ("r2", 150, 160, true),
        ("r2", 201, 210, true),
        ("r2", 202, 210, false),
        ("r1", 150, 199, false),
        ("r1", 150, 200, true),
        ("r1", 900, 901, true),
        ("r3", 0, 901, false),
    ];
    for (revision, start, end, allowed) in cases {
        let verdict = timeline.judge(Terms::echoed(1), &[clock.entry(0, revision, start, end)]);
        assert_eq!(verdict.is_clean(), allowed, "{revision} {start}..{end}: {verdict}");
    }
}

#[test]
fn an_answer_counts_exactly_once() {
    let clock = Clock(Instant::now());
    let entries = [0, 1, 1, 3, 9].map(|id| clock.entry(id, "r1", 0, 1));
    let verdict = clock.timeline().judge(Terms::all(6), &entries);
    assert_eq!(
        verdict.violations(),
        [
            Violation::Repeated { id: 1, times: 2 },
            Violation::Invented { id: 9 },
            Violation::Missing { id: 2 },
            Violation::Missing { id: 4 },
            Violation::Missing { id: 5 },
        ]
    );
    assert_eq!(clock.timeline().judge(Terms::all(2), &[]).violations().len(), 2);
}

#[test]
fn what_backends_saw_counts_exactly_once_too() {
    assert_eq!(reached_once(3, [2, 0, 1]), []);
    assert_eq!(
        reached_once(3, [0, 0, 7]),
        [
            Violation::Repeated { id: 0, times: 2 },
            Violation::Invented { id: 7 },
            Violation::Missing { id: 1 },
            Violation::Missing { id: 2 },
        ]
    );
}

#[test]
fn failures_statuses_and_mix_ups_are_told_apart() {
    let clock = Clock(Instant::now());
    let good = |id| clock.entry(id, "r1", 1, 2);
    let entries = [
        good(0),
        Entry { failure: Some("no answer: reset".into()), status: None, ..good(1) },
        Entry { status: Some(StatusCode::BAD_GATEWAY), ..good(2) },
        Entry { echoed: Some(0), ..good(3) },
        Entry { revision: None, ..good(4) },
        clock.entry(5, "r2", 10, 20),
    ];
    let verdict = clock.timeline().judge(Terms::echoed(6), &entries);
    assert_eq!(
        verdict.to_string(),
        "1 right answers by 1 revisions, 2 swaps, 5 violations\
         \n  1 answered by a revision that was not current\
         \n    request 5 (10.000 ms to 20.000 ms): by r2, current only from 100.000 ms to 201.000 ms\
         \n  1 answered without naming a revision\
         \n    request 4\
         \n  1 failed\
         \n    request 1 (1.000 ms to 2.000 ms): no answer: reset\
         \n  1 given another request's answer\
         \n    request 3: the answer carries id 0\
         \n  1 wrong status\
         \n    request 2 (1.000 ms to 2.000 ms): 502 Bad Gateway"
    );
    assert!(verdict.clean().is_err());
}
