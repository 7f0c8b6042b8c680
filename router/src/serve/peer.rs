//! One connection as its requests, its socket and the listener's keeper see it together.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::source::Source;
use crate::{
    Error, Observer, TableHandle,
    error::Cause,
    listen::{ListenerConfig, Secured},
};

/// Looking out for a client's end costs some system calls: only for backends that take longer than this.
const UNREAD: Duration = Duration::from_millis(250);

/// An idle connection that was asked to end, and has not, is cut: HTTP/2 asks its client whether it has heard, and waits
/// for the answer.
const GOODBYE: Duration = Duration::from_secs(5);

/// What all connections of a listener share.
pub(crate) struct Shared {
    pub(crate) config: ListenerConfig,
    pub(crate) table: TableHandle,
    pub(crate) observer: Arc<dyn Observer>,
    /// The port clients see: where redirects without a port of their own lead.
    pub(crate) port: u16,
    /// Room for copies of requests.
    pub(crate) mirrors: Arc<Semaphore>,
    /// Times of connections are milliseconds since then.
    pub(crate) started: Instant,
}

/// What the keeper tells a connection. Each order implies those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    Run,
    /// The listener drains: the next response says `Connection: close`, HTTP/2 gets GOAWAY.
    LastRequest,
    /// End as soon as nothing is in flight.
    Close,
    /// The head of a request took too long: say 408 and end.
    SlowHead,
    /// End now.
    Cut,
}

/// One connection.
///
/// Its times are looked at by the listener's keeper a few times a second, instead of each connection and request
/// arming timers of its own: the request path only stores into these fields.
pub(crate) struct Peer {
    pub(crate) shared: Arc<Shared>,
    /// The socket's peer.
    pub(crate) address: SocketAddr,
    /// Who it speaks for, once that is known: before the first request.
    source: OnceLock<Source>,
    order: AtomicU8,
    waker: AtomicWaker,
    in_flight: AtomicU32,
    /// When the connection became idle.
    idle_since: AtomicU64,
    /// When it was asked to end because it was idle; 0: it was not.
    dismissed_since: AtomicU64,
    /// When the head that is being read began; 0: none is.
    head_since: AtomicU64,
    /// When the socket last became full; 0: it takes what we write.
    blocked_since: AtomicU64,
    /// Since when a request body is left alone by a backend that works (HTTP/1); 0: none is.
    unread_since: AtomicU64,
    /// Whether to look out for the client's end meanwhile.
    watch_hangup: AtomicBool,
    /// Heads handed to the service (HTTP/1).
    heads: AtomicU64,
    /// The first head whose length is in doubt; 0: none.
    doubtful: AtomicU64,
    http1: AtomicBool,
    /// What the TLS handshake came to; empty on a port without TLS.
    secured: OnceLock<Secured>,
    /// Given back when the last holder (the connection, or a request of it) is gone.
    _slot: OwnedSemaphorePermit,
}

// === impl Peer ===

impl Peer {
    pub(crate) fn new(shared: Arc<Shared>, address: SocketAddr, slot: OwnedSemaphorePermit) -> Arc<Self> {
        let now = shared.now();
        Arc::new(Self {
            shared,
            address,
            source: OnceLock::new(),
            order: AtomicU8::new(Order::Run as u8),
            waker: AtomicWaker::new(),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(now),
            dismissed_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            unread_since: AtomicU64::new(0),
            watch_hangup: AtomicBool::new(false),
            heads: AtomicU64::new(0),
            doubtful: AtomicU64::new(0),
            http1: AtomicBool::new(true),
            secured: OnceLock::new(),
            _slot: slot,
        })
    }

    // What the connection and its socket tell.

    pub(crate) fn is_secured(&self, by: Secured) {
        // Once: a connection has one handshake.
        let _ = self.secured.set(by);
    }

    /// Only the first word counts: requests may have been told already.
    pub(crate) fn comes_from(&self, source: Source) {
        let _ = self.source.set(source);
    }

    pub(crate) fn speaks_http2(&self) {
        self.http1.store(false, Relaxed);
    }

    pub(crate) fn reading_head(&self, reading: bool) {
        self.head_since.store(if reading { self.shared.now() } else { 0 }, Relaxed);
    }

    pub(crate) fn write_blocked(&self, blocked: bool) {
        self.blocked_since.store(if blocked { self.shared.now() } else { 0 }, Relaxed);
    }

    pub(crate) fn watches_hangup(&self) -> bool {
        self.watch_hangup.load(Relaxed)
    }

    pub(crate) fn doubt(&self, head: u64) {
        // The first one counts; the connection does not outlive it.
        let _ = self.doubtful.compare_exchange(0, head, Relaxed, Relaxed);
    }

    // What requests tell and ask.

    pub(crate) fn source(&self) -> &Source {
        self.source.get_or_init(|| Source::new(self.address, self.shared.port, &self.shared.config))
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, now: Instant) {
        self.idle_since.store(self.shared.millis(now), Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// A backend works on a request whose body it may not have read; or no longer does.
    pub(crate) fn leaves_unread(&self, unread: bool) {
        if self.http1.load(Relaxed) {
            self.unread_since.store(if unread { self.shared.now() } else { 0 }, Relaxed);
            self.watch_hangup.store(false, Relaxed);
        }
    }

    /// What the TLS handshake came to, if there was one.
    pub(crate) fn secured(&self) -> Option<&Secured> {
        self.secured.get()
    }

    /// Counts a head of HTTP/1 and refuses it if its length is in doubt.
    pub(crate) fn next_head(&self) -> Result<(), Error> {
        let head = self.heads.fetch_add(1, Relaxed) + 1;
        let doubtful = self.doubtful.load(Relaxed);
        if doubtful != 0 && head >= doubtful {
            let detail = "The request is in doubt: send one Content-Length or one Transfer-Encoding, not both, and no \
                          fragment in the target";
            return Err(Error::new(Cause::Malformed, detail));
        }
        Ok(())
    }

    /// Whether a response must say `Connection: close`.
    pub(crate) fn closing(&self) -> bool {
        self.order.load(Relaxed) != Order::Run as u8 && self.http1.load(Relaxed)
    }

    // What the keeper says.

    pub(crate) fn tell(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.waker.wake();
        }
    }

    pub(crate) fn listen(&self, waker: &Waker) -> Order {
        let order = self.order();
        if order == Order::Cut {
            return order;
        }
        self.waker.register(waker);
        // Looked at again, since an order given before the registration woke nobody.
        self.order()
    }

    fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Run,
            1 => Order::LastRequest,
            2 => Order::Close,
            3 => Order::SlowHead,
            _ => Order::Cut,
        }
    }

    /// What this connection's times call for.
    pub(crate) fn due(&self, now: Instant) -> Order {
        let limits = &self.shared.config.limits;
        let millis = self.shared.millis(now);
        let over =
            |since: u64, limit: Duration| since != 0 && u128::from(millis.saturating_sub(since)) >= limit.as_millis();
        let patience = if limits.request_timeout.is_zero() { limits.idle_timeout } else { limits.request_timeout };
        if over(self.blocked_since.load(Relaxed), patience) {
            return Order::Cut;
        }
        if self.in_flight.load(Relaxed) > 0 {
            if over(self.unread_since.load(Relaxed), UNREAD) && !self.watch_hangup.swap(true, Relaxed) {
                self.waker.wake();
            }
            return Order::Run;
        }
        let (idle_since, head_since) = (self.idle_since.load(Relaxed), self.head_since.load(Relaxed));
        let dismissed_since = self.dismissed_since.load(Relaxed);
        if dismissed_since != 0 && over(dismissed_since.max(idle_since), GOODBYE) {
            return Order::Cut;
        }
        if head_since == 0 {
            return if over(idle_since, limits.idle_timeout) { self.dismiss(now) } else { Order::Run };
        }
        // A pipelined head may have begun long before its turn came.
        if over(head_since.max(idle_since), limits.header_read_timeout) { Order::SlowHead } else { Order::Run }
    }

    /// How long it has been open without a request, or a part of one; `None` if it has one, or ends already.
    pub(crate) fn idle(&self, now: Instant) -> Option<Duration> {
        let used =
            self.in_flight.load(Relaxed) > 0 || self.head_since.load(Relaxed) != 0 || self.order() >= Order::Close;
        let idle = self.shared.millis(now).saturating_sub(self.idle_since.load(Relaxed));
        (!used).then_some(Duration::from_millis(idle))
    }

    /// It is idle, and to end for that: the order for it.
    pub(crate) fn dismiss(&self, now: Instant) -> Order {
        let now = self.shared.millis(now);
        let _ = self.dismissed_since.compare_exchange(0, now, Relaxed, Relaxed);
        Order::Close
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: ListenerConfig, table: TableHandle, observer: Arc<dyn Observer>, port: u16) -> Self {
        let mirrors = Arc::new(Semaphore::new(config.limits.mirrors.min(Semaphore::MAX_PERMITS)));
        Self { config, table, observer, port, mirrors, started: Instant::now() }
    }

    fn now(&self) -> u64 {
        self.millis(Instant::now())
    }

    /// Never zero, which means "not".
    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}
