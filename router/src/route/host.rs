//! Hostnames: what a route may claim, and how a request's host is read.

use std::{fmt, net::IpAddr, str::FromStr};

use thiserror::Error;

/// The longest hostname (RFC 1035 section 2.3.4, without the trailing dot).
pub(super) const MAX_HOST: usize = 253;
/// The longest label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// A hostname of a route: exact (`api.example.com`) or a wildcard (`*.example.com`), always in lower case.
///
/// A wildcard stands for one or more labels: `*.example.com` matches `a.example.com` and `a.b.example.com`, not `example.com`
/// (Gateway API, `Hostname`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern {
    /// As people write it, in lower case.
    text: String,
}

/// Why a hostname cannot be routed on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostRefused {
    /// Nothing at all.
    #[error("the hostname is empty; leave it out to match every host")]
    Empty,
    /// `*` alone.
    #[error("`*` alone is not a hostname; leave the hostname out to match every host, or write `*.example.com`")]
    BareWildcard,
    /// A `*` anywhere but as the whole first label.
    #[error("`{0}`: `*` may only stand for whole labels at the start, as in `*.example.com`")]
    Wildcard(String),
    /// An IPv4 or IPv6 address.
    #[error(
        "`{0}` is an IP address; a route matches names only: use the name that clients send, or no hostname at all"
    )]
    Address(String),
    /// A colon.
    #[error("`{0}` holds a port; a hostname matches on every port, so write it without")]
    Port(String),
    /// Two dots in a row, or one at either end.
    #[error("`{0}` has an empty label; write it without leading, trailing or double dots")]
    EmptyLabel(String),
    /// A label of more than 63 characters or a name of more than 253.
    #[error("`{0}` is too long: at most 63 characters a label and 253 in all")]
    TooLong(String),
    /// A character outside a-z, 0-9 and `-`, or a `-` at either end of a label.
    #[error(
        "`{name}` holds {character:?} where it may not: a label is a-z, 0-9 and `-`, and starts and ends with a letter or digit"
    )]
    Character {
        /// The hostname.
        name: String,
        /// The first offender.
        character: char,
    },
}

// === impl HostPattern ===

impl HostPattern {
    /// The hostname in lower case, `*.` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is `*.something`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.text.starts_with("*.")
    }

    /// Whether a request's host is one that this stands for. Case, port and a trailing dot do not matter.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = trim(host);
        match self.text.strip_prefix('*') {
            None => host.eq_ignore_ascii_case(&self.text),
            Some(suffix) => {
                let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
                host.len() > suffix.len() && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
            }
        }
    }

    /// The narrower of two hostnames if one holds the other: what a route serves on a listener that has a hostname of its own.
    ///
    /// `None` means that they have nothing in common, so that the route does not attach (Gateway API, `spec.hostnames`).
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let holds = |wide: &Self, narrow: &Self| match wide.text.strip_prefix('*') {
            None => wide == narrow,
            Some(suffix) => {
                wide == narrow
                    || (narrow.text.len() > suffix.len() && {
                        let rest = narrow.text.strip_prefix('*').unwrap_or(&narrow.text);
                        rest.len() > suffix.len() && rest.ends_with(suffix)
                    })
            }
        };
        if holds(self, other) {
            Some(other.clone())
        } else if holds(other, self) {
            Some(self.clone())
        } else {
            None
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostRefused;

    fn from_str(text: &str) -> Result<Self, HostRefused> {
        let text = text.to_ascii_lowercase();
        let name = match text.strip_prefix("*.") {
            _ if text.is_empty() => return Err(HostRefused::Empty),
            _ if text == "*" => return Err(HostRefused::BareWildcard),
            Some(suffix) => suffix,
            None => &text,
        };
        if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return Err(HostRefused::Address(text));
        }
        if name.contains('*') {
            return Err(HostRefused::Wildcard(text));
        }
        if name.contains(':') {
            return Err(HostRefused::Port(text));
        }
        if text.len() > MAX_HOST || name.split('.').any(|label| label.len() > MAX_LABEL) {
            return Err(HostRefused::TooLong(text));
        }
        if name.split('.').any(str::is_empty) {
            return Err(HostRefused::EmptyLabel(text));
        }
        match name.split('.').find_map(bad_character) {
            Some(character) => Err(HostRefused::Character { name: text, character }),
            None => Ok(Self { text }),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn bad_character(label: &str) -> Option<char> {
    let hyphen = (label.starts_with('-') || label.ends_with('-')).then_some('-');
    label.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')).or(hyphen)
}

/// The host of an authority without port and trailing dot, in the case it was sent in.
///
/// Hosts that no pattern can name come back empty: addresses in brackets, an empty first label, and what is longer than any name.
#[inline]
pub(super) fn trim(authority: &str) -> &str {
    let host = match authority.as_bytes() {
        [b'[' | b'.', ..] => return "",
        // Most requests carry no port: only a digit or a lone colon at the end can be one.
        [.., b'0'..=b'9' | b':'] => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        _ => authority,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() > MAX_HOST { "" } else { host }
}

/// A trimmed host in lower case.
pub(super) fn lower<'b>(host: &str, buffer: &'b mut [u8; MAX_HOST]) -> &'b [u8] {
    let lowered = &mut buffer[..host.len().min(MAX_HOST)];
    lowered.copy_from_slice(&host.as_bytes()[..lowered.len()]);
    lowered.make_ascii_lowercase();
    lowered
}

#[cfg(test)]
#[path = "host/tests.rs"]
mod tests;
