//! Answering: headers first, then a body in pieces, then perhaps trailers.

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam, Trailers};
use wasip2::io::streams::{OutputStream, StreamError};

/// A response that has not been sent.
pub struct Reply {
    status: u16,
    /// To add to; `x-component` is there.
    pub headers: Fields,
}

/// A response whose headers are sent. Dropping it without `finish` leaves the body incomplete.
pub struct Sent {
    // Before `body`: WASI 0.2 wants the stream dropped first.
    stream: OutputStream,
    body: OutgoingBody,
}

/// Answers with a whole text.
pub fn say(out: ResponseOutparam, status: u16, text: &str) {
    Reply::new(status).say(out, text);
}

// === impl Reply ===

impl Reply {
    pub fn new(status: u16) -> Self {
        let headers = Fields::new();
        headers.append("x-component", b"kitchen-p2").unwrap();
        Self { status, headers }
    }

    pub fn say(self, out: ResponseOutparam, text: &str) {
        self.headers.append("content-length", text.len().to_string().as_bytes()).unwrap();
        let kind: &[u8] = if text.starts_with('{') { b"application/json" } else { b"text/plain" };
        self.headers.append("content-type", kind).unwrap();
        let sent = self.send(out);
        if sent.write(text.as_bytes()).is_ok() {
            sent.finish(None);
        }
    }

    pub fn send(self, out: ResponseOutparam) -> Sent {
        let response = OutgoingResponse::new(self.headers);
        response.set_status_code(self.status).unwrap();
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().unwrap();
        Sent { stream, body }
    }
}

// === impl Sent ===

impl Sent {
    /// Writes as fast as the host takes it, and flushes. An error means that nobody reads any more.
    pub fn write(&self, mut bytes: &[u8]) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            self.stream.subscribe().block();
            let room = self.stream.check_write()?;
            let (now, later) = bytes.split_at(bytes.len().min(room as usize));
            self.stream.write(now)?;
            bytes = later;
        }
        self.stream.blocking_flush()
    }

    /// Where the body goes, for `splice`.
    pub fn stream(&self) -> &OutputStream {
        &self.stream
    }

    /// Ends the body as it should be. That the host refuses (a length that was not kept to) is for it to tell.
    pub fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, trailers);
    }

    /// Leaves the body without an end.
    pub fn abandon(self) {
        drop(self.stream);
        drop(self.body);
    }
}
