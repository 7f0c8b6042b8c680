//! Why a request was not answered by its backend, and the one mapping from that to status, token and metric label.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The client, or what stands between it and us.
    Downstream,
    /// The component that was called.
    Guest,
    /// Penstock itself, or its configuration.
    Internal,
}

/// Every cause of a generated response. The name is the metric's label and the problem document's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The request's meaning is in doubt (RFC 9112 section 11, RFC 3986 section 6).
    Malformed,
    /// No route matches.
    NoRoute,
    /// The header section is larger than the listener allows.
    HeadersTooLarge,
    /// The body is larger than the listener allows.
    BodyTooLarge,
    /// The client has sent more requests than its rule takes.
    RateLimited,
    /// The client has as many requests under way as its rule takes at once.
    ConcurrencyLimited,
    /// The body did not arrive in time.
    RequestTimeout,
    /// This listener does not serve that authority on this connection (RFC 9110 section 7.4).
    WrongAuthority,
    /// What was asked for (an upgrade, say) is not offered.
    NotImplemented,
    /// A rule without any valid backend (Gateway API answers 500).
    NoBackend,
    /// The component trapped.
    GuestTrap,
    /// The component asked for more memory than its limit.
    GuestMemory,
    /// The component asked for larger tables than its limit.
    GuestTable,
    /// A call of the component used all the CPU time that it may.
    GuestCpu,
    /// The component asked for more outgoing connections at once than its limit, and failed by it.
    GuestOutbound,
    /// The component returned without a response, or with one that HTTP cannot carry.
    GuestNoResponse,
    /// The component answered with an error code of its own.
    GuestError,
    /// The component's response is larger than its rule, or the component's own limit, allows.
    ResponseTooLarge,
    /// The component could not be instantiated.
    GuestStart,
    /// The workload is known but has no ready instance.
    NotReady,
    /// The admission queue is full.
    QueueFull,
    /// The request waited as long as the queue allows.
    QueueTimeout,
    /// The host has no room for another instance now.
    HostFull,
    /// The host is going away.
    Draining,
    /// The call was passed on to another host, which was lost before it had answered.
    PeerLost,
    /// The whole-request deadline passed while the component computed or waited.
    Deadline,
    /// A fault of Penstock's own.
    Internal,
}

/// How one [`Cause`] shows: a row of the mapping.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The status code of the generated response.
    pub status: StatusCode,
    /// The token in the problem document, access records and metrics.
    pub name: &'static str,
    /// The `error` parameter of `Proxy-Status` (RFC 9209 section 2.3).
    pub proxy_error: &'static str,
    /// What a gRPC client is told instead of the status.
    pub grpc: GrpcCode,
    /// A short sentence for people (the problem document's `title`).
    pub title: &'static str,
    /// Whose doing it was.
    pub source: Source,
}

/// The status codes of gRPC that are used here, with their numbers on the wire (grpc/grpc, `doc/statuscodes.md`).
///
/// `Unavailable` is for what surely was not started, which clients repeat by themselves; a component that failed in the
/// middle is `Internal`, whatever its HTTP status would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcCode {
    /// The deadline passed.
    DeadlineExceeded = 4,
    /// Too large, or too many.
    ResourceExhausted = 8,
    /// No such method here.
    Unimplemented = 12,
    /// Something broke.
    Internal = 13,
    /// Nothing was started: try again.
    Unavailable = 14,
}

impl Cause {
    /// Every cause, for tests and for the list of metric labels.
    pub const ALL: [Self; 27] = [
        Self::Malformed,
        Self::NoRoute,
        Self::HeadersTooLarge,
        Self::BodyTooLarge,
        Self::RateLimited,
        Self::ConcurrencyLimited,
        Self::RequestTimeout,
        Self::WrongAuthority,
        Self::NotImplemented,
        Self::NoBackend,
        Self::GuestTrap,
        Self::GuestMemory,
        Self::GuestTable,
        Self::GuestCpu,
        Self::GuestOutbound,
        Self::GuestNoResponse,
        Self::GuestError,
        Self::ResponseTooLarge,
        Self::GuestStart,
        Self::NotReady,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::HostFull,
        Self::Draining,
        Self::PeerLost,
        Self::Deadline,
        Self::Internal,
    ];

    /// The cause of that [name](Shape::name), if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.shape().name == name)
    }

    /// The row of the mapping for this cause.
    #[must_use]
    pub const fn shape(self) -> Shape {
        use Source::{Downstream, Guest, Internal};
        let (status, name, proxy_error, title, source) = match self {
            Self::Malformed => (400, "malformed", "http_request_error", "The request is malformed", Downstream),
            Self::NoRoute => (404, "no-route", "destination_not_found", "No route matches", Downstream),
            Self::HeadersTooLarge => {
                (431, "headers-too-large", "http_request_error", "The headers are too large", Downstream)
            }
            Self::BodyTooLarge => (413, "body-too-large", "http_request_error", "The body is too large", Downstream),
            Self::ConcurrencyLimited => {
                (429, "concurrency-limited", "http_request_denied", "Too many requests at once", Downstream)
            }
            Self::RateLimited => (429, "rate-limited", "http_request_denied", "Too many requests", Downstream),
            Self::RequestTimeout => {
                (408, "request-timeout", "http_request_error", "The request took too long to arrive", Downstream)
            }
            Self::WrongAuthority => (
                421,
                "wrong-authority",
                "destination_not_found",
                "This connection does not serve that host",
                Downstream,
            ),
            Self::NotImplemented => (501, "not-implemented", "http_request_error", "Not offered here", Internal),
            Self::NoBackend => {
                (500, "no-backend", "proxy_configuration_error", "The route has no valid backend", Internal)
            }
            Self::GuestTrap => (502, "guest-trap", "connection_terminated", "The component trapped", Guest),
            Self::GuestMemory => {
                (502, "guest-memory", "connection_terminated", "The component ran out of memory", Guest)
            }
            Self::GuestTable => {
                (502, "guest-table", "connection_terminated", "The component ran out of table elements", Guest)
            }
            Self::GuestCpu => (504, "guest-cpu", "http_response_timeout", "The component used up its CPU time", Guest),
            Self::GuestOutbound => (
                502,
                "guest-outbound",
                "connection_limit_reached",
                "The component had too many outgoing connections",
                Guest,
            ),
            Self::GuestNoResponse => {
                (502, "guest-no-response", "http_response_incomplete", "The component gave no valid response", Guest)
            }
            Self::GuestError => {
                (502, "guest-error", "http_protocol_error", "The component answered with an error", Guest)
            }
            Self::ResponseTooLarge => {
                (502, "response-too-large", "http_response_body_size", "The response is too large", Guest)
            }
            Self::GuestStart => {
                (502, "guest-start", "destination_unavailable", "The component could not be started", Guest)
            }
            Self::NotReady => (503, "not-ready", "destination_unavailable", "The workload is not ready", Internal),
            Self::QueueFull => {
                (503, "queue-full", "connection_limit_reached", "The workload's queue is full", Internal)
            }
            Self::QueueTimeout => (
                503,
                "queue-timeout",
                "connection_limit_reached",
                "The request waited too long for a free instance",
                Internal,
            ),
            Self::HostFull => (503, "host-full", "connection_limit_reached", "The host is full", Internal),
            Self::Draining => (503, "draining", "destination_unavailable", "The host is going away", Internal),
            Self::PeerLost => (
                502,
                "peer-lost",
                "connection_terminated",
                "The host that the call was passed on to was lost",
                Internal,
            ),
            Self::Deadline => (504, "deadline", "http_response_timeout", "The component did not answer in time", Guest),
            Self::Internal => (500, "internal", "proxy_internal_error", "An internal error", Internal),
        };
        let Ok(status) = StatusCode::from_u16(status) else { unreachable!() };
        Shape { status, name, proxy_error, grpc: self.grpc(), title, source }
    }

    const fn grpc(self) -> GrpcCode {
        match self {
            // Gateway API, `GRPCRouteRule.backendRefs`, asks for it where no backend is valid.
            Self::NoBackend
            | Self::WrongAuthority
            | Self::GuestStart
            | Self::NotReady
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::HostFull
            | Self::Draining => GrpcCode::Unavailable,
            Self::NoRoute | Self::NotImplemented => GrpcCode::Unimplemented,
            Self::HeadersTooLarge | Self::BodyTooLarge | Self::RateLimited | Self::ConcurrencyLimited => {
                GrpcCode::ResourceExhausted
            }
            Self::RequestTimeout | Self::Deadline | Self::GuestCpu => GrpcCode::DeadlineExceeded,
            Self::Malformed
            | Self::GuestTrap
            | Self::GuestMemory
            | Self::GuestTable
            | Self::GuestOutbound
            | Self::GuestNoResponse
            | Self::GuestError
            | Self::ResponseTooLarge
            | Self::PeerLost
            | Self::Internal => GrpcCode::Internal,
        }
    }

    /// Whether the call surely never reached a component, so that even a POST may be sent again.
    #[must_use]
    pub const fn not_started(self) -> bool {
        matches!(
            self,
            Self::NotReady | Self::QueueFull | Self::QueueTimeout | Self::HostFull | Self::Draining | Self::GuestStart
        )
    }
}

/// Why a request was not answered by its backend.
#[derive(Debug)]
pub struct Error {
    /// Which row of the mapping.
    pub cause: Cause,
    /// What happened and what to do next, for the client and the log. No secrets.
    pub detail: String,
    /// When to try again, for `Retry-After`.
    pub retry_after: Option<Duration>,
    /// What else the response says.
    pub(crate) headers: Option<Box<HeaderMap>>,
}

impl Error {
    /// An error with its sentence.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), retry_after: None, headers: None }
    }

    /// The same with a hint for `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same with more headers in its response.
    #[must_use]
    pub(crate) fn with(mut self, add: impl FnOnce(&mut HeaderMap)) -> Self {
        add(self.headers.get_or_insert_default());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.shape().name, self.detail)
    }
}

impl std::error::Error for Error {}
