//! What to send, how fast, for how long, and what to keep of it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, response};
use http_body_util::Full;

use super::{Running, pace::Arrivals};

/// Makes the request of one id. Its URI is path and query only; the generator adds authority and id header.
pub type MakeRequest = Arc<dyn Fn(u64) -> Request<Full<Bytes>> + Send + Sync>;

/// Judges one answer; the text says what is wrong with it.
pub type Check = Arc<dyn Fn(&Answer<'_>) -> Result<(), String> + Send + Sync>;

/// Names what answered, such as the revision. A small, fixed set.
pub type ToLabel = Arc<dyn for<'a> Fn(&Answer<'a>) -> Option<&'a str> + Send + Sync>;

/// One answer, its body read to the end.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The request's id.
    pub id: u64,
    /// Status and headers.
    pub head: &'a response::Parts,
    /// The whole body; empty if neither check nor body label asked for it.
    pub body: &'a [u8],
}

/// The protocol of every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on a connection.
    Http1,
    /// HTTP/2 with prior knowledge (h2c), so many requests at once on a connection.
    Http2 {
        /// Streams at once, at least 1.
        streams: usize,
    },
}

/// Why a plan may not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Neither loopback nor private: this generator is not for other people's servers.
    Address(IpAddr),
    /// Not a path that a request can carry.
    Path(String),
    /// Rate, connections or streams of zero, or a rate that is no number.
    Nothing,
    /// Neither a duration nor a count: it would never end.
    Endless,
    /// The system gave no thread.
    Thread(String),
}

/// A load to be sent. Built by chained calls, then [`Plan::start`].
#[derive(Clone)]
pub struct Plan {
    pub(super) target: SocketAddr,
    pub(super) authority: String,
    pub(super) protocol: Protocol,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) duration: Option<Duration>,
    pub(super) count: Option<u64>,
    pub(super) timeout: Duration,
    pub(super) make: Option<MakeRequest>,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) id_header: Option<HeaderName>,
    pub(super) keep: Vec<HeaderName>,
    pub(super) records: bool,
    pub(super) check: Option<Check>,
    pub(super) label: Option<ToLabel>,
    pub(super) read_body: bool,
}

// === impl Plan ===

impl Plan {
    /// `GET /` over one HTTP/1.1 connection at full speed; a duration or a count is still to be given.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            authority: target.to_string(),
            protocol: Protocol::Http1,
            connections: 1,
            threads: 1,
            arrivals: None,
            duration: None,
            count: None,
            timeout: Duration::from_secs(10),
            make: None,
            method: Method::GET,
            uri: Uri::from_static("/"),
            headers: Vec::new(),
            body: Bytes::new(),
            id_header: None,
            keep: Vec::new(),
            records: false,
            check: None,
            label: None,
            read_body: false,
        }
    }

    /// The `Host` header or `:authority`; the target's address otherwise.
    #[must_use]
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = authority.into();
        self
    }

    /// Path and query.
    ///
    /// # Errors
    /// [`Refused::Path`] for anything that is not one.
    pub fn path(mut self, path: &str) -> Result<Self, Refused> {
        let refused = || Refused::Path(path.to_owned());
        self.uri = path.parse().map_err(|_| refused())?;
        if self.uri.scheme().is_some() || !self.uri.path().starts_with('/') { Err(refused()) } else { Ok(self) }
    }

    /// The method; GET otherwise.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// One more request header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The body of every request.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Makes each request from its id, in place of method, path, headers and body.
    #[must_use]
    pub fn requests(mut self, make: impl Fn(u64) -> Request<Full<Bytes>> + Send + Sync + 'static) -> Self {
        self.make = Some(Arc::new(make));
        self
    }

    /// Sends each request's id in this header.
    #[must_use]
    pub fn id_header(mut self, name: HeaderName) -> Self {
        self.id_header = Some(name);
        self
    }

    /// Connections at once: in open loop also the most HTTP/1.1 requests that can be under way.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Threads to run on, at most one a connection. One is enough for about 50,000 requests a second.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The protocol; HTTP/1.1 otherwise.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Open loop: so many requests a second fall due, evenly spaced.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.arrivals = Some(Arrivals::Steady(per_second));
        self
    }

    /// Open loop: each request falls due as long after the start as this says of its id, such as
    /// [`Ramp::due`](crate::autoscale::ramp::Ramp::due). It never falls with the id; `None`: no more requests.
    #[must_use]
    pub fn arrivals(mut self, due: impl Fn(u64) -> Option<Duration> + Send + Sync + 'static) -> Self {
        self.arrivals = Some(Arrivals::Planned(Arc::new(due)));
        self
    }

    /// No request starts (open loop: falls due) later than this.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// [`Plan::duration`] in seconds.
    #[must_use]
    pub fn seconds(self, seconds: u64) -> Self {
        self.duration(Duration::from_secs(seconds))
    }

    /// At most so many requests.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// How long one request may take from its actual start; 10 s otherwise. Also how long what fell due may still be
    /// sent after the end.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps a [`Record`](super::Record) of every request: about 130 bytes each.
    #[must_use]
    pub fn keep_records(mut self) -> Self {
        self.records = true;
        self
    }

    /// Keeps these response headers in each record, in this order.
    #[must_use]
    pub fn keep_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.keep = names.into_iter().collect();
        self
    }

    /// Judges every answer, its whole body in hand.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Answer<'_>) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self.read_body = true;
        self
    }

    /// Labels every answer with a response header's value, such as the revision that answered.
    #[must_use]
    pub fn label_header(mut self, name: HeaderName) -> Self {
        self.label = Some(Arc::new(move |answer: &Answer<'_>| answer.head.headers.get(&name)?.to_str().ok()));
        self
    }

    /// Labels every answer from head and body.
    #[must_use]
    pub fn label_with(
        mut self,
        label: impl for<'a> Fn(&Answer<'a>) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.label = Some(Arc::new(label));
        self.read_body = true;
        self
    }

    /// Starts to send, on threads of its own.
    ///
    /// # Errors
    /// [`Refused`] if the plan may not run; nothing has been sent then.
    pub fn start(self) -> Result<Running, Refused> {
        if !near(self.target.ip()) {
            return Err(Refused::Address(self.target.ip()));
        }
        let streams = if let Protocol::Http2 { streams } = self.protocol { streams } else { 1 };
        let silent = matches!(self.arrivals, Some(Arrivals::Steady(rate)) if !rate.is_finite() || rate <= 0.0);
        if self.connections == 0 || self.threads == 0 || streams == 0 || silent {
            return Err(Refused::Nothing);
        }
        if self.duration.is_none() && self.count.is_none() {
            return Err(Refused::Endless);
        }
        Running::start(self)
    }

    pub(super) fn request(&self, id: u64) -> Request<Full<Bytes>> {
        let mut request = if let Some(make) = &self.make {
            make(id)
        } else {
            let mut request = Request::new(Full::new(self.body.clone()));
            *request.method_mut() = self.method.clone();
            *request.uri_mut() = self.uri.clone();
            request.headers_mut().extend(self.headers.iter().cloned());
            request
        };
        if let Some(name) = &self.id_header {
            request.headers_mut().insert(name, HeaderValue::from(id));
        }
        request
    }
}

/// Loopback, private (RFC 1918), unique local (RFC 4193) or link-local.
fn near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address} is neither a loopback nor a private address"),
            Self::Path(path) => write!(f, "{path:?} is not a path; give path and query, such as /api?x=1"),
            Self::Nothing => f.write_str("rate, connections, threads and streams must be above zero"),
            Self::Endless => f.write_str("give a duration, a count, or both"),
            Self::Thread(error) => write!(f, "no thread to send from: {error}"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_addresses_are_sent_to() {
        for address in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.31.0.1", "::1", "fd00::1", "::ffff:127.0.0.1"] {
            assert!(near(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "2001:db8::1", "0.0.0.0", "::ffff:8.8.8.8"] {
            assert!(!near(address.parse().unwrap()), "{address}");
        }
        let far = Plan::new("192.0.2.1:80".parse().unwrap()).seconds(1).start().map(drop);
        assert_eq!(far, Err(Refused::Address("192.0.2.1".parse().unwrap())));
    }

    #[test]
    fn plans_that_cannot_run_are_refused() {
        let plan = || Plan::new("127.0.0.1:1".parse().unwrap());
        assert_eq!(plan().start().map(drop), Err(Refused::Endless));
        assert_eq!(plan().count(1).connections(0).start().map(drop), Err(Refused::Nothing));
        assert_eq!(plan().count(1).rate(0.0).start().map(drop), Err(Refused::Nothing));
        assert_eq!(plan().path("http://x/").map(drop), Err(Refused::Path("http://x/".into())));
    }
}
