//! KEDA's side, over real connections.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{
    Source, clients_of,
    protocol::{
        GetMetricsRequest, IsActiveResponse, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
        external_scaler_server::ExternalScaler,
    },
    serve,
    service::Service,
};
use crate::{
    external_metrics::tests::{Pki, connect},
    plan::Name,
    signals::WorkloadSignals,
};

/// Signals as a test says.
pub(crate) struct Fake {
    signals: Mutex<HashMap<Name, WorkloadSignals>>,
    changes: watch::Sender<u64>,
    ready: AtomicBool,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { signals: Mutex::default(), changes: watch::channel(0).0, ready: AtomicBool::new(true) })
    }

    pub(crate) fn set(&self, namespace: &str, name: &str, signals: WorkloadSignals) {
        self.signals.lock().insert(Name::new(namespace, name), signals);
        self.changes.send_modify(|it| *it += 1);
    }

    pub(crate) fn remove(&self, namespace: &str, name: &str) {
        self.signals.lock().remove(&Name::new(namespace, name));
        self.changes.send_modify(|it| *it += 1);
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
        self.changes.send_modify(|it| *it += 1);
    }
}

impl Source for Fake {
    fn signals(&self, workload: &Name) -> Option<WorkloadSignals> {
        self.signals.lock().get(workload).copied()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}

/// A server's certificate.
#[derive(Debug)]
pub(crate) struct Fixed(Arc<CertifiedKey>);

impl Fixed {
    pub(crate) fn new(pki: &Pki) -> Arc<Self> {
        let server = pki.server("localhost");
        let key = PrivateKeyDer::try_from(server.key.serialize_der()).unwrap();
        let pair = CertifiedKey::from_der(vec![server.certificate], key, &aws_lc_rs::default_provider()).unwrap();
        Arc::new(Self(Arc::new(pair)))
    }
}

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A scaler that serves.
struct Running {
    address: SocketAddr,
    done: CancellationToken,
    task: JoinHandle<Result<(), rustls::Error>>,
}

impl Running {
    async fn start(fake: Arc<Fake>, pki: &Pki, clients: Option<Arc<dyn ClientCertVerifier>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, done) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(serve(listener, Fixed::new(pki), clients, fake, done.clone()));
        Self { address, done, task }
    }

    async fn client(&self, tls: ClientTlsConfig) -> Result<ExternalScalerClient<Channel>, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address))?;
        let channel = endpoint.tls_config(tls.domain_name("localhost"))?.connect().await?;
        Ok(ExternalScalerClient::new(channel))
    }
}

fn trusting(pki: &Pki) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&pki.authority))
}

/// A trigger's keys and values.
type Metadata<'a> = &'a [(&'a str, &'a str)];

fn asks(namespace: &str, metadata: Metadata<'_>) -> ScaledObjectRef {
    let scaler_metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ScaledObjectRef { name: "api".into(), namespace: namespace.into(), scaler_metadata }
}

pub(crate) fn busy() -> WorkloadSignals {
    WorkloadSignals {
        replicas: 4,
        capacity: 40,
        in_flight: 28,
        queued: 4,
        requests_per_second: 12.5,
        latency: 0.2,
        ..WorkloadSignals::default()
    }
}

async fn next(stream: &mut Streaming<IsActiveResponse>) -> Option<bool> {
    let message = timeout(Duration::from_secs(5), stream.message()).await.unwrap().unwrap();
    message.map(|it| it.result)
}

#[tokio::test]
async fn keda_is_told_the_target_and_the_total() {
    let (fake, pki) = (Fake::new(), Pki::new());
    fake.set("shop", "api", busy());
    fake.set("other", "api", WorkloadSignals { in_flight: 1000, ..busy() });
    let running = Running::start(fake, &pki, None).await;
    let mut keda = running.client(trusting(&pki)).await.unwrap();
    let cases: [(Metadata<'_>, &str, f64, f64); 4] = [
        (&[], "penstock-utilization", 0.8, 3.2),
        (&[("metricName", "requests_per_second"), ("targetValue", "2.5")], "penstock-requests_per_second", 2.5, 12.5),
        (&[("metricName", "latency_seconds"), ("targetValue", "50m")], "penstock-latency_seconds", 0.05, 0.8),
        (&[("metricName", "shed_per_second"), ("targetValue", "1")], "penstock-shed_per_second", 1.0, 0.0),
    ];
    for (metadata, name, target, total) in cases {
        let spec = keda.get_metric_spec(asks("shop", metadata)).await.unwrap().into_inner().metric_specs;
        assert_eq!(spec.len(), 1);
        assert_eq!(spec[0].metric_name, name);
        assert!((spec[0].target_size_float - target).abs() < 1e-9, "{spec:?}");
        let request = GetMetricsRequest {
            scaled_object_ref: Some(asks("shop", metadata)),
            metric_name: spec[0].metric_name.clone(),
        };
        let values = keda.get_metrics(request).await.unwrap().into_inner().metric_values;
        assert_eq!(values.len(), 1);
        assert_eq!(values[0].metric_name, name);
        assert!((values[0].metric_value_float - total).abs() < 1e-9, "{values:?}");
        // KEDA reads this one where the other is 0.
        assert_eq!(values[0].metric_value == 0, total == 0.0);
        assert!(keda.is_active(asks("shop", metadata)).await.unwrap().into_inner().result);
    }
    running.done.cancel();
    timeout(Duration::from_secs(5), running.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_answered_says_what_to_do() {
    let (fake, pki) = (Fake::new(), Pki::new());
    fake.set("other", "api", busy());
    let running = Running::start(fake.clone(), &pki, None).await;
    let mut keda = running.client(trusting(&pki)).await.unwrap();
    // Another namespace's workload of that name is none.
    let status = keda.is_active(asks("shop", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("no WorkloadDeployment api in namespace shop"), "{status}");
    assert_eq!(keda.stream_is_active(asks("shop", &[])).await.unwrap_err().code(), Code::NotFound);
    let request = GetMetricsRequest { scaled_object_ref: Some(asks("shop", &[])), metric_name: String::new() };
    assert_eq!(keda.get_metrics(request).await.unwrap_err().code(), Code::NotFound);
    let status = keda.is_active(asks("shop", &[("workload", "other/api")])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let status = keda.get_metric_spec(asks("other", &[("targetValue", "lots")])).await.unwrap_err();
    assert_eq!((status.code(), status.message().contains("trigger's targetValue")), (Code::InvalidArgument, true));
    let status = keda.get_metrics(GetMetricsRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);

    fake.set_ready(false);
    // Its connections end too; the next one is told why.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut keda = running.client(trusting(&pki)).await.unwrap();
    let status = keda.is_active(asks("other", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("does not lead"), "{status}");
    assert_eq!(keda.stream_is_active(asks("other", &[])).await.unwrap_err().code(), Code::Unavailable);
    let request = GetMetricsRequest { scaled_object_ref: Some(asks("other", &[])), metric_name: String::new() };
    assert_eq!(keda.get_metrics(request).await.unwrap_err().code(), Code::Unavailable);
    assert!(keda.get_metric_spec(asks("other", &[])).await.is_ok());
}

#[tokio::test]
async fn a_stream_tells_at_once_when_a_workload_at_zero_is_called() {
    let (fake, pki) = (Fake::new(), Pki::new());
    fake.set("shop", "api", WorkloadSignals::default());
    let running = Running::start(fake.clone(), &pki, None).await;
    let mut keda = running.client(trusting(&pki)).await.unwrap();
    let mut stream = keda.stream_is_active(asks("shop", &[])).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(false));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = std::time::Instant::now();
    fake.set("shop", "api", WorkloadSignals { queued: 1, ..WorkloadSignals::default() });
    assert_eq!(next(&mut stream).await, Some(true));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // It runs: nothing is new.
    fake.set("shop", "api", WorkloadSignals { replicas: 1, capacity: 1, in_flight: 1, ..WorkloadSignals::default() });
    assert!(timeout(Duration::from_millis(300), stream.message()).await.is_err());
    // It was scaled to zero by hand, and is called again.
    fake.set("shop", "api", WorkloadSignals { queued: 1, ..WorkloadSignals::default() });
    assert_eq!(next(&mut stream).await, Some(true));
    // It is gone.
    fake.remove("shop", "api");
    let status = timeout(Duration::from_secs(5), stream.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_stream_has_at_most_ten_words_a_second() {
    let (fake, pki) = (Fake::new(), Pki::new());
    fake.set("shop", "api", WorkloadSignals::default());
    let running = Running::start(fake.clone(), &pki, None).await;
    let mut keda = running.client(trusting(&pki)).await.unwrap();
    let mut stream = keda.stream_is_active(asks("shop", &[])).await.unwrap().into_inner();
    let flickering = tokio::spawn(async move {
        for turn in 0_u64.. {
            fake.set("shop", "api", WorkloadSignals { queued: turn % 2, ..WorkloadSignals::default() });
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let mut words = 0;
    let count = async {
        while stream.message().await.unwrap().is_some() {
            words += 1
        }
    };
    assert!(timeout(Duration::from_secs(1), count).await.is_err());
    assert!((2..=12).contains(&words), "{words}");
    flickering.abort();
}

#[tokio::test]
async fn streams_end_well_and_connections_with_them_when_another_leads() {
    let (fake, pki) = (Fake::new(), Pki::new());
    fake.set("shop", "api", busy());
    let running = Running::start(fake.clone(), &pki, None).await;
    let mut keda = running.client(trusting(&pki)).await.unwrap();
    let mut stream = keda.stream_is_active(asks("shop", &[])).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(true));
    fake.set_ready(false);
    // An end that is no error: KEDA comes again in two seconds.
    assert_eq!(next(&mut stream).await, None);
    fake.set_ready(true);
    let again = async {
        loop {
            match keda.stream_is_active(asks("shop", &[])).await {
                Ok(stream) => return stream.into_inner(),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let mut stream = timeout(Duration::from_secs(5), again).await.unwrap();
    assert_eq!(next(&mut stream).await, Some(true));
    running.done.cancel();
    assert_eq!(next(&mut stream).await, None);
    timeout(Duration::from_secs(5), running.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn connections_end_when_another_leads_and_new_ones_last_for_a_moment() {
    let (fake, pki) = (Fake::new(), Pki::new());
    let running = Running::start(fake.clone(), &pki, None).await;
    let (_sender, connection) = connect(running.address, pki.roots(), None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!connection.is_finished());
    fake.set_ready(false);
    timeout(Duration::from_secs(3), connection).await.unwrap().unwrap();
    let (_sender, connection) = connect(running.address, pki.roots(), None).await.unwrap();
    timeout(Duration::from_secs(3), connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_says_nothing_of_what_is_only_not_known_any_more() {
    let fake = Fake::new();
    fake.set("shop", "api", busy());
    // Nobody tells this one that the term is over.
    let service = Service::new(fake.clone(), 1, CancellationToken::new());
    let stream = service.stream_is_active(tonic::Request::new(asks("shop", &[]))).await.unwrap();
    let mut stream = stream.into_inner();
    assert!(stream.next().await.unwrap().unwrap().result);
    fake.set_ready(false);
    fake.remove("shop", "api");
    let end = timeout(Duration::from_secs(5), stream.next()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn there_is_an_end_to_streams_and_a_place_that_is_left_is_free() {
    let fake = Fake::new();
    fake.set("shop", "api", busy());
    let done = CancellationToken::new();
    let service = Service::new(fake, 2, done.clone());
    let open = || service.stream_is_active(tonic::Request::new(asks("shop", &[])));
    let (mut first, _second) = (open().await.unwrap().into_inner(), open().await.unwrap());
    // It has begun, and waits for a change.
    assert!(first.next().await.unwrap().unwrap().result);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let status = open().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(first);
    timeout(Duration::from_secs(5), async {
        while open().await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn with_an_authority_for_clients_only_its_own_are_answered() {
    let (fake, pki, others) = (Fake::new(), Pki::new(), Pki::new());
    fake.set("shop", "api", busy());
    let running = Running::start(fake, &pki, Some(clients_of(&pki.authority).unwrap())).await;
    let identity = |pki: &Pki| {
        let client = pki.client("keda-operator");
        Identity::from_pem(client.pem, client.key.serialize_pem())
    };
    let mut keda = running.client(trusting(&pki).identity(identity(&pki))).await.unwrap();
    assert!(keda.is_active(asks("shop", &[])).await.is_ok());
    for tls in [trusting(&pki), trusting(&pki).identity(identity(&others))] {
        let refused = match running.client(tls).await {
            Ok(mut keda) => keda.is_active(asks("shop", &[])).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
}
