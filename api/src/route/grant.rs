//! What Penstock reads of Gateway API's `ReferenceGrant`. The shape is the same in `v1beta1`, which every release serves that
//! has the kind, and in `v1`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Permits objects of other namespaces to refer to objects of its own.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1beta1",
    kind = "ReferenceGrant",
    plural = "referencegrants",
    namespaced,
    derive = "PartialEq",
    doc = "Permits objects of other namespaces to refer to objects of its own."
)]
pub struct ReferenceGrantSpec {
    /// Who may refer: any of these.
    #[schemars(length(min = 1, max = 16))]
    pub from: Vec<ReferenceGrantFrom>,
    /// To what: any of these.
    #[schemars(length(min = 1, max = 16))]
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects of one kind in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceGrantFrom {
    /// The API group; empty is Kubernetes' core group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// The kind, such as `HTTPRoute`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

/// Objects of one kind in the grant's namespace, or one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceGrantTo {
    /// The API group; empty is Kubernetes' core group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// The kind, such as `WorkloadDeployment`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The name. Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

impl ReferenceGrantSpec {
    /// Whether who is `from` may refer to the object of that group, kind and name.
    #[must_use]
    pub fn permits(&self, from: &ReferenceGrantFrom, group: &str, kind: &str, name: &str) -> bool {
        self.from.contains(from)
            && self.to.iter().any(|to| {
                to.group == group && to.kind == kind && to.name.as_deref().is_none_or(|it| it.is_empty() || it == name)
            })
    }
}
