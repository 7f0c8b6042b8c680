//! The admin pages: `/livez`, `/readyz` and `/metrics`.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long a client may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The task that decides is dead if it has not come around for so long: then a restart is better than silence.
const STUCK: Duration = Duration::from_secs(60);

/// What the operator still waits for before it is ready, and whether it moves at all.
#[derive(Clone, Debug)]
pub(crate) struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    waiting: BTreeSet<&'static str>,
    seen: Instant,
}

impl Health {
    /// Not ready until all of these are done.
    pub(crate) fn new(waiting: &[&'static str]) -> Self {
        Self(Arc::new(Mutex::new(State { waiting: waiting.iter().copied().collect(), seen: Instant::now() })))
    }

    /// One thing is done, now or since long.
    pub(crate) fn done(&self, what: &'static str) {
        self.0.lock().waiting.remove(what);
    }

    /// The task that decides has come around.
    pub(crate) fn alive(&self) {
        self.0.lock().seen = Instant::now();
    }

    fn stuck(&self) -> bool {
        self.0.lock().seen.elapsed() > STUCK
    }

    fn waiting(&self) -> Vec<&'static str> {
        self.0.lock().waiting.iter().copied().collect()
    }
}

/// Binds and serves until the token is cancelled.
pub(crate) async fn serve(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
    done: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = done.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, say: it passes.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (health, metrics) = (health.clone(), metrics.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = answer(&health, &metrics, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "an admin connection ended");
                }
            });
        }
    });
    Ok(address)
}

fn answer(health: &Health, metrics: &Metrics, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "the admin pages answer GET only\n");
    }
    match request.uri().path() {
        "/livez" if health.stuck() => text(StatusCode::INTERNAL_SERVER_ERROR, "the deciding task is stuck\n"),
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match health.waiting() {
            waiting if waiting.is_empty() => text(StatusCode::OK, "ok\n"),
            waiting => text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", waiting.join(", "))),
        },
        "/metrics" => {
            let mut response = text(StatusCode::OK, metrics.text());
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "pages: /livez /readyz /metrics\n"),
    }
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.into())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
