//! The way of a request whose rule has a policy: what is done before and after all that is done for others. Rules without
//! one do not come here.

use http::{Request, Response, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    Peer,
    attempts::{self, Held},
    flight::Routed,
};
use crate::{Body, Error, policy::Policy};

/// Answers a request whose rule does not redirect. Its own filters have not been applied yet: what a client is counted by is
/// what it sent.
pub(crate) async fn answer(
    policy: &Policy,
    peer: &Peer,
    routed: &Routed,
    started: Instant,
    request: Request<Incoming>,
    held: Held<'_>,
) -> Result<Response<Body>, Error> {
    let (parts, incoming) = request.into_parts();
    // First, so that a request that finds no place costs nothing of the rate.
    let place = policy.concurrency.as_ref().map(|it| it.enter(held.origin.client.ip(), &parts.headers)).transpose()?;
    let taken = policy.rate.as_ref().map(|rate| rate.take(held.origin.client.ip(), &parts.headers, started));
    let allowance = taken.transpose()?;
    let wanted = policy.wanted(&parts.method, &parts.headers);
    let outcome = pass(peer, routed, started, parts, incoming, held).await;
    let outcome = outcome.and_then(|response| policy.apply(response, &wanted));
    let outcome = match place {
        Some(place) => outcome.map(|response| place.hold(response)),
        None => outcome,
    };
    let Some(allowance) = allowance else { return outcome };
    match outcome {
        Ok(mut response) => {
            allowance.tell(response.headers_mut());
            Ok(response)
        }
        Err(error) => Err(error.with(|headers| allowance.tell(headers))),
    }
}

/// What is done for every request.
async fn pass(
    peer: &Peer,
    routed: &Routed,
    started: Instant,
    mut parts: Parts,
    incoming: Incoming,
    held: Held<'_>,
) -> Result<Response<Body>, Error> {
    let action = routed.action();
    // Before the filters, which may change path and cookies.
    let visit = action.sessions.as_deref().map(|sessions| sessions.visit(&parts, routed.matched()));
    if let Some(filters) = action.filters.as_deref() {
        filters.apply_request(&mut parts, routed.matched())?;
    }
    attempts::answer(peer, routed, visit, started, parts, incoming, held).await
}
