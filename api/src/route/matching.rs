//! Which requests a rule is for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Conditions that a request meets all of. What is left out is met by every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteMatch {
    /// The path. Left out: every path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathMatch>,
    /// Headers, all of them. Of entries with the same name only the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HttpHeaderMatch>,
    /// Query parameters, all of them. Of entries with the same name only the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub query_params: Vec<HttpQueryParamMatch>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
}

/// How a path is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = crate::cel::path_match)]
pub struct HttpPathMatch {
    /// `PathPrefix` unless it says otherwise.
    pub r#type: PathMatchType,
    /// An absolute path, or a regular expression. `/` unless it says otherwise.
    #[schemars(length(max = 1024))]
    pub value: String,
}

impl Default for HttpPathMatch {
    fn default() -> Self {
        Self { r#type: PathMatchType::PathPrefix, value: "/".to_owned() }
    }
}

/// The kinds of path comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathMatchType {
    /// The whole path, in its case.
    Exact,
    /// The first elements of the path: `/abc` matches `/abc/def` but not `/abcd`.
    #[default]
    PathPrefix,
    /// A regular expression over the whole path.
    RegularExpression,
}

/// How a header's or a query parameter's value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValueMatchType {
    /// The whole value, in its case.
    #[default]
    Exact,
    /// A regular expression over the whole value.
    RegularExpression,
}

/// One header to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpHeaderMatch {
    /// `Exact` unless it says otherwise.
    #[serde(default)]
    pub r#type: ValueMatchType,
    /// The header's name, in any case.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value to compare with.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// One query parameter to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpQueryParamMatch {
    /// `Exact` unless it says otherwise.
    #[serde(default)]
    pub r#type: ValueMatchType,
    /// The parameter's name, in its case.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value to compare with.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// The methods that Gateway API can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are HTTP's own (RFC 9110 section 9, RFC 5789)")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl HttpMethod {
    /// The method's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
        }
    }
}
