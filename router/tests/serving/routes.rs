//! What a route leads to: weighted backends, timeouts of the rule, a full queue, errors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use crate::server::{Server, backend, eventually, gate, ok, route, target};
use penstock_router::{Action, Backend, Cause, Error, ListenerLimits, Target, Timeouts, Weighted, route::RouteTable};

fn fine() -> Arc<dyn Backend> {
    backend(|_, _| async { ok("fine") })
}

#[tokio::test]
async fn a_route_that_leads_nowhere() {
    let (answers, admission) = (fine(), gate(10, 0));
    let heavy = Target { weight: 3, ..target(&answers, &admission) };
    let none = Target { weight: 0, ..target(&answers, &admission) };
    let table = RouteTable::compile(vec![
        route("/none", Action::default()),
        route("/zero", Action { backends: none.into(), ..Action::default() }),
        route(
            "/some",
            Action {
                backends: Weighted::new(vec![Target { weight: 0, ..target(&answers, &admission) }, heavy]),
                ..Action::default()
            },
        ),
    ]);
    let server = Server::with_table(table, admission, ListenerLimits::default());
    let mut raw = server.connect().await;
    for (path, status, cause) in [
        ("/none", 500, Some(Cause::NoBackend)),
        ("/zero", 500, Some(Cause::NoBackend)),
        ("/else", 404, Some(Cause::NoRoute)),
        ("/some", 200, None),
    ] {
        let response = raw.get(path).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(server.records.all().last().unwrap().cause, cause, "{path}");
    }
}

#[test]
fn targets_are_picked_by_weight() {
    let (answers, admission) = (fine(), gate(1, 0));
    let weights = [1, 0, 3, 6];
    let weighted = Weighted::new(
        weights.iter().map(|weight| Target { weight: *weight, ..target(&answers, &admission) }).collect(),
    );
    let mut picked = [0_u32; 4];
    for _ in 0..10_000 {
        let target = std::ptr::from_ref(weighted.pick().unwrap().1);
        let place = weighted.targets().position(|other| std::ptr::eq(other, target)).unwrap();
        picked[place] += 1;
    }
    for (count, weight) in picked.iter().zip(weights) {
        assert!(count.abs_diff(weight * 1000) < 200, "{picked:?}");
    }
    assert_eq!(picked[1], 0);
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let slow = backend(|_, _| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ok("done")
    });
    let admission = gate(1, 1);
    let server = Server::with_table(crate::server::all_to(&slow, &admission), admission, ListenerLimits::default());
    let (mut first, mut second, mut third) = (server.connect().await, server.connect().await, server.connect().await);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    first.send(request).await;
    eventually("the first runs", || server.admission.stats().in_flight == 1).await;
    second.send(request).await;
    eventually("the second waits", || server.admission.stats().queued == 1).await;
    third.send(request).await;
    let shed = third.response().await.unwrap();
    assert_eq!(shed.status, 503);
    assert!(shed.has("penstock-not-started: true") && shed.head.contains("\r\nretry-after: "), "{shed:?}");
    assert_eq!(first.response().await.unwrap().status, 200);
    assert_eq!(second.response().await.unwrap().status, 200);
    let records = server.records.wait(3).await;
    let waited = records.iter().filter(|record| record.queue_wait > Duration::from_millis(50)).count();
    assert_eq!(waited, 1, "{records:#?}");
}

#[tokio::test]
async fn an_error_of_the_backend_becomes_its_row_of_the_mapping() {
    let fails = backend(|request, _| async move {
        let index: usize = request.uri().path()[1..].parse().unwrap();
        Err(Error::new(Cause::ALL[index], "told \"so\""))
    });
    let server = Server::start(&fails);
    let mut raw = server.connect().await;
    for (index, cause) in Cause::ALL.iter().enumerate() {
        let response = raw.get(&format!("/{index}")).await;
        assert_eq!(response.status, cause.shape().status.as_u16(), "{cause:?}");
        assert!(response.body.contains(&format!("\"type\":\"{}\"", cause.shape().name)), "{response:?}");
        if response.has("connection: close") {
            raw = server.connect().await;
        }
    }
}

#[tokio::test]
async fn timeouts_are_of_the_rule_before_the_listener() {
    let never = backend(|_, _| std::future::pending());
    let admission = gate(10, 0);
    let short = Some(Duration::from_millis(50));
    let to = |timeouts| Action { backends: target(&never, &admission).into(), timeouts, ..Action::default() };
    let table = RouteTable::compile(vec![
        route("/request", to(Timeouts { request: short, backend: None })),
        route("/backend", to(Timeouts { request: None, backend: short })),
        route("/off", to(Timeouts { request: Some(Duration::ZERO), backend: Some(Duration::ZERO) })),
        route("/listener", to(Timeouts::default())),
    ]);
    let limits = ListenerLimits { request_timeout: Duration::from_millis(300), ..ListenerLimits::default() };
    let server = Server::with_table(table, admission, limits);
    let mut off = server.connect().await;
    off.send("GET /off HTTP/1.1\r\nHost: a\r\n\r\n").await;
    for (path, least) in [("/request", 50), ("/backend", 50), ("/listener", 300)] {
        let started = std::time::Instant::now();
        let response = server.connect().await.get(path).await;
        let took = started.elapsed().as_millis();
        assert_eq!(response.status, 504, "{path}");
        assert!((least..least + 200).contains(&took), "{path}: {took} ms");
        assert_eq!(server.records.all().last().unwrap().cause, Some(Cause::Deadline));
    }
    assert_eq!(server.admission.stats().in_flight, 1, "the one without a timeout still runs");
    drop(off);
    eventually("it ends with its client", || server.admission.stats().in_flight == 0).await;
}
