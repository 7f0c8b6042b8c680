//! One request under way: what it holds, and the record that is told of it when it ends, however it ends.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{Action, Peer, Target, origin::Origin, respond::is_grpc, stall::Stall, upload::Upload};
use crate::{
    Cause, Generation,
    admit::Permit,
    filter::CorsAnswer,
    observe::{AccessRecord, Ended},
    route::{Hit, Matched},
};

/// One request under way. Its drop is the request's end: it gives back the permit and tells the observer.
pub(crate) struct Flight {
    pub(crate) peer: Arc<Peer>,
    pub(crate) started: Instant,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// Whether errors are told in gRPC's way.
    pub(crate) grpc: bool,
    uri: Uri,
    /// The Host header, once it was found to be one.
    pub(crate) host: Option<HeaderValue>,
    /// Who sent it, and the ids it goes by, once it was found to be well-formed.
    pub(crate) origin: Origin,
    /// The normalised path, if it is not the one that was sent.
    pub(crate) path: Option<PathAndQuery>,
    pub(crate) upload: Option<Arc<Upload>>,
    /// Of the HTTP/2 stream.
    pub(crate) stall: Option<Arc<Stall>>,
    /// Where it leads, once that is known.
    pub(crate) routed: Option<Routed>,
    /// The place of the backend that was picked among those of the rule.
    pub(crate) target: Option<u32>,
    /// What the response says of CORS, if a filter wants that. Boxed, since most requests have none.
    pub(crate) cors: Option<Box<CorsAnswer>>,
    /// The number of the generation that was asked; 0 before one was.
    pub(crate) generation: u64,
    pub(crate) permit: Option<Permit>,
    pub(crate) queue_wait: Duration,
    /// Calls beyond the first.
    pub(crate) retries: u32,
    pub(crate) first_byte: Option<Duration>,
    /// Gap that the response body may leave between two of its bytes.
    pub(crate) body_timeout: Option<Duration>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) cause: Option<Cause>,
    pub(crate) bytes_out: u64,
    pub(crate) ended: Ended,
}

/// The rule that a request goes to. The generation is kept until the request's end, so that it lives as long as any
/// request that it routed; what is in it is referred to by numbers, which cost no count of its own.
pub(crate) struct Routed {
    pub(crate) generation: Arc<Generation>,
    pub(crate) hit: Hit,
}

// === impl Routed ===

impl Routed {
    #[inline]
    pub(crate) fn action(&self) -> &Action {
        self.generation.table.action(self.hit)
    }

    /// How the path matched.
    #[inline]
    pub(crate) fn matched(&self) -> &Matched {
        self.generation.table.matched(self.hit)
    }
}

/// The names of where a request leads.
#[derive(Clone, Copy)]
pub(crate) struct Leads<'f> {
    routed: Option<&'f Routed>,
    target: Option<u32>,
}

// === impl Leads ===

impl<'f> Leads<'f> {
    /// `namespace/name` of the route that matched.
    pub(crate) fn route(&self) -> Option<&'f str> {
        self.routed.map(|routed| &**routed.generation.table.found(routed.hit).route)
    }

    /// The name of the backend that was picked.
    pub(crate) fn backend(&self) -> Option<&'f str> {
        self.target().map(|target| target.backend.name())
    }

    /// How loaded that one is, if it says so.
    pub(crate) fn load_report(&self) -> Option<HeaderValue> {
        self.target()?.backend.load_report()
    }

    fn target(&self) -> Option<&'f Target> {
        self.routed?.action().backends.get(self.target? as usize)
    }
}

impl fmt::Debug for Leads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leads").field("route", &self.route()).field("backend", &self.backend()).finish()
    }
}

// === impl Flight ===

impl Flight {
    pub(crate) fn begin(peer: Arc<Peer>, request: &Request<Incoming>, stall: Option<Arc<Stall>>) -> Box<Self> {
        peer.begin();
        let origin = Origin::of(peer.source());
        // On the heap from the start: a response takes it along through many hands.
        Box::new(Self {
            peer,
            started: Instant::now(),
            method: request.method().clone(),
            version: request.version(),
            grpc: is_grpc(request.method(), request.version(), request.headers()),
            uri: request.uri().clone(),
            host: None,
            origin,
            path: None,
            upload: None,
            stall,
            routed: None,
            target: None,
            cors: None,
            generation: 0,
            permit: None,
            queue_wait: Duration::ZERO,
            retries: 0,
            first_byte: None,
            body_timeout: None,
            status: None,
            cause: None,
            bytes_out: 0,
            ended: Ended::ClientLeft,
        })
    }

    /// The authority as the client sent it; empty if there is none, or if it was refused.
    pub(crate) fn host(&self) -> &str {
        match (self.uri.authority(), &self.host) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host.to_str().unwrap_or_default(),
            (None, None) => "",
        }
    }

    /// The names of where it leads.
    pub(crate) fn leads(&self) -> Leads<'_> {
        Leads { routed: self.routed.as_ref(), target: self.target }
    }

    fn tell(&self, now: Instant) {
        let record = AccessRecord {
            listener: &self.peer.shared.config.name,
            method: &self.method,
            version: self.version,
            host: self.host(),
            path: self.path.as_ref().map_or_else(|| self.uri.path(), PathAndQuery::path),
            status: self.status,
            cause: self.cause,
            leads: self.leads(),
            generation: self.generation,
            bytes_in: self.upload.as_ref().map_or(0, |upload| upload.bytes()),
            bytes_out: self.bytes_out,
            queue_wait: self.queue_wait,
            retries: self.retries,
            first_byte: self.first_byte,
            total: now.saturating_duration_since(self.started),
            client: self.origin.client,
            peer: self.peer.source().address,
            trace_id: self.origin.trace_id(),
            request_id: self.origin.request_id(),
            ended: self.ended,
        };
        self.peer.shared.observer.request(&record);
    }
}

impl Flight {
    /// Tells those who leave out failing backends how the response ended. A call that gave none is told of where that is known.
    fn judge(&self) {
        let Some(action) = self.routed.as_ref().map(Routed::action) else { return };
        let Some(outliers) = action.policy.as_deref().and_then(|policy| policy.outliers.as_ref()) else { return };
        match (self.target, self.ended, self.cause) {
            (Some(target), Ended::Complete, None) => outliers.succeeded(target as usize),
            (Some(target), Ended::Error, Some(cause)) => outliers.failed(target as usize, cause),
            _ => {}
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some(permit) = self.permit.take() {
            permit.served(now - self.started);
        }
        self.judge();
        if self.upload.is_some() {
            self.peer.leaves_unread(false);
        }
        self.peer.end(now);
        // This may run while a panic unwinds, where a second one would end the process.
        if catch_unwind(AssertUnwindSafe(|| self.tell(now))).is_err() {
            tracing::error!("the observer of access records panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One for each request under way: what only some rules need goes behind a box.
    #[test]
    fn a_flight_stays_small() {
        assert!(size_of::<Flight>() <= 488, "{}", size_of::<Flight>());
    }
}
