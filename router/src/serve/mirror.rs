//! Copies of requests for other backends: Gateway API's `HTTPRequestMirrorFilter`.
//!
//! A request never waits for its copies. They are made of what its own backend reads, once that one has admitted it, and are
//! sent when the body has been read; what they are answered with is read to its end and thrown away. Whatever stands in their
//! way, they are given up and counted ([`Mirrored`]):
//!
//! - Of a body, 64 KiB are kept.
//! - Who gets a copy has to have a free place at once: copies wait in no queue, and so never before a client's request.
//! - A listener has so many under way ([`ListenerLimits::mirrors`](crate::ListenerLimits::mirrors)), bodies being kept among
//!   them.
//! - They have as long as a request of the rule may take, from when they are sent.

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{action::Weighted, peer::Shared, weighted::scaled};
use crate::{Backend, Body, BoxError, CallContext, Cause, admit::Admission, observe::Mirrored};

/// The longest body that is copied, as for repeated calls.
const KEPT_AT_MOST: usize = 64 * 1024;

/// How long a copy may take where requests may take for ever: its place has to come free.
const LONGEST: Duration = Duration::from_secs(60);

/// Who gets copies, and of which requests.
pub struct Mirror {
    /// `namespace/name`, for metrics: copies are counted where there is no backend as well.
    pub name: Arc<str>,
    /// What answers, by weight. Nobody, if it is not ready here.
    pub backends: Weighted,
    /// So many requests ...
    pub numerator: u32,
    /// ... of so many are copied.
    pub denominator: u32,
    /// Of requests to the rule's backends at these places only.
    pub only: Option<Range<usize>>,
}

/// The copies that are to be made of one request.
pub(super) struct Copies<'a> {
    mirrors: Vec<&'a Mirror>,
    /// The request's head as the rule's filters left it.
    head: Parts,
}

/// A copy that waits for its body. Its end, whatever that is, is told when it is dropped.
struct Copy {
    shared: Arc<Shared>,
    name: Arc<str>,
    backend: Arc<dyn Backend>,
    admission: Arc<Admission>,
    head: Option<Parts>,
    outcome: Mirrored,
    _place: OwnedSemaphorePermit,
}

/// The request's body on its way to its own backend.
struct Tee {
    body: Body,
    /// Empty once they are sent or given up.
    copies: Vec<Copy>,
    kept: Vec<u8>,
    context: CallContext,
    timeout: Option<Duration>,
}

// === impl Mirror ===

impl Mirror {
    fn takes(&self, place: usize, random: u64) -> bool {
        let here = self.only.as_ref().is_none_or(|only| only.contains(&place));
        here && scaled(random, self.denominator.into()) < u64::from(self.numerator)
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format_args!("{}/{}", self.numerator, self.denominator);
        f.debug_struct("Mirror").field("name", &self.name).field("part", &part).field("only", &self.only).finish()
    }
}

// === impl Copies ===

impl<'a> Copies<'a> {
    /// Chooses who gets a copy of a request with this head, which goes to the backend at that place.
    pub(super) fn choose(mirrors: &'a [Mirror], place: usize, head: &Parts) -> Option<Self> {
        let mirrors: Vec<_> = mirrors.iter().filter(|it| it.takes(place, fastrand::u64(..))).collect();
        (!mirrors.is_empty()).then(|| Self { mirrors, head: head.clone() })
    }

    /// Sends them, or has them sent once the body has been read: the body for the request's own backend, which has admitted
    /// it.
    pub(super) fn follow(
        self,
        body: Body,
        context: CallContext,
        timeout: Option<Duration>,
        shared: &Arc<Shared>,
    ) -> Body {
        let Self { mirrors, head } = self;
        let too_large = body.size_hint().lower() > KEPT_AT_MOST as u64;
        let copies: Vec<Copy> = mirrors
            .into_iter()
            .filter_map(|mirror| {
                let place = (!too_large).then(|| Arc::clone(&shared.mirrors).try_acquire_owned().ok());
                let (outcome, place) = match place {
                    None => (Mirrored::TooLarge, None),
                    Some(None) => (Mirrored::Limit, None),
                    Some(place) => (Mirrored::NotReady, place),
                };
                let picked = mirror.backends.pick();
                let (Some(place), Some((_, target))) = (place, picked) else {
                    tell(shared, &mirror.name, outcome);
                    return None;
                };
                Some(Copy {
                    shared: Arc::clone(shared),
                    name: Arc::clone(&mirror.name),
                    backend: Arc::clone(&target.backend),
                    admission: Arc::clone(&target.admission),
                    head: Some(head.clone()),
                    outcome: Mirrored::Incomplete,
                    _place: place,
                })
            })
            .collect();
        if copies.is_empty() {
            return body;
        }
        if body.is_end_stream() {
            copies.into_iter().for_each(|it| it.send(Body::empty(), context, timeout));
            return body;
        }
        Body::boxed(Tee { body, copies, kept: Vec::new(), context, timeout })
    }
}

/// Tells the observer, whose panic must not become the request's: this may run while a body is dropped.
fn tell(shared: &Shared, name: &str, outcome: Mirrored) {
    let told = AssertUnwindSafe(|| shared.observer.mirrored(&shared.config.name, name, outcome));
    if catch_unwind(told).is_err() {
        tracing::error!("the observer of mirrored requests panicked");
    }
}

// === impl Copy ===

impl Copy {
    fn send(mut self, body: Body, context: CallContext, timeout: Option<Duration>) {
        let (Some(permit), Some(head)) = (self.admission.try_admit(), self.head.take()) else {
            return self.ends(Mirrored::Busy);
        };
        let now = Instant::now();
        let deadline = now.checked_add(timeout.unwrap_or(LONGEST)).unwrap_or(now + LONGEST);
        let context = CallContext { deadline: Some(deadline), ..context };
        // Nobody waits for it; its deadline and its places bound it.
        drop(tokio::spawn(async move {
            let request = Request::from_parts(head, body);
            let call = AssertUnwindSafe(call(&*self.backend, request, context)).catch_unwind();
            let outcome = match timeout_at(deadline, call).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => {
                    tracing::error!(backend = &*self.name, "a copy of a request panicked");
                    Mirrored::Failed
                }
                Err(_) => Mirrored::Deadline,
            };
            drop(permit);
            self.ends(outcome);
        }));
    }

    fn ends(mut self, outcome: Mirrored) {
        self.outcome = outcome;
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        tell(&self.shared, &self.name, self.outcome);
    }
}

/// Calls the backend and reads the answer to its end: a component may do its work while it writes.
async fn call(backend: &dyn Backend, request: Request<Body>, context: CallContext) -> Mirrored {
    let mut body = match backend.call(request, context).await {
        Ok(response) => response.into_body(),
        Err(error) => {
            tracing::debug!(backend = backend.name(), %error, "a copy of a request failed");
            return if error.cause == Cause::Deadline { Mirrored::Deadline } else { Mirrored::Failed };
        }
    };
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return Mirrored::Failed;
        }
    }
    Mirrored::Complete
}

// === impl Tee ===

impl Tee {
    fn keep(&mut self, data: &[u8]) {
        if self.copies.is_empty() {
            return;
        }
        if self.kept.len() + data.len() > KEPT_AT_MOST {
            self.kept = Vec::new();
            self.give_up(Mirrored::TooLarge);
        } else {
            self.kept.extend_from_slice(data);
        }
    }

    fn give_up(&mut self, outcome: Mirrored) {
        self.copies.drain(..).for_each(|copy| copy.ends(outcome));
    }

    /// The backend has all of it.
    fn complete(&mut self, trailers: Option<&HeaderMap>) {
        let kept = Bytes::from(std::mem::take(&mut self.kept));
        for copy in self.copies.drain(..) {
            let body = match trailers {
                None => Body::from(kept.clone()),
                Some(trailers) => {
                    let trailers = std::future::ready(Some(Ok(trailers.clone())));
                    Body::boxed(Full::new(kept.clone()).with_trailers(trailers))
                }
            };
            copy.send(body, self.context, self.timeout);
        }
    }
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.keep(data);
                }
                // Who knows the length may not ask again.
                if frame.is_trailers() || this.body.is_end_stream() {
                    this.complete(frame.trailers_ref());
                }
            }
            // Nobody gets a part.
            Some(Err(_)) => this.give_up(Mirrored::Incomplete),
            None => this.complete(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
