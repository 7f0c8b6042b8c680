//! What a request is handed to once it has been matched and admitted.

use std::{future::Future, net::SocketAddr, pin::Pin};

use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

use crate::{Body, Error};

/// The answer of a [`Backend`], boxed so that backends of different kinds stand in one route table.
pub type BackendFuture<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send + 'a>>;

/// Answers requests: a pool of component instances, another process, a function in a test.
///
/// The router calls a backend only with an admission permit in hand and keeps the permit until the response's body has
/// ended or was dropped. A backend stops its work when the future, or later the response body, is dropped: that is how
/// it learns that the client left or that the deadline passed.
pub trait Backend: Send + Sync + 'static {
    /// `namespace/name` of what answers, for access records and metrics: one of a small, fixed set.
    fn name(&self) -> &str;

    /// Its own name among all that answer under that name, such as `namespace/name@revision`: failures are counted by it.
    /// `None`: it is nothing that can fail by itself.
    fn id(&self) -> Option<&str> {
        None
    }

    /// How loaded it is, as an ORCA load report in the header `endpoint-load-metrics` of its responses. Asked once for each response
    /// of a listener that [reports loads](crate::ListenerConfig::load_reports), so it is computed beforehand.
    fn load_report(&self) -> Option<HeaderValue> {
        None
    }

    /// Another that has room for one more call, asked when this one has none: the same workload on another host, say. It is
    /// called without a permit, and at most once for a request. An error that tells that the call [was not
    /// started](crate::Cause::not_started) sends it back, to wait here.
    fn elsewhere(&self) -> Option<Box<dyn Backend>> {
        None
    }

    /// Answers one request.
    fn call<'a>(&'a self, request: Request<Body>, context: CallContext) -> BackendFuture<'a>;
}

/// What a backend may know of a call beside the request itself.
#[derive(Clone, Copy, Debug)]
pub struct CallContext {
    /// The client's address, as the connection, its PROXY header or a trusted peer's forwarding headers give it. Its port
    /// is 0 if those do not tell.
    pub client: SocketAddr,
    /// Whether the client's connection is encrypted, to us or (as a trusted peer says) to what stands in front.
    pub tls: bool,
    /// When the request must have been answered (headers and body; the router enforces it too).
    pub deadline: Option<Instant>,
}
