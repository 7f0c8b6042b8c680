//! Copies of requests for other backends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::server::{PATIENCE, Server, backend, eventually, gate, ok, route, target};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use penstock_router::{
    Action, Backend, Cause, Error, ListenerLimits, Mirror, Mirrored, Target, Timeouts, Weighted,
    admit::Admission,
    filter::{Filters, HeaderModifier},
    route::RouteTable,
};
use tokio::{sync::Semaphore, time::timeout};

/// What a mirror was sent: the request line and headers, and the body.
type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// Keeps what it is sent, and answers.
fn keeper() -> (Arc<dyn Backend>, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let mirror = backend(move |request, _| {
        let keep = Arc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| Error::new(Cause::Internal, error.to_string()))?;
            keep.lock().push((format!("{} {}", parts.method, parts.uri), parts.headers, body.to_bytes()));
            ok("nobody reads this")
        }
    });
    (mirror, seen)
}

/// Reads what it is sent, then answers.
fn reader() -> Arc<dyn Backend> {
    backend(|request, _| async move {
        let read = request.into_body().collect().await;
        ok(read.map_err(|error| Error::new(Cause::Internal, error.to_string()))?.to_bytes())
    })
}

fn mirror_of(backend: &Arc<dyn Backend>, admission: &Arc<Admission>) -> Mirror {
    Mirror {
        name: "test/mirror".into(),
        backends: target(backend, admission).into(),
        numerator: 1,
        denominator: 1,
        only: None,
    }
}

fn serve(backends: Vec<Target>, mirrors: Vec<Mirror>, limits: ListenerLimits) -> Server {
    let action = Action { backends: Weighted::new(backends), mirrors: mirrors.into(), ..Action::default() };
    Server::with_table(RouteTable::compile(vec![route("/", action)]), gate(10, 10), limits)
}

/// The outcomes, once there are so many.
async fn outcomes(server: &Server, count: usize) -> Vec<Mirrored> {
    eventually("copies ended", || server.records.mirrored().len() >= count).await;
    let all = server.records.mirrored();
    assert_eq!(all.len(), count, "{all:?}");
    all
}

#[tokio::test]
async fn each_mirror_gets_what_the_backend_reads_and_nobody_sees_its_answer() {
    let (mirror, seen) = keeper();
    let (other, also) = keeper();
    let places = gate(10, 0);
    let mirrors = vec![mirror_of(&mirror, &places), mirror_of(&other, &places)];
    let server = serve(vec![target(&reader(), &gate(10, 10))], mirrors, ListenerLimits::default());
    let mut client = server.connect().await;
    client.send("POST /a?b=c HTTP/1.1\r\nHost: test\r\nX-Mark: 1\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(client.response().await.unwrap().body, "hello");
    client
        .send("POST /chunks HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.unwrap().body, "abc");
    assert_eq!(client.get("/none").await.status, 200);
    assert_eq!(outcomes(&server, 6).await, [Mirrored::Complete; 6]);
    for seen in [seen, also] {
        let mut seen = std::mem::take(&mut *seen.lock());
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        let lines: Vec<(&str, &[u8])> = seen.iter().map(|it| (it.0.as_str(), &*it.2)).collect();
        assert_eq!(lines, [("GET /none", &b""[..]), ("POST /a?b=c", b"hello"), ("POST /chunks", b"abc")]);
        assert_eq!(seen[1].1["x-mark"], "1");
    }
    assert_eq!(places.stats().in_flight, 0);
}

#[tokio::test]
async fn filters_of_the_rule_come_before_the_copy_and_those_of_a_backend_do_not() {
    let add = |value: &str| {
        let request = Some(HeaderModifier::new([], [("x-by", value)], []).unwrap());
        Filters { request, ..Filters::default() }.boxed()
    };
    let (mirror, seen) = keeper();
    let own = Target { filters: add("backend"), ..target(&reader(), &gate(10, 10)) };
    let action = Action {
        filters: add("rule"),
        backends: own.into(),
        mirrors: [mirror_of(&mirror, &gate(10, 0))].into(),
        ..Action::default()
    };
    let table = RouteTable::compile(vec![route("/", action)]);
    let server = Server::with_table(table, gate(10, 10), ListenerLimits::default());
    server.connect().await.get("/").await;
    outcomes(&server, 1).await;
    let by: Vec<_> = seen.lock()[0].1.get_all("x-by").iter().cloned().collect();
    assert_eq!(by, ["rule"]);
}

#[tokio::test]
async fn a_mirror_never_delays_or_fails_the_request() {
    let stuck = Arc::new(Semaphore::new(0));
    let hold = Arc::clone(&stuck);
    let never = backend(move |_, _| {
        let hold = Arc::clone(&hold);
        async move {
            drop(hold.acquire().await);
            ok("late")
        }
    });
    let broken = backend(|_, _| async { Err(Error::new(Cause::GuestTrap, "trapped")) });
    let panics = backend(|_, _| async { panic!("a mirror's own fault") });
    let few = gate(1, 10);
    let mirrors = vec![mirror_of(&never, &few), mirror_of(&broken, &gate(10, 0)), mirror_of(&panics, &gate(10, 0))];
    let server = serve(vec![target(&reader(), &gate(10, 10))], mirrors, ListenerLimits::default());
    let mut client = server.connect().await;
    assert_eq!(client.get("/1").await.status, 200);
    assert_eq!(client.get("/2").await.status, 200, "the second copy finds no place, and does not queue");
    let mut all = outcomes(&server, 5).await;
    all.sort_by_key(|it| it.name());
    assert_eq!(all, [Mirrored::Busy, Mirrored::Failed, Mirrored::Failed, Mirrored::Failed, Mirrored::Failed]);
    assert_eq!(few.stats().in_flight, 1);
    stuck.add_permits(1);
    assert!(outcomes(&server, 6).await.contains(&Mirrored::Complete));
    assert_eq!(few.stats().in_flight, 0);
}

#[tokio::test]
async fn what_is_not_copied_is_counted() {
    let (mirror, seen) = keeper();
    let places = gate(10, 0);
    let nobody = Mirror { backends: Weighted::default(), ..mirror_of(&mirror, &places) };
    // Of the first backend's requests only, which reads nothing.
    let hasty = backend(|_, _| async { ok("unread") });
    let only = Mirror { only: Some(0..1), ..mirror_of(&mirror, &places) };
    let server = serve(vec![target(&hasty, &gate(10, 10))], vec![only, nobody], ListenerLimits::default());
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n12").await;
    assert_eq!(client.response().await.unwrap().body, "unread");
    assert_eq!(outcomes(&server, 2).await, [Mirrored::NotReady, Mirrored::Incomplete]);

    // Too long by what it says, and too long by what comes.
    let server =
        serve(vec![target(&reader(), &gate(10, 10))], vec![mirror_of(&mirror, &places)], ListenerLimits::default());
    let long = "x".repeat(65_537);
    let mut client = server.connect().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{long}", long.len())).await;
    assert_eq!(client.response().await.unwrap().body.len(), long.len());
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}")).await;
    assert_eq!(client.response().await.unwrap().body.len(), long.len());
    assert_eq!(outcomes(&server, 2).await, [Mirrored::TooLarge; 2]);

    let none = ListenerLimits { mirrors: 0, ..ListenerLimits::default() };
    let server = serve(vec![target(&reader(), &gate(10, 10))], vec![mirror_of(&mirror, &places)], none);
    assert_eq!(server.connect().await.get("/").await.status, 200);
    assert_eq!(outcomes(&server, 1).await, [Mirrored::Limit]);
    assert!(seen.lock().is_empty(), "{:?}", seen.lock());
    assert_eq!(places.stats().in_flight, 0);
}

#[tokio::test]
async fn mirrors_of_a_backend_see_its_requests_only_and_parts_are_kept() {
    const REQUESTS: usize = 2_000;
    let (mirror, seen) = keeper();
    let places = gate(1_000, 0);
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let backends = counts.iter().map(|count| {
        let count = Arc::clone(count);
        target(
            &backend(move |_, _| {
                count.fetch_add(1, Relaxed);
                async { ok("") }
            }),
            &gate(10, 10),
        )
    });
    let second = Mirror { only: Some(1..2), ..mirror_of(&mirror, &places) };
    let (some, part) = keeper();
    let fifth = Mirror { numerator: 1, denominator: 5, ..mirror_of(&some, &places) };
    let limits = ListenerLimits { mirrors: 10_000, ..ListenerLimits::default() };
    let server = serve(backends.collect(), vec![second, fifth], limits);
    let mut client = server.connect().await;
    for _ in 0..REQUESTS {
        client.get("/").await;
    }
    let to_second = counts[1].load(Relaxed);
    eventually("all copies came", || server.records.mirrored().len() == seen.lock().len() + part.lock().len()).await;
    assert_eq!(counts[0].load(Relaxed) + to_second, REQUESTS);
    eventually("the second's", || seen.lock().len() == to_second).await;
    // Five standard deviations: 5 * sqrt(2000 * 0.2 * 0.8).
    assert!(part.lock().len().abs_diff(REQUESTS / 5) < 90, "{}", part.lock().len());
}

#[tokio::test]
async fn copies_end_with_their_deadline() {
    let never = backend(|_, _| async { std::future::pending().await });
    let places = gate(10, 0);
    let request = Some(Duration::from_millis(100));
    let action = Action {
        backends: target(&reader(), &gate(10, 10)).into(),
        timeouts: Timeouts { request, ..Timeouts::default() },
        mirrors: [mirror_of(&never, &places)].into(),
        ..Action::default()
    };
    let table = RouteTable::compile(vec![route("/", action)]);
    let server = Server::with_table(table, gate(10, 10), ListenerLimits::default());
    assert_eq!(server.connect().await.get("/").await.status, 200);
    let all = timeout(PATIENCE, outcomes(&server, 1)).await.unwrap();
    assert_eq!(all, [Mirrored::Deadline]);
    assert_eq!(places.stats().in_flight, 0);
}
