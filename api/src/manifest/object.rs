//! The kinds that are read, and an object with the places of its fields.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::de::DeserializeOwned;

use super::{
    diagnostic::{Problem, Source},
    node::{self, Node},
    schema,
};
use crate::{
    deployment::WorkloadDeployment,
    policy::TrafficPolicy,
    route::{GrpcRoute, HttpRoute, ReferenceGrant},
    workload::Workload,
};

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// An object of a kind that is read.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the kinds'")]
pub enum Object {
    WorkloadDeployment(Box<WorkloadDeployment>),
    Workload(Box<Workload>),
    Service(Box<Service>),
    ConfigMap(Box<ConfigMap>),
    Secret(Box<Secret>),
    HttpRoute(Box<HttpRoute>),
    TrafficPolicy(Box<TrafficPolicy>),
    GrpcRoute(Box<GrpcRoute>),
    ReferenceGrant(Box<ReferenceGrant>),
}

impl Object {
    /// The kind, as manifests write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::WorkloadDeployment(_) => Kind::WorkloadDeployment.name(),
            Self::Workload(_) => Kind::Workload.name(),
            Self::Service(_) => Kind::Service.name(),
            Self::ConfigMap(_) => Kind::ConfigMap.name(),
            Self::Secret(_) => Kind::Secret.name(),
            Self::HttpRoute(_) => Kind::HttpRoute.name(),
            Self::TrafficPolicy(_) => Kind::TrafficPolicy.name(),
            Self::GrpcRoute(_) => Kind::GrpcRoute.name(),
            Self::ReferenceGrant(_) => Kind::ReferenceGrant.name(),
        }
    }

    /// The object's metadata.
    #[must_use]
    pub const fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::WorkloadDeployment(it) => &it.metadata,
            Self::Workload(it) => &it.metadata,
            Self::Service(it) => &it.metadata,
            Self::ConfigMap(it) => &it.metadata,
            Self::Secret(it) => &it.metadata,
            Self::HttpRoute(it) => &it.metadata,
            Self::TrafficPolicy(it) => &it.metadata,
            Self::GrpcRoute(it) => &it.metadata,
            Self::ReferenceGrant(it) => &it.metadata,
        }
    }

    /// Kind, namespace (`default` if the manifest names none) and name.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let metadata = self.metadata();
        ObjectKey {
            kind: self.kind().to_owned(),
            namespace: metadata.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// What tells objects apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind, as manifests write it.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The object.
    pub object: Object,
    /// Where it begins.
    pub source: Source,
    lines: BTreeMap<String, (u32, u32)>,
}

impl Manifest {
    pub(super) const fn new(object: Object, source: Source, lines: BTreeMap<String, (u32, u32)>) -> Self {
        Self { object, source, lines }
    }

    /// The kind, as manifests write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.object.kind()
    }

    /// Where a field stands (`spec.template.spec.components[0].image`), or the nearest one around it.
    #[must_use]
    pub fn locate(&self, path: &str) -> Source {
        match node::locate(&self.lines, path) {
            Some((line, column)) => Source { file: self.source.file.clone(), line, column },
            None => self.source.clone(),
        }
    }
}

// === kinds ===

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    WorkloadDeployment,
    Workload,
    Service,
    ConfigMap,
    Secret,
    HttpRoute,
    GrpcRoute,
    ReferenceGrant,
    TrafficPolicy,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::WorkloadDeployment,
        Self::Workload,
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::ReferenceGrant,
        Self::TrafficPolicy,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WorkloadDeployment => "WorkloadDeployment",
            Self::Workload => "Workload",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::HttpRoute => "HTTPRoute",
            Self::TrafficPolicy => "TrafficPolicy",
            Self::GrpcRoute => "GRPCRoute",
            Self::ReferenceGrant => "ReferenceGrant",
        }
    }

    /// The versions that are read, the one to write first.
    const fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::WorkloadDeployment | Self::Workload => &["runtime.wasmcloud.dev/v1alpha1"],
            Self::Service | Self::ConfigMap | Self::Secret => &["v1"],
            Self::HttpRoute | Self::GrpcRoute => &["gateway.networking.k8s.io/v1"],
            Self::TrafficPolicy => &["penstock.dev/v1alpha1"],
            Self::ReferenceGrant => &["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"],
        }
    }

    /// The kind of that name, or the version it should have if only its version is another, or none.
    pub(super) fn find(api_version: &str, name: &str) -> Result<Self, Option<&'static str>> {
        let kind = Self::ALL.into_iter().find(|it| it.name() == name).ok_or(None)?;
        let group = |version: &str| version.rsplit_once('/').map(|(group, _)| group.to_owned());
        match kind.api_versions() {
            read if read.contains(&api_version) => Ok(kind),
            [wanted, ..] if group(wanted) == group(api_version) => Err(Some(wanted)),
            _ => Err(None),
        }
    }

    pub(super) fn schema(self) -> &'static serde_json::Value {
        schema::of(self)
    }

    /// Reads what the schema has nothing against.
    pub(super) fn read(self, node: &Node) -> Result<Object, Problem> {
        let json = node.to_json();
        Ok(match self {
            Self::WorkloadDeployment => Object::WorkloadDeployment(typed(json)?),
            Self::Workload => Object::Workload(typed(json)?),
            Self::Service => Object::Service(typed(json)?),
            Self::ConfigMap => Object::ConfigMap(typed(json)?),
            Self::Secret => Object::Secret(typed(json)?),
            Self::HttpRoute => Object::HttpRoute(typed(json)?),
            Self::TrafficPolicy => Object::TrafficPolicy(typed(json)?),
            Self::GrpcRoute => Object::GrpcRoute(typed(json)?),
            Self::ReferenceGrant => Object::ReferenceGrant(typed(json)?),
        })
    }
}

fn typed<T: DeserializeOwned>(json: serde_json::Value) -> Result<Box<T>, Problem> {
    serde_path_to_error::deserialize(json).map(Box::new).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        let binary = path.starts_with("data.") || path.starts_with("binaryData.");
        let advice = if binary {
            "write base64 here, or plain text under `stringData` (Secret) or `data` (ConfigMap)"
        } else {
            "docs/manifests.md describes every field"
        };
        Problem::error(path, error.inner().to_string(), advice)
    })
}
