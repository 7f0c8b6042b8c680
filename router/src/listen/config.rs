//! What a listener allows, with defaults that suit a port open to strangers.

use std::{sync::Arc, time::Duration};

use crate::tls::TlsHandle;

/// A listener's name and limits.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// `namespace/service:port-name`, or `shared`: for access records and logs.
    pub name: Arc<str>,
    /// What it allows.
    pub limits: ListenerLimits,
    /// Certificates and what else TLS needs; none: the port speaks plain HTTP.
    pub tls: Option<TlsHandle>,
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
    /// Most connections at once; further clients wait in the kernel's backlog. Default 65,536.
    pub connections: usize,
    /// Most concurrent requests on one HTTP/2 connection. Default 256.
    pub streams: u32,
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
    /// A listener with the default limits.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), limits: ListenerLimits::default(), tls: None }
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
            header_read_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(60),
        }
    }
}
