//! Names of labels and annotations.

/// On host pods and `Host` objects: the group that a host belongs to, as the chart writes it on pods.
pub const HOST_GROUP: &str = "wasmcloud.com/hostgroup";
/// On host pods: always [`HOST_POD_NAME`].
pub const HOST_NAME: &str = "wasmcloud.com/name";
/// The value of [`HOST_NAME`] on host pods.
pub const HOST_POD_NAME: &str = "hostgroup";
/// The short form of [`HOST_GROUP`], which `hostSelector` and `Host` objects use.
pub const SELECTOR_HOST_GROUP: &str = "hostgroup";
/// On ReplicaSets and Workloads: the name of the deployment that owns them.
pub const WORKLOAD_DEPLOYMENT: &str = "runtime.wasmcloud.dev/workload-deployment";
/// On ReplicaSets and Workloads: the revision, a short hash of the resolved template.
pub const REVISION: &str = "runtime.wasmcloud.dev/revision";
/// On EndpointSlices: who keeps them (Kubernetes' own label).
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on slices that Penstock keeps.
pub const MANAGED_BY_PENSTOCK: &str = "penstock";
