//! A WorkloadDeployment or a Workload of its own: the same thing to a plan.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use penstock_api::{
    Workload, WorkloadDeployment,
    manifest::ObjectKey,
    reasons,
    workload::{Kubernetes, WorkloadSpec},
};

use super::{Findings, Name, Objects};

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Unit<'a> {
    pub(super) object: ObjectKey,
    pub(super) spec: &'a WorkloadSpec,
    /// The path of `spec` in the object.
    pub(super) at: &'static str,
    pub(super) replicas: u32,
    /// Whether it is reachable with no replicas too.
    pub(super) standby: bool,
    /// Seconds since the epoch.
    pub(super) created: Option<i64>,
    /// The template's labels and annotations: a new annotation is how people restart a deployment.
    pub(super) marks: [Option<&'a BTreeMap<String, String>>; 2],
    /// Names of Services, each with the path of the field that names it.
    pub(super) services: Vec<(&'a str, String)>,
}

impl Unit<'_> {
    /// `namespace/name`, which routes and shares use.
    pub(super) fn deployment(&self) -> String {
        self.name().to_string()
    }

    pub(super) fn name(&self) -> Name {
        Name::new(&self.object.namespace, &self.object.name)
    }
}

/// Orders by creation, what has none last, then by name.
pub(super) fn age(created: Option<i64>, name: Name) -> (bool, Option<i64>, Name) {
    (created.is_none(), created, name)
}

/// Creation time in seconds since the epoch.
pub(super) fn created(metadata: &ObjectMeta) -> Option<i64> {
    metadata.creation_timestamp.as_ref().map(|it| it.0.as_second())
}

/// Deployments, and Workloads that no deployment made. Two of the same name cannot be told apart by routes.
pub(super) fn all<'a>(objects: &'a Objects, findings: &mut Findings) -> Vec<Unit<'a>> {
    let mut units: Vec<_> = objects.deployments.iter().map(|(name, it)| of_deployment(name, it)).collect();
    for (name, it) in &objects.workloads {
        let unit = of_workload(name, it);
        if objects.deployments.contains_key(name) {
            let message =
                format!("there is a WorkloadDeployment {name} as well, only that one runs: rename one of them");
            findings.error(&unit.object, "metadata.name", reasons::DUPLICATE_NAME, message);
            continue;
        }
        units.push(unit);
    }
    units
}

pub(super) fn of_deployment<'a>(name: &Name, it: &'a WorkloadDeployment) -> Unit<'a> {
    let template = &it.spec.template;
    let own = service(it.spec.kubernetes.as_ref(), "spec");
    let nested = service(template.spec.kubernetes.as_ref(), "spec.template.spec");
    let mut services: Vec<_> = own.into_iter().chain(nested).collect();
    services.dedup_by(|a, b| a.0 == b.0);
    Unit {
        object: key("WorkloadDeployment", name),
        spec: &template.spec,
        at: "spec.template.spec",
        replicas: it.spec.replicas.unwrap_or(1),
        standby: it.spec.scale_to_zero.unwrap_or(false),
        created: created(&it.metadata),
        marks: [Some(&template.labels), Some(&template.annotations)],
        services,
    }
}

pub(super) fn of_workload<'a>(name: &Name, it: &'a Workload) -> Unit<'a> {
    Unit {
        object: key("Workload", name),
        spec: &it.spec,
        at: "spec",
        replicas: it.spec.replicas.unwrap_or(1),
        standby: false,
        created: created(&it.metadata),
        marks: [None, None],
        services: service(it.spec.kubernetes.as_ref(), "spec").into_iter().collect(),
    }
}

/// An object's namespace (`default` if it has none) and name.
pub(super) fn name_of(metadata: &ObjectMeta) -> Name {
    let namespace = metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    Name::new(namespace, metadata.name.clone().unwrap_or_default())
}

fn service<'a>(kubernetes: Option<&'a Kubernetes>, at: &str) -> Option<(&'a str, String)> {
    let service = kubernetes?.service.as_ref()?;
    Some((&service.name, format!("{at}.kubernetes.service.name")))
}

pub(super) fn key(kind: &str, name: &Name) -> ObjectKey {
    ObjectKey { kind: kind.to_owned(), namespace: name.namespace.clone(), name: name.name.clone() }
}
