//! How many requests a client may send, and have at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;

/// So many requests in a time, and so many at once. A rule has one such limit for each client, on each host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::rate_limit)]
pub struct RateLimit {
    /// How many requests in the time of `per`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// The time, from 1s to 24h. Left out: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<GatewayDuration>,
    /// How many requests may come at once after a pause. Left out: as many as `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
    /// Which requests are counted together. Left out: those of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RateLimitKey>,
}

/// So many requests at once. A rule has one such limit for each client, on each host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConcurrencyLimit {
    /// How many requests.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// Which requests are counted together. Left out: those of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RateLimitKey>,
}

/// Which requests are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::rate_limit_key)]
pub struct RateLimitKey {
    /// `Client`: those of one address (IPv6: of one /64 network). `Header`: those with the same value of a header. `All`:
    /// all of them.
    #[serde(default)]
    pub r#type: RateLimitKeyType,
    /// For `Header`: its name. Requests without it are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
}

/// What requests that are counted together have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RateLimitKeyType {
    /// The client's address, as far as it is known: see `--trusted-proxies`.
    #[default]
    Client,
    /// The value of a header.
    Header,
    /// The rule.
    All,
}

// === impl RateLimit ===

impl RateLimit {
    /// The shortest time.
    pub const SHORTEST: GatewayDuration = GatewayDuration::from_secs(1);
    /// The longest time.
    pub const LONGEST: GatewayDuration = GatewayDuration::from_secs(24 * 3600);

    /// The time that `requests` are for.
    #[must_use]
    pub fn period(&self) -> GatewayDuration {
        self.per.unwrap_or(Self::SHORTEST)
    }
}
