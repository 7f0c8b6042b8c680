//! When a backend that fails is left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;

/// Leaves out a backend of the rule that fails several times in a row, for a while that grows. A failure is a call that the
/// component's own fault ended: it trapped, gave no response, or was late. Statuses that it answers with are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::outlier_detection)]
#[serde(rename_all = "camelCase")]
pub struct OutlierDetection {
    /// Failures in a row. Left out: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_errors: Option<u32>,
    /// For each such time without another ejection, the next one is shorter by one step again. Left out: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<GatewayDuration>,
    /// How long the first ejection is. The second in a row is twice as long, and so on, up to 5m. Left out: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ejection_time: Option<GatewayDuration>,
    /// How many of the rule's backends may be left out, in percent. One always may, and never all. Left out: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_ejection_percent: Option<u32>,
}

// === impl OutlierDetection ===

impl OutlierDetection {
    /// Failures in a row, if it does not say.
    pub const CONSECUTIVE_ERRORS: u32 = 5;
    /// The interval, if it does not say.
    pub const INTERVAL: GatewayDuration = GatewayDuration::from_secs(10);
    /// The length of the first ejection, if it does not say.
    pub const BASE_EJECTION_TIME: GatewayDuration = GatewayDuration::from_secs(30);
    /// Percent of the backends, if it does not say.
    pub const MAX_EJECTION_PERCENT: u32 = 50;
    /// The shortest of its times.
    pub const SHORTEST: GatewayDuration = GatewayDuration::from_secs(1);
    /// The longest of its times.
    pub const LONGEST: GatewayDuration = GatewayDuration::from_secs(3600);
}
