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
/// A value of a kind or field that is not supported (Gateway API's reason).
pub const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
/// A route names a component that the workload does not have.
pub const COMPONENT_NOT_FOUND: &str = "ComponentNotFound";
/// A volume mount names a volume that the workload does not have.
pub const VOLUME_NOT_FOUND: &str = "VolumeNotFound";
/// A field that is read but that nothing acts on yet.
pub const NOT_SUPPORTED: &str = "NotSupported";
