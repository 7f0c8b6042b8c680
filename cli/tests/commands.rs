//! Commands that print and end: help, check, inspect, and questions that nobody answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn penstock(folder: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_penstock")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn component(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/components").join(name).canonicalize().unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: hello}\nspec: {ports: [{name: http, port: 80}]}\n";

fn deployment(component: &str) -> String {
    format!(
        "apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata:
  name: hello
spec:
  kubernetes: {{service: {{name: hello}}}}
  template:
    spec:
      components:
        - name: hello
{component}
      hostInterfaces:
        - {{namespace: wasi, package: http, interfaces: [incoming-handler]}}
"
    )
}

#[test]
fn every_command_has_help_with_an_example() {
    let here = folder(&[]);
    for command in [
        &["dev"][..],
        &["routes"],
        &["routes", "explain"],
        &["inspect"],
        &["check"],
        &["rollout"],
        &["rollout", "history"],
        &["rollout", "status"],
        &["rollout", "undo"],
        &["doctor"],
        &["completions"],
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let ran = penstock(here.path(), &arguments);
        assert_eq!(ran.code, Some(0), "{command:?}: {}", ran.err);
        let example = format!("\n  penstock {}", command.join(" "));
        assert!(ran.out.contains(&example), "{command:?} shows no example:\n{}", ran.out);
    }
    let ran = penstock(here.path(), &["--help"]);
    assert!(ran.out.contains("penstock dev examples/quickstart/manifests"), "{}", ran.out);
}

#[test]
fn arguments_that_make_no_sense_exit_with_2() {
    let here = folder(&[]);
    let ran = penstock(here.path(), &["dev", "--listen", "here"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("invalid value 'here' for '--listen <ADDRESS>'"), "{}", ran.err);
    assert_eq!(penstock(here.path(), &["fly"]).code, Some(2));
}

#[test]
fn completions_are_written() {
    let ran = penstock(folder(&[]).path(), &["completions", "bash"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("_penstock"), "{}", ran.out);
}

#[test]
fn places_that_are_missing_are_named() {
    let here = folder(&[]);
    for command in ["dev", "check"] {
        let ran = penstock(here.path(), &[command, "nowhere"]);
        assert_eq!(ran.code, Some(1));
        assert_eq!(
            ran.err,
            "error: there is no file or folder nowhere: name one that holds manifests, such as \
             examples/quickstart/manifests\n"
        );
    }
}

#[test]
fn nothing_runs_there() {
    let here = folder(&[]);
    for arguments in [&["routes"][..], &["routes", "explain", "GET", "http://localhost/"]] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--admin", "http://127.0.0.1:1"]).collect();
        let ran = penstock(here.path(), &arguments);
        assert_eq!(ran.code, Some(1));
        assert_eq!(
            ran.err,
            "error: nothing answers at http://127.0.0.1:1 (Connection refused (os error 111)): start `penstock dev`, or \
             name its admin address with --admin\n"
        );
    }
}

// === check ===

#[test]
fn good_manifests_are_ok() {
    let image = format!("          image: file://{}", component("hello-p2.wasm").display());
    let here = folder(&[("hello.yaml", &format!("{SERVICE}---\n{}", deployment(&image))), ("package.json", "{}")]);
    let ran = penstock(here.path(), &["check"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ok: 1 manifest file, 1 workload\n"));
    let ran = penstock(here.path(), &["check", "-o", "json"]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found, json!({"files": 1, "workloads": 1, "errors": 0, "warnings": 0, "problems": []}));
}

/// What `penstock check` says of one file, but for the last line, which counts.
fn checked(text: &str) -> (Option<i32>, String) {
    let ran = penstock(folder(&[("app.yaml", text)]).path(), &["check"]);
    assert_eq!(ran.err, "");
    let lines: Vec<&str> = ran.out.lines().collect();
    (ran.code, lines[..lines.len() - 1].join("\n"))
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let image = format!("          image: file://{}", component("hello-p2.wasm").display());
    for (about, text, expected) in [
        (
            "malformed YAML",
            "apiVersion: v1\nkind: Service\nmetadata: {name: hello\nspec: {}\n".to_owned(),
            "app.yaml:4:5: error: while parsing a flow mapping, did not find expected ',' or '}'; check the \
             indentation, the colons and the quotes up to here",
        ),
        (
            "wrong type",
            deployment(&format!("{image}\n          poolSize: many")),
            "app.yaml:12:11: error: spec.template.spec.components[0].poolSize: expected a number, found the text \"many\"; \
             write it without quotes and units",
        ),
        (
            "no image",
            deployment("          poolSize: 1"),
            "app.yaml:10:11: error: spec.template.spec.components[0]: `image` is missing; add `image:` (An OCI reference, \
             with or without a digest)",
        ),
        (
            "no such file",
            deployment("          image: file://build/hello.wasm")
                .replace("  kubernetes: {service: {name: hello}}", "  replicas: 1"),
            "app.yaml:11:11: error: spec.template.spec.components[0].image: there is no file build/hello.wasm; build the \
             component, or correct the path",
        ),
        (
            "duplicate names",
            format!("{SERVICE}---\n{SERVICE}"),
            "app.yaml:8:12: error: metadata.name: Service default/hello is already at app.yaml:1:1; rename one of them, or \
             remove it",
        ),
    ] {
        let (code, out) = checked(&text);
        assert_eq!(out, expected, "{about}");
        assert_eq!(code, Some(1), "{about}");
    }
}

#[test]
fn an_unknown_field_is_a_warning_with_the_nearest_name() {
    let image = format!("          image: file://{}\n          poolsize: 1", component("hello-p2.wasm").display());
    let (code, out) = checked(&format!("{SERVICE}---\n{}", deployment(&image)));
    assert_eq!(
        out,
        "app.yaml:17:11: warning: spec.template.spec.components[0].poolsize: unknown field; did you mean poolSize?"
    );
    assert_eq!(code, Some(0));
}

// === inspect ===

fn inspect(arguments: &[&str]) -> Ran {
    let cache = tempfile::tempdir().unwrap();
    let cache_dir = cache.path().display().to_string();
    let arguments: Vec<&str> = ["inspect", "--cache-dir", &cache_dir].iter().chain(arguments).copied().collect();
    penstock(cache.path(), &arguments)
}

#[test]
fn a_component_is_inspected() {
    let path = component("hello-p2.wasm");
    let path = path.to_str().unwrap();
    let ran = inspect(&[path]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for part in [
        &*format!("Image   file://{path}\nDigest  sha256:"),
        "EXPORT",
        "answers requests (WASI 0.2)\n",
        "IMPORT",
        "wasi:http/types@0.2.",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in\n{}", ran.out);
    }
    let json: Value = serde_json::from_str(&inspect(&[path, "-o", "json"]).out).unwrap();
    assert_eq!(json["exports"][0]["role"], "http02");
    let wit = inspect(&[path, "-o", "wit"]).out;
    assert!(wit.contains("export wasi:http/incoming-handler@0.2."), "{wit}");
    let p3 = component("hello-p3.wasm");
    assert!(inspect(&[p3.to_str().unwrap()]).out.contains("answers requests (WASI 0.3)"));
}

#[test]
fn what_is_no_component_is_told() {
    let core = component("core.wasm");
    let ran = inspect(&[core.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("wasm-tools component new"), "{}", ran.err);
    let ran = inspect(&["/nowhere/a.wasm"]);
    assert_eq!(
        ran.err,
        "error: there is no file /nowhere/a.wasm: build the component, or correct the path in `image`\n"
    );
    assert_eq!(ran.code, Some(1));
}

#[test]
fn a_doctor_without_a_cluster_says_so_with_a_code_of_its_own() {
    let here = folder(&[]);
    let ran = penstock(here.path(), &["doctor", "--kubeconfig", "missing.yaml"]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("error: no cluster can be asked"), "{}", ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
}
