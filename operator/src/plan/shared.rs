//! Hostnames on the shared listener, for gateways outside the cluster and for `penstock dev`: each belongs to the namespace
//! that claimed it first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use penstock_api::{manifest::ObjectKey, reasons, snapshot::Route};

use super::{
    Finding, Findings, Name,
    claims::{self, Claim},
};

/// The shared listener's name in snapshots.
pub(super) const NAME: &str = "shared";

/// Who claims which hostname, and what comes of it.
#[derive(Debug, Default)]
pub(super) struct Hostnames {
    claimed: BTreeMap<ObjectKey, Claimed>,
    hosts: BTreeMap<String, Hostname>,
    /// The objects whose routes lead to a deployment.
    by_deployment: BTreeMap<Arc<str>, BTreeSet<ObjectKey>>,
}

/// One object's claims.
#[derive(Debug, Default)]
struct Claimed {
    claims: Vec<Claim>,
    deployments: BTreeSet<Arc<str>>,
    /// What is left of the claims.
    routes: Vec<Arc<Route>>,
}

#[derive(Debug, Default)]
struct Hostname {
    /// The oldest first.
    claims: BTreeMap<Age, ObjectKey>,
    findings: Vec<Finding>,
}

/// The order of claims: creation (what has none last), name, kind.
type Age = ((bool, Option<i64>, Name), String);

/// Whom a change concerns.
#[derive(Debug, Default)]
pub(super) struct Concerned {
    pub(super) deployments: BTreeSet<Arc<str>>,
    pub(super) objects: BTreeSet<ObjectKey>,
}

impl Hostnames {
    /// What an object claims now, and to which deployments that leads; no claims if it is gone.
    pub(super) fn set(&mut self, object: &ObjectKey, claims: Vec<Claim>, deployments: BTreeSet<Arc<str>>) -> Concerned {
        let mut concerned = Concerned::default();
        let before = self.claimed.remove(object).unwrap_or_default();
        if before.claims == claims && before.deployments == deployments {
            if !claims.is_empty() {
                self.claimed.insert(object.clone(), before);
            }
            return concerned;
        }
        self.index(object, &before.deployments, &deployments);
        concerned.deployments.extend(before.deployments.union(&deployments).cloned());

        let (old, new) = (ages(&before.claims), ages(&claims));
        let touched: BTreeSet<&str> = old.iter().chain(&new).map(|it| it.0.as_str()).collect();
        let owners: Vec<Option<String>> = touched.iter().map(|host| self.owner(host).map(ToOwned::to_owned)).collect();
        for (host, age) in &old {
            if let Some(it) = self.hosts.get_mut(host) {
                it.claims.remove(age);
            }
        }
        for (host, age) in &new {
            self.hosts.entry(host.clone()).or_default().claims.insert(age.clone(), object.clone());
        }
        if !claims.is_empty() {
            self.claimed.insert(object.clone(), Claimed { claims, deployments, routes: Vec::new() });
        }

        let mut again = BTreeSet::from([object.clone()]);
        for (host, owner) in touched.iter().zip(owners) {
            if self.owner(host) != owner.as_deref() {
                again.extend(self.hosts.get(*host).into_iter().flat_map(|it| it.claims.values().cloned()));
            }
        }
        for it in &again {
            concerned.deployments.extend(self.settle(it));
        }
        for host in touched {
            concerned.objects.extend(self.say(host));
        }
        concerned
    }

    /// The routes that lead to a deployment.
    pub(super) fn routes(&self, deployment: &str) -> impl Iterator<Item = &Arc<Route>> {
        let objects = self.by_deployment.get(deployment).into_iter().flatten();
        objects.filter_map(|it| self.claimed.get(it)).flat_map(|it| &it.routes)
    }

    /// All routes.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.claimed.values().flat_map(|it| &it.routes)
    }

    /// What is said about an object's hostnames, or about those of all objects.
    pub(super) fn findings<'t>(&'t self, object: Option<&'t ObjectKey>) -> impl Iterator<Item = &'t Finding> {
        let of = object.map(|object| self.claimed.get(object).map(|it| ages(&it.claims)).unwrap_or_default());
        let hosts: Vec<&Hostname> = match of {
            Some(ages) => ages.iter().filter_map(|it| self.hosts.get(&it.0)).collect(),
            None => self.hosts.values().collect(),
        };
        hosts.into_iter().flat_map(|it| &it.findings).filter(move |it| object.is_none_or(|object| it.object == *object))
    }

    fn index(&mut self, object: &ObjectKey, old: &BTreeSet<Arc<str>>, new: &BTreeSet<Arc<str>>) {
        for it in old.difference(new) {
            if let Some(objects) = self.by_deployment.get_mut(it) {
                objects.remove(object);
                if objects.is_empty() {
                    self.by_deployment.remove(it);
                }
            }
        }
        for it in new {
            self.by_deployment.entry(it.clone()).or_default().insert(object.clone());
        }
    }

    /// The namespace to which a hostname belongs.
    fn owner(&self, host: &str) -> Option<&str> {
        Some(&self.hosts.get(host)?.claims.first_key_value()?.1.namespace)
    }

    /// Takes from an object's claims the hostnames that are not its namespace's. A route that loses all of its hostnames
    /// goes. Answers the deployments whose routes are others now.
    fn settle(&mut self, object: &ObjectKey) -> BTreeSet<Arc<str>> {
        let Some(it) = self.claimed.get(object) else { return BTreeSet::new() };
        let owned = |host: &str| self.owner(host) == Some(&object.namespace);
        let mut routes = Vec::new();
        for claim in &it.claims {
            let all = claim.hosts().into_iter().all(owned);
            let mut route = claim.route.clone();
            route.hostnames.retain(|host| owned(host));
            if all || !route.hostnames.is_empty() {
                routes.push(Arc::new(route));
            }
        }
        match self.claimed.get_mut(object) {
            Some(it) if it.routes != routes => {
                it.routes = routes;
                it.deployments.clone()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Says what is to be said about a hostname; answers the objects about which something else is said now.
    fn say(&mut self, host: &str) -> BTreeSet<ObjectKey> {
        let mut findings = Findings::default();
        let owner = self.owner(host).map(ToOwned::to_owned);
        let objects: BTreeSet<&ObjectKey> =
            self.hosts.get(host).into_iter().flat_map(|it| it.claims.values()).collect();
        let mut kept = Vec::new();
        for object in objects {
            if Some(&object.namespace) != owner.as_ref() {
                let message =
                    format!("`{host}` belongs to another namespace, which claimed it first: choose another hostname");
                findings.error(object, "", reasons::HOSTNAME_CONFLICT, message);
            } else if let Some(it) = self.claimed.get(object) {
                kept.extend(it.claims.iter().filter(|it| it.hosts().contains(&host)));
            }
        }
        claims::report_ambiguous_on(host, kept, reasons::AMBIGUOUS_ROUTE, "the shared listener", &mut findings);
        let Some(entry) = self.hosts.get_mut(host) else { return BTreeSet::new() };
        let before = std::mem::replace(&mut entry.findings, findings.sorted());
        let changed = before != entry.findings;
        let concerned = before.iter().chain(&entry.findings).filter(|_| changed).map(|it| it.object.clone()).collect();
        if entry.claims.is_empty() {
            self.hosts.remove(host);
        }
        concerned
    }
}

/// Every hostname that is claimed, with the age of the claim.
fn ages(claims: &[Claim]) -> BTreeSet<(String, Age)> {
    let age = |it: &Claim| {
        let (age, kind) = it.age();
        (age, kind.to_owned())
    };
    claims.iter().flat_map(|it| it.hosts().into_iter().map(move |host| (host.to_owned(), age(it)))).collect()
}
