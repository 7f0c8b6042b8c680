//! Paths about bodies: reading, writing, both at once, trailers, and wrong lengths.

use kit::{Json, Target, chunk, fnv1a};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use wasip3::{spawn_local, wit_future};

use crate::reply::{Body, End, Reply, say};
use crate::sleep;

/// Most bytes of one read.
const READ: usize = 65_536;

/// Sends back each piece as it arrives; trailers too.
pub fn echo(request: Request) -> Response {
    let (response, mut body) = like(&request).start();
    let (mut incoming, end) = consume(request);
    spawn_local(async move {
        while let Some(bytes) = read(&mut incoming, READ).await {
            if !body.write(bytes).await {
                return;
            }
        }
        match end.await {
            Ok(trailers) => body.finish(trailers).await,
            Err(_) => body.abandon().await,
        }
    });
    response
}

/// The same, but the request's stream becomes the response's.
pub fn pipe(request: Request) -> Response {
    let headers = like(&request).headers;
    let (incoming, end) = consume(request);
    Response::new(headers, Some(incoming), end).0
}

/// Reads all (`ms` between reads of `size`), then answers with what it was.
pub async fn upload(request: Request, target: &Target<'_>) -> Response {
    let (mut bytes, mut hash) = (0_u64, fnv1a(None, b""));
    let (mut incoming, end) = consume(request);
    loop {
        sleep(target.number("ms", 0)).await;
        let Some(piece) = read(&mut incoming, target.number("size", READ as u64) as usize).await else {
            break;
        };
        bytes += piece.len() as u64;
        hash = fnv1a(Some(hash), &piece);
    }
    let end = if end.await.is_ok() { "whole" } else { "broken" };
    let json = Json::new().number("bytes", bytes).text("fnv1a", &format!("{hash:016x}"));
    say(200, &json.text("end", end).end())
}

/// `chunks` (or no end of them) of `size` bytes, `delay` ms before each but the first.
pub fn stream(target: &Target<'_>, chunks: Option<u64>) -> Response {
    let (size, delay) = (target.number("size", 10) as usize, target.number("delay", 0));
    let (response, mut body) = Reply::new(200).start();
    spawn_local(async move {
        for index in 0..chunks.unwrap_or(u64::MAX) {
            if index > 0 {
                sleep(delay).await;
            }
            if !body.write(chunk(index, size)).await {
                return;
            }
        }
        body.finish(None).await;
    });
    response
}

/// Tells the request's length and trailers; answers with a trailer of its own.
pub async fn trailers(request: Request) -> Response {
    let (mut incoming, end) = consume(request);
    let mut bytes = 0;
    while let Some(piece) = read(&mut incoming, READ).await {
        bytes += piece.len() as u64;
    }
    let got = end.await.ok().flatten().map(|trailers| trailers.copy_all()).unwrap_or_default();
    let reply = Reply::new(200);
    reply.headers.append("trailer", b"x-trailer").unwrap();
    let (response, mut body) = reply.start();
    let json = Json::new().number("bytes", bytes).raw("trailers", &kit::pairs(got)).end();
    spawn_local(async move {
        if body.write(json.into_bytes()).await {
            let own = Fields::new();
            own.append("x-trailer", b"done").unwrap();
            body.finish(Some(own)).await;
        }
    });
    response
}

/// A method of gRPC, `rpc Echo(stream bytes) returns (stream bytes)`: the frames come back as they are, then the status that
/// the call's metadata `x-grpc-status` asks for.
pub fn grpc(request: Request) -> Response {
    let status = request.get_headers().get("x-grpc-status").into_iter().next().unwrap_or_else(|| b"0".to_vec());
    let reply = Reply::new(200);
    reply.headers.append("content-type", b"application/grpc").unwrap();
    let (response, mut body) = reply.start();
    let (mut incoming, _end) = consume(request);
    spawn_local(async move {
        while let Some(bytes) = read(&mut incoming, READ).await {
            if !body.write(bytes).await {
                return;
            }
        }
        let trailers = Fields::new();
        trailers.append("grpc-status", &status).unwrap();
        trailers.append("grpc-message", b"as asked").unwrap();
        body.finish(Some(trailers)).await;
    });
    response
}

/// Server-sent events, `count` of them, `delay` ms before each but the first.
pub fn events(target: &Target<'_>) -> Response {
    let (count, delay) = (target.number("count", 3), target.number("delay", 0));
    let reply = Reply::new(200);
    reply.headers.append("content-type", b"text/event-stream").unwrap();
    reply.headers.append("cache-control", b"no-store").unwrap();
    let (response, mut body) = reply.start();
    spawn_local(async move {
        for index in 0..count {
            if index > 0 {
                sleep(delay).await;
            }
            if !body.write(format!("id: {index}\ndata: event {index}\n\n").into_bytes()).await {
                return;
            }
        }
        body.finish(None).await;
    });
    response
}

/// Declares `says` bytes and writes `is`.
pub fn length(target: &Target<'_>) -> Response {
    let reply = Reply::new(200);
    reply.headers.append("content-length", target.number("says", 10).to_string().as_bytes()).unwrap();
    let (response, mut body) = reply.start();
    let bytes = chunk(0, target.number("is", 5) as usize);
    spawn_local(async move {
        let _ = body.write(bytes).await;
        body.finish(None).await;
    });
    response
}

/// Headers, the first piece of a body, and then what goes wrong after it.
pub fn first(then: impl AsyncFnOnce(Body) + 'static) -> Response {
    let (response, mut body) = Reply::new(200).start();
    spawn_local(async move {
        let _ = body.write(b"first\n".to_vec()).await;
        then(body).await;
    });
    response
}

fn like(request: &Request) -> Reply {
    let reply = Reply::new(200);
    for value in request.get_headers().get("content-type") {
        reply.headers.append("content-type", &value).unwrap();
    }
    reply
}

fn consume(request: Request) -> (StreamReader<u8>, FutureReader<End>) {
    let (_done, result) = wit_future::new(|| Ok::<(), ErrorCode>(()));
    Request::consume_body(request, result)
}

/// The next piece, `None` at the end. An empty one is possible.
async fn read(stream: &mut StreamReader<u8>, most: usize) -> Option<Vec<u8>> {
    let (result, bytes) = stream.read(Vec::with_capacity(most)).await;
    match result {
        StreamResult::Complete(_) => Some(bytes),
        StreamResult::Dropped | StreamResult::Cancelled => (!bytes.is_empty()).then_some(bytes),
    }
}
