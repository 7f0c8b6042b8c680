//! Matching by path, header and method, and which match comes first.

use ::http::Method;

use super::{
    ask::{Ask, ask, get},
    case::{Case, Route, V1, V2, V3},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        simple("HTTPRouteSimpleSameNamespace"),
        matching("HTTPRouteMatching"),
        across_routes(),
        exact_path(),
        path_order(),
        headers("HTTPRouteHeaderMatching"),
        methods(),
        named_rule("HTTPRouteNamedRule"),
    ]
}

/// Paths with the backend that answers; none: 404.
pub(crate) fn by_path(table: &[(&'static str, Option<&'static str>)]) -> Vec<Ask> {
    table.iter().map(|&(path, backend)| comes(get(path), backend)).collect()
}

/// The backend that answers; none: 404.
pub(crate) fn comes(ask: Ask, backend: Option<&'static str>) -> Ask {
    match backend {
        Some(backend) => ask.from(backend),
        None => ask.status(404),
    }
}

pub(crate) fn simple(name: &'static str) -> Case {
    Case::new(name).http("- backendRefs: [{$v1}]").ask(get("/").from(V1))
}

pub(crate) fn matching(name: &'static str) -> Case {
    let rules = "
- matches: [{path: {type: PathPrefix, value: /}}, {headers: [{name: version, value: one}]}]
  backendRefs: [{$v1}]
- matches: [{path: {type: PathPrefix, value: /v2}}, {headers: [{name: version, value: two}]}]
  backendRefs: [{$v2}]";
    Case::new(name)
        .http(rules)
        .asks(by_path(&[
            ("/", Some(V1)),
            ("/example", Some(V1)),
            ("/v2", Some(V2)),
            ("/v2/example", Some(V2)),
            ("/v2/", Some(V2)),
            // Not an element of its own.
            ("/v2example", Some(V1)),
            ("/foo/v2/example", Some(V1)),
        ]))
        .ask(get("/").with(&[("version", "one")]).from(V1))
        .ask(get("/").with(&[("version", "two")]).from(V2))
}

fn across_routes() -> Case {
    let both = "
- matches: [{path: {type: PathPrefix, value: /}}, {headers: [{name: version, value: one}]}]
  backendRefs: [{$v1}]";
    let one = "
- matches: [{path: {type: PathPrefix, value: /v2}}, {headers: [{name: version, value: two}]}]
  backendRefs: [{$v2}]";
    let com = |path| get(path).host("example.com");
    let net = |path| get(path).host("example.net");
    Case::new("HTTPRouteMatchingAcrossRoutes")
        .route(Route::http(both).named("both").hosts(&["example.com", "example.net"]))
        .route(Route::http(one).named("one").hosts(&["example.com"]))
        .asks([
            com("/").from(V1),
            com("/example").from(V1),
            net("/example").from(V1),
            com("/example").with(&[("version", "one")]).from(V1),
            com("/v2").from(V2),
            // The second route is not about this host.
            net("/v2").from(V1),
            com("/v2/example").from(V2),
            com("/").with(&[("version", "two")]).from(V2),
        ])
}

fn exact_path() -> Case {
    let rules = "
- matches: [{path: {type: Exact, value: /one}}]
  backendRefs: [{$v1}]
- matches: [{path: {type: Exact, value: /two}}]
  backendRefs: [{$v2}]";
    Case::new("HTTPRouteExactPathMatching").http(rules).asks(by_path(&[
        ("/one", Some(V1)),
        ("/two", Some(V2)),
        ("/", None),
        ("/one/example", None),
        ("/two/", None),
        ("/Two", None),
    ]))
}

fn path_order() -> Case {
    let rules = "
- matches: [{path: {type: Exact, value: /match}}]
  backendRefs: [{$v1}]
- matches: [{path: {type: Exact, value: /match/exact}}]
  backendRefs: [{$v2}]
- matches: [{path: {type: Exact, value: /match/exact/one}}]
  backendRefs: [{$v3}]
- matches: [{path: {type: PathPrefix, value: /match/}}]
  backendRefs: [{$v3}]
- matches: [{path: {type: PathPrefix, value: /match/prefix/}}]
  backendRefs: [{$v1}]
- matches: [{path: {type: PathPrefix, value: /match/prefix/one}}]
  backendRefs: [{$v2}]";
    Case::new("HTTPRoutePathMatchOrder").http(rules).asks(by_path(&[
        ("/match/exact/one", Some(V3)),
        ("/match/exact", Some(V2)),
        ("/match", Some(V1)),
        ("/match/prefix/one/any", Some(V2)),
        ("/match/prefix/any", Some(V1)),
        ("/match/any", Some(V3)),
    ]))
}

/// Rules for the headers `version` and `color`, for both kinds of routes.
pub(crate) const VERSION_AND_COLOR: &str = "
- matches: [{headers: [{name: version, value: one}]}]
  backendRefs: [{$v1}]
- matches: [{headers: [{name: version, value: two}]}]
  backendRefs: [{$v2}]
- matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}]
  backendRefs: [{$v1}]
- matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}]
  backendRefs: [{$v1}]
- matches: [{headers: [{name: color, value: red}]}, {headers: [{name: color, value: yellow}]}]
  backendRefs: [{$v2}]";

/// Headers, and who answers; none: nobody does.
type ByHeader = (&'static [(&'static str, &'static str)], Option<&'static str>);

/// What comes of [`VERSION_AND_COLOR`].
pub(crate) const BY_HEADER: &[ByHeader] = &[
    (&[("version", "one")], Some(V1)),
    (&[("version", "two")], Some(V2)),
    (&[("version", "two"), ("color", "orange")], Some(V1)),
    (&[("version", "two"), ("color", "blue")], Some(V2)),
    (&[("color", "orange")], None),
    (&[("some-other-header", "one")], None),
    (&[("color", "blue")], Some(V1)),
    (&[("color", "green")], Some(V1)),
    (&[("color", "red")], Some(V2)),
    (&[("color", "yellow")], Some(V2)),
    (&[("color", "purple")], None),
];

fn headers(name: &'static str) -> Case {
    let asks = BY_HEADER.iter().map(|(headers, backend)| comes(get("/").with(headers), *backend));
    Case::new(name).http(VERSION_AND_COLOR).asks(asks)
}

fn methods() -> Case {
    let rules = "
- matches: [{method: POST}]
  backendRefs: [{$v1}]
- matches: [{method: GET}]
  backendRefs: [{$v2}]
- matches: [{path: {type: PathPrefix, value: /path1}, method: GET}]
  backendRefs: [{$v1}]
- matches: [{headers: [{name: version, value: one}], method: PUT}]
  backendRefs: [{$v2}]
- matches: [{path: {type: PathPrefix, value: /path2}, headers: [{name: version, value: two}], method: POST}]
  backendRefs: [{$v3}]
- matches:
  - {path: {type: PathPrefix, value: /path3}, method: PATCH}
  - {path: {type: PathPrefix, value: /path4}, headers: [{name: version, value: three}], method: DELETE}
  backendRefs: [{$v1}]
- matches: [{path: {type: PathPrefix, value: /path5}}]
  backendRefs: [{$v1}]
- matches: [{method: PATCH}]
  backendRefs: [{$v2}]
- matches: [{headers: [{name: version, value: four}]}]
  backendRefs: [{$v3}]";
    Case::new("HTTPRouteMethodMatching").http(rules).asks([
        ask(Method::POST, "/").from(V1),
        get("/").from(V2),
        ask(Method::HEAD, "/").status(404),
        // Together with other conditions.
        get("/path1").from(V1),
        ask(Method::PUT, "/").with(&[("version", "one")]).from(V2),
        ask(Method::POST, "/path2").with(&[("version", "two")]).from(V3),
        // One of two matches is enough.
        ask(Method::PATCH, "/path3").from(V1),
        ask(Method::DELETE, "/path4").with(&[("version", "three")]).from(V1),
        // A part of a match is not.
        ask(Method::PUT, "/").status(404),
        ask(Method::DELETE, "/path4").status(404),
        // The path counts more than the method, and that more than headers.
        ask(Method::PATCH, "/path5").from(V1),
        ask(Method::PATCH, "/").with(&[("version", "four")]).from(V2),
    ])
}

pub(crate) fn named_rule(name: &'static str) -> Case {
    let rules = "
- name: named-rule
  matches: [{path: {type: PathPrefix, value: /named}}]
  backendRefs: [{$v1}]
- matches: [{path: {type: PathPrefix, value: /unnamed}}]
  backendRefs: [{$v2}]";
    Case::new(name).http(rules).asks(by_path(&[("/named", Some(V1)), ("/unnamed", Some(V2))]))
}
