//! The corpus of requests made to be misread (`corpus/http1-*.txt`): each sent in one piece with a request behind it that
//! must not be taken for one, and byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use crate::corpus::{Case, HTTP1, Reached, are, cases, is_one_of};
use crate::server::Server;
use penstock_router::ListenerLimits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Behind a request that closes the connection: not to be read as one.
const TAIL: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
/// Behind one that does not: must be read as one.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const AT_ONCE: usize = 48;
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two bytes, so that each is read by itself.
const GAP: Duration = Duration::from_millis(1);
/// Large requests come in this many pieces instead.
const PIECES: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Delivery {
    Whole,
    Bytewise,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_of_the_corpus_means_what_the_rfcs_say() {
    let reached = Arc::new(Reached::default());
    let limits = ListenerLimits { body_bytes: Some(1000), ..ListenerLimits::default() };
    let server = Server::with_config(&reached.backend(), crate::corpus::config(limits));
    let all: Vec<Case> = HTTP1.into_iter().flat_map(cases).collect();
    assert!(all.len() >= 200, "{} cases", all.len());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for case in &all {
        for delivery in [Delivery::Whole, Delivery::Bytewise] {
            let (case, reached, places) = (case.clone(), Arc::clone(&reached), Arc::clone(&places));
            let address = server.address;
            drop(playing.spawn(async move {
                let _place = places.acquire().await;
                match timeout(PATIENCE, play(&case, delivery, address, &reached)).await {
                    Ok(Ok(())) => None,
                    Ok(Err(told)) => Some(format!("{} ({delivery:?}): {told}\n", case.name)),
                    Err(_) => Some(format!("{} ({delivery:?}): took too long\n", case.name)),
                }
            }));
        }
    }
    let mut failures: Vec<String> = playing.join_all().await.into_iter().flatten().collect();
    failures.sort();
    for case in &all {
        if let Some(reason) = &case.deviation {
            println!("deviation: {}: {reason}", case.name);
        }
    }
    println!("{} cases, each delivered in two ways", all.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.concat());
}

async fn play(case: &Case, delivery: Delivery, address: SocketAddr, reached: &Reached) -> Result<(), String> {
    let (expected, open) = case.answered.rsplit_once(' ').unwrap();
    assert!(["open", "close", "either"].contains(&open), "{}: {open}", case.name);
    let mut bytes = case.bytes();
    if delivery == Delivery::Whole && open == "close" && !case.fin {
        bytes.extend(TAIL);
    }
    let step = if delivery == Delivery::Whole { bytes.len() } else { bytes.len().div_ceil(PIECES) };
    let fin = case.fin;
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let client = socket.local_addr().unwrap();
    let before = reached.before(client);
    let (mut responses, mut requests) = socket.into_split();
    let sending = tokio::spawn(async move {
        for piece in bytes.chunks(step) {
            // The server may have answered and closed before it has everything.
            if requests.write_all(piece).await.is_err() {
                break;
            }
            sleep(GAP).await;
        }
        if fin {
            let _ = requests.shutdown().await;
        }
        requests
    });
    let (bodiless, old) = (case.sent[0].starts_with("HEAD "), case.sent[0].ends_with("HTTP/1.0"));
    let mut answers = Answers { socket: &mut responses, read: Vec::new(), bodiless, old };
    let mut told = String::new();
    for expected in expected.split(' ').filter(|expected| *expected != "none") {
        let status = answers.next().await;
        if !is_one_of(&status, expected) {
            let _ = writeln!(told, "{expected} expected, got {status}");
            break;
        }
    }
    let mut expected = case.reached();
    let mut requests = sending.await.unwrap();
    if told.is_empty() && open != "close" {
        let _ = requests.write_all(PROBE).await;
        let status = answers.next().await;
        if status == "200" {
            expected.push("GET /probe".into());
        } else if open == "open" || status != "none" {
            let _ = writeln!(told, "the connection should go on, but: {status}");
        }
    }
    let rest = answers.next().await;
    if told.is_empty() && rest != "none" {
        let _ = writeln!(told, "the connection should be closed, but: {rest}");
    }
    let reached = reached.by(client, before);
    if told.is_empty() && !are(&reached, &expected) {
        let _ = writeln!(told, "reached the backend: {reached:#?}");
    }
    if told.is_empty() { Ok(()) } else { Err(told) }
}

/// The responses of a connection, one status after the other.
struct Answers<'s> {
    socket: &'s mut OwnedReadHalf,
    read: Vec<u8>,
    bodiless: bool,
    /// RFC 9110 section 15.2: no interim responses to HTTP/1.0.
    old: bool,
}

impl Answers<'_> {
    /// The next status; `none` at the end of the connection. 100 (Continue) is passed over where RFC 9110 allows it.
    async fn next(&mut self) -> String {
        loop {
            let Some(head) = self.head().await else { return "none".into() };
            let status = head.get(9..12).unwrap_or("not HTTP").to_owned();
            if status == "100" && !self.old {
                continue;
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let length = if self.bodiless { 0 } else { length.unwrap_or(0) };
            while self.read.len() < length {
                if !self.fill().await {
                    return format!("{status}, cut");
                }
            }
            self.read.drain(..length);
            return status;
        }
    }

    async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                return Some(String::from_utf8_lossy(&self.read.drain(..end + 4).collect::<Vec<u8>>()).into_owned());
            }
            if !self.fill().await {
                return (!self.read.is_empty()).then(|| "not HTTP".into());
            }
        }
    }

    async fn fill(&mut self) -> bool {
        self.socket.read_buf(&mut self.read).await.is_ok_and(|read| read > 0)
    }
}
