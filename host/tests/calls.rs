//! What components do, good and bad, seen by their clients. Both WASI versions, the same expectations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/host.rs"]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use penstock_api::snapshot::Share;
use support::{PATIENCE, TestHost, share, wait};

const KITCHENS: [&str; 2] = ["kitchen-p2", "kitchen-p3"];

fn kitchen(name: &str) -> Share {
    share("kitchen", name)
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::new(body.into())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_answer() {
    for (image, text) in
        [("hello-p2", "hello from /x?y=1\n"), ("hello-p3", "hello from /x?y=1 (p3)\n"), ("hello-wat", "hello\n")]
    {
        let host = TestHost::start(vec![share("hello", image)]).await;
        let reply = host.get("/x?y=1").await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, text), "{image}");
        // A small response goes out whole, with its length.
        assert_eq!(reply.headers["content-length"], text.len().to_string(), "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_the_request_as_it_was_sent() {
    for image in KITCHENS {
        let host = TestHost::start(vec![kitchen(image)]).await;
        let request = Request::put("/dump?a=b&c=%20d").header("host", "Shop.localhost:81").header("x-one", "1");
        let seen = host.send(request.body(Full::default()).unwrap()).await.json();
        assert_eq!(seen["method"], "PUT", "{seen}");
        assert_eq!(seen["scheme"].as_str().map(str::to_lowercase).as_deref(), Some("http"), "{seen}");
        assert_eq!(seen["authority"], "Shop.localhost:81", "{seen}");
        assert_eq!(seen["path"], "/dump?a=b&c=%20d", "{seen}");
        assert!(seen["headers"].to_string().contains(r#"["x-one","1"]"#), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_and_config_reach_the_guest() {
    for image in KITCHENS {
        let mut spec = kitchen(image);
        spec.components[0].environment.insert("COLOUR".into(), "blue".into());
        spec.components[0].config.insert("size".into(), "large".into());
        let host = TestHost::start(vec![spec]).await;
        let seen = host.get("/env").await.json();
        assert_eq!(seen["environment"], serde_json::json!([["COLOUR", "blue"]]), "{image}");
        assert_eq!(seen["config"], serde_json::json!([["size", "large"]]), "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    for image in KITCHENS {
        let host = TestHost::start(vec![kitchen(image)]).await;
        let body: Bytes = (0..3_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect::<Vec<_>>().into();
        for path in ["/echo", "/pipe"] {
            let reply = host.send(post(path, body.clone())).await;
            assert_eq!(reply.status, 200, "{image}{path}: {}", reply.body);
            assert!(reply.body.as_bytes() == body, "{image}{path}: {} bytes came back", reply.body.len());
        }
        let reply = host.get("/stream?chunks=300&size=4096").await;
        assert_eq!((reply.status.as_u16(), reply.body.len(), reply.broken), (200, 300 * 4096, false), "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bytes_come_while_the_guest_still_works() {
    for image in KITCHENS {
        let host = TestHost::start(vec![kitchen(image)]).await;
        let mut open =
            host.open(Request::get("/stream?chunks=1000&size=10&delay=200").body(Full::default()).unwrap()).await;
        let start = Instant::now();
        let frame = tokio::time::timeout(PATIENCE, open.body_mut().frame()).await.unwrap().unwrap().unwrap();
        assert!(frame.is_data());
        assert!(start.elapsed() < Duration::from_secs(60), "{image}: the whole takes 200 s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_before_the_head_name_their_cause() {
    for image in KITCHENS {
        let host = TestHost::start(vec![kitchen(image)]).await;
        for (path, status, cause, says) in [
            ("/trap", 502, "guest-trap", "unreachable"),
            ("/panic", 502, "guest-trap", "unreachable"),
            ("/recurse", 502, "guest-trap", "wasm trap"),
            ("/no-response", 502, if image == "kitchen-p2" { "guest-no-response" } else { "guest-error" }, ""),
            ("/error?code=timeout", 502, "guest-error", "Timeout"),
            ("/hog", 502, "guest-memory", "needed more than its 256 MiB of memory (memoryLimitMiB)"),
        ] {
            let reply = host.get(path).await;
            assert_eq!(reply.status.as_u16(), status, "{image}{path}: {reply:?}");
            let problem = reply.problem();
            assert!(problem["type"].as_str().unwrap().ends_with(cause), "{image}{path}: {problem:?}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains(says) && detail.contains("component 'kitchen' of default/kitchen@1"),
                "{image}{path}: {detail}"
            );
            let proxy_status = reply.headers["proxy-status"].to_str().unwrap();
            assert!(proxy_status.contains("penstock; error="), "{image}{path}: {proxy_status}");
            // And it goes on serving.
            assert_eq!(host.get("/ok").await.body, "ok\n", "{image}{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_mid_body_cuts_the_body_visibly() {
    for image in KITCHENS {
        let host = TestHost::start(vec![kitchen(image)]).await;
        for path in ["/trap-mid-body", "/trap-after-headers", "/abandon"] {
            let reply = host.get(path).await;
            // Nothing of a response that fails at once was sent yet: an honest status instead of half a body.
            let honest = reply.status == 502 || (reply.status == 200 && reply.broken);
            assert!(honest, "{image}{path}: {reply:?}");
        }
        let reply = host.get("/trap-after-body").await;
        assert_eq!((reply.status.as_u16(), reply.broken), (200, false), "{image}: the answer was complete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limits_are_enforced() {
    for image in KITCHENS {
        let mut spec = kitchen(image);
        spec.components[0].memory_limit_mib = Some(16);
        let host = TestHost::start(vec![spec]).await;
        assert_eq!(host.get("/grow?mib=8").await.status, 200, "{image}");
        assert_eq!(host.get("/grow?mib=32").await.status, 500, "{image}: the guest is told, and says so itself");
        let detail = host.get("/hog").await.problem()["detail"].to_string();
        assert!(detail.contains("16 MiB"), "{image}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cpu_budget_ends_a_spinner() {
    for image in KITCHENS {
        let mut spec = kitchen(image);
        spec.components[0].cpu_limit_ms = Some(50);
        let host = TestHost::start(vec![spec]).await;
        let reply = host.get("/spin").await;
        assert_eq!(reply.status, 504, "{image}: {reply:?}");
        let detail = reply.problem()["detail"].to_string();
        assert!(detail.contains("used more than its 50 ms of CPU for one call (cpuLimit)"), "{image}: {detail}");
        assert_eq!(host.get("/ok").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_what_never_answers() {
    for image in KITCHENS {
        let mut spec = kitchen(image);
        spec.request_timeout_ms = 300;
        let host = TestHost::start(vec![spec]).await;
        for path in ["/never", "/spin", "/sleep?ms=60000"] {
            let start = Instant::now();
            let reply = host.get(path).await;
            assert_eq!(reply.status, 504, "{image}{path}: {reply:?}");
            assert!(reply.problem()["type"].as_str().unwrap().ends_with("deadline"));
            assert!(start.elapsed() < Duration::from_secs(20), "{image}{path} took {:?}", start.elapsed());
        }
        assert_eq!(host.get("/ok").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_its_call() {
    for image in KITCHENS {
        let mut spec = kitchen(image);
        spec.capacity.concurrency = 1;
        spec.capacity.queue_depth = 1;
        let host = TestHost::start(vec![spec]).await;
        for path in ["/never", "/spin"] {
            let leaving = host.get(path);
            // Held open until the one place is taken by it.
            tokio::select! {
                reply = leaving => panic!("{path} answered {reply:?}"),
                _ = support::wait(&host.host, |status| status.shares["default/kitchen@1"].in_flight == 1) => {}
            }
            // The place is free again: the next call runs.
            assert_eq!(host.get("/ok").await.status, 200, "{image}{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_pool_every_call_is_alone() {
    for image in KITCHENS {
        let host = TestHost::start(vec![kitchen(image)]).await;
        let (first, second) = (host.get("/counter").await.json(), host.get("/counter").await.json());
        assert_eq!((&first["count"], &second["count"]), (&1.into(), &1.into()), "{image}");
        assert_ne!(first["instance"], second["instance"], "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_instances_are_reused_and_retire() {
    for (image, concurrency) in [("kitchen-p2", None), ("kitchen-p3", None), ("kitchen-p3", Some(4))] {
        let mut spec = kitchen(image);
        spec.components[0].pool_size = Some(1);
        spec.components[0].max_invocations = Some(3);
        spec.components[0].max_concurrency = concurrency;
        let host = TestHost::start(vec![spec]).await;
        let mut counts = Vec::new();
        for _ in 0..7 {
            counts.push(host.get("/counter").await.json()["count"].as_u64().unwrap());
        }
        assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1], "{image} {concurrency:?}");
    }
}

/// 1,000 calls leave 1,000 handles, which one instance would not live to see.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_leaks_handles_retires_before_it_fails() {
    for (image, instances) in [("leaky", 4), ("hello-wat", 1)] {
        let mut share = share("leaky", image);
        share.components[0].pool_size = Some(1);
        let host = TestHost::start(vec![share]).await;
        for call in 0..1000 {
            assert_eq!(host.get("/").await.status, 200, "call {call} of {image}");
        }
        let status = wait(&host.host, |status| status.shares["default/leaky@1"].reused_instances >= 990).await;
        assert_eq!(status.shares["default/leaky@1"].started_instances, instances, "{image}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_retires_a_warm_instance() {
    for (image, concurrency) in [("kitchen-p2", None), ("kitchen-p3", None), ("kitchen-p3", Some(4))] {
        let mut spec = kitchen(image);
        spec.components[0].pool_size = Some(1);
        spec.components[0].max_concurrency = concurrency;
        let host = TestHost::start(vec![spec]).await;
        assert_eq!(host.get("/counter").await.json()["count"], 1);
        assert_eq!(host.get("/trap").await.status, 502);
        assert_eq!(host.get("/counter").await.json()["count"], 1, "{image} {concurrency:?}: a fresh one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_instance_serves_calls_side_by_side_within_its_bound() {
    let mut spec = kitchen("kitchen-p3");
    spec.components[0].pool_size = Some(1);
    spec.components[0].max_concurrency = Some(4);
    let host = TestHost::start(vec![spec]).await;
    let calls = (0..4).map(|_| host.get("/concurrent?ms=1500"));
    let replies = futures_util::future::join_all(calls).await;
    let seen: Vec<_> = replies.iter().map(support::Reply::json).collect();
    assert_eq!(seen.iter().map(|reply| reply["max"].as_u64().unwrap()).max(), Some(4), "{seen:?}");
    let instance = &seen[0]["instance"];
    assert!(seen.iter().all(|reply| &reply["instance"] == instance), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outgoing_requests_are_denied_unless_allowed() {
    let target = TestHost::start(vec![share("hello", "hello-p2")]).await;
    let url = format!("http://{}/deep", target.address).replace(':', "%3A").replace('/', "%2F");
    for image in KITCHENS {
        let denied = TestHost::start(vec![kitchen(image)]).await;
        let reply = denied.get(&format!("/fetch?url={url}")).await;
        assert_eq!(reply.status, 502, "{image}: {reply:?}");
        assert!(reply.body.to_lowercase().contains("denied"), "{image}: {reply:?}");
        let mut spec = kitchen(image);
        spec.components[0].allowed_hosts = vec!["127.0.0.1".into()];
        let allowed = TestHost::start(vec![spec]).await;
        let reply = allowed.get(&format!("/fetch?url={url}")).await.json();
        assert_eq!(reply["status"], 200, "{image}: {reply}");
        assert_eq!(reply["body"], "hello from /deep\n", "{image}");
    }
}
