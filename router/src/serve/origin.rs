//! Who sent a request, by what is known of its connection and by what trusted peers say, and the ids that it goes by.
//!
//! Whoever is not trusted says nothing here: what it sent under these names is replaced.

mod forwarded;
mod node;
mod request_id;
#[cfg(test)]
mod tests;
mod trace;
mod way;
mod x_forwarded;

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use self::way::Way;
use super::source::Source;
use crate::{
    Cause, Error,
    listen::{Forwarding, ListenerConfig, TraceContext},
};

/// Who sent a request, and the ids that it goes by.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) client: SocketAddr,
    /// Whether the client's connection is encrypted.
    pub(crate) tls: bool,
    traceparent: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
}

/// Headers that are added at most: room for them is made once.
const ADDED: usize = 7;

/// Finds out who sent the request and by which ids it goes, and tells the component in the request's headers.
///
/// Headers that belong to the connection must be gone, and `Host` must say the authority.
pub(super) fn tell(
    headers: &mut HeaderMap,
    config: &ListenerConfig,
    source: &Source,
    origin: &mut Origin,
) -> Result<(), Error> {
    let sent = Sent::look(headers);
    headers.try_reserve(ADDED).map_err(|_| full())?;
    if config.forwarding != Forwarding::Off {
        let mut way = Way::of(source, headers);
        match (sent.way, source.trusted, config.forwarding) {
            (false, ..) => {}
            (true, false, _) => way::forget(headers, None),
            (true, true, Forwarding::Forwarded) => {
                forwarded::read(headers, &config.trusted, &mut way);
                way::forget(headers, Some(&FORWARDED));
            }
            (true, true, _) => x_forwarded::read(headers, &config.trusted, &mut way),
        }
        if config.forwarding == Forwarding::Forwarded {
            forwarded::write(headers, source)?;
        } else if sent.way {
            headers.remove(FORWARDED);
        }
        (origin.client, origin.tls) = (way.client, way.tls);
        way.write(headers)?;
    }
    if config.trace_context != TraceContext::Off {
        origin.traceparent = trace::tell(headers, sent.trace, config.trace_context)?;
    }
    if config.request_id {
        origin.request_id = request_id::tell(headers, sent.request_id && source.trusted)?;
    }
    Ok(())
}

/// Which of the headers that matter here were sent: most requests hold none, and a look at each name is cheaper than a lookup
/// for each of them.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Of the request's way.
    way: bool,
    trace: bool,
    request_id: bool,
}

// === impl Sent ===

impl Sent {
    fn look(headers: &HeaderMap) -> Self {
        let mut sent = Self::default();
        for name in headers.keys() {
            sent.way |= way::tells(name);
            sent.trace |= trace::NAMES.contains(&name.as_str());
            sent.request_id |= name.as_str() == request_id::NAME;
        }
        sent
    }
}

// === impl Origin ===

impl Origin {
    /// What is known before the request's headers are believed.
    pub(super) const fn of(source: &Source) -> Self {
        Self { client: source.address, tls: source.tls, traceparent: None, request_id: None }
    }

    pub(super) fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_ref().and_then(trace::id)
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref()?.to_str().ok()
    }

    /// Tells the client the request's id, in place of whatever the component said.
    pub(super) fn answer(&self, headers: &mut HeaderMap) {
        if let Some(id) = &self.request_id {
            let mut id = id.clone();
            // HTTP/2 would remember it for the next response, which has another, and forget what comes again.
            id.set_sensitive(true);
            // A response of 24,000 headers goes on as it is.
            let _full = put(headers, HeaderName::from_static(request_id::NAME), id);
        }
    }
}

/// Sets a header, in place of all of its name.
fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), Error> {
    headers.try_insert(name, value).map(drop).map_err(|_| full())
}

fn full() -> Error {
    Error::new(Cause::HeadersTooLarge, "no room for the headers that are added to each request; send fewer headers")
}
