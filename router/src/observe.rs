//! What became of a request, told once, when its response has ended.

use std::{net::SocketAddr, time::Duration};

use http::{Method, StatusCode, Version};

use crate::{Cause, serve::Leads};

/// Learns what became of every request. Called on the request path: it counts or hands over, it does not wait.
pub trait Observer: Send + Sync + 'static {
    /// Called exactly once per request, when its response body has ended or was dropped.
    fn request(&self, record: &AccessRecord<'_>);

    /// Called once per copy of a request that a rule's mirrors asked for, when it has ended. `backend` is the mirror's name.
    fn mirrored(&self, listener: &str, backend: &str, outcome: Mirrored) {
        let _ = (listener, backend, outcome);
    }
}

/// Observes nothing.
impl Observer for () {
    fn request(&self, _: &AccessRecord<'_>) {}
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The whole response was handed to the connection.
    Complete,
    /// The client closed or reset before that, or the connection was cut at the end of a drain.
    ClientLeft,
    /// The response body ended with an error (of the backend, or by the deadline).
    Error,
}

/// What became of a copy of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mirrored {
    /// It was answered, whatever with, and the answer read to its end.
    Complete,
    /// The mirror's component failed.
    Failed,
    /// It took longer than the request may take.
    Deadline,
    /// The mirror had no free place: copies do not queue.
    Busy,
    /// The mirror has no ready instance on this host.
    NotReady,
    /// The listener has as many copies under way as it may.
    Limit,
    /// The body is larger than what is kept for copies.
    TooLarge,
    /// The request's own backend did not read its whole body, or the client did not send it.
    Incomplete,
}

impl Mirrored {
    /// Every outcome, for the list of metric labels.
    pub const ALL: [Self; 8] = [
        Self::Complete,
        Self::Failed,
        Self::Deadline,
        Self::Busy,
        Self::NotReady,
        Self::Limit,
        Self::TooLarge,
        Self::Incomplete,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Deadline => "deadline",
            Self::Busy => "busy",
            Self::NotReady => "not-ready",
            Self::Limit => "limit",
            Self::TooLarge => "too-large",
            Self::Incomplete => "incomplete",
        }
    }
}

/// One request, from its first byte to its last.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The protocol version of the client's request.
    pub version: Version,
    /// The authority as the client sent it (port included); empty if there was none.
    pub host: &'a str,
    /// The path as it was matched (normalised), or as it was sent if it was refused; no query, which may hold secrets.
    pub path: &'a str,
    /// The status of the response; `None` if the client left before there was one.
    pub status: Option<StatusCode>,
    /// Why the response was generated here, or was ended early; `None` for a backend's own complete response.
    pub cause: Option<Cause>,
    /// Read only when asked for: see [`route`](Self::route).
    pub(crate) leads: Leads<'a>,
    /// Number of the generation that routed it; 0 if it was refused before.
    pub generation: u64,
    /// Bytes of the request body that were read (without framing).
    pub bytes_in: u64,
    /// Bytes of the response body that were sent (without framing).
    pub bytes_out: u64,
    /// How long it waited for admission, at all its attempts.
    pub queue_wait: Duration,
    /// Attempts beyond the first: how often its rule's `retry` sent it to a backend again.
    pub retries: u32,
    /// From the end of the request's headers to the response's headers; `None` if there were none.
    pub first_byte: Option<Duration>,
    /// From the end of the request's headers to the end of the response.
    pub total: Duration,
    /// The client's address: see [`CallContext::client`](crate::CallContext::client).
    pub client: SocketAddr,
    /// The address that the connection comes from, by its socket or its PROXY header.
    pub peer: SocketAddr,
    /// The trace id of the request's trace context: 32 hexadecimal digits. `None` if it was refused as malformed.
    pub trace_id: Option<&'a str>,
    /// The request id. `None` if the request was refused as malformed, or if the listener makes none.
    pub request_id: Option<&'a str>,
    /// How it ended.
    pub ended: Ended,
}

// === impl AccessRecord ===

impl<'a> AccessRecord<'a> {
    /// `namespace/name` of the route that matched.
    #[must_use]
    pub fn route(&self) -> Option<&'a str> {
        self.leads.route()
    }

    /// Name of the backend that was chosen.
    #[must_use]
    pub fn backend(&self) -> Option<&'a str> {
        self.leads.backend()
    }
}
