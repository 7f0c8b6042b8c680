//! The API server's side, over real TLS.

use std::{collections::BTreeMap, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{Access, Authorize, FrontProxy, User, Verdict, answer, serve, subject_access_review};
use crate::{
    scaler::tests::{Fake, Fixed},
    signals::{Signal, WorkloadSignals},
};

/// An authority.
pub(crate) struct Pki {
    /// Its certificate, PEM.
    pub(crate) authority: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What it has signed.
pub(crate) struct Signed {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "front-proxy-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = params.self_signed(&key).unwrap().pem();
        Self { authority, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn client(&self, name: &str) -> Signed {
        self.sign(CertificateParams::default(), name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub(crate) fn server(&self, name: &str) -> Signed {
        self.sign(CertificateParams::new([name.to_owned()]).unwrap(), name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        roots
    }

    fn sign(&self, mut params: CertificateParams, name: &str, purpose: ExtendedKeyUsagePurpose) -> Signed {
        let key = KeyPair::generate().unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }
}

/// Allows one user, and keeps what it was asked.
#[derive(Default)]
struct OnlyAnn(Mutex<Vec<Value>>);

impl Authorize for OnlyAnn {
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        access: Access<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, String>> + Send + 'a>> {
        Box::pin(async move {
            self.0.lock().push(subject_access_review(user, access));
            match user.name.as_str() {
                "ann" => Ok(Verdict::Allowed),
                "nobody-knows" => Err("the API server is away".to_owned()),
                _ => Ok(Verdict::Denied("no rule allows it".to_owned())),
            }
        })
    }
}

const METRICS: &str = "/apis/external.metrics.k8s.io/v1beta1";
const RPS: &str =
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/requests_per_second?labelSelector=workload%3Dapi";

fn busy() -> WorkloadSignals {
    WorkloadSignals { latency: 0.25, ..crate::scaler::tests::busy() }
}

fn fake() -> Arc<Fake> {
    let fake = Fake::new();
    fake.set("shop", "api", busy());
    fake.set("other", "web", busy());
    fake
}

fn get(fake: &Fake, target: &str) -> (StatusCode, Value) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    read(&answer(fake, &Method::GET, path, query, "2026-11-27T10:00:00.123456Z".parse::<Timestamp>().unwrap()))
}

fn read(response: &Response<String>) -> (StatusCode, Value) {
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status(), serde_json::from_str(response.body()).unwrap())
}

#[test]
fn a_value_is_a_total_in_kubernetes_own_words() {
    let (status, list) = get(&fake(), RPS);
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [{
            "metricName": "requests_per_second",
            "metricLabels": { "workload": "api" },
            "timestamp": "2026-11-27T10:00:00Z",
            "window": 1,
            "value": "12500m",
        }],
    });
    assert_eq!(list, expected);
    let value = |metric| {
        let (status, list) = get(&fake(), &format!("{METRICS}/namespaces/shop/{metric}?labelSelector=workload%3Dapi"));
        assert_eq!(status, StatusCode::OK);
        list["items"][0]["value"].as_str().unwrap().to_owned()
    };
    // Four replicas of 0.8 and of 0.25 s.
    assert_eq!((value("utilization").as_str(), value("latency_seconds").as_str()), ("3200m", "1"));
    assert_eq!((value("in_flight").as_str(), value("shed_per_second").as_str()), ("28", "0"));
}

#[test]
fn discovery_leads_to_every_signal() {
    let (status, groups) = get(&fake(), "/apis");
    assert_eq!((status, &groups["kind"]), (StatusCode::OK, &json!("APIGroupList")));
    assert_eq!(groups["groups"][0]["name"], "external.metrics.k8s.io");
    let (_, group) = get(&fake(), "/apis/external.metrics.k8s.io");
    assert_eq!(group["kind"], "APIGroup");
    assert_eq!(group["preferredVersion"]["groupVersion"], "external.metrics.k8s.io/v1beta1");
    for path in [METRICS.to_owned(), format!("{METRICS}/"), format!("{METRICS}?timeout=32s")] {
        let (status, list) = get(&fake(), &path);
        assert_eq!((status, &list["kind"]), (StatusCode::OK, &json!("APIResourceList")));
        assert_eq!(list["groupVersion"], "external.metrics.k8s.io/v1beta1");
        let names: Vec<_> = list["resources"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
        assert_eq!(names, Signal::ALL.map(|it| json!(it.name())));
    }
}

#[test]
fn what_cannot_be_answered_is_a_status_that_says_what_to_do() {
    let cases = [
        (format!("{METRICS}/namespaces/shop/rps?labelSelector=workload%3Dapi"), 404, "requests_per_second, in_flight"),
        (format!("{METRICS}/namespaces/shop/queued"), 400, "labelSelector=workload=NAME"),
        (format!("{METRICS}/namespaces/shop/queued?labelSelector=app%3Dapi"), 400, "labelSelector=workload=NAME"),
        (format!("{METRICS}/namespaces/shop/queued?labelSelector=workload%3Dweb"), 404, "no WorkloadDeployment web"),
        (format!("{METRICS}/namespaces/shop/queued?watch=true&labelSelector=workload%3Dapi"), 405, "watched"),
        (format!("{METRICS}/queued"), 404, "there is only"),
        ("/openapi/v2".to_owned(), 404, "there is only"),
        ("/openapi/v3".to_owned(), 404, "there is only"),
        ("/".to_owned(), 404, "there is only"),
    ];
    for (target, code, text) in cases {
        let (status, body) = get(&fake(), &target);
        assert_eq!((status.as_u16(), &body["code"]), (code, &json!(code)), "{target}");
        assert_eq!((&body["kind"], &body["status"]), (&json!("Status"), &json!("Failure")));
        assert!(body["message"].as_str().unwrap().contains(text), "{body}");
    }
    let fake = fake();
    let (status, _) = read(&answer(&*fake, &Method::DELETE, METRICS, None, Timestamp::UNIX_EPOCH));
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    fake.set_ready(false);
    assert_eq!(get(&fake, RPS).0, StatusCode::SERVICE_UNAVAILABLE);
    // Or the API would count as gone.
    assert_eq!(get(&fake, METRICS).0, StatusCode::OK);
}

/// A server that serves, and what it has asked.
struct Running {
    address: SocketAddr,
    fake: Arc<Fake>,
    asked: Arc<OnlyAnn>,
    front: watch::Sender<Option<Arc<FrontProxy>>>,
    serving: Pki,
    done: CancellationToken,
}

fn front(pki: &Pki) -> Option<Arc<FrontProxy>> {
    let data = BTreeMap::from([
        ("requestheader-client-ca-file".to_owned(), pki.authority.clone()),
        ("requestheader-allowed-names".to_owned(), "[\"front-proxy-client\"]".to_owned()),
    ]);
    Some(Arc::new(FrontProxy::read(&data).unwrap()))
}

pub(crate) type Sender = hyper::client::conn::http2::SendRequest<Empty<bytes::Bytes>>;

impl Running {
    async fn start(known: Option<Arc<FrontProxy>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (front, receiver) = watch::channel(known);
        let (fake, asked, serving, done) = (fake(), Arc::<OnlyAnn>::default(), Pki::new(), CancellationToken::new());
        let certificates = Fixed::new(&serving);
        tokio::spawn(serve(listener, certificates, receiver, asked.clone(), fake.clone(), done.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        Self { address, fake, asked, front, serving, done }
    }

    async fn connect(&self, client: Option<&Signed>) -> Result<Sender, Box<dyn std::error::Error>> {
        Ok(connect(self.address, self.serving.roots(), client).await?.0)
    }
}

/// A connection, and what comes to its end with it.
pub(crate) async fn connect(
    server: SocketAddr,
    roots: RootCertStore,
    client: Option<&Signed>,
) -> Result<(Sender, JoinHandle<()>), Box<dyn std::error::Error>> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::try_from(client.key.serialize_der())?;
            config.with_client_auth_cert(vec![client.certificate.clone()], key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into()?, stream).await?;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    Ok((sender, tokio::spawn(async move { drop(connection.await) })))
}

async fn ask(sender: &mut Sender, target: &str, user: Option<&str>) -> hyper::Result<(StatusCode, Value)> {
    let mut request = Request::get(format!("https://localhost{target}"));
    if let Some(user) = user {
        request = request.header("x-remote-user", user).header("x-remote-group", "system:authenticated");
    }
    let response = sender.send_request(request.body(Empty::new()).unwrap()).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap()))
}

#[tokio::test]
async fn the_front_proxy_is_answered_for_those_who_may() {
    let proxy = Pki::new();
    let running = Running::start(front(&proxy)).await;
    let mut sender = running.connect(Some(&proxy.client("front-proxy-client"))).await.unwrap();
    let (status, list) = ask(&mut sender, RPS, Some("ann")).await.unwrap();
    assert_eq!((status, &list["items"][0]["value"]), (StatusCode::OK, &json!("12500m")));
    let asked = running.asked.0.lock().pop().unwrap();
    assert_eq!(asked["spec"]["groups"], json!(["system:authenticated"]));
    assert_eq!(asked["spec"]["resourceAttributes"]["namespace"], "shop");

    let (status, body) = ask(&mut sender, RPS, Some("bob")).await.unwrap();
    assert_eq!((status, &body["reason"]), (StatusCode::FORBIDDEN, &json!("Forbidden")));
    assert_eq!(body["message"], "bob may not list requests_per_second in namespace shop: no rule allows it");
    assert_eq!(ask(&mut sender, RPS, Some("nobody-knows")).await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&mut sender, RPS, None).await.unwrap().0, StatusCode::UNAUTHORIZED);
    // Whoever looks at discovery is not asked about.
    running.asked.0.lock().clear();
    assert_eq!(ask(&mut sender, METRICS, Some("bob")).await.unwrap().0, StatusCode::OK);
    assert!(running.asked.0.lock().is_empty());
    running.done.cancel();
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (proxy, others) = (Pki::new(), Pki::new());
    let running = Running::start(front(&proxy)).await;
    for client in [None, Some(others.client("front-proxy-client")), Some(proxy.server("front-proxy-client"))] {
        let refused = match running.connect(client.as_ref()).await {
            Ok(mut sender) => ask(&mut sender, RPS, Some("ann")).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    // Of the same authority, and another.
    let mut sender = running.connect(Some(&proxy.client("kubelet"))).await.unwrap();
    for target in [RPS, METRICS] {
        assert_eq!(ask(&mut sender, target, Some("ann")).await.unwrap().0, StatusCode::UNAUTHORIZED);
    }
    assert!(running.asked.0.lock().is_empty());
}

#[tokio::test]
async fn authorities_may_change_and_nobody_is_let_in_before_they_are_known() {
    let (old, new) = (Pki::new(), Pki::new());
    let running = Running::start(None).await;
    assert!(running.connect(Some(&old.client("front-proxy-client"))).await.is_err());
    running.front.send_replace(front(&old));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut sender = running.connect(Some(&old.client("front-proxy-client"))).await.unwrap();
    assert_eq!(ask(&mut sender, RPS, Some("ann")).await.unwrap().0, StatusCode::OK);
    running.front.send_replace(front(&new));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut sender = running.connect(Some(&new.client("front-proxy-client"))).await.unwrap();
    assert_eq!(ask(&mut sender, RPS, Some("ann")).await.unwrap().0, StatusCode::OK);
    let refused = match running.connect(Some(&old.client("front-proxy-client"))).await {
        Ok(mut sender) => ask(&mut sender, RPS, Some("ann")).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
}

#[tokio::test]
async fn who_leads_no_more_says_so_and_closes_connections() {
    let proxy = Pki::new();
    let running = Running::start(front(&proxy)).await;
    let mut sender = running.connect(Some(&proxy.client("front-proxy-client"))).await.unwrap();
    assert_eq!(ask(&mut sender, RPS, Some("ann")).await.unwrap().0, StatusCode::OK);
    running.fake.set_ready(false);
    assert_eq!(ask(&mut sender, RPS, Some("ann")).await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    let closed = async {
        while ask(&mut sender, METRICS, Some("ann")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(5), closed).await.unwrap();
}
