//! Who a connection comes from: its socket's peer or, by its PROXY header, whom that one speaks for.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
use tokio::net::TcpStream;

use super::{Peer, connection::ended};
use crate::listen::{
    ListenerConfig,
    proxy::{self, Header, Others},
};

/// Who a connection comes from, and what follows for all of its requests.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    /// Whether its forwarding headers are believed.
    pub(crate) trusted: bool,
    /// The connection itself is encrypted.
    pub(crate) tls: bool,
    /// The address, as a hop of `X-Forwarded-For`.
    pub(crate) hop: Option<HeaderValue>,
    /// The port that it connected to.
    pub(crate) port: HeaderValue,
}

// === impl Source ===

impl Source {
    pub(crate) fn new(address: SocketAddr, port: u16, config: &ListenerConfig) -> Self {
        // A socket for both families shows IPv4 clients as ::ffff:a.b.c.d.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            address,
            trusted: config.trusted.contains(address.ip()),
            tls: config.tls.is_some(),
            hop: hop(address.ip()),
            port: HeaderValue::from(port),
        }
    }
}

/// An address in a header. (There is none that cannot stand in one.)
pub(super) fn hop(address: IpAddr) -> Option<HeaderValue> {
    HeaderValue::try_from(address.to_string()).ok()
}

/// Learns who the connection comes from. Reads its PROXY header if it must have one, and nothing else. False if it is to
/// be closed.
pub(super) async fn learn(socket: &mut TcpStream, peer: &Peer) -> bool {
    let config = &peer.shared.config;
    let Some(expected) = &config.proxy_protocol else { return true };
    if !expected.trusted.contains(peer.address.ip()) {
        if expected.others == Others::Close {
            tracing::debug!(peer = %peer.address, "connection closed: it does not come from a trusted proxy");
        }
        return expected.others == Others::Serve;
    }
    // It counts as a head that is being read, and has as long to arrive.
    peer.reading_head(true);
    let read = tokio::select! {
        read = proxy::read(socket) => read,
        () = ended(peer) => {
            tracing::debug!(peer = %peer.address, "connection closed: its PROXY header did not come in time");
            return false;
        }
    };
    peer.reading_head(false);
    match read {
        Ok(Header::Local) => {}
        Ok(Header::Proxied { source, destination }) => {
            peer.comes_from(Source::new(source, destination.port(), config));
        }
        Err(error) => {
            tracing::debug!(peer = %peer.address, %error, "connection closed");
            return false;
        }
    }
    true
}
