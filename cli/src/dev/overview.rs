//! From a snapshot and what the host says of it to the tables that people read.

use std::{collections::BTreeMap, net::SocketAddr};

use penstock_api::{
    route::{HttpRouteFilter, HttpRouteMatch, PathMatchType, ValueMatchType},
    snapshot::{Listener, RouteRule, Snapshot},
};
use penstock_host::{HostStatus, ShareState};

use super::{
    event::{Endpoint, Overview, RouteRow, Weighted, WorkloadRow},
    expose::{Names, SHARED, service},
};

/// `planned` is the snapshot before names were added to it.
pub(super) fn overview(planned: &Snapshot, names: &Names, status: &HostStatus) -> Overview {
    let bound: BTreeMap<&str, SocketAddr> =
        status.listeners.iter().filter_map(|(name, it)| Some((name.as_str(), it.address?))).collect();
    let port = bound.get(SHARED).map_or(80, SocketAddr::port);
    let view = View { names, bound, port };
    Overview {
        urls: planned.listeners.iter().filter_map(|it| view.endpoint(it)).collect(),
        routes: planned.listeners.iter().flat_map(|it| view.rows(it)).collect(),
        workloads: planned.shares.iter().map(|share| workload(share, status)).collect(),
    }
}

fn workload(share: &penstock_api::snapshot::Share, status: &HostStatus) -> WorkloadRow {
    let status = status.shares.get(&share.id);
    WorkloadRow {
        workload: share.deployment.clone(),
        revision: share.revision.clone(),
        replicas: share.replicas,
        state: status.map_or(ShareState::Loading, |it| it.state),
        message: status.and_then(|it| it.message.clone()),
    }
}

struct View<'a> {
    names: &'a Names,
    bound: BTreeMap<&'a str, SocketAddr>,
    /// Of the shared listener.
    port: u16,
}

impl View<'_> {
    /// The URLs of a listener, the one to show first.
    fn urls(&self, listener: &str) -> Vec<String> {
        let names = self.names.get(listener).into_iter().flatten();
        // The Service's own name tells more than `localhost`.
        let mut urls: Vec<String> = names.rev().map(|name| authority(name, self.port)).collect();
        if listener != SHARED {
            urls.extend(self.bound.get(listener).map(|address| reachable(*address)));
        }
        urls.iter().map(|authority| format!("http://{authority}")).collect()
    }

    fn endpoint(&self, listener: &Listener) -> Option<Endpoint> {
        let (service, port) = service(&listener.name)?;
        let mut urls = self.urls(&listener.name).into_iter().map(|url| format!("{url}/"));
        let what = format!("Service {service}, port {port}");
        Some(Endpoint { url: urls.next()?, also: urls.collect(), what })
    }

    fn rows(&self, listener: &Listener) -> Vec<RouteRow> {
        let mut rows = Vec::new();
        let default = self.urls(&listener.name).into_iter().next();
        for route in &listener.routes {
            let bases: Vec<String> = if route.hostnames.is_empty() {
                vec![default.clone().unwrap_or_else(|| format!("http://*:{}", self.port))]
            } else {
                let port = match service(&listener.name) {
                    // Its own port routes by these names, and so does the shared one, which has a row for it.
                    Some(_) => self.bound.get(listener.name.as_str()).map_or(self.port, SocketAddr::port),
                    None => self.port,
                };
                route.hostnames.iter().map(|name| format!("http://{}", authority(name, port))).collect()
            };
            for rule in &route.rules {
                let any = [HttpRouteMatch::default()];
                let matches = if rule.matches.is_empty() { &any[..] } else { &rule.matches };
                for (base, it) in bases.iter().flat_map(|base| matches.iter().map(move |it| (base, it))) {
                    let (path, matches) = describe(it);
                    let url = format!("{base}{path}");
                    let workloads = workloads(rule);
                    let matches = and_filters(matches, rule);
                    rows.push(RouteRow { url, matches, route: route.name.clone(), workloads });
                }
            }
        }
        rows
    }
}

fn authority(name: &str, port: u16) -> String {
    if port == 80 { name.to_owned() } else { format!("{name}:{port}") }
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    authority("127.0.0.1", address.port())
}

fn workloads(rule: &RouteRule) -> Vec<Weighted> {
    let weighted = rule.backends.iter().map(|it| Weighted {
        workload: it.deployment.clone(),
        component: it.component.clone(),
        weight: it.weight,
    });
    weighted.collect()
}

/// The path to append to a URL, and in words what a request must have beside it.
fn describe(it: &HttpRouteMatch) -> (String, String) {
    let path = it.path.clone().unwrap_or_default();
    let (url, mut parts) = match path.r#type {
        PathMatchType::PathPrefix if path.value == "/" => (path.value, vec![]),
        PathMatchType::PathPrefix => (path.value, vec!["prefix".to_owned()]),
        PathMatchType::Exact => (path.value, vec!["exact".to_owned()]),
        PathMatchType::RegularExpression => ("/".to_owned(), vec![format!("path ~ {}", path.value)]),
    };
    parts.extend(it.method.map(|method| method.as_str().to_owned()));
    let value = |kind, text: &str| match kind {
        ValueMatchType::Exact => format!(": {text}"),
        ValueMatchType::RegularExpression => format!(" ~ {text}"),
    };
    parts.extend(it.headers.iter().map(|header| format!("{}{}", header.name, value(header.r#type, &header.value))));
    parts.extend(it.query_params.iter().map(|query| format!("?{}{}", query.name, value(query.r#type, &query.value))));
    let text = if parts.is_empty() { "any".to_owned() } else { parts.join(", ") };
    (url, text)
}

/// Says what happens to a request on its way, if it is more than headers.
fn and_filters(matches: String, rule: &RouteRule) -> String {
    let word = rule.filters.iter().find_map(|filter| match filter {
        HttpRouteFilter::RequestRedirect(_) => Some("redirected"),
        HttpRouteFilter::UrlRewrite(_) => Some("rewritten"),
        _ => None,
    });
    match word {
        Some(word) => format!("{matches} ({word})"),
        None => matches,
    }
}

#[cfg(test)]
mod tests;
