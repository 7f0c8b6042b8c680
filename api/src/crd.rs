//! The definitions that the API server is given, as `deploy/crds` holds them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::{Artifact, Host, TrafficPolicy, Workload, WorkloadDeployment, WorkloadReplicaSet, cel};

/// Why a definition could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the definition of {name}: {source}")]
pub struct BadDefinition {
    name: String,
    source: serde_json::Error,
}

/// Every definition with the name of its file, in the order in which people meet them.
///
/// # Errors
/// None that a test has not seen: the definitions are constants.
pub fn all() -> Result<Vec<(String, CustomResourceDefinition)>, BadDefinition> {
    [
        WorkloadDeployment::crd(),
        WorkloadReplicaSet::crd(),
        Workload::crd(),
        Host::crd(),
        Artifact::crd(),
        TrafficPolicy::crd(),
    ]
    .into_iter()
    .map(|crd| {
        let name = crd.spec.names.plural.clone();
        let crd = finish(&crd).map_err(|source| BadDefinition { name: name.clone(), source })?;
        Ok((format!("{name}.yaml"), crd))
    })
    .collect()
}

/// One definition as YAML, under a line that says where it comes from.
///
/// # Errors
/// None that a test has not seen.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, String> {
    // By way of JSON, whose maps are sorted: the file changes only when the definition does.
    let value = serde_json::to_value(crd).map_err(|error| error.to_string())?;
    let text = serde_saphyr::to_string(&value).map_err(|error| error.to_string())?;
    Ok(format!("# Generated from api/src by `make generate`. Do not edit.\n{text}"))
}

/// What the derive does not do.
fn finish(crd: &CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(crd)?;
    if let Some(versions) = value["spec"]["versions"].as_array_mut() {
        for version in versions {
            let root = &mut version["schema"]["openAPIV3Schema"];
            if crd.spec.names.kind == "WorkloadDeployment" {
                root["x-kubernetes-validations"] = cel::deployment_root();
            }
            plain_numbers(root);
        }
    }
    serde_json::from_value(value)
}

/// The API server knows only `int32` and `int64`. Rust's other formats become bounds, so that nothing is stored that the
/// operator could not read: one such object would hide all others from its watch.
fn plain_numbers(schema: &mut Value) {
    if let Value::Object(schema) = schema {
        let (format, most) = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => ("int32", i64::from(u8::MAX)),
            Some("uint16") => ("int32", i64::from(u16::MAX)),
            Some("uint32") => ("int64", i64::from(u32::MAX)),
            Some("uint64" | "uint") => ("int64", i64::MAX),
            _ => ("", 0),
        };
        if !format.is_empty() {
            bound(schema, format, most);
        }
        schema.values_mut().for_each(plain_numbers);
    } else if let Value::Array(list) = schema {
        list.iter_mut().for_each(plain_numbers);
    }
}

fn bound(schema: &mut Map<String, Value>, format: &str, most: i64) {
    schema.insert("format".to_owned(), json!(format));
    schema.entry("minimum").or_insert_with(|| json!(0));
    if most < i64::MAX {
        let now = schema.get("maximum").and_then(Value::as_f64);
        // Bounds in the schema are far below 2^52.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        if now.is_none_or(|it| it > most as f64) {
            schema.insert("maximum".to_owned(), json!(most));
        }
    }
}
