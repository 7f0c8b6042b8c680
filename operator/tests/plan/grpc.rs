//! GRPCRoutes: rules for services and methods, and who has a port when HTTPRoutes want it as well.

use penstock_operator::plan::Plan;

use super::support::{behind, deployment, findings, grpc_route, http_route, listener, plan_of, routes, service};

const BACKEND: &str = "backendRefs: [{name: a, group: runtime.wasmcloud.dev, kind: WorkloadDeployment}]";
const PARENT: &str = "parentRefs: [{group: '', kind: Service, name: s}]";

fn text(plan: &Plan, listener_name: &str) -> String {
    routes(listener(plan, listener_name)).join("\n")
}

#[test]
fn services_and_methods_are_paths() {
    for (matches, want) in [
        ("{method: {service: a.B, method: C}}", "/a.B/C "),
        ("{method: {service: a.B}}", "/a.B "),
        ("{method: {method: C}}", "/[^/]+/C "),
        ("{method: {type: RegularExpression, service: 'a|b'}}", "/(?:a|b)/[^/]+ "),
    ] {
        let route = grpc_route("r", &format!("hostnames: [a.example], rules: [{{matches: [{matches}], {BACKEND}}}]"));
        let plan = plan_of(&(deployment("a", "", "") + &route));
        let text = text(&plan, "shared");
        assert!(text.contains(want) && text.ends_with("default/a*1"), "{matches}: {text}");
        assert_eq!(findings(&plan), Vec::<String>::new());
    }
}

#[test]
fn an_expression_that_is_none_is_told_at_its_field() {
    let rules = format!("rules: [{{matches: [{{method: {{type: RegularExpression, service: '('}}}}], {BACKEND}}}]");
    let plan = plan_of(&(deployment("a", "", "") + &grpc_route("r", &rules)));
    assert_eq!(findings(&plan), ["GRPCRoute default/r spec.rules[0].matches[0].method UnsupportedValue"]);
}

#[test]
fn a_port_has_routes_of_one_kind() {
    let ports = "{name: one, port: 80}, {name: two, port: 81}";
    let base = deployment("a", "", &behind("s")) + &service("s", ports);
    let rules = format!("{PARENT}, rules: [{{{BACKEND}}}]");
    let http = http_route("h", &rules);
    for (parent, rejected, said) in [
        (PARENT.to_owned(), ["one", "two"].as_slice(), Some("HTTPRoute default/h spec.parentRefs[0] Conflicted")),
        (PARENT.replace("name: s", "name: s, port: 80"), &["one"], Some("HTTPRoute default/h  Conflicted")),
        (PARENT.replace("name: s", "name: t"), &[], None),
    ] {
        let grpc = grpc_route("g", &rules.replace(PARENT, &parent));
        let plan = plan_of(&(base.clone() + &http + &grpc + &service("t", ports)));
        for port in ["one", "two"] {
            let text = text(&plan, &format!("default/s:{port}"));
            assert_eq!(text.contains("default/h"), !rejected.contains(&port), "{parent} {port}: {text}");
            assert_eq!(text.contains("default/g"), rejected.contains(&port), "{parent} {port}: {text}");
        }
        assert_eq!(findings(&plan), Vec::from_iter(said), "{parent}");
    }
}
