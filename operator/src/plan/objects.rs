//! The objects that a plan is made of.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use penstock_api::{HttpRoute, Workload, WorkloadDeployment, manifest::Object};

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
    pub(super) deployments: BTreeMap<Name, WorkloadDeployment>,
    pub(super) workloads: BTreeMap<Name, Workload>,
    pub(super) services: BTreeMap<Name, Service>,
    pub(super) config_maps: BTreeMap<Name, ConfigMap>,
    pub(super) secrets: BTreeMap<Name, Secret>,
    pub(super) routes: BTreeMap<Name, HttpRoute>,
}

impl Objects {
    /// Adds an object; says whether it took the place of one of the same kind, namespace and name.
    pub fn insert(&mut self, object: Object) -> bool {
        let key = object.key();
        let name = Name::new(key.namespace, key.name);
        match object {
            Object::WorkloadDeployment(it) => self.deployments.insert(name, *it).is_some(),
            Object::Workload(it) => self.workloads.insert(name, *it).is_some(),
            Object::Service(it) => self.services.insert(name, *it).is_some(),
            Object::ConfigMap(it) => self.config_maps.insert(name, *it).is_some(),
            Object::Secret(it) => self.secrets.insert(name, *it).is_some(),
            Object::HttpRoute(it) => self.routes.insert(name, *it).is_some(),
        }
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
