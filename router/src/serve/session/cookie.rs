//! Cookies: found in a request, and set by a response (RFC 6265).

use std::fmt::Write;

use http::{HeaderMap, header::COOKIE};

use super::token::Claim;
use crate::route::Matched;

/// The values of the cookies of this name, in their order: HTTP/2 may split the header, and a browser sends the same name
/// for several paths, the longest first.
pub(super) fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(';'));
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Where the client shall send it: the path that matched (GEP-1619, Cookie Attributes), by elements as a prefix is. What an
/// expression matches, and what would need quoting, is sent everywhere.
pub(super) fn path(matched: &Matched, path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let path = match matched {
        Matched::Exact => path,
        Matched::Prefix(prefix) => prefix,
        Matched::Regex => "/",
    };
    if path.starts_with('/') && path.bytes().all(plain) { path.to_owned() } else { "/".to_owned() }
}

/// The value of `Set-Cookie`. Scripts do not see it; other sites' requests carry it only when a link is followed, as a
/// session that is lost on the way from a search engine would be no help.
pub(super) fn set(name: &str, claim: &Claim, path: &str, max_age: Option<u64>, tls: bool) -> String {
    let mut value = format!("{name}={claim}; Path={path}; HttpOnly; SameSite=Lax");
    if let Some(seconds) = max_age {
        let _ = write!(value, "; Max-Age={seconds}");
    }
    if tls {
        value.push_str("; Secure");
    }
    value
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn all_cookies_of_a_name_are_found() {
        let mut headers = HeaderMap::new();
        for value in ["a=1; b=2;c=3", "a=4", "A=5; aa=6; a", " a = 7 ; a=", "b=\u{e9}; a=8"] {
            headers.append(COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let found: Vec<_> = values(&headers, "a").collect();
        assert_eq!(found, ["1", "4", "7", ""]);
        assert_eq!(values(&headers, "d").count(), 0);
    }

    #[test]
    fn the_path_is_the_one_that_matched() {
        let prefix = |prefix: &str| Matched::Prefix(prefix.to_owned());
        for (matched, request, wanted) in [
            (prefix("/"), "/a/b", "/"),
            (prefix("/a"), "/a/b", "/a"),
            (Matched::Exact, "/a/b", "/a/b"),
            (Matched::Regex, "/a/b", "/"),
            (Matched::Exact, "/a;Domain=evil", "/"),
            (Matched::Exact, "/a%20b", "/"),
            (Matched::Exact, "*", "/"),
        ] {
            assert_eq!(path(&matched, request), wanted, "{matched:?} {request}");
        }
    }
}
