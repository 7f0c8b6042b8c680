//! From HTTPRoutes to routes.

use std::collections::BTreeSet;

use penstock_api::{
    HttpRoute, hostname,
    manifest::ObjectKey,
    reasons,
    route::{HttpBackendRef, HttpRouteRule, ParentReference},
    snapshot::{Route, RouteBackend, RouteRule},
};

use super::{Finding, Findings, Name, ServicePort, convert, unit};

/// An HTTPRoute, ready to be put into a listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Attached {
    pub(super) object: ObjectKey,
    /// Whether one of its backends is of Penstock's kinds. Routes of other meshes are left alone.
    pub(super) ours: bool,
    /// Those that are Services of its own namespace, with their places in the route.
    pub(super) parents: Vec<(usize, ParentReference)>,
    pub(super) route: Route,
    /// The deployments among its backends.
    pub(super) deployments: BTreeSet<String>,
    /// Backends that would be among them if they existed.
    pub(super) missing: BTreeSet<String>,
    pub(super) findings: Vec<Finding>,
}

impl Attached {
    /// The Services that it names as parents, whether they exist or not.
    pub(super) fn services(&self) -> impl Iterator<Item = Name> + '_ {
        self.parents.iter().map(|(_, parent)| Name::new(&self.object.namespace, &parent.name))
    }

    /// Whether it is about a port of a Service.
    pub(super) fn is_on(&self, port: &ServicePort) -> bool {
        let fits = |parent: &ParentReference| parent.name == port.service.name && is_port(parent, port);
        self.object.namespace == port.service.namespace && self.parents.iter().any(|(_, it)| fits(it))
    }
}

/// The Services that a route names as parents.
pub fn route_parents<'a>(name: &'a Name, route: &'a HttpRoute) -> impl Iterator<Item = Name> + 'a {
    let own = |it: &&ParentReference| {
        it.kind == "Service"
            && matches!(&*it.group, "" | "core")
            && it.namespace.as_ref().is_none_or(|it| *it == name.namespace)
    };
    route.spec.parent_refs.iter().filter(own).map(|it| Name::new(&name.namespace, &it.name))
}

/// Whether a reference to the port's Service means this port.
pub(super) fn is_port(parent: &ParentReference, port: &ServicePort) -> bool {
    parent.port.is_none_or(|it| it == port.port) && parent.section_name.as_ref().is_none_or(|it| *it == port.port_name)
}

/// An HTTPRoute. `known` says which deployments there are.
pub(super) fn attach(name: &Name, route: &HttpRoute, known: &dyn Fn(&str) -> bool) -> Attached {
    let mut findings = Findings::default();
    let findings = &mut findings;
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
    let named =
        route.spec.rules.iter().flat_map(|it| &it.backend_refs).map(|it| format!("{}/{}", name.namespace, it.name));
    let missing = named.filter(|it| !known(it)).collect();
    let parents = parents(route, &object, findings);
    let mut refs = route.spec.rules.iter().flat_map(|it| &it.backend_refs);
    let ours = refs.any(|it| it.group == penstock_api::GROUP);
    let route = Route { name: name.to_string(), created: unit::created(&route.metadata), hostnames, rules };
    Attached { object, ours, parents, route, deployments, missing, findings: std::mem::take(findings).sorted() }
}

/// The parents that are Services of the route's namespace.
fn parents(route: &HttpRoute, object: &ObjectKey, findings: &mut Findings) -> Vec<(usize, ParentReference)> {
    let mut parents = Vec::new();
    for (index, parent) in route.spec.parent_refs.iter().enumerate() {
        if parent.kind != "Service" || !matches!(&*parent.group, "" | "core") {
            continue;
        }
        let namespace = parent.namespace.as_ref().unwrap_or(&object.namespace);
        if *namespace == object.namespace {
            parents.push((index, parent.clone()));
        } else {
            let message = format!(
                "{namespace}/{}: a route cannot change the Service of another namespace: move it there",
                parent.name
            );
            findings.error(object, format!("spec.parentRefs[{index}]"), reasons::REF_NOT_PERMITTED, message);
        }
    }
    parents
}

fn rule(
    rule: &HttpRouteRule,
    object: &ObjectKey,
    at: &str,
    known: &dyn Fn(&str) -> bool,
    findings: &mut Findings,
) -> Option<RouteRule> {
    let matches = convert::matches(&rule.matches, object, at, findings)?;
    let (filters, backends) = match convert::filters(&rule.filters, object, at, findings) {
        Some(filters) => {
            let backend = |(index, it)| backend(it, object, &format!("{at}.backendRefs[{index}]"), known, findings);
            (filters, rule.backend_refs.iter().enumerate().map(backend).collect())
        }
        None => (Vec::new(), Vec::new()),
    };
    let session_persistence = convert::session(rule.session_persistence.as_ref(), object, at, findings);
    let (name, retry) = (rule.name.clone(), rule.retry.clone());
    Some(RouteRule { name, matches, filters, backends, timeouts: rule.timeouts, retry, session_persistence })
}

/// The backend; one that is not valid keeps its weight and gets no deployment, so that its share gets 500.
fn backend(
    backend: &HttpBackendRef,
    object: &ObjectKey,
    at: &str,
    known: &dyn Fn(&str) -> bool,
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
        } else if !known(&name) {
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
