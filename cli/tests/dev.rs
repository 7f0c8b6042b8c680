//! The real program on real components: edits of every kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use penstock_tests::{
    dev::{Dev, Options},
    http,
    manifest::Workload,
    process::Stream,
};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(60);

fn component(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/components").join(name).canonicalize().unwrap()
}

fn options() -> Options {
    Options { binary: Some(env!("CARGO_BIN_EXE_penstock").into()), ..Options::default() }
}

fn hello(name: &str) -> Workload {
    Workload::file(name, &component("hello-p2.wasm"))
}

async fn start(files: &[(&str, String)]) -> Dev {
    let options = files.iter().fold(options(), |options, (name, text)| options.file(*name, text));
    options.start().await.unwrap()
}

async fn status(dev: &Dev, host: &str) -> u16 {
    dev.get(host, "/x").await.unwrap().status().as_u16()
}

#[tokio::test]
async fn one_service_is_localhost_and_has_a_name_and_a_port() {
    let dev = start(&[("app.yaml", hello("app").to_string())]).await;
    for host in ["localhost", "LOCALHOST:8000", "app.localhost", "127.0.0.1:8000", "[::1]"] {
        let response = dev.get(host, "/x?y").await.unwrap();
        assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"hello from /x?y\n"[..]), "{host}");
    }
    // No other hostname is made up.
    assert_eq!(status(&dev, "app.example").await, 404);
    let own = dev.listener("default/app:http").unwrap();
    assert_eq!(http::get(own, "whatever.example", "/x").await.unwrap().status(), 200);
}

#[tokio::test]
async fn several_services_have_names_and_localhost_is_none_of_them() {
    let mut dev = start(&[("a.yaml", hello("a").to_string())]).await;
    dev.apply("b.yaml", &hello("b").host("b.example")).await.unwrap();
    assert_eq!(status(&dev, "localhost").await, 404);
    for host in ["a.localhost", "b.localhost", "b.example"] {
        assert_eq!(status(&dev, host).await, 200, "{host}");
    }
    dev.remove("b.yaml").unwrap();
    dev.until("/v1/status", |it| it["shares"].as_object().is_some_and(|it| it.len() == 1)).await.unwrap();
    assert_eq!(status(&dev, "localhost").await, 200);
    assert_eq!(status(&dev, "b.example").await, 404);
}

#[tokio::test]
async fn a_broken_edit_stops_nothing_but_itself() {
    let mut dev = start(&[("a.yaml", hello("a").to_string()), ("b.yaml", hello("b").to_string())]).await;
    let broken = hello("a").to_string().replace("replicas: 1", "replicas: one");
    let rejected = dev.reject("a.yaml", &broken).await.unwrap();
    let file = dev.folder().join("a.yaml").display().to_string();
    assert_eq!(rejected["files"], json!([file]));
    assert_eq!(rejected["serving"], true);
    let problem = &rejected["problems"][0];
    assert_eq!(problem["line"], 10, "{rejected}");
    assert_eq!(problem["path"], "spec.replicas");
    assert_eq!(problem["message"], "expected a number, found the text \"one\"");
    assert_eq!(problem["advice"], "write it without quotes and units");
    assert_eq!(status(&dev, "a.localhost").await, 200);

    // Edits of other files go on.
    dev.apply("c.yaml", &hello("c")).await.unwrap();
    assert_eq!(status(&dev, "c.localhost").await, 200);
    assert_eq!(status(&dev, "a.localhost").await, 200);

    let applied = dev.apply("a.yaml", &hello("a").host("a.example")).await.unwrap();
    assert_eq!(applied["fixed"], json!([file]));
    assert_eq!(status(&dev, "a.example").await, 200);
}

#[tokio::test]
async fn a_component_that_cannot_start_takes_nothing_down() {
    let mut dev = start(&[("a.yaml", hello("a").to_string())]).await;
    let core = Workload::file("a", &component("core.wasm"));
    let rejected = dev.reject("a.yaml", &core).await.unwrap();
    let problem = &rejected["problems"][0];
    assert_eq!(problem["path"], "spec.template.spec.components[0].image");
    assert!(problem["message"].as_str().unwrap().contains("core"), "{rejected}");
    assert_eq!(rejected["serving"], true);
    assert_eq!(status(&dev, "localhost").await, 200);
    // It is tried again and again, and told once.
    let seen = dev.process().mark();
    let again = |it: &Value| it["shares"].as_object().is_some_and(|it| it.values().any(|it| it["state"] == "Failed"));
    dev.until("/v1/status", again).await.unwrap();
    let told = |line: &penstock_tests::process::Line| (line.stream == Stream::Out).then(|| line.text.clone());
    dev.apply("b.yaml", &hello("b")).await.unwrap();
    let lines: Vec<String> = dev.process().lines().iter().skip(seen).filter_map(told).collect();
    assert!(!lines.iter().any(|it| it.contains("rejected") || it.contains("\"share\"")), "{lines:#?}");
    let applied = dev.apply("a.yaml", &hello("a").env("REVISION", "2")).await.unwrap();
    assert_eq!(applied["fixed"], applied["files"]);
    assert_eq!(status(&dev, "a.localhost").await, 200);
}

#[tokio::test]
async fn a_component_that_is_built_anew_is_a_new_revision() {
    let built = tempfile::tempdir().unwrap();
    let wasm = built.path().join("app.wasm");
    let app = Workload::file("app", &wasm);
    let mut dev = start(&[("app.yaml", app.to_string())]).await;
    // Not built yet: everything else is ready.
    assert_eq!(status(&dev, "localhost").await, 503);
    fs::copy(component("hello-p2.wasm"), &wasm).unwrap();
    let ready = |state: &'static str| {
        move |it: &Value| {
            it["shares"].as_object().is_some_and(|it| it.len() == 1 && it.values().all(|it| it["state"] == state))
        }
    };
    let before = dev.until("/v1/status", ready("Ready")).await.unwrap();
    assert_eq!(status(&dev, "localhost").await, 200);
    let seen = dev.process().mark();
    // Replaced by renaming, as linkers do it.
    fs::copy(component("hello-p3.wasm"), built.path().join(".new")).unwrap();
    fs::rename(built.path().join(".new"), &wasm).unwrap();
    let applied = dev.process().line_after(seen, "the event applied", LONG, |line| {
        let value: Value = serde_json::from_str(&line.text).ok()?;
        (value["event"] == "applied").then_some(value)
    });
    assert_eq!(applied.await.unwrap()["files"], json!([wasm.display().to_string()]));
    // The event may still be that of the first copy, whose bytes came one after the other: what counts is where it ends.
    let revision = |it: &Value| it["shares"].as_object().unwrap().keys().next().cloned().unwrap();
    let before = revision(&before);
    dev.until("/v1/status", move |it| ready("Ready")(it) && revision(it) != before).await.unwrap();
    assert_eq!(status(&dev, "localhost").await, 200);
}

#[tokio::test]
async fn no_request_is_dropped_by_edits() {
    let mut dev = start(&[("a.yaml", hello("a").env("REVISION", "0").to_string())]).await;
    let shared = dev.listener("shared").unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let end = end.clone();
            tokio::spawn(async move {
                let mut count = 0_u32;
                while !end.load(Ordering::Relaxed) {
                    let response = http::get(shared, "a.localhost", "/x").await.unwrap();
                    assert_eq!(response.status(), 200, "{:?}", response.body());
                    count += 1;
                }
                count
            })
        })
        .collect();
    for revision in 1..=10 {
        dev.apply("a.yaml", &hello("a").env("REVISION", &revision.to_string())).await.unwrap();
    }
    end.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > 10);
    }
}

#[tokio::test]
async fn folders_come_and_go() {
    let mut dev = start(&[("a.yaml", hello("a").to_string())]).await;
    dev.apply("team/deep/b.yaml", &hello("b")).await.unwrap();
    assert_eq!(status(&dev, "b.localhost").await, 200);
    fs::remove_dir_all(dev.folder().join("team")).unwrap();
    dev.until("/v1/status", |it| it["shares"].as_object().is_some_and(|it| it.len() == 1)).await.unwrap();
    dev.apply("team/deep/c.yaml", &hello("c")).await.unwrap();
    assert_eq!(status(&dev, "c.localhost").await, 200);
}

#[tokio::test]
async fn a_signal_ends_it_with_0() {
    let mut dev = start(&[("a.yaml", hello("a").to_string())]).await;
    dev.process().terminate().unwrap();
    let status = dev.process().exited(LONG).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn ports_in_use_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (port, other) = (address.port(), address.port().checked_add(10).unwrap_or(0));
    for flag in ["--listen", "--admin"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_penstock"));
        let folder = tempfile::tempdir().unwrap();
        let free = if flag == "--listen" { "--admin" } else { "--listen" };
        command.args(["dev", flag, &address.to_string(), free, "127.0.0.1:0"]).arg(folder.path());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!(
                "error: port {port} is in use by another program, perhaps another `penstock dev`: stop that one, or \
                 choose another port with `{flag} 127.0.0.1:{other}`\n"
            )
        );
    }
}
