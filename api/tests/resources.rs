//! The definitions that the API server is given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use kube::CustomResourceExt;
use penstock_api::{Artifact, Host, Workload, WorkloadDeployment, WorkloadReplicaSet};
use serde_json::{Value, json};

fn definitions() -> Vec<Value> {
    [WorkloadDeployment::crd(), WorkloadReplicaSet::crd(), Workload::crd(), Host::crd(), Artifact::crd()]
        .into_iter()
        .map(|it| serde_json::to_value(it).unwrap())
        .collect()
}

#[test]
fn names_and_columns_are_those_of_existing_manifests() {
    let names: Vec<String> = definitions()
        .iter()
        .map(|it| format!("{} {} {}", it["metadata"]["name"], it["spec"]["names"]["shortNames"], it["spec"]["scope"]))
        .collect();
    assert_eq!(
        names,
        [
            "\"workloaddeployments.runtime.wasmcloud.dev\" [\"wd\"] \"Namespaced\"",
            "\"workloadreplicasets.runtime.wasmcloud.dev\" [\"wrs\"] \"Namespaced\"",
            "\"workloads.runtime.wasmcloud.dev\" [\"ww\"] \"Namespaced\"",
            "\"hosts.runtime.wasmcloud.dev\" [\"wh\"] \"Namespaced\"",
            "\"artifacts.runtime.wasmcloud.dev\" [\"wa\"] \"Namespaced\"",
        ]
    );
    let columns = |index: usize| -> Vec<String> {
        let columns = definitions()[index]["spec"]["versions"][0]["additionalPrinterColumns"].clone();
        columns.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(columns(0), ["REPLICAS", "READY", "SERVICE", "MESSAGE", "AGE"]);
    assert_eq!(columns(3), ["HOSTID", "HOSTGROUP", "ENVIRONMENT", "READY", "AGE"]);
}

#[test]
fn a_deployment_can_be_scaled() {
    assert_eq!(
        definitions()[0]["spec"]["versions"][0]["subresources"]["scale"],
        json!({
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.currentReplicas",
            "labelSelectorPath": ".status.selector",
        })
    );
}

#[test]
fn a_host_has_its_fields_at_the_root() {
    let schema = definitions()[3]["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    assert!(schema["properties"]["spec"].is_null());
    assert_eq!(schema["properties"]["hostId"]["type"], "string");
    let host: Host = serde_json::from_value(json!({
        "apiVersion": "runtime.wasmcloud.dev/v1alpha1", "kind": "Host", "metadata": {"name": "h"},
        "hostId": "abc", "httpPort": 8000, "status": {"systemCPUUsage": "1.5"},
    }))
    .unwrap();
    assert_eq!((host.spec.host_id.as_str(), host.spec.http_port), ("abc", Some(8000)));
    assert_eq!(serde_json::to_value(&host).unwrap()["hostId"], "abc");
}

/// A structural schema has a type everywhere, no references and no unions (Kubernetes, "Specifying a structural schema").
#[test]
fn schemas_are_structural() {
    fn walk(schema: &Value, path: &str) {
        for key in ["$ref", "oneOf", "anyOf", "allOf", "definitions", "$defs"] {
            let int_or_string = schema["x-kubernetes-int-or-string"] == true;
            assert!(schema[key].is_null() || int_or_string, "{path} has {key}: {schema}");
        }
        let free =
            schema["x-kubernetes-int-or-string"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true;
        assert!(schema["type"].is_string() || free, "{path} has no type: {schema}");
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{path}.{name}"));
        }
        for key in ["items", "additionalProperties"] {
            if schema[key].is_object() {
                walk(&schema[key], &format!("{path}.{key}"));
            }
        }
    }
    for it in definitions() {
        walk(&it["spec"]["versions"][0]["schema"]["openAPIV3Schema"], it["metadata"]["name"].as_str().unwrap());
    }
}
