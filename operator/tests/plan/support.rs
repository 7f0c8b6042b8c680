//! Short ways to write manifests and to look at plans.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use penstock_api::{
    manifest::{Object, parse},
    snapshot::{Listener, Route, Share},
};
use penstock_operator::plan::{Objects, Options, Plan, ServicePort, plan};

pub(super) const SHARED: &str = "127.0.0.1:8000";

/// The objects of some YAML, which must be without errors.
pub(super) fn objects(yaml: &str) -> Vec<Object> {
    let parsed = parse("test.yaml", yaml);
    assert!(!parsed.has_errors(), "{:#?}", parsed.diagnostics);
    parsed.manifests.into_iter().map(|it| it.object).collect()
}

pub(super) fn plan_all(objects: impl IntoIterator<Item = Object>) -> Plan {
    let objects: Objects = objects.into_iter().collect();
    let address = |port: &ServicePort| Some(format!("listener of {port}"));
    let options =
        Options { version: 7, shared_address: Some(SHARED), shared_http_routes: true, service_address: &address };
    plan(&objects, &options)
}

pub(super) fn plan_of(yaml: &str) -> Plan {
    plan_all(objects(yaml))
}

/// A deployment of one component. `spec` is added to the template's spec (a flow mapping's inside), `more` to the
/// deployment's.
pub(super) fn deployment(name: &str, spec: &str, more: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let (name, created) = name.split_once('@').unwrap_or((name, ""));
    let created =
        if created.is_empty() { String::new() } else { format!(", creationTimestamp: '{created}T00:00:00Z'") };
    format!(
        "---\napiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\n\
         metadata: {{name: {name}, namespace: {namespace}{created}}}\n\
         spec: {{{more} template: {{spec: {{components: [{{name: main, image: 'registry.example/{name}:1'}}], {spec}}}}}}}\n"
    )
}

/// The `wasi:http` entry with some configuration (a flow mapping's inside).
pub(super) fn http(config: &str) -> String {
    format!(
        "hostInterfaces: [{{namespace: wasi, package: http, interfaces: [incoming-handler], config: {{{config}}}}}],"
    )
}

pub(super) fn behind(service: &str) -> String {
    format!("kubernetes: {{service: {{name: {service}}}}},")
}

pub(super) fn service(name: &str, ports: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{ports}]}}\n"
    )
}

pub(super) fn http_route(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

pub(super) fn grpc_route(name: &str, spec: &str) -> String {
    http_route(name, spec).replace("kind: HTTPRoute", "kind: GRPCRoute")
}

/// A grant in a namespace: routes of `from` (`Kind namespace`) may lead to one of its deployments, or to all (`*`).
pub(super) fn grant(namespace: &str, from: &str, to: &str) -> String {
    let (kind, other) = from.split_once(' ').unwrap_or((from, "default"));
    let name = if to == "*" { String::new() } else { format!(", name: {to}") };
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {namespace}}}\n\
         spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {other}}}], \
         to: [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment{name}}}]}}\n"
    )
}

pub(super) fn object(kind: &str, name: &str, data: &str) -> String {
    format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{data}\n")
}

pub(super) fn listener<'p>(plan: &'p Plan, name: &str) -> &'p Listener {
    let names: Vec<_> = plan.snapshot.listeners.iter().map(|it| &it.name).collect();
    plan.snapshot.listeners.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("{name} is not in {names:?}"))
}

pub(super) fn share<'p>(plan: &'p Plan, deployment: &str) -> &'p Share {
    plan.snapshot.shares.iter().find(|it| it.deployment == deployment).unwrap_or_else(|| panic!("no {deployment}"))
}

/// Routes as text: `name [hosts]: match, match -> backend*weight, ...; ...`.
pub(super) fn routes(listener: &Listener) -> Vec<String> {
    listener.routes.iter().map(route).collect()
}

fn route(route: &Route) -> String {
    let rules: Vec<String> = route
        .rules
        .iter()
        .map(|rule| {
            let paths: Vec<String> = rule
                .matches
                .iter()
                .map(|it| it.path.as_ref().map_or_else(|| "any".to_owned(), |it| it.value.clone()))
                .collect();
            let backends: Vec<String> = rule
                .backends
                .iter()
                .map(|it| {
                    let component = it.component.as_ref().map(|it| format!("#{it}")).unwrap_or_default();
                    format!("{}{component}*{}", it.deployment, it.weight)
                })
                .collect();
            format!("{} -> {}", paths.join("|"), backends.join(" "))
        })
        .collect();
    format!("{} [{}]: {}", route.name, route.hostnames.join(" "), rules.join("; "))
}

/// `kind name path reason` of every finding.
pub(super) fn findings(plan: &Plan) -> Vec<String> {
    let text = |it: &penstock_operator::plan::Finding| {
        format!("{} {}/{} {} {}", it.object.kind, it.object.namespace, it.object.name, it.path, it.reason)
    };
    plan.findings.iter().map(text).collect()
}
