//! Passing a call on.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use penstock_router::{Backend, BackendFuture, Body, CallContext, Cause, Error};
use tokio::time::Instant;

use super::{
    book::{Page, choose},
    link::Link,
    wire::{self, Answer, Load},
};
use crate::SpillStatus;

/// A share here that passes on what it has no place for, and what it knows of the same share elsewhere.
pub(crate) struct Passing {
    share: Arc<str>,
    peers: Mutex<Vec<(Arc<Link>, Page)>>,
    counts: Counts,
}

/// What became of calls.
#[derive(Default)]
struct Counts {
    passed: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    taken: AtomicU64,
}

/// The same share elsewhere, as the operator knows it.
pub(super) struct Told {
    pub(super) link: Arc<Link>,
    pub(super) capacity: u64,
    pub(super) in_flight: u64,
}

// === impl Passing ===

impl Passing {
    pub(super) fn new(share: Arc<str>) -> Arc<Self> {
        Arc::new(Self { share, peers: Mutex::default(), counts: Counts::default() })
    }

    pub(super) fn update(&self, told: Vec<Told>) {
        let now = Instant::now();
        let mut peers = self.peers.lock();
        let mut before = std::mem::take(&mut *peers);
        peers.extend(told.into_iter().map(|Told { link, capacity, in_flight }| {
            let known = before.iter().position(|(it, _)| Arc::ptr_eq(it, &link));
            let page = match known.map(|place| before.swap_remove(place).1) {
                Some(mut page) => {
                    page.reported(capacity, in_flight, now);
                    page
                }
                None => Page::new(capacity, in_flight, now),
            };
            (link, page)
        }));
    }

    /// A peer with room for one more call, as far as is known here. `name` is whom the call is counted for.
    pub(crate) fn elsewhere(self: &Arc<Self>, component: &str, name: &Arc<str>) -> Option<Box<dyn Backend>> {
        let mut peers = self.peers.lock();
        let pages: Vec<Page> = peers.iter().map(|(_, page)| page.clone()).collect();
        let connected = |place: usize| peers.get(place).is_some_and(|(link, _)| link.is_connected());
        let place = choose(&pages, connected, Instant::now(), fastrand::u64(..))?;
        let (link, page) = peers.get_mut(place)?;
        page.passed();
        let way = Arc::new(Way { passing: Arc::clone(self), link: Arc::clone(link) });
        Some(Box::new(Passed { way, component: component.to_owned(), name: Arc::clone(name) }))
    }

    /// A peer's call runs here.
    pub(super) fn took(&self) {
        self.counts.taken.fetch_add(1, Relaxed);
    }

    pub(crate) fn status(&self) -> SpillStatus {
        let Counts { passed, refused, lost, taken } = &self.counts;
        let read = |count: &AtomicU64| count.load(Relaxed);
        let peers = self.peers.lock().iter().filter(|(link, _)| link.is_connected()).count() as u64;
        SpillStatus { peers, out: read(passed), refused: read(refused), lost: read(lost), taken: read(taken) }
    }

    fn with(&self, link: &Arc<Link>, change: impl FnOnce(&mut Page)) {
        if let Some((_, page)) = self.peers.lock().iter_mut().find(|(it, _)| Arc::ptr_eq(it, link)) {
            change(page);
        }
    }
}

/// One call's way to a peer: it counts as on its way, or there, until its response has ended.
struct Way {
    passing: Arc<Passing>,
    link: Arc<Link>,
}

// === impl Way ===

impl Way {
    fn told(&self, load: Load) {
        self.passing.with(&self.link, |page| page.told(load.capacity, load.in_flight, Instant::now()));
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Error {
        self.passing.counts.lost.fetch_add(1, Relaxed);
        let host = &self.link.host;
        Error::new(Cause::PeerLost, format!("host {host}, which the call was passed on to, was lost: {error}"))
    }

    fn refused(&self, detail: String) -> Error {
        self.passing.counts.refused.fetch_add(1, Relaxed);
        self.passing.with(&self.link, |page| page.refused(Instant::now()));
        Error::new(Cause::Draining, detail)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.passing.with(&self.link, Page::ended);
    }
}

/// The share on another host, for one call.
struct Passed {
    way: Arc<Way>,
    component: String,
    name: Arc<str>,
}

// === impl Passed ===

impl Passed {
    async fn send(&self, request: Request<Body>, context: CallContext) -> Result<http::Response<Body>, Error> {
        let way = &self.way;
        let request = wire::request(request, &way.passing.share, Some(&self.component), &context)?;
        let Some(mut sender) = way.link.sender() else {
            return Err(way.refused(format!("host {} is not connected", way.link.host)));
        };
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            // The connection had ended before: nothing was sent.
            Err(error) if error.is_canceled() => return Err(way.refused(error.to_string())),
            Err(error) => return Err(way.lost(&error)),
        };
        let (answer, load) = wire::answer(response);
        if let Some(load) = load {
            way.told(load);
        }
        match answer {
            Answer::Response(response) => {
                way.passing.counts.passed.fetch_add(1, Relaxed);
                way.passing.with(&way.link, Page::took);
                Ok(response.map(|incoming| Body::boxed(PassedBody { incoming, way: Arc::clone(way) })))
            }
            Answer::Failure(cause, retry_after, body) => {
                let detail = Limited::new(body, wire::DETAIL).collect().await.map_err(|error| way.lost(&error))?;
                let detail = String::from_utf8_lossy(&detail.to_bytes()).into_owned();
                if cause.not_started() {
                    return Err(way.refused(detail));
                }
                way.passing.counts.passed.fetch_add(1, Relaxed);
                let error = Error::new(cause, detail);
                Err(match retry_after {
                    Some(after) => error.retry_after(after),
                    None => error,
                })
            }
        }
    }
}

impl Backend for Passed {
    fn name(&self) -> &str {
        &self.name
    }

    fn call<'a>(&'a self, request: Request<Body>, context: CallContext) -> BackendFuture<'a> {
        Box::pin(self.send(request, context))
    }
}

/// A response from a peer.
struct PassedBody {
    incoming: Incoming,
    way: Arc<Way>,
}

impl HttpBody for PassedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        Pin::new(&mut this.incoming).poll_frame(cx).map(|frame| frame.map(|it| it.map_err(|it| this.way.lost(&it))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
