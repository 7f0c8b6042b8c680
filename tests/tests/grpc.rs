//! gRPC as a real client speaks it, by way of a GRPCRoute to components of both WASI versions; and server-sent events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use penstock_tests::{
    dev::{Dev, Options},
    manifest::Workload,
};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Response, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

/// A call that hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

const ROUTES: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: kitchen}
spec:
  hostnames: [grpc.test]
  rules:
  - matches:
    - method: {service: kitchen.Kitchen, method: Echo}
      headers: [{name: x-version, value: '3'}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: third}]}}]
    backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: third}]
  - matches: [{method: {service: kitchen.Kitchen, method: Echo}}]
    backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: second}]
  - matches: [{method: {service: broken.Kitchen}}]
    backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: nobody}]
  - matches: [{method: {type: RegularExpression, service: 'kitchen[.].*', method: 'N.v.r'}}]
    backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: slow}]
";

fn component(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("guests/components/{name}.wasm"))
}

async fn start() -> Dev {
    let mut slow = Workload::file("slow", &component("kitchen-p2"));
    slow.request_timeout = Some("300ms");
    Options::default()
        .file("route.yaml", ROUTES)
        .file("second.yaml", &Workload::file("second", &component("kitchen-p2")).host("second.test"))
        .file("third.yaml", &Workload::file("third", &component("kitchen-p3")).host("third.test").p3())
        .file("slow.yaml", &slow)
        .start()
        .await
        .unwrap()
}

async fn client(dev: &Dev) -> Grpc<Channel> {
    let address = dev.listener("shared").unwrap();
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    Grpc::new(endpoint.origin("http://grpc.test".parse().unwrap()).connect().await.unwrap())
}

/// One message, and the metadata that it is sent with.
async fn call(
    grpc: &mut Grpc<Channel>,
    method: &'static str,
    metadata: &[(&'static str, &'static str)],
) -> Result<Response<String>, Status> {
    grpc.ready().await.unwrap();
    let mut request = tonic::Request::new("how do you do?".to_owned());
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let codec = ProstCodec::<String, String>::default();
    tokio::time::timeout(PATIENCE, grpc.unary(request, PathAndQuery::from_static(method), codec)).await.unwrap()
}

#[tokio::test]
async fn calls_and_streams_reach_components_of_both_versions() {
    let dev = start().await;
    let mut grpc = client(&dev).await;
    for (version, component, rule) in [("2", "kitchen-p2", None), ("3", "kitchen-p3", Some("third"))] {
        let version = ("x-version", version);
        let answer = call(&mut grpc, "/kitchen.Kitchen/Echo", &[version]).await.unwrap();
        assert_eq!(answer.metadata().get("x-component").unwrap(), component);
        assert_eq!(answer.metadata().get("x-rule").map(|it| it.to_str().unwrap()), rule);
        assert_eq!(answer.into_inner(), "how do you do?");
        // The status is in the trailers, after the messages.
        let refused = call(&mut grpc, "/kitchen.Kitchen/Echo", &[version, ("x-grpc-status", "7")]).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, "as asked"), "{component}");
        ping_pong(&mut grpc, version.1).await;
    }
}

/// Each message comes back before the next one is sent.
async fn ping_pong(grpc: &mut Grpc<Channel>, version: &'static str) {
    grpc.ready().await.unwrap();
    let (sender, receiver) = mpsc::channel(1);
    let mut request = tonic::Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("x-version", version.parse().unwrap());
    let path = PathAndQuery::from_static("/kitchen.Kitchen/Echo");
    let call = grpc.streaming(request, path, ProstCodec::<String, String>::default());
    let mut messages = tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap().into_inner();
    for number in 0..20 {
        let text = format!("{number}: {}", "x".repeat(1000 * number));
        sender.send(text.clone()).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(answer, text);
    }
    drop(sender);
    assert!(tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().is_none(), "the status is OK");
}

#[tokio::test]
async fn what_the_router_refuses_is_told_in_the_protocol() {
    let dev = start().await;
    let mut grpc = client(&dev).await;
    for (method, code, words) in [
        ("/unknown.Kitchen/Echo", Code::Unimplemented, "No route matches"),
        ("/kitchen.Kitchen2/Echo", Code::Unimplemented, "No route matches"),
        ("/broken.Kitchen/Echo", Code::Unavailable, "no valid backend"),
    ] {
        let refused = call(&mut grpc, method, &[]).await.unwrap_err();
        assert_eq!(refused.code(), code, "{method}: {refused:?}");
        assert!(refused.message().contains(words), "{method}: {refused:?}");
        assert!(refused.metadata().get("proxy-status").is_some(), "{method}: {refused:?}");
    }
    let refused = call(&mut grpc, "/kitchen.Kitchen/Never", &[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    const DELAY: Duration = Duration::from_secs(2);
    let dev = start().await;
    for host in ["second.test", "third.test"] {
        let stream = TcpStream::connect(dev.listener("shared").unwrap()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let path = format!("/events?count=2&delay={}", DELAY.as_millis());
        let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let mut seen = Vec::new();
        while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap() {
            seen.push((frame.unwrap().into_data().unwrap(), Instant::now()));
        }
        let texts: Vec<&[u8]> = seen.iter().map(|it| &*it.0).collect();
        assert_eq!(texts, [b"id: 0\ndata: event 0\n\n", b"id: 1\ndata: event 1\n\n"], "{host}");
        // The first one came when it was sent, not with the second.
        assert!(seen[1].1 - seen[0].1 > DELAY / 2, "{host}");
    }
}
