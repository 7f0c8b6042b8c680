use penstock_api::snapshot::{Route, RouteBackend, Share};
use serde_json::json;

use super::*;

fn planned() -> Snapshot {
    let rule = |matches: serde_json::Value, backends: &[(&str, u32)]| RouteRule {
        matches: serde_json::from_value(matches).unwrap(),
        backends: backends
            .iter()
            .map(|(deployment, weight)| RouteBackend {
                deployment: (*deployment).into(),
                weight: *weight,
                ..RouteBackend::default()
            })
            .collect(),
        ..RouteRule::default()
    };
    let route = |hostnames: &[&str], rules| Route {
        name: "default/q".into(),
        hostnames: hostnames.iter().map(ToString::to_string).collect(),
        rules,
        ..Route::default()
    };
    let api = json!([
        {"path": {"type": "PathPrefix", "value": "/api"}, "headers": [{"name": "x-variant", "value": "canary"}]},
        {"path": {"type": "Exact", "value": "/v"}, "method": "POST", "queryParams": [{"name": "n", "value": "1"}]},
        {"path": {"type": "RegularExpression", "value": "/r.*"}},
    ]);
    let rules = vec![rule(json!([]), &[("default/page", 1)]), rule(api, &[("default/a", 9), ("default/b", 1)])];
    let share = |deployment: &str| Share {
        id: format!("{deployment}@1"),
        deployment: deployment.into(),
        revision: "1".into(),
        replicas: 2,
        ..Share::default()
    };
    Snapshot {
        version: 1,
        shares: vec![share("default/page"), share("default/a")],
        listeners: vec![
            Listener { name: "default/q:http".into(), routes: vec![route(&[], rules.clone())], ..Listener::default() },
            Listener {
                name: SHARED.into(),
                routes: vec![route(&["x.example"], rules[..1].to_vec())],
                ..Listener::default()
            },
        ],
    }
}

fn status() -> HostStatus {
    serde_json::from_value(json!({
        "version": 1,
        "shares": {"default/page@1": {
            "deployment": "default/page", "revision": "1", "state": "Ready", "replicas": 2, "capacity": 200,
            "inFlight": 0, "queued": 0, "shed": 0, "idleInstances": 0, "startedInstances": 0, "reusedInstances": 0,
            "trapped": 0, "cpuMs": 0}},
        "listeners": {
            "shared": {"address": "127.0.0.1:8000", "generation": 1, "matches": 0},
            "default/q:http": {"address": "127.0.0.1:8100", "generation": 1, "matches": 0}},
    }))
    .unwrap()
}

#[test]
fn rows_and_urls() {
    let names = Names::from([("default/q:http".into(), vec!["localhost".into(), "q.localhost".into()])]);
    let got = overview(&planned(), &names, &status());
    let endpoint = Endpoint {
        url: "http://q.localhost:8000/".into(),
        also: vec!["http://localhost:8000/".into(), "http://127.0.0.1:8100/".into()],
        what: "Service default/q, port http".into(),
    };
    assert_eq!(got.urls, [endpoint]);
    let rows: Vec<(&str, &str, usize)> =
        got.routes.iter().map(|it| (it.url.as_str(), it.matches.as_str(), it.workloads.len())).collect();
    assert_eq!(
        rows,
        [
            ("http://q.localhost:8000/", "any", 1),
            ("http://q.localhost:8000/api", "prefix, x-variant: canary", 2),
            ("http://q.localhost:8000/v", "exact, POST, ?n: 1", 2),
            ("http://q.localhost:8000/", "path ~ /r.*", 2),
            ("http://x.example:8000/", "any", 1),
        ]
    );
    let states: Vec<_> = got.workloads.iter().map(|it| (it.workload.as_str(), it.state)).collect();
    assert_eq!(states, [("default/page", ShareState::Ready), ("default/a", ShareState::Loading)]);
}

#[test]
fn a_service_without_names_has_its_port() {
    let got = overview(&planned(), &Names::new(), &status());
    assert_eq!(got.urls[0].url, "http://127.0.0.1:8100/");
    assert_eq!(got.routes[0].url, "http://127.0.0.1:8100/");
    assert_eq!(reachable(([0, 0, 0, 0], 8100).into()), "127.0.0.1:8100");
}
