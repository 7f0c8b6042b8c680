//! The generator itself, against a tiny server that counts and that can be made to misbehave.

#![allow(clippy::unwrap_used, reason = "a test's helpers too")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use penstock_tests::{
    ledger::{self, Entry, Terms, Timeline},
    load::{Plan, Protocol},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const ID: HeaderName = HeaderName::from_static("x-request-id");
const REVISION: HeaderName = HeaderName::from_static("x-revision");

/// What the tiny server does and has seen.
#[derive(Default)]
struct Server {
    ids: Mutex<Vec<u64>>,
    connections: AtomicU64,
    /// Answers before this moment wait for it.
    stall_until: Mutex<Option<Instant>>,
    /// Every so many answers end their connection.
    close_every: u64,
}

impl Server {
    async fn start(self) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(self);
        let shared = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let server = shared.clone();
                let service = service_fn(move |request| server.clone().answer(request));
                tokio::spawn(async move {
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        (address, server)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let id = request.headers().get(&ID).and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(u64::MAX);
        let count = {
            let mut ids = self.ids.lock().unwrap();
            ids.push(id);
            ids.len() as u64
        };
        let stall = *self.stall_until.lock().unwrap();
        if let Some(until) = stall {
            tokio::time::sleep_until(until.into()).await;
        }
        let mut response = Response::builder().header(ID, id).header(REVISION, "r1");
        if self.close_every > 0 && count.is_multiple_of(self.close_every) {
            response = response.header("connection", "close");
        }
        Ok(response.body(Full::from(format!("hello {id}"))).unwrap())
    }
}

fn plan(address: SocketAddr) -> Plan {
    Plan::new(address).path("/x?y=z").unwrap().id_header(ID).keep_headers([ID]).label_header(REVISION).keep_records()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_count_the_same_at_full_speed() {
    let timeline = Timeline::new("r1");
    let (address, server) = Server::default().start().await;
    let load = plan(address).connections(8).threads(2).duration(Duration::from_millis(500));
    let load = load.check(|answer| match answer.body {
        body if body == format!("hello {}", answer.id).as_bytes() => Ok(()),
        body => Err(String::from_utf8_lossy(body).into_owned()),
    });
    let report = load.start().unwrap().finish().await.unwrap();
    assert!(report.sent > 100, "{}", report.summary());
    assert_eq!((report.answered, report.failed, report.resent), (report.sent, 0, 0), "{}", report.summary());
    assert_eq!(report.connections, 8);
    assert_eq!(server.connections.load(Ordering::Relaxed), 8);
    assert_eq!(report.latency.count(), report.sent);
    assert_eq!(report.statuses[&200], report.sent);
    assert_eq!(report.labels["r1"], report.sent);
    let entries: Vec<_> = report.records.iter().map(Entry::from_record).collect();
    timeline.judge(Terms::echoed(report.sent), &entries).clean().unwrap();
    assert_eq!(ledger::reached_once(report.sent, server.ids.lock().unwrap().iter().copied()), []);
    let slices = report.slices(Duration::from_millis(100));
    assert_eq!(slices.iter().map(|slice| slice.answered).sum::<u64>(), report.sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_count_the_same_over_http2() {
    let (address, server) = Server::default().start().await;
    let load = plan(address).connections(2).protocol(Protocol::Http2 { streams: 4 }).count(2_000);
    let report = load.start().unwrap().finish().await.unwrap();
    assert_eq!((report.sent, report.answered, report.failed), (2_000, 2_000, 0), "{}", report.summary());
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
    assert_eq!(ledger::reached_once(2_000, server.ids.lock().unwrap().iter().copied()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_bounded_by_time() {
    let (address, _server) = Server::default().start().await;
    let report = plan(address).connections(4).rate(500.0).seconds(1).start().unwrap().finish().await.unwrap();
    assert_eq!((report.sent, report.answered), (500, 500), "{}", report.summary());
    assert!(report.elapsed() >= Duration::from_millis(990), "{}", report.summary());
    for (n, record) in (0_u32..).zip(&report.records) {
        assert!(record.start >= record.intended && record.end >= record.start);
        assert_eq!(record.intended, report.started + Duration::from_millis(2) * n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_shows_in_every_request_that_fell_due_in_it() {
    let (address, server) = Server::default().start().await;
    let stall = Duration::from_millis(500);
    *server.stall_until.lock().unwrap() = Some(Instant::now() + stall);
    let report = plan(address).connections(2).rate(200.0).seconds(1).start().unwrap().finish().await.unwrap();
    assert_eq!((report.sent, report.answered), (200, 200), "{}", report.summary());
    // The first half fell due within the stall: latencies go evenly from 500 ms down to 0. A generator that forgets
    // what it could not send would have seen two slow requests of two hundred.
    let slow = report.records.iter().filter(|record| record.latency() > stall / 10).count();
    assert!((80..=125).contains(&slow), "{slow} slow: {}", report.summary());
    assert!(report.latency.p(0.75) > stall / 3, "{}", report.summary());
    let busy = report.records.iter().filter(|record| record.end - record.start > stall / 10).count();
    assert!(busy <= 4, "only the requests under way waited in the server itself, not {busy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_costs_a_connection_and_no_request() {
    let (address, server) = Server { close_every: 10, ..Server::default() }.start().await;
    let report = plan(address).connections(4).count(500).start().unwrap().finish().await.unwrap();
    assert_eq!((report.sent, report.answered, report.failed), (500, 500, 0), "{}", report.summary());
    assert!(report.connections >= 50, "{} connections", report.connections);
    assert_eq!(ledger::reached_once(500, server.ids.lock().unwrap().iter().copied()), []);
}

/// Closes each connection without a word shortly after its answer, while no request is under way.
async fn hangs_up() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ended_between_requests_costs_no_request() {
    let address = hangs_up().await;
    let report = plan(address).rate(10.0).count(10).start().unwrap().finish().await.unwrap();
    assert_eq!((report.answered, report.failed), (10, 0), "{}", report.summary());
    assert_eq!(report.connections, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gets_no_answer_is_reported_and_nothing_hangs() {
    let (address, server) = Server::default().start().await;
    *server.stall_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(60));
    let load = plan(address).connections(2).rate(100.0).duration(Duration::from_millis(100));
    let report = load.timeout(Duration::from_millis(200)).start().unwrap().finish().await.unwrap();
    assert_eq!((report.sent, report.answered, report.failed), (10, 0, 10), "{}", report.summary());
    assert!(report.failures.contains_key("no whole answer in time"), "{:?}", report.failures);
    assert!(report.failures.contains_key("due, but no connection came free in time"), "{:?}", report.failures);
    let timeline = Timeline::starting("r1", report.started);
    let entries: Vec<_> = report.records.iter().map(Entry::from_record).collect();
    assert_eq!(timeline.judge(Terms::all(10), &entries).violations().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_a_failure_of_its_request() {
    let address = penstock_tests::process::free_port().unwrap();
    let report = plan(address).count(3).start().unwrap().finish().await.unwrap();
    assert_eq!((report.sent, report.answered, report.failed), (3, 0, 3), "{}", report.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_can_be_read_and_the_load_stopped() {
    let (address, server) = Server::default().start().await;
    let load = plan(address).connections(2).seconds(600).start().unwrap();
    while load.progress().answered < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(load.progress().labels["r1"] >= 100);
    load.stop();
    let report = load.finish().await.unwrap();
    assert!(report.answered >= 100 && report.failed == 0, "{}", report.summary());
    assert_eq!(report.sent, server.ids.lock().unwrap().len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_is_a_failure_and_one_that_panics_spoils_the_report() {
    let (address, _server) = Server::default().start().await;
    let wrong = plan(address).count(5).check(|answer| if answer.id == 3 { Err("odd".into()) } else { Ok(()) });
    let report = wrong.start().unwrap().finish().await.unwrap();
    assert_eq!((report.answered, report.failed), (5, 1));
    assert_eq!(report.failures["wrong answer: odd"], 1);
    let broken = plan(address).count(5).check(|_| panic!("a mistake in the test"));
    assert!(broken.start().unwrap().finish().await.is_err());
}
