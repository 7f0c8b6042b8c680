//! `allowedHosts`: which authorities a component may call.

use std::str::FromStr;

use http::{Uri, uri::Scheme};

/// One entry: `*`, `host[:port]`, `scheme://host[:port][/]`, `*.suffix[:port]` or `scheme://*.suffix[:port][/]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostRule {
    scheme: Option<Scheme>,
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exact(String),
    /// With its leading dot.
    Suffix(String),
}

/// Why an `allowedHosts` entry was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowedHosts: '{entry}' {what}; write '*', 'host', 'host:port', '*.suffix' or 'https://host'")]
pub(crate) struct InvalidHostRule {
    entry: String,
    what: &'static str,
}

impl FromStr for HostRule {
    type Err = InvalidHostRule;

    fn from_str(entry: &str) -> Result<Self, InvalidHostRule> {
        let invalid = |what| InvalidHostRule { entry: entry.to_owned(), what };
        if entry == "*" {
            return Ok(Self { scheme: None, host: Host::Any, port: None });
        }
        let (scheme, rest) = match entry.split_once("://") {
            Some((scheme, rest)) => {
                let scheme = Scheme::from_str(scheme).map_err(|_| invalid("has an invalid scheme"))?;
                (Some(scheme), rest.strip_suffix('/').unwrap_or(rest))
            }
            None => (None, entry),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err(invalid("names more than a host"));
        }
        let (host, port) = split_port(rest);
        let port = match port {
            Some(port) => Some(port.parse().map_err(|_| invalid("has an invalid port"))?),
            None => None,
        };
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') && suffix.len() > 1 && !suffix.contains('*') => {
                Host::Suffix(suffix.to_owned())
            }
            None if !host.is_empty() && !host.contains('*') => Host::Exact(host),
            Some(_) | None => return Err(invalid("is not a host")),
        };
        Ok(Self { scheme, host, port })
    }
}

/// `host:port`, the host perhaps an IPv6 address in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl HostRule {
    pub(crate) fn permits(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let default_port = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let host = host.trim_end_matches('.');
        self.scheme.as_ref().is_none_or(|scheme| uri.scheme() == Some(scheme))
            && self.port.is_none_or(|port| uri.port_u16().unwrap_or(default_port) == port)
            && match &self.host {
                Host::Any => true,
                Host::Exact(exact) => host.eq_ignore_ascii_case(exact),
                Host::Suffix(suffix) => {
                    host.len() > suffix.len()
                        && host.get(host.len() - suffix.len()..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_permit_what_they_say_and_no_more() {
        for (entry, uri, permitted) in [
            ("*", "http://anything.example/", true),
            ("api.example.com", "https://api.example.com/x", true),
            ("api.example.com", "http://API.example.com:8080/", true),
            ("api.example.com", "http://api.example.com./", true),
            ("api.example.com", "http://xapi.example.com/", false),
            ("api.example.com", "http://api.example.com.evil.test/", false),
            ("api.example.com:443", "https://api.example.com/", true),
            ("api.example.com:443", "http://api.example.com/", false),
            ("https://api.example.com/", "https://api.example.com/", true),
            ("https://api.example.com", "http://api.example.com/", false),
            ("*.example.com", "http://a.b.example.com/", true),
            ("*.example.com", "http://example.com/", false),
            ("*.example.com", "http://badexample.com/", false),
            ("http://*.example.com:81", "http://a.example.com:81/", true),
            ("http://*.example.com:81", "http://a.example.com/", false),
            ("[::1]:80", "http://[::1]/", true),
            ("127.0.0.1", "http://127.0.0.1:9/", true),
        ] {
            let rule: HostRule = entry.parse().unwrap();
            assert_eq!(rule.permits(&uri.parse().unwrap()), permitted, "{entry} and {uri}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_advice() {
        for entry in ["", "*.", "*x", "a*b", "http://", "http://a/b", "a:b", "u@a", "*.*.x", "a:99999"] {
            let error = entry.parse::<HostRule>().unwrap_err().to_string();
            assert!(error.contains("write '*'"), "{entry}: {error}");
        }
    }
}
