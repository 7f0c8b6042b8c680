//! One request on a connection of its own, for tests that look at single answers.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// No answer in this time is a failure of the test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends one HTTP/1.1 request on a new connection and reads its answer to the end. A `Host` header is added if there
/// is none.
///
/// # Errors
/// If there is no whole answer within 30 s; the text names the address and the path.
pub async fn send(target: SocketAddr, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
    let what = format!("{} {} at {target}", request.method(), request.uri());
    if !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, target.to_string().parse()?);
    }
    let exchange = async {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        anyhow::Ok(Response::from_parts(head, body))
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .with_context(|| format!("{what}: no whole answer in {TIMEOUT:?}"))?
        .with_context(|| what)
}

/// Sends one HTTP/2 request with prior knowledge (h2c) on a new connection and reads its answer to the end. The URI is
/// absolute: its authority is the request's. Trailers are not kept.
///
/// # Errors
/// As [`send`].
pub async fn send_h2c(target: SocketAddr, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
    let what = format!("{} {} at {target} by HTTP/2", request.method(), request.uri());
    let exchange = async {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        anyhow::Ok(Response::from_parts(head, body))
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .with_context(|| format!("{what}: no whole answer in {TIMEOUT:?}"))?
        .with_context(|| what)
}

/// `GET` of a path under a host name.
///
/// # Errors
/// As [`send`].
pub async fn get(target: SocketAddr, host: &str, path: &str) -> Result<Response<Bytes>> {
    let request = Request::get(path).header(header::HOST, host).body(Full::default())?;
    send(target, request).await
}

/// `GET` of a JSON document; any other status than 200 is an error that shows the body.
///
/// # Errors
/// As [`send`], and if the answer is not 200 with JSON.
pub async fn json(target: SocketAddr, path: &str) -> Result<serde_json::Value> {
    let response = get(target, &target.to_string(), path).await?;
    let text = String::from_utf8_lossy(response.body());
    anyhow::ensure!(response.status() == 200, "GET {path} at {target}: {}: {text}", response.status());
    serde_json::from_slice(response.body()).with_context(|| format!("GET {path} at {target} is not JSON: {text}"))
}
