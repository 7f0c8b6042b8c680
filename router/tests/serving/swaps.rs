//! The proof of the swap: a table is swapped a hundred times a second under full load, and a ledger shows that every
//! request was answered exactly once, by a revision that was current at some time while the request ran.
//!
//! `SWAP_SECONDS` says for how long (5 unless told).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::server::{PATIENCE, Server, all_to, eventually, gate};
use http::Response;
use parking_lot::Mutex;
use penstock_router::{Backend, BackendFuture, Body, CallContext, Ended, ListenerLimits, Table};
use tokio::time::{sleep, timeout};

/// Answers with its revision and the request's number; every seventh after a moment, every eleventh in pieces, so that
/// many requests run across a swap.
struct Revision {
    number: u64,
    name: String,
    served: Arc<AtomicU64>,
    alive: Arc<AtomicU64>,
}

impl Revision {
    fn backend(number: u64, served: &Arc<AtomicU64>, alive: &Arc<AtomicU64>) -> Arc<dyn Backend> {
        alive.fetch_add(1, SeqCst);
        let name = format!("test/revision-{number}");
        Arc::new(Self { number, name, served: Arc::clone(served), alive: Arc::clone(alive) })
    }
}

impl Drop for Revision {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

impl Backend for Revision {
    fn name(&self) -> &str {
        &self.name
    }

    fn call<'a>(&'a self, request: http::Request<Body>, _: CallContext) -> BackendFuture<'a> {
        self.served.fetch_add(1, SeqCst);
        let id: u64 = request.uri().path()[1..].parse().unwrap();
        let text = format!("{} {id}", self.number);
        Box::pin(async move {
            if id.is_multiple_of(7) {
                sleep(Duration::from_millis(id % 30)).await;
            }
            if !id.is_multiple_of(11) {
                return Ok(Response::new(text.into()));
            }
            let length = text.len();
            let (first, rest) = text.split_at(1);
            let pieces = [first.to_owned(), rest.to_owned()];
            let stream = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async move {
                sleep(Duration::from_millis(3)).await;
                let piece = pieces.next()?;
                Some((Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(piece.into())), pieces))
            });
            let body = Body::boxed(http_body_util::StreamBody::new(stream));
            Ok(Response::builder().header("content-length", length).body(body).unwrap())
        })
    }
}

/// One request as its client saw it.
struct Entry {
    id: u64,
    began: Instant,
    ended: Instant,
    answer: Result<u64, String>,
}

/// When each revision was current: from the moment before its swap to the moment after the next one's.
#[derive(Default)]
struct Ledger(Mutex<Vec<(Instant, Instant)>>);

impl Ledger {
    fn allows(&self, revision: u64, began: Instant, ended: Instant) -> bool {
        let swaps = self.0.lock();
        let index = usize::try_from(revision).unwrap() - 1;
        let Some((before, _)) = swaps.get(index) else { return false };
        let until = swaps.get(index + 1).map_or(ended, |(_, after)| *after);
        *before <= ended && began <= until
    }
}

async fn load(address: std::net::SocketAddr, ids: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<Entry> {
    let mut raw = crate::server::raw(address).await;
    let mut entries = Vec::new();
    while !stop.load(SeqCst) {
        let id = ids.fetch_add(1, SeqCst);
        let began = Instant::now();
        raw.send(format!("GET /{id} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let response = raw.response().await;
        let ended = Instant::now();
        let answer = match response {
            None => Err("the connection closed".to_owned()),
            Some(plain) if plain.status != 200 => Err(format!("{} {}", plain.status, plain.body)),
            Some(plain) => match plain.body.split_once(' ') {
                Some((revision, answered)) if answered == id.to_string() => Ok(revision.parse().unwrap()),
                _ => Err(format!("{id} was answered with {:?}", plain.body)),
            },
        };
        let broken = answer.is_err();
        entries.push(Entry { id, began, ended, answer });
        if broken {
            break;
        }
    }
    entries
}

async fn load_http2(address: std::net::SocketAddr, ids: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<Entry> {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut entries = Vec::new();
    let mut client = client.ready().await.unwrap();
    while !stop.load(SeqCst) {
        let id = ids.fetch_add(1, SeqCst);
        let began = Instant::now();
        let request = http::Request::get(format!("http://a/{id}")).body(()).unwrap();
        let answer = async {
            let response = client.send_request(request, true)?.0.await?;
            let status = response.status();
            let mut body = response.into_body();
            let mut text = Vec::new();
            while let Some(data) = body.data().await {
                text.extend_from_slice(&data?);
            }
            Ok::<_, h2::Error>((status, String::from_utf8(text).unwrap()))
        };
        let answer = timeout(PATIENCE, answer).await.expect("an answer");
        let ended = Instant::now();
        let answer = match answer {
            Ok((status, text)) if status == 200 => match text.split_once(' ') {
                Some((revision, answered)) if answered == id.to_string() => Ok(revision.parse().unwrap()),
                _ => Err(format!("{id} was answered with {text:?}")),
            },
            other => Err(format!("{other:?}")),
        };
        entries.push(Entry { id, began, ended, answer });
    }
    drop(client);
    let _ = driver.await;
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_once_by_a_revision_that_was_current() {
    let seconds = std::env::var("SWAP_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let (served, alive) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let admission = gate(1000, 1000);
    let table = |number: u64| -> Table { all_to(&Revision::backend(number, &served, &alive), &admission) };
    let ledger = Ledger::default();
    ledger.0.lock().push((Instant::now(), Instant::now()));
    let server = Server::with_table(table(1), Arc::clone(&admission), ListenerLimits::default());

    let (ids, stop) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(tokio::spawn(load(server.address, Arc::clone(&ids), Arc::clone(&stop))));
    }
    for _ in 0..2 {
        clients.push(tokio::spawn(load_http2(server.address, Arc::clone(&ids), Arc::clone(&stop))));
    }

    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let mut number = 1;
    let mut most_alive = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        tick.tick().await;
        let next = table(number + 1);
        let before = Instant::now();
        number = server.table.swap(next);
        ledger.0.lock().push((before, Instant::now()));
        most_alive = most_alive.max(alive.load(SeqCst));
    }
    stop.store(true, SeqCst);

    let mut entries = Vec::new();
    for client in clients {
        entries.extend(timeout(PATIENCE, client).await.expect("a client hangs").unwrap());
    }
    entries.sort_by_key(|entry| entry.id);
    let mut revisions = std::collections::BTreeSet::new();
    for entry in &entries {
        match &entry.answer {
            Ok(revision) => {
                revisions.insert(*revision);
                let allowed = ledger.allows(*revision, entry.began, entry.ended);
                assert!(allowed, "request {} was answered by revision {revision}, which was not current", entry.id);
            }
            Err(error) => panic!("request {} failed: {error}", entry.id),
        }
    }
    assert!(entries.windows(2).all(|pair| pair[0].id + 1 == pair[1].id), "an id is missing or twice");
    assert_eq!(served.load(SeqCst), entries.len() as u64, "calls and answers differ in number");
    let records = server.records.wait(entries.len()).await;
    assert!(records.iter().all(|record| record.ended == Ended::Complete && record.cause.is_none()));
    for record in &records {
        let revision = format!("test/revision-{}", record.generation);
        assert_eq!(record.backend, Some(revision), "generation and backend differ: {record:?}");
    }

    // Old generations are gone, with all that they held.
    timeout(PATIENCE, server.table.idle_below(number)).await.expect("an old generation is held");
    eventually("old revisions are dropped", || alive.load(SeqCst) == 1).await;
    assert!(most_alive < 30, "{most_alive} generations lived at once");
    // Most do on a free machine; on a crowded one the clients get less than a turn per swap.
    assert!(revisions.len() as u64 > number / 10, "{} of {number} revisions answered", revisions.len());
    println!(
        "{} requests over {seconds} s, {number} generations, {} of them answered, at most {most_alive} alive at once",
        entries.len(),
        revisions.len()
    );
}
