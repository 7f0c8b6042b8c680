//! What both sides agree on: resources, conditions, labels and the snapshot that a host follows. No I/O.
#![allow(clippy::duplicated_attributes, reason = "every printer column names its type")]

pub mod artifact;
pub mod autoscaling;
mod cel;
pub mod conditions;
pub mod control;
pub mod crd;
pub mod deployment;
pub mod duration;
pub mod host;
pub mod hostname;
pub mod labels;
pub mod manifest;
pub mod origin;
pub mod policy;
pub mod reasons;
pub mod replica_set;
pub mod route;
mod schema;
pub mod size;
pub mod snapshot;
pub mod workload;

pub use self::{
    artifact::{Artifact, ArtifactSpec, ArtifactStatus},
    deployment::{WorkloadDeployment, WorkloadDeploymentSpec, WorkloadDeploymentStatus},
    duration::GatewayDuration,
    host::{Host, HostSpec, HostStatus},
    policy::{TrafficPolicy, TrafficPolicySpec},
    replica_set::{WorkloadReplicaSet, WorkloadReplicaSetSpec, WorkloadReplicaSetStatus},
    route::{GrpcRoute, HttpRoute, ReferenceGrant},
    size::ByteSize,
    workload::{Workload, WorkloadSpec, WorkloadStatus},
};

/// The API group of Penstock's resources, which is wasmCloud's.
pub const GROUP: &str = "runtime.wasmcloud.dev";
/// The version of [`GROUP`] that is read and written.
pub const VERSION: &str = "v1alpha1";
