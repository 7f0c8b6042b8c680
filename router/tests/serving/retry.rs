//! Calls that are repeated, and those that are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::server::{Answer, Server, backend, eventually, gate, ok, route, target};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use penstock_router::{
    Action, Backend, Body, Budget, Cause, Ended, Error, ListenerLimits, Retry, Target, Timeouts, Weighted,
    admit::Admission, route::RouteTable,
};
use tokio::time::{Instant, sleep};

fn retry(codes: &[u16], attempts: u32) -> Option<Box<Retry>> {
    let codes = codes.iter().map(|code| StatusCode::from_u16(*code).unwrap()).collect();
    Some(Box::new(Retry { codes, attempts, backoff: Duration::from_millis(5), budget: Arc::default() }))
}

fn serve(backends: Vec<Target>, retry: Option<Box<Retry>>) -> Server {
    serve_with(Action { backends: Weighted::new(backends), retry, ..Action::default() })
}

fn serve_with(action: Action) -> Server {
    Server::with_table(RouteTable::compile(vec![route("/", action)]), gate(10, 10), ListenerLimits::default())
}

/// Fails so many calls, then answers with what it was sent. Counts its calls.
fn flaky(times: usize, fail: fn() -> Result<Response<Body>, Error>) -> (Arc<dyn Backend>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let flaky = backend(move |request, _| {
        let fails = counter.fetch_add(1, Relaxed) < times;
        async move {
            if fails {
                return fail();
            }
            ok(request
                .into_body()
                .collect()
                .await
                .map_err(|error| Error::new(Cause::Internal, error.to_string()))?
                .to_bytes())
        }
    });
    (flaky, calls)
}

fn status(code: u16) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(code).body(Body::from("failed")).unwrap())
}

fn failed(cause: Cause) -> Result<Response<Body>, Error> {
    Err(Error::new(cause, "told so"))
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn put(body: &str) -> String {
    post(body).replace("POST", "PUT")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_call_is_repeated_as_often_as_the_rule_says() {
    type Fail = fn() -> Result<Response<Body>, Error>;
    let trap: Fail = || failed(Cause::GuestTrap);
    let full: Fail = || failed(Cause::HostFull);
    // Codes, attempts, how often and how it fails, the request; the status and the calls.
    type Case = (&'static str, &'static [u16], u32, usize, Fail, String, u16, usize);
    let cases: [Case; 12] = [
        ("a code", &[500], 2, 2, || status(500), GET.into(), 200, 3),
        ("too often", &[500], 2, 3, || status(500), GET.into(), 500, 3),
        ("another code", &[502], 2, 1, || status(500), GET.into(), 500, 1),
        ("turned off", &[500], 0, 1, || status(500), GET.into(), 500, 1),
        ("a trap", &[502], 1, 1, trap, GET.into(), 200, 2),
        ("a trap that is not named", &[503], 1, 1, trap, GET.into(), 502, 1),
        ("a trap of a POST", &[502], 1, 1, trap, post("x"), 502, 1),
        ("a POST that was answered", &[500], 1, 1, || status(500), post("x"), 500, 1),
        ("a POST that was not started", &[], 1, 1, full, post("x"), 200, 2),
        ("a PUT", &[502], 1, 1, trap, put("x"), 200, 2),
        ("nothing is wrong", &[500], 5, 0, trap, GET.into(), 200, 1),
        ("a component's nonsense", &[502], 1, 1, || status(101), GET.into(), 200, 2),
    ];
    for (name, codes, attempts, fails, fail, request, wanted, calls) in cases {
        let (flaky, counted) = flaky(fails, fail);
        let admission = gate(1, 0);
        let server = serve(vec![target(&flaky, &admission)], retry(codes, attempts));
        let mut raw = server.connect().await;
        raw.send(&request).await;
        let response = raw.response().await.unwrap();
        assert_eq!((response.status, counted.load(Relaxed)), (wanted, calls), "{name}");
        let record = server.records.only().await;
        assert_eq!((record.retries as usize, record.status.unwrap().as_u16()), (calls - 1, wanted), "{name}");
        assert_eq!(record.ended, Ended::Complete, "{name}");
        eventually(name, || admission.stats().in_flight == 0).await;
    }
}

#[tokio::test]
async fn without_retry_nothing_is_repeated() {
    let (flaky, calls) = flaky(1, || failed(Cause::HostFull));
    let (fine, _) = self::flaky(0, || status(500));
    let admission = gate(10, 0);
    let server = serve(vec![target(&flaky, &admission), Target { weight: 0, ..target(&fine, &admission) }], None);
    let response = server.connect().await.get("/").await;
    assert!(response.status == 503 && response.has("penstock-not-started: true"), "{response:?}");
    assert_eq!((calls.load(Relaxed), server.records.only().await.retries), (1, 0));
}

#[tokio::test]
async fn another_backend_is_preferred() {
    let bad: Arc<dyn Backend> = Arc::new(Answer("test/bad", |_, _| async { failed(Cause::NotReady) }));
    let good: Arc<dyn Backend> = Arc::new(Answer("test/good", |_, _| async { ok("good") }));
    let admission = gate(10, 0);
    let targets = || vec![Target { weight: 9, ..target(&bad, &admission) }, target(&good, &admission)];
    let server = serve(targets(), retry(&[], 1));
    let mut raw = server.connect().await;
    for _ in 0..10 {
        assert_eq!(raw.get("/").await.body, "good");
    }
    let records = server.records.wait(10).await;
    assert!(records.iter().all(|record| record.backend.as_deref() == Some("test/good")), "{records:#?}");

    // What is not ready does not become so by asking again: no pause for nothing.
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let lone = backend(move |_, _| {
        counter.fetch_add(1, Relaxed);
        async { failed(Cause::NotReady) }
    });
    let server = serve(vec![target(&lone, &admission)], retry(&[503], 5));
    assert_eq!(server.connect().await.get("/").await.status, 503);
    assert_eq!(calls.load(Relaxed), 1);
}

/// A pause is not capacity: nothing is held while a request waits for its next attempt.
#[tokio::test]
async fn the_permit_of_the_failed_attempt_is_given_back_first() {
    let (left, right) = (gate(1, 5), gate(1, 5));
    let (busy, calls) = flaky(1, || status(500));
    let slow = Retry { backoff: Duration::from_millis(200), ..*retry(&[500], 1).unwrap() };
    let server = serve(vec![target(&busy, &left), target(&busy, &right)], Some(Box::new(slow)));
    let mut raw = server.connect().await;
    raw.send(GET).await;
    eventually("it was called", || calls.load(Relaxed) == 1).await;
    eventually("nothing is held", || left.stats().in_flight + right.stats().in_flight == 0).await;
    assert_eq!(calls.load(Relaxed), 1, "in the pause");
    assert_eq!(raw.response().await.unwrap().status, 200);
    assert_eq!((left.stats().admitted, right.stats().admitted), (1, 1), "the other one was asked");
}

#[tokio::test]
async fn a_full_queue_is_tried_again() {
    let slow = backend(|_, _| async {
        sleep(Duration::from_millis(30)).await;
        ok("done")
    });
    let admission = gate(1, 0);
    let server = serve(vec![target(&slow, &admission)], retry(&[], 8));
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send(GET).await;
    eventually("the first runs", || admission.stats().in_flight == 1).await;
    second.send(post("x")).await;
    assert_eq!(second.response().await.unwrap().status, 200);
    assert_eq!(first.response().await.unwrap().status, 200);
    assert!(server.records.wait(2).await.iter().any(|record| record.retries > 0));
}

#[tokio::test]
async fn bodies_are_sent_again_if_they_were_kept() {
    // Reads as much as the first number says before it fails.
    let reads = |bytes: usize| {
        let first = AtomicUsize::new(0);
        backend(move |request, _| {
            let fails = first.fetch_add(1, Relaxed) == 0;
            async move {
                let mut body = request.into_body();
                let mut read = 0;
                while !fails || read < bytes {
                    let Some(frame) = body.frame().await else { break };
                    read += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
                }
                if fails { failed(Cause::GuestTrap) } else { ok(read.to_string()) }
            }
        })
    };
    for (name, size, read, wanted) in [
        ("small, unread", 1000, 0, 200),
        ("small, read", 1000, 1000, 200),
        ("large, unread", 500_000, 0, 200),
        ("large, read", 500_000, 500_000, 502),
    ] {
        let backend = reads(read);
        let admission: Arc<Admission> = gate(1, 0);
        let server = serve(vec![target(&backend, &admission)], retry(&[502], 1));
        let mut raw = server.connect().await;
        let whole = put(&"x".repeat(size));
        // In two parts, the second one late: what is not there yet follows.
        let (now, later) = whole.split_at(whole.len() - 10);
        raw.send(now).await;
        if read == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        raw.send(later).await;
        let response = raw.response().await.unwrap();
        assert_eq!(response.status, wanted, "{name}: {response:?}");
        if wanted == 200 {
            assert_eq!(response.body, size.to_string(), "{name}");
            assert_eq!(server.records.only().await.bytes_in as usize, size, "{name}: counted once");
        }
    }
}

#[tokio::test]
async fn a_body_that_streams_goes_on_with_the_next_attempt() {
    let first = AtomicUsize::new(0);
    let reads = backend(move |request, _| {
        let fails = first.fetch_add(1, Relaxed) == 0;
        async move {
            let mut body = request.into_body();
            if fails {
                body.frame().await.unwrap().unwrap();
                return failed(Cause::GuestTrap);
            }
            ok(body.collect().await.unwrap().to_bytes())
        }
    });
    let server = serve(vec![target(&reads, &gate(1, 0))], retry(&[502], 1));
    let mut raw = server.connect().await;
    raw.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    sleep(Duration::from_millis(60)).await;
    raw.send("4\r\nlast\r\n0\r\n\r\n").await;
    assert_eq!(raw.response().await.unwrap().body, "firstlast");
}

#[tokio::test]
async fn the_deadline_covers_all_attempts() {
    let hangs = backend(|_, _| std::future::pending());
    let admission = gate(10, 0);
    let action = |request, backend, attempts| Action {
        backends: target(&hangs, &admission).into(),
        timeouts: Timeouts {
            request: Some(Duration::from_millis(request)),
            backend: Some(Duration::from_millis(backend)),
        },
        retry: retry(&[], attempts),
        ..Action::default()
    };
    for (request, backend, attempts, retries, least) in
        [(2000, 40, 2, 2, 130), (200, 60, 50, 2, 190), (50, 50, 5, 0, 50)]
    {
        let server = serve_with(action(request, backend, attempts));
        let started = Instant::now();
        assert_eq!(server.connect().await.get("/").await.status, 504);
        let took = started.elapsed().as_millis();
        assert!((least..least + 150).contains(&took), "{request} {backend}: {took} ms");
        let record = server.records.only().await;
        assert!(record.retries >= retries, "{request} {backend}: {record:?}");
        assert_eq!(record.cause, Some(Cause::Deadline));
    }
    eventually("nothing runs", || admission.stats().in_flight == 0).await;
}

#[tokio::test]
async fn a_pause_that_ends_after_the_deadline_is_not_made() {
    let (flaky, calls) = flaky(9, || status(500));
    let slow = Retry { backoff: Duration::from_secs(60), ..*retry(&[500], 3).unwrap() };
    let server = serve(vec![target(&flaky, &gate(1, 0))], Some(Box::new(slow)));
    let started = Instant::now();
    assert_eq!(server.connect().await.get("/").await.status, 500);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(calls.load(Relaxed), 1);
}

/// A body of one piece that comes in a moment, and then its end or never anything more; it counts ends that were read.
fn late(ends: bool, read: &Arc<AtomicUsize>) -> Body {
    let read = Arc::clone(read);
    let frames = futures_util::stream::unfold(0, move |frame| {
        let read = Arc::clone(&read);
        async move {
            match frame {
                0 => {
                    sleep(Duration::from_millis(1)).await;
                    Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"failed"))), 1))
                }
                _ if ends => {
                    read.fetch_add(1, Relaxed);
                    None
                }
                _ => std::future::pending().await,
            }
        }
    });
    Body::boxed(StreamBody::new(frames))
}

#[tokio::test]
async fn a_short_response_that_is_given_up_is_read_to_its_end() {
    for ends in [true, false] {
        let read = Arc::new(AtomicUsize::new(0));
        let (calls, counter) = (AtomicUsize::new(0), Arc::clone(&read));
        let down = backend(move |_, _| {
            let fails = calls.fetch_add(1, Relaxed) < 2;
            let body = late(ends, &counter);
            async move { if fails { Ok(Response::builder().status(503).body(body).unwrap()) } else { ok("there") } }
        });
        let policy = Retry { backoff: Duration::ZERO, ..*retry(&[503], 5).unwrap() };
        let server = serve(vec![target(&down, &gate(1, 0))], Some(Box::new(policy)));
        let asked = Instant::now();
        assert_eq!(server.connect().await.get("/").await.status, 200, "ends: {ends}");
        assert_eq!(read.load(Relaxed), if ends { 2 } else { 0 });
        assert!(asked.elapsed() < Duration::from_secs(5), "nobody waits for one that does not end");
    }
}

#[tokio::test]
async fn a_storm_is_bounded_by_the_budget() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let down = backend(move |_, _| {
        counter.fetch_add(1, Relaxed);
        async { status(503) }
    });
    let budget = Arc::new(Budget::default());
    let policy = Retry { backoff: Duration::ZERO, budget, ..*retry(&[503], 5).unwrap() };
    let server = serve(vec![target(&down, &gate(10, 0))], Some(Box::new(policy)));
    let started = Instant::now();
    let mut raw = server.connect().await;
    for _ in 0..500 {
        assert_eq!(raw.get("/").await.status, 503);
    }
    let repeated = calls.load(Relaxed) - 500;
    let by_time = started.elapsed().as_millis() as usize / 100;
    assert!((100..=111 + by_time).contains(&repeated), "{repeated} of 500 in {:?}", started.elapsed());
}

#[tokio::test]
async fn a_client_that_leaves_ends_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let down = backend(move |_, _| {
        counter.fetch_add(1, Relaxed);
        async { status(503) }
    });
    let admission = gate(1, 0);
    let slow = Retry { backoff: Duration::from_millis(100), ..*retry(&[503], 100).unwrap() };
    let server = serve(vec![target(&down, &admission)], Some(Box::new(slow)));
    let (mut client, driver) = server.http2().await;
    let request = http::Request::get("http://a/").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    eventually("it is repeated", || calls.load(Relaxed) >= 2).await;
    drop((response, client));
    driver.abort();
    let record = server.records.only().await;
    assert_eq!((record.ended, record.status), (Ended::ClientLeft, None));
    let until = calls.load(Relaxed);
    sleep(Duration::from_millis(300)).await;
    assert_eq!((calls.load(Relaxed), admission.stats().in_flight), (until, 0));
}
