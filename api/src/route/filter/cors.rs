//! Which scripts of other sites may send requests and read the responses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers browsers that ask whether a script of another origin may send a request, and lets it read the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::cors)]
#[serde(rename_all = "camelCase")]
pub struct HttpCorsFilter {
    /// Origins, such as `https://app.example.com`, with a port where it is not the scheme's own, or `https://*.example.com`
    /// for all below it. `*` alone stands for every origin. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = ORIGIN)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allow_origins: Vec<String>,
    /// Whether cookies and other credentials may come along. No unless it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods beside `GET`, `HEAD` and `POST`, which are always allowed. `*` alone stands for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9), extend("x-kubernetes-list-type" = "set"))]
    pub allow_methods: Vec<CorsMethod>,
    /// Headers that requests may have. `*` alone stands for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = HEADER_NAME)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allow_headers: Vec<String>,
    /// Headers of responses that scripts may read. `*` stands for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = HEADER_NAME)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub expose_headers: Vec<String>,
    /// For how many seconds a browser may remember what it was told about methods and headers. 5 unless it says otherwise.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_age: u32,
}

/// Gateway API's `CORSOrigin`.
const ORIGIN: &str = r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)";

/// Gateway API's `HTTPHeaderName`.
const HEADER_NAME: &str = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$";

fn five() -> u32 {
    5
}

/// A method that scripts may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are HTTP's own (RFC 9110 section 9, RFC 5789)")]
pub enum CorsMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Every method, written as `*`.
    #[serde(rename = "*")]
    All,
}

// === impl HttpCorsFilter ===

impl Default for HttpCorsFilter {
    fn default() -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_credentials: None,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age: five(),
        }
    }
}

// === impl CorsMethod ===

impl CorsMethod {
    /// The method's name on the wire, or `*`.
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
            Self::All => "*",
        }
    }
}
