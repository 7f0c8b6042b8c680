//! Types of conditions, by the kind that carries them.

/// Every kind: it does what its spec says.
pub const READY: &str = "Ready";

/// Host: its heartbeat or stream is alive.
pub const REPORTING: &str = "Reporting";

/// Workload: every reference to a ConfigMap or Secret could be resolved.
pub const CONFIG: &str = "Config";
/// Workload: some host is selected by `hostSelector` and `hostId`.
pub const HOST_SELECTION: &str = "HostSelection";
/// Workload: it has been given to a host.
pub const PLACEMENT: &str = "Placement";
/// Workload, deployment and Artifact: what is wanted has been sent.
pub const SYNC: &str = "Sync";

/// ReplicaSet: more replicas are being made.
pub const SCALE_UP: &str = "ScaleUp";
/// ReplicaSet: replicas are being drained.
pub const SCALE_DOWN: &str = "ScaleDown";

/// Deployment: its artifacts are there.
pub const ARTIFACT: &str = "Artifact";
/// Deployment: the current revision serves.
pub const DEPLOY: &str = "Deploy";
/// Deployment: the current number of replicas is the wanted one.
pub const SCALE: &str = "Scale";

/// Deployment: as many replicas serve as must.
pub const AVAILABLE: &str = "Available";
/// Deployment: every ready host has acknowledged this generation, and its endpoints have been known for the propagation delay.
pub const PROGRAMMED: &str = "Programmed";

/// Deployment with `spec.autoscaling`: its replicas follow its load (autoscaling/v2's condition).
pub const SCALING_ACTIVE: &str = "ScalingActive";
/// Deployment with `spec.autoscaling`: its bounds or its pace keep its replicas from what its load asks for (autoscaling/v2's condition).
pub const SCALING_LIMITED: &str = "ScalingLimited";

/// Deployment and Workload: its instances do not crash in a row.
pub const HEALTHY: &str = "Healthy";

/// Artifact: it can be fetched at `status.artifactUrl`.
pub const PUBLISHED: &str = "Published";

/// Route, by parent: it is attached.
pub const ACCEPTED: &str = "Accepted";
/// Route, by parent: every backend it names exists and may be used.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// Route, by parent: a part of it is left out.
pub const PARTIALLY_INVALID: &str = "PartiallyInvalid";

/// Service: Penstock serves all of its ports.
pub const SERVICE_ACCEPTED: &str = "runtime.wasmcloud.dev/Accepted";
