//! Requests whose meaning is in doubt: what each is answered with, and that none of them reaches a backend.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::server::{Server, backend, ok};
use penstock_router::{Backend, Cause};

fn counting() -> (Arc<dyn Backend>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let backend = backend(move |_, _| {
        counter.fetch_add(1, Relaxed);
        async { ok("reached") }
    });
    (backend, calls)
}

/// Who answers: hyper (a bare status, no access record), or the steps of `serve` (a problem document and a record).
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Hyper,
    Serve,
}
use By::{Hyper, Serve};

#[tokio::test]
async fn malformed_requests_are_refused_and_the_connection_closes() {
    let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    let table: &[(&str, &str, u16, By)] = &[
        // Lengths.
        (
            "two lengths that differ",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
            Hyper,
        ),
        (
            "two equal lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            400,
            Serve,
        ),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400, Hyper),
        (
            "length then coding",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            Serve,
        ),
        (
            "coding then length",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
            Serve,
        ),
        (
            "two codings",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            Serve,
        ),
        (
            "coding that does not end in chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            400,
            Hyper,
        ),
        (
            "coding that is not understood",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            Serve,
        ),
        ("coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, Hyper),
        ("negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, Hyper),
        ("length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400, Hyper),
        (
            "length beyond 64 bits",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
            400,
            Hyper,
        ),
        // Bytes.
        ("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, Hyper),
        ("bare CR as line end", "GET / HTTP/1.1\rHost: a\r\r", 400, Hyper),
        ("bare CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, Hyper),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, Hyper),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, Hyper),
        ("obsolete folding", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, Hyper),
        ("space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, Hyper),
        ("space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, Hyper),
        ("no colon", "GET / HTTP/1.1\r\nHost a\r\n\r\n", 400, Hyper),
        ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Hyper),
        ("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Hyper),
        ("a TLS hello", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", 400, Hyper),
        // Versions.
        ("HTTP/0.9", "GET /\r\n", 400, Hyper),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400, Hyper),
        ("HTTP/2.0 in words", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, Hyper),
        // Hosts.
        ("no Host", "GET / HTTP/1.1\r\n\r\n", 400, Serve),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, Serve),
        ("two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, Serve),
        ("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, Serve),
        ("Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, Serve),
        ("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, Serve),
        ("Host with a bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, Serve),
        ("Host list", "GET / HTTP/1.1\r\nHost: a, b/\r\n\r\n", 400, Serve),
        ("Host beyond ASCII", "GET / HTTP/1.1\r\nHost: \u{fc}\r\n\r\n", 400, Serve),
        // Targets.
        ("absolute form that differs from Host", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, Serve),
        ("absolute form with user information", "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, Serve),
        ("absolute form without Host", "GET http://u:p@a/ HTTP/1.1\r\n\r\n", 400, Serve),
        ("absolute form of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("authority form", "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400, Serve),
        ("* of GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("no slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("dots above the root", "GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("encoded dots above the root", "GET /a/%2e%2E/%2e./b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("encoded slash and dots", "GET /a/..%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("bad escape", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("cut escape", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        ("backslash", "GET /a\\..\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Serve),
        // Sizes.
        ("one huge header", &huge, 431, Hyper),
        ("a header without end", &endless, 431, Hyper),
        ("a hundred and two headers", &many, 431, Hyper),
        ("a long target", &long, 431, Hyper),
        // Not offered.
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, Serve),
        ("WebSocket", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 501, Serve),
    ];
    for (name, request, status, by) in table {
        let (backend, calls) = counting();
        let server = Server::start(&backend);
        let mut raw = server.connect().await;
        raw.send(request).await;
        // What follows on the connection must not be taken for a request.
        raw.send("GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let response = raw.response().await.unwrap_or_else(|| panic!("{name}: closed without an answer"));
        assert_eq!(response.status, *status, "{name}: {response:?}");
        if *status != 501 {
            assert_eq!(raw.rest().await, "", "{name}: the connection goes on");
            assert_eq!(calls.load(Relaxed), 0, "{name}: it reached the backend");
        }
        let records = server.records.all();
        match by {
            Hyper => assert_eq!((response.body.as_str(), records.len()), ("", 0), "{name}"),
            Serve => {
                assert!(response.has("content-type: application/problem+json"), "{name}: {response:?}");
                assert!(response.head.contains("\r\nproxy-status: penstock; error=http_request_error"), "{name}");
                let expected = if *status == 501 { Cause::NotImplemented } else { Cause::Malformed };
                assert_eq!(records[0].cause, Some(expected), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn unusual_but_clear_requests_are_served() {
    let table = [
        ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", ""),
        ("empty Host", "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", ""),
        ("absolute form", "GET http://A:80/x HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n", "A:80"),
        ("IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", "[::1]:80"),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a"),
        ("empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a"),
        ("bare LF", "GET / HTTP/1.1\nHost: a\nConnection: close\n\n", "a"),
        (
            "an h2c offer",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
            "a",
        ),
    ];
    for (name, request, host) in table {
        let (backend, calls) = counting();
        let server = Server::start(&backend);
        let response = server.exchange(request).await;
        assert!(response[8..].starts_with(" 200 "), "{name}: {response}");
        assert_eq!(calls.load(Relaxed), 1, "{name}");
        assert_eq!(server.records.only().await.host, host, "{name}");
    }
}

#[tokio::test]
async fn a_doubtful_request_behind_clear_ones_on_the_same_connection_is_found() {
    let (backend, calls) = counting();
    let server = Server::start(&backend);
    let mut raw = server.connect().await;
    raw.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(raw.response().await.unwrap().status, 200);
    raw.send("POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").await;
    assert_eq!(raw.response().await.unwrap().status, 200);
    let clear = "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let doubtful = "POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n";
    raw.send([clear, doubtful, clear].concat()).await;
    assert_eq!(raw.response().await.unwrap().status, 200);
    let refused = raw.response().await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.has("connection: close"));
    assert_eq!(raw.rest().await, "");
    assert_eq!(calls.load(Relaxed), 3);
}
