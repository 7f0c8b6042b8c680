//! Header modifiers: Gateway API's conformance cases, then what its text says beside them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use http::{HeaderMap, HeaderName, HeaderValue};
use penstock_router::filter::{FilterError, HeaderModifier};

type Pairs = &'static [(&'static str, &'static str)];

fn modifier(set: Pairs, add: Pairs, remove: &[&'static str]) -> Result<HeaderModifier, FilterError> {
    HeaderModifier::new(set.iter().copied(), add.iter().copied(), remove.iter().copied())
}

fn headers(pairs: Pairs) -> HeaderMap {
    let pair = |(name, value): &(&str, &'static str)| {
        let name: HeaderName = name.parse().expect("a header name");
        (name, HeaderValue::from_static(value))
    };
    let mut headers = HeaderMap::new();
    headers.extend(pairs.iter().map(pair));
    headers
}

/// Name and values joined by commas, sorted by name: how the conformance suite compares.
fn joined(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
    let mut all: Vec<_> = headers
        .keys()
        .map(|name| (name.to_string(), headers.get_all(name).iter().map(text).collect::<Vec<_>>().join(",")))
        .collect();
    all.sort();
    all
}

struct Case {
    name: &'static str,
    set: Pairs,
    add: Pairs,
    remove: &'static [&'static str],
    before: Pairs,
    after: Pairs,
}

const SET: Pairs = &[("X-Header-Set", "set-overwrites-values")];
const ADD: Pairs = &[("X-Header-Add", "add-appends-values")];

/// httproute-request-header-modifier and httproute-response-header-modifier are the same cases on either side.
const CASES: [Case; 11] = [
    Case {
        name: "set: absent before",
        set: SET,
        add: &[],
        remove: &[],
        before: &[("Some-Other-Header", "val")],
        after: &[("some-other-header", "val"), ("x-header-set", "set-overwrites-values")],
    },
    Case {
        name: "set: overwrites",
        set: SET,
        add: &[],
        remove: &[],
        before: &[("Some-Other-Header", "val"), ("X-Header-Set", "some-other-value")],
        after: &[("some-other-header", "val"), ("x-header-set", "set-overwrites-values")],
    },
    Case {
        name: "add: absent before",
        set: &[],
        add: ADD,
        remove: &[],
        before: &[("Some-Other-Header", "val")],
        after: &[("some-other-header", "val"), ("x-header-add", "add-appends-values")],
    },
    Case {
        name: "add: appends",
        set: &[],
        add: ADD,
        remove: &[],
        before: &[("Some-Other-Header", "val"), ("X-Header-Add", "some-other-value")],
        after: &[("some-other-header", "val"), ("x-header-add", "some-other-value,add-appends-values")],
    },
    Case {
        name: "remove: present before",
        set: &[],
        add: &[],
        remove: &["X-Header-Remove"],
        before: &[("X-Header-Remove", "val")],
        after: &[],
    },
    Case {
        name: "multiple",
        set: &[("X-Header-Set-1", "header-set-1"), ("X-Header-Set-2", "header-set-2")],
        add: &[
            ("X-Header-Add-1", "header-add-1"),
            ("X-Header-Add-2", "header-add-2"),
            ("X-Header-Add-3", "header-add-3"),
        ],
        remove: &["X-Header-Remove-1", "X-Header-Remove-2"],
        before: &[
            ("X-Header-Set-2", "set-val-2"),
            ("X-Header-Add-2", "add-val-2"),
            ("X-Header-Remove-2", "remove-val-2"),
            ("Another-Header", "another-header-val"),
        ],
        after: &[
            ("another-header", "another-header-val"),
            ("x-header-add-1", "header-add-1"),
            ("x-header-add-2", "add-val-2,header-add-2"),
            ("x-header-add-3", "header-add-3"),
            ("x-header-set-1", "header-set-1"),
            ("x-header-set-2", "header-set-2"),
        ],
    },
    Case {
        name: "case-insensitivity",
        set: &[("X-Header-Set", "header-set")],
        add: &[("X-Header-Add", "header-add")],
        remove: &["X-Header-Remove"],
        before: &[
            ("x-header-set", "original-val-set"),
            ("x-header-add", "original-val-add"),
            ("x-header-remove", "original-val-remove"),
            ("Another-Header", "another-header-val"),
        ],
        after: &[
            ("another-header", "another-header-val"),
            ("x-header-add", "original-val-add,header-add"),
            ("x-header-set", "header-set"),
        ],
    },
    Case {
        name: "the text's example of add",
        set: &[],
        add: &[("my-header", "bar,baz")],
        remove: &[],
        before: &[("my-header", "foo")],
        after: &[("my-header", "foo,bar,baz")],
    },
    Case {
        name: "the text's example of remove",
        set: &[],
        add: &[],
        remove: &["my-header1", "my-header3"],
        before: &[("my-header1", "foo"), ("my-header2", "bar"), ("my-header3", "baz")],
        after: &[("my-header2", "bar")],
    },
    Case {
        name: "set and remove act on every line of a name",
        set: &[("a", "new")],
        add: &[],
        remove: &["b"],
        before: &[("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")],
        after: &[("a", "new")],
    },
    Case {
        name: "remove: absent before",
        set: &[],
        add: &[],
        remove: &["x"],
        before: &[("a", "1")],
        after: &[("a", "1")],
    },
];

#[test]
fn modifies_as_the_conformance_tests_expect() {
    for case in &CASES {
        let modifier = modifier(case.set, case.add, case.remove).expect(case.name);
        let mut headers = headers(case.before);
        modifier.apply(&mut headers).expect(case.name);
        let wanted: Vec<_> = case.after.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(joined(&headers), wanted, "{}", case.name);
    }
}

#[test]
fn an_added_value_is_a_line_of_its_own() {
    let modifier = modifier(&[], &[("Set-Cookie", "b=2")], &[]).expect("valid");
    let mut headers = headers(&[("Set-Cookie", "a=1")]);
    modifier.apply(&mut headers).expect("room");
    assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[test]
fn refuses_what_cannot_be() {
    let name = |name: &str| FilterError::HeaderName { name: name.to_owned() };
    let twice = |name: &str| FilterError::HeaderTwice { name: name.to_owned() };
    let framing = |name: &str| FilterError::HeaderFraming { name: name.to_owned() };
    type Table = [(&'static str, Result<HeaderModifier, FilterError>, FilterError); 12];
    let table: Table = [
        ("empty name", modifier(&[("", "v")], &[], &[]), name("")),
        ("space in a name", modifier(&[], &[("a b", "v")], &[]), name("a b")),
        ("colon in a name", modifier(&[], &[], &[":authority"]), name(":authority")),
        ("not ASCII", modifier(&[], &[], &["é"]), name("é")),
        (
            "line break",
            modifier(&[("X-A", "a\r\nb: c")], &[], &[]),
            FilterError::HeaderValue { name: "x-a".to_owned() },
        ),
        ("set twice", modifier(&[("x-a", "1"), ("X-A", "2")], &[], &[]), twice("x-a")),
        ("set and added", modifier(&[("x-a", "1")], &[("X-A", "2")], &[]), twice("x-a")),
        ("added and removed", modifier(&[], &[("X-A", "2")], &["x-a"]), twice("x-a")),
        ("host", modifier(&[("Host", "example.org")], &[], &[]), FilterError::HeaderHost),
        ("content-length", modifier(&[("Content-Length", "1")], &[], &[]), framing("content-length")),
        ("transfer-encoding", modifier(&[], &[], &["Transfer-Encoding"]), framing("transfer-encoding")),
        ("connection", modifier(&[], &[("connection", "close")], &[]), framing("connection")),
    ];
    for (case, result, wanted) in table {
        assert_eq!(result, Err(wanted), "{case}");
    }
}

#[test]
fn refusals_say_what_to_write() {
    let text = |result: Result<HeaderModifier, FilterError>| result.expect_err("refused").to_string();
    assert_eq!(
        text(modifier(&[("Host", "a")], &[], &[])),
        "header `host` cannot be modified as a header: use a URLRewrite filter with `hostname`"
    );
    assert_eq!(
        text(modifier(&[("a", "1"), ("A", "2")], &[], &[])),
        "header `a` is named twice: one filter may set, add or remove a header only once (separate several values by commas)"
    );
}

#[test]
fn a_full_map_is_an_error_and_not_a_panic() {
    let mut headers = HeaderMap::new();
    for number in 0..40_000 {
        let name: HeaderName = format!("x-{number}").parse().expect("a name");
        if headers.try_insert(name, HeaderValue::from_static("v")).is_err() {
            break;
        }
    }
    let error = modifier(&[], ADD, &[]).expect("valid").apply(&mut headers).expect_err("full");
    assert_eq!(error.cause, penstock_router::Cause::HeadersTooLarge);
}
