//! Small schemas that a derive cannot make.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object whose fields are not looked into.
pub(crate) fn free_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
