//! One connection to the target, and one exchange on it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Uri, header, response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Failure, Plan, Protocol};

type Outgoing = Request<Full<Bytes>>;
type Connection1 = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// An answer, read to its end.
pub(super) struct Reply {
    pub(super) head: response::Parts,
    /// Empty unless it was asked for.
    pub(super) body: Bytes,
    /// Length of the body.
    pub(super) length: u64,
}

/// Why there is no reply.
pub(super) enum Broken {
    /// Not a byte of it was written: it may be sent again on another connection.
    Unsent(Box<Outgoing>),
    Failed(Failure),
}

/// A connection. It is driven by whoever uses it (HTTP/1.1) or by a task of its own (HTTP/2).
pub(super) enum Link {
    Http1 { id: u32, sender: http1::SendRequest<Full<Bytes>>, connection: Pin<Box<Connection1>>, ended: bool },
    Http2 { id: u32, sender: http2::SendRequest<Full<Bytes>> },
}

// === impl Link ===

impl Link {
    pub(super) async fn connect(plan: &Plan, id: u32) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::Connect(chain(error));
        let stream = TcpStream::connect(plan.target).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let io = TokioIo::new(stream);
        match plan.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(|error| failed(&error))?;
                Ok(Self::Http1 { id, sender, connection: Box::pin(connection), ended: false })
            }
            Protocol::Http2 { .. } => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.map_err(|error| failed(&error))?;
                tokio::spawn(connection);
                Ok(Self::Http2 { id, sender })
            }
        }
    }

    /// Another handle on the same HTTP/2 connection; `None` for HTTP/1.1, which cannot be shared.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2 { id, sender } => Some(Self::Http2 { id: *id, sender: sender.clone() }),
        }
    }

    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Http1 { id, .. } | Self::Http2 { id, .. } => *id,
        }
    }

    /// Whether the connection is known to be of no more use.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Http1 { sender, ended, .. } => *ended || sender.is_closed(),
            Self::Http2 { sender, .. } => sender.is_closed(),
        }
    }

    /// Waits for something else while the connection goes on, so that a server's goodbye is seen at once.
    pub(super) async fn meanwhile<F: Future>(&mut self, wait: F) -> F::Output {
        match self {
            Self::Http1 { connection, ended, .. } => drive(connection, ended, wait).await,
            Self::Http2 { .. } => wait.await,
        }
    }

    pub(super) async fn exchange(&mut self, mut request: Outgoing, plan: &Plan) -> Result<Reply, Broken> {
        match self {
            Self::Http1 { sender, connection, ended, .. } => {
                if !request.headers().contains_key(header::HOST) {
                    let Ok(host) = plan.authority.parse() else {
                        return Err(Broken::Failed(Failure::Send("the authority is no header value".into())));
                    };
                    request.headers_mut().insert(header::HOST, host);
                }
                let exchange = async {
                    if sender.ready().await.is_err() {
                        return Err(Broken::Unsent(Box::new(request)));
                    }
                    receive(sender.try_send_request(request).await, plan.read_body).await
                };
                drive(connection, ended, exchange).await
            }
            Self::Http2 { sender, .. } => {
                *request.uri_mut() = absolute(request.uri(), &plan.authority).map_err(Broken::Failed)?;
                if sender.ready().await.is_err() {
                    return Err(Broken::Unsent(Box::new(request)));
                }
                receive(sender.try_send_request(request).await, plan.read_body).await
            }
        }
    }
}

/// Polls the connection in the same task as what waits for it: no second task to wake for every packet.
async fn drive<F: Future>(connection: &mut Pin<Box<Connection1>>, ended: &mut bool, wait: F) -> F::Output {
    let mut wait = pin!(wait);
    poll_fn(|cx| {
        if let Poll::Ready(output) = wait.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        // How the connection ended, the exchange on it learns by itself.
        if !*ended && connection.as_mut().poll(cx).is_ready() {
            *ended = true;
        }
        wait.as_mut().poll(cx)
    })
    .await
}

async fn receive(
    sent: Result<http::Response<Incoming>, TrySendError<Outgoing>>,
    read_body: bool,
) -> Result<Reply, Broken> {
    let response = sent.map_err(|mut error| match error.take_message() {
        Some(request) => Broken::Unsent(Box::new(request)),
        None => Broken::Failed(Failure::Send(chain(error.error()))),
    })?;
    let (head, mut body) = response.into_parts();
    let (mut first, mut rest, mut length) = (Bytes::new(), BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Broken::Failed(Failure::Body(chain(&error))))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if !read_body {
            continue;
        }
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    let body = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Reply { head, body, length })
}

fn absolute(uri: &Uri, authority: &str) -> Result<Uri, Failure> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|error| Failure::Send(chain(&error)))
}

/// An error with all its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
