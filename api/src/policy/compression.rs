//! Which responses are compressed, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::size::ByteSize;

/// Compresses responses for clients that want that, unless the component has done so, or says that nobody may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::compression)]
#[serde(rename_all = "camelCase")]
pub struct Compression {
    /// Those that clients get, if they accept them: the one that a client likes best, of those that it likes equally `br`. Left out:
    /// both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub algorithms: Vec<CompressionAlgorithm>,
    /// Bodies that are known to be shorter are left as they are. Left out: 1Ki.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<ByteSize>,
    /// Types of content, such as `text/html`, or all of a kind as `text/*`. Left out: texts, scripts, JSON, XML, SVG, fonts
    /// and WebAssembly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 128)))]
    pub content_types: Vec<String>,
}

/// How a response is compressed, by its name in `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CompressionAlgorithm {
    /// Brotli, RFC 7932.
    Br,
    /// RFC 1952.
    Gzip,
}

// === impl Compression ===

impl Compression {
    /// The shortest body, if it does not say.
    pub const MIN_SIZE: ByteSize = ByteSize::new(1024);
    /// The types, if it does not say: what shrinks. Events (`text/event-stream`) are not among them, since much that stands
    /// between a server and a browser waits for more when they are compressed; they can be named.
    pub const CONTENT_TYPES: [&str; 24] = [
        "text/html",
        "text/plain",
        "text/css",
        "text/csv",
        "text/xml",
        "text/markdown",
        "text/javascript",
        "application/javascript",
        "application/json",
        "application/ld+json",
        "application/manifest+json",
        "application/problem+json",
        "application/geo+json",
        "application/graphql-response+json",
        "application/xml",
        "application/xhtml+xml",
        "application/rss+xml",
        "application/atom+xml",
        "application/wasm",
        "application/vnd.ms-fontobject",
        "font/ttf",
        "font/otf",
        "image/svg+xml",
        "image/x-icon",
    ];
}
