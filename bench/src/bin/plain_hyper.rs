//! The least that hyper can do: one static body, no routing at all. HTTP/1.1 on one port and HTTP/2 by prior knowledge on the next;
//! with a certificate on a third, with TLS, whichever of the two the client settles on.
//!
//! Accepts on the same runtime and with the same socket options as Penstock, so that what is left between the two is
//! what routing, admission and limits cost.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use clap::Parser;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use penstock_bench::BODY;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A plain hyper server.
#[derive(Debug, Parser)]
struct Arguments {
    /// A certificate for a third port, with TLS.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long)]
    key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bind = || TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let http1 = bind().await?;
    println!("listening on {}", http1.local_addr()?);
    let http2 = bind().await?;
    println!("with HTTP/2 on {}", http2.local_addr()?);
    if let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.key) {
        let acceptor = tls(certificate, key)?;
        let both = bind().await?;
        println!("with TLS on {}", both.local_addr()?);
        tokio::spawn(accept(both, move |socket| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let over_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                answer(stream, over_http2).await;
            }
        }));
    }
    tokio::spawn(accept(http2, |socket| answer(socket, true)));
    accept(http1, |socket| answer(socket, false)).await
}

fn tls(certificate: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(serve(socket));
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, over_http2: bool) {
    let service = service_fn(async |_| {
        let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok::<_, Infallible>(response)
    });
    let stream = TokioIo::new(stream);
    // How a client leaves is of no interest here.
    if over_http2 {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    }
}
