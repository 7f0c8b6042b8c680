//! A process that runs components.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a host says of itself. These fields are at the object's root: there is no `spec`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "runtime.wasmcloud.dev",
    version = "v1alpha1",
    kind = "Host",
    namespaced,
    no_spec,
    status = "HostStatus",
    derive = "PartialEq",
    shortname = "wh",
    category = "wasmcloud",
    doc = "A process that runs components.",
    printcolumn(name = "HOSTID", type_ = "string", json_path = ".hostId"),
    printcolumn(name = "HOSTGROUP", type_ = "string", json_path = ".metadata.labels.hostgroup"),
    printcolumn(name = "ENVIRONMENT", type_ = "string", json_path = ".environment"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct HostSpec {
    /// The host's own identity, unique in the cluster.
    #[schemars(length(min = 1))]
    pub host_id: String,
    /// Where it can be reached: in the chart a pod's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The port of its shared HTTP listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u32>,
    /// The namespace of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Reporting` and `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The host's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// The processor's architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_arch: Option<String>,
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_kernel: Option<String>,
    /// Percent of all processors, as text, such as `12.5`.
    #[serde(rename = "systemCPUUsage", skip_serializing_if = "Option::is_none")]
    pub system_cpu_usage: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_memory_total: Option<i64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_memory_free: Option<i64>,
    /// Components that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component_count: Option<i64>,
    /// Workloads that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_count: Option<i64>,
    /// When it was heard of last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
}
