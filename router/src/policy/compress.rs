//! Compressed responses, by tower-http: gzip and Brotli, as the client accepts them.

use std::{convert::Infallible, sync::Arc};

use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG},
};
use tower::{Service as _, service_fn};
use tower_http::{
    CompressionLevel,
    compression::{Compression as Compressed, Predicate},
};

use crate::Body;

/// Compresses the responses of a rule.
#[derive(Clone, Debug)]
pub struct Compression {
    /// Bodies that are known to be shorter are left as they are.
    pub min_size: u64,
    /// Types of content in lower case and without parameters; those that end with `*` stand for all that begin so.
    pub types: Arc<[String]>,
    /// Whether clients get Brotli, if they accept it.
    pub brotli: bool,
    /// Whether clients get gzip, if they accept it.
    pub gzip: bool,
}

impl Compression {
    /// The response in the best coding that the request accepts, or as it is if there is none or nothing to gain.
    pub(super) fn apply(&self, accept: &[HeaderValue], response: Response<Body>) -> Response<Body> {
        if !self.should_compress(&response) {
            return response;
        }
        let mut request = Request::new(());
        for value in accept {
            request.headers_mut().append(ACCEPT_ENCODING, value.clone());
        }
        let mut once = Some(response);
        let answer = service_fn(move |_: Request<()>| {
            let response = once.take().unwrap_or_default();
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let compressed = Compressed::new(answer).gzip(self.gzip).br(self.brotli);
        let mut compressed = compressed.quality(CompressionLevel::Fastest).compress_when(self.clone());
        // It waits for nothing, as the response is there.
        let Some(Ok(mut response)) = compressed.call(request).now_or_never() else { return Response::default() };
        if response.headers().contains_key(CONTENT_ENCODING) {
            weaken(response.headers_mut());
        }
        response.map(Body::boxed)
    }
}

/// The bytes are others than those that a strong tag stands for (RFC 9110 section 8.8.3.3).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

impl Predicate for Compression {
    fn should_compress<B: http_body::Body>(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
        // RFC 9111 section 5.2.2.6.
        let may = !headers.get_all(CACHE_CONTROL).iter().any(|it| text(it).contains("no-transform"));
        let media = headers.get(CONTENT_TYPE).map(text).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        let known = |it: &String| it.strip_suffix('*').map_or(media == it, |start| media.starts_with(start));
        let announced = || headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
        let length = response.body().size_hint().exact().or_else(announced);
        may && self.types.iter().any(known) && length.is_none_or(|it| it >= self.min_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(accept: &str, headers: &[(&'static str, &str)]) -> Response<Body> {
        let types = ["text/html", "application/*"].map(ToOwned::to_owned);
        let compression = Compression { min_size: 10, types: types.into(), brotli: true, gzip: true };
        let mut response = Response::new(Body::from("some text that is longer than ten bytes"));
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        let accept: Vec<HeaderValue> =
            [accept].iter().filter(|it| !it.is_empty()).map(|it| it.parse().unwrap()).collect();
        compression.apply(&accept, response)
    }

    #[test]
    fn what_is_compressed_and_how() {
        let html = ("content-type", "text/html; charset=utf-8");
        for (accept, headers, coding) in [
            ("gzip", &[html][..], Some("gzip")),
            ("gzip, br", &[html], Some("br")),
            ("br;q=0.1, gzip", &[html], Some("gzip")),
            ("gzip", &[("content-type", "Application/JSON")], Some("gzip")),
            ("", &[html], None),
            ("identity", &[html], None),
            ("gzip;q=0", &[html], None),
            ("gzip", &[], None),
            ("gzip", &[("content-type", "image/png")], None),
            ("gzip", &[html, ("content-encoding", "zstd")], Some("zstd")),
            ("gzip", &[html, ("cache-control", "max-age=1, No-Transform")], None),
            ("gzip", &[html, ("content-range", "bytes 0-38/100")], None),
            ("gzip", &[html, ("content-length", "39")], Some("gzip")),
        ] {
            let response = apply(accept, headers);
            let is = response.headers().get("content-encoding").map(|it| it.to_str().unwrap());
            assert_eq!(is, coding, "{accept} {headers:?}");
            assert!(is.is_none_or(|it| it == "zstd") || !response.headers().contains_key("content-length"));
        }
        let plain = apply("", &[html]);
        assert_eq!(plain.headers()["vary"], "accept-encoding", "caches must not give it to others");
        let tagged = apply("gzip", &[html, ("etag", "\"a\"")]);
        assert_eq!(tagged.headers()["etag"], "W/\"a\"");
    }
}
