//! Headers that belong to one connection and not to the message (RFC 9110 section 7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
        COOKIE, EXPECT, HOST, MAX_FORWARDS, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes them, and all that `Connection` names. `TE: trailers` stays: trailers are passed on.
pub(crate) fn remove(headers: &mut HeaderMap) {
    // Most messages hold none: one look at each name is cheaper than a lookup for each of the six.
    if headers.keys().any(is_hop) {
        remove_all(headers);
    }
}

pub(crate) fn is_hop(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE].contains(name) || KEEP_ALIVE == *name || PROXY_CONNECTION == *name
}

/// Removes from a request's trailers what may only stand in its head (RFC 9110 section 6.5.1): framing, routing, and what
/// would have changed how the request is handled. A backend that merges both must not be told of another request.
pub(crate) fn remove_from_trailers(trailers: &mut HeaderMap) {
    remove(trailers);
    for name in [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        COOKIE,
        EXPECT,
        HOST,
        MAX_FORWARDS,
        TE,
        TRAILER,
    ] {
        trailers.remove(name);
    }
}

fn remove_all(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Nobody may have these taken off: what a message means hangs on them.
        .filter(|name| ![HOST, CONTENT_LENGTH].contains(name))
        .collect();
    let trailers = headers.get_all(TE).iter().any(accepts_trailers);
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    headers.remove(&KEEP_ALIVE);
    headers.remove(&PROXY_CONNECTION);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn accepts_trailers(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        remove(&mut headers);
        let mut left: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        left.sort();
        left
    }

    #[test]
    fn connection_headers_and_those_they_name_go() {
        let left = removed(&[
            ("connection", "Keep-Alive, X-One, Host"),
            ("host", "a"),
            ("connection", "x-two"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        assert_eq!(left, ["host: a", "x-three: 3"]);
    }

    #[test]
    fn only_trailers_survive_in_te() {
        assert_eq!(removed(&[("te", "gzip, Trailers"), ("a", "b")]), ["a: b", "te: trailers"]);
        assert_eq!(removed(&[("te", "gzip"), ("a", "b")]), ["a: b"]);
        assert_eq!(removed(&[("proxy-connection", "close")]), Vec::<String>::new());
    }
}
