//! The route tables of all Services and of the shared listener, kept up to date change by change. A change to one Service
//! never rebuilds another's table.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::Bound,
    sync::Arc,
};

use k8s_openapi::api::core::v1::Service;
use penstock_api::{
    ReferenceGrant, TrafficPolicy,
    manifest::ObjectKey,
    snapshot::{Listener, Route},
};

use super::{
    Finding, Name, Routing, ServicePort,
    any_route::{AnyRoute, RouteKey, RouteKind},
    claims::Claim,
    grants::Grants,
    http_route::{self, Attached, Surroundings},
    service,
    shared::{self, Concerned, Hostnames},
    tls::ServiceTls,
};

/// What is the same for all tables.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Where the shared listener listens; none: there is no such listener.
    pub shared_address: Option<String>,
    /// Whether hostnames of HTTPRoutes are served by the shared listener too. In a cluster a gateway does that.
    pub shared_http_routes: bool,
}

/// All tables. Each `set_` takes the object as it is now, or none if it is gone.
#[derive(Debug, Default)]
pub struct Tables {
    options: TableOptions,
    deployments: BTreeMap<Arc<str>, Arc<Routing>>,
    services: BTreeMap<Name, KnownService>,
    routes: BTreeMap<RouteKey, KnownRoute>,
    grants: Grants,
    /// The deployments that say they are behind a Service, which may not exist.
    behind: BTreeMap<Name, BTreeSet<Arc<str>>>,
    /// The routes that have a Service, which may not exist, as a parent.
    attached: BTreeMap<Name, BTreeSet<RouteKey>>,
    /// The routes that name a deployment, which may not exist, as a backend.
    backends: BTreeMap<Arc<str>, BTreeSet<RouteKey>>,
    pub(super) policies: BTreeMap<Name, Arc<TrafficPolicy>>,
    /// The routes that name a policy, which may not exist.
    pub(super) policed: BTreeMap<Name, BTreeSet<RouteKey>>,
    tables: BTreeMap<Name, ServiceTable>,
    /// The Services whose tables lead to a deployment.
    routed: BTreeMap<Arc<str>, BTreeSet<Name>>,
    /// The Services whose tables send copies to a deployment.
    mirrored: BTreeMap<Arc<str>, BTreeSet<Name>>,
    hostnames: Hostnames,
}

#[derive(Debug)]
struct KnownService {
    service: Arc<Service>,
    addresses: BTreeMap<String, String>,
    tls: ServiceTls,
}

#[derive(Debug)]
struct KnownRoute {
    route: AnyRoute,
    attached: Attached,
}

/// What a change changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Deployments (`namespace/name`) whose hosts need a new snapshot.
    pub deployments: BTreeSet<Arc<str>>,
    /// Services whose slices have to be looked at: their listeners, or the deployments behind them, are others.
    pub services: BTreeSet<Name>,
    /// Objects about which there may be something else to say: see [`Tables::findings`].
    pub objects: BTreeSet<ObjectKey>,
}

/// What a Service comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceTable {
    /// A listener for each of its ports.
    pub listeners: Vec<Arc<Listener>>,
    /// The deployments to which its listeners route.
    pub deployments: BTreeSet<Arc<str>>,
    /// The deployments to which its listeners send copies. Its hosts need not have them.
    pub mirrors: BTreeSet<Arc<str>>,
    /// What is to be said about it and about those that it concerns.
    pub findings: Vec<Finding>,
}

impl Affected {
    /// Adds another's.
    pub fn extend(&mut self, other: Self) {
        self.deployments.extend(other.deployments);
        self.services.extend(other.services);
        self.objects.extend(other.objects);
    }
}

impl Tables {
    /// No objects yet.
    #[must_use]
    pub fn new(options: TableOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// A deployment (or a Workload of its own) as it is now: [`super::Resolved::routing`].
    #[allow(clippy::needless_pass_by_value, reason = "it is kept: a caller gives its own handle away")]
    pub fn set_deployment(&mut self, name: &Name, routing: Option<Arc<Routing>>) -> Affected {
        let mut affected = Affected::default();
        let dirty = self.put_deployment(name, routing.as_ref(), &mut affected);
        self.rebuild(dirty, &mut affected);
        affected
    }

    /// A Service as it is now, with its TLS ([`super::tls::resolve`]). `address` says where the listener of one of its ports listens (such as `[::]:20001`); none:
    /// no port is left. It is asked for ports of this Service only, and only here: when addresses change, call this again.
    pub fn set_service(
        &mut self,
        name: &Name,
        service: Option<(Arc<Service>, ServiceTls)>,
        address: &dyn Fn(&ServicePort) -> Option<String>,
    ) -> Affected {
        let mut affected = Affected::default();
        self.put_service(name, service, address);
        self.rebuild(BTreeSet::from([name.clone()]), &mut affected);
        affected
    }

    /// A route as it is now.
    pub fn set_route(&mut self, key: &RouteKey, route: Option<AnyRoute>) -> Affected {
        let mut affected = Affected::default();
        let dirty = self.put_route(key, route, &mut affected);
        self.rebuild(dirty, &mut affected);
        affected
    }

    /// A ReferenceGrant as it is now. Only routes that name workloads of its namespace are read anew.
    pub fn set_grant(&mut self, name: &Name, grant: Option<Arc<ReferenceGrant>>) -> Affected {
        let mut affected = Affected::default();
        let dirty = self.put_grant(name, grant, &mut affected);
        self.rebuild(dirty, &mut affected);
        affected
    }

    /// Whether a route with one of Penstock's backends has this Service, which may not exist, as a parent.
    #[must_use]
    pub fn is_routed_here(&self, service: &Name) -> bool {
        let mut routes = self.attached.get(service).into_iter().flatten();
        routes.any(|it| self.routes.get(it).is_some_and(|it| it.attached.ours))
    }

    /// Whether a route is Penstock's affair: it has one of its backends, or a parent that workloads are behind.
    #[must_use]
    pub fn concerns(&self, route: &RouteKey) -> bool {
        let Some(route) = self.routes.get(route) else { return false };
        route.attached.ours || route.attached.services().any(|it| self.behind.contains_key(&it))
    }

    /// A Service's table; none if nothing is behind it. Without listeners if there is no such Service.
    #[must_use]
    pub fn service(&self, name: &Name) -> Option<&ServiceTable> {
        self.tables.get(name)
    }

    /// The Services whose listeners route to a deployment.
    pub fn services_of(&self, deployment: &str) -> impl Iterator<Item = &Name> {
        self.routed.get(deployment).into_iter().flatten()
    }

    /// The other deployments to which the same Services route: [`super::Spread::near`] wants their hosts, as a host sends copies
    /// only to what it has itself.
    #[must_use]
    pub fn siblings(&self, deployment: &str) -> BTreeSet<Arc<str>> {
        let of = |it: &Name| self.service(it).into_iter().flat_map(|it| it.deployments.iter().cloned());
        let copied = self.mirrored.get(deployment).into_iter().flatten();
        self.services_of(deployment).chain(copied).flat_map(of).filter(|it| **it != *deployment).collect()
    }

    /// What the shared listener routes to a deployment: routes for hostnames that its namespace claimed first.
    pub fn shared_routes(&self, deployment: &str) -> impl Iterator<Item = &Arc<Route>> {
        self.hostnames.routes(deployment)
    }

    /// The shared listener with its routes to these deployments, if there is one.
    #[must_use]
    pub fn shared_listener(&self, deployments: &BTreeSet<&str>) -> Option<Listener> {
        self.shared(deployments.iter().flat_map(|it| self.shared_routes(it)))
    }

    /// The shared listener with all of its routes.
    pub(super) fn shared_listener_with_all(&self) -> Option<Listener> {
        self.shared(self.hostnames.all())
    }

    fn shared<'t>(&self, routes: impl Iterator<Item = &'t Arc<Route>>) -> Option<Listener> {
        let address = self.options.shared_address.clone()?;
        // A route to two of the deployments comes twice.
        let mut seen = BTreeSet::new();
        let mut routes: Vec<Route> =
            routes.filter(|it| seen.insert(Arc::as_ptr(it))).map(|it| Route::clone(it)).collect();
        routes
            .sort_by(|a, b| (a.created.is_none(), a.created, &a.name).cmp(&(b.created.is_none(), b.created, &b.name)));
        Some(Listener { name: shared::NAME.to_owned(), address, port: None, routes, tls: None })
    }

    /// All that is to be said about an object, beside [`super::Resolved::findings`]; sorted.
    #[must_use]
    pub fn findings(&self, object: &ObjectKey) -> Vec<Finding> {
        let name = Name::new(&object.namespace, &object.name);
        let mut services: BTreeSet<Name> = BTreeSet::new();
        let mut found: BTreeSet<&Finding> = self.hostnames.findings(Some(object)).collect();
        match (object.kind.as_str(), RouteKind::find(&object.kind)) {
            ("Service", _) => drop(services.insert(name)),
            (_, Some(kind)) => {
                if let Some(it) = self.routes.get(&kind.of(name)) {
                    services.extend(it.attached.services());
                    found.extend(&it.attached.findings);
                }
            }
            _ => {
                let deployment = name.to_string();
                services.extend(self.services_of(&deployment).cloned());
                services.extend(self.deployments.get(deployment.as_str()).into_iter().flat_map(|it| it.services()));
            }
        }
        let tables = services.iter().filter_map(|it| self.tables.get(it));
        found.extend(tables.flat_map(|it| &it.findings).filter(|it| it.object == *object));
        found.into_iter().cloned().collect()
    }

    /// All that is to be said, beside [`super::Resolved::findings`].
    pub(super) fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        let tables = self.tables.values().flat_map(|it| &it.findings);
        let routes = self.routes.values().flat_map(|it| &it.attached.findings);
        tables.chain(routes).chain(self.hostnames.findings(None))
    }

    /// All listeners of Services.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.tables.values().flat_map(|it| &it.listeners)
    }

    // === changes: each answers the Services whose tables have to be built anew ===

    pub(super) fn put_deployment(
        &mut self,
        name: &Name,
        routing: Option<&Arc<Routing>>,
        affected: &mut Affected,
    ) -> BTreeSet<Name> {
        let deployment: Arc<str> = name.to_string().into();
        let before = match routing {
            Some(it) => self.deployments.insert(deployment.clone(), it.clone()),
            None => self.deployments.remove(&deployment),
        };
        if before.as_ref() == routing {
            return BTreeSet::new();
        }
        let services =
            |it: Option<&Arc<Routing>>| -> BTreeSet<Name> { it.into_iter().flat_map(|it| it.services()).collect() };
        let (old, new) = (services(before.as_ref()), services(routing));
        reindex(&mut self.behind, &deployment, &old, &new);
        let mut dirty: BTreeSet<Name> = old.union(&new).cloned().collect();

        let object = routing.or(before.as_ref()).map(|it| it.object.clone());
        let routes = routing.map(|it| it.by_host()).unwrap_or_default();
        if let Some(object) = object {
            let claims = routes.into_iter().map(|route| Claim { object: object.clone(), route }).collect();
            self.claim(&object, claims, BTreeSet::from([deployment.clone()]), affected);
        }
        if before.is_some() != routing.is_some() {
            // Routes that name it as a backend are right or wrong now.
            for route in self.backends.get(&deployment).cloned().unwrap_or_default() {
                dirty.extend(self.attach(&route, affected));
            }
        }
        dirty
    }

    pub(super) fn put_service(
        &mut self,
        name: &Name,
        service: Option<(Arc<Service>, ServiceTls)>,
        address: &dyn Fn(&ServicePort) -> Option<String>,
    ) {
        let Some((service, tls)) = service else {
            self.services.remove(name);
            return;
        };
        let ports = service::served(name, &service);
        let addresses = ports.filter_map(|it| Some((it.port_name.clone(), address(&it)?))).collect();
        self.services.insert(name.clone(), KnownService { service, addresses, tls });
    }

    pub(super) fn put_grant(
        &mut self,
        name: &Name,
        grant: Option<Arc<ReferenceGrant>>,
        affected: &mut Affected,
    ) -> BTreeSet<Name> {
        let mut dirty = BTreeSet::new();
        if !self.grants.set(name, grant) {
            return dirty;
        }
        // All names of a namespace stand together: `/` is followed by `0`.
        let (first, end) = (format!("{}/", name.namespace), format!("{}0", name.namespace));
        let backends = self.backends.range::<str, _>((Bound::Included(&*first), Bound::Excluded(&*end)));
        let foreign = |it: &&RouteKey| it.name.namespace != name.namespace;
        let routes: BTreeSet<RouteKey> = backends.flat_map(|it| it.1).filter(foreign).cloned().collect();
        for route in routes {
            dirty.extend(self.attach(&route, affected));
        }
        dirty
    }

    pub(super) fn put_route(
        &mut self,
        name: &RouteKey,
        route: Option<AnyRoute>,
        affected: &mut Affected,
    ) -> BTreeSet<Name> {
        if let Some(route) = route {
            if self.routes.get(name).is_some_and(|it| it.route == route) {
                return BTreeSet::new();
            }
            let attached = Attached::default();
            match self.routes.entry(name.clone()) {
                Entry::Occupied(mut known) => known.get_mut().route = route,
                Entry::Vacant(place) => drop(place.insert(KnownRoute { route, attached })),
            }
            return self.attach(name, affected);
        }
        let Some(before) = self.routes.remove(name) else { return BTreeSet::new() };
        self.forget(name, &before.attached);
        affected.objects.insert(before.attached.object.clone());
        self.claim(&before.attached.object, Vec::new(), BTreeSet::new(), affected);
        before.attached.services().collect()
    }

    /// Reads a route anew; answers the Services that it is or was attached to.
    pub(super) fn attach(&mut self, name: &RouteKey, affected: &mut Affected) -> BTreeSet<Name> {
        let Some(route) = self.routes.get(name).map(|it| it.route.clone()) else { return BTreeSet::new() };
        let permitted = |kind: &str, it: &Name| self.grants.permit(name.kind.name(), &name.name.namespace, kind, it);
        let around = Surroundings {
            known: &|it| self.deployments.contains_key(it),
            permitted: &permitted,
            policies: &|it| self.policies.get(it).cloned(),
        };
        let attached = http_route::attach(&name.name, &route, around);
        let mut dirty: BTreeSet<Name> = attached.services().collect();
        for it in &dirty {
            self.attached.entry(it.clone()).or_default().insert(name.clone());
        }
        for it in attached.deployments.iter().chain(&attached.missing) {
            self.backends.entry(it.as_str().into()).or_default().insert(name.clone());
        }
        for it in &attached.policies {
            self.policed.entry(it.clone()).or_default().insert(name.clone());
        }
        let object = attached.object.clone();
        let shared = self.options.shared_http_routes && !attached.route.hostnames.is_empty();
        let claims =
            if shared { vec![Claim { object: object.clone(), route: attached.route.clone() }] } else { Vec::new() };
        let deployments =
            if shared { attached.deployments.iter().map(|it| it.as_str().into()).collect() } else { BTreeSet::new() };
        let Some(known) = self.routes.get_mut(name) else { return dirty };
        let before = std::mem::replace(&mut known.attached, attached.clone());
        dirty.extend(before.services());
        if before.findings != attached.findings {
            affected.objects.insert(object.clone());
        }
        let stale = Attached {
            parents: before
                .parents
                .into_iter()
                .filter(|it| !attached.parents.iter().any(|new| new.1.name == it.1.name))
                .collect(),
            deployments: named(&before.deployments, &before.missing, &attached),
            missing: BTreeSet::new(),
            policies: before.policies.difference(&attached.policies).cloned().collect(),
            object: object.clone(),
            ..Attached::default()
        };
        self.forget(name, &stale);
        self.claim(&object, claims, deployments, affected);
        dirty
    }

    /// Removes a route from the indexes.
    fn forget(&mut self, name: &RouteKey, attached: &Attached) {
        for service in attached.services() {
            remove(&mut self.attached, &service, name);
        }
        for it in attached.deployments.iter().chain(&attached.missing) {
            remove(&mut self.backends, &Arc::from(it.as_str()), name);
        }
        for it in &attached.policies {
            remove(&mut self.policed, it, name);
        }
    }

    fn claim(
        &mut self,
        object: &ObjectKey,
        claims: Vec<Claim>,
        deployments: BTreeSet<Arc<str>>,
        affected: &mut Affected,
    ) {
        if self.options.shared_address.is_some() {
            let deployments = if claims.is_empty() { BTreeSet::new() } else { deployments };
            let Concerned { deployments, objects } = self.hostnames.set(object, claims, deployments);
            affected.deployments.extend(deployments);
            affected.objects.extend(objects);
        }
    }

    /// Builds these Services' tables anew.
    pub(super) fn rebuild(&mut self, dirty: BTreeSet<Name>, affected: &mut Affected) {
        for name in dirty {
            let behind: Vec<&Routing> = (self.behind.get(&name).into_iter().flatten())
                .filter_map(|it| Some(&**self.deployments.get(it)?))
                .collect();
            let attached: Vec<&Attached> = (self.attached.get(&name).into_iter().flatten())
                .filter_map(|it| Some(&self.routes.get(it)?.attached))
                .collect();
            let known = self.services.get(&name);
            let address = |port: &ServicePort| known?.addresses.get(&port.port_name).cloned();
            let mut table = match behind.is_empty() && attached.is_empty() {
                true => ServiceTable::default(),
                false => {
                    let none = ServiceTls::default();
                    let tls = known.map_or(&none, |it| &it.tls);
                    service::table(&name, known.map(|it| &*it.service), &behind, &attached, &address, tls)
                }
            };
            let before = self.tables.remove(&name).unwrap_or_default();
            // What is as it was is not kept twice.
            for it in &mut table.listeners {
                if let Some(old) = before.listeners.iter().find(|old| *old == it) {
                    *it = old.clone();
                }
            }
            if before.listeners != table.listeners || before.deployments != table.deployments {
                affected.services.insert(name.clone());
                affected.deployments.extend(before.deployments.union(&table.deployments).cloned());
            }
            if before.findings != table.findings {
                affected.objects.extend(before.findings.iter().chain(&table.findings).map(|it| it.object.clone()));
            }
            for it in before.deployments.difference(&table.deployments) {
                remove(&mut self.routed, it, &name);
            }
            for it in &table.deployments {
                self.routed.entry(it.clone()).or_default().insert(name.clone());
            }
            for it in before.mirrors.difference(&table.mirrors) {
                remove(&mut self.mirrored, it, &name);
            }
            for it in &table.mirrors {
                self.mirrored.entry(it.clone()).or_default().insert(name.clone());
            }
            if !(behind.is_empty() && attached.is_empty()) {
                self.tables.insert(name, table);
            }
        }
    }
}

/// The deployments that a route named and names no more.
fn named(deployments: &BTreeSet<String>, missing: &BTreeSet<String>, now: &Attached) -> BTreeSet<String> {
    let still = |it: &&String| now.deployments.contains(*it) || now.missing.contains(*it);
    deployments.union(missing).filter(|it| !still(it)).cloned().collect()
}

fn reindex(
    index: &mut BTreeMap<Name, BTreeSet<Arc<str>>>,
    value: &Arc<str>,
    old: &BTreeSet<Name>,
    new: &BTreeSet<Name>,
) {
    for key in old.difference(new) {
        remove(index, key, value);
    }
    for key in new {
        index.entry(key.clone()).or_default().insert(value.clone());
    }
}

fn remove<K: Ord, V: Ord>(index: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}
