//! Reasons of conditions and of the plan's findings.

/// A ConfigMap that is referred to does not exist.
pub const CONFIG_MAP_NOT_FOUND: &str = "ConfigMapNotFound";
/// A Secret that is referred to does not exist.
pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
/// A Secret or ConfigMap has no such key.
pub const KEY_NOT_FOUND: &str = "KeyNotFound";
/// A value that must be text is not UTF-8.
pub const NOT_TEXT: &str = "NotText";
/// A Service that is referred to does not exist.
pub const SERVICE_NOT_FOUND: &str = "ServiceNotFound";
/// A Service has no port that Penstock can serve.
pub const NO_SERVICE_PORT: &str = "NoServicePort";
/// No address could be allocated for a Service's port.
pub const NO_ADDRESS: &str = "NoAddress";
/// A Service has a selector, so Kubernetes itself manages its endpoints.
pub const SERVICE_HAS_SELECTOR: &str = "ServiceHasSelector";
/// A headless Service answers by SRV records only.
pub const HEADLESS_SERVICE: &str = "HeadlessService";
/// A hostname is claimed by another namespace already.
pub const HOSTNAME_CONFLICT: &str = "HostnameConflict";
/// A hostname is neither exact nor `*.suffix`.
pub const INVALID_HOSTNAME: &str = "InvalidHostname";
/// Several workloads want the same requests of one Service.
pub const AMBIGUOUS_SERVICE: &str = "AmbiguousService";
/// Two workloads of the same namespace want the same requests of the shared listener.
pub const AMBIGUOUS_ROUTE: &str = "AmbiguousRoute";
/// Two objects would run under the same name.
pub const DUPLICATE_NAME: &str = "DuplicateName";
/// A reference to another namespace that nobody permits (Gateway API's reason).
pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
/// A backend that does not exist (Gateway API's reason).
pub const BACKEND_NOT_FOUND: &str = "BackendNotFound";
/// A backend of a kind that Penstock does not serve (Gateway API's reason).
pub const INVALID_KIND: &str = "InvalidKind";
/// A parent that does not exist or has no such port (Gateway API's reason).
pub const NO_MATCHING_PARENT: &str = "NoMatchingParent";
/// Routes of another kind have the port already (GEP-1294's reason).
pub const CONFLICTED: &str = "Conflicted";
/// A value of a kind or field that is not supported (Gateway API's reason).
pub const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
/// A route names a component that the workload does not have.
pub const COMPONENT_NOT_FOUND: &str = "ComponentNotFound";
/// A volume mount names a volume that the workload does not have.
pub const VOLUME_NOT_FOUND: &str = "VolumeNotFound";
/// A field that is read but that nothing acts on yet.
pub const NOT_SUPPORTED: &str = "NotSupported";
/// A certificate that is missing or cannot be used (Gateway API's reason).
pub const INVALID_CERTIFICATE_REF: &str = "InvalidCertificateRef";
/// Every reference is resolved.
pub const RESOLVED: &str = "Resolved";
/// A host is selected.
pub const SELECTED: &str = "Selected";
/// No host is selected, or none of those takes workloads.
pub const NO_HOST: &str = "NoHost";
/// It has been given to a host.
pub const PLACED: &str = "Placed";
/// The host has what it should have.
pub const ACKNOWLEDGED: &str = "Acknowledged";
/// A host has not acknowledged it yet.
pub const WAITING_FOR_HOSTS: &str = "WaitingForHosts";
/// It serves.
pub const SERVING: &str = "Serving";
/// It is being fetched, compiled or started.
pub const STARTING: &str = "Starting";
/// It could not be started: the message is the host's own.
pub const START_FAILED: &str = "StartFailed";
/// Its instances do not crash in a row.
pub const HEALTHY: &str = "Healthy";
/// Every instance that is started, or every call, crashes: the message is the host's own.
pub const CRASH_LOOP: &str = "CrashLoop";
/// It finishes what it has begun.
pub const DRAINING: &str = "Draining";
/// There are as many replicas as are wanted.
pub const SCALED: &str = "Scaled";
/// Replicas are being added or drained.
pub const SCALING: &str = "Scaling";
/// Its replicas follow its load.
pub const FOLLOWS_LOAD: &str = "FollowsLoad";
/// Another autoscaler scales it too.
pub const AMBIGUOUS_AUTOSCALER: &str = "AmbiguousAutoscaler";
/// `spec.autoscaling` makes no sense.
pub const INVALID_AUTOSCALING: &str = "InvalidAutoscaling";
/// Nothing keeps the replicas from what the load asks for (autoscaling/v2's reason, and the next four).
pub const DESIRED_WITHIN_RANGE: &str = "DesiredWithinRange";
/// Fewer would do than `minReplicas`.
pub const TOO_FEW_REPLICAS: &str = "TooFewReplicas";
/// More are asked for than `maxReplicas`.
pub const TOO_MANY_REPLICAS: &str = "TooManyReplicas";
/// More are asked for than `behavior.scaleUp` allows now.
pub const SCALE_UP_LIMIT: &str = "ScaleUpLimit";
/// Fewer are asked for than `behavior.scaleDown` allows now.
pub const SCALE_DOWN_LIMIT: &str = "ScaleDownLimit";
/// No host has room for some replicas.
pub const INSUFFICIENT_CAPACITY: &str = "InsufficientCapacity";
/// The host's stream is there.
pub const CONNECTED: &str = "Connected";
/// The host has no stream to the operator.
pub const DISCONNECTED: &str = "Disconnected";
/// The host is gone.
pub const HOST_LOST: &str = "HostLost";
/// The host could not read what it was sent.
pub const SNAPSHOT_REFUSED: &str = "SnapshotRefused";
/// A listener could not be bound.
pub const NOT_BOUND: &str = "NotBound";
/// The host takes no new workloads.
pub const CORDONED: &str = "Cordoned";
/// It is used as it is (Gateway API's reason).
pub const ACCEPTED: &str = "Accepted";
/// Every backend is there (Gateway API's reason).
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// An Artifact is not there yet.
pub const ARTIFACT_NOT_FOUND: &str = "ArtifactNotFound";
/// It has not been looked at yet.
pub const PENDING: &str = "Pending";
/// The wanted revision has all of the replicas, and they serve.
pub const COMPLETE: &str = "Complete";
/// A change of the template waits.
pub const PAUSED: &str = "Paused";
/// The wanted revision is on its way.
pub const PROGRESSING: &str = "Progressing";
/// A rollout has made no progress for `progressDeadlineSeconds` (apps/v1's reason).
pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
/// As many replicas serve as must (apps/v1's reason).
pub const MINIMUM_AVAILABLE: &str = "MinimumReplicasAvailable";
/// Fewer replicas serve than must (apps/v1's reason).
pub const MINIMUM_UNAVAILABLE: &str = "MinimumReplicasUnavailable";
/// Not all of it serves yet.
pub const NOT_READY: &str = "NotReady";
/// Endpoints have been written too short a time ago for every node to know them.
pub const PROPAGATING: &str = "Propagating";
/// Hosts and endpoints are as the spec says (Gateway API's reason).
pub const PROGRAMMED: &str = "Programmed";
