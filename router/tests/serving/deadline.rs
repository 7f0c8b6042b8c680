//! Deadlines of bodies, and clients that leave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use crate::server::{PATIENCE, Server, backend, eventually, ok};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use penstock_router::{Backend, Body, Cause, Ended, ListenerLimits};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

const SHORT: Duration = Duration::from_millis(200);

fn limits() -> ListenerLimits {
    ListenerLimits { request_timeout: SHORT, ..ListenerLimits::default() }
}

/// A body of one frame every `pause`, `count` of them, then nothing more and no end.
fn drip(pause: Duration, count: usize, ends: bool) -> Body {
    let stream = futures_util::stream::unfold(0, move |sent| async move {
        if sent == count {
            if !ends {
                std::future::pending::<()>().await;
            }
            return None;
        }
        sleep(pause).await;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"drop"))), sent + 1))
    });
    Body::boxed(StreamBody::new(stream))
}

#[tokio::test]
async fn a_stream_may_last_but_not_pause() {
    let drips = backend(|request, _| async move {
        match request.uri().path() {
            "/lasts" => ok(drip(SHORT / 4, 12, true)),
            _ => ok(drip(SHORT / 4, 2, false)),
        }
    });
    let server = Server::with_limits(&drips, limits());
    let mut raw = server.connect().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    raw.send(request("/lasts")).await;
    assert!(raw.rest().await.ends_with("\r\n0\r\n\r\n"));
    let mut raw = server.connect().await;
    let started = Instant::now();
    raw.send(request("/pauses")).await;
    let rest = raw.rest().await;
    assert!(rest.ends_with("4\r\ndrop\r\n"), "cut, not ended: {rest}");
    assert!(started.elapsed() < SHORT * 4, "{:?}", started.elapsed());

    let (mut client, _driver) = server.http2().await;
    let request = Request::get("http://a/pauses").body(()).unwrap();
    let mut body = client.send_request(request, true).unwrap().0.await.unwrap().into_body();
    assert!(body.data().await.unwrap().is_ok());
    assert!(body.data().await.unwrap().is_ok());
    assert!(timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap_err().is_reset());
    let records = server.records.wait(3).await;
    assert_eq!((records[0].ended, records[0].bytes_out, records[0].cause), (Ended::Complete, 48, None));
    for record in &records[1..] {
        assert_eq!((record.ended, record.bytes_out, record.cause), (Ended::Error, 8, Some(Cause::Deadline)));
    }
    eventually("permits back", || server.admission.stats().in_flight == 0).await;
}

#[tokio::test]
async fn an_upload_may_last_but_not_pause() {
    let collects = backend(|request, _| async move {
        let size = request.into_body().collect().await.map(|body| body.to_bytes().len());
        ok(format!("{size:?}"))
    });
    let server = Server::with_limits(&collects, limits());
    let mut raw = server.connect().await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await;
    for _ in 0..8 {
        sleep(SHORT / 2).await;
        raw.send("x").await;
    }
    assert_eq!(raw.response().await.unwrap().body, "Ok(8)");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nx").await;
    let response = raw.response().await.unwrap();
    assert_eq!(response.status, 408, "{response:?}");
    assert_eq!(raw.rest().await, "");
    assert_eq!(server.records.wait(2).await[1].cause, Some(Cause::RequestTimeout));
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_hold_its_place() {
    let floods = backend(|_, _| async {
        let stream =
            futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; 65_536]))));
        ok(Body::boxed(StreamBody::new(stream)))
    });
    let server = Server::with_limits(&floods, limits());
    let mut raw = server.connect().await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut client, _driver) = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    let response = client.send_request(request, true).unwrap().0.await.unwrap();
    let records = server.records.wait(2).await;
    assert!(records.iter().all(|record| record.ended != Ended::Complete), "{records:#?}");
    assert_eq!(server.admission.stats().in_flight, 0);
    drop((raw, response));
}

/// Tells when a call began and when it was dropped, and never answers.
struct Told(mpsc::UnboundedSender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

fn pending() -> (Arc<dyn Backend>, mpsc::UnboundedReceiver<&'static str>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let never = backend(move |request, _| {
        let told = Told(sender.clone());
        async move {
            let _ = told.0.send("called");
            match request.uri().path() {
                "/body" => {
                    let stream = futures_util::stream::unfold((told, 0), |(told, turn)| async move {
                        if turn > 0 {
                            std::future::pending::<()>().await;
                        }
                        Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"first"))), (told, turn + 1)))
                    });
                    ok(Body::boxed(StreamBody::new(stream)))
                }
                _ => {
                    let held = (told, request);
                    std::future::pending::<()>().await;
                    drop(held);
                    Ok(Response::default())
                }
            }
        }
    });
    (never, receiver)
}

async fn next(receiver: &mut mpsc::UnboundedReceiver<&'static str>) -> &'static str {
    timeout(PATIENCE, receiver.recv()).await.expect("nothing told").unwrap()
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_call() {
    for (path, close) in [("/", "close"), ("/", "reset"), ("/body", "close"), ("/body", "reset")] {
        let (never, mut told) = pending();
        let server = Server::start(&never);
        let mut raw = server.connect().await;
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(next(&mut told).await, "called");
        if path == "/body" {
            raw.head().await.unwrap();
        }
        if close == "reset" {
            raw.0.set_zero_linger().unwrap();
        }
        drop(raw);
        assert_eq!(next(&mut told).await, "dropped", "{path} {close}");
        let record = server.records.only().await;
        assert_eq!(record.ended, Ended::ClientLeft, "{path} {close}");
        assert_eq!(record.status.is_some(), path == "/body");
        assert_eq!(server.admission.stats().in_flight, 0);
    }
}

#[tokio::test]
async fn a_client_that_leaves_amid_an_upload_that_nobody_reads_ends_its_call() {
    let (never, mut told) = pending();
    let server = Server::start(&never);
    let mut raw = server.connect().await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n").await;
    raw.send("x".repeat(10_000)).await;
    assert_eq!(next(&mut told).await, "called");
    sleep(Duration::from_millis(50)).await;
    drop(raw);
    assert_eq!(next(&mut told).await, "dropped");
    assert_eq!(server.records.only().await.ended, Ended::ClientLeft);
}

#[tokio::test]
async fn a_reset_stream_ends_its_call_and_no_other() {
    for path in ["/", "/body"] {
        let (never, mut told) = pending();
        let server = Server::start(&never);
        let (mut client, _driver) = server.http2().await;
        let request = || Request::get(format!("http://a{path}")).body(()).unwrap();
        let (first, mut reset) = client.send_request(request(), true).unwrap();
        let (second, _keep) = client.send_request(request(), true).unwrap();
        assert_eq!((next(&mut told).await, next(&mut told).await), ("called", "called"));
        reset.send_reset(h2::Reason::CANCEL);
        drop(first);
        assert_eq!(next(&mut told).await, "dropped", "{path}");
        assert_eq!(server.records.only().await.ended, Ended::ClientLeft);
        assert_eq!(server.admission.stats().in_flight, 1);
        drop(second);
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_gives_its_place_back() {
    let (never, mut told) = pending();
    let admission = crate::server::gate(1, 1);
    let server = Server::with_table(crate::server::all_to(&never, &admission), admission, ListenerLimits::default());
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(next(&mut told).await, "called");
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("one waits", || server.admission.stats().queued == 1).await;
    drop(second);
    eventually("none waits", || server.admission.stats().queued == 0).await;
    assert_eq!(server.records.only().await.ended, Ended::ClientLeft);
    assert_eq!(server.admission.stats().in_flight, 1);
}
