//! Where a call runs: at its backend, once that has a place for it, or at another that has one now.
//!
//! One that is full may know another with room ([`Backend::elsewhere`]). That one is asked once, and takes the call at once or
//! not at all; then the call waits here as it would have anyway. So that it can, only a body that is kept whole while it is sent
//! goes elsewhere: one whose length is known and small. What goes there holds no permit here, since it takes no place here.

use http::{Request, Response};
use http_body::Body as _;
use tokio::time::Instant;

use super::{
    Target, Timeouts,
    call::{Sender, call},
    replay::{KEPT_AT_MOST, Replay},
};
use crate::{Backend, Body, CallContext, Cause, Error, admit::Permit};

/// What the flight is told of the wait.
pub(super) struct Waiting<'f> {
    pub(super) permit: &'f mut Option<Permit>,
    pub(super) queue_wait: &'f mut std::time::Duration,
}

/// Has the request answered. `taken` gets its body once somebody is found who takes it.
pub(super) async fn run(
    target: &Target,
    request: Request<Body>,
    context: CallContext,
    timeouts: &Timeouts,
    sender: Sender<'_>,
    waiting: Waiting<'_>,
    taken: impl FnOnce(Body) -> Body,
) -> Result<Response<Body>, Error> {
    let request = match target.admission.try_admit() {
        Some(admitted) => {
            *waiting.permit = Some(admitted);
            request.map(taken)
        }
        // Boxed, so that requests which find a place do not carry the room for a wait with them.
        None => match Box::pin(find(target, request, context, timeouts, sender, waiting, taken)).await? {
            Found::Here(request) => request,
            Found::Elsewhere(response) => return Ok(response),
        },
    };
    call(&*target.backend, request, context, timeouts, sender).await
}

enum Found {
    /// A place here, for this request.
    Here(Request<Body>),
    /// An answer already.
    Elsewhere(Response<Body>),
}

async fn find(
    target: &Target,
    request: Request<Body>,
    context: CallContext,
    timeouts: &Timeouts,
    sender: Sender<'_>,
    waiting: Waiting<'_>,
    taken: impl FnOnce(Body) -> Body,
) -> Result<Found, Error> {
    let elsewhere = can_come_back(request.body()).then(|| target.backend.elsewhere()).flatten();
    let mut taken = Some(taken);
    let mut take = |request: Request<Body>| match taken.take() {
        Some(taken) => request.map(taken),
        None => request,
    };
    let request = match elsewhere {
        Some(other) => match pass_on(&*other, take(request), context, timeouts, sender).await? {
            Passed::On(response) => return Ok(Found::Elsewhere(response)),
            Passed::Back(request) => request,
        },
        None => request,
    };
    let asked = Instant::now();
    let admitted = target.admission.admit(context.deadline).await;
    *waiting.queue_wait += asked.elapsed();
    *waiting.permit = Some(admitted?);
    Ok(Found::Here(take(request)))
}

/// Whether all of a body is kept while it is sent.
fn can_come_back(body: &Body) -> bool {
    body.size_hint().upper().is_some_and(|most| most <= KEPT_AT_MOST as u64)
}

enum Passed {
    On(Response<Body>),
    /// It was not started there, or may be started again.
    Back(Request<Body>),
}

async fn pass_on(
    other: &dyn Backend,
    request: Request<Body>,
    context: CallContext,
    timeouts: &Timeouts,
    sender: Sender<'_>,
) -> Result<Passed, Error> {
    let (parts, body) = request.into_parts();
    let replay = Replay::new(body);
    let request = Request::from_parts(parts.clone(), replay.next());
    let outcome = call(other, request, context, timeouts, sender).await;
    let again = match &outcome {
        Ok(_) => false,
        Err(Error { cause: Cause::PeerLost, .. }) => parts.method.is_idempotent(),
        Err(error) => error.cause.not_started(),
    };
    if again && replay.is_whole() {
        return Ok(Passed::Back(Request::from_parts(parts, replay.next())));
    }
    replay.settle();
    outcome.map(Passed::On)
}
