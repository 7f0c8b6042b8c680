//! What Penstock reads of Gateway API's `HTTPRoute` (`gateway.networking.k8s.io/v1`), also in the shape that
//! `template.spec.http.routes[]` uses. The schema's own names, defaults and limits are kept.

mod backend;
mod filter;
mod matching;
mod resource;
mod retry;
mod session;

pub use self::{
    backend::HttpBackendRef,
    filter::{HttpHeader, HttpHeaderFilter, HttpPathModifier, HttpRequestRedirect, HttpRouteFilter, HttpUrlRewrite},
    matching::{
        HttpHeaderMatch, HttpMethod, HttpPathMatch, HttpQueryParamMatch, HttpRouteMatch, PathMatchType, ValueMatchType,
    },
    resource::{
        HttpRoute, HttpRouteRule, HttpRouteSpec, HttpRouteStatus, HttpRouteTimeouts, ParentReference, RouteParentStatus,
    },
    retry::HttpRouteRetry,
    session::{CookieConfig, CookieLifetimeType, SessionPersistence, SessionPersistenceType},
};

/// The API group of Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";
