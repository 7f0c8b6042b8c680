//! Hostnames and ports. What listeners of a Gateway have of both, routes and Services have here.

use super::{
    ask::get,
    case::{Case, Front, Route, V1, V2, V3},
    matching::comes,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![intersection(), listener_hostnames(), listener_ports()]
}

/// The part of the test whose listener takes every host.
fn intersection() -> Case {
    const HOSTS: [&str; 4] = ["first.com", "sub.first.com", "second.com", "sub.second.com"];
    Case::new("HTTPRouteHostnameIntersection")
        .route(Route::http("- backendRefs: [{$v2}]").hosts(&HOSTS))
        .asks(HOSTS.map(|host| get("/").host(host).from(V2)))
        .asks(["third.com", "sub.third.com"].map(|host| get("/").host(host).status(404)))
        // A port is no part of a host.
        .ask(get("/").host("first.com:1234").from(V2))
}

/// Hosts, and who answers; none: nobody does.
pub(crate) const BY_HOST: &[(&str, Option<&str>)] = &[
    ("bar.com", Some(V1)),
    ("foo.bar.com", Some(V2)),
    ("baz.bar.com", Some(V3)),
    ("boo.bar.com", Some(V3)),
    ("multiple.prefixes.bar.com", Some(V3)),
    ("multiple.prefixes.foo.com", Some(V3)),
    ("foo.com", None),
    ("no.matching.host", None),
];

/// The routes for [`BY_HOST`].
pub(crate) fn by_host(case: Case, route: impl Fn(&'static str) -> Route) -> Case {
    case.route(route("- backendRefs: [{$v1}]").named("v1").hosts(&["bar.com"]))
        .route(route("- backendRefs: [{$v2}]").named("v2").hosts(&["foo.bar.com"]))
        .route(route("- backendRefs: [{$v3}]").named("v3").hosts(&["*.bar.com", "*.foo.com"]))
}

fn listener_hostnames() -> Case {
    let case = Case::new("HTTPRouteListenerHostnameMatching");
    by_host(case, Route::http).asks(BY_HOST.iter().map(|&(host, backend)| comes(get("/").host(host), backend)))
}

fn listener_ports() -> Case {
    let ports = [("first", 80, None), ("second", 8080, None), ("third", 8090, None)];
    let on = |rules, name, more: &'static str| Route::http(rules).named(name).parents(&[("", more)]);
    Case::new("HTTPRouteListenerPortMatching")
        .fronts([Front::new("").ports(&ports)])
        .route(on("- backendRefs: [{$v1}]", "v1", "port: 80"))
        .route(on("- backendRefs: [{$v2}]", "v2", "port: 8080"))
        .route(on("- backendRefs: [{$v3}]", "v3", "port: 8090, sectionName: third").hosts(&["foo.com"]))
        .asks([
            get("/").host("foo.com").from(V1),
            get("/").host("foo.com:8080").port(8080).from(V2),
            get("/").host("bar.com:8080").port(8080).from(V2),
            get("/").host("foo.com:8090").port(8090).from(V3),
            get("/").host("bar.com:8090").port(8090).status(404),
        ])
}
