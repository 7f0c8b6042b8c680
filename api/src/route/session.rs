//! What keeps a client with the backend that it was given first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;

/// Sessions of a rule: a client stays with one of the rule's backends, even if that one's weight becomes 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::session_persistence)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    /// Name of the cookie or header. Left out: one that no other rule has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub session_name: Option<String>,
    /// A session ends so long after it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<GatewayDuration>,
    /// A session ends so long after its last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<GatewayDuration>,
    /// How the client carries it: `Cookie` unless it says otherwise.
    #[serde(default)]
    pub r#type: SessionPersistenceType,
    /// For cookies only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
}

/// How a client carries its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionPersistenceType {
    /// In a cookie.
    #[default]
    Cookie,
    /// In a header that it sends back.
    Header,
}

/// What is particular to cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CookieConfig {
    /// `Session` unless it says otherwise.
    #[serde(default)]
    pub lifetime_type: CookieLifetimeType,
}

/// When a browser forgets the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CookieLifetimeType {
    /// With its own session.
    #[default]
    Session,
    /// When `absoluteTimeout` is over.
    Permanent,
}

// === impl SessionPersistence ===

impl SessionPersistence {
    /// Whether the cookie outlives the browser's own session.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.cookie_config.is_some_and(|it| it.lifetime_type == CookieLifetimeType::Permanent)
    }
}
