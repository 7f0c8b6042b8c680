//! The corpus of malformed HTTP/2 requests (`corpus/http2.txt`), as raw frames, each with a request behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::corpus::{Case, Reached, are, cases, is_one_of, unescape};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, get, literal,
    read,
};
use crate::server::Server;
use penstock_router::ListenerLimits;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::timeout};

const PATIENCE: Duration = Duration::from_secs(8);
/// The largest frame that may be sent unasked (RFC 9113 section 4.2).
const LARGEST: usize = 16 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_of_the_corpus_means_what_the_rfcs_say() {
    let reached = Arc::new(Reached::default());
    let server = Server::with_config(&reached.backend(), crate::corpus::config(ListenerLimits::default()));
    let all = cases(include_str!("../corpus/http2.txt"));
    assert!(all.len() >= 130, "{} cases", all.len());
    let mut playing = JoinSet::new();
    for case in all.clone() {
        let (reached, address) = (Arc::clone(&reached), server.address);
        drop(playing.spawn(async move {
            match timeout(PATIENCE, play(&case, address, &reached)).await {
                Ok(Ok(())) => None,
                Ok(Err(told)) => Some(format!("{}: {told}\n", case.name)),
                Err(_) => Some(format!("{}: took too long\n", case.name)),
            }
        }));
    }
    let mut failures: Vec<String> = playing.join_all().await.into_iter().flatten().collect();
    failures.sort();
    for case in &all {
        if let Some(reason) = &case.deviation {
            println!("deviation: {}: {reason}", case.name);
        }
    }
    println!("{} cases", all.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.concat());
}

async fn play(case: &Case, address: SocketAddr, reached: &Reached) -> Result<(), String> {
    let (expected, open) = case.answered.split_once(' ').unwrap();
    assert!(["open", "close", "either"].contains(&open), "{}: {open}", case.name);
    if let Some(unknown) = expected.split('|').find(|one| !is_answer(one)) {
        return Err(format!("{unknown} is no answer"));
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    let client = socket.local_addr().unwrap();
    let before = reached.before(client);
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for line in &case.sent {
        bytes.extend(frames_of(line));
    }
    let _ = socket.write_all(&bytes).await;
    let answer = answer(&mut socket, 1).await;
    if !is_one_of(&answer, expected) {
        return Err(format!("{expected} expected, got {answer}"));
    }
    let _ = socket.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &get("/probe"))).await;
    let mut requests = case.reached();
    match (&*self::answer(&mut socket, 3).await, open) {
        ("HEADERS", "open" | "either") => requests.push("GET /probe".into()),
        ("none" | "GOAWAY", "close" | "either") => {}
        (other, _) => return Err(format!("the connection should be {open}, but: {other}")),
    }
    let reached = reached.by(client, before);
    if are(&reached, &requests) { Ok(()) } else { Err(format!("reached the backend: {reached:#?}")) }
}

#[test]
fn the_fuzzer_begins_with_the_corpus() {
    // What follows the preface, which the target sends by itself.
    let cases = cases(include_str!("../corpus/http2.txt")).into_iter().map(|case| {
        let frames = case.sent.iter().map(|line| frames_of(line));
        (case.name.clone(), [frame(SETTINGS, 0, 0, &[])].into_iter().chain(frames).collect::<Vec<_>>().concat())
    });
    crate::seeds::hold("http2", cases);
}

/// What a stream is answered with: a status, `RST`, `GOAWAY`, or `none` at the end of the connection. The status of a
/// second response may hang on the first, so that it is `HEADERS` only.
async fn answer(socket: &mut TcpStream, stream: u32) -> String {
    while let Some(frame) = read(socket).await {
        match frame.kind {
            HEADERS if frame.stream == stream && stream == 1 => return frame.status(),
            HEADERS if frame.stream == stream => return "HEADERS".into(),
            RST_STREAM if frame.stream == stream => return "RST".into(),
            GOAWAY => return "GOAWAY".into(),
            _ => {}
        }
    }
    "none".into()
}

fn is_answer(text: &str) -> bool {
    ["RST", "GOAWAY", "none"].contains(&text) || text.parse::<u16>().is_ok_and(|status| status >= 200)
}

/// A line of the corpus: `headers [end] fields`, `data [end] bytes`, `frame TYPE FLAGS STREAM [payload]`, or `bytes` as they are.
fn frames_of(line: &str) -> Vec<u8> {
    let (kind, rest) = line.split_once(' ').unwrap();
    let (flags, rest) = rest.strip_prefix("end ").map_or((0, rest), |rest| (END_STREAM, rest));
    match kind {
        "headers" => headers(flags, rest),
        "data" => frame(DATA, flags, 1, &unescape(rest)),
        "frame" => {
            let parts: Vec<&str> = rest.splitn(4, ' ').collect();
            let number = |at: usize| parts[at].parse::<u32>().unwrap();
            let flags = u8::try_from(number(1)).unwrap();
            frame(crate::frames::kind(parts[0]), flags, number(2), &unescape(parts.get(3).copied().unwrap_or_default()))
        }
        "bytes" => unescape(rest),
        _ => panic!("no such frame: {line}"),
    }
}

fn headers(flags: u8, fields: &str) -> Vec<u8> {
    let fields = match fields.strip_prefix('$') {
        None => fields.to_owned(),
        Some(rest) => {
            let (method, rest) = rest.strip_prefix("POST").map_or(("GET", rest), |rest| ("POST", rest));
            format!(":method={method} :scheme=http :authority=a :path=/{rest}")
        }
    };
    let mut block = Vec::new();
    for field in fields.split_ascii_whitespace() {
        let (name, value) = field.split_once('=').unwrap();
        literal(&mut block, &unescape(name), &unescape(value));
    }
    let mut pieces = block.chunks(LARGEST).peekable();
    let mut frames = Vec::new();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let stream_end = if kind == HEADERS { flags } else { 0 };
        frames.extend(frame(kind, stream_end | end, 1, piece));
        kind = CONTINUATION;
    }
    frames
}
