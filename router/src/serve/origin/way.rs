//! The way of a request, and the four headers that tell it: `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};

use super::{super::source::Source, put};
use crate::{Error, listen::Networks, tls::Identity};

pub(super) const FOR: &str = "x-forwarded-for";
pub(super) const PROTO: &str = "x-forwarded-proto";
pub(super) const HOST_SENT: &str = "x-forwarded-host";
pub(super) const PORT: &str = "x-forwarded-port";

/// The way of a request, by the connection until a trusted peer says more.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) client: SocketAddr,
    pub(super) tls: bool,
    /// The authority that the client asked for; `None` if it asked for none.
    pub(super) host: Option<HeaderValue>,
    /// The port that the client connected to.
    pub(super) port: HeaderValue,
    /// The addresses from the client to the connection's.
    pub(super) hops: Option<HeaderValue>,
}

// === impl Way ===

impl Way {
    pub(super) fn of(source: &Source, headers: &HeaderMap) -> Self {
        Self {
            client: source.address,
            tls: source.tls,
            host: headers.get(HOST).filter(|host| !host.is_empty()).cloned(),
            port: source.port.clone(),
            hops: source.hop.clone(),
        }
    }

    /// Follows the hops that the trusted peer tells of, from the nearest to the farthest. The first that is not trusted is the
    /// client: whatever stands before it is its own word. So is a hop that is no address (`None`), which ends the walk.
    /// Returns how many were followed.
    pub(super) fn walk(&mut self, hops: impl IntoIterator<Item = Option<SocketAddr>>, trusted: &Networks) -> usize {
        let mut followed = 0;
        for hop in hops {
            let Some(hop) = hop else { break };
            self.client = hop;
            followed += 1;
            if !trusted.contains(hop.ip()) {
                break;
            }
        }
        followed
    }

    /// A trusted peer says how it was reached. Unless it names the port, that is the authority's or the scheme's own: ours is not
    /// what the client connected to.
    pub(super) fn reached(&mut self, tls: bool, port: Option<HeaderValue>) {
        self.tls = tls;
        let named = || {
            let host = self.host.as_ref()?.to_str().ok()?;
            let (_, port) = host.rsplit_once(':').filter(|(_, port)| !port.contains(']'))?;
            port.parse::<u16>().ok().map(HeaderValue::from)
        };
        let scheme = HeaderValue::from_static(if tls { "443" } else { "80" });
        self.port = port.or_else(named).unwrap_or(scheme);
    }

    pub(super) fn write(self, headers: &mut HeaderMap) -> Result<(), Error> {
        let mut set = |name: &'static str, value: Option<HeaderValue>| match value {
            Some(value) => put(headers, HeaderName::from_static(name), value),
            None => {
                headers.remove(name);
                Ok(())
            }
        };
        let proto = HeaderValue::from_static(if self.tls { "https" } else { "http" });
        set(FOR, self.hops)?;
        set(PROTO, Some(proto))?;
        set(HOST_SENT, self.host)?;
        set(PORT, Some(self.port))
    }
}

/// Whether a header tells of the request's way. Who the client is by its certificate is not part of it: [`Identity`] has the say.
pub(super) fn tells(name: &HeaderName) -> bool {
    let text = name.as_str();
    (text.starts_with("x-forwarded-") && !Identity::is_header(name)) || text == "forwarded" || text == "x-real-ip"
}

/// Takes off all that tells of the request's way, but for one header.
pub(super) fn forget(headers: &mut HeaderMap, but: Option<&HeaderName>) {
    let forgets = |name: &&HeaderName| tells(name) && but != Some(*name);
    let named: Vec<HeaderName> = headers.keys().filter(forgets).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

/// The only value of a header.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a scheme is that of TLS; `None` if it is neither of HTTP's.
pub(super) fn is_https(scheme: &[u8]) -> Option<bool> {
    let https = scheme.eq_ignore_ascii_case(b"https");
    (https || scheme.eq_ignore_ascii_case(b"http")).then_some(https)
}

/// The lines of a list header that are to be kept, and one more, as one list.
pub(super) fn joined(
    headers: &HeaderMap,
    name: &HeaderName,
    keep: impl Fn(&[u8]) -> bool,
    last: &[u8],
) -> Option<HeaderValue> {
    let mut list = Vec::with_capacity(128);
    let lines = headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii());
    for value in lines.filter(|line| !line.is_empty() && keep(line)) {
        list.extend_from_slice(value);
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(last);
    HeaderValue::try_from(list).ok()
}
