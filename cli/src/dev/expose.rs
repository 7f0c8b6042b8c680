//! What `penstock dev` adds to a plan: names by which a browser on this machine reaches each Service.
//!
//! Every name below `localhost` leads to this machine (RFC 6761 section 6.3), in browsers and curl without any
//! set-up. So each Service is also on the shared listener, as `<name>.localhost`; and where there is one Service only,
//! `localhost` itself is that Service, and so are the machine's addresses, which no hostname of a route can be. Names that
//! manifests claim go before these, and a route for every host before `localhost`. No other hostname is made up: one that
//! would get 404 in a cluster gets 404 here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use penstock_api::{
    route::{HttpHeaderMatch, HttpRouteMatch, ValueMatchType},
    snapshot::{Listener, Route, Snapshot},
};

use super::ports::Ports;

/// The listener that routes by hostname.
pub(super) const SHARED: &str = "shared";
const LOCALHOST: &str = "localhost";
const DEFAULT_NAMESPACE: &str = "default";
/// What a Host header is when somebody typed an address.
pub(crate) const ADDRESS: &str = r"([0-9.]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?";

/// What was added: for each Service's first listener, the hostnames that lead to it on the shared one.
pub(super) type Names = BTreeMap<String, Vec<String>>;

/// Gives every listener its address and every Service its names.
pub(super) fn expose(snapshot: &mut Snapshot, shared: SocketAddr, ports: &mut Ports) -> Names {
    if !snapshot.listeners.iter().any(|it| it.name == SHARED) {
        snapshot.listeners.push(Listener { name: SHARED.to_owned(), ..Listener::default() });
    }
    for listener in &mut snapshot.listeners {
        let address = if listener.name == SHARED { shared } else { ports.of(&listener.name) };
        listener.address = address.to_string();
        // Nothing stands in front: clients dial the listener itself.
        listener.port = None;
    }
    let (names, added) = names(snapshot);
    if let Some(shared) = snapshot.listeners.iter_mut().find(|it| it.name == SHARED) {
        shared.routes.extend(added);
    }
    names
}

fn names(snapshot: &Snapshot) -> (Names, Vec<Route>) {
    let shared = || snapshot.listeners.iter().filter(|it| it.name == SHARED).flat_map(|it| &it.routes);
    let claimed: BTreeSet<&str> = shared().flat_map(|route| &route.hostnames).map(String::as_str).collect();
    // Of a Service with several ports the first one has the name.
    let mut services: BTreeMap<&str, &Listener> = BTreeMap::new();
    for listener in &snapshot.listeners {
        if let Some((service, _)) = service(&listener.name) {
            services.entry(service).or_insert(listener);
        }
    }
    let free = shared().all(|route| !route.hostnames.is_empty()) && !claimed.contains(LOCALHOST);
    let only_service = services.len() == 1 && free;
    let (mut names, mut added) = (Names::new(), Vec::new());
    for (service, listener) in services {
        let mut hostnames = vec![hostname(service)];
        if only_service {
            hostnames.insert(0, LOCALHOST.to_owned());
        }
        hostnames.retain(|it| !claimed.contains(it.as_str()));
        // A route with hostnames of its own is for these only.
        let open: Vec<&Route> = listener.routes.iter().filter(|route| route.hostnames.is_empty()).collect();
        if hostnames.is_empty() || open.is_empty() {
            continue;
        }
        if only_service {
            added.extend(open.iter().map(|route| by_address(route)));
        }
        added.extend(open.into_iter().map(|route| Route { hostnames: hostnames.clone(), ..route.clone() }));
        names.insert(listener.name.clone(), hostnames);
    }
    if names.is_empty() && claimed.len() == 1 && free {
        // No Service to speak of, and one hostname: that is what is meant.
        let hostnames = vec![LOCALHOST.to_owned()];
        added.extend(shared().map(by_address));
        added.extend(shared().map(|route| Route { hostnames: hostnames.clone(), ..route.clone() }));
        names.insert(SHARED.to_owned(), hostnames);
    }
    (names, added)
}

/// The same route for requests to an address instead of a name.
fn by_address(route: &Route) -> Route {
    let mut route = Route { hostnames: Vec::new(), ..route.clone() };
    let host = HttpHeaderMatch {
        r#type: ValueMatchType::RegularExpression,
        name: "host".to_owned(),
        value: ADDRESS.to_owned(),
    };
    for rule in &mut route.rules {
        if rule.matches.is_empty() {
            rule.matches.push(HttpRouteMatch::default());
        }
        rule.matches.iter_mut().for_each(|it| it.headers.push(host.clone()));
    }
    route
}

/// `namespace/service` and the port's name, of a Service's listener.
pub(super) fn service(listener: &str) -> Option<(&str, &str)> {
    listener.split_once(':').filter(|(service, _)| service.contains('/'))
}

fn hostname(service: &str) -> String {
    match service.split_once('/') {
        Some((DEFAULT_NAMESPACE, name)) => format!("{name}.{LOCALHOST}"),
        Some((namespace, name)) => format!("{name}.{namespace}.{LOCALHOST}"),
        None => format!("{service}.{LOCALHOST}"),
    }
}

#[cfg(test)]
mod tests {
    use penstock_api::snapshot::RouteRule;

    use super::*;

    /// Listeners, each with the hostnames of its routes.
    fn snapshot(listeners: &[(&str, &[&[&str]])]) -> Snapshot {
        let listeners = listeners.iter().map(|(name, routes)| {
            let routes = routes.iter().map(|hostnames| Route {
                name: format!("route of {name}"),
                hostnames: hostnames.iter().map(ToString::to_string).collect(),
                rules: vec![RouteRule::default()],
                ..Route::default()
            });
            Listener { name: (*name).into(), routes: routes.collect(), ..Listener::default() }
        });
        Snapshot { listeners: listeners.collect(), ..Snapshot::default() }
    }

    /// Hostnames on the shared listener, each with its route.
    fn shared(listeners: &[(&str, &[&[&str]])]) -> Vec<(String, String)> {
        let mut snapshot = snapshot(listeners);
        let listen = ([127, 0, 0, 1], 0).into();
        expose(&mut snapshot, listen, &mut Ports::new(listen, 0));
        let shared = snapshot.listeners.iter().find(|it| it.name == SHARED).unwrap();
        assert_eq!(shared.address, "127.0.0.1:0");
        let hosts = |route: &Route| match route.rules[0].matches.first() {
            Some(it) if it.headers[0].value == ADDRESS => "addresses".to_owned(),
            _ => route.hostnames.join(" "),
        };
        shared.routes.iter().map(|route| (hosts(route), route.name.clone())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(hosts, route)| ((*hosts).into(), format!("route of {route}"))).collect()
    }

    #[test]
    fn the_only_service_is_localhost() {
        let got = shared(&[("default/quickstart:http", &[&[]])]);
        let service = "default/quickstart:http";
        assert_eq!(got, pairs(&[("addresses", service), ("localhost quickstart.localhost", service)]));
    }

    #[test]
    fn several_services_have_names_and_localhost_is_none_of_them() {
        let got = shared(&[("default/a:http", &[&[]]), ("team/b:http", &[&[]])]);
        assert_eq!(got, pairs(&[("a.localhost", "default/a:http"), ("b.team.localhost", "team/b:http")]));
    }

    #[test]
    fn the_first_port_has_the_name() {
        let got = shared(&[("default/a:http", &[&[]]), ("default/a:metrics", &[&[]])]);
        assert_eq!(got, pairs(&[("addresses", "default/a:http"), ("localhost a.localhost", "default/a:http")]));
    }

    #[test]
    fn claimed_names_stay_with_who_claimed_them() {
        let got = shared(&[("shared", &[&["a.localhost"]]), ("default/a:http", &[&[]])]);
        let a = "default/a:http";
        assert_eq!(got, pairs(&[("a.localhost", "shared"), ("addresses", a), ("localhost", a)]));
        let got = shared(&[("shared", &[&["localhost"]]), (a, &[&[]])]);
        assert_eq!(got, pairs(&[("localhost", "shared"), ("a.localhost", a)]));
        // A route for every host is for localhost, too.
        let got = shared(&[("shared", &[&[]]), (a, &[&[]])]);
        assert_eq!(got, pairs(&[("", "shared"), ("a.localhost", a)]));
    }

    #[test]
    fn routes_with_hostnames_are_for_these_only() {
        let got = shared(&[("shared", &[&["x.example"]]), ("default/a:http", &[&["x.example"], &[]])]);
        let a = "default/a:http";
        assert_eq!(got, pairs(&[("x.example", "shared"), ("addresses", a), ("localhost a.localhost", a)]));
    }

    #[test]
    fn a_single_hostname_without_a_service_is_localhost_too() {
        let got = shared(&[("shared", &[&["x.example"]])]);
        assert_eq!(got, pairs(&[("x.example", "shared"), ("addresses", "shared"), ("localhost", "shared")]));
        assert_eq!(shared(&[("shared", &[&["x.example"], &["y.example"]])]).len(), 2);
        assert_eq!(shared(&[("shared", &[&["localhost"]])]).len(), 1);
        assert_eq!(shared(&[]), []);
    }
}
