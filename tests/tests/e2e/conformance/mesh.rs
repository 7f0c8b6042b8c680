//! The tests of meshes, where a Service has workloads of its own and routes lead its requests elsewhere.

use super::{
    ask::{call, get},
    case::{Case, Front, Route, V1, V2},
    grpc::ECHO,
    headers::{REQUEST, of_backends, of_rules, requests},
    matching::{matching, named_rule, simple},
    query, redirects, rewrites, weights,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        basic(),
        split(),
        ports(),
        frontend(),
        frontend_by_address(),
        simple("MeshHTTPRouteSimpleSameNamespace").behind(),
        matching("MeshHTTPRouteMatching").behind(),
        named_rule("MeshHTTPRouteNamedRule").behind(),
        Case::new("MeshHTTPRouteQueryParamMatching").behind().http(query::RULES).asks(query::asks()),
        Case::new("MeshHTTPRouteRequestHeaderModifier").behind().http(&of_rules(REQUEST)).asks(requests()),
        Case::new("MeshHTTPRouteBackendRequestHeaderModifier").behind().http(&of_backends(REQUEST)).asks(requests()),
        Case::new("MeshHTTPRouteRewritePath").behind().http(&rewrites::path_rules()).asks(rewrites::paths()),
    ];
    let see_other = get("/redirect").redirects(303, "http://conformance.example/redirect");
    for (name, rules, asks) in [
        ("MeshHTTPRoute303Redirect", &[("/redirect", "statusCode: 303")][..], vec![see_other]),
        ("MeshHTTPRoute307Redirect", redirects::code(307), redirects::asked(307)),
        ("MeshHTTPRoute308Redirect", redirects::code(308), redirects::asked(308)),
        ("MeshHTTPRouteRedirectHostAndStatus", redirects::HOST_AND_STATUS, redirects::host_and_status()),
        ("MeshHTTPRouteRedirectPath", redirects::PATH, redirects::path()),
        ("MeshHTTPRouteRedirectPort", redirects::PORT, redirects::port()),
        ("MeshHTTPRouteSchemeRedirect", redirects::SCHEME, redirects::scheme()),
    ] {
        cases.push(Case::new(name).behind().http(&redirects::rules(rules)).asks(asks));
    }
    let weight = |name| Case::new(name).behind();
    cases.push(weight("MeshHTTPRouteWeight").http(&weights::rules(false)).ask(get("/")).then(weights::http_shares));
    cases.push(weight("MeshGRPCRouteWeight").grpc(&weights::rules(true)).ask(call(ECHO)).then(weights::grpc_shares));
    cases
}

/// No route at all.
fn basic() -> Case {
    Case::new("MeshBasic").behind().ask(get("/").from("meshbasic"))
}

fn split() -> Case {
    let rules = "
- matches: [{path: {type: Exact, value: /v1}}]
  backendRefs: [{$v1}]
- matches: [{path: {type: Exact, value: /v2}}]
  backendRefs: [{$v2}]";
    Case::new("MeshTrafficSplit").behind().http(rules).asks([get("/v1").from(V1), get("/v2").from(V2)])
}

/// A route that sets a header of the response, and leads to a workload.
fn marked(mark: &str, backend: &str) -> String {
    let filter = format!(
        "{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: X-Header-Set, value: {mark}}}]}}}}"
    );
    format!("- filters: [{filter}]\n  backendRefs: [{{{backend}}}]\n")
}

/// A reference to the Service's own workload.
fn own(name: &str) -> String {
    format!("group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: {name}")
}

fn ports() -> Case {
    let ports = [("http", 80, None), ("alternative", 8080, None)];
    let (one, two) = ("meshports", "meshports-two");
    Case::new("MeshPorts")
        .fronts([Front::new("").ports(&ports).behind(), Front::new("two").ports(&ports).behind()])
        .route(Route::http(&marked("v1", &own(one))).parents(&[("", "port: 80")]))
        .route(Route::http(&marked("v2", &own(two))).named("two").parents(&[("two", "")]))
        .asks([
            get("/").from(one).answers("x-header-set", &["v1"]),
            // The route is not about this port.
            get("/").port(8080).from(one).answers_no("x-header-set"),
            get("/").to("two").from(two).answers("x-header-set", &["v2"]),
            get("/").to("two").port(8080).from(two).answers("x-header-set", &["v2"]),
        ])
}

/// Two Services that lead to one workload, one of them by a route with a filter. Where the suite dials a pod, which
/// workloads have none of, the other Service is asked.
fn frontend() -> Case {
    Case::new("MeshFrontend")
        .fronts([Front::new("").behind(), Front::new("other")])
        .route(Route::http(&marked("set", &own("meshfrontend"))))
        .route(
            Route::http(&format!("- backendRefs: [{{{}}}]", own("meshfrontend")))
                .named("other")
                .parents(&[("other", "")]),
        )
        .asks([
            get("/").from("meshfrontend").answers("x-header-set", &["set"]),
            get("/").to("other").from("meshfrontend").answers_no("x-header-set"),
        ])
}

/// What counts is the address that was dialled, whatever the host says.
fn frontend_by_address() -> Case {
    let (one, other) = ("meshfrontendhostname", "meshfrontendhostname-other");
    Case::new("MeshFrontendHostname")
        .fronts([Front::new("").behind(), Front::new("other").behind()])
        .route(Route::http(&marked("set", &own(one))))
        .asks([
            get("/").host(other).from(one).answers("x-header-set", &["set"]),
            get("/").to("other").host(one).from(other).answers_no("x-header-set"),
        ])
}
