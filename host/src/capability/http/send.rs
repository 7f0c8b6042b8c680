//! Sending one permitted request: connect, TLS where asked for, one exchange.

use std::{
    io,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, uri::Scheme};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Sleep, timeout},
};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

/// What a guest gets that asks for no timeout of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A stream that is TLS or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Sends the request and waits for the response's head. The second value drives the connection and ends with it; until then, and
/// until the body has been dropped, the connection's place is taken.
pub(super) async fn send(
    mut request: Request<WasiBody>,
    options: RequestOptions,
    place: OwnedSemaphorePermit,
) -> Result<(Response<WasiBody>, impl Future<Output = Result<(), Error>> + Send + 'static), Error> {
    let connect = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);

    let stream = timeout(connect, open(request.uri())).await.map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Absolute targets are for proxies.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);

    let mut connection = Box::pin(connection);
    let exchange = async {
        let response = sender.send_request(request);
        tokio::pin!(response);
        // The connection must be driven for the exchange to make progress.
        let mut open = true;
        std::future::poll_fn(|cx| {
            if open && connection.as_mut().poll(cx).is_ready() {
                open = false;
            }
            response.as_mut().poll(cx)
        })
        .await
    };
    let response = timeout(first_byte, exchange).await.map_err(|_| Error::ConnectionReadTimeout)??;
    let place = Arc::new(place);
    let of_body = place.clone();
    let body = |incoming| TimedBody { incoming, limit: between_bytes, timer: None, _place: of_body }.boxed_unsync();
    let drive = async move {
        let _place = place;
        connection.await.map_err(Error::Hyper)
    };
    Ok((response.map(body), drive))
}

async fn open(uri: &Uri) -> Result<Box<dyn Stream>, Error> {
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((bare, port)).await.map_err(Error::Connect)?;
    // A refusal to set an option costs latency, not correctness.
    let _ = stream.set_nodelay(true);
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let config = match &*CLIENT_TLS {
        Ok(config) => config.clone(),
        Err(error) => return Err(Error::Tls(io::Error::other(error.clone()))),
    };
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(Error::Tls)?;
    Ok(Box::new(stream))
}

/// The system's certificate authorities, read once.
static CLIENT_TLS: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate authority could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
});

/// A response body that may not pause for longer than its limit.
struct TimedBody {
    incoming: Incoming,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::Hyper)));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.incoming.size_hint()
    }
}
