//! A connection, from its first byte to its last.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Order, Peer, request::answer, source, stall::Streams};
use crate::listen::{Io, ListenerLimits, Protocol, Stream, secure};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const SLOW_HEAD: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// After the last response, the rest of a request that nobody reads is thrown away for so long and so far: closing
/// at once would make the kernel send a reset, and the client might lose the response.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// HTTP/2 windows: what a client may send ahead of a backend that does not read, per stream and per connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What a backend may write ahead of a client that does not read, per stream.
const SEND_BUFFER: usize = 128 << 10;
/// Streams reset by the client before we got to them (CVE-2023-44487), and by us for its errors (CVE-2025-8671).
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 256;

/// Serves one connection until it ends: who it comes from, its TLS handshake, and then what it is for.
pub(crate) async fn serve(mut socket: TcpStream, peer: Arc<Peer>) {
    if !source::learn(&mut socket, &peer).await {
        return;
    }
    if let Some(socket) = open(socket, &peer).await {
        speak(socket, peer).await;
    }
}

/// Speaks what the TLS handshake settled; without, HTTP/2 if the connection begins with its preface (RFC 9113 section 3.3),
/// else HTTP/1.
pub(crate) async fn speak(mut socket: Stream, peer: Arc<Peer>) {
    let settled = peer.secured().and_then(|it| it.protocol);
    let (http2, read) = match settled {
        Some(protocol) => (protocol == Protocol::Http2, Bytes::new()),
        None => match sniff(&mut socket, &peer).await {
            Some(sniffed) => sniffed,
            None => return,
        },
    };
    let result = if http2 { serve_http2(socket, peer, read).await } else { serve_http1(socket, peer, read).await };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// The connection, through its handshake if the listener has TLS; `None` if it ended.
async fn open(socket: TcpStream, peer: &Peer) -> Option<Stream> {
    let config = &peer.shared.config;
    let Some(tls) = &config.tls else { return Some(Stream::Plain(socket)) };
    let secured = tokio::select! {
        secured = secure(socket, tls, config.limits.handshake_timeout) => secured,
        () = ended(peer) => None,
    };
    let (stream, secured) = secured?;
    peer.is_secured(secured);
    Some(stream)
}

/// Whether the connection begins with the preface of HTTP/2, and what was read to tell; `None` if it ended.
async fn sniff(socket: &mut Stream, peer: &Peer) -> Option<(bool, Bytes)> {
    let mut buffer = [0; PREFACE.len()];
    let mut used = 0;
    while used < buffer.len() {
        let read = tokio::select! {
            read = socket.read(&mut buffer[used..]) => read.ok().filter(|read| *read > 0)?,
            () = ended(peer) => return None,
        };
        used += read;
        if buffer[..used] != PREFACE[..used] {
            peer.reading_head(false);
            return Some((false, Bytes::copy_from_slice(&buffer[..used])));
        }
        peer.reading_head(true);
    }
    peer.reading_head(false);
    Some((true, Bytes::copy_from_slice(&buffer)))
}

/// Waits for the order to end.
pub(super) async fn ended(peer: &Peer) {
    poll_fn(|cx| if peer.listen(cx.waker()) >= Order::Close { Poll::Ready(()) } else { Poll::Pending }).await;
}

async fn serve_http1(socket: Stream, peer: Arc<Peer>, read: Bytes) -> hyper::Result<()> {
    let io = TokioIo::new(Io::http1(socket, Arc::clone(&peer), read));
    let service = {
        let peer = Arc::clone(&peer);
        service_fn(move |request| answer(Arc::clone(&peer), request, None))
    };
    let mut connection = http1_builder(&peer.shared.config.limits).serve_connection(io, service);
    let (result, last) = follow(&peer, Order::Close, &mut connection, http1::Connection::graceful_shutdown).await;
    let io = connection.into_parts().io.into_inner();
    let mid_message = io.mid_message();
    let mut socket = io.into_socket();
    match last {
        Order::SlowHead => {
            // Best effort: whoever sends a head this slowly may not read either.
            let _ = socket.write_all(SLOW_HEAD).now_or_never();
        }
        Order::Cut => return result,
        _ => {}
    }
    if mid_message {
        let _ = timeout(LINGER, linger(&mut socket)).await;
    }
    result
}

async fn serve_http2(socket: Stream, peer: Arc<Peer>, read: Bytes) -> hyper::Result<()> {
    peer.speaks_http2();
    let io = TokioIo::new(Io::http2(socket, Arc::clone(&peer), read));
    let streams = Streams::default();
    let service = {
        let (peer, streams) = (Arc::clone(&peer), streams.clone());
        // On the heap: each stream becomes a task, and all that its future holds would be moved six times on the way.
        service_fn(move |request| Box::pin(answer(Arc::clone(&peer), request, Some(streams.next()))))
    };
    let mut connection = http2_builder(&peer.shared.config.limits, streams).serve_connection(io, service);
    // GOAWAY leaves requests on their way their answer, so it need not wait for an idle moment.
    follow(&peer, Order::LastRequest, &mut connection, http2::Connection::graceful_shutdown).await.0
}

/// Drives a connection to its end, or to the order that ends it. From the order `graceful` on, it is asked to end.
async fn follow<C>(
    peer: &Peer,
    graceful: Order,
    connection: &mut C,
    shutdown: fn(Pin<&mut C>),
) -> (hyper::Result<()>, Order)
where
    C: Future<Output = hyper::Result<()>> + Unpin,
{
    let mut asked = false;
    poll_fn(|cx: &mut Context<'_>| {
        let order = peer.listen(cx.waker());
        if order >= Order::SlowHead {
            return Poll::Ready((Ok(()), order));
        }
        if order >= graceful && !asked {
            asked = true;
            shutdown(Pin::new(connection));
        }
        Pin::new(&mut *connection).poll(cx).map(|result| (result, order))
    })
    .await
}

async fn linger(socket: &mut Stream) -> io::Result<()> {
    socket.shutdown().await?;
    let mut waste = [0; 4096];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match pin!(socket.read(&mut waste)).await? {
            0 => return Ok(()),
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

fn http1_builder(limits: &ListenerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(limits.header_bytes)
        // Also the most that one read or write holds, hence not less than what makes those worth while.
        .max_buf_size(limits.header_bytes.max(64 << 10))
        // The keeper's task: a timer per request is what this one costs.
        .header_read_timeout(None);
    if limits.header_count != ListenerLimits::DEFAULT_HEADER_COUNT {
        builder.max_headers(limits.header_count);
    }
    builder
}

fn http2_builder(limits: &ListenerLimits, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS);
    builder
}
