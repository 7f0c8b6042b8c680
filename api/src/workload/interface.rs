//! What a workload asks of its host.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigSource;

/// Interfaces of one package that the host offers to the components, with their configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::host_interface)]
#[serde(rename_all = "camelCase")]
pub struct HostInterface {
    /// Tells apart entries of the same package; only one of them may go without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("pattern" = "^[a-z0-9][a-z0-9-]*$"))]
    pub name: Option<String>,
    /// Such as `wasi`.
    #[schemars(length(min = 1, max = 128))]
    pub namespace: String,
    /// Such as `http`.
    #[schemars(length(min = 1, max = 128))]
    pub package: String,
    /// Such as `incoming-handler`; at least one.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 128)))]
    pub interfaces: Vec<String>,
    /// A version, such as `0.2.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The base of the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// ConfigMaps of the same namespace, merged over it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_from: Vec<ConfigSource>,
    /// Secrets of the same namespace, merged over that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_from: Vec<ConfigSource>,
}

impl HostInterface {
    /// Whether requests come in through it: `wasi:http/incoming-handler` (0.2) or `wasi:http/handler` (0.3).
    #[must_use]
    pub fn serves_http(&self) -> bool {
        self.namespace == "wasi"
            && self.package == "http"
            && self.interfaces.iter().any(|it| it == "incoming-handler" || it == "handler")
    }
}
