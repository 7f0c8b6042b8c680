//! Clients that take every place there is and say nothing: others get theirs all the same, and the process stays small.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/apart.rs"]
mod apart;
#[path = "support/bystander.rs"]
mod bystander;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/server.rs"]
mod server;
#[path = "support/victim.rs"]
mod victim;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use apart::{Apart, until};
use bystander::{Asks, Bystander};
use frames::{PREFACE, SETTINGS, frame};
use parking_lot::Mutex;
use penstock_router::{ListenerConfig, ListenerLimits};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Figures of one attack are not those of two.
static ALONE: Mutex<()> = Mutex::new(());

const PLACES: usize = 400;
const CROWD: usize = 2 * PLACES;
/// Those who have nothing to do are asked to end after a second and cut after five more, and there are two crowds to get past.
const TURN: Duration = Duration::from_secs(18);
/// What others wait at most, but for one in a hundred.
const P99: Duration = Duration::from_millis(250);
const MEMORY: u64 = 64 << 20;

#[test]
#[ignore = "the server of the others"]
fn victim_of_a_crowd() {
    apart::be_server(|| async {
        let limits = ListenerLimits { connections: PLACES, ..ListenerLimits::default() };
        victim::start(ListenerConfig { limits, ..ListenerConfig::new("test") }, 1000)
    });
}

#[test]
#[ignore = "the server of another"]
fn victim_short_of_descriptors() {
    apart::be_server(|| async {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(PLACES as u64);
        setrlimit(Resource::Nofile, limit).unwrap();
        victim::start(ListenerConfig::new("test"), 1000)
    });
}

/// Connects, says this much, and stays until it is closed; then again.
async fn squat(address: SocketAddr, says: &[u8], closed: &AtomicUsize) {
    loop {
        let Ok(mut socket) = TcpStream::connect(address).await else { continue };
        let _ = socket.write_all(says).await;
        while socket.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        closed.fetch_add(1, Relaxed);
    }
}

fn others_get_in_past(name: &str, victim: &str, says: &'static [u8]) {
    let _alone = ALONE.lock();
    let server = Apart::start(victim);
    let mut asks = Asks::connect(server.address);
    assert_eq!(asks.get("/ok"), "ok");
    let (before, descriptors) = (server.usage(), server.descriptors());
    // Its connection is in use, and stays.
    let bystander = Bystander::start(server.address);
    let closed = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = server.address;
    for _ in 0..CROWD {
        let closed = Arc::clone(&closed);
        drop(runtime.spawn(async move { squat(address, says, &closed).await }));
    }
    until("all places are taken", server::PATIENCE, || {
        // Some are the process's own.
        (server.descriptors() + 2 >= PLACES).then_some(())
    });
    let arrived = Instant::now();
    assert_eq!(Asks::connect(address).get("/ok"), "ok");
    let waited = arrived.elapsed();
    let (after, held) = (server.usage(), server.descriptors() - descriptors);
    let took = bystander.stop();
    runtime.shutdown_background();
    let grown = after.peak.saturating_sub(before.resident);
    println!(
        "{name}: a new client among {CROWD} for {PLACES} places waited {waited:?}, {} were closed; {held} descriptors, memory +{} \
         KiB; others: p99 {:?}",
        closed.load(Relaxed),
        grown >> 10,
        took.p99()
    );
    assert!(waited < TURN, "{waited:?}");
    // One more while it is accepted.
    assert!(held <= PLACES + 1, "{held} descriptors");
    assert!(grown < MEMORY, "memory grows by {grown}");
    assert!(took.p99() <= P99, "others wait: {took:?}");
}

#[test]
fn others_get_in_past_clients_that_say_nothing() {
    others_get_in_past("nothing said", "victim_of_a_crowd", b"");
}

#[test]
fn others_get_in_past_clients_that_have_asked_once() {
    others_get_in_past("asked once", "victim_of_a_crowd", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn others_get_in_past_clients_of_http2_that_ask_for_nothing() {
    static OPENING: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    others_get_in_past("HTTP/2", "victim_of_a_crowd", &OPENING);
}

#[test]
fn others_get_in_when_the_process_has_no_descriptors_left() {
    others_get_in_past("no descriptors left", "victim_short_of_descriptors", b"");
}
