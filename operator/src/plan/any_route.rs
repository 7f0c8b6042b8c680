//! HTTPRoutes and GRPCRoutes as one thing: a GRPCRoute's rules are HTTP rules written in other words.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use penstock_api::{
    GrpcRoute, HttpRoute,
    manifest::ObjectKey,
    route::{GrpcRouteRule, HttpRouteRule, ParentReference, RouteParentStatus},
};

use super::{Name, unit};

/// The kinds of routes. Where several kinds want the same port of a Service, the first one has it (GEP-1294, "Route types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the kinds'")]
pub enum RouteKind {
    Grpc,
    Http,
}

/// Which route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// Its kind.
    pub kind: RouteKind,
    /// Its namespace and name.
    pub name: Name,
}

/// A route of either kind.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the kinds'")]
pub enum AnyRoute {
    Http(Arc<HttpRoute>),
    Grpc(Arc<GrpcRoute>),
}

impl RouteKind {
    /// The kind, as manifests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        [Self::Http, Self::Grpc].into_iter().find(|it| it.name() == name)
    }

    /// The route of this kind and that name.
    #[must_use]
    pub const fn of(self, name: Name) -> RouteKey {
        RouteKey { kind: self, name }
    }
}

impl RouteKey {
    /// As findings name it.
    #[must_use]
    pub fn object(&self) -> ObjectKey {
        unit::key(self.kind.name(), &self.name)
    }
}

impl AnyRoute {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> RouteKind {
        match self {
            Self::Http(_) => RouteKind::Http,
            Self::Grpc(_) => RouteKind::Grpc,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Http(it) => &it.metadata,
            Self::Grpc(it) => &it.metadata,
        }
    }

    /// What it is attached to.
    #[must_use]
    pub fn parent_refs(&self) -> &[ParentReference] {
        match self {
            Self::Http(it) => &it.spec.parent_refs,
            Self::Grpc(it) => &it.spec.parent_refs,
        }
    }

    /// What is said of it so far.
    #[must_use]
    pub fn statuses(&self) -> &[RouteParentStatus] {
        let status = match self {
            Self::Http(it) => it.status.as_ref(),
            Self::Grpc(it) => it.status.as_ref(),
        };
        status.map(|it| it.parents.as_slice()).unwrap_or_default()
    }

    pub(super) fn hostnames(&self) -> &[String] {
        match self {
            Self::Http(it) => &it.spec.hostnames,
            Self::Grpc(it) => &it.spec.hostnames,
        }
    }

    pub(super) fn rules(&self) -> Cow<'_, [HttpRouteRule]> {
        match self {
            Self::Http(it) => Cow::Borrowed(&it.spec.rules),
            Self::Grpc(it) => Cow::Owned(it.spec.rules.iter().map(GrpcRouteRule::as_http).collect()),
        }
    }

    /// Whether it asks for the same as another.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(a), Self::Http(b)) => a.spec == b.spec,
            (Self::Grpc(a), Self::Grpc(b)) => a.spec == b.spec,
            _ => false,
        }
    }

    /// The Services that it names as parents.
    pub fn services<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = Name> + 'a {
        let own =
            |it: &&ParentReference| is_service(it) && it.namespace.as_ref().is_none_or(|it| *it == name.namespace);
        self.parent_refs().iter().filter(own).map(|it| Name::new(&name.namespace, &it.name))
    }
}

/// Whether a parent is a Service, which is what routes are attached to here.
#[must_use]
pub fn is_service(parent: &ParentReference) -> bool {
    parent.kind == "Service" && matches!(&*parent.group, "" | "core")
}

impl From<Arc<HttpRoute>> for AnyRoute {
    fn from(route: Arc<HttpRoute>) -> Self {
        Self::Http(route)
    }
}

impl From<Arc<GrpcRoute>> for AnyRoute {
    fn from(route: Arc<GrpcRoute>) -> Self {
        Self::Grpc(route)
    }
}
