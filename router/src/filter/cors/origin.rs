//! Origins: those that a filter allows, and the one that a request comes from (RFC 6454, Gateway API `CORSOrigin`).

use std::str::FromStr;

use super::super::{FilterError, Scheme};

/// An origin that is allowed, or a family of them.
///
/// A port that is left out is the scheme's own, on both sides: `https://a.example` and `https://a.example:443` are the same
/// origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// `*`.
    Any,
    /// `*.example.com`, as `.example.com`: one label more, or any number of them.
    Below(String),
    Exact(String),
}

/// Where a request comes from. `null` is no such place.
struct Origin<'r> {
    scheme: Scheme,
    host: &'r str,
    port: u16,
}

// === impl OriginPattern ===

impl OriginPattern {
    /// Whether it allows this value of a request's `Origin`.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        let Some(origin) = Origin::parse(origin) else { return false };
        self.scheme == origin.scheme && self.port == origin.port && self.host.is(origin.host)
    }
}

impl FromStr for OriginPattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let refused = || FilterError::Origin { origin: text.to_owned() };
        let Origin { scheme, host, port } = Origin::parse(text).ok_or_else(refused)?;
        let host = match host.strip_prefix('*') {
            Some("") => Host::Any,
            Some(suffix) if suffix.starts_with('.') && is_name(&suffix[1..]) => Host::Below(suffix.to_owned()),
            None if is_name(host) => Host::Exact(host.to_owned()),
            _ => return Err(refused()),
        };
        Ok(Self { scheme, host, port })
    }
}

/// Labels of letters, digits and `-`, which addresses of IPv4 are too.
fn is_name(text: &str) -> bool {
    let label = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.split('.').all(label)
}

// === impl Host ===

impl Host {
    fn is(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => host.eq_ignore_ascii_case(name),
            // Bytes, since nobody says that a client's text can be cut there.
            Self::Below(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|start| start > 0 && host.as_bytes()[start..].eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }
}

// === impl Origin ===

impl<'r> Origin<'r> {
    /// A serialised origin (RFC 6454 section 6.2), in any case.
    fn parse(text: &'r str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            it if it.eq_ignore_ascii_case("http") => Scheme::Http,
            it if it.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return None,
        };
        // What follows a host in other kinds of URI must not be taken for its end: `https://a.evil/.example.com`.
        if rest.bytes().any(|byte| !byte.is_ascii_graphic() || b"/\\?#@,".contains(&byte)) {
            return None;
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !rest.ends_with(']') => (host, number(port)?),
            _ => (rest, scheme.port()),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        (!host.is_empty() && (bracketed || !host.contains(':'))).then_some(Self { scheme, host, port })
    }
}

fn number(port: &str) -> Option<u16> {
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port > 0)
}
