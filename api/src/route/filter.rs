//! What a rule does to requests and responses.

mod cors;
mod mirror;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExtensionRef;

pub use self::{
    cors::{CorsMethod, HttpCorsFilter},
    mirror::{Fraction, HttpRequestMirror},
};

/// One filter of a rule or of a backend.
///
/// On the wire it is Gateway API's union: a `type`, and the field of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "FilterUnion", into = "FilterUnion")]
pub enum HttpRouteFilter {
    /// Changes the headers of the request before the backend sees it.
    RequestHeaderModifier(HttpHeaderFilter),
    /// Changes the headers of the response before the client sees it.
    ResponseHeaderModifier(HttpHeaderFilter),
    /// Answers with a redirect; no backend is asked.
    RequestRedirect(HttpRequestRedirect),
    /// Changes host or path of the request before the backend sees it.
    UrlRewrite(HttpUrlRewrite),
    /// Lets scripts of other origins send requests and read the responses.
    Cors(HttpCorsFilter),
    /// Sends copies of requests to another backend.
    RequestMirror(HttpRequestMirror),
    /// What an object of Penstock's own kinds says.
    ExtensionRef(ExtensionRef),
    /// A filter of Gateway API that Penstock does not have yet, by its `type`.
    Unsupported(String),
}

impl HttpRouteFilter {
    /// The filter's `type`.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::RequestHeaderModifier(_) => "RequestHeaderModifier",
            Self::ResponseHeaderModifier(_) => "ResponseHeaderModifier",
            Self::RequestRedirect(_) => "RequestRedirect",
            Self::UrlRewrite(_) => "URLRewrite",
            Self::Cors(_) => "CORS",
            Self::RequestMirror(_) => "RequestMirror",
            Self::ExtensionRef(_) => "ExtensionRef",
            Self::Unsupported(name) => name,
        }
    }
}

/// Changes to headers, in this order: `set`, `add`, `remove`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpHeaderFilter {
    /// Replaces every value that the header has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub set: Vec<HttpHeader>,
    /// Adds to the values that the header has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub add: Vec<HttpHeader>,
    /// Names of headers to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remove: Vec<String>,
}

/// A header to set or add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpHeader {
    /// The header's name, in any case.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// Where a redirect points. What is left out stays as in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::redirect)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequestRedirect {
    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// An exact hostname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
    /// The port. Left out: the scheme's own if `scheme` is set, else the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308. Left out: 302.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
}

/// What a rewrite changes. What is left out stays as in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpUrlRewrite {
    /// The hostname that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// The path that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
}

/// A change to a path. On the wire it is a union as well: `type`, and the field of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "PathUnion", into = "PathUnion")]
pub enum HttpPathModifier {
    /// The whole path becomes this one.
    ReplaceFullPath(String),
    /// The prefix that matched becomes this one.
    ReplacePrefixMatch(String),
}

// === wire shapes ===

/// Deserialises as the `enum` of the schema says; any text, so that a filter of a newer Gateway API can be reported.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HTTPRouteFilter")]
#[schemars(transform = crate::cel::filter)]
struct FilterUnion {
    /// Which filter this is; the field of the same name configures it.
    #[schemars(extend("enum" = [
        "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite", "CORS",
        "ExternalAuth", "ExtensionRef"
    ]))]
    r#type: String,
    /// For `RequestHeaderModifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_header_modifier: Option<HttpHeaderFilter>,
    /// For `ResponseHeaderModifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_header_modifier: Option<HttpHeaderFilter>,
    /// For `RequestRedirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_redirect: Option<HttpRequestRedirect>,
    /// For `URLRewrite`.
    #[serde(default, rename = "urlRewrite", skip_serializing_if = "Option::is_none")]
    url_rewrite: Option<HttpUrlRewrite>,
    /// For `RequestMirror`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_mirror: Option<HttpRequestMirror>,
    /// For `CORS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cors: Option<HttpCorsFilter>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::free_object")]
    external_auth: Option<serde_json::Value>,
    /// For `ExtensionRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extension_ref: Option<ExtensionRef>,
}

impl FilterUnion {
    fn empty(name: &str) -> Self {
        Self {
            r#type: name.to_owned(),
            request_header_modifier: None,
            response_header_modifier: None,
            request_redirect: None,
            url_rewrite: None,
            request_mirror: None,
            cors: None,
            external_auth: None,
            extension_ref: None,
        }
    }
}

/// The field that a union's `type` asks for is missing.
#[derive(Debug, thiserror::Error)]
#[error("type is `{name}` but `{field}` is missing: add it, it says what the filter does")]
struct MissingMember {
    name: String,
    field: &'static str,
}

impl TryFrom<FilterUnion> for HttpRouteFilter {
    type Error = MissingMember;

    fn try_from(union: FilterUnion) -> Result<Self, Self::Error> {
        let name = union.r#type;
        let missing = |field| MissingMember { name: name.clone(), field };
        Ok(match name.as_str() {
            "RequestHeaderModifier" => Self::RequestHeaderModifier(
                union.request_header_modifier.ok_or_else(|| missing("requestHeaderModifier"))?,
            ),
            "ResponseHeaderModifier" => Self::ResponseHeaderModifier(
                union.response_header_modifier.ok_or_else(|| missing("responseHeaderModifier"))?,
            ),
            "RequestRedirect" => {
                Self::RequestRedirect(union.request_redirect.ok_or_else(|| missing("requestRedirect"))?)
            }
            "URLRewrite" => Self::UrlRewrite(union.url_rewrite.ok_or_else(|| missing("urlRewrite"))?),
            "CORS" => Self::Cors(union.cors.ok_or_else(|| missing("cors"))?),
            "RequestMirror" => Self::RequestMirror(union.request_mirror.ok_or_else(|| missing("requestMirror"))?),
            "ExtensionRef" => Self::ExtensionRef(union.extension_ref.ok_or_else(|| missing("extensionRef"))?),
            _ => Self::Unsupported(name),
        })
    }
}

impl From<HttpRouteFilter> for FilterUnion {
    fn from(filter: HttpRouteFilter) -> Self {
        let union = Self::empty(filter.type_name());
        match filter {
            HttpRouteFilter::RequestHeaderModifier(it) => Self { request_header_modifier: Some(it), ..union },
            HttpRouteFilter::ResponseHeaderModifier(it) => Self { response_header_modifier: Some(it), ..union },
            HttpRouteFilter::RequestRedirect(it) => Self { request_redirect: Some(it), ..union },
            HttpRouteFilter::UrlRewrite(it) => Self { url_rewrite: Some(it), ..union },
            HttpRouteFilter::Cors(it) => Self { cors: Some(it), ..union },
            HttpRouteFilter::RequestMirror(it) => Self { request_mirror: Some(it), ..union },
            HttpRouteFilter::ExtensionRef(it) => Self { extension_ref: Some(it), ..union },
            HttpRouteFilter::Unsupported(_) => union,
        }
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HTTPPathModifier")]
#[schemars(transform = crate::cel::path_modifier)]
struct PathUnion {
    /// Which change this is; the field of the same name holds the new path.
    r#type: PathUnionType,
    /// For `ReplaceFullPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    replace_full_path: Option<String>,
    /// For `ReplacePrefixMatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    replace_prefix_match: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
enum PathUnionType {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

impl TryFrom<PathUnion> for HttpPathModifier {
    type Error = MissingMember;

    fn try_from(union: PathUnion) -> Result<Self, Self::Error> {
        let missing = |name: &str, field| MissingMember { name: name.to_owned(), field };
        match union.r#type {
            PathUnionType::ReplaceFullPath => union
                .replace_full_path
                .map(Self::ReplaceFullPath)
                .ok_or_else(|| missing("ReplaceFullPath", "replaceFullPath")),
            PathUnionType::ReplacePrefixMatch => union
                .replace_prefix_match
                .map(Self::ReplacePrefixMatch)
                .ok_or_else(|| missing("ReplacePrefixMatch", "replacePrefixMatch")),
        }
    }
}

impl From<HttpPathModifier> for PathUnion {
    fn from(modifier: HttpPathModifier) -> Self {
        match modifier {
            HttpPathModifier::ReplaceFullPath(path) => Self {
                r#type: PathUnionType::ReplaceFullPath,
                replace_full_path: Some(path),
                replace_prefix_match: None,
            },
            HttpPathModifier::ReplacePrefixMatch(path) => Self {
                r#type: PathUnionType::ReplacePrefixMatch,
                replace_full_path: None,
                replace_prefix_match: Some(path),
            },
        }
    }
}
