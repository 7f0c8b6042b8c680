//! What Penstock reads of Gateway API (`gateway.networking.k8s.io`): `HTTPRoute`, also in the shape that
//! `template.spec.http.routes[]` uses, `GRPCRoute` and `ReferenceGrant`. The schema's own names, defaults and limits are kept.

mod backend;
mod extension;
mod filter;
mod grant;
mod grpc;
mod matching;
mod resource;
mod retry;
mod session;

pub use self::{
    backend::{BackendObjectReference, HttpBackendRef},
    extension::ExtensionRef,
    filter::{
        CorsMethod, Fraction, HttpCorsFilter, HttpHeader, HttpHeaderFilter, HttpPathModifier, HttpRequestMirror,
        HttpRequestRedirect, HttpRouteFilter, HttpUrlRewrite,
    },
    grant::{ReferenceGrant, ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo},
    grpc::{GrpcMethodMatch, GrpcRoute, GrpcRouteMatch, GrpcRouteRule, GrpcRouteSpec},
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
