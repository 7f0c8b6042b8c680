//! The corpus of malformed requests: its files, and what reached the backend while one of its cases was played.
//!
//! A case is a paragraph of lines, each with a mark:
//!
//! ```text
//! = name
//! # why this result: an RFC and its section
//! > a line to send; CRLF is added, unless the line ends in `\`
//! < statuses of the responses in order (`400|501`: either; `none`), then `open`, `close` or `either`
//!   of the connection
//! @ a request that reached the backend: METHOD target [host=..] [body=".."] [broken] [with names] [trailers names];
//!   behind `?`, it may or may not have
//! ~ fin: the client says that it sends no more
//! ! why the result differs from what the RFC asks for
//! ```
//!
//! Escapes: `\r \n \t \0 \\ \xHH`, and `\{x*100}` for a hundred times `x`. Host is `a` unless said, and `with` names all
//! headers but Host and Content-Length.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use penstock_router::{
    Backend, Body, Cause, Error, ListenerConfig, ListenerLimits,
    listen::{Forwarding, TraceContext},
};

use super::server::{backend, ok};

/// The files about HTTP/1.
pub const HTTP1: [&str; 6] = [
    include_str!("../corpus/http1-length.txt"),
    include_str!("../corpus/http1-chunked.txt"),
    include_str!("../corpus/http1-bytes.txt"),
    include_str!("../corpus/http1-target.txt"),
    include_str!("../corpus/http1-host.txt"),
    include_str!("../corpus/http1-message.txt"),
];

/// One case, with the lines of each mark.
#[derive(Debug, Default, Clone)]
pub struct Case {
    pub name: String,
    pub sent: Vec<String>,
    pub answered: String,
    pub reached: Vec<String>,
    pub fin: bool,
    pub deviation: Option<String>,
}

/// The cases of a file.
pub fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (mark, rest) = line.split_at(1);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        if mark == "=" {
            cases.push(Case { name: rest.into(), ..Case::default() });
            continue;
        }
        let Some(case) = cases.last_mut() else {
            assert_eq!(mark, "#", "before the first case: {line}");
            continue;
        };
        match mark {
            "#" => {}
            ">" => case.sent.push(rest.into()),
            "<" => case.answered = rest.into(),
            "@" => case.reached.push(rest.into()),
            "~" => case.fin = rest == "fin",
            "!" => case.deviation = Some(rest.into()),
            _ => panic!("no such mark: {line}"),
        }
    }
    for case in &cases {
        assert!(!case.sent.is_empty() && !case.answered.is_empty(), "incomplete: {}", case.name);
    }
    cases
}

/// Undoes the escapes; a backslash at the end stays off, and is told by the caller.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else { break };
        rest = after;
        match escape {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b's' => out.push(b' '),
            b'0' => out.push(0),
            b'\\' => out.push(b'\\'),
            b'x' => {
                out.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                rest = &rest[2..];
            }
            b'{' => {
                let end = rest.iter().position(|byte| *byte == b'}').expect("}");
                let (what, times) = std::str::from_utf8(&rest[..end]).unwrap().rsplit_once('*').expect("*");
                out.extend(unescape(what).repeat(times.parse().unwrap()));
                rest = &rest[end + 1..];
            }
            _ => panic!("no such escape: {text}"),
        }
    }
    out
}

impl Case {
    /// What HTTP/1 sends.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.sent {
            bytes.extend(unescape(line));
            let slashes = line.len() - line.trim_end_matches('\\').len();
            if slashes % 2 == 0 {
                bytes.extend(b"\r\n");
            }
        }
        bytes
    }
}

impl Case {
    /// What reaches the backend, with repetitions written out and other escapes left.
    pub fn reached(&self) -> Vec<String> {
        self.reached.iter().map(|line| repeat(line)).collect()
    }
}

fn repeat(line: &str) -> String {
    let Some((before, rest)) = line.split_once("\\{") else { return line.into() };
    let (what, rest) = rest.split_once('}').expect("}");
    let (what, times) = what.rsplit_once('*').expect("*");
    [before, &what.repeat(times.parse().unwrap()), &repeat(rest)].concat()
}

/// A listener that adds nothing to what it passes on, so that the corpus names all that is there.
pub fn config(limits: ListenerLimits) -> ListenerConfig {
    let (forwarding, trace_context) = (Forwarding::Off, TraceContext::Off);
    ListenerConfig { limits, forwarding, trace_context, request_id: false, ..ListenerConfig::new("test") }
}

/// What reached the backend, by the client's address.
#[derive(Default)]
pub struct Reached(Mutex<HashMap<SocketAddr, Vec<Seen>>>);

#[derive(Default, Clone)]
struct Seen {
    request: String,
    with: String,
    body: Vec<u8>,
    complete: bool,
    trailers: String,
}

impl Reached {
    /// A backend that reads all of each request, and answers `ok` if all of it is there.
    pub fn backend(self: &Arc<Self>) -> Arc<dyn Backend> {
        let reached = Arc::clone(self);
        backend(move |request, context| {
            let reached = Arc::clone(&reached);
            async move { reached.take(request, context.client).await }
        })
    }

    async fn take(&self, request: Request<Body>, client: SocketAddr) -> Result<Response<Body>, Error> {
        let (parts, mut body) = request.into_parts();
        let text = |name: &str| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut request = format!("{} {}", parts.method, parts.uri.path_and_query().map_or("", |path| path.as_str()));
        match text("host") {
            Some(host) if host == "a" => {}
            Some(host) => request += &format!(" host={host}"),
            None => request += " hostless",
        }
        let announced: Option<usize> = text("content-length").map(|length| length.parse().unwrap());
        let seen = Seen { request, with: names(&parts.headers), ..Seen::default() };
        let place = {
            let mut all = self.0.lock();
            let all = all.entry(client).or_default();
            all.push(seen);
            all.len() - 1
        };
        let update = |change: &mut dyn FnMut(&mut Seen)| change(&mut self.0.lock().get_mut(&client).unwrap()[place]);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::new(Cause::GuestError, error.to_string()))?;
            match frame.into_data() {
                Ok(data) => update(&mut |seen| seen.body.extend_from_slice(&data)),
                Err(frame) => {
                    let trailers = frame.into_trailers().map(|trailers| names(&trailers)).unwrap_or_default();
                    update(&mut |seen| seen.trailers.clone_from(&trailers));
                }
            }
        }
        update(&mut |seen| {
            seen.complete = announced.is_none_or(|announced| announced == seen.body.len());
        });
        ok("ok")
    }

    /// How many have come from an address: a new connection may have that of one that is gone.
    pub fn before(&self, client: SocketAddr) -> usize {
        self.0.lock().get(&client).map_or(0, Vec::len)
    }

    /// What has come from an address after so many, as the corpus writes it.
    pub fn by(&self, client: SocketAddr, before: usize) -> Vec<String> {
        let all = self.0.lock();
        all.get(&client).into_iter().flatten().skip(before).map(Seen::to_string).collect()
    }
}

fn names(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    names.retain(|name| !["host", "content-length"].contains(name));
    names.sort_unstable();
    names.join(" ")
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.request)?;
        if !self.body.is_empty() {
            write!(f, " body=\"{}\"", self.body.escape_ascii())?;
        }
        for (part, there) in [(" broken", !self.complete), (" with ", !self.with.is_empty())] {
            f.write_str(if there { part } else { "" })?;
        }
        f.write_str(&self.with)?;
        if !self.trailers.is_empty() {
            write!(f, " trailers {}", self.trailers)?;
        }
        Ok(())
    }
}

/// Whether these are the requests expected; `<some>` stands for anything, and those that begin with `?` may be missing.
pub fn are(reached: &[String], expected: &[String]) -> bool {
    let is = |reached: &String, expected: &String| match expected.split_once("<some>") {
        None => reached == expected,
        Some((start, end)) => reached.starts_with(start) && reached.ends_with(end),
    };
    let (maybe, expected): (Vec<&String>, Vec<&String>) = expected.iter().partition(|line| line.starts_with('?'));
    let mut reached: Vec<&String> = reached.iter().collect();
    for maybe in maybe {
        // Whenever it came: a stream that is reset at once has no place in the order.
        if let Some(at) = reached.iter().position(|reached| is(reached, &maybe[1..].to_owned())) {
            let _ = reached.remove(at);
        }
    }
    reached.len() == expected.len() && reached.iter().zip(expected).all(|(reached, expected)| is(reached, expected))
}

/// Whether a status is one of `400|501`.
pub fn is_one_of(status: &str, expected: &str) -> bool {
    expected.split('|').any(|one| one == status)
}
