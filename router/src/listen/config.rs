//! What a listener allows and whom it believes, with defaults that suit a port open to strangers.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use super::{Networks, ProxyProtocol};
use crate::tls::TlsHandle;

/// A listener's name, its limits, and what it makes of what stands in front of it.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// `namespace/service:port-name`, or `shared`: for access records and logs.
    pub name: Arc<str>,
    /// What it allows.
    pub limits: ListenerLimits,
    /// The port that clients dial, if that is another one than is bound, such as a Service's: redirects that name none lead
    /// there, and `X-Forwarded-Port` says it. Default: the bound one.
    pub port: Option<NonZeroU16>,
    /// Certificates and what else TLS needs; none: the port speaks plain HTTP.
    pub tls: Option<TlsHandle>,
    /// Who begins connections with a PROXY header. Default: nobody.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Whose forwarding headers and request ids are believed: those of the gateways in front, in Kubernetes the network of their
    /// pods. Default: nobody's. With the PROXY protocol, the address of the header counts and not the socket's.
    pub trusted: Networks,
    /// Which headers tell components of a request's way. Default [`Forwarding::XForwarded`].
    pub forwarding: Forwarding,
    /// What becomes of W3C trace context. Default [`TraceContext::Begin`], not sampled.
    pub trace_context: TraceContext,
    /// Whether each request gets an `X-Request-Id`, for its component, its client and its access record: that of a trusted
    /// peer if it is visible ASCII of at most 128 characters, else a new UUID. Default: yes.
    pub request_id: bool,
    /// Whether responses say how loaded the backend is that was picked ([`Backend::load_report`](crate::Backend::load_report)),
    /// for gateways that balance by it. Default: no, since clients would learn it too.
    pub load_reports: bool,
}

/// Which headers tell components of a request's way, and which of a trusted peer's are believed.
///
/// One kind is believed, never both: a proxy keeps one of them and passes on whatever a client wrote into the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// None: the headers pass as they came, whoever sent them, and the client is the connection's. A component must not
    /// believe them.
    Off,
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, as nginx, Envoy, HAProxy and Traefik send them. From trusted peers they
    /// are kept and `X-Forwarded-For` is appended to; from all others every `X-Forwarded-*` and `X-Real-Ip` is
    /// replaced by what is known of the connection. `Forwarded` is taken off.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239): from trusted peers it is kept and appended to, from all others it is replaced. The four
    /// `X-Forwarded-*` are made from it, for components that know only these.
    Forwarded,
}

/// What becomes of `traceparent` and `tracestate` (W3C Trace Context).
///
/// Penstock makes no spans: a valid `traceparent` goes on unchanged, and its trace id stands in the access record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceContext {
    /// Nothing: the headers pass as they came, and access records have no trace id.
    Off,
    /// A valid one goes on, an invalid one is taken off, none is begun: a component's own sampler decides.
    Continue,
    /// As [`Continue`](Self::Continue), and where there is no valid one, a new one is begun.
    Begin {
        /// The `sampled` flag of a new one. The specification says no, for whoever leaves the choice to others; then a
        /// component whose sampler follows its parent records none of these traces.
        sampled: bool,
    },
}

/// What a listener allows.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// Largest header section in bytes (431 beyond it). Default 32 KiB, as nginx.
    pub header_bytes: usize,
    /// Most header fields in a request (431 beyond it). Default 100, hyper's own, which needs no allocation.
    pub header_count: usize,
    /// Largest request body in bytes (413 beyond it); `None`: no limit, since bodies are streamed.
    pub body_bytes: Option<u64>,
    /// Most connections at once; further clients wait in the kernel's backlog, and those that have been idle the longest are
    /// closed to make room. Default 65,536.
    pub connections: usize,
    /// Most concurrent requests on one HTTP/2 connection. Default 256.
    pub streams: u32,
    /// Most copies of requests under way at once (further ones are not sent). Default 256.
    pub mirrors: usize,
    /// From the first byte of a request to the end of its headers (408 beyond it). Default 15 s.
    pub header_read_timeout: Duration,
    /// From the connection to the end of the TLS handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection may stay open without a request. Default 75 s: longer than the 60 s after which common
    /// gateways retire an idle upstream connection, so that they close first and no request meets a closing socket.
    pub idle_timeout: Duration,
    /// Whole-request deadline, unless the route has its own (504, or 408 if the body never came). Bodies that stream
    /// count from their last byte. Zero: none. Default 60 s.
    pub request_timeout: Duration,
}

impl ListenerConfig {
    /// A listener with the defaults.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            limits: ListenerLimits::default(),
            port: None,
            proxy_protocol: None,
            trusted: Networks::default(),
            forwarding: Forwarding::default(),
            trace_context: TraceContext::default(),
            request_id: true,
            load_reports: false,
            tls: None,
        }
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::Begin { sampled: false }
    }
}

impl ListenerLimits {
    pub(crate) const DEFAULT_HEADER_COUNT: usize = 100;
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_count: Self::DEFAULT_HEADER_COUNT,
            body_bytes: None,
            connections: 65_536,
            streams: 256,
            mirrors: 256,
            header_read_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(60),
        }
    }
}
