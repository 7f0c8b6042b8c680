//! A listener for each port of a Service.

use super::support::{behind, deployment, findings, http, http_route, listener, plan_of, routes, service};

const BACKEND: &str = "{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: a}";

#[test]
fn one_workload_gets_everything_on_every_port() {
    let yaml = service("s", "{name: http, port: 80}, {name: admin, port: 81}, {name: dns, port: 53, protocol: UDP}")
        + &deployment("a", &http("host: a.example, path: /api"), &behind("s"));
    let plan = plan_of(&yaml);
    for name in ["default/s:http", "default/s:admin"] {
        assert_eq!(routes(listener(&plan, name)), ["default/a []:  -> default/a*1"]);
        assert_eq!(listener(&plan, name).address, format!("listener of {name}"));
    }
    assert_eq!(findings(&plan), ["Service default/s spec.ports[2] NoServicePort"]);
    assert_eq!(plan.snapshot.listeners.len(), 3);
}

#[test]
fn the_service_is_named_in_either_place() {
    let nested = deployment("a", &behind("s"), "");
    let plan = plan_of(&(service("s", "{port: 80}") + &nested));
    assert_eq!(routes(listener(&plan, "default/s:80")), ["default/a []:  -> default/a*1"]);
    let plan = plan_of(&nested);
    assert_eq!(
        findings(&plan),
        ["WorkloadDeployment default/a spec.template.spec.kubernetes.service.name ServiceNotFound"]
    );
}

#[test]
fn several_are_told_apart_and_the_oldest_gets_the_rest() {
    let yaml = service("s", "{port: 80}")
        + &deployment("z@2026-01-01", &http("host: z.example"), &behind("s"))
        + &deployment("a@2026-02-01", &http("host: a.example"), &behind("s"))
        + &deployment("b@2026-03-01", &http("host: a.example"), &behind("s"))
        + &deployment("elsewhere", &http("host: a.example"), "")
        + &deployment("other/x", "", &behind("s"));
    let plan = plan_of(&yaml);
    assert_eq!(
        routes(listener(&plan, "default/s:80")),
        [
            "default/z [z.example]:  -> default/z*1",
            "default/z []:  -> default/z*1",
            "default/a [a.example]:  -> default/a*1",
            "default/b [a.example]:  -> default/b*1",
        ]
    );
    let said = findings(&plan);
    assert!(said.contains(&"WorkloadDeployment default/b  AmbiguousService".to_owned()), "{said:?}");
    assert!(!said.iter().any(|it| it.contains("default/a  AmbiguousService")), "{said:?}");
}

#[test]
fn of_two_that_nothing_tells_apart_the_oldest_wins() {
    let yaml =
        service("s", "{port: 80}") + &deployment("a", "", &behind("s")) + &deployment("b@2026-01-01", "", &behind("s"));
    let plan = plan_of(&yaml);
    let want = ["default/b []:  -> default/b*1", "default/a []:  -> default/a*1"];
    assert_eq!(routes(listener(&plan, "default/s:80")), want);
    assert_eq!(findings(&plan), ["WorkloadDeployment default/a  AmbiguousService"]);
}

#[test]
fn a_route_speaks_for_the_workloads_that_it_names() {
    let route = |parent: &str| {
        let match_x = "matches: [{path: {value: /x}}]";
        http_route(
            "r",
            &format!(
                "parentRefs: [{{group: '', kind: Service, name: s{parent}}}], rules: [{{{match_x}, backendRefs: [{BACKEND}]}}]"
            ),
        )
    };
    let base = service("s", "{name: one, port: 80}, {name: two, port: 81}") + &deployment("a", "", &behind("s"));
    let plan = plan_of(&(base.clone() + &route("")));
    assert_eq!(routes(listener(&plan, "default/s:one")), ["default/r []: /x -> default/a*1"]);

    for parent in [", sectionName: two", ", port: 81"] {
        let plan = plan_of(&(base.clone() + &route(parent)));
        assert_eq!(routes(listener(&plan, "default/s:one")), ["default/a []:  -> default/a*1"], "{parent}");
        assert_eq!(routes(listener(&plan, "default/s:two")), ["default/r []: /x -> default/a*1"], "{parent}");
    }
    let plan = plan_of(&(base + &route(", port: 82")));
    assert_eq!(findings(&plan), ["HTTPRoute default/r spec.parentRefs[0] NoMatchingParent"]);
}

#[test]
fn a_route_speaks_for_the_service_whoever_is_behind() {
    let rules = |rules: &str| {
        http_route("r", &format!("parentRefs: [{{group: '', kind: Service, name: s}}], rules: [{rules}]"))
    };
    let base = service("s", "{port: 80}") + &deployment("a", "", "") + &deployment("b@2026-01-01", "", &behind("s"));
    for (rule, want) in [
        (format!("{{backendRefs: [{BACKEND}]}}"), "default/r []:  -> default/a*1"),
        (
            format!("{{matches: [{{path: {{value: /x}}}}], backendRefs: [{BACKEND}]}}"),
            "default/r []: /x -> default/a*1",
        ),
    ] {
        let plan = plan_of(&(base.clone() + &rules(&rule)));
        assert_eq!(routes(listener(&plan, "default/s:80")), [want]);
        assert_eq!(findings(&plan), Vec::<String>::new());
    }
}

#[test]
fn a_service_with_only_a_route_has_a_listener() {
    let route = http_route(
        "r",
        &format!("parentRefs: [{{group: '', kind: Service, name: s}}], rules: [{{backendRefs: [{BACKEND}]}}]"),
    );
    let plan =
        plan_of(&(service("s", "{port: 80}") + &service("unused", "{port: 80}") + &deployment("a", "", "") + &route));
    assert_eq!(routes(listener(&plan, "default/s:80")), ["default/r []:  -> default/a*1"]);
    assert_eq!(plan.snapshot.listeners.len(), 2, "a Service that nobody names has no listener");
}

#[test]
fn parents_of_other_namespaces_and_selectors_are_said() {
    let route = http_route(
        "r",
        "parentRefs: [{group: '', kind: Service, name: s, namespace: other}, {name: gateway}], rules: []",
    );
    let selected = service("s", "{port: 80}").replace("spec: {", "spec: {selector: {app: x}, ");
    let plan = plan_of(&(service("other/s", "{port: 80}") + &selected + &deployment("a", "", &behind("s")) + &route));
    assert_eq!(
        findings(&plan),
        [
            "HTTPRoute default/r spec.parentRefs[0] RefNotPermitted",
            "Service default/s spec.selector ServiceHasSelector",
        ]
    );
    assert!(plan.snapshot.listeners.iter().all(|it| it.name != "other/s:80"));
}

#[test]
fn rules_of_a_single_workload_are_all_there_is() {
    let rules = "http: {routes: [{matches: [{path: {value: /x}}]}, {hostnames: [b.example]}]}";
    let yaml =
        service("s", "{port: 80}") + &deployment("a", &format!("{} {rules}", http("host: a.example")), &behind("s"));
    // Whatever the Host header says: the Service's listener takes no hostname from the `wasi:http` entry.
    assert_eq!(
        routes(listener(&plan_of(&yaml), "default/s:80")),
        ["default/a []: /x -> default/a*1", "default/a [b.example]:  -> default/a*1"]
    );
}
