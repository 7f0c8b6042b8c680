//! When a rule sends a request to a backend again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;

/// When a call is repeated. What was surely not started is, whatever the method; all else only if the method is idempotent
/// (RFC 9110 section 9.2.2), and nothing once the response has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpRouteRetry {
    /// Statuses that are worth another call, such as 500, 502, 503 and 504.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(range(min = 400, max = 599)), extend("x-kubernetes-list-type" = "set"))]
    pub codes: Vec<u16>,
    /// How often at most, after the first call. Left out: once. 0: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub attempts: Option<u32>,
    /// The shortest pause before the second call, which doubles with each further one. Left out: 25ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<GatewayDuration>,
}
