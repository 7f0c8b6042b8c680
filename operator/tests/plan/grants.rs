//! ReferenceGrants: who may lead to another namespace's workloads.

use super::support::{deployment, findings, grant, grpc_route, http_route, listener, plan_of, routes};

const BACKEND: &str =
    "rules: [{backendRefs: [{name: b, namespace: other, group: runtime.wasmcloud.dev, kind: WorkloadDeployment}]}]";

/// Where the route leads, and the reasons of what is said.
fn planned(route: &str, grants: &str) -> (String, Vec<String>) {
    let plan = plan_of(&(deployment("other/b", "", "") + route + grants));
    let text = routes(listener(&plan, "shared")).join("\n");
    let said = findings(&plan).iter().map(|it| it.rsplit(' ').next().unwrap_or_default().to_owned()).collect();
    (text.rsplit("-> ").next().unwrap_or_default().to_owned(), said)
}

#[test]
fn a_grant_is_for_a_kind_a_namespace_and_a_name() {
    let route = |write: fn(&str, &str) -> String| write("r", &format!("hostnames: [a.example], {BACKEND}"));
    let (http, grpc) = (route(http_route), route(grpc_route));
    for (route, grants, permitted) in [
        (&http, String::new(), false),
        (&http, grant("other", "HTTPRoute default", "*"), true),
        (&http, grant("other", "HTTPRoute default", "b"), true),
        (&http, grant("other", "HTTPRoute default", "a"), false),
        (&http, grant("other", "HTTPRoute elsewhere", "*"), false),
        (&http, grant("other", "GRPCRoute default", "*"), false),
        (&http, grant("default", "HTTPRoute default", "*"), false),
        (&http, grant("other", "HTTPRoute default", "*").replace("kind: WorkloadDeployment", "kind: Workload"), false),
        (&http, grant("other", "HTTPRoute default", "*").replace("runtime.wasmcloud.dev", "apps"), false),
        (&http, grant("other", "HTTPRoute default", "*").replace("io/v1", "io/v1beta1"), true),
        (&grpc, grant("other", "GRPCRoute default", "*"), true),
        (&grpc, grant("other", "HTTPRoute default", "*"), false),
    ] {
        let want = if permitted { ("other/b*1", vec![]) } else { ("*1", vec!["RefNotPermitted".to_owned()]) };
        assert_eq!(planned(route, &grants), (want.0.to_owned(), want.1), "{grants}");
    }
}
