//! What users write: a template, how many of it, and how a change is rolled out.

use k8s_openapi::{
    api::core::v1::LocalObjectReference,
    apimachinery::pkg::{apis::meta::v1::Condition, util::intstr::IntOrString},
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    autoscaling::Autoscaling,
    replica_set::{ReplicaCounts, WorkloadTemplate},
    workload::Kubernetes,
};

/// A template, how many of it, and how a change is rolled out.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "runtime.wasmcloud.dev",
    version = "v1alpha1",
    kind = "WorkloadDeployment",
    namespaced,
    status = "WorkloadDeploymentStatus",
    derive = "PartialEq",
    shortname = "wd",
    category = "wasmcloud",
    doc = "A workload, how many replicas of it, and how a change is rolled out.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.currentReplicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "REPLICAS", type_ = "integer", json_path = ".status.currentReplicas"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "SERVICE", type_ = "string", json_path = ".spec.kubernetes.service.name", priority = 1),
    printcolumn(
        name = "MESSAGE",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(transform = crate::cel::deployment)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadDeploymentSpec {
    /// Units of capacity over all hosts; 1 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 2_147_483_647))]
    pub replicas: Option<u32>,
    /// What each of them is.
    pub template: WorkloadTemplate,
    /// How an old revision gives way to a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_policy: Option<DeployPolicy>,
    /// Artifacts that must be there before a revision starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<DeploymentArtifact>,
    /// The Service that this deployment is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// The pace of a rollout, as in an apps/v1 Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether changes wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// How many old revisions are kept; 10 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<u32>,
    /// How many seconds a new replica must serve before it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<u32>,
    /// After how many seconds without progress a rollout counts as failed; 600 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<u32>,
    /// Whether 0 replicas keep the Service reachable, so that the first request starts an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_to_zero: Option<bool>,
    /// Lets the operator choose `replicas` by load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
}

/// How an old revision gives way to a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeployPolicy {
    /// Step by step; the old one leaves when the new one serves.
    #[default]
    RollingUpdate,
    /// The old one leaves first.
    Recreate,
}

/// The pace of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// Bounds of a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// Bounds of a rolling update: a number of replicas or a percentage such as `25%`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::rolling_update)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpdate {
    /// How many more than wanted there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrString>,
    /// How many fewer than wanted may serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}

/// An artifact that must be there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentArtifact {
    /// The name by which the deployment knows it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The Artifact.
    pub artifact_from: LocalObjectReference,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadDeploymentStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Artifact`, `Sync`, `Deploy`, `Scale` and `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The revision that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_replica_set: Option<LocalObjectReference>,
    /// The revision before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_replica_set: Option<LocalObjectReference>,
    /// How many replicas there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaCounts>,
    /// What `/scale` shows as the number of replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<u32>,
    /// What `/scale` shows as the selector; never empty, and never one that matches a host pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}
