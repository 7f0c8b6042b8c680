//! One deployment with every reference resolved: what its shares are, and what it routes.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use penstock_api::{
    TrafficPolicy, Workload, WorkloadDeployment, WorkloadReplicaSet, snapshot::Share, workload::WorkloadSpec,
};

use super::{Finding, Findings, Name, Routing, Unit, names, policy, unit, workload};

/// Where what a workload names is looked up: [`super::Objects`], or a reflector's store.
pub trait Values {
    /// The ConfigMap, if there is one.
    fn config_map(&self, name: &Name) -> Option<Arc<ConfigMap>>;
    /// The Secret, if there is one.
    fn secret(&self, name: &Name) -> Option<Arc<Secret>>;
    /// The traffic policy, if there is one. Where no routes are resolved, none is asked for.
    fn policy(&self, _name: &Name) -> Option<Arc<TrafficPolicy>> {
        None
    }
}

/// An object whose change changes what a template comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A ConfigMap.
    ConfigMap(Name),
    /// A Secret.
    Secret(Name),
    /// A traffic policy.
    Policy(Name),
}

/// One deployment with every reference resolved. Cheap to clone; what is in it never changes.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The deployment.
    pub deployment: Name,
    /// The share, with 0 replicas and with its revision's name in it; none if some reference could not be resolved. Then
    /// nothing is known of the wanted revision, and those that run go on.
    pub share: Option<Arc<Share>>,
    /// What it routes; also there when the share is not.
    pub routing: Arc<Routing>,
    /// The ConfigMaps, Secrets and traffic policies that it refers to, whether they exist or not: when one of them changes, this has to be
    /// asked again.
    pub sources: BTreeSet<Source>,
    /// What is to be said about it.
    pub findings: Vec<Finding>,
}

impl Resolved {
    /// The revision's name, a short hash of all that would make a new instance differ from an old one.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.share.as_ref().map(|it| it.revision.as_str())
    }
}

/// A deployment's template as it is wanted now.
#[must_use]
pub fn resolve_deployment(deployment: &WorkloadDeployment, values: &dyn Values) -> Resolved {
    let name = unit::name_of(&deployment.metadata);
    resolve(&unit::of_deployment(&name, deployment), values)
}

/// A Workload that no ReplicaSet owns.
#[must_use]
pub fn resolve_workload(workload: &Workload, values: &dyn Values) -> Resolved {
    let name = unit::name_of(&workload.metadata);
    resolve(&unit::of_workload(&name, workload), values)
}

/// A revision's template, for shares that run it already. ConfigMaps and Secrets have the values that they have now, as for
/// a pod of an old ReplicaSet; a host that runs the revision goes on with the values that it has.
#[must_use]
pub fn resolve_replica_set(
    deployment: &WorkloadDeployment,
    set: &WorkloadReplicaSet,
    revision: &str,
    values: &dyn Values,
) -> Resolved {
    let name = unit::name_of(&deployment.metadata);
    let mut unit = unit::of_deployment(&name, deployment);
    unit.spec = &set.spec.template.spec;
    unit.marks = [Some(&set.spec.template.labels), Some(&set.spec.template.annotations)];
    let mut resolved = resolve(&unit, values);
    if let Some(share) = resolved.share.as_mut().map(Arc::make_mut) {
        share.revision = revision.to_owned();
        share.id = names::share_id(&name, revision);
    }
    resolved
}

/// What a deployment routes while revisions give way to each other: what its template says, unless that names a component
/// that a revision which still serves does not have. Then the routes of that revision stay until it is gone.
/// `serving` are the other revisions that serve, the newest first.
#[must_use]
pub fn routing_in_force<'a>(wanted: &'a Resolved, serving: impl IntoIterator<Item = &'a Resolved>) -> &'a Arc<Routing> {
    let has_all = |it: &Resolved| {
        let has = |name: &str| it.share.as_ref().is_none_or(|it| it.components.iter().any(|it| it.name == name));
        wanted.routing.components().all(has)
    };
    serving.into_iter().find(|it| !has_all(it)).map_or(&wanted.routing, |it| &it.routing)
}

fn resolve(unit: &Unit<'_>, values: &dyn Values) -> Resolved {
    let mut findings = Findings::default();
    let resolved = workload::resolve(unit, values, &mut findings);
    let share = resolved.share.map(|it| Arc::new(Share { replicas: 0, ..it }));
    let deployment = unit.name();
    let sources = sources(unit.spec, &deployment.namespace);
    let routing = Arc::new(Routing::new(unit, &resolved.http, values, &mut findings));
    Resolved { deployment, share, routing, sources, findings: findings.sorted() }
}

/// Everything that a spec refers to.
fn sources(spec: &WorkloadSpec, namespace: &str) -> BTreeSet<Source> {
    let mut found = BTreeSet::new();
    let name = |it: &str| Name::new(namespace, it);
    let environments = spec.components.iter().filter_map(|it| it.local_resources.as_ref()?.environment.as_ref());
    for environment in environments {
        found.extend(environment.config_from.iter().map(|it| Source::ConfigMap(name(&it.name))));
        found.extend(environment.secret_from.iter().map(|it| Source::Secret(name(&it.name))));
    }
    for entry in &spec.host_interfaces {
        found.extend(entry.config_from.iter().map(|it| Source::ConfigMap(name(&it.name))));
        found.extend(entry.secret_from.iter().map(|it| Source::Secret(name(&it.name))));
    }
    found.extend(
        spec.components.iter().filter_map(|it| Some(Source::Secret(name(&it.image_pull_secret.as_ref()?.name)))),
    );
    let rules = spec.http.iter().flat_map(|it| &it.routes);
    found.extend(policy::named(rules.flat_map(|it| &it.filters), namespace).map(Source::Policy));
    found
}
