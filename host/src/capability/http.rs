//! `wasi:http`: outgoing requests, under the component's egress policy.

mod policy;
mod send;

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderName, Request, Response};
pub(crate) use policy::{HostRule, InvalidHostRule};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::instance::{Limit, Usage};

/// Outgoing connections of a component that names no limit.
const OUTBOUND_LIMIT: u32 = 1024;
/// How long one more connection waits for another's end, if connecting may take so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which hosts a component may send requests to, and how many at once. An empty list denies all.
#[derive(Debug)]
pub(crate) struct Egress {
    rules: Vec<HostRule>,
    limit: u32,
    places: Arc<Semaphore>,
}

impl Egress {
    /// Parses a manifest's `allowedHosts`.
    pub(crate) fn parse(entries: &[String], limit: Option<u32>) -> Result<Self, InvalidHostRule> {
        let rules = entries.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        let limit = limit.unwrap_or(OUTBOUND_LIMIT);
        Ok(Self { rules, limit, places: Arc::new(Semaphore::new(limit as usize)) })
    }

    /// Connections at once, of all instances of the component.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    fn permits(&self, uri: &http::Uri) -> bool {
        self.rules.iter().any(|rule| rule.permits(uri))
    }
}

/// The hooks of one store.
#[derive(Debug)]
pub(crate) struct Hooks {
    egress: Arc<Egress>,
    usage: Arc<Usage>,
    /// Whether a request waited for a place in vain. Shared with requests under way; made by the first.
    limited: Option<Arc<AtomicBool>>,
}

impl Hooks {
    pub(crate) fn new(egress: Arc<Egress>, usage: Arc<Usage>) -> Self {
        Self { egress, usage, limited: None }
    }

    /// Whether a request of this instance has waited for a place in vain.
    pub(crate) fn was_limited(&self) -> bool {
        self.limited.as_ref().is_some_and(|it| it.load(Relaxed))
    }

    /// A call begins: what an earlier one waited for says nothing of it.
    pub(crate) fn begin_call(&mut self) {
        if let Some(limited) = &self.limited {
            limited.store(false, Relaxed);
        }
    }
}

/// A place for one more connection, or the error after so long.
async fn place(
    egress: &Egress,
    patience: Duration,
    usage: &Usage,
    limited: &AtomicBool,
) -> Result<OwnedSemaphorePermit, Error> {
    if let Ok(Ok(place)) = timeout(patience, egress.places.clone().acquire_owned()).await {
        return Ok(place);
    }
    usage.stop(Limit::Outbound);
    limited.store(true, Relaxed);
    Err(Error::ConnectionLimitReached)
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send>;

static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name: &HeaderName| DEFAULT_FORBIDDEN_HEADERS.contains(name)));

/// Chunks of a 0.2 response body that a guest may write before somebody reads: enough that a small response never
/// waits, and with [`CHUNK`] a bound of 256 KiB per call.
const CHUNKS: usize = 4;
const CHUNK: usize = 64 * 1024;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        FORBIDDEN.clone()
    }

    fn send_request(&mut self, request: Request<WasiBody>, options: Option<RequestOptions>, _: Io) -> Sent {
        if !self.egress.permits(request.uri()) {
            let (scheme, authority) = (request.uri().scheme_str(), request.uri().authority());
            tracing::warn!(
                target: "egress",
                scheme = scheme.unwrap_or_default(),
                authority = authority.map(http::uri::Authority::as_str).unwrap_or_default(),
                "denied: not in allowedHosts"
            );
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let (egress, usage) = (self.egress.clone(), self.usage.clone());
        let limited = self.limited.get_or_insert_default().clone();
        Box::new(async move {
            let options = options.unwrap_or_default();
            let patience = options.connect_timeout.unwrap_or(PATIENCE).min(PATIENCE);
            let place = place(&egress, patience, &usage, &limited).await?;
            let (response, connection) = send::send(request, options, place).await?;
            Ok((response, Box::new(connection) as Io))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}
