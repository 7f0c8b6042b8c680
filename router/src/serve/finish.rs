//! The last steps of every response: made fit for the connection it goes to.

use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH},
};
use http_body::Body as _;

use super::{download::Download, flight::Flight, hop};
use crate::{Body, Cause, Error};

/// Where ORCA load reports stand (gRFC A51; Envoy reads it for `ClientSideWeightedRoundRobin`).
static LOAD_METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// Checks a backend's response: what HTTP cannot carry is refused, what belongs to no connection is taken off.
pub(crate) fn check(response: &mut Response<Body>) -> Result<(), Error> {
    if response.status().is_informational() {
        let detail = format!("The component answered with {}, which is not a final response", response.status());
        return Err(Error::new(Cause::GuestNoResponse, detail));
    }
    let exact = response.body().size_hint().exact();
    let headers = response.headers_mut();
    hop::remove(headers);
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    let several = headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some();
    match (length, exact) {
        (None, _) => Err(Error::new(Cause::GuestNoResponse, "The component's Content-Length is not a number")),
        (Some(_), _) if several => {
            Err(Error::new(Cause::GuestNoResponse, "The component sent several Content-Lengths"))
        }
        // An empty body may stand for one that is left out: the answer to HEAD, or 304.
        (Some(length), Some(exact)) if length != exact && exact > 0 => {
            let detail = format!("The component announced {length} bytes and sent {exact}");
            Err(Error::new(Cause::GuestNoResponse, detail))
        }
        _ => Ok(()),
    }
}

/// Makes the response what hyper sends.
pub(crate) fn finish(response: Response<Body>, mut flight: Box<Flight>) -> Response<Download> {
    let (mut parts, mut body) = response.into_parts();
    let bodiless = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || flight.method == Method::HEAD {
        if let Some(length) = body.size_hint().exact()
            && !bodiless
            && !parts.headers.contains_key(CONTENT_LENGTH)
        {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if parts.status == StatusCode::NO_CONTENT {
            parts.headers.remove(CONTENT_LENGTH);
        }
        // hyper's HTTP/2 would send it.
        body = Body::empty();
    } else if body.is_end_stream() {
        // What was promised is not there: HTTP/2 would send the promise all the same.
        parts.headers.remove(CONTENT_LENGTH);
    }
    // After CONNECT a client may send what it wants tunnelled without waiting for the answer: no requests of its own.
    let doubt =
        matches!(flight.cause, Some(Cause::Malformed | Cause::HeadersTooLarge)) || flight.method == Method::CONNECT;
    if flight.version < Version::HTTP_2 && (doubt || flight.peer.closing()) {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let promised = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    flight.origin.answer(&mut parts.headers);
    if flight.peer.shared.config.load_reports
        && let Some(report) = flight.leads().load_report()
    {
        // A response of 24,000 headers goes on as it is.
        let _full = parts.headers.try_insert(LOAD_METRICS.clone(), report);
    }
    // The last of all: it may name the headers that are there.
    if let Some(cors) = flight.cors.take() {
        cors.apply(&mut parts.headers);
    }
    flight.status = Some(parts.status);
    flight.first_byte = Some(flight.started.elapsed());
    Response::from_parts(parts, Download::new(body, promised, flight))
}
