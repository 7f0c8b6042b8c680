//! A listener for each port of each Service that workloads are behind.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use penstock_api::{reasons, snapshot::Listener};

use super::{
    Findings, Name, Objects, Options, ServicePort,
    claims::{self, Claim},
    http_route::Attached,
    routes::Routed,
    unit,
};

/// The listeners of all Services that some workload or HTTPRoute names.
pub(super) fn listeners(
    objects: &Objects,
    routed: &[Routed<'_>],
    http_routes: &BTreeMap<Name, Attached<'_>>,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Listener> {
    let mut wanted = BTreeSet::new();
    for it in routed {
        for (service, path) in &it.unit.services {
            let name = Name::new(&it.unit.object.namespace, *service);
            if !objects.services.contains_key(&name) {
                let message = format!("there is no Service {name}: create one without a selector");
                findings.warn(&it.unit.object, path, reasons::SERVICE_NOT_FOUND, message);
            }
            wanted.insert(name);
        }
    }
    for it in http_routes.values() {
        wanted.extend(parents(it, objects, findings));
    }
    let mut listeners = Vec::new();
    for name in wanted {
        let Some(service) = objects.services.get(&name) else { continue };
        for port in ports(&name, service, findings) {
            let Some(address) = (options.service_address)(&port) else {
                let message = format!("no address is left for port {}", port.port_name);
                findings.error(&unit::key("Service", &name), "spec.ports", reasons::NO_ADDRESS, message);
                continue;
            };
            let claims = claims(&name, &port, routed, http_routes);
            let at = format!("Service {name}");
            claims::report_ambiguous(&claims, reasons::AMBIGUOUS_SERVICE, &at, findings);
            let routes = claims.into_iter().map(|it| it.route).collect();
            listeners.push(Listener { name: port.to_string(), address, routes });
        }
    }
    listeners
}

/// The Services that a route is attached to, each checked.
fn parents(route: &Attached<'_>, objects: &Objects, findings: &mut Findings) -> Vec<Name> {
    let mut names = Vec::new();
    for (index, parent) in route.parents.iter().enumerate() {
        if parent.kind != "Service" || !matches!(&*parent.group, "" | "core") {
            continue;
        }
        let name = Name::new(parent.namespace.as_ref().unwrap_or(&route.object.namespace), &parent.name);
        let path = format!("spec.parentRefs[{index}]");
        if name.namespace != route.object.namespace {
            let message = format!("{name}: a route cannot change the Service of another namespace: move it there");
            findings.error(&route.object, path, reasons::REF_NOT_PERMITTED, message);
            continue;
        }
        let fits = |service: &Service| {
            let ports = service.spec.iter().flat_map(|it| it.ports.iter().flatten());
            ports.filter_map(|it| Some((port_name(it), u16::try_from(it.port).ok()?))).any(|(name, port)| {
                parent.port.is_none_or(|it| it == port) && parent.section_name.as_ref().is_none_or(|it| *it == name)
            })
        };
        match objects.services.get(&name) {
            Some(service) if fits(service) => names.push(name),
            Some(_) => {
                let message = format!("Service {name} has no such port: correct `port` and `sectionName`");
                findings.error(&route.object, path, reasons::NO_MATCHING_PARENT, message);
            }
            None => {
                let message = format!("there is no Service {name}: create one without a selector");
                findings.error(&route.object, path, reasons::NO_MATCHING_PARENT, message);
            }
        }
    }
    names
}

fn port_name(port: &k8s_openapi::api::core::v1::ServicePort) -> String {
    port.name.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| port.port.to_string())
}

/// The ports that can be served.
fn ports(name: &Name, service: &Service, findings: &mut Findings) -> Vec<ServicePort> {
    let object = unit::key("Service", name);
    let spec = service.spec.clone().unwrap_or_default();
    if spec.selector.is_some_and(|it| !it.is_empty()) {
        let message =
            "Kubernetes itself manages the endpoints of a Service with a selector: remove the selector".to_owned();
        findings.warn(&object, "spec.selector", reasons::SERVICE_HAS_SELECTOR, message);
    }
    let mut ports = Vec::new();
    for (index, port) in spec.ports.into_iter().flatten().enumerate() {
        let tcp = port.protocol.as_deref().is_none_or(|it| it == "TCP");
        match u16::try_from(port.port) {
            Ok(number) if tcp && number > 0 => {
                ports.push(ServicePort { service: name.clone(), port_name: port_name(&port), port: number });
            }
            _ => {
                let message = "only TCP ports from 1 to 65535 are served".to_owned();
                findings.error(&object, format!("spec.ports[{index}]"), reasons::NO_SERVICE_PORT, message);
            }
        }
    }
    if ports.is_empty() {
        let message = "the Service has no TCP port: add one under `spec.ports`".to_owned();
        findings.error(&object, "spec.ports", reasons::NO_SERVICE_PORT, message);
    }
    ports
}

/// What is routed on a port. Routes that name a workload as backend say all there is to say about it; a workload that no
/// route names says it itself. Alone, it gets everything; of several, the oldest gets what nobody else claims.
fn claims(
    name: &Name,
    port: &ServicePort,
    routed: &[Routed<'_>],
    http_routes: &BTreeMap<Name, Attached<'_>>,
) -> Vec<Claim> {
    let on_port = |it: &&Attached<'_>| {
        it.parents.iter().any(|parent| {
            parent.kind == "Service"
                && matches!(&*parent.group, "" | "core")
                && parent.name == name.name
                && parent.namespace.as_ref().unwrap_or(&it.object.namespace) == &name.namespace
                && it.object.namespace == name.namespace
                && parent.port.is_none_or(|it| it == port.port)
                && parent.section_name.as_ref().is_none_or(|it| *it == port.port_name)
        })
    };
    let attached: Vec<&Attached<'_>> = http_routes.values().filter(on_port).collect();
    let mut claims: Vec<Claim> =
        attached.iter().map(|it| Claim { object: it.object.clone(), route: it.route.clone() }).collect();
    let named = |it: &Routed<'_>| attached.iter().any(|route| route.deployments.contains(&it.unit.deployment()));
    let behind: Vec<&Routed<'_>> = routed.iter().filter(|it| it.unit.is_behind(name)).collect();
    let members: Vec<&Routed<'_>> = behind.iter().copied().filter(|it| it.has_rules || !named(it)).collect();
    let claim = |it: &Routed<'_>, route| Claim { object: it.unit.object.clone(), route };
    match (&members[..], attached.is_empty()) {
        ([only], true) if !only.has_rules => claims.push(claim(only, only.everything())),
        (members, no_routes) => {
            for it in members {
                claims.extend(it.by_service().into_iter().map(|route| claim(it, route)));
            }
            let oldest = members.iter().filter(|it| !it.has_rules).min_by_key(|it| it.unit.age());
            if let (Some(oldest), true) = (oldest, no_routes) {
                let catch_all = oldest.everything();
                if !claims.iter().any(|it| it.object == oldest.unit.object && it.route == catch_all) {
                    claims.push(claim(oldest, catch_all));
                }
            }
        }
    }
    claims.sort_by(|a, b| a.age().cmp(&b.age()));
    claims
}
