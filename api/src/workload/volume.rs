//! Volumes of a workload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A volume: exactly one of `ephemeral` and `hostPath`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::volume)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Unique in its workload.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// An empty folder that lives as long as the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralVolume>,
    /// A folder of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPathVolume>,
}

/// An empty folder: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EphemeralVolume {}

/// A folder of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::host_path)]
pub struct HostPathVolume {
    /// An absolute path on the host.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
}
