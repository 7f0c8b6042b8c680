//! The cases of Gateway API's HTTPRoute conformance tests that are about matching, one test for each of its manifests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use penstock_router::route::{HostPattern, Route};

use crate::notation::{check, route};

const V1: Option<&str> = Some("v1");
const V2: Option<&str> = Some("v2");
const V3: Option<&str> = Some("v3");

#[test]
fn http_route_matching() {
    let routes = vec![route("infra/matching", &[], &[(&["/", "version=one"], "v1"), (&["/v2", "version=two"], "v2")])];
    check(
        routes,
        &[
            ("x/", V1),
            ("x/example", V1),
            ("x/ version=one", V1),
            ("x/v2", V2),
            ("x/v2/example", V2),
            ("x/ version=two", V2),
            // Stated by the specification: by element, whatever the trailing slash.
            ("x/v2/", V2),
            ("x/v2example", V1),
        ],
    );
}

#[test]
fn http_route_matching_across_routes() {
    let routes = vec![
        route("infra/matching-part1", &["example.com", "example.net"], &[(&["/", "version=one"], "v1")]),
        route("infra/matching-part2", &["example.com"], &[(&["/v2", "version=two"], "v2")]),
    ];
    check(
        routes,
        &[
            ("example.com/", V1),
            ("example.com/example", V1),
            ("example.net/example", V1),
            ("example.com/example version=one", V1),
            ("example.com/v2", V2),
            ("example.net/v2", V1),
            ("example.com/v2/example", V2),
            ("example.com/ version=two", V2),
        ],
    );
}

#[test]
fn http_route_path_match_order() {
    let rules: &[(&[&str], &str)] = &[
        (&["=/match"], "v1"),
        (&["/match/prefix/one"], "v2"),
        (&["=/match/exact/one"], "v3"),
        (&["/match/prefix"], "v1"),
        (&["=/match/exact"], "v2"),
        (&["/match"], "v3"),
    ];
    check(
        vec![route("infra/path-matching-order", &[], rules)],
        &[
            ("x/match/exact/one", V3),
            ("x/match/exact", V2),
            ("x/match", V1),
            ("x/match/prefix/one/any", V2),
            ("x/match/prefix/any", V1),
            ("x/match/any", V3),
        ],
    );
}

#[test]
fn http_exact_path_matching() {
    check(
        vec![route("infra/exact-matching", &[], &[(&["=/one"], "v1"), (&["=/two"], "v2")])],
        &[("x/one", V1), ("x/two", V2), ("x/", None), ("x/one/example", None), ("x/two/", None), ("x/Two", None)],
    );
}

#[test]
fn http_route_header_matching() {
    let rules: &[(&[&str], &str)] = &[
        (&["version=one"], "v1"),
        (&["version=two"], "v2"),
        (&["version=two color=orange"], "v1"),
        (&["color=blue", "color=green"], "v1"),
        (&["color=red", "color=yellow"], "v2"),
    ];
    check(
        vec![route("infra/header-matching", &[], rules)],
        &[
            ("x/ Version=one", V1),
            ("x/ Version=two", V2),
            ("x/ Version=two Color=orange", V1),
            // Both rules ask for one header, so the first in the list wins.
            ("x/ Version=two Color=blue", V2),
            ("x/ Color=orange", None),
            ("x/ Some-Other-Header=one", None),
            ("x/ Color=blue", V1),
            ("x/ Color=green", V1),
            ("x/ Color=red", V2),
            ("x/ Color=yellow", V2),
            ("x/ Color=purple", None),
        ],
    );
}

#[test]
fn http_route_method_matching() {
    let rules: &[(&[&str], &str)] = &[
        (&["POST"], "v1"),
        (&["GET"], "v2"),
        (&["GET /path1"], "v1"),
        (&["PUT version=one"], "v2"),
        (&["POST /path2 version=two"], "v3"),
        (&["PATCH /path3", "DELETE /path4 version=three"], "v1"),
        (&["/path5"], "v1"),
        (&["PATCH"], "v2"),
        (&["version=four"], "v3"),
    ];
    check(
        vec![route("infra/method-matching", &[], rules)],
        &[
            ("POST x/", V1),
            ("GET x/", V2),
            ("HEAD x/", None),
            // With other matches.
            ("GET x/path1", V1),
            ("PUT x/ version=one", V2),
            ("POST x/path2 version=two", V3),
            // Joined by OR.
            ("PATCH x/path3", V1),
            ("DELETE x/path4 version=three", V1),
            // Joined by AND.
            ("PUT x/", None),
            ("DELETE x/path4", None),
            // Path before method before header.
            ("PATCH x/path5", V1),
            ("PATCH x/ version=four", V2),
        ],
    );
}

#[test]
fn http_route_query_param_matching() {
    let rules: &[(&[&str], &str)] = &[
        (&["?animal=whale"], "v1"),
        (&["?animal=dolphin"], "v2"),
        (&["?animal=dolphin ?color=blue", "?ANIMAL=Whale"], "v3"),
        (&["/path1 ?animal=whale"], "v1"),
        (&["version=one ?animal=whale"], "v2"),
        (&["/path2 version=two ?animal=whale"], "v3"),
        (&["/path3 ?animal=shark", "/path4 version=three ?animal=kraken"], "v1"),
        (&["/path5"], "v1"),
        (&["?animal=hydra"], "v2"),
        (&["version=four"], "v3"),
    ];
    check(
        vec![route("infra/query-param-matching", &[], rules)],
        &[
            ("x/?animal=whale", V1),
            ("x/?animal=dolphin", V2),
            ("x/?animal=dolphin&color=blue", V3),
            ("x/?ANIMAL=Whale", V3),
            ("x/?animal=whale&otherparam=irrelevant", V1),
            ("x/?animal=dolphin&color=yellow", V2),
            ("x/?color=blue", None),
            ("x/?animal=dog", None),
            ("x/?animal=whaledolphin", None),
            ("x/", None),
            // With other matches.
            ("x/path1?animal=whale", V1),
            ("x/?animal=whale version=one", V2),
            ("x/path2?animal=whale version=two", V3),
            // Joined by OR.
            ("x/path3?animal=shark", V1),
            ("x/path4?animal=kraken version=three", V1),
            // Joined by AND.
            ("x/?animal=shark", None),
            ("x/path4?animal=kraken", None),
            // Path before header before query.
            ("x/path5?animal=hydra", V1),
            ("x/?animal=hydra version=four", V3),
        ],
    );
}

/// What a Gateway's listeners leave of routes: each route's hostnames, cut to what a listener has in common with them.
fn attach(listeners: &[&str], routes: Vec<Route<&'static str>>) -> Vec<Route<&'static str>> {
    let listeners: Vec<HostPattern> = listeners.iter().map(|host| host.parse().unwrap()).collect();
    let cut = |hosts: &[HostPattern]| {
        hosts
            .iter()
            .flat_map(|host| listeners.iter().filter_map(|listener| host.intersection(listener)))
            .collect::<Vec<_>>()
    };
    routes
        .into_iter()
        .map(|route| Route { hostnames: cut(&route.hostnames), ..route })
        .filter(|route| !route.hostnames.is_empty())
        .collect()
}

#[test]
fn http_route_hostname_intersection() {
    let listeners = ["very.specific.com", "*.wildcard.io", "*.anotherwildcard.io"];
    let routes = vec![
        route(
            "infra/specific-host-matches-listener-specific-host",
            &["non.matching.com", "*.nonmatchingwildcard.io", "very.specific.com"],
            &[(&["/s1"], "v1")],
        ),
        route(
            "infra/specific-host-matches-listener-wildcard-host",
            &["non.matching.com", "wildcard.io", "foo.wildcard.io", "bar.wildcard.io", "foo.bar.wildcard.io"],
            &[(&["/s2"], "v2")],
        ),
        route(
            "infra/wildcard-host-matches-listener-specific-host",
            &["non.matching.com", "*.specific.com"],
            &[(&["/s3"], "v3")],
        ),
        route("infra/wildcard-host-matches-listener-wildcard-host", &["*.anotherwildcard.io"], &[(&["/s4"], "v1")]),
        route("infra/no-intersecting-hosts", &["specific.but.wrong.com", "wildcard.io"], &[(&["/s5"], "v2")]),
    ];
    let attached = attach(&listeners, routes);
    assert_eq!(attached.len(), 4, "no-intersecting-hosts attaches to no listener");
    check(
        attached,
        &[
            ("very.specific.com/s1", V1),
            ("very.specific.com:1234/s1", V1),
            ("non.matching.com/s1", None),
            ("foo.nonmatchingwildcard.io/s1", None),
            ("foo.wildcard.io/s1", None),
            ("very.specific.com/non-matching-prefix", None),
            ("foo.wildcard.io/s2", V2),
            ("bar.wildcard.io/s2", V2),
            ("foo.bar.wildcard.io/s2", V2),
            ("non.matching.com/s2", None),
            ("wildcard.io/s2", None),
            ("very.specific.com/s2", None),
            ("foo.wildcard.io/non-matching-prefix", None),
            ("very.specific.com/s3", V3),
            ("non.matching.com/s3", None),
            ("foo.specific.com/s3", None),
            ("foo.wildcard.io/s3", None),
            ("very.specific.com/non-matching-prefix", None),
            ("foo.anotherwildcard.io/s4", V1),
            ("bar.anotherwildcard.io/s4", V1),
            ("foo.bar.anotherwildcard.io/s4", V1),
            ("anotherwildcard.io/s4", None),
            ("foo.wildcard.io/s4", None),
            ("very.specific.com/s4", None),
            ("foo.anotherwildcard.io/non-matching-prefix", None),
            ("specific.but.wrong.com/s5", None),
            ("wildcard.io/s5", None),
        ],
    );
}

#[test]
fn http_route_hostname_intersection_with_a_listener_of_every_host() {
    let hosts = ["first.com", "sub.first.com", "second.com", "sub.second.com"];
    check(
        vec![route("infra/httproute-hostname-intersection-all", &hosts, &[(&["/"], "v2")])],
        &[
            ("first.com/", V2),
            ("sub.first.com/", V2),
            ("second.com/", V2),
            ("sub.second.com/", V2),
            ("third.com/", None),
            ("sub.third.com/", None),
        ],
    );
}

#[test]
fn http_route_listener_hostname_matching() {
    // A route without hostnames serves its listener's.
    let routes = vec![
        route("infra/backend-v1", &["bar.com"], &[(&[], "v1")]),
        route("infra/backend-v2", &["foo.bar.com"], &[(&[], "v2")]),
        route("infra/backend-v3", &["*.bar.com", "*.foo.com"], &[(&[], "v3")]),
    ];
    check(
        routes,
        &[
            ("bar.com/", V1),
            ("foo.bar.com/", V2),
            ("baz.bar.com/", V3),
            ("boo.bar.com/", V3),
            ("multiple.prefixes.bar.com/", V3),
            ("multiple.prefixes.foo.com/", V3),
            ("foo.com/", None),
            ("no.matching.host/", None),
        ],
    );
}
