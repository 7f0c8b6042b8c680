//! Asks the admin pages of a running host.

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// A host's admin pages.
pub(crate) struct Admin {
    /// `http://127.0.0.1:8001`, without a slash at its end.
    base: String,
    /// `127.0.0.1:8001`.
    authority: String,
}

impl Admin {
    /// Reads `http://host:port`; `host:port` alone will do.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let refuse = || anyhow!("--admin {url} is not understood: write http://127.0.0.1:8001, say");
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|_| refuse())?;
        let authority = uri.authority().ok_or_else(refuse)?;
        if uri.scheme_str() != Some("http") {
            bail!("--admin {url}: the admin pages speak plain HTTP, write http://{authority}");
        }
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        Ok(Self { base: full.trim_end_matches('/').to_owned(), authority })
    }

    /// The JSON of a page, such as `/v1/routes`.
    ///
    /// # Errors
    ///
    /// When nothing runs there, or something else than a host; and what the host says to a question that makes no sense.
    pub(crate) async fn get<T: DeserializeOwned>(&self, page: &str) -> anyhow::Result<T> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| {
            anyhow!(
                "nothing answers at {} ({error}): start `penstock dev`, or name its admin address with --admin",
                self.base
            )
        })?;
        let (status, body) = self.ask(stream, page).await.with_context(|| self.stranger())?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).with_context(|| self.stranger()),
            StatusCode::BAD_REQUEST => Err(anyhow!("{}", String::from_utf8_lossy(&body).trim())),
            status => Err(anyhow!("it answered {status}")).with_context(|| self.stranger()),
        }
    }

    fn stranger(&self) -> String {
        format!("what runs at {} is not Penstock's admin port; name that with --admin", self.base)
    }

    async fn ask(&self, stream: TcpStream, page: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(page).header(header::HOST, &self.authority).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok((status, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, authority) in [
            ("http://127.0.0.1:8001", "127.0.0.1:8001"),
            ("http://127.0.0.1:8001/", "127.0.0.1:8001"),
            ("localhost:9", "localhost:9"),
            ("http://[::1]:8001", "[::1]:8001"),
            ("http://host", "host:80"),
        ] {
            assert_eq!(Admin::new(url).unwrap().authority, authority, "{url}");
        }
        let message = |url| Admin::new(url).err().unwrap().to_string();
        assert_eq!(message("https://a:1"), "--admin https://a:1: the admin pages speak plain HTTP, write http://a:1");
        assert_eq!(message("/tmp"), "--admin /tmp is not understood: write http://127.0.0.1:8001, say");
    }
}
