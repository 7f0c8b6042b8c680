//! What is refused before it is routed: requests whose meaning is in doubt, and what is not offered.
//!
//! hyper has refused much already (with a bare 400 and a closed connection): names and values with forbidden
//! characters, bare CR and NUL, obsolete folding, a space before the colon, unparsable or differing lengths, a
//! transfer coding that does not end in `chunked`. Here is the rest.

use std::net::Ipv6Addr;

use http::{
    HeaderName, HeaderValue, Method, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::Authority,
};

use super::hop;
use crate::{Cause, Error};

const NO_WEBSOCKET: &str = "WebSocket (RFC 6455, over HTTP/2 RFC 8441) is not offered: components cannot be upgraded to. Use \
                            server-sent events or streamed bodies, or route this path past Penstock";

const NO_UPGRADE: &str = "Protocol upgrades are not offered: send the request without Upgrade";

/// Refuses what cannot be answered with one meaning, or not at all. Afterwards the request has exactly one authority
/// (which may be empty), a path that starts with `/` (or is `*`, of OPTIONS), and a body of known framing.
pub(crate) fn refuse(parts: &Parts, header_count: usize) -> Result<Seen<'_>, Error> {
    if parts.headers.len() > header_count {
        let detail = format!("{} header fields; at most {header_count} are allowed", parts.headers.len());
        return Err(Error::new(Cause::HeadersTooLarge, detail));
    }
    if parts.method == Method::CONNECT {
        return Err(not_offered("This is no proxy: CONNECT is not offered"));
    }
    target(parts)?;
    // One pass over the headers for all that matters here: a lookup for each would cost more than the rest of this.
    let mut seen = Seen::default();
    let mut length = false;
    for (name, value) in &parts.headers {
        if *name == HOST {
            if seen.host.replace(value).is_some() {
                return Err(malformed("Several Host headers"));
            }
        } else if *name == CONTENT_LENGTH {
            // HTTP/2 lets several equal ones through, and a component might read another one than we do.
            if std::mem::replace(&mut length, true) {
                return Err(malformed("Several Content-Length headers"));
            }
        } else if hop::is_hop(name) {
            seen.hop = true;
            hop_by_hop(name, value, parts.version)?;
        }
    }
    authority(parts, seen.host)?;
    Ok(seen)
}

/// What the pass over the headers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen<'p> {
    /// The Host header.
    pub(crate) host: Option<&'p HeaderValue>,
    /// Headers that belong to the connection.
    pub(crate) hop: bool,
}

/// RFC 9112 section 3.2: origin-form, absolute-form, or `*` for OPTIONS.
fn target(parts: &Parts) -> Result<(), Error> {
    let path = parts.uri.path();
    if path == "*" && parts.method != Method::OPTIONS {
        return Err(malformed("The request target * is for OPTIONS only"));
    }
    if !path.starts_with('/') && path != "*" {
        return Err(malformed("The request target must start with / or be an absolute URI"));
    }
    // RFC 9112 section 3.2: an invalid target is not put right silently, since filters on the way saw another one.
    if !path.is_ascii() || !parts.uri.query().is_none_or(str::is_ascii) {
        return Err(malformed("The request target holds characters beyond ASCII: percent-encode them"));
    }
    match parts.uri.scheme_str() {
        None if parts.uri.authority().is_some() => Err(malformed("The request target must start with /")),
        None | Some("http" | "https") => Ok(()),
        Some(_) => Err(malformed("The request target's scheme must be http or https")),
    }
}

/// RFC 9112 section 3.2 and RFC 9113 section 8.3.1: one authority, however often it is said.
fn authority(parts: &Parts, host: Option<&HeaderValue>) -> Result<(), Error> {
    let host = host.map(HeaderValue::as_bytes);
    if let Some(host) = host
        && !is_host(host)
    {
        return Err(malformed("The Host header is not a host with an optional port"));
    }
    let said = parts.uri.authority().map(Authority::as_str);
    match (said, host) {
        (Some(said), _) if !is_host(said.as_bytes()) => {
            Err(malformed("The authority must be a host with an optional port, without user information"))
        }
        (Some(said), Some(host)) if !said.as_bytes().eq_ignore_ascii_case(host) => {
            Err(malformed("The Host header and the request target's authority differ"))
        }
        // Whatever the form of the target.
        (_, None) if parts.version == Version::HTTP_11 => Err(malformed("No Host header")),
        _ => Ok(()),
    }
}

/// `reg-name` of RFC 3986 section 3.2.2, but for percent-encoding.
static IN_NAME: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        allowed[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            );
        byte += 1;
    }
    allowed
};

/// `uri-host [":" port]` of RFC 3986 section 3.2, without user information and without percent-encoding (which no
/// hostname that can be matched holds); or nothing.
pub(super) fn is_host(text: &[u8]) -> bool {
    let (host, port) = if let [b'[', inner @ ..] = text {
        let Some(end) = memchr::memchr(b']', inner) else { return false };
        let address = std::str::from_utf8(&inner[..end]).ok().and_then(|address| address.parse::<Ipv6Addr>().ok());
        if address.is_none() {
            return false;
        }
        text.split_at(end + 2)
    } else {
        let end = text.iter().position(|byte| !IN_NAME[usize::from(*byte)]).unwrap_or(text.len());
        text.split_at(end)
    };
    match port {
        [] => true,
        [b':', digits @ ..] => !host.is_empty() && is_port(digits),
        _ => false,
    }
}

/// Nothing, or a TCP port in at most five digits.
fn is_port(digits: &[u8]) -> bool {
    let add = |port: u32, digit: &u8| digit.is_ascii_digit().then(|| port * 10 + u32::from(digit - b'0'));
    digits.len() <= 5 && digits.iter().try_fold(0, add).is_some_and(|port| port <= u32::from(u16::MAX))
}

fn hop_by_hop(name: &HeaderName, value: &HeaderValue, version: Version) -> Result<(), Error> {
    // hyper undoes `chunked` alone: any other coding would reach the backend as if it were the content.
    if *name == TRANSFER_ENCODING && version < Version::HTTP_2 && !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
        // RFC 9112 section 6.1: never applied twice.
        if elements(value).filter(|coding| coding.eq_ignore_ascii_case("chunked")).count() > 1 {
            return Err(malformed("The body is chunked more than once"));
        }
        return Err(not_offered("The only transfer coding understood is chunked"));
    }
    // Of HTTP/1.0 it is ignored (RFC 9110 section 7.8).
    if *name == UPGRADE && version != Version::HTTP_10 && !may_ignore(value) {
        return Err(not_offered(if is_websocket(value) { NO_WEBSOCKET } else { NO_UPGRADE }));
    }
    Ok(())
}

/// The elements of a list.
fn elements(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

/// An upgrade to h2c is an offer that a server may ignore; whoever asks for another protocol needs it.
fn may_ignore(upgrade: &HeaderValue) -> bool {
    let ignorable = |protocol: &str| protocol.trim().eq_ignore_ascii_case("h2c");
    upgrade.to_str().is_ok_and(|upgrade| upgrade.split(',').all(ignorable))
}

fn is_websocket(upgrade: &HeaderValue) -> bool {
    elements(upgrade).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

fn malformed(detail: &'static str) -> Error {
    Error::new(Cause::Malformed, detail)
}

fn not_offered(detail: &'static str) -> Error {
    Error::new(Cause::NotImplemented, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["", "a", "A.b-c", "a:80", "a:", "127.0.0.1:1", "[::1]", "[::1]:8080", "a_b.c"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a@b", "a/b", "a:b", "a:80:80", "a:65536", "a:123456", "a:+1", ":80", "[::1", "[::g]", "[::1]x",
            "a\\b", "a?b", "a#b", "a%00", "a\"", "a<b", "[]",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn upgrades() {
        let offers = |value: &'static str| may_ignore(&HeaderValue::from_static(value));
        assert!(offers("h2c") && offers("H2C"));
        assert!(!offers("websocket") && !offers("h2c, websocket") && !offers("TLS/1.0"));
    }
}
