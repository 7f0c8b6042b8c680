//! Which of several matches wins, and what is said of the others: the ties that Gateway API's specification orders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use penstock_router::route::{Decider, Lost, Route, RouteTable};

use crate::notation::{ask, check, route, with_key};

fn made(created: Option<i64>, route: Route<&'static str>) -> Route<&'static str> {
    Route { created, ..route }
}

#[test]
fn a_hostname_goes_before_everything_else() {
    let routes = vec![
        route("n/any", &[], &[(&["=/a/b GET x=1 ?q=1"], "any")]),
        route("n/short", &["*.test"], &[(&["=/a/b GET x=1"], "short")]),
        route("n/long", &["*.a.test"], &[(&["=/a/b"], "long"), (&["/z"], "long-z")]),
        route("n/exact", &["b.a.test"], &[(&["/a"], "exact")]),
    ];
    check(
        routes,
        &[
            ("b.a.test/a/b?q=1 x=1", Some("exact")),
            ("c.a.test/a/b?q=1 x=1", Some("long")),
            ("c.test/a/b?q=1 x=1", Some("short")),
            ("c.other/a/b?q=1 x=1", Some("any")),
            // What the exact hostname has no match for falls through to the wildcards, and from there to every host.
            ("b.a.test/z", Some("long-z")),
            ("c.test/a/b?q=1", None),
            ("a.test/a/b x=1", Some("short")),
        ],
    );
}

#[test]
fn a_candidate_that_asks_in_vain_gives_way_to_the_next() {
    let rules: &[(&[&str], &str)] = &[
        (&["=/a/b x=1"], "exact"),
        (&["~/a/.* x=2"], "regex"),
        (&["/a/b POST"], "long"),
        (&["/a ?q=1"], "short"),
        (&["/"], "root"),
    ];
    check(
        vec![route("n/r", &[], rules)],
        &[
            ("POST h/a/b?q=1 x=1", Some("exact")),
            ("POST h/a/b?q=1 x=2", Some("regex")),
            ("POST h/a/b?q=1", Some("long")),
            ("h/a/b?q=1", Some("short")),
            ("h/a/b", Some("root")),
        ],
    );
}

#[test]
fn ties_go_to_the_oldest_then_the_first_name_then_the_first_rule() {
    let rules: &[(&[&str], &str)] = &[(&["/x", "/a", "/a"], "rule 0"), (&["/a"], "rule 1")];
    let tie = |created, name| made(created, route(name, &[], rules));
    let winner = |routes: Vec<Route<&'static str>>| {
        let table = RouteTable::compile(routes);
        with_key("h/a", |key| table.find(key).map(|found| (found.route.to_string(), found.rule))).unwrap()
    };
    let cases = [
        (vec![tie(Some(2), "a/a"), tie(Some(1), "z/z")], "z/z"),
        (vec![tie(None, "a/a"), tie(Some(9), "z/z")], "z/z"),
        (vec![tie(Some(1), "b/a"), tie(Some(1), "a/z")], "a/z"),
        (vec![tie(None, "b/a"), tie(None, "a/z")], "a/z"),
        (vec![tie(Some(-5), "b/a"), tie(Some(0), "a/z")], "b/a"),
    ];
    for (mut routes, wanted) in cases {
        assert_eq!(winner(routes.clone()), (wanted.to_owned(), 0));
        routes.reverse();
        assert_eq!(winner(routes), (wanted.to_owned(), 0), "the order of the input must not matter");
    }
}

#[test]
fn counts_outrank_age_in_their_order() {
    let cases = [
        ("/a x=1 y=1 ?q=1", "/a GET", "new"),
        ("/a x=1 ?q=1 ?r=1", "/a x=1 y=1", "new"),
        ("/a x=1", "/a x=1 ?q=1", "new"),
        ("/a x=1", "/a y=1", "old"),
    ];
    for (old, new, wanted) in cases {
        let old = made(Some(1), route("a/old", &[], &[(&[old], "old")]));
        let table = RouteTable::compile(vec![made(Some(2), route("z/new", &[], &[(&[new], "new")])), old]);
        assert_eq!(ask(&table, "h/a?q=1&r=1 x=1 y=1"), Some(wanted), "{new}");
    }
}

#[test]
fn only_the_first_header_or_parameter_of_a_name_counts() {
    let rules: &[(&[&str], &str)] =
        &[(&["/a x=1 X=2 x=3"], "three"), (&["/a x=1 y=1"], "two"), (&["/b ?q=1 ?q=2"], "query")];
    check(
        vec![route("n/r", &[], rules)],
        &[
            ("h/a x=1", Some("three")),
            ("h/a x=1 y=1", Some("two")),
            ("h/a x=2", None),
            ("h/b?q=1", Some("query")),
            ("h/b?q=2", None),
        ],
    );
}

#[test]
fn any_line_of_a_repeated_header_may_match() {
    check(vec![route("n/r", &[], &[(&["x=2"], "hit")])], &[("h/ x=1 x=2", Some("hit")), ("h/ x=1,2", None)]);
}

#[test]
fn many_matches_of_one_path_keep_their_order() {
    // Enough to be told apart by a table of values: by tenant, then by version, with expressions and plain ones between.
    let actions: Vec<&'static str> = (0..40).map(|n| &*Box::leak(format!("t{n}").into_boxed_str())).collect();
    let texts: Vec<String> =
        (0..40).map(|n| format!("/api tenant={}", n / 8) + &format!(" version={}", n % 8)).collect();
    let mut routes: Vec<_> = (0..40).map(|n| route(&format!("n/{n:02}"), &[], &[(&[&texts[n]], actions[n])])).collect();
    routes.push(route("n/0", &[], &[(&["/api tenant~[34] version~[5-9]"], "expression")]));
    routes.push(route(
        "n/z",
        &[],
        &[(&["/api tenant=2"], "tenant 2"), (&["/api ?debug=1"], "debug"), (&["PUT /api"], "get")],
    ));
    check(
        routes,
        &[
            ("h/api tenant=0 version=0", Some("t0")),
            ("h/api tenant=1 version=5", Some("t13")),
            ("h/api tenant=3 version=5", Some("expression")),
            ("h/api tenant=3 version=4", Some("t28")),
            ("POST h/api tenant=2 version=9", Some("tenant 2")),
            ("POST h/api?debug=1 tenant=9", Some("debug")),
            // A method goes before any number of headers.
            ("PUT h/api/x tenant=9", Some("get")),
            ("POST h/api tenant=9", None),
            ("POST h/api tenant=9 tenant=1 version=0 version=7", Some("t8")),
        ],
    );
}

#[test]
fn explain_names_what_decided() {
    let routes = vec![
        route("n/host", &["other.test"], &[(&["/"], "-")]),
        route("n/win", &["a.test"], &[(&["/a GET x=1 ?q=1"], "win")]),
        route(
            "n/loses",
            &["a.test"],
            &[
                (&["=/b"], "-"),
                (&["/a POST"], "-"),
                (&["/a x=2"], "-"),
                (&["/a ?q=2"], "-"),
                (&["/a GET x=1"], "-"),
                (&["/a GET"], "-"),
                (&["/a"], "-"),
                (&["/"], "-"),
            ],
        ),
        made(Some(9), route("n/young", &["a.test"], &[(&["/a GET x=1 ?q=1"], "-")])),
        route("n/zz", &["a.test"], &[(&["/a GET x=1 ?q=1", "/a GET x=1 ?q=1"], "-")]),
        route("n/any", &[], &[(&["=/a"], "-")]),
    ];
    let table = RouteTable::compile(routes);
    let explanation = with_key("a.test/a?q=1 x=1", |key| table.explain(key));
    assert_eq!(explanation.winner.as_ref().unwrap().to_string(), "n/win rule 0: a.test GET /a/* x=1 ?q=1");
    let lost = |route: &str, rule: usize| {
        let mut found =
            explanation.losers.iter().filter(|loser| loser.candidate.route == route && loser.candidate.rule == rule);
        found.next().unwrap().lost.clone()
    };
    for (route, rule, wanted) in [
        ("n/host", 0, Lost::Host),
        ("n/loses", 0, Lost::Path),
        ("n/loses", 1, Lost::Method),
        ("n/loses", 2, Lost::Header("x".into())),
        ("n/loses", 3, Lost::Query("q".into())),
        ("n/loses", 4, Lost::Precedence(Decider::QueryCount)),
        ("n/loses", 5, Lost::Precedence(Decider::HeaderCount)),
        ("n/loses", 6, Lost::Precedence(Decider::Method)),
        ("n/loses", 7, Lost::Precedence(Decider::PathLength)),
        ("n/young", 0, Lost::Precedence(Decider::Age)),
        ("n/zz", 0, Lost::Precedence(Decider::Name)),
        ("n/any", 0, Lost::Precedence(Decider::Hostname)),
    ] {
        assert_eq!(lost(route, rule), wanted, "{route} {rule}\n{explanation}");
    }
    assert!(
        explanation
            .to_string()
            .contains("loses  n/young rule 0: a.test GET /a/* x=1 ?q=1: lower precedence: its route is younger")
    );
}

#[test]
fn rows_stand_in_the_order_of_precedence_and_duplicates_are_told() {
    let routes = vec![
        route("n/b", &["*.test", "a.test"], &[(&["/a x=1 y=2", "=/a"], "b")]),
        route("n/c", &["a.test"], &[(&["/a y=2 x=1", "/a x=1"], "c")]),
        route("n/a", &[], &[(&[], "a")]),
    ];
    let table = RouteTable::compile(routes);
    let rows: Vec<_> =
        table.rows().map(|row| format!("{} {} {} {}", row.host_text(), row.matches, row.route, row.rule)).collect();
    let wanted = [
        "a.test =/a n/b 0",
        "a.test /a/* x=1 y=2 n/b 0",
        "a.test /a/* y=2 x=1 n/c 0",
        "a.test /a/* x=1 n/c 0",
        "*.test =/a n/b 0",
        "*.test /a/* x=1 y=2 n/b 0",
        "* /* n/a 0",
    ];
    assert_eq!(rows, wanted);
    let shadowed: Vec<_> = table.shadowed().into_iter().map(|s| (s.host, s.matches, s.route, s.by_route)).collect();
    assert_eq!(shadowed, [("a.test".into(), "/a/* y=2 x=1".into(), "n/c".into(), "n/b".into())]);
}
