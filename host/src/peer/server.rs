//! Calls of peers: straight to an instance, or back at once. What they would wait for they wait for where they came in.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::Pin, sync::Arc, task, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use penstock_router::{Body, BoxError, Cause, DrainWatch, Error, admit::Permit};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Peers,
    wire::{self, Load},
};
use crate::workload::Share;

/// A peer has one connection, and one more while it is replaced.
const CONNECTIONS: usize = 1024;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// More than a share takes at once makes no sense; what a peer sends beyond it waits on its side.
const STREAMS: u32 = 10_000;
/// A peer that is gone without a word is found out within the sum of these.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(5);
/// After an error of the system, such as no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);
/// What may be under way of all requests of a peer.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Serves peers until the host drains, and then until their last calls have ended.
pub(super) async fn serve(listener: TcpListener, peers: Arc<Peers>, mut drain: DrainWatch) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = drain.started() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let (peers, drain) = (peers.clone(), drain.clone());
                connections.spawn(async move {
                    if let Err(error) = connection(stream, peers, drain).await {
                        tracing::debug!(%address, error, "a connection of a peer");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection of a peer was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, peers: Arc<Peers>, mut drain: DrainWatch) -> Result<(), BoxError> {
    let both = peers.identity.current().borrow().clone();
    let both = both.ok_or("this host has no certificate yet, so that it lets nobody in")?;
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE, TlsAcceptor::from(both.server.clone()).accept(stream)).await??;
    let service = service_fn(move |request| answer(peers.clone(), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(STREAMS)
        // The one that the client's host writes is enough.
        .auto_date_header(false)
        .max_header_list_size(wire::HEADERS)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        _ = drain.started() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = connection => Ok(ended?),
        () = drain.expired() => Ok(()),
    }
}

async fn answer(peers: Arc<Peers>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut load = None;
    let call = AssertUnwindSafe(call(&peers, request, &mut load)).catch_unwind();
    let outcome = call.await.unwrap_or_else(|_| Err(Error::new(Cause::Internal, "a fault in the host that was asked")));
    Ok(outcome.unwrap_or_else(|error| wire::failure(error, load)))
}

async fn call(peers: &Peers, request: Request<Incoming>, load: &mut Option<Load>) -> Result<Response<Body>, Error> {
    let (mut parts, incoming) = request.into_parts();
    let call = wire::call(&mut parts)
        .map_err(|why| Error::new(Cause::Malformed, format!("the call of a peer is not understood: {why}")))?;
    let away = || Error::new(Cause::NotReady, format!("{} takes no calls of peers here", call.share));
    let share = peers.serving.load().get(&call.share).cloned().ok_or_else(away)?;
    let passing = share.passing().ok_or_else(away)?;
    let backend = share.backend(call.component.as_deref()).map_err(|detail| Error::new(Cause::NotReady, detail))?;
    let permit = share.admission.try_admit();
    *load = Some(loaded(&share));
    let permit = permit.ok_or_else(|| Error::new(Cause::QueueFull, format!("{} has no place here", call.share)))?;
    passing.took();
    let response = backend.call(Request::from_parts(parts, incoming.into()), call.context).await?;
    let response = response.map(|body| Body::boxed(HeldBody { body, _permit: permit }));
    Ok(wire::response(response, loaded(&share)))
}

fn loaded(share: &Share) -> Load {
    let stats = share.admission.stats();
    Load { capacity: stats.limits.concurrency as u64, in_flight: (stats.in_flight + stats.queued) as u64 }
}

/// A response that takes a place here until it has ended.
struct HeldBody {
    body: Body,
    _permit: Permit,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
