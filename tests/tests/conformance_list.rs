//! `docs/conformance.md` says of every test of Gateway API's conformance suite what becomes of it here, and the cases of
//! `e2e/conformance` are those that it says pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unused_imports, reason = "only the names are looked at; e2e.rs plays the cases")]
#[path = "e2e/conformance/cases.rs"]
mod cases;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rows of the document's tables: a name, a state, and why.
fn rows() -> Vec<(String, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let text = fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", name, state, why, ""] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|it| it.strip_suffix('`'))
        {
            rows.push((name.to_owned(), state.to_owned(), why.to_owned()));
        }
    }
    rows
}

fn named(rows: &[(String, String, String)], state: &str) -> BTreeSet<String> {
    rows.iter().filter(|it| it.1 == state).map(|it| it.0.clone()).collect()
}

#[test]
fn what_the_document_says_passes_is_played_and_the_other_way_round() {
    let rows = rows();
    let played: BTreeSet<String> = cases::all().into_iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(named(&rows, "pass"), played);
}

#[test]
fn the_document_names_each_test_once_and_gives_reasons() {
    let rows = rows();
    let mut counted: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, state, why) in &rows {
        *counted.entry(name).or_default() += 1;
        assert!(["pass", "not yet", "not applicable"].contains(&&**state), "{name}: {state}");
        assert!(state == "pass" || !why.is_empty(), "{name} is {state}: why?");
    }
    let twice: Vec<_> = counted.iter().filter(|it| *it.1 > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    // Of v1.6.3, without the groups that have a line together.
    let of = |prefix: &str| counted.keys().filter(|it| it.starts_with(prefix)).count();
    assert_eq!((of("HTTPRoute"), of("GRPC"), of("Mesh")), (54, 5, 22));
}

#[test]
fn a_case_is_named_once_and_asks_for_something() {
    let cases = cases::all();
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(case.name), "{} is there twice", case.name);
        assert!(!case.asks.is_empty() || case.then.is_some(), "{} asks for nothing", case.name);
    }
}
