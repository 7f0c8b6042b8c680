//! Components that this project did not write: the HTTP examples that the crates `wasip2`, `wasip3` and `wstd` are published with, unmodified
//! (`tests/guests/published.sh`), one call at a time, several at once, warm and fresh.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/host.rs"]
mod support;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use penstock_api::snapshot::Share;
use support::{TestHost, share};
use tokio::net::TcpStream;

/// The checked-in ones; `make guests` has built them anew and names their folder.
fn published(name: &str) -> Share {
    let mut spec = share("app", name);
    if let Ok(folder) = std::env::var("PENSTOCK_PUBLISHED") {
        let file = Path::new(&folder).join(format!("{name}.wasm")).canonicalize().unwrap();
        spec.components[0].image = format!("file://{}", file.display());
    }
    spec
}

/// Without a pool, with one, and with one whose instances take several calls if they can.
fn kinds(image: &str) -> [Share; 3] {
    [(None, None), (Some(2), None), (Some(2), Some(8))].map(|(pool, at_once)| {
        let mut spec = published(image);
        spec.components[0].pool_size = pool;
        spec.components[0].max_concurrency = at_once;
        spec
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn hello() {
    for image in ["published-wasip2", "published-wasip3", "published-wasip3-compat"] {
        for spec in kinds(image) {
            let host = TestHost::start(vec![spec]).await;
            for reply in join_all((0..40).map(|_| host.get("/"))).await {
                assert_eq!((reply.status.as_u16(), reply.body.as_str(), reply.broken), (200, "Hello, WASI!", false));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wstd_shows() {
    for spec in kinds("published-wstd") {
        let host = TestHost::start(vec![spec]).await;
        assert_eq!(host.get("/").await.body, "Hello, wasi:http/proxy world!\n");
        assert_eq!(host.get("/nowhere").await.status, 404);
        for (path, least) in [("/wait-response", 1_000), ("/wait-body", 1_000), ("/stream-body", 500)] {
            let begun = Instant::now();
            let reply = host.get(path).await;
            assert_eq!((reply.status.as_u16(), reply.broken), (200, false), "{path}: {reply:?}");
            assert!(begun.elapsed() >= Duration::from_millis(least), "{path}");
            let lines: Vec<_> = reply.body.lines().collect();
            assert_eq!(lines.len(), if path == "/stream-body" { 5 } else { 1 }, "{path}: {lines:?}");
        }
        let status = Request::get("/response-status").header("x-response-status", "418");
        assert_eq!(host.send(status.body(Full::default()).unwrap()).await.status, 418);
        let headers = Request::get("/echo-headers").header("x-of-mine", "seen");
        assert_eq!(host.send(headers.body(Full::default()).unwrap()).await.headers["x-of-mine"], "seen");
        // Both fail by an error code of the guest's own: before the head, and in its body.
        let failed = host.get("/response-fail").await;
        assert_eq!(failed.status, 502, "{failed:?}");
        assert!(failed.problem()["type"].as_str().unwrap().ends_with("guest-error"), "{failed:?}");
        let failed = host.get("/response-body-fail").await;
        assert!(failed.broken || failed.status == 502, "{failed:?}");
        assert_eq!(host.get("/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_megabytes_come_back_as_they_went() {
    for spec in kinds("published-wstd") {
        let host = TestHost::start(vec![spec]).await;
        let body: Vec<u8> = (0..3 << 20).map(|at: u32| b'a' + u8::try_from(at % 23).unwrap()).collect();
        let calls = (0..4).map(|_| {
            let body = Full::new(Bytes::from(body.clone()));
            host.send(Request::post("/echo").body(body).unwrap())
        });
        for reply in join_all(calls).await {
            assert_eq!((reply.status.as_u16(), reply.broken), (200, false));
            assert!(reply.body.as_bytes() == body, "{} of {} bytes", reply.body.len(), body.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_come_back() {
    for spec in kinds("published-wstd") {
        let host = TestHost::start(vec![spec]).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-of-mine", "seen".parse().unwrap());
        let frames = [Frame::data(Bytes::from_static(b"body")), Frame::trailers(trailers)];
        let body = StreamBody::new(stream::iter(frames).map(Ok::<_, std::io::Error>));
        let stream = TcpStream::connect(host.address).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://{}/echo-trailers", host.address));
        let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-of-mine"], "seen");
    }
}
