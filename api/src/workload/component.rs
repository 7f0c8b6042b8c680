//! One component, and what it may use.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::LocalObjectReference, apimachinery::pkg::util::intstr::IntOrString};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Environment;
use crate::duration::GatewayDuration;

/// One component of a workload. Numbers of 0 mean the same as none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::image)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Unique in its workload.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// An OCI reference, with or without a digest. `penstock dev` also takes `file://` and paths.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// The Secret (of type `kubernetes.io/dockerconfigjson`) with the registry's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<LocalObjectReference>,
    /// When to ask the registry again; `IfNotPresent` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Warm instances per replica; none: a fresh one for every call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,
    /// A warm instance retires after so many calls; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_invocations: Option<u32>,
    /// Calls that one warm instance serves at once, at most: fewer while they compute. None: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// A warm instance that is older retires, such as `1h`; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<GatewayDuration>,
    /// A warm instance with more memory, in MiB, retires after its call; none: with more than three quarters of its limit.
    #[serde(default, rename = "maxMemoryMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_048_576))]
    pub max_memory_mib: Option<u32>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_resources: Option<LocalResources>,
}

/// A long-running component that exports `wasi:cli/run`: the workload's "localhost".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::image)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// An OCI reference, with or without a digest.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// The Secret (of type `kubernetes.io/dockerconfigjson`) with the registry's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<LocalObjectReference>,
    /// When to ask the registry again; `IfNotPresent` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// How often it is started again after it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u64>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_resources: Option<LocalResources>,
}

/// When to ask the registry again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// On every start.
    Always,
    /// If there is nothing on disk.
    #[default]
    IfNotPresent,
    /// Never.
    Never,
}

/// What a component may use. Egress that is not allowed here is denied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::local_resources)]
#[serde(rename_all = "camelCase")]
pub struct LocalResources {
    /// Volumes that it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub volume_mounts: Vec<VolumeMount>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// `wasi:config` entries, and what capabilities read, such as `subscriptions`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Which hosts outgoing HTTP may reach: `*`, `host[:port]`, `scheme://host[:port]`, and `*.suffix` for `host`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Which names may be looked up: `*`, `*.suffix`, a name, or an IP literal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_ip_name_lookups: Vec<String>,
    /// Which ports of the host's loopback may be reached (`5432`, `5432/tcp`, `53/udp`), if the host allows it at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), transform = crate::cel::port)]
    pub allowed_host_loopback_ports: Vec<IntOrString>,
    /// Memory that one instance may have, in MiB; none: the host's own limit.
    #[serde(default, rename = "memoryLimitMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_048_576))]
    pub memory_limit_mib: Option<u32>,
    /// Processor time that one call may use, such as `500ms`; none: only the deadline ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<GatewayDuration>,
    /// Elements of each table of functions; none: 100000, which is the most there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub table_limit: Option<u32>,
    /// Outgoing HTTP connections of all its instances on one host; one more waits, for 5 s at most. None: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 65_536))]
    pub outbound_limit: Option<u32>,
    /// Bytes of one response's body, in MiB; none: no limit.
    #[serde(default, rename = "responseLimitMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_048_576))]
    pub response_limit_mib: Option<u32>,
}

/// Where a component sees a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::volume_mount)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    /// The volume's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// An absolute path inside the component.
    #[schemars(length(min = 1, max = 4096))]
    pub mount_path: String,
    /// Whether writes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}
