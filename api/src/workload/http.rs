//! HTTP routes inside a workload's spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::route::{HttpRouteFilter, HttpRouteMatch, HttpRouteRetry, HttpRouteTimeouts};

/// How HTTP requests reach the components.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Http {
    /// Rules in the shape of an HTTPRoute's. Of equal ones the first wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub routes: Vec<HttpRule>,
}

/// One rule: which requests, what happens to them, and which component answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::http_rule)]
#[serde(rename_all = "camelCase")]
pub struct HttpRule {
    /// The rule's name, unique in its workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Hostnames, exact or `*.suffix`. Empty: those of the workload's `wasi:http` entry, or every host if it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub hostnames: Vec<String>,
    /// Any of these. Empty: every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<HttpRouteMatch>,
    /// What happens to request and response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpRouteFilter>,
    /// Deadlines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    /// When a call is repeated. Left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    /// The component that answers; left out: the workload's only HTTP component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub component: Option<String>,
}
