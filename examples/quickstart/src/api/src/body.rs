//! Bodies in and out, through WASI's streams.

use serde_json::json;
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{Fields, Request, Response};
use wasip3::wit_bindgen::{StreamResult, StreamWriter};
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::answer::{Answer, Settings};

/// Most bytes of a body that are taken.
const BODY_LIMIT: usize = 64 * 1024;
/// Most bytes of one read.
const READ: usize = 4096;
/// Between two ticks.
const TICK_NANOSECONDS: u64 = 200_000_000;

/// The whole body, `None` if it is too large or was cut off.
pub async fn read(request: Request) -> Option<Vec<u8>> {
    let (_done, result) = wit_future::new(|| Ok(()));
    let (mut stream, end) = Request::consume_body(request, result);
    let mut body = Vec::new();
    loop {
        let (result, piece) = stream.read(Vec::with_capacity(READ)).await;
        if body.len() + piece.len() > BODY_LIMIT {
            return None;
        }
        body.extend(piece);
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    end.await.ok()?;
    Some(body)
}

/// A response that is there at once.
pub fn send(settings: &Settings, answer: Answer) -> Response {
    let mut text = answer.json.to_string();
    text.push('\n');
    let length = text.len().to_string();
    let mut headers = vec![("content-type", answer.content_type), ("content-length", &length)];
    headers.extend(answer.allow.map(|methods| ("allow", methods)));
    respond(settings, answer.status, &headers, async move |mut stream| {
        // What is left over was not taken since the client has left.
        let _left_over = stream.write_all(text.into_bytes()).await;
    })
}

/// A response that streams: one line of JSON every 200 ms.
pub fn ticks(settings: &Settings, count: u64) -> Response {
    let headers = [("content-type", "application/x-ndjson")];
    let component = settings.component.clone();
    respond(settings, 200, &headers, async move |mut stream| {
        for tick in 1..=count {
            if tick > 1 {
                monotonic_clock::wait_for(TICK_NANOSECONDS).await;
            }
            let line = format!("{}\n", json!({ "tick": tick, "of": count, "component": component }));
            if !stream.write_all(line.into_bytes()).await.is_empty() {
                return;
            }
        }
    })
}

fn respond(
    settings: &Settings,
    status: u16,
    headers: &[(&str, &str)],
    write: impl AsyncFnOnce(StreamWriter<u8>) + 'static,
) -> Response {
    let fields = Fields::new();
    let own = [("x-component", settings.component.as_str()), ("vary", "x-variant")];
    for (name, value) in own.iter().chain(headers) {
        fields.append(name, value.as_bytes()).expect("a valid header");
    }
    let (stream, contents) = wit_stream::new();
    let (_no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(fields, Some(contents), trailers);
    response.set_status_code(status).expect("a valid status");
    // Not awaited: the response goes out now, its body as it is written.
    spawn_local(write(stream));
    response
}
