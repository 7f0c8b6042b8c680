//! How a call looks between two hosts: the request and the response as they are, over HTTP/2, and what routing had found out in
//! headers that neither client nor component sees. Both ends set every one of these headers or take it off, so that nobody
//! else's count.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header::HOST, request::Parts, uri,
};
use penstock_router::{Body, CallContext, Cause, Error};
use tokio::time::Instant;

/// The largest head: more than any listener takes, and the headers below.
pub(super) const HEADERS: u32 = 1 << 20;
/// The longest sentence of an error.
pub(super) const DETAIL: usize = 4096;

/// The share that is meant, `namespace/deployment@revision`.
const SHARE: HeaderName = HeaderName::from_static("penstock-share");
/// Which of its components; its only one that answers HTTP, if there is none.
const COMPONENT: HeaderName = HeaderName::from_static("penstock-component");
/// The client's address and port.
const CLIENT: HeaderName = HeaderName::from_static("penstock-client");
/// Milliseconds that are left for the whole request.
const TIME_LEFT: HeaderName = HeaderName::from_static("penstock-time-left");
/// Why there is no answer of a component: a cause's name. Its sentence is the body.
const CAUSE: HeaderName = HeaderName::from_static("penstock-cause");
/// Milliseconds after which to try again.
const RETRY_AFTER: HeaderName = HeaderName::from_static("penstock-retry-after");
/// Calls at once that the share is good for, and how many there are: `12/10`.
const LOAD: HeaderName = HeaderName::from_static("penstock-load");

/// What a call is for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) share: String,
    pub(super) component: Option<String>,
    pub(super) context: CallContext,
}

/// How loaded a share is: calls that it takes at once, and calls there, running and waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) capacity: u64,
    pub(super) in_flight: u64,
}

/// What a peer has answered.
pub(super) enum Answer<B> {
    Response(Response<B>),
    /// Why there is none; the sentence is to be read from the body.
    Failure(Cause, Option<Duration>, B),
}

// === what goes out ===

/// A request for a share elsewhere.
pub(super) fn request(
    request: Request<Body>,
    share: &str,
    component: Option<&str>,
    context: &CallContext,
) -> Result<Request<Body>, Error> {
    // It waits here then, and whoever answers it finds the same fault.
    let unfit = |what: &str| Error::new(Cause::NotReady, format!("the {what} cannot be passed on to another host"));
    let (mut parts, body) = request.into_parts();
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(if context.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
    if uri.authority.is_none() {
        uri.authority = Some(match parts.headers.get(HOST) {
            Some(host) => uri::Authority::try_from(host.as_bytes()).map_err(|_| unfit("host"))?,
            // HTTP/1.0 knows no Host, and components get this one instead.
            None => uri::Authority::from_static("localhost"),
        });
    }
    uri.path_and_query.get_or_insert(uri::PathAndQuery::from_static("/"));
    parts.uri = Uri::from_parts(uri).map_err(|_| unfit("target"))?;
    parts.version = Version::HTTP_2;
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| unfit("workload's name"));
    parts.headers.insert(SHARE, text(share)?);
    set(&mut parts.headers, COMPONENT, component.map(text).transpose()?);
    parts.headers.insert(CLIENT, text(&context.client.to_string())?);
    let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    set(&mut parts.headers, TIME_LEFT, left.map(millis));
    Ok(Request::from_parts(parts, body))
}

/// A component's response, with what is to be known of the share.
pub(super) fn response<B>(mut response: Response<B>, load: Load) -> Response<B> {
    let headers = response.headers_mut();
    headers.remove(CAUSE);
    headers.remove(RETRY_AFTER);
    headers.insert(LOAD, load.value());
    response
}

/// The lack of one.
pub(super) fn failure(error: Error, load: Option<Load>) -> Response<Body> {
    let Error { cause, mut detail, retry_after, .. } = error;
    let end = detail.floor_char_boundary(DETAIL);
    detail.truncate(end);
    let mut response = Response::new(Body::from(Bytes::from(detail)));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let headers = response.headers_mut();
    headers.insert(CAUSE, HeaderValue::from_static(cause.shape().name));
    set(headers, RETRY_AFTER, retry_after.map(millis));
    set(headers, LOAD, load.map(Load::value));
    response
}

// === what comes in ===

/// What a peer's request is for. Its headers are as the client's router left them after that.
pub(super) fn call(parts: &mut Parts) -> Result<Call, &'static str> {
    let headers = &mut parts.headers;
    let share = take(headers, &SHARE).ok_or("it names no share")?;
    let component = take(headers, &COMPONENT);
    let client: SocketAddr = take(headers, &CLIENT).and_then(|it| it.parse().ok()).ok_or("it names no client")?;
    let left = take(headers, &TIME_LEFT).map(|it| it.parse().map(Duration::from_millis));
    let left = left.transpose().map_err(|_| "its time left is no number")?;
    let deadline = left.and_then(|left| Instant::now().checked_add(left));
    let tls = parts.uri.scheme() == Some(&uri::Scheme::HTTPS);
    Ok(Call { share, component, context: CallContext { client, tls, deadline } })
}

/// What a peer has answered, and what it says of its load.
pub(super) fn answer<B>(mut response: Response<B>) -> (Answer<B>, Option<Load>) {
    let headers = response.headers_mut();
    let load = take(headers, &LOAD).and_then(|it| Load::parse(&it));
    let retry_after = take(headers, &RETRY_AFTER).and_then(|it| it.parse().ok()).map(Duration::from_millis);
    let answer = match take(headers, &CAUSE) {
        None => Answer::Response(response),
        // What a newer host may have come to say.
        Some(cause) => {
            Answer::Failure(Cause::named(&cause).unwrap_or(Cause::Internal), retry_after, response.into_body())
        }
    };
    (answer, load)
}

fn take(headers: &mut HeaderMap, name: &HeaderName) -> Option<String> {
    headers.remove(name).and_then(|it| it.to_str().map(str::to_owned).ok())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

fn millis(time: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

// === impl Load ===

impl Load {
    fn value(self) -> HeaderValue {
        // Two numbers and a slash are a header's value.
        HeaderValue::from_str(&format!("{}/{}", self.in_flight, self.capacity)).unwrap_or(HeaderValue::from_static(""))
    }

    fn parse(text: &str) -> Option<Self> {
        let (in_flight, capacity) = text.split_once('/')?;
        Some(Self { in_flight: in_flight.parse().ok()?, capacity: capacity.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use http::header;
    use http_body_util::BodyExt;

    use super::*;

    fn context(tls: bool, deadline: Option<Instant>) -> CallContext {
        CallContext { client: ([192, 0, 2, 1], 4711).into(), tls, deadline }
    }

    fn arrives(sent: Request<Body>, context: &CallContext) -> (Parts, Call) {
        let sent = request(sent, "ns/app@1", Some("front"), context).unwrap();
        assert_eq!(sent.version(), Version::HTTP_2);
        let mut parts = sent.into_parts().0;
        let call = call(&mut parts).unwrap();
        (parts, call)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_arrives_as_it_was_with_all_that_routing_knew() {
        let deadline = Instant::now() + Duration::from_secs(7);
        let sent = Request::post("/a?b=c").header(HOST, "shop.example:8080").header("penstock-share", "forged");
        let sent = sent.header(header::COOKIE, "a=1").body(Body::empty()).unwrap();
        let (parts, call) = arrives(sent, &context(true, Some(deadline)));
        assert_eq!(parts.uri.to_string(), "https://shop.example:8080/a?b=c");
        assert_eq!((call.share.as_str(), call.component.as_deref()), ("ns/app@1", Some("front")));
        assert_eq!(call.context.client, ([192, 0, 2, 1], 4711).into());
        assert_eq!((call.context.tls, call.context.deadline), (true, Some(deadline)));
        let names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["host", "cookie"]);
    }

    #[tokio::test]
    async fn what_has_no_authority_gets_the_one_that_components_get() {
        let (parts, call) = arrives(Request::get("/").body(Body::empty()).unwrap(), &context(false, None));
        assert_eq!(parts.uri.to_string(), "http://localhost/");
        assert_eq!((call.context.tls, call.context.deadline), (false, None));
        let odd = Request::get("/").header(HOST, "a b").body(Body::empty()).unwrap();
        let error = request(odd, "ns/app@1", None, &context(false, None)).unwrap_err();
        assert!(error.cause.not_started(), "{error}");
    }

    #[test]
    fn what_nobody_of_ours_sends_is_refused() {
        for (header, value) in [("penstock-share", ""), ("penstock-client", "nobody"), ("penstock-time-left", "-1")] {
            let good = Request::get("http://a/").header("penstock-share", "a").header("penstock-client", "[::1]:1");
            let mut parts = good.header("penstock-time-left", "1").body(()).unwrap().into_parts().0;
            parts.headers.remove(header);
            if !value.is_empty() {
                parts.headers.insert(header, HeaderValue::from_static(value));
            }
            assert!(call(&mut parts).is_err(), "{header}: {value}");
        }
    }

    #[test]
    fn a_response_says_how_loaded_the_share_is_and_nothing_that_a_component_made_up() {
        let load = Load { capacity: 12, in_flight: 10 };
        let forged = Response::builder().header("penstock-cause", "draining").header("penstock-load", "0/1");
        let (answer, told) = answer(response(forged.header("x", "y").body(()).unwrap(), load));
        assert_eq!(told, Some(load));
        let Answer::Response(response) = answer else { panic!("it is a response") };
        assert_eq!(response.headers().len(), 1);
    }

    #[tokio::test]
    async fn a_failure_arrives_with_its_cause() {
        let error = Error::new(Cause::QueueFull, "ä".repeat(DETAIL)).retry_after(Duration::from_millis(1500));
        let (answer, load) = answer(failure(error, None));
        let Answer::Failure(cause, retry_after, body) = answer else { panic!("it is a failure") };
        assert_eq!((cause, retry_after, load), (Cause::QueueFull, Some(Duration::from_millis(1500)), None));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), DETAIL);
        let (answer, _) = self::answer(Response::builder().header("penstock-cause", "of-tomorrow").body(()).unwrap());
        assert!(matches!(answer, Answer::Failure(Cause::Internal, None, ())));
    }
}
