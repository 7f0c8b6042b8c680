//! How a share leaves, and what objects are called.

use std::time::Duration;

use jiff::Timestamp;
use penstock_operator::plan::{
    Name, RevisionView,
    drain::{Leaving, LeavingFacts, next},
    names, revisions,
};
use proptest::prelude::*;

use super::fleet::id;

const DELAY: Duration = Duration::from_secs(1);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

#[test]
fn endpoint_first_then_the_share_then_nothing() {
    let facts = LeavingFacts { last_behind_a_service: true, acked: 7, ..LeavingFacts::default() };
    let step = |millis, before, facts: &LeavingFacts| next(at(millis), DELAY, before, facts);
    // Clients are told first, however long it takes to write that.
    assert_eq!(step(0, Leaving::No, &facts), (Leaving::Announced, None));
    assert_eq!(step(90_000, Leaving::Announced, &facts), (Leaving::Announced, None));
    let told = LeavingFacts { announced: Some(at(0)), ..facts };
    assert_eq!(step(400, Leaving::Announced, &told), (Leaving::Announced, Some(Duration::from_millis(600))));
    assert_eq!(step(1000, Leaving::Announced, &told), (Leaving::Released, None));
    // The clock was set back: it waits for the whole of it.
    assert_eq!(step(-5000, Leaving::Announced, &told), (Leaving::Announced, Some(DELAY)));
    // Then the host lets go, and says so.
    assert_eq!(step(2000, Leaving::Released, &told), (Leaving::Released, None));
    let without = LeavingFacts { left_out_in: Some(8), ..told };
    assert_eq!(step(2000, Leaving::Released, &without), (Leaving::Released, None));
    let done = LeavingFacts { acked: 8, ..without };
    assert_eq!(step(2000, Leaving::Released, &done), (Leaving::Gone, None));
    assert_eq!(step(2000, Leaving::Gone, &done), (Leaving::Gone, None));
}

#[test]
fn nobody_waits_for_nothing() {
    let hidden = LeavingFacts::default();
    assert_eq!(next(at(0), DELAY, Leaving::No, &hidden), (Leaving::Released, None), "another share serves on");
    assert_eq!(next(at(0), DELAY, Leaving::Announced, &hidden), (Leaving::Released, None), "it stopped serving");
    let lost = LeavingFacts { host_lost: true, last_behind_a_service: true, ..hidden };
    for before in [Leaving::No, Leaving::Announced, Leaving::Released] {
        assert_eq!(next(at(0), DELAY, before, &lost), (Leaving::Gone, None), "{before:?}");
    }
    let wanted = LeavingFacts { wanted: true, ..lost };
    for before in [Leaving::No, Leaving::Announced, Leaving::Released] {
        assert_eq!(next(at(0), DELAY, before, &wanted), (Leaving::No, None), "{before:?}");
    }
}

#[test]
fn revisions_are_numbered_as_in_apps_v1() {
    let view = |revision: &str, number, in_use| RevisionView { revision: revision.into(), number, in_use };
    let history = [view("a", 1, false), view("b", 2, false), view("c", 3, true), view("d", 4, true)];
    let got = revisions("d", &history, None);
    assert_eq!((got.number, got.create, got.renumber), (4, false, false));
    assert_eq!((got.previous.as_deref(), got.delete.len()), (Some("c"), 0));
    let got = revisions("e", &history, None);
    assert_eq!((got.number, got.create, got.previous.as_deref()), (5, true, Some("d")));
    // Going back makes an old one the newest.
    let got = revisions("a", &history, Some(1));
    assert_eq!((got.number, got.create, got.renumber, got.previous.as_deref()), (5, false, true, Some("d")));
    assert_eq!(revisions("d", &history, Some(1)).delete, ["a"]);
    assert_eq!(revisions("d", &history, Some(0)).delete, ["a", "b"], "what is in use stays");
    assert_eq!(revisions("a", &[], None).number, 1);
    // Twelve old ones: ten are kept.
    let many: Vec<RevisionView> = (1..=12).map(|it| view(&format!("r{it}"), it, false)).collect();
    assert_eq!(revisions("new", &many, None).delete, ["r1", "r2"]);
}

#[test]
fn names_are_short_enough_and_tell_apart() {
    assert_eq!(names::replica_set("app", "0123456789"), "app-0123456789");
    let workload = names::workload("app", "0123456789", &id("host-x7k2p"));
    assert!(workload.starts_with("app-0123456789-") && workload.len() == "app-0123456789-".len() + 5, "{workload}");
    assert_ne!(workload, names::workload("app", "0123456789", &id("host-x7k2q")));
    assert_eq!(names::share_id(&Name::new("default", "app"), "1"), "default/app@1");
    let long = "a".repeat(253);
    let other = format!("{}b", "a".repeat(252));
    assert!(names::replica_set(&long, "0123456789").len() <= 253);
    assert_ne!(names::replica_set(&long, "0123456789"), names::replica_set(&other, "0123456789"));
    assert!(names::label_value(&long).len() <= 63 && names::label_value(&long) != names::label_value(&other));
    let selector = names::scale_selector(&Name::new("default", "app"));
    assert_eq!(selector, "runtime.wasmcloud.dev/workload-deployment=app,runtime.wasmcloud.dev/namespace=default");
}

proptest! {
    /// Whatever the facts are and however they change: while it serves behind a Service, a share is in the snapshot until
    /// its endpoints have been announced for the whole delay; and one that is wanted is never left out.
    #[test]
    fn no_share_leaves_unannounced(
        facts in prop::collection::vec((any::<bool>(), any::<bool>(), prop::option::of(0..3000_i64)), 1..20),
    ) {
        let mut leaving = Leaving::No;
        for (step, (wanted, last_behind_a_service, announced)) in facts.into_iter().enumerate() {
            let now = i64::try_from(step).unwrap() * 500;
            let announced = announced.filter(|it| *it <= now);
            let facts =
                LeavingFacts { wanted, last_behind_a_service, announced: announced.map(at), ..LeavingFacts::default() };
            let before = leaving;
            (leaving, _) = next(at(now), DELAY, before, &facts);
            prop_assert!(!wanted || leaving.in_snapshot());
            if last_behind_a_service && before.in_snapshot() && !leaving.in_snapshot() {
                prop_assert!(announced.is_some_and(|it| now - it >= 1000));
            }
        }
    }
}
