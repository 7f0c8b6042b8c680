//! Objects as they should be, and whether one is so already. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt};
use penstock_api::{
    Host, HostSpec, Workload, WorkloadDeployment, WorkloadReplicaSet, WorkloadReplicaSetSpec, WorkloadSpec, labels,
    replica_set::WorkloadTemplate,
};
use serde::Serialize;
use serde_json::json;

use crate::plan::{HostId, Name, WantedReplicaSet, names, revisions};

/// On Hosts: `"true"` means that shares are to move elsewhere.
pub(crate) const CORDON: &str = "runtime.wasmcloud.dev/cordon";

/// A reference to the object that controls another.
pub(crate) fn owner<K: Resource>(it: &K) -> OwnerReference
where
    K::DynamicType: Default,
{
    let dynamic = K::DynamicType::default();
    OwnerReference {
        api_version: K::api_version(&dynamic).into_owned(),
        kind: K::kind(&dynamic).into_owned(),
        name: it.name_any(),
        uid: it.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// A reference for an Event.
pub(crate) fn reference<K: Resource>(it: &K) -> ObjectReference
where
    K::DynamicType: Default,
{
    let dynamic = K::DynamicType::default();
    ObjectReference {
        api_version: Some(K::api_version(&dynamic).into_owned()),
        kind: Some(K::kind(&dynamic).into_owned()),
        name: it.meta().name.clone(),
        namespace: it.meta().namespace.clone(),
        uid: it.meta().uid.clone(),
        ..ObjectReference::default()
    }
}

/// The object that controls another, if it is of that kind.
pub(crate) fn controller_of<'a>(meta: &'a ObjectMeta, kind: &str) -> Option<&'a OwnerReference> {
    let owners = meta.owner_references.iter().flatten();
    owners.into_iter().find(|it| it.controller == Some(true) && it.kind == kind)
}

/// A ReplicaSet of a deployment.
pub(crate) fn replica_set(
    deployment: &WorkloadDeployment,
    wanted: &WantedReplicaSet,
    template: WorkloadTemplate,
) -> WorkloadReplicaSet {
    let name = deployment.name_any();
    WorkloadReplicaSet {
        metadata: ObjectMeta {
            name: Some(names::replica_set(&name, &wanted.revision)),
            namespace: deployment.namespace(),
            labels: Some(own_labels(&BTreeMap::new(), &name, &wanted.revision)),
            annotations: Some([(revisions::NUMBER.to_owned(), wanted.number.to_string())].into()),
            owner_references: Some(vec![owner(deployment)]),
            ..ObjectMeta::default()
        },
        spec: WorkloadReplicaSetSpec { replicas: Some(wanted.replicas), template },
        status: None,
    }
}

/// The share of a revision on a host.
pub(crate) fn workload(
    deployment: &str,
    revision: &str,
    set: &WorkloadReplicaSet,
    host: &HostId,
    replicas: u32,
) -> Workload {
    let template = &set.spec.template;
    let annotations = (!template.annotations.is_empty()).then(|| template.annotations.clone());
    Workload {
        metadata: ObjectMeta {
            name: Some(names::workload(deployment, revision, host)),
            namespace: set.namespace(),
            labels: Some(own_labels(&template.labels, deployment, revision)),
            annotations,
            owner_references: Some(vec![owner(set)]),
            ..ObjectMeta::default()
        },
        spec: WorkloadSpec { replicas: Some(replicas), host_id: Some(host.to_string()), ..template.spec.clone() },
        status: None,
    }
}

/// The Host of a pod.
pub(crate) fn host(pod: &Pod, group: Option<&String>, shared_port: u16) -> Host {
    let labels = group.map(|it| [(labels::SELECTOR_HOST_GROUP.to_owned(), it.clone())].into());
    let mut host = Host::new(
        &pod.name_any(),
        HostSpec {
            host_id: pod.name_any(),
            hostname: pod.status.as_ref().and_then(|it| it.pod_ip.clone()),
            http_port: (shared_port > 0).then(|| shared_port.into()),
            environment: pod.namespace(),
        },
    );
    host.metadata.namespace = pod.namespace();
    host.metadata.labels = labels;
    host.metadata.owner_references = Some(vec![owner(pod)]);
    host
}

fn own_labels(more: &BTreeMap<String, String>, deployment: &str, revision: &str) -> BTreeMap<String, String> {
    let mut all = more.clone();
    all.insert(labels::WORKLOAD_DEPLOYMENT.to_owned(), names::label_value(deployment));
    all.insert(labels::REVISION.to_owned(), revision.to_owned());
    all
}

/// Whether an object's metadata has all that is wanted. What others have added stays.
pub(crate) fn has_meta(meta: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    let within = |all: &Option<BTreeMap<String, String>>, some: &Option<BTreeMap<String, String>>| {
        some.iter().flatten().all(|(key, value)| all.as_ref().and_then(|it| it.get(key)) == Some(value))
    };
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let owned = |it: &OwnerReference| owners.iter().any(|own| own.uid == it.uid && own.controller == it.controller);
    within(&meta.labels, &wanted.labels)
        && within(&meta.annotations, &wanted.annotations)
        && wanted.owner_references.iter().flatten().all(owned)
}

/// The body of a server-side apply of a status.
pub(crate) fn status_body<K: Resource>(name: &Name, status: &impl Serialize) -> bytes::Bytes
where
    K::DynamicType: Default,
{
    let dynamic = K::DynamicType::default();
    super::write::body(&json!({
        "apiVersion": K::api_version(&dynamic),
        "kind": K::kind(&dynamic),
        "metadata": { "name": name.name, "namespace": name.namespace },
        "status": status,
    }))
}
