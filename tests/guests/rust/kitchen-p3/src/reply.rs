//! Answering: headers first, then a body in pieces, then perhaps trailers.

use wasip3::http::types::{ErrorCode, Fields, Response, Trailers};
use wasip3::wit_bindgen::{FutureWriter, StreamWriter};
use wasip3::{spawn_local, wit_future, wit_stream};

/// How a body ends.
pub type End = Result<Option<Trailers>, ErrorCode>;

/// A response that has not been returned.
pub struct Reply {
    status: u16,
    /// To add to; `x-component` is there.
    pub headers: Fields,
}

/// The writing end of a body.
pub struct Body {
    stream: StreamWriter<u8>,
    end: FutureWriter<End>,
}

/// Answers with a whole text.
pub fn say(status: u16, text: &str) -> Response {
    Reply::new(status).say(text)
}

// === impl Reply ===

impl Reply {
    pub fn new(status: u16) -> Self {
        let headers = Fields::new();
        headers.append("x-component", b"kitchen-p3").unwrap();
        Self { status, headers }
    }

    pub fn say(self, text: &str) -> Response {
        self.headers.append("content-length", text.len().to_string().as_bytes()).unwrap();
        let kind: &[u8] = if text.starts_with('{') { b"application/json" } else { b"text/plain" };
        self.headers.append("content-type", kind).unwrap();
        let (response, mut body) = self.start();
        let text = text.as_bytes().to_vec();
        spawn_local(async move {
            if body.write(text).await {
                body.finish(None).await;
            }
        });
        response
    }

    /// A response and its body, which is still to be written.
    pub fn start(self) -> (Response, Body) {
        let (stream, contents) = wit_stream::new();
        let (end, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(self.headers, Some(contents), trailers);
        response.set_status_code(self.status).unwrap();
        (response, Body { stream, end })
    }
}

// === impl Body ===

impl Body {
    /// Writes as fast as the host takes it; false if nobody reads any more.
    pub async fn write(&mut self, bytes: Vec<u8>) -> bool {
        self.stream.write_all(bytes).await.is_empty()
    }

    /// Ends the body as it should be.
    pub async fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = self.end.write(Ok(trailers)).await;
    }

    /// Ends the body with an error.
    pub async fn abandon(self) {
        drop(self.stream);
        let error = ErrorCode::InternalError(Some(String::from("asked to fail")));
        let _ = self.end.write(Err(error)).await;
    }
}
