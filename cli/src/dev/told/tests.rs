use serde_json::json;

use super::*;

fn settled(broken: &[(&str, &str)], advice: &[(&str, &str)]) -> Settled {
    let problems = |all: &[(&str, &str)]| {
        let mut files: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
        for (file, message) in all {
            files.entry((*file).into()).or_default().push(Problem::of_file(file, *message));
        }
        files
    };
    Settled { broken: problems(broken), advice: problems(advice), ..Settled::default() }
}

fn edited(files: &[&str]) -> BTreeSet<String> {
    files.iter().map(ToString::to_string).collect()
}

#[test]
fn a_broken_file_is_told_when_it_is_new_or_other_or_edited() {
    let mut told = Told::default();
    let mut broken = |now: &[(&str, &str)], files: &[&str]| -> (Vec<String>, Vec<String>) {
        let news = told.problems(&settled(now, &[]), &edited(files));
        (news.broken.into_keys().collect(), news.fixed.into_iter().collect())
    };
    let none: (Vec<String>, Vec<String>) = (vec![], vec![]);
    assert_eq!(broken(&[("a", "1")], &["a"]), (vec!["a".into()], vec![]));
    assert_eq!(broken(&[("a", "1")], &["b"]), none);
    assert_eq!(broken(&[("a", "1")], &["a"]), (vec!["a".into()], vec![]), "saved again");
    assert_eq!(broken(&[("a", "2")], &["b"]), (vec!["a".into()], vec![]), "in another way");
    assert_eq!(broken(&[], &["a"]), (vec![], vec!["a".into()]));
    assert_eq!(broken(&[], &["a"]), none);
}

#[test]
fn advice_is_told_once() {
    let mut told = Told::default();
    let mut advice = |now: &[(&str, &str)]| -> Vec<String> {
        told.problems(&settled(&[], now), &edited(&["a"])).advice.into_iter().map(|it| it.message).collect()
    };
    assert_eq!(advice(&[("a", "1"), ("b", "2")]), ["1", "2"]);
    assert_eq!(advice(&[("a", "1"), ("b", "3")]), ["3"]);
    assert_eq!(advice(&[]), [""; 0]);
}

fn failure(share: &str, message: &str) -> Failure {
    Failure {
        share: share.into(),
        workload: "default/a".into(),
        files: BTreeSet::new(),
        problem: Problem::of_file("a.yaml", message),
    }
}

fn status(share: &str, state: &str) -> HostStatus {
    serde_json::from_value(json!({
        "version": 1,
        "shares": {share: {
            "deployment": "default/a", "revision": "1", "state": state, "replicas": 1, "capacity": 1, "inFlight": 0,
            "queued": 0, "shed": 0, "idleInstances": 0, "startedInstances": 0, "reusedInstances": 0, "trapped": 0,
            "cpuMs": 0}},
        "listeners": {"shared": {"errors": ["no port"], "generation": 1, "matches": 0}},
    }))
    .unwrap()
}

#[test]
fn a_failure_is_told_once_and_its_end_too() {
    let mut told = Told::default();
    let mut events = Vec::new();
    for message in ["x", "x", "y", "x"] {
        told.failed(&[failure("a@1", message)], |event| events.push(format!("{event:?}")));
        told.recovered(&status("a@1", "Loading"), |event| events.push(format!("{event:?}")));
    }
    assert_eq!(events.len(), 2, "{events:?}");
    let mut recovered = 0;
    told.recovered(&status("a@1", "Ready"), |_| recovered += 1);
    told.recovered(&status("a@1", "Ready"), |_| recovered += 1);
    assert_eq!(recovered, 1);
    told.failed(&[failure("a@1", "x")], |event| events.push(format!("{event:?}")));
    assert_eq!(events.len(), 3, "it failed anew");
    told.recovered(&status("b@1", "Ready"), |_| recovered += 1);
    assert_eq!(recovered, 1, "it is gone, which is no recovery");
}

#[test]
fn trouble_with_a_listener_is_told_once() {
    let mut told = Told::default();
    let mut messages = Vec::new();
    for _ in 0..2 {
        told.listeners(&status("a@1", "Ready"), |message| messages.push(message));
    }
    assert_eq!(messages, ["listener shared: no port"]);
}
