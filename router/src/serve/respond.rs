//! Errors to responses, in one place: the problem document, `Proxy-Status`, `Retry-After` and the not-started marker.

use std::fmt::Write;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use crate::{Body, Error};

/// Says that the call surely never reached a component, so that even a POST may be sent again: `true`, or absent.
pub static NOT_STARTED: HeaderName = HeaderName::from_static("penstock-not-started");

static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Details are cut at so many bytes in headers, which have limits on their way.
const DETAIL_IN_HEADER: usize = 200;

/// Whether who asks speaks gRPC and looks for a status in headers of its own (grpc/grpc, `doc/PROTOCOL-HTTP2.md`).
/// gRPC-Web, whose status is in the body, is answered as other requests are.
#[must_use]
pub(crate) fn is_grpc(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let grpc = |value: &HeaderValue| {
        let rest = value.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    };
    version == Version::HTTP_2 && *method == Method::POST && headers.get(CONTENT_TYPE).is_some_and(grpc)
}

/// The response for an error: RFC 9457 problem document, RFC 9209 `Proxy-Status`, and for 503 a `Retry-After`.
#[must_use]
pub fn respond(error: &Error) -> Response<Body> {
    let shape = error.cause.shape();
    let mut response = Response::new(Body::from(Bytes::from(problem(error))));
    *response.status_mut() = shape.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    say_why(error, headers);
    response
}

/// The same to a gRPC client: status 200, and what went wrong in `grpc-status` and `grpc-message`, without a body
/// (`Trailers-Only` of the protocol).
#[must_use]
pub(crate) fn respond_grpc(error: &Error) -> Response<Body> {
    let shape = error.cause.shape();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(&GRPC_STATUS, HeaderValue::from(shape.grpc as u16));
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(grpc_message(error))) {
        headers.insert(&GRPC_MESSAGE, value);
    }
    say_why(error, headers);
    response
}

/// `title: detail`, percent-encoded as the protocol has it: all but printable ASCII, and `%`.
fn grpc_message(error: &Error) -> String {
    let mut value = String::from(error.cause.shape().title);
    if !error.detail.is_empty() {
        value.push_str(": ");
        for character in error.detail.chars().take(DETAIL_IN_HEADER) {
            match character {
                ' '..='~' if character != '%' => value.push(character),
                other => {
                    for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(value, "%{byte:02X}");
                    }
                }
            }
        }
    }
    value
}

/// The headers that every answer to an error has.
fn say_why(error: &Error, headers: &mut HeaderMap) {
    let shape = error.cause.shape();
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(proxy_status(error))) {
        headers.insert(&PROXY_STATUS, value);
    }
    if shape.status == StatusCode::SERVICE_UNAVAILABLE || error.retry_after.is_some() {
        let after = error.retry_after.unwrap_or_default();
        // Whole seconds, rounded up: a client that comes back too early is turned away again.
        let seconds = (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, value) in error.headers.iter().flat_map(|headers| headers.iter()) {
        headers.insert(name, value.clone());
    }
    if error.cause.not_started() {
        headers.insert(&NOT_STARTED, HeaderValue::from_static("true"));
    }
}

fn problem(error: &Error) -> String {
    let shape = error.cause.shape();
    let mut json = String::with_capacity(160 + error.detail.len());
    json.push_str("{\"type\":");
    quote(&mut json, shape.name);
    json.push_str(",\"title\":");
    quote(&mut json, shape.title);
    let _ = write!(json, ",\"status\":{}", shape.status.as_u16());
    if !error.detail.is_empty() {
        json.push_str(",\"detail\":");
        quote(&mut json, &error.detail);
    }
    json.push_str("}\n");
    json
}

/// A JSON string (RFC 8259 section 7).
fn quote(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\n' => json.push_str("\\n"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

fn proxy_status(error: &Error) -> String {
    let mut value = format!("penstock; error={}", error.cause.shape().proxy_error);
    if !error.detail.is_empty() {
        // A structured field string (RFC 9651 section 3.3.3) is printable ASCII.
        value.push_str("; details=\"");
        for character in error.detail.chars().take(DETAIL_IN_HEADER) {
            match character {
                '"' | '\\' => value.extend(['\\', character]),
                ' '..='~' => value.push(character),
                _ => value.push('?'),
            }
        }
        value.push('"');
    }
    value
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use http_body::Body as _;

    use super::*;
    use crate::{Cause, GrpcCode};

    #[tokio::test]
    async fn an_error_is_a_problem_document_with_its_headers() {
        let error =
            Error::new(Cause::QueueFull, "say \"no\"\nto \u{e9} \u{1}").retry_after(Duration::from_millis(1500));
        let response = respond(&error);
        assert_eq!(response.status(), 503);
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("content-type"), Some("application/problem+json"));
        assert_eq!(
            header("proxy-status"),
            Some("penstock; error=connection_limit_reached; details=\"say \\\"no\\\"?to ? ?\"")
        );
        assert_eq!(header("retry-after"), Some("2"));
        assert_eq!(header("penstock-not-started"), Some("true"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            "{\"type\":\"queue-full\",\"title\":\"The workload's queue is full\",\"status\":503,\
             \"detail\":\"say \\\"no\\\"\\nto \u{e9} \\u0001\"}\n"
        );
    }

    #[test]
    fn every_cause_has_a_response_and_only_those_not_started_say_so() {
        for cause in Cause::ALL {
            let response = respond(&Error::new(cause, ""));
            assert_eq!(response.status(), cause.shape().status);
            assert_eq!(response.headers().contains_key(&NOT_STARTED), cause.not_started(), "{cause:?}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), cause.shape().status == 503, "{cause:?}");
        }
    }

    #[test]
    fn a_grpc_client_is_told_in_headers_alone() {
        let error = Error::new(Cause::QueueFull, "100% full,\n\u{e9}");
        let response = respond_grpc(&error);
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status(), 200);
        assert!(response.body().is_end_stream());
        assert_eq!(header("content-type"), Some("application/grpc"));
        assert_eq!(header("grpc-status"), Some("14"));
        assert_eq!(header("grpc-message"), Some("The workload's queue is full: 100%25 full,%0A%C3%A9"));
        assert_eq!(header("retry-after"), Some("1"));
        assert_eq!(header("penstock-not-started"), Some("true"));
    }

    #[test]
    fn what_was_not_started_is_unavailable_to_grpc_and_what_broke_is_not() {
        for cause in Cause::ALL {
            let unavailable = cause.shape().grpc == GrpcCode::Unavailable;
            let repeatable = cause.not_started() || matches!(cause, Cause::NoBackend | Cause::WrongAuthority);
            assert_eq!(unavailable, repeatable, "{cause:?}");
        }
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        let is = |method: &Method, version, value: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            is_grpc(method, version, &headers)
        };
        for yes in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert!(is(&Method::POST, Version::HTTP_2, yes), "{yes}");
            assert!(!is(&Method::GET, Version::HTTP_2, yes), "{yes}");
            assert!(!is(&Method::POST, Version::HTTP_11, yes), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grp"] {
            assert!(!is(&Method::POST, Version::HTTP_2, no), "{no}");
        }
    }
}
