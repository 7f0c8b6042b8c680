//! What Penstock reads of Gateway API's `GRPCRoute` (`gateway.networking.k8s.io/v1`). A gRPC call is a POST to
//! `/service/method`, so its rules are [`HttpRouteRule`]s written in other words: see [`GrpcRouteRule::as_http`].

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    HttpBackendRef, HttpHeaderMatch, HttpPathMatch, HttpRouteFilter, HttpRouteMatch, HttpRouteRule, HttpRouteStatus,
    ParentReference, PathMatchType, SessionPersistence, ValueMatchType,
};

/// Rules for gRPC calls that arrive at the parents it names.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "GRPCRoute",
    plural = "grpcroutes",
    root = "GrpcRoute",
    namespaced,
    status = "HttpRouteStatus",
    derive = "PartialEq",
    doc = "Rules for gRPC calls that arrive at the parents it names."
)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// What the rules are attached to: for Penstock a Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// Hostnames, exact or `*.suffix`. Empty: every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rules: Vec<GrpcRouteRule>,
    /// Not read by Penstock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<String>,
}

/// One rule: which calls, what happens to them, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteRule {
    /// The rule's name, unique in its route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Any of these. Empty: every call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<GrpcRouteMatch>,
    /// What happens to request and response: `RequestHeaderModifier`, `ResponseHeaderModifier`, `RequestMirror` and
    /// `ExtensionRef`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpRouteFilter>,
    /// Where calls go, by weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<HttpBackendRef>,
    /// What keeps a client with the backend that it was given first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// Conditions that a call meets all of. What is left out is met by every call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrpcRouteMatch {
    /// Service and method. Left out: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Headers, which gRPC calls metadata, all of them. Of entries with the same name only the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HttpHeaderMatch>,
}

/// Which service and method. At least one of them is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrpcMethodMatch {
    /// `Exact` unless it says otherwise.
    #[serde(default)]
    pub r#type: ValueMatchType,
    /// The service with its package, such as `helloworld.Greeter`. Left out or empty: every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub service: Option<String>,
    /// The method, such as `SayHello`. Left out or empty: every method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub method: Option<String>,
}

/// One element of a path, whatever it is.
const ANY: &str = "[^/]+";

impl GrpcRouteRule {
    /// The same rule for HTTP.
    #[must_use]
    pub fn as_http(&self) -> HttpRouteRule {
        HttpRouteRule {
            name: self.name.clone(),
            matches: self.matches.iter().map(GrpcRouteMatch::as_http).collect(),
            filters: self.filters.clone(),
            backend_refs: self.backend_refs.clone(),
            timeouts: None,
            retry: None,
            session_persistence: self.session_persistence.clone(),
        }
    }
}

impl GrpcRouteMatch {
    /// The same match for HTTP. The method of HTTP is not looked at: who sends another than POST is told so by the backend.
    #[must_use]
    pub fn as_http(&self) -> HttpRouteMatch {
        let path = self.method.as_ref().and_then(GrpcMethodMatch::as_path);
        HttpRouteMatch { path, headers: self.headers.clone(), ..HttpRouteMatch::default() }
    }
}

impl GrpcMethodMatch {
    /// The path of such calls; none: every path. The longer of two exact services or methods wins, as the longer of two paths
    /// does, and an expression comes after both (which the specification leaves open).
    fn as_path(&self) -> Option<HttpPathMatch> {
        let given = |it: &Option<String>| it.clone().filter(|it| !it.is_empty());
        let (kind, value) = match (self.r#type, given(&self.service), given(&self.method)) {
            (_, None, None) => return None,
            (ValueMatchType::Exact, Some(service), Some(method)) => {
                (PathMatchType::Exact, format!("/{service}/{method}"))
            }
            (ValueMatchType::Exact, Some(service), None) => (PathMatchType::PathPrefix, format!("/{service}")),
            (ValueMatchType::Exact, None, Some(method)) => {
                (PathMatchType::RegularExpression, format!("/{ANY}/{method}"))
            }
            (ValueMatchType::RegularExpression, service, method) => {
                let part = |it: Option<String>| it.map_or_else(|| ANY.to_owned(), |it| format!("(?:{it})"));
                (PathMatchType::RegularExpression, format!("/{}/{}", part(service), part(method)))
            }
        };
        Some(HttpPathMatch { r#type: kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(kind: ValueMatchType, service: &str, method: &str) -> Option<(PathMatchType, String)> {
        let given = |it: &str| Some(it.to_owned());
        let it = GrpcMethodMatch { r#type: kind, service: given(service), method: given(method) };
        it.as_path().map(|it| (it.r#type, it.value))
    }

    #[test]
    fn service_and_method_are_a_path() {
        use PathMatchType::{Exact, PathPrefix, RegularExpression};
        for (kind, service, method, expected) in [
            (ValueMatchType::Exact, "a.B", "C", Some((Exact, "/a.B/C"))),
            (ValueMatchType::Exact, "a.B", "", Some((PathPrefix, "/a.B"))),
            (ValueMatchType::Exact, "", "C", Some((RegularExpression, "/[^/]+/C"))),
            (ValueMatchType::Exact, "", "", None),
            (ValueMatchType::RegularExpression, "a|b", "", Some((RegularExpression, "/(?:a|b)/[^/]+"))),
            (ValueMatchType::RegularExpression, "", "Get.*", Some((RegularExpression, "/[^/]+/(?:Get.*)"))),
        ] {
            let expected = expected.map(|(kind, path)| (kind, path.to_owned()));
            assert_eq!(path(kind, service, method), expected, "{kind:?} {service:?} {method:?}");
        }
    }
}
