//! Workloads of several components, and those that do not fit together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/host.rs"]
mod support;

use penstock_api::snapshot::{Component, Share};
use support::{TestHost, component, share};

fn workload(images: &[&str]) -> Share {
    let mut spec = share("w", "hello-p2");
    spec.components = images
        .iter()
        .map(|image| Component { name: (*image).into(), image: component(image), ..Component::default() })
        .collect();
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_satisfies_an_import() {
    let host = TestHost::start(vec![workload(&["consumer", "provider-a"])]).await;
    let reply = host.get("/?name=Ada").await;
    assert_eq!((reply.status.as_u16(), reply.body.trim()), (200, "hello Ada from provider-a"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_go_through_a_chain() {
    let host = TestHost::start(vec![workload(&["letters", "consumer", "relay"])]).await;
    let reply = host.get("/?name=Ada").await;
    assert_eq!((reply.status.as_u16(), reply.body.trim()), (200, "hello Ada from provider-z"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_that_do_not_fit_say_why_and_hurt_nobody() {
    for (images, says) in [
        (
            &["consumer", "provider-a", "provider-b"][..],
            "component 'consumer' imports demo:greet/greeter@0.1.0, which 'provider-a' and 'provider-b' all export: compose it with the one that is meant (wac plug), or split the workload in two",
        ),
        (
            &["hello-p2", "cycle-x", "cycle-y"],
            "components import from each other in a cycle, 'cycle-x' -> 'cycle-y' -> 'cycle-x': compose them into one component (wac compose), or split the workload in two",
        ),
        (
            &["orphan"],
            "component 'orphan' imports nobody:offers/this@1.0.0, which Penstock does not offer and no other component of the workload exports: add a component that exports it, or compose one in (wac plug)",
        ),
        (
            &["provider-a"],
            "no component of this workload exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3 (found: demo:greet/greeter@0.1.0): export one of them, or route requests to another workload",
        ),
        (
            &["empty"],
            "no component of this workload exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3 (found: no exports at all): export one of them, or route requests to another workload",
        ),
    ] {
        let host = TestHost::start(vec![workload(images), share("hello", "hello-p2")]).await;
        assert_eq!(host.failure("default/w@1"), says);
        assert_eq!(host.get("/hello").await.status, 200, "the neighbour of {images:?}");
        let reply = host.get("/w").await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.headers.contains_key("retry-after"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_siblings_may_export_what_no_sibling_imports() {
    let host = TestHost::start(vec![workload(&["hello-p2", "provider-a", "provider-b"])]).await;
    assert_eq!(host.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_must_say_which_of_two_handlers_it_means() {
    let host = TestHost::start(vec![workload(&["hello-p2", "hello-p3"])]).await;
    let reply = host.get("/").await;
    assert_eq!(reply.status, 500, "{reply:?}");
    let detail = reply.problem()["detail"].to_string();
    assert!(
        detail.contains("several components answer HTTP (hello-p2, hello-p3): name the one that a route means"),
        "{detail}"
    );
}
