//! From HTTPRoutes and GRPCRoutes to routes.

use std::collections::BTreeSet;

use penstock_api::{
    hostname,
    manifest::ObjectKey,
    reasons,
    route::{HttpBackendRef, HttpRouteFilter, HttpRouteRule, ParentReference},
    snapshot::{Route, RouteBackend, RouteMirror, RouteRule},
};

use super::{
    Finding, Findings, Name, ServicePort,
    any_route::{AnyRoute, RouteKind, is_service},
    convert,
    policy::{self, Policies, RuleId},
    unit,
};

/// A route, ready to be put into a listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Attached {
    /// None of a route that has not been read yet.
    pub(super) kind: Option<RouteKind>,
    pub(super) object: ObjectKey,
    /// Whether one of its backends is of Penstock's kinds. Routes of other meshes are left alone.
    pub(super) ours: bool,
    /// Those that are Services of its own namespace, with their places in the route.
    pub(super) parents: Vec<(usize, ParentReference)>,
    pub(super) route: Route,
    /// The deployments among its backends.
    pub(super) deployments: BTreeSet<String>,
    /// Others that it names: mirrors, and backends that would be among them if they existed and if their namespaces permitted
    /// it.
    pub(super) missing: BTreeSet<String>,
    /// The policies that its rules name, whether they exist or not.
    pub(super) policies: BTreeSet<Name>,
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

/// Whether a reference to the port's Service means this port.
pub(super) fn is_port(parent: &ParentReference, port: &ServicePort) -> bool {
    parent.port.is_none_or(|it| it == port.port) && parent.section_name.as_ref().is_none_or(|it| *it == port.port_name)
}

/// What a route needs to know of others.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// Whether there is a deployment of that `namespace/name`.
    pub(super) known: &'a dyn Fn(&str) -> bool,
    /// Whether the route may refer to a workload of that kind and name in another namespace.
    pub(super) permitted: &'a dyn Fn(&str, &Name) -> bool,
    /// The policies that exist.
    pub(super) policies: Policies<'a>,
}

/// A route with what it leads to.
pub(super) fn attach(name: &Name, route: &AnyRoute, around: Surroundings<'_>) -> Attached {
    let mut findings = Findings::default();
    let findings = &mut findings;
    let object = unit::key(route.kind().name(), name);
    let given = route.rules();
    let mut hostnames = Vec::new();
    for (index, host) in route.hostnames().iter().enumerate() {
        match hostname::check(host) {
            Ok(()) => hostnames.push(host.to_ascii_lowercase()),
            Err(error) => {
                let path = format!("spec.hostnames[{index}]");
                findings.error(&object, path, reasons::INVALID_HOSTNAME, format!("`{host}`: {error}"));
            }
        }
    }
    // A route none of whose hostnames is valid must not become one for every host.
    let nothing = hostnames.is_empty() && !route.hostnames().is_empty();
    let mut rules = Vec::new();
    for (index, it) in given.iter().enumerate().filter(|_| !nothing) {
        let id = RuleId { object: &object, index, name: it.name.as_deref() };
        rules.extend(rule(it, &id, &format!("spec.rules[{index}]"), around, findings));
    }
    // A route without rules has the default one, which has no backend.
    if given.is_empty() && !nothing {
        rules.push(RouteRule::default());
    }
    let backends = rules.iter().flat_map(|it| &it.backends);
    let deployments: BTreeSet<String> = backends.map(|it| it.deployment.clone()).filter(|it| !it.is_empty()).collect();
    let refs = given.iter().flat_map(|it| &it.backend_refs).filter(|it| it.group == penstock_api::GROUP);
    let mut named: BTreeSet<String> = refs.map(|it| target(it, &object).to_string()).collect();
    let ours = !named.is_empty();
    named.extend(mirrored(&given).map(|it| target(&it, &object).to_string()));
    let missing = named.difference(&deployments).cloned().collect();
    let filters = given.iter().flat_map(|it| &it.filters);
    let policies = policy::named(filters, &name.namespace).collect();
    let parents = parents(route, &object, findings);
    let kind = route.kind();
    let route = Route { name: name.to_string(), created: unit::created(route.metadata()), hostnames, rules };
    let mut findings = std::mem::take(findings).sorted();
    if kind == RouteKind::Grpc {
        // Said of the path that service and method were made into.
        findings.iter_mut().for_each(|it| it.path = it.path.replace("].path.value", "].method"));
    }
    Attached { kind: Some(kind), object, ours, parents, route, deployments, missing, policies, findings }
}

/// The parents that are Services of the route's namespace.
fn parents(route: &AnyRoute, object: &ObjectKey, findings: &mut Findings) -> Vec<(usize, ParentReference)> {
    let mut parents = Vec::new();
    for (index, parent) in route.parent_refs().iter().enumerate().filter(|it| is_service(it.1)) {
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
    id: &RuleId<'_>,
    at: &str,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<RouteRule> {
    let object = id.object;
    let matches = convert::matches(&rule.matches, object, at, findings)?;
    let policy = policy::of_rule(id, &rule.filters, at, around.policies, findings);
    let filters = convert::filters(&rule.filters, object, at, findings).filter(|_| policy.is_ok());
    let (filters, backends) = match filters {
        Some(filters) => {
            let backend = |(index, it)| backend(it, object, &format!("{at}.backendRefs[{index}]"), around, findings);
            (filters, rule.backend_refs.iter().enumerate().map(backend).collect())
        }
        None => (Vec::new(), Vec::new()),
    };
    let mirrors = mirrors(&rule.filters, object, at, around, findings);
    let session_persistence = convert::session(rule.session_persistence.as_ref(), object, at, findings);
    let (name, retry) = (rule.name.clone(), rule.retry.clone());
    let (timeouts, policy) = (rule.timeouts, policy.unwrap_or_default());
    Some(RouteRule { name, matches, filters, mirrors, backends, timeouts, retry, session_persistence, policy })
}

/// The workloads that rules want copies sent to.
fn mirrored(rules: &[HttpRouteRule]) -> impl Iterator<Item = HttpBackendRef> + '_ {
    let backends = rules.iter().flat_map(|it| &it.backend_refs).flat_map(|it| &it.filters);
    let filters = rules.iter().flat_map(|it| &it.filters).chain(backends);
    let mirrors = filters.filter_map(|it| match it {
        HttpRouteFilter::RequestMirror(it) => Some(HttpBackendRef::from(it.backend_ref.clone())),
        _ => None,
    });
    mirrors.filter(|it| it.group == penstock_api::GROUP)
}

/// The workload that a reference names.
fn target(backend: &HttpBackendRef, object: &ObjectKey) -> Name {
    Name::new(backend.namespace.as_ref().unwrap_or(&object.namespace), &backend.name)
}

/// The deployment that a reference names, or why it names none.
fn resolve(
    backend: &HttpBackendRef,
    object: &ObjectKey,
    around: Surroundings<'_>,
) -> Result<String, (&'static str, String)> {
    let target = target(backend, object);
    let name = target.to_string();
    let trouble = if !backend.is_workload() {
        let advice = "write `group: runtime.wasmcloud.dev` and `kind: WorkloadDeployment`";
        Some((reasons::INVALID_KIND, format!("{} {name} is no kind of backend here: {advice}", backend.kind)))
    } else if target.namespace != object.namespace && !(around.permitted)(&backend.kind, &target) {
        let advice = format!(
            "a route may lead to another namespace's {kind} only if a ReferenceGrant in {} permits {}s of {} to refer to {kind}s: create one",
            target.namespace,
            object.kind,
            object.namespace,
            kind = backend.kind,
        );
        Some((reasons::REF_NOT_PERMITTED, format!("{name}: {advice}")))
    } else if !(around.known)(&name) {
        Some((
            reasons::BACKEND_NOT_FOUND,
            format!("there is no {} {name}: create it, or correct the name", backend.kind),
        ))
    } else {
        None
    };
    trouble.map_or(Ok(name), Err)
}

/// The backend; one that is not valid keeps its weight and gets no deployment, so that its share gets 500.
fn backend(
    backend: &HttpBackendRef,
    object: &ObjectKey,
    at: &str,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> RouteBackend {
    let filters = convert::filters(&backend.filters, object, at, findings)
        .filter(|_| policy::none_here(&backend.filters, object, at, findings));
    let mirrors = mirrors(&backend.filters, object, at, around, findings);
    let deployment = match (resolve(backend, object, around), &filters) {
        (Ok(name), Some(_)) => name,
        (Ok(_), None) => String::new(),
        (Err((reason, message)), _) => {
            findings.error(object, at, reason, format!("{message}; its share of the requests is answered with 500"));
            String::new()
        }
    };
    RouteBackend { deployment, component: None, weight: backend.weight, filters: filters.unwrap_or_default(), mirrors }
}

fn mirrors(
    filters: &[HttpRouteFilter],
    object: &ObjectKey,
    at: &str,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Vec<RouteMirror> {
    convert::mirrors(filters, at, &mut |it, at| match resolve(&it, object, around) {
        Ok(name) => Some(name),
        Err((reason, message)) => {
            findings.error(object, at, reason, format!("{message}; until then nothing is copied"));
            None
        }
    })
}
