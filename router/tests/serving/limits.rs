//! What a listener allows: sizes, connections, and time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use crate::server::{Server, backend, eventually, ok};
use http::Request;
use http_body_util::BodyExt;
use penstock_router::{Cause, ListenerLimits};
use tokio::{io::AsyncWriteExt, time::sleep};

fn limits() -> ListenerLimits {
    ListenerLimits { body_bytes: Some(10), header_bytes: 2000, header_count: 8, ..ListenerLimits::default() }
}

fn sizes() -> std::sync::Arc<dyn penstock_router::Backend> {
    backend(|request, _| async move {
        match request.uri().path() {
            "/ignores" => std::future::pending().await,
            "/swallows" => {
                let mut body = request.into_body();
                while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
                std::future::pending().await
            }
            _ => ok(format!("{:?}", request.into_body().collect().await.map(|body| body.to_bytes().len()).ok())),
        }
    })
}

#[tokio::test]
async fn a_body_too_large_is_413_at_once_or_when_it_shows() {
    let server = Server::with_limits(&sizes(), limits());
    let mut raw = server.connect().await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789").await;
    assert_eq!(raw.response().await.unwrap().body, "Some(10)");
    // By its length alone: the backend, which would never answer, is not called.
    raw.send("POST /ignores HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n").await;
    let refused = raw.response().await.unwrap();
    assert_eq!(refused.status, 413, "{refused:?}");
    // By what came, whatever the backend makes of it.
    for path in ["/", "/swallows"] {
        let mut raw = server.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        raw.send([head.as_str(), "A\r\n0123456789\r\n1\r\nx\r\n"].concat()).await;
        let refused = raw.response().await.unwrap();
        assert_eq!(refused.status, 413, "{path}: {refused:?}");
    }
    let (mut client, _driver) = server.http2().await;
    let request = Request::post("http://a/swallows").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data("0123456789x".into(), false).unwrap();
    assert_eq!(response.await.unwrap().status(), 413);
    let records = server.records.wait(5).await;
    assert!(records[1..].iter().all(|record| record.cause == Some(Cause::BodyTooLarge)), "{records:#?}");
    assert_eq!(records[1].backend.as_deref(), Some("test/backend"));
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_its_413() {
    let server = Server::with_limits(&sizes(), limits());
    for _ in 0..5 {
        let mut raw = server.connect().await;
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n").await;
        // The answer is there long before the body is: a server that closed now would have the kernel send a reset.
        for _ in 0..5 {
            sleep(Duration::from_millis(10)).await;
            raw.0.write_all(&[b'x'; 100_000]).await.expect("reset while sending");
        }
        assert_eq!(raw.response().await.expect("reset instead of an answer").status, 413);
    }
}

#[tokio::test]
async fn headers_too_large_or_too_many_are_431() {
    let server = Server::with_limits(&sizes(), limits());
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(2000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(8));
    for request in [long, many] {
        assert!(server.exchange(&request).await.starts_with("HTTP/1.1 431 "), "{request}");
    }
    let (mut client, _driver) = server.http2().await;
    let mut many = Request::get("http://a/");
    for index in 0..9 {
        many = many.header(format!("x-{index}"), "y");
    }
    assert_eq!(client.send_request(many.body(()).unwrap(), true).unwrap().0.await.unwrap().status(), 431);
    let long = Request::get("http://a/").header("x", "x".repeat(2000)).body(()).unwrap();
    assert_eq!(client.send_request(long, true).unwrap().0.await.unwrap().status(), 431);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Server::with_limits(&sizes(), ListenerLimits { connections: 2, ..limits() });
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);
    let mut third = server.connect().await;
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(server.records.all().len(), 2, "the third is served beyond the limit");
    drop(first);
    assert_eq!(third.response().await.unwrap().status, 200);
}

#[tokio::test]
async fn slow_heads_are_408_and_idle_connections_end() {
    let limits = ListenerLimits {
        header_read_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(400),
        ..ListenerLimits::default()
    };
    let server = Server::with_limits(&sizes(), limits);
    for first in ["G", "GET / HTTP/1.1\r\nHost", "PRI * HTTP/2.0\r\n"] {
        let mut raw = server.connect().await;
        let started = Instant::now();
        raw.send(first).await;
        let rest = raw.rest().await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408 "), "{rest}");
        assert_eq!(rest.is_empty(), first.starts_with("PRI"), "{rest}");
        assert!((150..390).contains(&started.elapsed().as_millis()), "{first}: {:?}", started.elapsed());
    }
    // A byte now and then does not help; a head that came in time does.
    let mut raw = server.connect().await;
    let started = Instant::now();
    for byte in "GET / HTTP/1.1\r\n".chars() {
        raw.send(byte.to_string()).await;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(raw.rest().await.starts_with("HTTP/1.1 408 "));
    assert!(started.elapsed() < Duration::from_millis(500));
    // Idle: never used, after HTTP/1, and after HTTP/2.
    let mut fresh = server.connect().await;
    let mut used = server.connect().await;
    assert_eq!(used.get("/").await.status, 200);
    let started = Instant::now();
    let (mut client, driver) = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
    assert_eq!(fresh.rest().await + &used.rest().await, "");
    driver.await.unwrap().unwrap();
    assert!((300..900).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    eventually("all closed", || server.records.all().len() == 2).await;
}

#[tokio::test]
async fn a_busy_connection_is_not_idle() {
    let slow = backend(|_, _| async {
        sleep(Duration::from_millis(400)).await;
        ok("late")
    });
    let limits = ListenerLimits {
        header_read_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(100),
        ..ListenerLimits::default()
    };
    let server = Server::with_limits(&slow, limits);
    let mut raw = server.connect().await;
    assert_eq!(raw.get("/").await.body, "late");
    let (mut client, _driver) = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
}
