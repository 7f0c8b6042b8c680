//! A real host in this process, with real components, and a plain HTTP client for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use penstock_api::{
    route::{HttpPathMatch, HttpRouteMatch},
    snapshot::{Capacity, Component, Listener, Route, RouteBackend, RouteRule, Share, Snapshot},
};
use penstock_host::{Host, HostConfig, HostStatus, ShareState};
use tokio::{net::TcpStream, time::timeout};

/// Nothing in a test takes longer, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The path of a component under `tests/guests/components`.
pub fn component(name: &str) -> String {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/components").join(format!("{name}.wasm"));
    format!("file://{}", path.canonicalize().expect("a component that is checked in").display())
}

/// A workload of one component, `default/NAME@1`.
pub fn share(name: &str, image: &str) -> Share {
    Share {
        id: format!("default/{name}@1"),
        deployment: format!("default/{name}"),
        revision: "1".into(),
        replicas: 1,
        capacity: Capacity::default(),
        request_timeout_ms: 60_000,
        components: vec![Component { name: name.into(), image: component(image), ..Component::default() }],
        ..Share::default()
    }
}

/// A route that sends everything under `prefix` to a deployment.
pub fn route(prefix: &str, deployment: &str) -> Route {
    let path = HttpPathMatch { value: prefix.into(), ..HttpPathMatch::default() };
    Route {
        name: format!("default/{deployment}"),
        rules: vec![RouteRule {
            matches: vec![HttpRouteMatch { path: Some(path), ..HttpRouteMatch::default() }],
            backends: vec![RouteBackend {
                deployment: format!("default/{deployment}"),
                weight: 1,
                ..RouteBackend::default()
            }],
            ..RouteRule::default()
        }],
        ..Route::default()
    }
}

/// A snapshot with one listener for these workloads, each under `/NAME`, or under `/` if there is only one.
pub fn snapshot(version: u64, shares: Vec<Share>) -> Snapshot {
    let only = shares.len() == 1;
    let name = |share: &Share| share.deployment.trim_start_matches("default/").to_owned();
    let routes = shares
        .iter()
        .map(|share| route(&if only { "/".into() } else { format!("/{}", name(share)) }, &name(share)))
        .collect();
    let listener = Listener { name: "test".into(), address: "127.0.0.1:0".into(), port: None, routes, tls: None };
    Snapshot { version, shares, listeners: vec![listener] }
}

pub struct TestHost {
    pub host: Arc<Host>,
    pub address: SocketAddr,
    _cache: tempfile::TempDir,
}

impl TestHost {
    /// Starts a host and waits until every share is ready or failed.
    pub async fn start(shares: Vec<Share>) -> Self {
        Self::with(shares, |_| {}).await
    }

    pub async fn with(shares: Vec<Share>, change: impl FnOnce(&mut HostConfig)) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let mut config = HostConfig::new(cache.path().join("cache"));
        change(&mut config);
        let host = Host::start(config, Arc::new(())).unwrap();
        host.apply(snapshot(1, shares));
        let status = wait(&host, |status| {
            let listening = status.listeners.get("test").is_some_and(|listener| listener.address.is_some());
            listening && status.version == 1
        })
        .await;
        let address = status.listeners["test"].address.unwrap();
        Self { host, address, _cache: cache }
    }

    pub fn status(&self) -> HostStatus {
        self.host.status().borrow().clone()
    }

    /// Why a share failed.
    pub fn failure(&self, id: &str) -> String {
        let share = &self.status().shares[id];
        assert_eq!(share.state, ShareState::Failed, "{share:?}");
        share.message.clone().unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Full::default()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        timeout(PATIENCE, async { Reply::read(self.open(request).await).await }).await.expect("an answer in time")
    }

    /// The response's head, its body still open.
    pub async fn open(&self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(TcpStream::connect(self.address).await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        request.headers_mut().entry("host").or_insert("test.localhost".parse().unwrap());
        sender.send_request(request).await.unwrap()
    }
}

pub async fn wait(host: &Host, done: impl FnMut(&HostStatus) -> bool) -> HostStatus {
    let mut status = host.status();
    timeout(PATIENCE, status.wait_for(done)).await.expect("the state in time").unwrap().clone()
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    /// The body broke off.
    pub broken: bool,
}

impl Reply {
    pub async fn read(response: Response<Incoming>) -> Self {
        let (parts, mut body) = response.into_parts();
        let (mut bytes, mut broken) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(_) => broken = true,
            }
        }
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            broken,
        }
    }

    /// The problem document of a generated response.
    pub fn problem(&self) -> BTreeMap<String, serde_json::Value> {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
