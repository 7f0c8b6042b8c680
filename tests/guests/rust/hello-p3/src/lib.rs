//! The smallest WASI 0.3 guest: 200 and the request's path.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{spawn_local, wit_future, wit_stream};

struct Hello;

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (mut body, body_end) = wit_stream::new();
        let (_trailers, trailers_end) = wit_future::new(|| Ok(None));
        let headers = Fields::new();
        headers.append("content-type", b"text/plain").unwrap();
        let (response, _sent) = Response::new(headers, Some(body_end), trailers_end);
        spawn_local(async move {
            // What is left over was not taken since the client has left.
            let _left_over = body.write_all(format!("hello from {path} (p3)\n").into_bytes()).await;
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Hello);
