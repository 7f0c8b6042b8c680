//! From objects to snapshots: pure functions, the same for a cluster and for `penstock dev`.
//!
//! The order in which objects come never matters. What cannot be done becomes a [`Finding`] and takes nothing else with
//! it. For now one host gets everything.

mod claims;
mod convert;
mod finding;
mod http_route;
mod objects;
mod options;
mod pull_secret;
mod revision;
mod rollout;
mod routes;
mod service;
mod shared;
mod unit;
mod values;
mod workload;

use std::collections::BTreeSet;

use penstock_api::snapshot::Snapshot;

use self::{finding::Findings, routes::Routed, unit::Unit};
pub use self::{
    finding::{Finding, Severity},
    objects::{Name, Objects},
    options::{Options, ServicePort},
    rollout::carry_over,
};

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
    let mut routed = Vec::new();
    for unit in unit::all(objects, &mut findings) {
        let resolved = workload::resolve(&unit, objects, &mut findings);
        let name = unit.deployment();
        match resolved.share {
            Some(share) => plan.snapshot.shares.push(share),
            None => drop(plan.kept_out.insert(name)),
        }
        routed.push(Routed::new(unit, &resolved.http, &mut findings));
    }
    let known: BTreeSet<String> = routed.iter().map(|it| it.unit.deployment()).collect();
    let http_routes = http_route::all(objects, &known, &mut findings);
    plan.snapshot.version = options.version;
    plan.snapshot.shares.sort_by(|a, b| a.id.cmp(&b.id));
    plan.snapshot.listeners.extend(shared::listener(&routed, &http_routes, options, &mut findings));
    plan.snapshot.listeners.extend(service::listeners(objects, &routed, &http_routes, options, &mut findings));
    plan.snapshot.listeners.sort_by(|a, b| a.name.cmp(&b.name));
    plan.findings = findings.sorted();
    plan
}
