//! Components that are linked together and run as one unit.

mod capacity;
mod component;
mod environment;
mod http;
mod interface;
mod resource;
mod volume;

pub use self::{
    capacity::{Capacity, TopologySpread, Unsatisfiable, WhenFull},
    component::{Component, ImagePullPolicy, LocalResources, Service, VolumeMount},
    environment::{ConfigSource, Environment},
    http::{Http, HttpRule},
    interface::HostInterface,
    resource::{Kubernetes, KubernetesService, Workload, WorkloadSpec, WorkloadStatus},
    volume::{EphemeralVolume, HostPathVolume, Volume},
};
