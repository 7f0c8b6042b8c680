//! From objects to snapshots: pure functions, the same for a cluster and for `penstock dev`.
//!
//! The order in which objects come never matters. What cannot be done becomes a [`Finding`] and takes nothing else with
//! it. Nothing here asks for the time, for an object or for anything else: facts come in, decisions go out, and what they
//! cost grows with what is asked, not with the cluster.
//!
//! # In a cluster
//! For each deployment, when it, its ReplicaSets, Workloads, ConfigMaps or Secrets, or a host changes:
//! 1. [`resolve_deployment`]: references resolved, the revision named, the routes known ([`Resolved`]);
//!    [`resolve_replica_set`] for older revisions that still run. Keep these, they are shared by `Arc`.
//! 2. [`Tables::set_deployment`] with [`Resolved::routing`] ([`routing_in_force`] while revisions change; and [`Tables::set_service`], [`Tables::set_route`] for those):
//!    says which deployments' hosts need a new snapshot and which Services' slices have to be looked at ([`Affected`]).
//! 3. [`deployment_step`]: the ReplicaSets and Workloads that there should be, and the Workloads that should leave. It is
//!    [`revisions()`], [`rollout::step`], then for each revision [`placement::place`] (the goal) and [`placement::settle`]
//!    (as far as can be gone now without taking what serves).
//! 4. [`drain::next`] for each Workload that should leave: when its endpoint must say `terminating`, when its share leaves
//!    the snapshot, and when the object may be deleted.
//!
//! For each host: [`snapshot_for`] from its shares and [`Tables`]; [`asks_the_same`] says whether it need be sent.
//!
//! For all hosts, each second while their load changes: [`peers()`], who passes calls on to whom.
//!
//! For each Service: [`Ports::allocate`], [`endpoints::states`], [`endpoints::slices`] (as the writes that are needed).
//!
//! For each status: the functions of [`status`]. Names of objects: [`names`].
//!
//! # In `penstock dev`
//! [`plan()`] gives one host everything, [`carry_over`] takes it from one plan to the next.

mod any_route;
pub mod autoscale;
mod carry_over;
mod claims;
mod convert;
pub mod deployment;
pub mod drain;
pub mod endpoints;
mod finding;
mod grants;
mod host;
mod http_route;
pub mod names;
mod objects;
mod options;
mod peers;
pub mod placement;
mod policy;
mod ports;
mod pull_secret;
mod resolve;
mod revision;
pub mod revisions;
pub mod rollout;
mod routes;
mod service;
mod shared;
mod snapshot;
pub mod status;
mod tables;
pub mod tls;
mod unit;
mod values;
mod workload;

use std::{collections::BTreeSet, sync::Arc};

use penstock_api::snapshot::{Listener, Snapshot};

pub use self::{
    any_route::{AnyRoute, RouteKey, RouteKind, is_service},
    carry_over::carry_over,
    deployment::{
        DeploymentFacts, DeploymentStep, ReplicaSetFacts, WantedReplicaSet, WantedWorkload, WorkloadFacts,
        deployment_step,
    },
    finding::{Finding, Severity},
    host::{HostAddress, HostId, HostState, HostView},
    objects::{Name, Objects},
    options::{Options, ServicePort},
    peers::{SpillingHost, peers},
    placement::{Held, Placement, Spread},
    ports::Ports,
    resolve::{Resolved, Source, Values, resolve_deployment, resolve_replica_set, resolve_workload, routing_in_force},
    revisions::{RevisionView, Revisions, revisions},
    rollout::{Pace, Phase},
    routes::Routing,
    snapshot::{HostShare, asks_the_same, snapshot_for},
    tables::{Affected, ServiceTable, TableOptions, Tables},
};
use self::{finding::Findings, unit::Unit};

/// What a host should run and route, and what is to be said about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What the host should run and route.
    pub snapshot: Snapshot,
    /// What could not be done, or not as it was probably meant; sorted, without duplicates.
    pub findings: Vec<Finding>,
    /// `namespace/name` of workloads that could not be resolved. Their routes are in the snapshot, their shares are not:
    /// see [`Plan::keep`].
    pub kept_out: BTreeSet<String>,
}

impl Plan {
    /// Takes over, from the snapshot before, the shares of workloads that could not be resolved now: a broken edit never
    /// takes an old revision down. Without one before, requests for them are answered with 503.
    pub fn keep(&mut self, previous: &Snapshot) {
        let kept = previous.shares.iter().filter(|it| self.kept_out.contains(&it.deployment));
        self.snapshot.shares.extend(kept.cloned());
        self.snapshot.shares.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

/// Plans one host that runs and routes everything.
#[must_use]
pub fn plan(objects: &Objects, options: &Options<'_>) -> Plan {
    let mut findings = Findings::default();
    let mut plan = Plan::default();
    let mut tables = Tables::new(TableOptions {
        shared_address: options.shared_address.map(ToOwned::to_owned),
        shared_http_routes: options.shared_http_routes,
    });
    let (mut dirty, mut affected) = (BTreeSet::new(), Affected::default());
    for (name, it) in &objects.policies {
        dirty.extend(tables.put_policy(name, Some(it.clone()), &mut affected));
    }
    for unit in unit::all(objects, &mut findings) {
        let resolved = workload::resolve(&unit, objects, &mut findings);
        match resolved.share {
            Some(share) => plan.snapshot.shares.push(share),
            None => drop(plan.kept_out.insert(unit.deployment())),
        }
        let routing = Routing::new(&unit, &resolved.http, objects, &mut findings);
        dirty.extend(tables.put_deployment(&unit.name(), Some(&Arc::new(routing)), &mut affected));
    }
    for (name, it) in &objects.services {
        let tls = tls::resolve(name, it, objects, None);
        tables.put_service(name, Some((it.clone(), tls)), options.service_address);
    }
    for (name, it) in &objects.grants {
        dirty.extend(tables.put_grant(name, Some(it.clone()), &mut affected));
    }
    for (key, it) in &objects.routes {
        dirty.extend(tables.put_route(key, Some(it.clone()), &mut affected));
    }
    tables.rebuild(dirty, &mut affected);
    findings.extend(tables.all_findings().cloned());
    plan.snapshot.version = options.version;
    plan.snapshot.shares.sort_by(|a, b| a.id.cmp(&b.id));
    plan.snapshot.listeners.extend(tables.shared_listener_with_all());
    plan.snapshot.listeners.extend(tables.listeners().map(|it| Listener::clone(it)));
    plan.snapshot.listeners.sort_by(|a, b| a.name.cmp(&b.name));
    plan.findings = findings.sorted();
    plan
}
