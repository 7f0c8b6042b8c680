//! An operator's server, and the files of its hosts.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{collections::BTreeMap, future::Future, net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use penstock_api::snapshot::{Listener, Share, Snapshot};
use penstock_operator::hosts::{
    self, Certificates, Hello, HostEvent, HostId, Hosts, Identify, Identity, Leader, Material, Refusal, Report,
};
use penstock_tests::sim_host::{Operator, Running};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Nothing in a test takes longer, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// In the operator's certificate.
const NAME: &str = "penstock-operator.penstock-system.svc";

pub fn names() -> Vec<String> {
    vec![NAME.to_owned()]
}

/// Tokens and certificates, as a pod has them in its volumes.
pub struct Files {
    folder: tempfile::TempDir,
    known: BTreeMap<String, Identity>,
    first: Material,
}

impl Files {
    /// Each of these pods has a token of its own, and the first certificates are published.
    pub fn new(pods: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tokens")).unwrap();
        let first = Material::renew(None, &names(), jiff::Timestamp::now()).unwrap().material;
        let identity =
            |pod: &str| Identity { pod: pod.into(), pod_uid: format!("uid-{pod}"), node: Some("node-1".to_owned()) };
        let known = pods.iter().map(|pod| (format!("token-{pod}"), identity(pod))).collect();
        let files = Self { folder, known, first };
        for pod in pods {
            std::fs::write(files.token(pod), format!("token-{pod}\n")).unwrap();
        }
        files.publish(&files.first);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn token(&self, pod: &str) -> PathBuf {
        self.folder.path().join("tokens").join(pod)
    }

    /// Another authority and its certificate, made at that time.
    pub fn material(&self, at: jiff::Timestamp) -> Material {
        Material::renew(None, &names(), at).unwrap().material
    }

    pub fn publish(&self, material: &Material) {
        std::fs::write(self.path("ca.crt"), material.bundle()).unwrap();
    }
}

/// Stands in for the API server.
struct Table(BTreeMap<String, Identity>);

impl Identify for Table {
    fn identify<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Result<Identity, Refusal>> + Send + 'a>> {
        let found = self.0.get(token).cloned();
        Box::pin(async { found.ok_or_else(|| Refusal::Unauthenticated("the token is not valid".to_owned())) })
    }
}

/// An operator that leads, as far as its hosts can see.
pub struct Server {
    pub hosts: Hosts,
    pub certificates: Arc<Certificates>,
    pub address: SocketAddr,
    events: mpsc::Receiver<HostEvent>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(files: &Files) -> Self {
        Self::start_at(files, ([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_at(files: &Files, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hosts, events) = Hosts::new();
        hosts.set_leader(Leader::Me);
        let certificates = Certificates::new();
        certificates.set(&files.first).unwrap();
        let shutdown = CancellationToken::new();
        let identify = Arc::new(Table(files.known.clone()));
        let serve = hosts::serve(listener, certificates.clone(), hosts.clone(), identify, shutdown.clone());
        let task = tokio::spawn(async move { serve.await.unwrap() });
        Self { hosts, certificates, address, events, shutdown, task }
    }

    pub fn operator(&self, files: &Files) -> Operator {
        operator(files, self.address)
    }

    pub fn connect(&self, files: &Files, pod: &str) -> Running {
        self.operator(files).connect(pod, &files.token(pod), None).unwrap()
    }

    pub async fn event(&mut self) -> HostEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("a server")
    }

    /// The next report that `pick` accepts.
    pub async fn report(&mut self, mut pick: impl FnMut(&Report) -> bool) -> Arc<Report> {
        loop {
            if let HostEvent::Report { report, .. } = self.event().await
                && pick(&report)
            {
                return report;
            }
        }
    }

    /// The next hello that `pick` accepts.
    pub async fn connected(&mut self, mut pick: impl FnMut(&Hello) -> bool) -> Hello {
        loop {
            if let HostEvent::Connected(hello) = self.event().await
                && pick(&hello)
            {
                return hello;
            }
        }
    }

    /// The next host that goes.
    pub async fn gone(&mut self) -> HostId {
        loop {
            if let HostEvent::Disconnected { host } = self.event().await {
                return host;
            }
        }
    }

    /// Stops it, and returns when it has stopped.
    pub async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.expect("an end in time").unwrap();
    }
}

pub fn operator(files: &Files, address: SocketAddr) -> Operator {
    Operator { url: format!("https://{address}"), name: NAME.to_owned(), ca: files.path("ca.crt") }
}

pub fn hello(event: HostEvent) -> Hello {
    match event {
        HostEvent::Connected(hello) => hello,
        other => panic!("a hello comes first: {other:?}"),
    }
}

/// What keeps a host from its operator.
pub async fn trouble(host: &Running) -> String {
    until(|| host.trouble().is_some()).await;
    host.trouble().unwrap()
}

/// Waits for what nobody announces.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the condition in time");
}

/// The same where the look itself takes time.
pub async fn until_async(mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the condition in time");
}

pub fn snapshot(version: u64, shares: &[&str]) -> Snapshot {
    let share = |id: &&str| Share {
        id: (*id).to_owned(),
        deployment: id.split('@').next().unwrap().to_owned(),
        revision: id.split('@').next_back().unwrap().to_owned(),
        replicas: 1,
        ..Share::default()
    };
    let listener = Listener { name: "shared".to_owned(), address: "127.0.0.1:8000".to_owned(), ..Listener::default() };
    Snapshot { version, shares: shares.iter().map(share).collect(), listeners: vec![listener] }
}
