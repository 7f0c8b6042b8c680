//! What the checks look at: of each object only what they need, so that fields which are not there change nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::finding::Object;

/// The group of WorkloadDeployments.
const GROUP: &str = "runtime.wasmcloud.dev/";

/// A part of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Its version, such as (1, 37).
    pub(crate) version: Option<(u32, u32)>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) autoscalers: Vec<Autoscaler>,
    /// KEDA's. None without its CRD.
    pub(crate) scaled_objects: Vec<ScaledObject>,
    /// In namespaces with workloads that an HPA scales.
    pub(crate) pods: Vec<Pod>,
    /// Of HPAs that scale something else: the selector of their target.
    pub(crate) selectors: Vec<Selected>,
    /// Who serves external metrics.
    pub(crate) external_metrics: Known<ApiService>,
    /// The Service where KEDA and the API server ask, by its slices.
    pub(crate) door: Known<Vec<EndpointSlice>>,
    /// What could not be looked at.
    pub(crate) unseen: Vec<Unseen>,
}

/// What is known of a thing that may not be there.
#[derive(Debug, Default)]
pub(crate) enum Known<T> {
    /// Nobody may say.
    #[default]
    Unknown,
    Missing,
    There(T),
}

/// Something that could not be looked at; what depends on it is not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unseen {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// Whose selector it is: an HPA's, by way of its target.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) namespace: String,
    pub(crate) autoscaler: String,
    pub(crate) selector: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) owner_references: Vec<Owner>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// What an autoscaler scales.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Target {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// Metadata is all that is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
}

// === WorkloadDeployment ===

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Workload {
    pub(crate) metadata: Meta,
    pub(crate) spec: WorkloadSpec,
    #[serde(deserialize_with = "or_default")]
    pub(crate) status: WorkloadStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WorkloadSpec {
    pub(crate) replicas: Option<u32>,
    pub(crate) scale_to_zero: Option<bool>,
    pub(crate) autoscaling: Option<Bounds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Bounds {
    pub(crate) min_replicas: Option<u32>,
    pub(crate) max_replicas: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WorkloadStatus {
    pub(crate) selector: Option<String>,
    pub(crate) current_replicas: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
}

// === HorizontalPodAutoscaler ===

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Autoscaler {
    pub(crate) metadata: Meta,
    pub(crate) spec: AutoscalerSpec,
    #[serde(deserialize_with = "or_default")]
    pub(crate) status: Conditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AutoscalerSpec {
    pub(crate) scale_target_ref: Target,
    pub(crate) min_replicas: Option<u32>,
    pub(crate) max_replicas: u32,
    #[serde(deserialize_with = "or_default")]
    pub(crate) metrics: Vec<Metric>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    #[serde(deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metric {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) external: Option<Source>,
    pub(crate) object: Option<Source>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Source {
    pub(crate) metric: Identifier,
    pub(crate) target: MetricTarget,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Identifier {
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) selector: LabelSelector,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LabelSelector {
    #[serde(deserialize_with = "or_default")]
    pub(crate) match_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) match_expressions: Vec<Expression>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Expression {
    pub(crate) key: String,
    pub(crate) operator: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) values: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MetricTarget {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Only whether it is there.
    pub(crate) average_value: Option<serde_json::Value>,
}

// === ScaledObject ===

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ScaledObject {
    pub(crate) metadata: Meta,
    pub(crate) spec: ScaledObjectSpec,
    #[serde(deserialize_with = "or_default")]
    pub(crate) status: Conditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScaledObjectSpec {
    pub(crate) scale_target_ref: Target,
    pub(crate) min_replica_count: Option<u32>,
    pub(crate) max_replica_count: Option<u32>,
    pub(crate) idle_replica_count: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) triggers: Vec<Trigger>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Trigger {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) metric_type: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) authentication_ref: Reference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) name: String,
}

// === who answers ===

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApiService {
    pub(crate) spec: ApiServiceSpec,
    #[serde(deserialize_with = "or_default")]
    pub(crate) status: Conditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApiServiceSpec {
    #[serde(deserialize_with = "or_default")]
    pub(crate) service: ServiceReference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceReference {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointSlice {
    #[serde(deserialize_with = "or_default")]
    pub(crate) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    #[serde(deserialize_with = "or_default")]
    pub(crate) conditions: EndpointConditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointConditions {
    pub(crate) ready: Option<bool>,
}

/// What is written as `null` is not there.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

// === impls ===

impl Target {
    /// Whether it is a WorkloadDeployment.
    pub(crate) fn is_workload(&self) -> bool {
        self.kind == "WorkloadDeployment" && self.api_version.starts_with(GROUP)
    }
}

impl Meta {
    pub(crate) fn object(&self, kind: &'static str) -> Object {
        Object { kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl Workload {
    /// Replicas that there are, or are wanted as long as nobody counts.
    pub(crate) fn replicas(&self) -> u32 {
        self.status.current_replicas.unwrap_or_else(|| self.spec.replicas.unwrap_or(1))
    }

    /// Whether it is reachable at zero.
    pub(crate) fn answers_at_zero(&self) -> bool {
        self.spec.scale_to_zero == Some(true)
    }
}

impl Autoscaler {
    /// The ScaledObject that it is made of: KEDA writes it, so that there is nothing to correct in it.
    pub(crate) fn scaled_object(&self) -> Option<&str> {
        self.metadata.owner_references.iter().find(|it| it.kind == "ScaledObject").map(|it| it.name.as_str())
    }
}

impl Seen {
    pub(crate) fn workload(&self, namespace: &str, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|it| it.metadata.namespace == namespace && it.metadata.name == name)
    }
}
