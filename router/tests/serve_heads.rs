//! HTTP/1 requests that never get anywhere: heads byte by byte, empty lines, extensions and trailers without end. Each is ended,
//! costs little, and keeps nobody else waiting.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/apart.rs"]
mod apart;
#[path = "support/bystander.rs"]
mod bystander;
#[path = "support/server.rs"]
mod server;
#[path = "support/victim.rs"]
mod victim;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use apart::Apart;
use bystander::{Asks, Bystander};
use penstock_router::ListenerConfig;

const ATTACKERS: usize = 4;
/// What others wait at most, but for one in a hundred.
const P99: Duration = Duration::from_millis(250);
const MEMORY: u64 = 32 << 20;
/// Bytes that go out before the end is seen: what the kernel holds, and more.
const ENOUGH: usize = 64 << 20;
/// Between two packets that are to be read alone.
const GAP: Duration = Duration::from_micros(20);

#[test]
#[ignore = "the server of the other"]
fn victim_of_heads() {
    apart::be_server(|| async { victim::start(ListenerConfig::new("test"), 1000) });
}

struct Attack {
    name: &'static str,
    opening: &'static str,
    /// Sent again and again,
    again: &'static str,
    /// in one packet, or many a packet.
    alone: bool,
    /// So often, if it does not end before.
    times: usize,
    /// What it is answered with.
    statuses: &'static [&'static str],
    /// What all of it may cost, for one connection.
    cpu: Duration,
}

const ATTACKS: [Attack; 7] = [
    Attack {
        name: "a head of 30 KB, byte by byte",
        opening: "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        again: "x",
        alone: true,
        times: 30_000,
        statuses: &["none"],
        // What thirty thousand reads cost, and not thirty thousand looks at 15 KB.
        cpu: Duration::from_millis(600),
    },
    Attack {
        name: "30,000 empty lines, one by one",
        opening: "",
        again: "\r\n",
        alone: true,
        times: 30_000,
        statuses: &["none", "431"],
        cpu: Duration::from_millis(600),
    },
    Attack {
        name: "a header without end",
        opening: "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        again: "x",
        alone: false,
        times: ENOUGH,
        statuses: &["431"],
        cpu: Duration::from_millis(100),
    },
    Attack {
        name: "empty lines",
        opening: "",
        again: "\r\n",
        alone: false,
        times: ENOUGH,
        statuses: &["400", "431"],
        cpu: Duration::from_millis(300),
    },
    Attack {
        name: "a chunk extension without end",
        opening: "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
        again: "x",
        alone: false,
        times: ENOUGH,
        statuses: &["400"],
        cpu: Duration::from_millis(100),
    },
    Attack {
        name: "chunk extensions of one byte each",
        opening: "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        again: "1;x\r\nx\r\n",
        alone: false,
        times: ENOUGH,
        statuses: &["400"],
        cpu: Duration::from_millis(300),
    },
    Attack {
        name: "trailers without end",
        opening: "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        again: "T: x\r\n",
        alone: false,
        times: ENOUGH,
        statuses: &["400"],
        cpu: Duration::from_millis(100),
    },
];

/// How a connection ended: the status of its answer, or `none`; and how many bytes it took.
fn attack(attack: &Attack, address: SocketAddr) -> (String, usize) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.write_all(attack.opening.as_bytes()).unwrap();
    let packet = attack.again.repeat(if attack.alone { 1 } else { 16 << 10 });
    let (mut sent, all) = (0, attack.times * attack.again.len());
    while sent < all && socket.write_all(packet.as_bytes()).is_ok() {
        sent += packet.len();
        let wait = Instant::now();
        while attack.alone && wait.elapsed() < GAP {
            std::hint::spin_loop();
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let status = answer.get(9..12).map(|status| String::from_utf8_lossy(status).into_owned());
    (status.unwrap_or_else(|| "none".into()), sent)
}

#[test]
fn requests_that_get_nowhere_end_and_hurt_nobody() {
    let mut failures = Vec::new();
    for it in &ATTACKS {
        let server = Apart::start("victim_of_heads");
        assert_eq!(Asks::connect(server.address).get("/ok"), "ok");
        server.forget_peak();
        let (before, begun) = (server.usage(), Instant::now());
        let bystander = Bystander::start(server.address);
        let ended: Vec<(String, usize)> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..ATTACKERS).map(|_| scope.spawn(|| attack(it, server.address))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (time, after, took) = (begun.elapsed(), server.usage(), bystander.stop());
        let cpu = (after.cpu - before.cpu) / u32::try_from(ATTACKERS).unwrap();
        let memory = after.peak.saturating_sub(before.resident);
        println!(
            "{}: {ended:?} after {time:?}, {cpu:?} of CPU each, memory +{} KiB; others: p99 {:?}",
            it.name,
            memory >> 10,
            took.p99()
        );
        let mut check = |holds: bool, what: &str| {
            if !holds {
                failures.push(format!("{}: {what}", it.name));
            }
        };
        // A reset takes the answer along.
        check(ended.iter().all(|end| end.0 == "none" || it.statuses.contains(&&*end.0)), "another answer");
        check(it.alone || ended.iter().all(|end| end.1 < ENOUGH), "it goes on without end");
        check(cpu <= it.cpu, "it costs too much");
        check(memory <= MEMORY, "memory grows");
        check(took.p99() <= P99, "others wait");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
