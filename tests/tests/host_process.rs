//! The `penstock-host` program as a pod runs it, with a real component: from its first snapshot to SIGTERM, and through a
//! restart without anybody to ask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "control/program.rs"]
mod program;
#[path = "control/support.rs"]
mod support;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use penstock_api::snapshot::{Capacity, Component, Share};
use penstock_tests::{http::get, process::free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use self::{
    program::{START, admin, kitchen, start},
    support::{Files, Server},
};

#[tokio::test]
async fn sigterm_loses_no_request_and_ends_with_0() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let mut host = start(&files, server.address, "host-a", &["--drain-delay", "2s"]);
    let admin = admin(&mut host).await;
    let ready = get(admin, "admin", "/readyz").await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE, "it has not been told what to run");
    assert!(text(&ready).contains("the first snapshot"), "{}", text(&ready));
    assert_eq!(get(admin, "admin", "/livez").await.unwrap().status(), StatusCode::OK);

    let id = server.connected(|_| true).await.host;
    let front = free_port().unwrap();
    server.hosts.push(&id, Arc::new(kitchen(1, front, 1, Capacity::default())));
    host.answers(admin, "admin", "/readyz", START).await.unwrap();
    server.report(|report| report.version == 1).await;
    assert_eq!(get(front, "any.example", "/ok").await.unwrap().status(), StatusCode::OK);
    let env = get(front, "any.example", "/env").await.unwrap();
    assert!(text(&env).contains("hunter2"), "{}", text(&env));
    let page = get(admin, "admin", "/metrics").await.unwrap();
    for line in [
        "penstock_control_connected 1",
        "penstock_snapshot_settled_version 1",
        "penstock_workload_state{workload=\"ns/kitchen\",revision=\"1\",state=\"ready\"} 1",
        "penstock_http_requests_total{listener=\"ns/kitchen:http\",workload=\"ns/kitchen\",code=\"2xx\"} 2",
    ] {
        assert!(text(&page).lines().any(|it| it == line), "{line} is not in\n{}", text(&page));
    }

    // One connection has a request under way when the end is asked for, and one has none.
    let mut idle = connect(front).await;
    assert_eq!(send(&mut idle, "/ok").await.status(), StatusCode::OK);
    let mut busy = connect(front).await;
    let under_way = tokio::spawn(async move { send(&mut busy, "/sleep?ms=6000").await });
    support::until_async(async || {
        text(&get(admin, "admin", "/metrics").await.unwrap())
            .contains("in_flight{workload=\"ns/kitchen\",revision=\"1\"} 1")
    })
    .await;
    host.terminate().unwrap();
    server.report(|report| report.leaving).await;
    let ready = get(admin, "admin", "/readyz").await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE, "readiness goes first");
    // While endpoints are taken away it serves on, new connections included.
    assert_eq!(get(front, "any.example", "/ok").await.unwrap().status(), StatusCode::OK);
    let kept = send(&mut idle, "/ok").await;
    assert_eq!((kept.status(), kept.headers().get(header::CONNECTION)), (StatusCode::OK, None));
    // Then what is in flight ends as it should, its client told to go elsewhere.
    let last = under_way.await.unwrap();
    assert_eq!(last.status(), StatusCode::OK);
    assert_eq!(last.headers()[header::CONNECTION], "close");
    let status = host.exited(START).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", host.text());
    assert!(TcpStream::connect(front).await.is_err());
}

#[tokio::test]
async fn it_serves_again_from_disk_with_nobody_to_ask() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let address = server.address;
    let mut host = start(&files, address, "host-a", &["--drain-delay", "0s"]);
    let first = admin(&mut host).await;
    let id = server.connected(|_| true).await.host;
    let front = free_port().unwrap();
    server.hosts.push(&id, Arc::new(kitchen(5, front, 1, Capacity::default())));
    host.answers(first, "admin", "/readyz", START).await.unwrap();
    let kept = files.path("cache-host-a/state/snapshot.json");
    support::until(|| kept.exists()).await;
    assert!(!std::fs::read_to_string(kept).unwrap().contains("hunter2"), "no secret on the plain disk");
    server.stop().await;
    host.signal("KILL").unwrap();
    host.exited(START).await.unwrap();

    let mut host = start(&files, address, "host-a", &["--drain-delay", "0s"]);
    let second = admin(&mut host).await;
    host.answers(second, "admin", "/readyz", START).await.unwrap();
    let env = get(front, "any.example", "/env").await.unwrap();
    assert!(text(&env).contains("hunter2"), "{}", text(&env));
    let page = get(second, "admin", "/metrics").await.unwrap();
    assert!(text(&page).contains("penstock_control_connected 0"), "{}", text(&page));
    host.terminate().unwrap();
    assert_eq!(host.exited(START).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_share_that_loads_holds_up_no_other_ack() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let mut host = start(&files, server.address, "host-a", &["--drain-delay", "0s"]);
    let admin = admin(&mut host).await;
    let id = server.connected(|_| true).await.host;
    let front = free_port().unwrap();
    let mut both = kitchen(1, front, 1, Capacity::default());
    // An address that answers nobody: this share loads for as long as its registry is waited for.
    let image = "192.0.2.1:5000/nothing:1".to_owned();
    both.shares.push(Share {
        id: "ns/slow@1".to_owned(),
        deployment: "ns/slow".to_owned(),
        revision: "1".to_owned(),
        replicas: 1,
        components: vec![Component { name: "slow".to_owned(), image, ..Component::default() }],
        ..Share::default()
    });
    server.hosts.push(&id, Arc::new(both.clone()));
    use penstock_operator::hosts::ShareState::{Failed, Loading, Ready};
    let report = server.report(|it| it.shares.get("ns/kitchen@1").is_some_and(|share| share.state == Ready)).await;
    assert_eq!(report.follows, 1);
    if report.shares["ns/slow@1"].state == Loading {
        assert_eq!(report.version, 0, "not all of it has come to an end");
    } else {
        // On a machine without any network the refusal may come first.
        assert_eq!(report.shares["ns/slow@1"].state, Failed);
    }
    assert_eq!(get(front, "any.example", "/ok").await.unwrap().status(), StatusCode::OK);
    // A change of the neighbour is acked while it loads.
    both.version = 2;
    both.shares[0].replicas = 3;
    server.hosts.push(&id, Arc::new(both));
    let report = server.report(|it| it.follows == 2).await;
    assert_eq!((report.shares["ns/kitchen@1"].state, report.shares["ns/kitchen@1"].replicas), (Ready, 3));
    drop(get(admin, "admin", "/livez").await.unwrap());
}

#[tokio::test]
async fn who_stands_in_front_is_believed_and_nobody_else() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let fronts = ["--trusted-proxies", "127.0.0.3/32", "--proxy-protocol-from", "127.0.0.2"];
    let mut host = start(&files, server.address, "host-a", &fronts);
    let admin = admin(&mut host).await;
    let id = server.connected(|_| true).await.host;
    let front = free_port().unwrap();
    server.hosts.push(&id, Arc::new(kitchen(1, front, 1, Capacity::default())));
    host.answers(admin, "admin", "/readyz", START).await.unwrap();

    let asked = "GET /dump HTTP/1.1\r\nHost: any.example\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n";
    let proxied = format!("PROXY TCP4 192.0.2.9 127.0.0.1 4711 80\r\n{asked}");
    for (from, sent, told) in [
        ("127.0.0.1", asked, Some("127.0.0.1")),
        ("127.0.0.3", asked, Some("192.0.2.7, 127.0.0.3")),
        ("127.0.0.2", proxied.as_str(), Some("192.0.2.9")),
        ("127.0.0.2", asked, None),
        ("127.0.0.1", proxied.as_str(), None),
    ] {
        let answer = exchange(from, front, sent).await;
        let line = told.map(|told| format!("\"x-forwarded-for\",\"{told}\""));
        let seen = line.map_or(!answer.contains("200 OK"), |line| answer.contains(&line));
        assert!(seen, "from {from}: {sent}: {answer}");
    }
}

async fn exchange(from: &str, to: SocketAddr, sent: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A refused connection may be reset behind its answer.
    let _reset = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn connect(front: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(front).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, path: &str) -> Response<Bytes> {
    sender.ready().await.unwrap();
    let request = Request::get(path).header(header::HOST, "any.example").body(Full::default()).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}
