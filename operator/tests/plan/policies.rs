//! Traffic policies that rules name.

use penstock_api::snapshot::RulePolicy;
use penstock_operator::plan::Plan;

use super::support::{deployment, findings, http_route, listener, plan_of};

fn own(name: &str) -> String {
    format!("{{type: ExtensionRef, extensionRef: {{group: penstock.dev, kind: TrafficPolicy, name: {name}}}}}")
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: penstock.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )
}

/// One rule with these fields and a backend, and these policies.
fn planned(fields: &str, policies: &[(&str, &str)]) -> Plan {
    let backends = "backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: a}]";
    let policies: String = policies.iter().map(|(name, spec)| policy(name, spec)).collect();
    let route = http_route("r", &format!("hostnames: [a.example], rules: [{{{fields}, {backends}}}]"));
    plan_of(&(deployment("a", "", "") + &route + &policies))
}

fn rule_policy(plan: &Plan) -> Option<RulePolicy> {
    let routes = &listener(plan, "shared").routes;
    let route = routes.iter().find(|it| it.name == "default/r").expect("the route");
    route.rules[0].policy.as_deref().cloned()
}

#[test]
fn a_rule_has_what_its_policy_says() {
    let plan = planned(&format!("filters: [{}]", own("slow")), &[("slow", "rateLimit: {requests: 7, per: 1m}")]);
    let found = rule_policy(&plan).expect("a policy");
    assert_eq!((found.rule.as_str(), found.rate_limit.map(|it| it.requests)), ("HTTPRoute default/r #0", Some(7)));
    assert_eq!(findings(&plan), [""; 0]);
    let named = planned(&format!("name: x, filters: [{}]", own("slow")), &[("slow", "rateLimit: {requests: 7}")]);
    assert_eq!(rule_policy(&named).expect("a policy").rule, "HTTPRoute default/r x", "a name does not move");
    assert_eq!(rule_policy(&planned("name: x", &[("slow", "rateLimit: {requests: 7}")])), None);
}

#[test]
fn policies_that_say_different_things_are_one() {
    let filters = format!("filters: [{}, {}]", own("slow"), own("small"));
    let plan = planned(&filters, &[("slow", "rateLimit: {requests: 1}"), ("small", "limits: {requestBody: 1Ki}")]);
    let found = rule_policy(&plan).expect("a policy");
    assert_eq!(found.rate_limit.map(|it| it.requests), Some(1));
    let limits = found.limits.expect("limits");
    assert_eq!((limits.request_body.map(|it| it.bytes()), limits.response_body), (Some(1024), None));
    assert_eq!(findings(&plan), [""; 0]);
}

/// Gateway API: such a route answers with an error; no filter is skipped.
#[test]
fn a_reference_that_leads_nowhere_makes_the_rule_fail() {
    let limit = ("slow", "rateLimit: {requests: 7}");
    for (filters, finding) in [
        (own("nobody"), "filters[0].extensionRef BackendNotFound"),
        (own("slow").replace("penstock.dev", "example.com"), "filters[0].extensionRef InvalidKind"),
        (format!("{}, {}", own("slow"), own("slow")), "filters[1].extensionRef UnsupportedValue"),
    ] {
        let plan = planned(&format!("filters: [{filters}]"), &[limit]);
        let routes = &listener(&plan, "shared").routes;
        let rule = &routes.iter().find(|it| it.name == "default/r").expect("the route").rules[0];
        assert_eq!((rule.backends.len(), rule.policy.as_ref()), (0, None), "{filters}");
        assert_eq!(findings(&plan), [format!("HTTPRoute default/r spec.rules[0].{finding}")], "{filters}");
    }
}

#[test]
fn a_backend_has_no_policy_of_its_own() {
    let backend =
        format!("{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: a, filters: [{}]}}", own("slow"));
    let route = http_route("r", &format!("hostnames: [a.example], rules: [{{backendRefs: [{backend}]}}]"));
    let plan = plan_of(&(deployment("a", "", "") + &route + &policy("slow", "rateLimit: {requests: 7}")));
    assert_eq!(
        findings(&plan),
        ["HTTPRoute default/r spec.rules[0].backendRefs[0].filters[0].extensionRef UnsupportedValue"]
    );
}
