//! The schemas of the kinds that are read, as the API server would have them.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::{JsonSchema, generate::SchemaSettings, transform::AddNullable};
use serde_json::Value;

use super::object::Kind;
use crate::{
    deployment::WorkloadDeployment,
    policy::TrafficPolicy,
    route::{GrpcRoute, HttpRoute, ReferenceGrant},
    workload::Workload,
};

static SCHEMAS: LazyLock<BTreeMap<Kind, Value>> = LazyLock::new(|| {
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let schema = match kind {
                Kind::WorkloadDeployment => generate::<WorkloadDeployment>(),
                Kind::Workload => generate::<Workload>(),
                Kind::Service => generate::<Service>(),
                Kind::ConfigMap => generate::<ConfigMap>(),
                Kind::Secret => generate::<Secret>(),
                Kind::HttpRoute => generate::<HttpRoute>(),
                Kind::TrafficPolicy => generate::<TrafficPolicy>(),
                Kind::GrpcRoute => generate::<GrpcRoute>(),
                Kind::ReferenceGrant => generate::<ReferenceGrant>(),
            };
            (kind, with_metadata(schema))
        })
        .collect()
});

/// The schema of a kind, with everything in place: no references, no definitions.
pub(super) fn of(kind: Kind) -> &'static Value {
    &SCHEMAS[&kind]
}

/// The same transforms as kube's derive makes for a CustomResourceDefinition.
fn generate<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|it| {
        it.inline_subschemas = true;
        it.meta_schema = None;
    });
    let generator = settings
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    Value::from(generator.into_root_schema_for::<T>())
}

/// The derive leaves out what the API server adds by itself. Status is the server's, whatever a manifest says.
fn with_metadata(mut schema: Value) -> Value {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let text = serde_json::json!({ "type": "string" });
        properties.insert("metadata".to_owned(), generate::<ObjectMeta>());
        properties.insert("apiVersion".to_owned(), text.clone());
        properties.insert("kind".to_owned(), text);
        properties.insert("status".to_owned(), serde_json::json!({ "type": "object" }));
    }
    schema
}
