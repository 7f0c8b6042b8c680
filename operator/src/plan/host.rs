//! A host as placement and endpoints see it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

pub use crate::hosts::HostId;

/// Whether a host takes and keeps shares. The order is from the best to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostState {
    /// It is connected, or was so a short time ago: it takes shares and serves.
    #[default]
    Live,
    /// It serves what it has and gives it away as soon as others serve it: cordoned by annotation, its node cordoned, or
    /// not heard of for so long that new shares go elsewhere.
    Cordoned,
    /// Its pod is being deleted: as [`HostState::Cordoned`], and all of its endpoints are `terminating`.
    Terminating,
    /// It is gone, or given up: nothing of it counts.
    Lost,
}

/// A host, as the planning functions see it. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostView {
    /// The pod's name.
    pub id: HostId,
    /// What `hostSelector` selects by, `hostgroup` among them.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The namespace of its pod, which `environment` selects by.
    pub environment: Arc<str>,
    /// The node's `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// Whether it takes and keeps shares.
    pub state: HostState,
    /// Replicas of all deployments that it can hold; none: nothing limits it.
    pub capacity: Option<u32>,
    /// Replicas of all deployments that it has been given, those of the deployment at hand included.
    pub used: u32,
}

/// Where a host can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddress {
    /// The pod's name.
    pub id: HostId,
    /// The pod's namespace.
    pub namespace: Arc<str>,
    /// The pod's uid.
    pub pod_uid: Arc<str>,
    /// The node.
    pub node: Option<Arc<str>>,
    /// The node's zone.
    pub zone: Option<Arc<str>>,
    /// The pod's addresses, one of each family at most.
    pub addresses: Vec<IpAddr>,
}
