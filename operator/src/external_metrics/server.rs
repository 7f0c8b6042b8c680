//! Where `kube-apiserver` connects.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use jiff::Timestamp;
use rustls::{ServerConfig, pki_types::CertificateDer, server::ResolvesServerCert};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Access, Authorize, FrontProxy, Verdict, answer, status::failure};
use crate::{accept::accept, scaler::Source};

/// How long a client may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that is gone without a word is found out within the sum of these.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// How long a connection lives where nothing can be answered: long enough to be told so.
const BRIEFLY: Duration = Duration::from_secs(1);
/// How long the last answers may take.
const END: Duration = Duration::from_secs(2);

/// What is trusted now.
type Trusted = Arc<ArcSwapOption<(Arc<FrontProxy>, Arc<ServerConfig>)>>;

/// What a request is answered with.
struct Service {
    source: Arc<dyn Source>,
    authorize: Arc<dyn Authorize>,
}

/// Answers on `listener` until `done`; nobody before `front` is known.
pub async fn serve(
    listener: TcpListener,
    certificates: Arc<dyn ResolvesServerCert>,
    front: watch::Receiver<Option<Arc<FrontProxy>>>,
    authorize: Arc<dyn Authorize>,
    source: Arc<dyn Source>,
    done: CancellationToken,
) {
    let trusted = Trusted::default();
    let following = tokio::spawn(done.clone().run_until_cancelled_owned(keep(trusted.clone(), front, certificates)));
    let service = Arc::new(Service { source, authorize });
    let config = {
        let trusted = trusted.clone();
        move || trusted.load().as_ref().map(|it| it.1.clone())
    };
    let mut incoming = accept(Arc::new(listener), config, "external metrics", done.clone());
    let connections = TaskTracker::new();
    while let Some(Ok(stream)) = incoming.next().await {
        connections.spawn(connection(service.clone(), trusted.clone(), stream, done.clone()));
    }
    let _ = following.await;
    connections.close();
    if tokio::time::timeout(END, connections.wait()).await.is_err() {
        tracing::debug!("connections of external metrics are left as they are");
    }
}

/// Follows what is trusted.
async fn keep(
    trusted: Trusted,
    mut front: watch::Receiver<Option<Arc<FrontProxy>>>,
    certificates: Arc<dyn ResolvesServerCert>,
) {
    loop {
        let newest = front.borrow_and_update().clone();
        let config = newest.as_ref().map(|it| it.server_config(certificates.clone())).transpose();
        match config {
            Ok(config) => trusted.store(newest.zip(config.map(Arc::new)).map(Arc::new)),
            Err(error) => tracing::error!(%error, "external metrics cannot be served"),
        }
        if front.changed().await.is_err() {
            return;
        }
    }
}

async fn connection(service: Arc<Service>, trusted: Trusted, stream: TlsStream<TcpStream>, done: CancellationToken) {
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|it| it.first()).map(|it| it.clone().into_owned());
    let certificate = Arc::new(certificate);
    let leaving = left(service.source.clone());
    let handle = service_fn(move |request: Request<Incoming>| {
        let (service, trusted, certificate) = (service.clone(), trusted.clone(), certificate.clone());
        async move {
            // What is trusted now counts, not what was when the connection began.
            let front = trusted.load_full();
            let response = match (front.as_deref(), certificate.as_ref()) {
                (Some((front, _)), Some(certificate)) => service.respond(front, certificate, &request).await,
                _ => failure(StatusCode::UNAUTHORIZED, "there is no certificate"),
            };
            Ok::<_, Infallible>(response.map(|it| Full::new(Bytes::from(it))))
        }
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PONG);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), handle));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            tokio::select! {
                () = leaving => {}
                () = done.cancelled() => {}
            }
        } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of external metrics ended");
    }
}

/// Returns when a connection should be closed, since this operator does not lead: a Service moves no connection that is open.
async fn left(source: Arc<dyn Source>) {
    let mut changes = source.changes();
    while source.ready() {
        if changes.changed().await.is_err() {
            break;
        }
    }
    tokio::time::sleep(BRIEFLY).await;
}

// === impl Service ===

impl Service {
    async fn respond(
        &self,
        front: &FrontProxy,
        certificate: &CertificateDer<'_>,
        request: &Request<Incoming>,
    ) -> Response<String> {
        if !front.allows(certificate) {
            let message = "this certificate is not that of the API server's front proxy: ask the API server instead";
            return failure(StatusCode::UNAUTHORIZED, message);
        }
        let Some(user) = front.user(request.headers()) else {
            return failure(StatusCode::UNAUTHORIZED, "the request does not say for whom it is");
        };
        let path = request.uri().path();
        if let Some(access) = Access::of(path) {
            match self.authorize.authorize(&user, access).await {
                Ok(Verdict::Allowed) => {}
                Ok(Verdict::Denied(why)) => {
                    let (metric, namespace) = (access.metric, access.namespace);
                    let message = format!("{} may not list {metric} in namespace {namespace}: {why}", user.name);
                    return failure(StatusCode::FORBIDDEN, &message);
                }
                Err(why) => {
                    let message = format!("nobody can say whether {} may: {why}", user.name);
                    return failure(StatusCode::SERVICE_UNAVAILABLE, &message);
                }
            }
        }
        answer(&*self.source, request.method(), path, request.uri().query(), Timestamp::now())
    }
}
