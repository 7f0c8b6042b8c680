//! The objects that a plan is made of.

use std::{collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use penstock_api::{ReferenceGrant, TrafficPolicy, Workload, WorkloadDeployment, manifest::Object};

use super::{
    Values,
    any_route::{AnyRoute, RouteKey, RouteKind},
};

/// Namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Name {
    /// Puts both together.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// All objects of the kinds that a plan looks at. Those without a namespace are of `default`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    pub(super) deployments: BTreeMap<Name, Arc<WorkloadDeployment>>,
    pub(super) workloads: BTreeMap<Name, Arc<Workload>>,
    pub(super) services: BTreeMap<Name, Arc<Service>>,
    pub(super) config_maps: BTreeMap<Name, Arc<ConfigMap>>,
    pub(super) secrets: BTreeMap<Name, Arc<Secret>>,
    pub(super) routes: BTreeMap<RouteKey, AnyRoute>,
    pub(super) grants: BTreeMap<Name, Arc<ReferenceGrant>>,
    pub(super) policies: BTreeMap<Name, Arc<TrafficPolicy>>,
}

impl Objects {
    /// Adds an object; says whether it took the place of one of the same kind, namespace and name.
    pub fn insert(&mut self, object: Object) -> bool {
        let key = object.key();
        let name = Name::new(key.namespace, key.name);
        match object {
            Object::WorkloadDeployment(it) => self.deployments.insert(name, it.into()).is_some(),
            Object::Workload(it) => self.workloads.insert(name, it.into()).is_some(),
            Object::Service(it) => self.services.insert(name, it.into()).is_some(),
            Object::ConfigMap(it) => self.config_maps.insert(name, it.into()).is_some(),
            Object::Secret(it) => self.secrets.insert(name, it.into()).is_some(),
            Object::HttpRoute(it) => self.insert_route(RouteKind::Http, name, AnyRoute::Http(it.into())),
            Object::GrpcRoute(it) => self.insert_route(RouteKind::Grpc, name, AnyRoute::Grpc(it.into())),
            Object::ReferenceGrant(it) => self.grants.insert(name, it.into()).is_some(),
            Object::TrafficPolicy(it) => self.policies.insert(name, it.into()).is_some(),
        }
    }

    fn insert_route(&mut self, kind: RouteKind, name: Name, route: AnyRoute) -> bool {
        self.routes.insert(kind.of(name), route).is_some()
    }
}

impl FromIterator<Object> for Objects {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        let mut all = Self::default();
        for object in objects {
            all.insert(object);
        }
        all
    }
}

impl Values for Objects {
    fn config_map(&self, name: &Name) -> Option<Arc<ConfigMap>> {
        self.config_maps.get(name).cloned()
    }

    fn secret(&self, name: &Name) -> Option<Arc<Secret>> {
        self.secrets.get(name).cloned()
    }

    fn policy(&self, name: &Name) -> Option<Arc<TrafficPolicy>> {
        self.policies.get(name).cloned()
    }
}
