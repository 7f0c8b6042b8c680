//! A request, as a straight list of steps.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::HOST,
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    attempts,
    call::Sender,
    download::Download,
    finish,
    flight::{Flight, Routed},
    hop, origin,
    peer::Peer,
    place::{Waiting, run},
    policied,
    refuse::refuse,
    respond::{respond, respond_grpc},
    stall::Stall,
    upload::Upload,
};
use crate::{
    Body, CallContext, Cause, Error,
    filter::{CorsAnswer, Filters},
    listen::Secured,
    route::{self, RequestKey},
    tls::Identity,
};

/// Answers one request. What goes wrong becomes a response here, a panic included.
pub(crate) async fn answer(
    peer: Arc<Peer>,
    request: Request<Incoming>,
    stall: Option<Arc<Stall>>,
) -> Result<Response<Download>, Infallible> {
    let mut flight = Flight::begin(peer, &request, stall);
    let outcome = {
        let mut steps = pin!(steps(&mut flight, request));
        // As `catch_unwind` of futures-util does, but without moving the steps into a wrapper.
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| steps.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(panic) => Poll::Ready(Err(panic)),
        })
        .await
    };
    let outcome = outcome.unwrap_or_else(|panic| {
        super::report_panic(&*panic, &flight);
        Err(Error::new(Cause::Internal, "The request could not be answered because of a fault in the host"))
    });
    Ok(match outcome {
        Ok(response) => finish::finish(response, flight),
        Err(error) => {
            flight.cause = Some(error.cause);
            // Nothing is called any more, so nothing is held any more.
            flight.permit = None;
            finish::finish(if flight.grpc { respond_grpc(&error) } else { respond(&error) }, flight)
        }
    })
}

async fn steps(flight: &mut Flight, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let peer = Arc::clone(&flight.peer);
    let limits = &peer.shared.config.limits;
    let (mut parts, incoming) = request.into_parts();

    if parts.version < Version::HTTP_2 {
        peer.next_head()?;
    }
    let seen = refuse(&parts, limits.header_count)?;
    let hop = seen.hop;
    flight.host = seen.host.cloned();
    normalise(&mut parts, flight)?;
    if flight.host.is_none() {
        say_host(&mut parts)?;
    }
    match peer.secured() {
        Some(secured) => {
            directed(secured, flight.host())?;
            Identity::say(secured.identity(), &mut parts.headers);
        }
        // Who ends TLS in front may say whom it has seen; nobody else.
        None if !peer.source().trusted => Identity::say(None, &mut parts.headers),
        None => {}
    }
    // What `Connection` names goes first: it must not take off what is added here.
    if hop {
        hop::remove(&mut parts.headers);
    }
    origin::tell(&mut parts.headers, &peer.shared.config, peer.source(), &mut flight.origin)?;

    let generation = peer.shared.table.current();
    let key = RequestKey {
        host: flight.host(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        method: &parts.method,
        headers: &parts.headers,
    };
    let hit = generation.table.locate(&key);
    flight.generation = generation.number;
    let hit = hit.ok_or_else(|| Error::new(Cause::NoRoute, "No route matches this host, path, method and headers"))?;
    let Flight { routed, target, cors, started, upload, body_timeout, permit, queue_wait, retries, origin, .. } =
        flight;
    let routed: &Routed = routed.insert(Routed { generation, hit });
    let action = routed.action();

    let rule_filters = action.filters.as_deref();
    if let Some(answer) = answered(rule_filters, &parts, routed, &peer, cors) {
        return answer;
    }
    if let Some(policy) = action.policy.as_deref() {
        let started = *started;
        let held = attempts::Held { target, cors, upload, body_timeout, permit, queue_wait, retries, origin };
        let request = Request::from_parts(parts, incoming);
        // Boxed, so that requests of other rules do not carry the room for it with them.
        return Box::pin(policied::answer(policy, &peer, routed, started, request, held)).await;
    }
    // Before the filters, which may change path and cookies.
    let visit = action.sessions.as_deref().map(|sessions| sessions.visit(&parts, routed.matched()));
    if let Some(filters) = rule_filters {
        filters.apply_request(&mut parts, routed.matched())?;
    }
    if visit.is_some() || action.retry.is_some() || !action.mirrors.is_empty() {
        let started = *started;
        let held = attempts::Held { target, cors, upload, body_timeout, permit, queue_wait, retries, origin };
        // Boxed, so that requests of other rules do not carry the room for it with them.
        return Box::pin(attempts::answer(&peer, routed, visit, started, parts, incoming, held)).await;
    }
    // None, and gone before the waits below, which then need no room for it.
    drop(visit);
    let (place, picked) = action.backends.pick().ok_or_else(no_backend)?;
    *target = u32::try_from(place).ok();
    let target_filters = picked.filters.as_deref();
    if let Some(answer) = answered(target_filters, &parts, routed, &peer, cors) {
        return answer;
    }
    if let Some(filters) = target_filters {
        filters.apply_request(&mut parts, routed.matched())?;
    }
    let body = take_body(incoming, limits.body_bytes, *started, upload)?;

    let timeout = non_zero(action.timeouts.request.unwrap_or(limits.request_timeout));
    let deadline = timeout.and_then(|timeout| started.checked_add(timeout));
    *body_timeout = timeout;
    let context = CallContext { client: origin.client, tls: origin.tls, deadline };
    let request = Request::from_parts(parts, body);
    let sender = Sender { peer: &peer, upload: upload.as_deref(), timeout };
    let waiting = Waiting { permit, queue_wait };
    let mut response = run(picked, request, context, &action.timeouts, sender, waiting, |body| body).await?;
    for filters in target_filters.into_iter().chain(rule_filters) {
        filters.apply_response(response.headers_mut());
    }
    finish::check(&mut response)?;
    Ok(response)
}

/// What filters answer without a backend: a preflight, or a redirect. Whatever else is answered, the response says of CORS
/// what the filters want, those of the rule before those of a backend.
pub(super) fn answered(
    filters: Option<&Filters>,
    parts: &Parts,
    routed: &Routed,
    peer: &Peer,
    cors: &mut Option<Box<CorsAnswer>>,
) -> Option<Result<Response<Body>, Error>> {
    let filters = filters?;
    // A browser follows no redirect of a preflight.
    if let (Some(filter), None) = (&filters.cors, &cors) {
        if let Some(response) = filter.preflight(&parts.method, &parts.headers) {
            return Some(Ok(response));
        }
        *cors = Some(Box::new(filter.answer(&parts.headers)));
    }
    filters.redirect(parts, routed.matched(), peer.secured().is_some(), peer.shared.port)
}

/// Replaces the path by its normal form, which is what is matched and what the backend sees. The query stays as it is.
fn normalise(parts: &mut Parts, flight: &mut Flight) -> Result<(), Error> {
    // `http://a?q`: its path is empty, which is `/` (RFC 9112 section 3.2.1).
    let empty = parts.uri.path_and_query().is_some_and(|path| path.as_str().starts_with('?'));
    let path = match route::normalise(parts.uri.path()) {
        Ok(Cow::Borrowed(_)) if !empty => return Ok(()),
        Ok(path) => path.into_owned(),
        Err(refused) => return Err(Error::new(Cause::Malformed, refused.to_string())),
    };
    let path_and_query = match parts.uri.query() {
        None => path,
        Some(query) => [path.as_str(), "?", query].concat(),
    };
    let path_and_query = PathAndQuery::from_maybe_shared(Bytes::from(path_and_query)).map_err(invalid_path)?;
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.path_and_query = Some(path_and_query.clone());
    flight.path = Some(path_and_query);
    parts.uri = Uri::from_parts(uri).map_err(invalid_path)?;
    Ok(())
}

fn invalid_path(error: impl Into<http::Error>) -> Error {
    Error::new(Cause::Malformed, format!("The path is not valid: {}", error.into()))
}

/// Whatever the protocol and the form of the target, `Host` says the authority: to matches, filters and backends.
fn say_host(parts: &mut Parts) -> Result<(), Error> {
    if let Some(authority) = parts.uri.authority().map(Authority::as_str) {
        let host = HeaderValue::from_str(authority)
            .map_err(|_| Error::new(Cause::Malformed, "The authority is not a host with an optional port"))?;
        parts.headers.insert(HOST, host);
    }
    Ok(())
}

/// Refuses what was sent on a connection for another host (RFC 9110 section 7.4): the client opens one for it then.
fn directed(secured: &Secured, host: &str) -> Result<(), Error> {
    if host.is_empty() || secured.serves(host) {
        return Ok(());
    }
    let detail = "This TLS connection was opened for a host with another certificate: open one for this host";
    Err(Error::new(Cause::WrongAuthority, detail))
}

pub(super) fn no_backend() -> Error {
    Error::new(Cause::NoBackend, "The route matched, but none of its backends exists or has any weight")
}

pub(super) fn take_body(
    incoming: Incoming,
    limit: Option<u64>,
    started: Instant,
    watched: &mut Option<Arc<Upload>>,
) -> Result<Body, Error> {
    if incoming.is_end_stream() {
        return Ok(Body::empty());
    }
    let announced = incoming.size_hint().lower();
    if let Some(limit) = limit
        && announced > limit
    {
        let detail = format!("The body has {announced} bytes; at most {limit} are allowed");
        return Err(Error::new(Cause::BodyTooLarge, detail));
    }
    let (upload, body) = Upload::wrap(incoming, limit, started);
    *watched = Some(upload);
    Ok(Body::boxed(body))
}

/// A timeout of zero is none, as in Gateway API.
pub(super) fn non_zero(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}
