//! What there is: the documents by which `kube-apiserver` and `kubectl` find out.

use serde_json::{Value, json};

use super::{GROUP, VERSION};
use crate::signals::Signal;

/// `/apis`.
pub(super) fn groups() -> Value {
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group_itself()] })
}

/// `/apis/external.metrics.k8s.io`.
pub(super) fn group() -> Value {
    let mut group = group_itself();
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

/// `/apis/external.metrics.k8s.io/v1beta1`: each signal is a resource.
pub(super) fn resources() -> Value {
    let resources = Signal::ALL.map(|signal| {
        json!({
            "name": signal.name(),
            "singularName": "",
            "namespaced": true,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        })
    });
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": resources,
    })
}

fn group_itself() -> Value {
    let version = json!({ "groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION });
    json!({ "name": GROUP, "versions": [version], "preferredVersion": version })
}
