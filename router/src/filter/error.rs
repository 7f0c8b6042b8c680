//! Why a filter cannot be as it was written.

/// A filter that means nothing, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not a header name (RFC 9110 section 5.1).
    #[error("`{name}` is not a header name: use letters, digits and `!#$%&'*+-.^_`|~`, at least one and no others")]
    HeaderName {
        /// As written.
        name: String,
    },
    /// Not a header value (RFC 9110 section 5.5).
    #[error(
        "the value of header `{name}` holds a control character or is not text that a header can carry: remove line breaks and control characters"
    )]
    HeaderValue {
        /// The header's name.
        name: String,
    },
    /// One header, two actions (Gateway API, `HTTPHeaderFilter`).
    #[error(
        "header `{name}` is named twice: one filter may set, add or remove a header only once (separate several values by commas)"
    )]
    HeaderTwice {
        /// The header's name.
        name: String,
    },
    /// `Host` has a filter of its own.
    #[error("header `host` cannot be modified as a header: use a URLRewrite filter with `hostname`")]
    HeaderHost,
    /// A header that frames the message or belongs to one connection (RFC 9110 section 7.6.1).
    #[error(
        "header `{name}` describes the connection or the body's length and is Penstock's to write: remove it from the filter"
    )]
    HeaderFraming {
        /// The header's name.
        name: String,
    },
    /// Not a precise hostname.
    #[error(
        "`{hostname}` is not a precise hostname: write labels of letters, digits and inner `-`, joined by dots, without port or wildcard, at most 253 characters"
    )]
    Hostname {
        /// As written.
        hostname: String,
    },
    /// A path that does not begin at the root.
    #[error("the path `{path}` does not begin with `/`: write `/{path}`")]
    PathNotAbsolute {
        /// As written.
        path: String,
    },
    /// A character that a path cannot hold as it is (RFC 3986 section 3.3).
    #[error("the path `{path}` holds {character:?}, which a path cannot carry as it is: percent-encode it")]
    PathCharacter {
        /// As written.
        path: String,
        /// The first such character.
        character: char,
    },
    /// Not a scheme of HTTP.
    #[error("`{scheme}` is not a scheme to redirect to: write `http` or `https`")]
    Scheme {
        /// As written.
        scheme: String,
    },
    /// Not a redirect's status.
    #[error("{status} is not a redirect's status: use 301, 302, 303, 307 or 308")]
    Status {
        /// As written.
        status: u16,
    },
    /// Not an origin (RFC 6454 section 6.2).
    #[error(
        "`{origin}` is not an origin to allow: write scheme, host and, if need be, port, such as `https://app.example.com`, with `*` as the host or its first label, or `*` alone"
    )]
    Origin {
        /// As written.
        origin: String,
    },
    /// Not a method (RFC 9110 section 9.1).
    #[error("`{method}` is not a method: write its name in upper case, such as `PUT`")]
    Method {
        /// As written.
        method: String,
    },
    /// `*` stands for everything.
    #[error("`{field}` holds `*` and more: keep `*` alone, or remove it")]
    WildcardNotAlone {
        /// The field of the manifest.
        field: &'static str,
    },
    /// Both on one rule.
    #[error("a rule cannot both redirect and rewrite: keep RequestRedirect or URLRewrite")]
    RewriteAndRedirect,
    /// On the rule and on its backend reference.
    #[error("both the rule and its backendRef redirect or rewrite: keep one of the two")]
    UrlTwice,
    /// No prefix to replace.
    #[error(
        "ReplacePrefixMatch needs a PathPrefix match, and a match of this rule has another type: use ReplaceFullPath, or match by PathPrefix only"
    )]
    PrefixWithoutMatch,
}
