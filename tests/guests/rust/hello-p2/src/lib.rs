//! The smallest WASI 0.2 guest: 200 and the request's path.

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let headers = Fields::new();
        headers.append("content-type", b"text/plain").unwrap();
        let response = OutgoingResponse::new(headers);
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().unwrap();
        // One flushed write holds 4096 bytes at most; a client that has left is no reason to trap.
        let text = format!("hello from {path}\n");
        let sent = text.as_bytes().chunks(4096).all(|chunk| stream.blocking_write_and_flush(chunk).is_ok());
        drop(stream);
        if sent {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

wasip2::http::proxy::export!(Hello);
