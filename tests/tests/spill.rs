//! Calls that a host has no place for, taken by another: three `penstock-host` programs as pods run them, with a real component,
//! and an operator's own server that tells each of the others as the operator does. On loopback, each host with a port of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "control/program.rs"]
mod program;
#[path = "control/support.rs"]
mod support;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use penstock_api::{
    control::PeerShare,
    snapshot::{Capacity, Snapshot},
};
use penstock_operator::{
    hosts::{HostEvent, HostId, Hosts, ShareSignal, ShareState},
    plan::{SpillingHost, peers},
};
use penstock_tests::{
    http::{get, send},
    load::{Answer, Latency, Plan},
    process::{Process, free_port},
};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};

use self::{
    program::{START, admin, kitchen, start},
    support::{Files, Server, until_async},
};

const SHARE: &str = "ns/kitchen@1";

/// Hosts with the same share, and what stands in for the rest of the operator.
struct Fleet {
    hosts: Vec<OneHost>,
    operator: JoinHandle<()>,
    _files: Arc<Files>,
}

struct OneHost {
    process: Process,
    admin: SocketAddr,
    front: SocketAddr,
    peer: SocketAddr,
}

/// What the operator knows of a host.
#[derive(Clone, Default)]
struct Known {
    port: u16,
    ready: bool,
    signal: ShareSignal,
}

// === impl Fleet ===

impl Fleet {
    /// As many hosts as there are numbers of replicas; each replica takes one call at once.
    async fn start(replicas: &[u32], spill: bool) -> Self {
        let names: Vec<String> = (0..replicas.len()).map(|it| format!("host-{it}")).collect();
        let files = Arc::new(Files::new(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let server = Server::start(&files).await;
        let address = server.address;
        let capacity = Capacity { concurrency: 1, queue_depth: 100, queue_timeout_ms: 20_000, spill, burst: 0 };
        let fronts: Vec<SocketAddr> = replicas.iter().map(|_| free_port().unwrap()).collect();
        let mut started: Vec<Process> =
            names.iter().map(|name| start(&files, address, name, &["--drain-delay", "0s"])).collect();
        let snapshots: BTreeMap<HostId, Arc<Snapshot>> = names
            .iter()
            .zip(replicas.iter().zip(&fronts))
            .map(|(name, (replicas, front))| (name.as_str().into(), Arc::new(kitchen(1, *front, *replicas, capacity))))
            .collect();
        let (known, mut told) = watch::channel(BTreeMap::new());
        let operator = tokio::spawn(operate(server, snapshots, known));
        let mut hosts = Vec::new();
        for (process, front) in started.iter_mut().zip(&fronts) {
            let admin = admin(process).await;
            process.answers(admin, "admin", "/readyz", START).await.unwrap();
            hosts.push((admin, *front));
        }
        let all = names.len();
        told.wait_for(|it| it.len() == all && it.values().all(|it| it.ready)).await.unwrap();
        let ports: Vec<u16> = told.borrow().values().map(|it| it.port).collect();
        let hosts = started.into_iter().zip(hosts).zip(ports).map(|((process, (admin, front)), port)| OneHost {
            process,
            admin,
            front,
            peer: ([127, 0, 0, 1], port).into(),
        });
        Self { hosts: hosts.collect(), operator, _files: files }
    }

    /// Until each host can pass calls on to every other.
    async fn joined(&self) {
        for host in &self.hosts {
            host.waits_for("spill_peers", self.hosts.len() as u64 - 1).await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.operator.abort();
    }
}

// === impl OneHost ===

impl OneHost {
    async fn number(&self, name: &str) -> u64 {
        let page = get(self.admin, "admin", "/metrics").await.unwrap();
        let line = format!("penstock_workload_{name}{{workload=\"ns/kitchen\",revision=\"1\"}} ");
        let page = text(&page);
        let value = page.lines().find_map(|it| it.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("{line} is not in\n{page}")).parse().unwrap()
    }

    async fn waits_for(&self, name: &str, value: u64) {
        until_async(async || self.number(name).await == value).await;
    }

    /// A call that keeps a place for so long; it has it when this returns.
    async fn occupy(&self, ms: u64) -> JoinHandle<Response<Bytes>> {
        let front = self.front;
        let call = tokio::spawn(async move { get(front, "a", &format!("/sleep?ms={ms}")).await.unwrap() });
        self.waits_for("in_flight", 1).await;
        call
    }
}

/// What the operator does of it: snapshots for those who come, and each second for each the load of the others.
async fn operate(
    mut server: Server,
    snapshots: BTreeMap<HostId, Arc<Snapshot>>,
    known: watch::Sender<BTreeMap<HostId, Known>>,
) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = clock.tick() => tell(&server.hosts, &snapshots, &known.borrow()),
            event = server.event() => match event {
                HostEvent::Connected(hello) => {
                    server.hosts.push(&hello.host, snapshots[&hello.host].clone());
                    known.send_modify(|it| it.entry(hello.host).or_default().port = hello.peer_port.unwrap());
                }
                HostEvent::Report { host, report, .. } => known.send_modify(|it| {
                    let ready = report.shares.get(SHARE).is_some_and(|it| it.state == ShareState::Ready);
                    it.get_mut(&host).unwrap().ready = ready;
                }),
                HostEvent::Signals { host, signals, .. } => known.send_modify(|it| {
                    if let Some(signal) = signals.into_iter().find(|it| it.share == SHARE) {
                        it.get_mut(&host).unwrap().signal = signal;
                    }
                }),
                HostEvent::Disconnected { host } => known.send_modify(|it| drop(it.remove(&host))),
            }
        }
    }
}

fn tell(hosts: &Hosts, snapshots: &BTreeMap<HostId, Arc<Snapshot>>, known: &BTreeMap<HostId, Known>) {
    let spilling: Vec<SpillingHost<'_>> = known
        .iter()
        .filter(|(id, it)| it.ready && snapshots[*id].shares[0].capacity.spill)
        .map(|(id, it)| SpillingHost {
            id: id.as_str(),
            address: ([127, 0, 0, 1], it.port).into(),
            shares: vec![PeerShare {
                id: SHARE.to_owned(),
                capacity: snapshots[id].shares[0].replicas.into(),
                in_flight: it.signal.counters.in_flight + it.signal.counters.queued,
            }],
        })
        .collect();
    for (id, peers) in peers(&spilling) {
        hosts.tell_peers(&id.into(), Arc::new(peers));
    }
}

#[tokio::test]
async fn a_call_without_a_place_is_answered_by_a_peer_as_if_it_were_here() {
    let fleet = Fleet::start(&[1, 1], true).await;
    let [here, there] = fleet.hosts.as_slice() else { panic!("two hosts") };
    fleet.joined().await;
    let request = || {
        Request::put("/dump?x=%20y")
            .header(header::HOST, "shop.example")
            .header("cookie", "a=1; b=2")
            .body(Full::from("six by"))
            .unwrap()
    };
    // Without what differs from one request to the next.
    let shown = |answer: &Response<Bytes>| {
        let mut shown: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        let headers = shown.get_mut("headers").and_then(|it| it.as_array_mut()).expect("the kitchen shows headers");
        headers.retain(|it| !matches!(it[0].as_str().unwrap(), "x-request-id" | "traceparent"));
        headers.sort_by_key(ToString::to_string);
        shown
    };
    let alone = send(here.front, request()).await.unwrap();
    here.waits_for("in_flight", 0).await;
    let busy = here.occupy(4000).await;
    let passed = send(here.front, request()).await.unwrap();
    assert!(!busy.is_finished(), "nobody waited for it");
    assert_eq!((passed.status(), shown(&passed)), (alone.status(), shown(&alone)));
    let names =
        |answer: &Response<Bytes>| -> Vec<String> { answer.headers().keys().map(ToString::to_string).collect() };
    assert_eq!(names(&passed), names(&alone));
    here.waits_for("spilled_out_total", 1).await;
    there.waits_for("spilled_in_total", 1).await;
    assert_eq!(there.number("spilled_out_total").await, 0);

    // Whose body might not come back stays and waits.
    let large = Request::put("/echo").header(header::HOST, "a").body(Full::from(vec![b'x'; 70_000])).unwrap();
    let answer = send(here.front, large).await.unwrap();
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 70_000));
    assert!(busy.is_finished(), "it waited for its place");
    here.waits_for("admitted_total", 3).await;
    assert_eq!(here.number("spilled_out_total").await, 1);
    assert_eq!(busy.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn when_all_are_full_calls_wait_where_they_came_in() {
    let fleet = Fleet::start(&[1, 1], true).await;
    let [here, there] = fleet.hosts.as_slice() else { panic!("two hosts") };
    fleet.joined().await;
    let (mine, theirs) = (here.occupy(5000).await, there.occupy(8000).await);
    let waits: Vec<_> = (0..5).map(|_| tokio::spawn(get(here.front, "a", "/ok"))).collect();
    here.waits_for("queued", 5).await;
    assert_eq!(there.number("queued").await, 0, "nobody waits elsewhere");
    let refused = here.number("spills_refused_total").await;
    assert!(refused <= 5, "each asks one peer at most: {refused}");
    for wait in waits {
        assert_eq!(wait.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert!(!theirs.is_finished(), "they ran here");
    here.waits_for("admitted_total", 6).await;
    let moved = here.number("spilled_out_total").await + there.number("spilled_out_total").await;
    assert_eq!((moved, there.number("spills_refused_total").await), (0, 0));
    assert!(mine.await.unwrap().status() == StatusCode::OK && theirs.await.unwrap().status() == StatusCode::OK);
}

#[tokio::test]
async fn a_peer_that_dies_loses_no_call_that_may_be_made_again() {
    let fleet = Fleet::start(&[1, 3], true).await;
    fleet.joined().await;
    let busy = fleet.hosts[0].occupy(10_000).await;
    let front = fleet.hosts[0].front;
    let call = |method: http::Method| {
        let request = Request::builder().method(method).uri("/sleep?ms=60000").header(header::HOST, "a");
        tokio::spawn(send(front, request.body(Full::default()).unwrap()))
    };
    let post = call(http::Method::POST);
    fleet.hosts[1].waits_for("in_flight", 1).await;
    // It is made again here, where its place comes free after a while; it would take a minute, as the first time.
    let get = call(http::Method::GET);
    fleet.hosts[1].waits_for("in_flight", 2).await;
    fleet.hosts[1].process.signal("KILL").unwrap();
    let post = post.await.unwrap().unwrap();
    assert_eq!(post.status(), StatusCode::BAD_GATEWAY);
    assert!(text(&post).contains("peer-lost"), "{}", text(&post));
    fleet.hosts[0].waits_for("queued", 1).await;
    assert_eq!(busy.await.unwrap().status(), StatusCode::OK);
    fleet.hosts[0].waits_for("in_flight", 1).await;
    assert!(!get.is_finished());
    fleet.hosts[0].waits_for("spills_lost_total", 2).await;
}

#[tokio::test]
async fn a_host_that_leaves_ends_what_it_has_taken() {
    let mut fleet = Fleet::start(&[1, 1], true).await;
    fleet.joined().await;
    let busy = fleet.hosts[0].occupy(8000).await;
    let post = Request::post("/sleep?ms=5000").header(header::HOST, "a").body(Full::default()).unwrap();
    let post = tokio::spawn(send(fleet.hosts[0].front, post));
    fleet.hosts[1].waits_for("in_flight", 1).await;
    fleet.hosts[1].process.terminate().unwrap();
    let status = fleet.hosts[1].process.exited(START).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", fleet.hosts[1].process.text());
    let post = post.await.unwrap().unwrap();
    assert_eq!(post.status(), StatusCode::OK, "{}", text(&post));
    assert!(!busy.is_finished(), "it did not run where it came in");
    // Nobody is left to ask.
    fleet.hosts[0].waits_for("spill_peers", 0).await;
    assert_eq!(busy.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let fleet = Fleet::start(&[1, 1], true).await;
    fleet.joined().await;
    let stream = TcpStream::connect(fleet.hosts[1].peer).await.unwrap();
    let roots = rustls::RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Anybody));
    config.alpn_protocols.push(b"h2".to_vec());
    let name = rustls::pki_types::ServerName::try_from("host-1.peers.penstock.internal").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    // A client of TLS 1.3 learns that its certificate was wanted when it reads.
    let refused = match stream {
        Err(error) => error.to_string(),
        Ok(mut stream) => {
            let mut read = [0; 64];
            tokio::io::AsyncReadExt::read(&mut stream, &mut read).await.unwrap_err().to_string()
        }
    };
    assert!(refused.contains("CertificateRequired"), "{refused}");
    // Nor is anything else than TLS.
    let plain = get(fleet.hosts[1].peer, "a", "/ok").await;
    assert!(plain.is_err(), "{plain:?}");
}

/// Believes every server.
#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// 12, 10 and 7 replicas, each good for one call of 50 ms at once, four fifths of what they can do together, and a third of it
/// for each host, as kube-proxy has it: the last host gets more than it can do.
#[tokio::test(flavor = "multi_thread")]
async fn an_uneven_spread_at_four_fifths_of_its_load() {
    const REPLICAS: [u32; 3] = [12, 10, 7];
    let (service, seconds) = (0.05, 10);
    let rate = f64::from(REPLICAS.iter().sum::<u32>()) / service * 0.8;
    println!(
        "| calls without a place | p50 ms | p99 ms | max ms | failed | passed on | refused |\n|---|---|---|---|---|---|---|"
    );
    let mut p99 = Vec::new();
    for spill in [false, true] {
        let fleet = Fleet::start(&REPLICAS, spill).await;
        if spill {
            fleet.joined().await;
        }
        let running: Vec<_> = fleet
            .hosts
            .iter()
            .map(|it| {
                let plan = Plan::new(it.front).path("/sleep?ms=50").unwrap();
                plan.connections(200).rate(rate / 3.0).seconds(seconds).check(succeeds).start().unwrap()
            })
            .collect();
        let (mut latency, mut failed) = (Latency::default(), 0);
        for running in running {
            let report = running.finish().await.unwrap();
            latency.merge(&report.latency);
            failed += report.failed;
        }
        let (mut out, mut refused) = (0, 0);
        for host in &fleet.hosts {
            host.waits_for("in_flight", 0).await;
            out += host.number("spilled_out_total").await;
            refused += host.number("spills_refused_total").await;
        }
        let ms = |it: Duration| it.as_secs_f64() * 1e3;
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {failed} | {out} | {refused} |",
            if spill { "go to a peer" } else { "wait" },
            ms(latency.p(0.5)),
            ms(latency.p(0.99)),
            ms(latency.max())
        );
        if spill {
            assert_eq!(failed, 0);
        }
        p99.push(latency.p(0.99));
    }
    assert!(p99[1] * 2 < p99[0], "{p99:?}");
}

fn succeeds(answer: &Answer<'_>) -> Result<(), String> {
    answer.head.status.is_success().then_some(()).ok_or_else(|| answer.head.status.to_string())
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}
