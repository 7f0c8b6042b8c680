//! `TrafficPolicy`: how much traffic a rule takes, and how. A rule names it by a filter of type `ExtensionRef`.

mod compression;
mod outlier;
mod rate_limit;
mod size_limits;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    compression::{Compression, CompressionAlgorithm},
    outlier::OutlierDetection,
    rate_limit::{ConcurrencyLimit, RateLimit, RateLimitKey, RateLimitKeyType},
    size_limits::SizeLimits,
};

/// The API group of Penstock's own resources.
pub const GROUP: &str = "penstock.dev";
/// The kind, as an `ExtensionRef` names it.
pub const KIND: &str = "TrafficPolicy";

/// What the rules that name it do to traffic. What is left out is not done.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "penstock.dev",
    version = "v1alpha1",
    kind = "TrafficPolicy",
    plural = "trafficpolicies",
    namespaced,
    derive = "PartialEq",
    doc = "How much traffic the rules that name it take, and how. A rule of the same namespace names it by a filter of type ExtensionRef.",
    printcolumn(name = "REQUESTS", type_ = "integer", json_path = ".spec.rateLimit.requests"),
    printcolumn(name = "PER", type_ = "string", json_path = ".spec.rateLimit.per"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicySpec {
    /// How many requests a client may send; beyond it they are answered with 429. Each host counts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// How many requests a client may have at once; beyond it they are answered with 429. Each host counts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyLimit>,
    /// How large requests and responses may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<SizeLimits>,
    /// When a backend that fails is left out, and for how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
    /// Which responses are compressed, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}
