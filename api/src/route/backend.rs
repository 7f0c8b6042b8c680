//! Where a rule sends requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HttpRouteFilter;

/// A weighted reference to what answers: for Penstock a `WorkloadDeployment`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpBackendRef {
    /// The API group; empty is Kubernetes' core group, where Services are.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The kind, `Service` unless it says otherwise.
    #[serde(default = "service")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The object's namespace. Left out: the route's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The port, for kinds that have ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The share of requests in proportion to the sum of all weights; 0 gets none. 1 unless it says otherwise.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: u32,
    /// Filters for requests that go to this backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpRouteFilter>,
}

/// A reference to what answers, without weight and filters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendObjectReference {
    /// The API group; empty is Kubernetes' core group, where Services are.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The kind, `Service` unless it says otherwise.
    #[serde(default = "service")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The object's namespace. Left out: that of the object that refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The port, for kinds that have ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

// === impl HttpBackendRef ===

impl From<BackendObjectReference> for HttpBackendRef {
    fn from(it: BackendObjectReference) -> Self {
        let BackendObjectReference { group, kind, name, namespace, port } = it;
        Self { group, kind, name, namespace, port, weight: one(), filters: Vec::new() }
    }
}

impl HttpBackendRef {
    /// Whether it is of a kind that Penstock answers for.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        self.group == crate::GROUP && matches!(&*self.kind, "WorkloadDeployment" | "Workload")
    }
}

fn service() -> String {
    "Service".to_owned()
}

fn one() -> u32 {
    1
}
