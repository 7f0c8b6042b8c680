//! A listener for each port of each Service that workloads are behind.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use penstock_api::{
    reasons,
    snapshot::{Listener, RouteRule},
};

use super::{
    Findings, Name, ServicePort, ServiceTable,
    claims::{self, Claim},
    http_route::{self, Attached},
    routes::Routing,
    tls::ServiceTls,
    unit,
};

/// What a Service comes to: the workloads that say they are behind it, and the routes that have it as a parent.
pub(super) fn table(
    name: &Name,
    service: Option<&Service>,
    behind: &[&Routing],
    attached: &[&Attached],
    address: &dyn Fn(&ServicePort) -> Option<String>,
    tls: &ServiceTls,
) -> ServiceTable {
    let mut findings = Findings::default();
    let mut table = ServiceTable::default();
    if let Some(service) = service {
        let served: Vec<ServicePort> = served(name, service).collect();
        check_parents(name, Some(&served), attached, &mut findings);
        let wanted = !behind.is_empty() || served.iter().any(|port| attached.iter().any(|it| it.is_on(port)));
        if wanted {
            check_service(name, service, &served, &mut findings);
            findings.extend(tls.findings.iter().cloned());
        }
        for port in served.into_iter().filter(|_| wanted) {
            let Some(address) = address(&port) else {
                let message = format!("no address is left for port {}", port.port_name);
                findings.error(&unit::key("Service", name), "spec.ports", reasons::NO_ADDRESS, message);
                continue;
            };
            let on: Vec<&Attached> = attached.iter().copied().filter(|it| it.is_on(&port)).collect();
            let kind = on.iter().map(|it| it.kind).min();
            let attached: Vec<&Attached> = on.into_iter().filter(|it| Some(it.kind) == kind).collect();
            let claims = claims(behind, &attached);
            let at = format!("Service {name}");
            claims::report_ambiguous(&claims, reasons::AMBIGUOUS_SERVICE, &at, &mut findings);
            let routes = claims.into_iter().map(|it| it.route).collect();
            let tls = tls.of(&port.port_name).cloned();
            table.listeners.push(Arc::new(Listener {
                name: port.to_string(),
                address,
                port: Some(port.port),
                routes,
                tls,
            }));
        }
    } else {
        for it in behind {
            for (_, path) in it.services.iter().filter(|it| it.0 == name.name) {
                let message = format!("there is no Service {name}: create one without a selector");
                findings.warn(&it.object, path, reasons::SERVICE_NOT_FOUND, message);
            }
        }
        check_parents(name, None, attached, &mut findings);
    }
    let rules = || table.listeners.iter().flat_map(|it| &it.routes).flat_map(|it| &it.rules);
    let mirrors = rules().flat_map(RouteRule::all_mirrors).map(|it| Arc::from(it.deployment.as_str())).collect();
    let backends = rules().flat_map(|it| &it.backends).filter(|it| it.weight > 0 && !it.deployment.is_empty());
    let deployments = backends.map(|it| Arc::from(it.deployment.as_str())).collect();
    (table.mirrors, table.deployments) = (mirrors, deployments);
    if table.deployments.is_empty() && !table.listeners.is_empty() {
        // Routes that lead nowhere: somebody has to answer that, and to redirect.
        table.deployments = behind.iter().map(|it| it.deployment.clone()).collect();
    }
    table.findings = findings.sorted();
    table
}

/// Says which routes have this Service as a parent in vain.
fn check_parents(name: &Name, ports: Option<&[ServicePort]>, attached: &[&Attached], findings: &mut Findings) {
    let is_taken =
        |route: &Attached, port: &ServicePort| attached.iter().any(|it| it.kind < route.kind && it.is_on(port));
    for route in attached {
        for (index, parent) in route.parents.iter().filter(|it| it.1.name == name.name) {
            let at = format!("spec.parentRefs[{index}]");
            let Some(ports) = ports else {
                let message = format!("there is no Service {name} without a selector: create one");
                findings.error(&route.object, at, reasons::NO_MATCHING_PARENT, message);
                continue;
            };
            let ports: Vec<&ServicePort> = ports.iter().filter(|it| http_route::is_port(parent, it)).collect();
            let taken: Vec<&str> = ports.iter().filter(|it| is_taken(route, it)).map(|it| &*it.port_name).collect();
            if ports.is_empty() {
                let message = format!("Service {name} has no such port: correct `port` and `sectionName`");
                findings.error(&route.object, at, reasons::NO_MATCHING_PARENT, message);
            } else if !taken.is_empty() {
                let message = format!(
                    "a GRPCRoute has port {} of Service {name}, and a port has routes of one kind only: \
                     name another one with `port`, or write a GRPCRoute",
                    taken.join(", ")
                );
                if taken.len() == ports.len() {
                    findings.error(&route.object, at, reasons::CONFLICTED, message);
                } else {
                    findings.warn(&route.object, "", reasons::CONFLICTED, message);
                }
            }
        }
    }
}

pub(super) fn port_name(port: &k8s_openapi::api::core::v1::ServicePort) -> String {
    port.name.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| port.port.to_string())
}

/// The ports that can be served.
pub(super) fn served<'a>(name: &'a Name, service: &'a Service) -> impl Iterator<Item = ServicePort> + 'a {
    let ports = service.spec.iter().flat_map(|it| it.ports.iter().flatten());
    ports.filter_map(|it| serve(name, it))
}

fn serve(name: &Name, port: &k8s_openapi::api::core::v1::ServicePort) -> Option<ServicePort> {
    let tcp = port.protocol.as_deref().is_none_or(|it| it == "TCP");
    let number = u16::try_from(port.port).ok().filter(|it| tcp && *it > 0)?;
    Some(ServicePort { service: name.clone(), port_name: port_name(port), port: number })
}

/// Says what of a Service cannot be served.
fn check_service(name: &Name, service: &Service, ports: &[ServicePort], findings: &mut Findings) {
    let object = unit::key("Service", name);
    if service.spec.as_ref().and_then(|it| it.selector.as_ref()).is_some_and(|it| !it.is_empty()) {
        let message =
            "Kubernetes itself manages the endpoints of a Service with a selector: remove the selector".to_owned();
        findings.warn(&object, "spec.selector", reasons::SERVICE_HAS_SELECTOR, message);
    }
    for (index, port) in service.spec.iter().flat_map(|it| it.ports.iter().flatten()).enumerate() {
        if serve(name, port).is_none() {
            let message = "only TCP ports from 1 to 65535 are served".to_owned();
            findings.error(&object, format!("spec.ports[{index}]"), reasons::NO_SERVICE_PORT, message);
        }
    }
    if ports.is_empty() {
        let message = "the Service has no TCP port: add one under `spec.ports`".to_owned();
        findings.error(&object, "spec.ports", reasons::NO_SERVICE_PORT, message);
    }
}

/// What is routed on a port. Routes that are attached to it say all there is to say, beside `http.routes` of the workloads
/// behind it: a request that they do not match gets 404, whoever is behind (as Gateway API's mesh conformance tests have it).
/// Without any, workloads speak for themselves. Alone, one gets everything; of several, the oldest gets what nobody else
/// claims.
fn claims(behind: &[&Routing], attached: &[&Attached]) -> Vec<Claim> {
    let mut claims: Vec<Claim> =
        attached.iter().map(|it| Claim { object: it.object.clone(), route: it.route.clone() }).collect();
    let members: Vec<&Routing> = behind.iter().copied().filter(|it| it.has_rules || attached.is_empty()).collect();
    let claim = |it: &Routing, route| Claim { object: it.object.clone(), route };
    match &members[..] {
        [only] if !only.has_rules => claims.push(claim(only, only.everything())),
        members => {
            for it in members {
                claims.extend(it.by_service().into_iter().map(|route| claim(it, route)));
            }
            if let Some(oldest) = members.iter().filter(|it| !it.has_rules).min_by_key(|it| it.age()) {
                let catch_all = oldest.everything();
                if !claims.iter().any(|it| it.object == oldest.object && it.route == catch_all) {
                    claims.push(claim(oldest, catch_all));
                }
            }
        }
    }
    claims.sort_by(|a, b| a.age().cmp(&b.age()));
    claims
}
