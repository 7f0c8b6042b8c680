//! Serves HTTP by asking a sibling's `demo:greet/greeter`: `/?name=NAME`.

use kit::Target;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

mod sibling {
    wit_bindgen::generate!({ path: "../../wit/greet.wit", world: "consumer" });
}

struct Consumer;

impl wasip2::exports::http::incoming_handler::Guest for Consumer {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let name = Target::new(&target).text("name").unwrap_or_else(|| String::from("world"));
        let text = sibling::demo::greet::greeter::greet(&name);

        let headers = Fields::new();
        headers.append("x-component", b"consumer").unwrap();
        let response = OutgoingResponse::new(headers);
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().unwrap();
        let sent = text.as_bytes().chunks(4096).all(|chunk| stream.blocking_write_and_flush(chunk).is_ok());
        drop(stream);
        if sent {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

wasip2::http::proxy::export!(Consumer);
