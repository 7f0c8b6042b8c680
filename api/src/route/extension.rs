//! A filter of an implementation's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object of the route's namespace that says what the filter does: for Penstock a `TrafficPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LocalObjectReference")]
pub struct ExtensionRef {
    /// The API group: `penstock.dev`.
    #[schemars(length(max = 253))]
    pub group: String,
    /// The kind: `TrafficPolicy`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

// === impl ExtensionRef ===

impl ExtensionRef {
    /// Whether it is of the kind that is read.
    #[must_use]
    pub fn is_traffic_policy(&self) -> bool {
        self.group == crate::policy::GROUP && self.kind == crate::policy::KIND
    }
}
