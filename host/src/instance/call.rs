//! One call of a component, from a request to the head of its response.
//!
//! The guest runs in the task that reads its request: no hand-over, no channel between threads. When its response's
//! head is there the guest goes on living inside the response's body ([`GuestBody`]), which polls it whenever the
//! connection can take more. So back-pressure needs no buffer, and a client that leaves ends the guest by dropping it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, Uri, header, uri};
use http_body_util::BodyExt;
use penstock_router::{Body, CallContext, Cause, Error};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{FieldMap, WasiBody, WasiHttpView, p2, p3};

use super::{
    body::GuestBody,
    pool::Pool,
    shared::Answer,
    template::{Exports, Instance, Template},
    work::Work,
};
use crate::capability::http::Hooks;

/// A response that is complete at once and no larger than this is sent whole, with its length, in one write.
const WHOLE_RESPONSE: usize = 64 * 1024;

type Head = Result<Response<WasiBody>, Error>;

/// Answers one request with an instance of the pool's component.
pub(crate) async fn answer(
    pool: &Arc<Pool>,
    request: Request<Body>,
    context: &CallContext,
) -> Result<Response<Body>, Error> {
    let mut request = to_guest(request, context)?;
    if pool.shares_instances() {
        while let Some((instance, place)) = pool.place().await? {
            match instance.answer(request, place).await {
                Answer::Response(response) => return Ok(response),
                Answer::Failed(error) => return Err(error),
                Answer::NotStarted(again) => request = again,
            }
        }
        // All are full: this call gets a fresh instance of its own.
    }
    let mut instance = pool.take().await?;
    instance.store.data_mut().begin_call();
    let meter = instance.store.data().meter.clone();
    let (head, response) = oneshot::channel();
    let work = Work::new(call(instance, request, head), meter, pool.template.lane.clone());
    let mut running = Running::new(work, pool.clone(), context.deadline);
    let response = running.head(response).await?;
    whole_or_stream(running, response).await
}

/// A guest that is answering.
pub(crate) struct Running {
    work: Option<Work<Ended>>,
    /// What the work left, kept until the body has been read: only while the store lives can a body that was finished be
    /// told from one that was not.
    ended: Option<Ended>,
    pool: Arc<Pool>,
    deadline: Option<tokio::time::Instant>,
}

/// What is left when a guest has nothing more to do.
pub(crate) struct Ended {
    instance: Box<Instance>,
    result: Result<(), Error>,
}

impl Running {
    fn new(work: Work<Ended>, pool: Arc<Pool>, deadline: Option<tokio::time::Instant>) -> Self {
        Self { work: Some(work), ended: None, pool, deadline }
    }

    /// Lets the guest run until it pauses or ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(work) = self.work.as_mut() else { return };
        if let Poll::Ready(ended) = Pin::new(work).poll(cx) {
            self.work = None;
            self.ended = ended;
        }
    }

    /// Whether the guest still has work to do.
    pub(crate) fn is_working(&self) -> bool {
        self.work.is_some()
    }

    /// The guest ended and its answer did not: why.
    pub(crate) fn failure(&mut self, otherwise: &str) -> Error {
        let who = self.pool.template.who();
        match self.ended.take() {
            Some(Ended { instance, result }) => {
                let error = result
                    .err()
                    .or_else(|| self.pool.template.limit_error(instance.store.data()))
                    .unwrap_or_else(|| Error::new(Cause::GuestNoResponse, format!("{who} {otherwise}")));
                drop(instance);
                self.pool.failed(&error);
                error
            }
            None => Error::new(Cause::Internal, format!("{who} was cut off by a fault of the host")),
        }
    }

    /// Ends the guest, whose response is larger than it may be.
    pub(crate) fn cut(&mut self) -> Error {
        let error = self.pool.template.response_error();
        self.work = None;
        self.ended = None;
        self.pool.failed(&error);
        error
    }

    /// Bytes that a response may have.
    pub(crate) fn response_limit(&self) -> u64 {
        self.pool.template.options.response_limit.unwrap_or(u64::MAX)
    }

    /// Waits for the response's head.
    async fn head(&mut self, mut response: oneshot::Receiver<Head>) -> Result<Response<WasiBody>, Error> {
        // The handler may drop its end without using it and still go on.
        let mut open = true;
        poll_fn(|cx| {
            self.poll(cx);
            if open {
                match response.poll_unpin(cx) {
                    Poll::Ready(Ok(head)) => return Poll::Ready(head),
                    Poll::Ready(Err(_)) => open = false,
                    Poll::Pending => {}
                }
            }
            if self.is_working() {
                return Poll::Pending;
            }
            Poll::Ready(Err(self.failure("returned without a response")))
        })
        .await
    }

    /// The body was read to its end: the instance may serve again, and what the guest still does goes on by itself
    /// until the request's deadline.
    pub(crate) fn finish(&mut self, cx: Option<&mut Context<'_>>) {
        if let Some(cx) = cx {
            // Most guests have only this left to notice.
            self.poll(cx);
        }
        if let Some(ended) = self.ended.take() {
            ended.settle(&self.pool);
        }
        let Some(work) = self.work.take() else { return };
        let (pool, deadline) = (self.pool.clone(), self.deadline);
        tokio::spawn(async move {
            let ended = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok().flatten(),
                None => work.await,
            };
            if let Some(ended) = ended {
                ended.settle(&pool);
            }
        });
    }
}

impl Ended {
    /// The answer is complete; what becomes of the instance depends on how its work ended.
    fn settle(self, pool: &Pool) {
        match self.result {
            Ok(()) => pool.give_back(self.instance),
            Err(error) => {
                tracing::warn!(target: "guest", %error, "failed after its response");
                drop(self.instance);
                pool.failed(&error);
            }
        }
    }
}

/// Takes what the guest has ready without waiting. Small responses are complete by then and become one write with a
/// known length; of others the first bytes are sent along with the head. A guest that fails by then has sent nothing,
/// and its client gets an honest error in place of half a response.
async fn whole_or_stream(mut running: Running, response: Response<WasiBody>) -> Result<Response<Body>, Error> {
    let (parts, inner) = response.into_parts();
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(content_length);
    if length.is_some_and(|length| length > running.response_limit()) {
        return Err(running.cut());
    }
    let mut body = GuestBody::new(inner, running, length);
    let mut first = First::default();
    let complete = poll_fn(|cx| {
        Poll::Ready(loop {
            match body.poll_guest(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        first.push(data);
                        if first.len > WHOLE_RESPONSE {
                            break Ok(false);
                        }
                    }
                    Err(trailers) => {
                        body.unread(trailers);
                        break Ok(false);
                    }
                },
                Poll::Ready(Some(Err(error))) => break Err(error),
                Poll::Ready(None) => break Ok(true),
                Poll::Pending => break Ok(false),
            }
        })
    })
    .await?;
    let first = first.into_bytes();
    let body = if complete {
        Body::from(first)
    } else {
        body.prepend(first);
        Body::boxed(body)
    };
    Ok(Response::from_parts(parts, body))
}

/// The first bytes of a response: one chunk without a copy, several joined.
#[derive(Default)]
struct First {
    one: Bytes,
    joined: BytesMut,
    len: usize,
}

impl First {
    fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if self.one.is_empty() && self.joined.is_empty() {
            self.one = data;
        } else {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&std::mem::take(&mut self.one));
            }
            self.joined.extend_from_slice(&data);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.one } else { self.joined.freeze() }
    }
}

pub(crate) fn content_length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// Gives the request the absolute form that `wasi:http` reads scheme and authority from.
fn to_guest(request: Request<Body>, context: &CallContext) -> Result<Request<WasiBody>, Error> {
    let (mut parts, body) = request.into_parts();
    let malformed = |what: &str| Error::new(Cause::Malformed, format!("the request's {what} is not valid"));
    let mut uri = uri::Parts::default();
    uri.scheme = Some(if context.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
    uri.authority = match (parts.uri.authority(), parts.headers.get(header::HOST)) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(host)) => Some(
            uri::Authority::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes()))
                .map_err(|_| malformed("host"))?,
        ),
        // HTTP/1.0 knows no Host; `wasi:http` wants one.
        (None, None) => Some(uri::Authority::from_static("localhost")),
    };
    uri.path_and_query = match parts.uri.path_and_query() {
        Some(path) => Some(path.clone()),
        None => Some(uri::PathAndQuery::from_static("/")),
    };
    parts.uri = Uri::from_parts(uri).map_err(|_| malformed("target"))?;
    let body = body.map_err(body_error).boxed_unsync();
    Ok(Request::from_parts(parts, body))
}

/// A request body that failed, in the words of `wasi:http`.
fn body_error(error: penstock_router::BoxError) -> wasmtime_wasi_http::Error {
    match error.downcast::<hyper::Error>() {
        Ok(error) => wasmtime_wasi_http::Error::Hyper(*error),
        Err(error) => match error.downcast_ref::<Error>() {
            Some(Error { cause: Cause::BodyTooLarge, .. }) => wasmtime_wasi_http::Error::HttpRequestBodySize(None),
            _ => wasmtime_wasi_http::Error::InternalError(Some(error.to_string())),
        },
    }
}

/// Runs the guest's handler to its end.
async fn call(mut instance: Box<Instance>, request: Request<WasiBody>, head: oneshot::Sender<Head>) -> Ended {
    instance.calls = instance.calls.saturating_add(1);
    let Instance { store, exports, .. } = &mut *instance;
    store.set_epoch_deadline(1);
    let result = match exports {
        Exports::P2(proxy) => call_p2(store, proxy, request, head).await,
        Exports::P3(service) => call_p3(store, service, request, head).await,
        Exports::None(_) => Err(wasmtime::format_err!("it exports no HTTP handler")),
    };
    let result = result.map_err(|error| {
        let template = store.data().template.clone();
        template.failure(store, &error, "trapped", Cause::GuestTrap)
    });
    Ended { instance, result }
}

async fn call_p2(
    store: &mut wasmtime::Store<super::State>,
    proxy: &p2::bindings::Proxy,
    request: Request<WasiBody>,
    head: oneshot::Sender<Head>,
) -> wasmtime::Result<()> {
    use p2::bindings::http::types::{ErrorCode, Scheme};
    let scheme = if request.uri().scheme() == Some(&uri::Scheme::HTTPS) { Scheme::Https } else { Scheme::Http };
    let template = store.data().template.clone();
    let request = store.data_mut().http().new_incoming_request(scheme, request)?;
    let out = store.data_mut().http().new_response_outparam_from_callback(
        move |response: Result<Response<WasiBody>, ErrorCode>| {
            // The receiver is gone when the client is.
            let _ = head.send(response.map_err(|code| {
                guest_error(&template.who(), &code, matches!(code, ErrorCode::ConnectionLimitReached))
            }));
        },
    )?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await
}

async fn call_p3(
    store: &mut wasmtime::Store<super::State>,
    service: &p3::bindings::Service,
    request: Request<WasiBody>,
    head: oneshot::Sender<Head>,
) -> wasmtime::Result<()> {
    let (request, io) = p3_request(&mut store.data_mut().hooks, request);
    let template = store.data().template.clone();
    store
        .run_concurrent(async |accessor| -> wasmtime::Result<()> {
            let response = match service.handle(accessor, request).await? {
                Ok(response) => accessor.with(|mut store| response.into_http(&mut store, io))?,
                Err(code) => {
                    // The receiver is gone when the client is.
                    let _ = head.send(Err(p3_error(&template, &code)));
                    return Ok(());
                }
            };
            let (body, read) = Watched::watch(response);
            let _ = head.send(Ok(body));
            // The guest's own tasks first, then what the store still has to pass on of the body.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            let _ = read.await;
            Ok(())
        })
        .await?
}

/// The request as a 0.3 guest gets it, and the future that tells what became of its body.
pub(crate) fn p3_request(
    hooks: &mut Hooks,
    request: Request<WasiBody>,
) -> (p3::Request, impl Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send + 'static + use<>) {
    let (parts, body) = request.into_parts();
    let uri = parts.uri.into_parts();
    let headers = FieldMap::new_immutable(hooks, parts.headers);
    p3::Request::new(parts.method, uri.scheme, uri.authority, uri.path_and_query, headers, None, body)
}

pub(crate) fn p3_error(template: &Template, code: &p3::bindings::http::types::ErrorCode) -> Error {
    let limited = matches!(code, p3::bindings::http::types::ErrorCode::ConnectionLimitReached);
    guest_error(&template.who(), code, limited)
}

/// The component answered with an error code of its own, or passed on that it had too many connections.
fn guest_error(who: &str, code: &dyn std::fmt::Debug, limited: bool) -> Error {
    let cause = if limited { Cause::GuestOutbound } else { Cause::GuestError };
    Error::new(cause, format!("{who} answered with the error code {code:?}"))
}

/// A body that tells when it has been read to its end or dropped.
struct Watched {
    body: WasiBody,
    _read: oneshot::Sender<()>,
}

impl Watched {
    fn watch(response: Response<WasiBody>) -> (Response<WasiBody>, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (response.map(|body| Self { body, _read: sender }.boxed_unsync()), receiver)
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
