//! From HTTPRoutes to routes.

use std::collections::{BTreeMap, BTreeSet};

use penstock_api::{
    HttpRoute, hostname,
    manifest::ObjectKey,
    reasons,
    route::{HttpBackendRef, HttpRouteRule, ParentReference},
    snapshot::{Route, RouteBackend, RouteRule},
};

use super::{Findings, Name, Objects, convert, unit};

/// An HTTPRoute, ready to be put into a listener.
#[derive(Clone, Debug)]
pub(super) struct Attached<'a> {
    pub(super) object: ObjectKey,
    pub(super) parents: &'a [ParentReference],
    pub(super) route: Route,
    /// The deployments among its backends.
    pub(super) deployments: BTreeSet<String>,
}

/// All HTTPRoutes. `known` are the deployments that there are.
pub(super) fn all<'a>(
    objects: &'a Objects,
    known: &BTreeSet<String>,
    findings: &mut Findings,
) -> BTreeMap<Name, Attached<'a>> {
    let convert = |(name, route): (&Name, &'a HttpRoute)| (name.clone(), one(name, route, known, findings));
    objects.routes.iter().map(convert).collect()
}

fn one<'a>(name: &Name, route: &'a HttpRoute, known: &BTreeSet<String>, findings: &mut Findings) -> Attached<'a> {
    let object = unit::key("HTTPRoute", name);
    let mut hostnames = Vec::new();
    for (index, host) in route.spec.hostnames.iter().enumerate() {
        match hostname::check(host) {
            Ok(()) => hostnames.push(host.to_ascii_lowercase()),
            Err(error) => {
                let path = format!("spec.hostnames[{index}]");
                findings.error(&object, path, reasons::INVALID_HOSTNAME, format!("`{host}`: {error}"));
            }
        }
    }
    // A route none of whose hostnames is valid must not become one for every host.
    let nothing = hostnames.is_empty() && !route.spec.hostnames.is_empty();
    let mut rules = Vec::new();
    for (index, it) in route.spec.rules.iter().enumerate().filter(|_| !nothing) {
        rules.extend(rule(it, &object, &format!("spec.rules[{index}]"), known, findings));
    }
    // A route without rules has the default one, which has no backend.
    if route.spec.rules.is_empty() && !nothing {
        rules.push(RouteRule::default());
    }
    let backends = rules.iter().flat_map(|it| &it.backends);
    let deployments = backends.map(|it| it.deployment.clone()).filter(|it| !it.is_empty()).collect();
    let route_for = Route { name: name.to_string(), created: unit::created(&route.metadata), hostnames, rules };
    Attached { object, parents: &route.spec.parent_refs, route: route_for, deployments }
}

fn rule(
    rule: &HttpRouteRule,
    object: &ObjectKey,
    at: &str,
    known: &BTreeSet<String>,
    findings: &mut Findings,
) -> Option<RouteRule> {
    for (field, value) in [("retry", &rule.retry), ("sessionPersistence", &rule.session_persistence)] {
        if value.is_some() {
            let message = format!("{field} is not supported yet, the rule works without it");
            findings.warn(object, format!("{at}.{field}"), reasons::NOT_SUPPORTED, message);
        }
    }
    let matches = convert::matches(&rule.matches, object, at, findings)?;
    let (filters, backends) = match convert::filters(&rule.filters, object, at, findings) {
        Some(filters) => {
            let backend = |(index, it)| backend(it, object, &format!("{at}.backendRefs[{index}]"), known, findings);
            (filters, rule.backend_refs.iter().enumerate().map(backend).collect())
        }
        None => (Vec::new(), Vec::new()),
    };
    Some(RouteRule { name: rule.name.clone(), matches, filters, backends, timeouts: rule.timeouts })
}

/// The backend; one that is not valid keeps its weight and gets no deployment, so that its share gets 500.
fn backend(
    backend: &HttpBackendRef,
    object: &ObjectKey,
    at: &str,
    known: &BTreeSet<String>,
    findings: &mut Findings,
) -> RouteBackend {
    let namespace = backend.namespace.as_deref().unwrap_or(&object.namespace);
    let name = format!("{namespace}/{}", backend.name);
    let trouble =
        if backend.group != penstock_api::GROUP || !matches!(&*backend.kind, "WorkloadDeployment" | "Workload") {
            let advice = "write `group: runtime.wasmcloud.dev` and `kind: WorkloadDeployment`";
            Some((reasons::INVALID_KIND, format!("{} {name} is no kind of backend here: {advice}", backend.kind)))
        } else if namespace != object.namespace {
            let advice = "nothing permits a route to use another namespace's workload: move the route there";
            Some((reasons::REF_NOT_PERMITTED, format!("{name}: {advice}")))
        } else if !known.contains(&name) {
            let advice = "create it, or correct the name; its share of the requests is answered with 500";
            Some((reasons::BACKEND_NOT_FOUND, format!("there is no {} {name}: {advice}", backend.kind)))
        } else {
            None
        };
    let filters = convert::filters(&backend.filters, object, at, findings);
    let deployment = match (trouble, &filters) {
        (None, Some(_)) => name,
        (None, None) => String::new(),
        (Some((reason, message)), _) => {
            findings.error(object, at, reason, message);
            String::new()
        }
    };
    RouteBackend { deployment, component: None, weight: backend.weight, filters: filters.unwrap_or_default() }
}
