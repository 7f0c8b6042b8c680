//! The TLS handshake: in the connection's own task, so that a slow client keeps nobody waiting, and within its time.

use std::{io, sync::Arc};

use rustls::{AlertDescription, server::Acceptor};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Duration, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::Stream;
use crate::tls::{Failure, Identity, Tls, TlsHandle};

/// The first byte of every handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

const PLAINTEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
    content-length: 121\r\nconnection: close\r\n\r\n\
    {\"type\":\"malformed\",\"title\":\"The request is malformed\",\"status\":400,\
    \"detail\":\"This port speaks HTTPS: use https://\"}    \n";

/// How long the word to a client that spoke plain HTTP may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a handshake came to.
#[derive(Debug)]
pub(crate) struct Secured {
    /// What the connection began with, whatever newer ones get.
    tls: Arc<Tls>,
    /// The host that the client asked for.
    host: Option<Box<str>>,
    /// Who it is, if it has shown that.
    identity: Option<Identity>,
    /// Whether both agreed on HTTP/2, or on nothing.
    pub(crate) protocol: Option<Protocol>,
}

/// What ALPN (RFC 7301) settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

// === impl Secured ===

impl Secured {
    /// Whether this connection may carry requests for a host.
    pub(crate) fn serves(&self, host: &str) -> bool {
        self.tls.serves(self.host.as_deref(), crate::tls::sans_port(host))
    }

    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// Shakes hands, and counts how that went.
pub(crate) async fn secure(socket: TcpStream, handle: &TlsHandle, patience: Duration) -> Option<(Stream, Secured)> {
    let result = match timeout(patience, shake_hands(socket, handle.current())).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout),
    };
    handle.count(result.as_ref().map(drop).map_err(|failure| *failure));
    result.ok()
}

async fn shake_hands(mut socket: TcpStream, tls: Arc<Tls>) -> Result<(Stream, Secured), Failure> {
    let mut first = [0];
    let read = socket.peek(&mut first).await.map_err(|_| Failure::Client)?;
    if read == 0 {
        return Err(Failure::Client);
    }
    if first[0] != HANDSHAKE {
        if first[0].is_ascii_alphabetic() {
            let _ = timeout(LAST_WORD, say_plaintext(&mut socket)).await;
        }
        return Err(Failure::Plaintext);
    }
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await.map_err(|error| cause(&error))?;
    let host = start.client_hello().server_name().map(Into::into);
    let stream = start.into_stream(tls.server()).await.map_err(|error| cause(&error))?;
    let secured = Secured { host, identity: identity(&stream), protocol: protocol(&stream), tls };
    Ok((Stream::Tls(Box::new(stream)), secured))
}

async fn say_plaintext(socket: &mut TcpStream) -> io::Result<()> {
    socket.write_all(PLAINTEXT).await?;
    socket.shutdown().await?;
    // Closing over bytes that were not read would make the kernel take the answer back.
    let mut waste = [0; 4096];
    while socket.try_read(&mut waste).is_ok_and(|read| read > 0) {}
    Ok(())
}

fn identity(stream: &TlsStream<TcpStream>) -> Option<Identity> {
    stream.get_ref().1.peer_certificates()?.first().and_then(Identity::of)
}

fn protocol(stream: &TlsStream<TcpStream>) -> Option<Protocol> {
    Some(if stream.get_ref().1.alpn_protocol()? == b"h2" { Protocol::Http2 } else { Protocol::Http1 })
}

fn cause(error: &io::Error) -> Failure {
    use rustls::Error::{AlertReceived, InvalidCertificate, NoCertificatesPresented};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    tracing::debug!(%error, "a TLS handshake failed");
    match inner {
        Some(NoCertificatesPresented | InvalidCertificate(_)) => Failure::ClientCertificate,
        Some(AlertReceived(alert)) if *alert != AlertDescription::ProtocolVersion => Failure::Client,
        Some(_) => Failure::Protocol,
        None => Failure::Client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_to_plain_http_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAINTEXT).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
