//! Ten thousand clients that send a byte every two seconds: others do not notice, and each is cut off when its time is up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/apart.rs"]
mod apart;
#[path = "support/bystander.rs"]
mod bystander;
#[path = "support/server.rs"]
mod server;
#[path = "support/victim.rs"]
mod victim;

use std::{net::SocketAddr, time::Duration};

use apart::{Apart, until};
use bystander::{Asks, Bystander};
use penstock_router::{ListenerConfig, ListenerLimits};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use victim::Told;

/// Of each kind.
const CLIENTS: usize = 5000;
const BETWEEN_BYTES: Duration = Duration::from_secs(2);
/// They come within so long.
const ARRIVAL: Duration = Duration::from_secs(3);

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From one byte of a body to the next.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bodies get a byte for so long, much longer than the timeout, and then no more.
const BODY_LASTS: Duration = Duration::from_secs(12);
/// What a client may be cut off late: a part of the timeout, and what a busy machine takes for ten thousand.
const LATE: Duration = Duration::from_secs(4);

/// What others wait with ten thousand at the door, compared to without.
const TIMES: u32 = 2;
/// What is noise on a machine that does other things too.
const NOISE: Duration = Duration::from_millis(2);
/// What one connection may cost, of the process's memory.
const EACH: u64 = 32 << 10;

#[test]
#[ignore = "the server of the other"]
fn victim_of_slow_clients() {
    apart::be_server(|| async {
        let limits = ListenerLimits {
            header_read_timeout: HEADER_TIMEOUT,
            request_timeout: BODY_TIMEOUT,
            ..ListenerLimits::default()
        };
        victim::start(ListenerConfig { limits, ..ListenerConfig::new("test") }, CLIENTS)
    });
}

/// How a slow client was cut off.
#[derive(Debug)]
struct Cut {
    /// Since its time began to run.
    after: Duration,
    answer: String,
}

#[derive(Clone, Copy)]
enum Part {
    Head,
    Body,
}

async fn slow_client(address: SocketAddr, part: Part, nth: usize) -> Cut {
    // One after the other: the kernel holds no more than a thousand that were not accepted.
    sleep(ARRIVAL * u32::try_from(nth).unwrap() / u32::try_from(CLIENTS).unwrap()).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut answer, mut request) = socket.into_split();
    let begun = Instant::now();
    let head = match part {
        Part::Head => "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        Part::Body => "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
    };
    request.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let mut last = begun;
        loop {
            sleep_until(last + BETWEEN_BYTES).await;
            let over = matches!(part, Part::Body) && last > begun + BODY_LASTS;
            // The request stays open, so that it is not the client that ends it.
            if over {
                return (last, request);
            }
            last = Instant::now();
            if request.write_all(b"x").await.is_err() {
                return (last, request);
            }
        }
    });
    let mut text = Vec::new();
    let read = timeout(Duration::from_secs(40), answer.read_to_end(&mut text)).await;
    let ended = Instant::now();
    // A reset is an end too.
    let _ = read.expect("never cut off");
    let since = match part {
        Part::Head => {
            sending.abort();
            begun
        }
        Part::Body => sending.await.unwrap().0,
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    Cut { after: ended.saturating_duration_since(since), answer: text.lines().next().unwrap_or_default().to_owned() }
}

/// Both ends of ten thousand connections, each in a process of its own.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = 2 * CLIENTS as u64 + 200;
    assert!(limit.maximum.is_none_or(|most| most >= wanted), "{wanted} descriptors are needed; at most: {limit:?}");
    limit.current = limit.maximum.or(Some(wanted));
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
#[ignore = "takes 30 s: tests/run.sh runs it"]
fn ten_thousand_slow_clients_keep_nobody_waiting() {
    raise_descriptor_limit();
    let server = Apart::start("victim_of_slow_clients");
    let mut asks = Asks::connect(server.address);
    let alone = Bystander::alone(server.address, Duration::from_secs(6));
    let (before, descriptors) = (server.usage(), server.descriptors());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = server.address;
    let clients = std::thread::spawn(move || {
        runtime.block_on(async move {
            let (mut heads, mut bodies) = (JoinSet::new(), JoinSet::new());
            for nth in 0..CLIENTS {
                drop(heads.spawn(slow_client(address, Part::Head, nth)));
                drop(bodies.spawn(slow_client(address, Part::Body, nth)));
            }
            (heads.join_all().await, bodies.join_all().await)
        })
    });
    until("all are there", Duration::from_secs(8), || {
        (server.descriptors() >= descriptors + 2 * CLIENTS).then_some(())
    });
    until("all bodies are waited for", Duration::from_secs(5), || {
        (Told::by(&mut asks).running == CLIENTS).then_some(())
    });
    let among = Bystander::alone(server.address, Duration::from_secs(5));
    let during = server.usage();
    let each = during.resident.saturating_sub(before.resident) / (2 * CLIENTS as u64);
    let (heads, bodies) = clients.join().unwrap();
    println!(
        "alone: {} answers, median {:?}, p99 {:?}; among {} slow clients: {}, {:?}, {:?}; {each} bytes a connection",
        alone.count(),
        alone.median(),
        alone.p99(),
        2 * CLIENTS,
        among.count(),
        among.median(),
        among.p99(),
    );
    for (name, cuts, limit) in [("heads", &heads, HEADER_TIMEOUT), ("bodies", &bodies, BODY_TIMEOUT)] {
        let answered = cuts.iter().filter(|cut| cut.answer.starts_with("HTTP/1.1 408 ")).count();
        let (soonest, latest) =
            (cuts.iter().map(|cut| cut.after).min().unwrap(), cuts.iter().map(|cut| cut.after).max());
        println!("{name}: cut off after {soonest:?} to {:?}, {answered} with 408", latest.unwrap());
        let wrong = cuts.iter().find(|cut| !(cut.answer.is_empty() || cut.answer.starts_with("HTTP/1.1 408 ")));
        assert!(wrong.is_none(), "{name}: {wrong:?}");
        // The router's clock counts milliseconds, and starts when it has read what began.
        assert!(soonest + Duration::from_millis(20) >= limit, "{name}: cut off too early, after {soonest:?}");
        assert!(latest.unwrap() <= limit + LATE, "{name}: cut off too late, after {latest:?}");
        assert!(answered * 10 >= cuts.len() * 9, "{name}: {answered} were told why");
    }
    assert!(each <= EACH, "{each} bytes a connection");
    assert!(among.p99() <= alone.p99() * TIMES + NOISE, "{:?} instead of {:?}", among.p99(), alone.p99());
    until("all are gone", server::PATIENCE, || (server.descriptors() <= descriptors).then_some(()));
    assert_eq!(Told::by(&mut asks).running, 0);
}
