//! Paths about bodies: reading, writing, both at once, trailers, and wrong lengths.

use kit::{Json, Target, chunk, fnv1a};
use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, ResponseOutparam, Trailers};
use wasip2::io::streams::StreamError;

use crate::reply::{Reply, Sent, say};
use crate::sleep;

/// Most bytes of one read.
const READ: u64 = 65_536;

/// Sends back each piece as it arrives; trailers too.
pub fn echo(request: IncomingRequest, out: ResponseOutparam) {
    relay(request, out, |incoming, sent| {
        loop {
            match incoming.blocking_read(READ) {
                Ok(bytes) => sent.write(&bytes)?,
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
}

/// The same, but the host moves the bytes.
pub fn pipe(request: IncomingRequest, out: ResponseOutparam) {
    relay(request, out, |incoming, sent| {
        loop {
            match sent.stream().blocking_splice(incoming, READ) {
                Ok(_) => sent.stream().blocking_flush()?,
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
}

/// Reads all (`ms` between reads of `size`), then answers with what it was.
pub fn upload(request: IncomingRequest, out: ResponseOutparam, target: &Target<'_>) {
    let (mut bytes, mut hash) = (0_u64, fnv1a(None, b""));
    let body = request.consume().unwrap();
    let stream = body.stream().unwrap();
    let end = loop {
        sleep(target.number("ms", 0));
        match stream.blocking_read(target.number("size", READ)) {
            Ok(piece) => {
                bytes += piece.len() as u64;
                hash = fnv1a(Some(hash), &piece);
            }
            Err(StreamError::Closed) => break "whole",
            Err(StreamError::LastOperationFailed(_)) => break "broken",
        }
    };
    let json = Json::new().number("bytes", bytes).text("fnv1a", &format!("{hash:016x}"));
    say(out, 200, &json.text("end", end).end());
}

/// `chunks` (or no end of them) of `size` bytes, `delay` ms before each but the first.
pub fn stream(out: ResponseOutparam, target: &Target<'_>, chunks: Option<u64>) {
    let size = target.number("size", 10) as usize;
    let sent = Reply::new(200).send(out);
    for index in 0..chunks.unwrap_or(u64::MAX) {
        if index > 0 {
            sleep(target.number("delay", 0));
        }
        if sent.write(&chunk(index, size)).is_err() {
            return;
        }
    }
    sent.finish(None);
}

/// Tells the request's length and trailers; answers with a trailer of its own.
pub fn trailers(request: IncomingRequest, out: ResponseOutparam) {
    let body = request.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut bytes = 0;
    while let Ok(piece) = stream.blocking_read(READ) {
        bytes += piece.len() as u64;
    }
    drop(stream);
    let got = end(body).map(|trailers| trailers.entries()).unwrap_or_default();
    let reply = Reply::new(200);
    reply.headers.append("trailer", b"x-trailer").unwrap();
    let sent = reply.send(out);
    let json = Json::new().number("bytes", bytes).raw("trailers", &kit::pairs(got)).end();
    if sent.write(json.as_bytes()).is_ok() {
        let own = Fields::new();
        own.append("x-trailer", b"done").unwrap();
        sent.finish(Some(own));
    }
}

/// A method of gRPC, `rpc Echo(stream bytes) returns (stream bytes)`: the frames come back as they are, then the status that
/// the call's metadata `x-grpc-status` asks for.
pub fn grpc(request: IncomingRequest, out: ResponseOutparam) {
    let status = request.headers().get("x-grpc-status").into_iter().next().unwrap_or_else(|| b"0".to_vec());
    let reply = Reply::new(200);
    reply.headers.append("content-type", b"application/grpc").unwrap();
    let body = request.consume().unwrap();
    let incoming = body.stream().unwrap();
    let sent = reply.send(out);
    while let Ok(bytes) = incoming.blocking_read(READ) {
        if sent.write(&bytes).is_err() {
            return;
        }
    }
    let trailers = Fields::new();
    trailers.append("grpc-status", &status).unwrap();
    trailers.append("grpc-message", b"as asked").unwrap();
    sent.finish(Some(trailers));
}

/// Server-sent events, `count` of them, `delay` ms before each but the first.
pub fn events(out: ResponseOutparam, target: &Target<'_>) {
    let reply = Reply::new(200);
    reply.headers.append("content-type", b"text/event-stream").unwrap();
    reply.headers.append("cache-control", b"no-store").unwrap();
    let sent = reply.send(out);
    for index in 0..target.number("count", 3) {
        if index > 0 {
            sleep(target.number("delay", 0));
        }
        if sent.write(format!("id: {index}\ndata: event {index}\n\n").as_bytes()).is_err() {
            return;
        }
    }
    sent.finish(None);
}

/// Declares `says` bytes and writes `is`.
pub fn length(out: ResponseOutparam, target: &Target<'_>) {
    let reply = Reply::new(200);
    reply.headers.append("content-length", target.number("says", 10).to_string().as_bytes()).unwrap();
    let sent = reply.send(out);
    let _ = sent.write(&chunk(0, target.number("is", 5) as usize));
    sent.finish(None);
}

/// Headers and the first piece of a body, for what goes wrong after it.
pub fn first(out: ResponseOutparam) -> Sent {
    let sent = Reply::new(200).send(out);
    let _ = sent.write(b"first\n");
    sent
}

fn relay(
    request: IncomingRequest,
    out: ResponseOutparam,
    copy: impl FnOnce(&wasip2::io::streams::InputStream, &Sent) -> Result<(), StreamError>,
) {
    let reply = Reply::new(200);
    for value in request.headers().get("content-type") {
        reply.headers.append("content-type", &value).unwrap();
    }
    let body = request.consume().unwrap();
    let incoming = body.stream().unwrap();
    let sent = reply.send(out);
    if copy(&incoming, &sent).is_ok() {
        drop(incoming);
        sent.finish(end(body));
    }
}

/// Waits for the end of a request's body: its trailers, if any.
fn end(body: IncomingBody) -> Option<Trailers> {
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    trailers.get()?.ok()?.ok()?
}
