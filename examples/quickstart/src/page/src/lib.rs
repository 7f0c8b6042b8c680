//! The page at `/`: one HTML file, compiled in, served through WASI 0.2.

use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

const PAGE: &str = include_str!("page.html");
/// The page needs nothing but itself and this origin's endpoints.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

struct Page;

impl wasip2::exports::http::incoming_handler::Guest for Page {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        match (request.method(), path) {
            (Method::Get | Method::Head, "" | "/" | "/index.html") => {
                let headers = [
                    ("content-type", "text/html; charset=utf-8"),
                    ("content-security-policy", POLICY),
                    ("cache-control", "no-cache"),
                ];
                answer(out, 200, &headers, PAGE);
            }
            (_, "" | "/" | "/index.html") => {
                let headers = [("content-type", "text/plain; charset=utf-8"), ("allow", "GET, HEAD")];
                answer(out, 405, &headers, "Only GET and HEAD are answered here.\n");
            }
            _ => {
                let headers = [("content-type", "text/plain; charset=utf-8")];
                answer(out, 404, &headers, "No such page. Try / instead.\n");
            }
        }
    }
}

wasip2::http::proxy::export!(Page);

fn answer(out: ResponseOutparam, status: u16, headers: &[(&str, &str)], text: &str) {
    let fields = Fields::new();
    for (name, value) in [("x-component", "page")].iter().chain(headers) {
        fields.append(name, value.as_bytes()).expect("a valid header");
    }
    let length = text.len().to_string();
    fields.append("content-length", length.as_bytes()).expect("a valid header");

    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));

    // One flushed write holds 4096 bytes at most. It fails when the client has left: then there is nothing to finish.
    let stream = body.write().expect("the stream is taken once");
    let sent = text.as_bytes().chunks(4096).all(|piece| stream.blocking_write_and_flush(piece).is_ok());
    drop(stream);
    if sent {
        let _ = OutgoingBody::finish(body, None);
    }
}
