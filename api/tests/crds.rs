//! `deploy/crds` is what the sources say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use penstock_api::crd;
use serde_json::Value;

#[test]
fn the_files_are_those_that_would_be_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    let mut names = BTreeSet::new();
    for (name, definition) in crd::all().unwrap() {
        let there = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(there, crd::yaml(&definition).unwrap(), "deploy/crds/{name} is out of date: run `make generate`");
        names.insert(name);
    }
    let files: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, names);
}

/// The API server knows these formats; for others it only warns, and the operator could not read what it lets pass.
#[test]
fn numbers_have_bounds_that_the_operator_can_read() {
    fn walk(schema: &Value, path: &str) {
        let format = schema["format"].as_str();
        if schema["type"] == "integer" {
            assert!(matches!(format, Some("int32" | "int64")), "{path} has the format {format:?}");
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{path}.{name}"));
        }
        for key in ["items", "additionalProperties"] {
            if schema[key].is_object() {
                walk(&schema[key], &format!("{path}.{key}"));
            }
        }
    }
    for (name, definition) in crd::all().unwrap() {
        let definition = serde_json::to_value(definition).unwrap();
        walk(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &name);
    }
}
