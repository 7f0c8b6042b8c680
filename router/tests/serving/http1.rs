//! What HTTP/1 connections do over more than one message: pipelines, chunks with trailers both ways, HEAD, Expect.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::server::{Server, backend, ok};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use penstock_router::{Backend, Body, Cause};
use tokio::{io::AsyncWriteExt, sync::Notify, time::timeout};

fn echo() -> Arc<dyn Backend> {
    backend(|request, _| async move { Ok(Response::new(request.into_body())) })
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order_the_slow_first() {
    let (go, begun) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
    let answers = {
        let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
        backend(move |request, _| {
            let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
            async move {
                let path = request.uri().path().to_owned();
                begun.lock().push(path.clone());
                if path == "/slow" {
                    go.notified().await;
                }
                let body = request.into_body().collect().await.unwrap().to_bytes();
                ok(format!("{path} {}", String::from_utf8_lossy(&body)))
            }
        })
    };
    let server = Server::start(&answers);
    let mut raw = server.connect().await;
    let sized = "POST /sized HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /";
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let plain = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.send([plain("/slow").as_str(), sized, chunked, &plain("/last")].concat()).await;
    crate::server::eventually("the first one began", || begun.lock().len() == 1).await;
    // One after the other: were they begun out of turn, a client could have side effects in another order than it asked for.
    assert!(timeout(Duration::from_millis(50), raw.response()).await.is_err(), "overtaken");
    assert_eq!(*begun.lock(), ["/slow"]);
    go.notify_one();
    for expected in ["/slow ", "/sized GET /", "/chunked abc", "/last "] {
        let response = raw.response().await.unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, expected));
    }
    assert_eq!(*begun.lock(), ["/slow", "/sized", "/chunked", "/last"]);
}

#[tokio::test]
async fn a_long_pipeline_is_answered_whole() {
    const REQUESTS: usize = 1000;
    let server = Server::start(&echo());
    let raw = server.connect().await;
    let (mut responses, mut requests) = raw.0.into_split();
    let sending = tokio::spawn(async move {
        for number in 0..REQUESTS {
            let body = format!("<{number}>");
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
            requests.write_all([head, body].concat().as_bytes()).await.unwrap();
        }
        requests
    });
    let mut text = String::new();
    let all = async {
        let mut buffer = vec![0; 64 << 10];
        while !text.ends_with(&format!("<{}>", REQUESTS - 1)) {
            let read = tokio::io::AsyncReadExt::read(&mut responses, &mut buffer).await.unwrap();
            assert!(read > 0, "closed after {text}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    };
    timeout(crate::server::PATIENCE, all).await.expect("not answered in time");
    drop(sending.await.unwrap());
    let numbers: Vec<usize> =
        text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..REQUESTS), "{numbers:?}");
}

#[tokio::test]
async fn chunks_and_trailers_go_both_ways_at_once() {
    let answers = backend(|request, _| async move {
        let mut response = Response::new(request.into_body());
        response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-sum"));
        Ok(response)
    });
    let server = Server::start(&answers);
    let mut raw = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    raw.send([head, "3;name=\"value\"\r\nabc\r\n"].concat()).await;
    // The answer begins before the request has ended.
    let answer = raw.head().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\ntransfer-encoding: chunked\r\n"), "{answer}");
    raw.send("0a\r\n0123456789\r\n000\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\n").await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let rest = raw.rest().await;
    let (body, next) = rest.split_once("\r\n\r\n").unwrap();
    // The extension is not passed on, nor a length that comes too late to be one.
    assert_eq!(body, "3\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-sum: 1");
    assert!(next.starts_with("HTTP/1.1 200 "), "{next}");
}

#[tokio::test]
async fn trailers_are_for_clients_that_take_them() {
    let answers = backend(|_, _| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        // Of unknown length: one that is known leaves no room for trailers.
        let data = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"abc")))]);
        let body = StreamBody::new(data).with_trailers(async { Some(Ok(trailers)) });
        let response = Response::builder().header(header::TRAILER, "x-sum").body(Body::boxed(body)).unwrap();
        Ok(response)
    });
    let server = Server::start(&answers);
    for (te, sent) in [("TE: trailers\r\n", true), ("", false)] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{te}Connection: close\r\n\r\n");
        let response = server.exchange(request).await;
        assert_eq!(response.ends_with("\r\n0\r\nx-sum: 1\r\n\r\n"), sent, "{response}");
        assert_eq!(response.ends_with("3\r\nabc\r\n0\r\n\r\n"), !sent, "{response}");
    }
    // HTTP/1.0 knows neither chunks nor trailers: the end of the connection is the body's.
    let response = server.exchange("GET / HTTP/1.0\r\nTE: trailers\r\n\r\n").await;
    assert!(response.ends_with("\r\n\r\nabc") && !response.contains("transfer-encoding"), "{response}");
}

#[tokio::test]
async fn head_amid_a_pipeline_shifts_nothing() {
    let answers = backend(|request, _| async move {
        match request.uri().path() {
            "/stream" => ok(Body::boxed(http_body_util::Full::<Bytes>::new("12345".into()))),
            _ => ok("12345"),
        }
    });
    let server = Server::start(&answers);
    let mut raw = server.connect().await;
    let ask = |request: &str| format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.send([ask("HEAD /"), ask("GET /"), ask("HEAD /stream"), ask("GET /")].concat()).await;
    for (length, body) in [("5", false), ("5", true), ("5", false), ("5", true)] {
        let head = raw.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&format!("content-length: {length}\r\n")), "{head}");
        if body {
            raw.take("12345").await;
        }
    }
}

#[tokio::test]
async fn a_body_is_asked_for_only_if_it_is_read() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let answers = backend(move |request, _| {
        counter.fetch_add(1, Relaxed);
        async move {
            match request.uri().path() {
                "/ignores" => ok("no need"),
                _ => ok(request.into_body().collect().await.unwrap().to_bytes()),
            }
        }
    });
    let limits = penstock_router::ListenerLimits { body_bytes: Some(100), ..Default::default() };
    let server = Server::with_limits(&answers, limits);
    let expect = |path: &str, length: usize| {
        format!("PUT {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };
    // Refused, and answered without it: no 100, and no second request where the body would be, whether it comes or not.
    for (path, length, status) in [("/", 101, 413), ("/ignores", 3, 200)] {
        let mut raw = server.connect().await;
        raw.send(expect(path, length)).await;
        assert_eq!(raw.response().await.unwrap().status, status, "{path}");
        raw.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(raw.rest().await, "", "{path}: the connection goes on");
    }
    assert_eq!(calls.load(Relaxed), 1);
    let mut raw = server.connect().await;
    // Asked for once, and the connection goes on.
    for _ in 0..2 {
        raw.send(expect("/", 3)).await;
        assert_eq!(raw.head().await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
        raw.send("abc").await;
        assert_eq!(raw.response().await.unwrap().status, 200);
    }
    // A client that does not wait, as it may.
    raw.send([&expect("/", 3), "abc"].concat()).await;
    let head = raw.head().await.unwrap();
    let head = if head.starts_with("HTTP/1.1 100 ") { raw.head().await.unwrap() } else { head };
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let records = server.records.wait(5).await;
    assert_eq!(records.iter().filter(|record| record.cause == Some(Cause::BodyTooLarge)).count(), 1);
}
