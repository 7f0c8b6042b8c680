//! Values that come from the manifest, from ConfigMaps and from Secrets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Environment variables: `config` is the base, then every ConfigMap, then every Secret, each with all of its keys; the
/// last one that has a key wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// The base.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// ConfigMaps of the same namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_from: Vec<ConfigSource>,
    /// Secrets of the same namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_from: Vec<ConfigSource>,
}

/// A ConfigMap or Secret of the same namespace, with all of its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSource {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
}
