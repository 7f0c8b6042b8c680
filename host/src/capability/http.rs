//! `wasi:http`: outgoing requests, under the component's egress policy.

mod policy;
mod send;

use std::sync::{Arc, LazyLock};

use http::{HeaderName, Request, Response};
pub(crate) use policy::{HostRule, InvalidHostRule};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

/// Which hosts a component may send requests to. The default denies all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Egress {
    rules: Vec<HostRule>,
}

impl Egress {
    /// Parses a manifest's `allowedHosts`.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, InvalidHostRule> {
        let rules = entries.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    fn permits(&self, uri: &http::Uri) -> bool {
        self.rules.iter().any(|rule| rule.permits(uri))
    }
}

/// The hooks of one store.
#[derive(Debug)]
pub(crate) struct Hooks {
    egress: Arc<Egress>,
}

impl Hooks {
    pub(crate) fn new(egress: Arc<Egress>) -> Self {
        Self { egress }
    }
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
        Box::new(async move {
            let (response, connection) = send::send(request, options.unwrap_or_default()).await?;
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
