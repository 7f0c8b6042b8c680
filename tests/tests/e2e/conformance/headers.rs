//! Filters that change headers, of requests and of responses.

use super::{
    ask::{Ask, get},
    case::{Case, V1},
};

pub(crate) fn cases() -> Vec<Case> {
    let name = "HTTPRouteRequestHeaderModifier";
    let of_backend = "HTTPRouteBackendRequestHeaderModifier";
    vec![
        Case::new(name).http(&of_rules(REQUEST)).asks(requests()),
        Case::new(of_backend).http(&of_backends(REQUEST)).asks(requests()),
        responses(),
    ]
}

/// A path, and what its rule does to headers: the filter's fields in flow style.
type Change = (&'static str, &'static str);

pub(crate) const REQUEST: &[Change] = &[
    ("/set", "set: [{name: X-Header-Set, value: set-overwrites-values}]"),
    ("/add", "add: [{name: X-Header-Add, value: add-appends-values}]"),
    ("/remove", "remove: [X-Header-Remove]"),
    ("/multiple", SEVERAL),
    (
        "/case-insensitivity",
        "set: [{name: X-Header-Set, value: header-set}], add: [{name: X-Header-Add, value: header-add}], \
         remove: [X-Header-Remove]",
    ),
];

const SEVERAL: &str = "\
    set: [{name: X-Header-Set-1, value: header-set-1}, {name: X-Header-Set-2, value: header-set-2}], \
    add: [{name: X-Header-Add-1, value: header-add-1}, {name: X-Header-Add-2, value: header-add-2}, \
    {name: X-Header-Add-3, value: header-add-3}], \
    remove: [X-Header-Remove-1, X-Header-Remove-2]";

fn filter(fields: &str) -> String {
    format!("{{type: RequestHeaderModifier, requestHeaderModifier: {{{fields}}}}}")
}

/// Rules with the filters.
pub(crate) fn of_rules(changes: &[Change]) -> String {
    let rule = |(path, fields): &Change| {
        let filter = filter(fields);
        format!("- matches: [{{path: {{value: {path}}}}}]\n  filters: [{filter}]\n  backendRefs: [{{$v1}}]\n")
    };
    changes.iter().map(rule).collect()
}

/// Rules with the filters at their backends.
pub(crate) fn of_backends(changes: &[Change]) -> String {
    let rule = |(path, fields): &Change| {
        let filter = filter(fields);
        format!("- matches: [{{path: {{value: {path}}}}}]\n  backendRefs: [{{$v1, filters: [{filter}]}}]\n")
    };
    changes.iter().map(rule).collect()
}

/// What comes of [`REQUEST`].
pub(crate) fn requests() -> Vec<Ask> {
    let to = |path| get(path).from(V1);
    vec![
        to("/set")
            .with(&[("some-other-header", "val")])
            .sees(&[("some-other-header", "val"), ("x-header-set", "set-overwrites-values")]),
        to("/set")
            .with(&[("some-other-header", "val"), ("x-header-set", "some-other-value")])
            .sees(&[("some-other-header", "val"), ("x-header-set", "set-overwrites-values")]),
        to("/add")
            .with(&[("some-other-header", "val")])
            .sees(&[("some-other-header", "val"), ("x-header-add", "add-appends-values")]),
        to("/add")
            .with(&[("some-other-header", "val"), ("x-header-add", "some-other-value")])
            .sees(&[("some-other-header", "val"), ("x-header-add", "some-other-value,add-appends-values")]),
        to("/remove").with(&[("x-header-remove", "val")]).sees_no(&["x-header-remove"]),
        to("/multiple")
            .with(&[
                ("x-header-set-2", "set-val-2"),
                ("x-header-add-2", "add-val-2"),
                ("x-header-remove-2", "remove-val-2"),
                ("another-header", "another-header-val"),
            ])
            .sees(&[
                ("x-header-set-1", "header-set-1"),
                ("x-header-set-2", "header-set-2"),
                ("x-header-add-1", "header-add-1"),
                ("x-header-add-2", "add-val-2,header-add-2"),
                ("x-header-add-3", "header-add-3"),
                ("another-header", "another-header-val"),
            ])
            .sees_no(&["x-header-remove-1", "x-header-remove-2"]),
        to("/case-insensitivity")
            .with(&[
                ("x-header-set", "original-val-set"),
                ("x-header-add", "original-val-add"),
                ("x-header-remove", "original-val-remove"),
                ("another-header", "another-header-val"),
            ])
            .sees(&[
                ("x-header-set", "header-set"),
                ("x-header-add", "original-val-add,header-add"),
                ("another-header", "another-header-val"),
            ])
            .sees_no(&["x-header-remove"]),
    ]
}

/// Filters that a request goes through before others, by which the case tells that both are applied.
pub(crate) const MODIFIED: &str = "{type: RequestHeaderModifier, requestHeaderModifier: {\
    set: [{name: X-Header-Set, value: set-overwrites-values}], \
    add: [{name: X-Header-Add, value: header-val-1}, {name: X-Header-Add-Append, value: header-val-2}], \
    remove: [X-Header-Remove]}}";

/// A request through [`MODIFIED`], and what the backend sees of it.
pub(crate) fn modified(ask: Ask) -> Ask {
    ask.with(&[("x-header-remove", "remove-val"), ("x-header-add-append", "append-val-1")])
        .sees(&[
            ("x-header-add", "header-val-1"),
            ("x-header-add-append", "append-val-1,header-val-2"),
            ("x-header-set", "set-overwrites-values"),
        ])
        .sees_no(&["x-header-remove"])
}

/// A kitchen sets one header of a response, at `/header`. So rules are told apart by a header of the request, and a case
/// with several headers is asked about one after the other.
fn responses() -> Case {
    let rule = |(name, fields): &Change| {
        let response = format!("{{type: ResponseHeaderModifier, responseHeaderModifier: {{{fields}}}}}");
        let filters = if *name == "both" { format!("{response}, {MODIFIED}") } else { response };
        let matches = format!("[{{headers: [{{name: x-case, value: {name}}}]}}]");
        format!("- matches: {matches}\n  filters: [{filters}]\n  backendRefs: [{{$v1}}]\n")
    };
    let changes = [
        ("set", "set: [{name: X-Header-Set, value: set-overwrites-values}]"),
        ("add", "add: [{name: X-Header-Add, value: add-appends-values}]"),
        ("remove", "remove: [X-Header-Remove]"),
        ("multiple", SEVERAL),
        (
            "case",
            "set: [{name: X-Header-Set, value: header-set}], add: [{name: X-Header-Add, value: header-add}, \
             {name: x-lowercase-add, value: lowercase-add}, {name: x-Mixedcase-ADD-1, value: mixedcase-add-1}, \
             {name: X-mixeDcase-add-2, value: mixedcase-add-2}, {name: X-UPPERCASE-ADD, value: uppercase-add}], \
             remove: [X-Header-Remove]",
        ),
        (
            "both",
            "set: [{name: X-Header-Set-1, value: header-set-1}, {name: X-Header-Set-2, value: header-set-2}], \
             add: [{name: X-Header-Add-1, value: header-add-1}, {name: X-Header-Add-2, value: header-add-2}], \
             remove: [X-Header-Remove-1, X-Header-Remove-2]",
        ),
    ];
    let rules: String = changes.iter().map(rule).collect();
    let mut asks = simple_responses();
    for path in [
        "/header?name=x-header-set-2&value=set-val-2",
        "/header?name=x-header-add-2&value=add-val-2",
        "/header?name=x-header-remove-1&value=val",
        "/header?name=x-header-remove-2&value=remove-val-2",
        "/header?name=another-header&value=another-header-val",
    ] {
        asks.extend([several(path, "multiple").answers("x-header-add-3", &["header-add-3"]), several(path, "both")]);
    }
    asks.push(modified(get("/").with(&[("x-case", "both")])).from(V1).answers("x-header-add-1", &["header-add-1"]));
    Case::new("HTTPRouteResponseHeaderModifier").http(&rules).asks(asks)
}

fn simple_responses() -> Vec<Ask> {
    let to = |path, case| get(path).plain().with(&[("x-case", case)]);
    let other = "/header?name=some-other-header&value=val";
    let set = "/header?name=x-header-set&value=original-val-set";
    let add = "/header?name=x-header-add&value=original-val-add";
    let remove = "/header?name=x-header-remove&value=original-val-remove";
    let shared = |ask: Ask| {
        ask.answers("x-lowercase-add", &["lowercase-add"])
            .answers("x-mixedcase-add-1", &["mixedcase-add-1"])
            .answers("x-mixedcase-add-2", &["mixedcase-add-2"])
            .answers("x-uppercase-add", &["uppercase-add"])
            .answers("x-header-set", &["header-set"])
            .answers_no("x-header-remove")
    };
    vec![
        to(other, "set").answers("some-other-header", &["val"]).answers("x-header-set", &["set-overwrites-values"]),
        to(set, "set").answers("x-header-set", &["set-overwrites-values"]),
        to(other, "add").answers("some-other-header", &["val"]).answers("x-header-add", &["add-appends-values"]),
        to(add, "add").answers("x-header-add", &["original-val-add,add-appends-values"]),
        to(remove, "remove").answers_no("x-header-remove"),
        shared(to(set, "case")).answers("x-header-add", &["header-add"]),
        shared(to(add, "case")).answers("x-header-add", &["original-val-add,header-add"]),
        shared(to(remove, "case")).answers("x-header-add", &["header-add"]),
    ]
}

/// What the rules `multiple` and `both` do alike.
fn several(path: &'static str, case: &'static str) -> Ask {
    let added: &[&str] = if path.contains("x-header-add-2") { &["add-val-2,header-add-2"] } else { &["header-add-2"] };
    let ask = get(path)
        .plain()
        .with(&[("x-case", case)])
        .answers("x-header-set-1", &["header-set-1"])
        .answers("x-header-set-2", &["header-set-2"])
        .answers("x-header-add-1", &["header-add-1"])
        .answers("x-header-add-2", added)
        .answers_no("x-header-remove-1")
        .answers_no("x-header-remove-2");
    if path.contains("another-header") { ask.answers("another-header", &["another-header-val"]) } else { ask }
}
