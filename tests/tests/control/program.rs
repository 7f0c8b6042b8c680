//! The `penstock-host` program as a pod runs it, and a snapshot with a real component for it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use penstock_api::snapshot::{Capacity, Component, Listener, Route, RouteBackend, RouteRule, Share, Snapshot};
use penstock_tests::process::{Line, Process};

use super::support::Files;

/// A component compiles for several seconds in an unoptimised build on a busy machine.
pub const START: Duration = Duration::from_secs(120);

/// The program, its files where a pod would have them.
pub fn start(files: &Files, operator: SocketAddr, name: &str, more: &[&str]) -> Process {
    let mut command = Command::new(binary());
    let path = |name: &str| files.path(name).display().to_string();
    command.args(["--host-id", name, "--operator", &format!("https://{operator}")]);
    command.args(["--operator-name", "penstock-operator.penstock-system.svc", "--admin", "127.0.0.1:0"]);
    command.args(["--token-file", &path(&format!("tokens/{name}")), "--ca-file", &path("ca.crt")]);
    command.args(["--cache-dir", &path(&format!("cache-{name}")), "--secrets-dir", &path(&format!("secrets-{name}"))]);
    command.args(["--peer", "127.0.0.1:0", "--drain-timeout", "20s", "--max-instances", "50", "--log-format", "json"]);
    command.args(more);
    Process::start(&mut command).unwrap()
}

/// Where its admin pages are: it says so when it starts.
pub async fn admin(host: &mut Process) -> SocketAddr {
    let pick = |line: &Line| {
        let line: serde_json::Value = serde_json::from_str(&line.text).ok()?;
        let fields = line.get("fields")?;
        (fields.get("message")?.as_str()? == "started").then(|| fields.get("admin")?.as_str()?.parse().ok())?
    };
    host.line("its admin address", START, pick).await.unwrap()
}

fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("PENSTOCK_HOST_BIN") {
        return binary.into();
    }
    let this = std::env::current_exe().unwrap();
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join("penstock-host")).find(|path| path.is_file());
    found
        .expect("no penstock-host beside this test: run `cargo build -p penstock-host` first, or set PENSTOCK_HOST_BIN")
}

/// The share `ns/kitchen@1` behind a listener that routes everything to it.
pub fn kitchen(version: u64, front: SocketAddr, replicas: u32, capacity: Capacity) -> Snapshot {
    let kitchen = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/components/kitchen-p2.wasm");
    let component = Component {
        name: "kitchen".to_owned(),
        image: format!("file://{}", kitchen.display()),
        environment: [("PASSWORD".to_owned(), "hunter2".to_owned())].into(),
        ..Component::default()
    };
    let share = Share {
        id: "ns/kitchen@1".to_owned(),
        deployment: "ns/kitchen".to_owned(),
        revision: "1".to_owned(),
        replicas,
        capacity,
        request_timeout_ms: 60_000,
        components: vec![component],
        ..Share::default()
    };
    let backend = RouteBackend { deployment: "ns/kitchen".to_owned(), weight: 1, ..RouteBackend::default() };
    let rule = RouteRule { backends: vec![backend], ..RouteRule::default() };
    let route = Route { name: "ns/kitchen".to_owned(), rules: vec![rule], ..Route::default() };
    let listener = Listener {
        name: "ns/kitchen:http".to_owned(),
        address: front.to_string(),
        routes: vec![route],
        ..Listener::default()
    };
    Snapshot { version, shares: vec![share], listeners: vec![listener] }
}
