//! What passes through unchanged, what does not, and what is told of it: HTTP/1.1 and HTTP/2 on one port.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{convert::Infallible, sync::Arc};

use crate::server::{Server, backend, eventually, ok};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use penstock_router::{Backend, Body, Cause, Ended};

/// Answers with what it was asked, but for what every request is given (see `origin.rs`).
fn mirror() -> Arc<dyn Backend> {
    backend(|request, context| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut names: Vec<String> =
            parts.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        names.retain(|name| {
            !["x-forwarded-", "x-request-id", "traceparent"].iter().any(|start| name.starts_with(start))
        });
        names.sort();
        let text = format!(
            "{} {} [{}] {} from {}",
            parts.method,
            parts.uri.path_and_query().unwrap(),
            names.join("; "),
            String::from_utf8_lossy(&body),
            context.client.ip()
        );
        ok(text)
    })
}

fn streamed(frames: Vec<Frame<Bytes>>) -> Body {
    Body::boxed(StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok::<_, Infallible>))))
}

#[tokio::test]
async fn the_backend_sees_the_normal_path_and_no_connection_headers() {
    let server = Server::start(&mirror());
    let mut raw = server.connect().await;
    let head = "POST /a/./b/../%63%2fd?q=%41/../x HTTP/1.1\r\nHost: H:1\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
                Keep-Alive: 5\r\nTE: trailers, gzip\r\nTransfer-Encoding: chunked\r\nX-Kept: 2\r\n\r\n";
    raw.send([head, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"].concat()).await;
    let response = raw.response().await.unwrap();
    assert_eq!(
        (response.status, response.body.as_str()),
        (200, "POST /a/c%2Fd?q=%41/../x [host=H:1; te=trailers; x-kept=2] abcde from 127.0.0.1")
    );
    assert!(response.head.contains("\r\ndate: ") && !response.head.contains("connection"), "{}", response.head);
    assert_eq!(raw.get("/again").await.status, 200);
    let records = server.records.wait(2).await;
    let first = &records[0];
    assert_eq!((first.path.as_str(), first.host.as_str(), first.bytes_in), ("/a/c%2Fd", "H:1", 5));
    assert_eq!(first.bytes_out, response.body.len() as u64);
    assert_eq!((first.route.as_deref(), first.backend.as_deref()), (Some("test/route-/"), Some("test/backend")));
    assert_eq!((first.ended, first.generation, first.cause), (Ended::Complete, 1, None));
}

#[tokio::test]
async fn http2_says_the_authority_as_host() {
    let server = Server::start(&mirror());
    let (mut client, _driver) = server.http2().await;
    let request = Request::post("http://h.example:81/x%2e?y").header("te", "trailers").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data("ab".into(), true).unwrap();
    let mut response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.body_mut().data().await.unwrap().unwrap();
    assert_eq!(text, "POST /x.?y [host=h.example:81; te=trailers] ab from 127.0.0.1");
    drop(response);
    let record = server.records.only().await;
    assert_eq!((record.host.as_str(), record.path.as_str(), record.bytes_in), ("h.example:81", "/x.", 2));
}

#[tokio::test]
async fn http2_requests_in_doubt_are_refused() {
    let server = Server::start(&mirror());
    let (mut client, _driver) = server.http2().await;
    let ask = |uri: &str, host: Option<&'static str>| {
        let mut request = Request::get(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        client.send_request(request.body(()).unwrap(), true).unwrap().0
    };
    let mut ask = ask;
    assert_eq!(ask("http://a/", Some("b")).await.unwrap().status(), 400);
    assert_eq!(ask("http://u@a/", None).await.unwrap().status(), 400);
    assert_eq!(ask("http://a/..", None).await.unwrap().status(), 400);
    assert_eq!(ask("http://a/", Some("A")).await.unwrap().status(), 200);
    let connect = Request::builder().method(Method::CONNECT).uri("a:80").body(()).unwrap();
    assert_eq!(client.send_request(connect, true).unwrap().0.await.unwrap().status(), 501);
    let records = server.records.wait(5).await;
    assert_eq!(records.iter().filter(|record| record.backend.is_some()).count(), 1);
}

#[tokio::test]
async fn http2_connection_headers_reset_the_stream() {
    let calls = mirror();
    let server = Server::start(&calls);
    let mut raw = server.connect().await;
    // Preface, SETTINGS, and HEADERS of stream 1: GET http://a/ with a literal `connection: close`.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let block = [&[0x82, 0x86, 0x84, 0x41, 0x01, b'a', 0x00, 0x0a][..], b"connection", &[0x05], b"close"].concat();
    bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 0x01, 0x05, 0, 0, 0, 1]);
    bytes.extend(block);
    raw.send(bytes).await;
    // RST_STREAM of stream 1 with PROTOCOL_ERROR.
    let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let mut seen = Vec::new();
    let found = async {
        let mut buffer = [0; 1024];
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut raw.0, &mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..read]);
            if seen.windows(reset.len()).any(|window| window == reset) {
                break;
            }
            assert!(read > 0, "closed without a reset: {seen:?}");
        }
    };
    tokio::time::timeout(crate::server::PATIENCE, found).await.unwrap();
    assert!(server.records.all().is_empty());
}

#[tokio::test]
async fn no_body_follows_where_none_may() {
    let answers = backend(|request, _| async move {
        match request.uri().path() {
            "/empty" => Ok(Response::builder().status(204).header("content-length", "5").body("12345".into()).unwrap()),
            "/cached" => Ok(Response::builder().status(304).body("12345".into()).unwrap()),
            "/stream" => ok(streamed(vec![Frame::data("ab".into())])),
            "/promised" => Ok(Response::builder().header("content-length", "7").body(Body::empty()).unwrap()),
            _ => ok("12345"),
        }
    });
    let server = Server::start(&answers);
    let mut raw = server.connect().await;
    for (request, status, length) in [
        ("HEAD /", 200, Some("5")),
        ("HEAD /promised", 200, Some("7")),
        ("HEAD /stream", 200, None),
        ("GET /empty", 204, None),
        ("GET /cached", 304, None),
        ("GET /promised", 200, Some("0")),
    ] {
        raw.send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let head = raw.head().await.unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        let found = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(found, length, "{request}: {head}");
    }
    // Were there a body after any of them, this would not be the next response.
    assert_eq!(raw.get("/").await.body, "12345");

    let (mut client, _driver) = server.http2().await;
    let head = Request::head("http://a/").body(()).unwrap();
    let response = client.send_request(head, true).unwrap().0.await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_LENGTH], "5");
    assert!(response.into_body().data().await.is_none());
    let promised = Request::get("http://a/promised").body(()).unwrap();
    let response = client.send_request(promised, true).unwrap().0.await.unwrap();
    assert!(response.headers().get(header::CONTENT_LENGTH).is_none());
    for record in server.records.wait(9).await {
        assert_eq!(record.ended, Ended::Complete, "{record:?}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_with_trailers() {
    let echo = backend(|request, _| async move {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let frames = request.into_body().with_trailers(async { Some(Ok(trailers)) });
        let response = Response::builder().header("trailer", "x-sum").body(Body::boxed(frames)).unwrap();
        Ok(response)
    });
    let server = Server::start(&echo);
    let (mut client, _driver) = server.http2().await;
    let request = Request::post("http://a/").body(()).unwrap();
    let (response, mut upload) = client.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    let mut download = response.into_body();
    for turn in ["one", "two"] {
        upload.send_data(turn.into(), false).unwrap();
        assert_eq!(download.data().await.unwrap().unwrap(), turn);
        download.flow_control().release_capacity(turn.len()).unwrap();
    }
    upload.send_data(Bytes::new(), true).unwrap();
    assert!(download.data().await.is_none());
    assert_eq!(download.trailers().await.unwrap().unwrap()["x-sum"], "1");

    let head = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let response = server.exchange([head, "3\r\nabc\r\n0\r\n\r\n"].concat()).await;
    assert!(response.ends_with("3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), "{response}");
    for record in server.records.wait(2).await {
        assert_eq!((record.ended, record.bytes_in, record.bytes_out > 0), (Ended::Complete, record.bytes_out, true));
    }
}

#[tokio::test]
async fn what_http_cannot_carry_is_the_backends_error() {
    let answers = backend(|request, _| async move {
        let response = match request.uri().path() {
            "/101" => Response::builder().status(101).body(Body::empty()),
            "/long" => Response::builder().header("content-length", "9").body("1".into()),
            "/many" => Response::builder().header("content-length", "1").header("content-length", "1").body("1".into()),
            "/word" => Response::builder().header("content-length", "x").body("1".into()),
            _ => Response::builder()
                .header("connection", "x-hop")
                .header("x-hop", "1")
                .header("transfer-encoding", "gzip")
                .header("keep-alive", "5")
                .body("fine".into()),
        };
        Ok(response.unwrap())
    });
    let server = Server::start(&answers);
    let mut raw = server.connect().await;
    for path in ["/101", "/long", "/many", "/word"] {
        let response = raw.get(path).await;
        assert_eq!(response.status, 502, "{path}");
        assert!(response.body.contains("\"type\":\"guest-no-response\""), "{path}: {response:?}");
    }
    let fine = raw.get("/").await;
    assert_eq!((fine.status, fine.body.as_str()), (200, "fine"));
    for gone in ["x-hop", "gzip", "keep-alive", "connection"] {
        assert!(!fine.head.contains(gone), "{fine:?}");
    }
}

#[tokio::test]
async fn expect_continue_is_answered_when_the_body_is_read() {
    let server = Server::start(&mirror());
    let mut raw = server.connect().await;
    raw.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(raw.head().await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("ab").await;
    assert_eq!(raw.response().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_panic_ends_one_request_only() {
    let panics = backend(|request, _| async move {
        match request.uri().path() {
            "/call" => panic!("in the call"),
            "/body" => {
                let stream = futures_util::stream::iter(0..2).map(|turn| {
                    assert_eq!(turn, 0, "in the body");
                    Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"first")))
                });
                ok(Body::boxed(StreamBody::new(stream)))
            }
            _ => ok("fine"),
        }
    });
    use futures_util::StreamExt as _;
    let server = Server::start(&panics);
    let mut raw = server.connect().await;
    let response = raw.get("/call").await;
    assert_eq!(response.status, 500);
    assert!(response.body.contains("\"type\":\"internal\""), "{response:?}");
    assert_eq!(raw.get("/").await.body, "fine");
    raw.send("GET /body HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let rest = raw.rest().await;
    assert!(rest.contains("first") && !rest.ends_with("0\r\n\r\n"), "{rest}");

    let (mut client, _driver) = server.http2().await;
    let broken = Request::get("http://a/body").body(()).unwrap();
    let mut body = client.send_request(broken, true).unwrap().0.await.unwrap().into_body();
    let end = loop {
        match body.data().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the body ended as if it were whole"),
        }
    };
    assert!(end.is_reset());
    let fine = Request::get("http://a/").body(()).unwrap();
    assert_eq!(client.send_request(fine, true).unwrap().0.await.unwrap().status(), 200);

    let records = server.records.wait(5).await;
    assert_eq!((records[0].status.unwrap().as_u16(), records[0].cause), (500, Some(Cause::Internal)));
    for broken in [&records[2], &records[3]] {
        assert_eq!((broken.ended, broken.cause), (Ended::Error, Some(Cause::Internal)), "{broken:?}");
    }
    eventually("permits back", || server.admission.stats().in_flight == 0).await;
}
