//! `X-Forwarded-*` of a trusted peer.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    super::refuse::is_host,
    node,
    way::{FOR, HOST_SENT, PORT, PROTO, Way, is_https, joined, only},
};
use crate::listen::Networks;

/// Reads what the peer says. What is not understood stays as the connection has it.
pub(super) fn read(headers: &HeaderMap, trusted: &Networks, way: &mut Way) {
    let lines = headers.get_all(FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    // Empty elements of a list count for nothing (RFC 9110 section 5.6.1).
    way.walk(hops.filter(|hop| !hop.is_empty()).map(node::address), trusted);
    if let Some(peer) = way.hops.take() {
        way.hops = joined(headers, &HeaderName::from_static(FOR), |_| true, peer.as_bytes()).or(Some(peer));
    }
    let host = only(headers, HOST_SENT).filter(|host| !host.is_empty() && is_host(host.as_bytes()));
    if let Some(host) = host {
        way.host = Some(host.clone());
    }
    let port = only(headers, PORT).filter(|port| is_port(port)).cloned();
    match (only(headers, PROTO).and_then(|proto| is_https(proto.as_bytes())), port) {
        (Some(tls), port) => way.reached(tls, port),
        (None, Some(port)) => way.port = port,
        (None, None) => {}
    }
}

fn is_port(port: &HeaderValue) -> bool {
    port.to_str().is_ok_and(|port| !port.starts_with('+') && port.parse::<u16>().is_ok())
}
