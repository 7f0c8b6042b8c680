//! All that one host should run and route.

use std::{collections::BTreeSet, sync::Arc};

use penstock_api::snapshot::{Listener, Share, Snapshot};

use super::{Name, Tables};

/// A share of a host.
#[derive(Clone, Debug)]
pub struct HostShare {
    /// What it is: [`super::Resolved::share`], the same for all hosts.
    pub share: Arc<Share>,
    /// How many replicas of it the host has.
    pub replicas: u32,
    /// Whether it answers without any.
    pub standby: bool,
}

/// A host's snapshot: these shares, the listeners of all Services that they are behind, and the shared listener with the
/// routes to them. The cost is that of the host's shares and of their Services, whatever else there is in the cluster.
#[must_use]
pub fn snapshot_for(version: u64, shares: &[HostShare], tables: &Tables) -> Snapshot {
    let deployments: BTreeSet<&str> = shares.iter().map(|it| it.share.deployment.as_str()).collect();
    let services: BTreeSet<&Name> = deployments.iter().flat_map(|it| tables.services_of(it)).collect();
    let services = services.into_iter().filter_map(|it| tables.service(it));
    let mut listeners: Vec<Listener> = services.flat_map(|it| &it.listeners).map(|it| Listener::clone(it)).collect();
    listeners.extend(tables.shared_listener(&deployments));
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    let share = |it: &HostShare| Share { replicas: it.replicas, standby: it.standby, ..Share::clone(&it.share) };
    let mut shares: Vec<Share> = shares.iter().map(share).collect();
    shares.sort_by(|a, b| a.id.cmp(&b.id));
    Snapshot { version, shares, listeners }
}

/// Whether two snapshots ask for the same, whatever their versions: then the newer one need not be sent.
#[must_use]
pub fn asks_the_same(a: &Snapshot, b: &Snapshot) -> bool {
    a.shares == b.shares && a.listeners == b.listeners
}
