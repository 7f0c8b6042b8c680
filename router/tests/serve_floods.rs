//! Floods of HTTP/2 frames: each ends, costs the router little, and keeps nobody else waiting.

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
    time::{Duration, Instant},
};

use apart::Apart;
use bystander::{Asks, Bystander};
use frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, get, literal, read,
};
use parking_lot::Mutex;
use penstock_router::ListenerConfig;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};
use victim::Told;

/// Figures of one attack are not those of two.
static ALONE: Mutex<()> = Mutex::new(());

/// So many connections attack at once, each again as soon as it is ended, for so long.
const ATTACKERS: usize = 4;
const ATTACK: Duration = Duration::from_millis(800);
/// What others wait at most, but for one in a hundred. Alone they wait a fraction of a millisecond; the rest is for
/// attackers and server that share the cores of a test machine.
const P99: Duration = Duration::from_millis(250);
/// What the server may grow by meanwhile.
const MEMORY: u64 = 64 << 20;
/// What one connection may cost until it is ended.
const CPU: Duration = Duration::from_millis(100);

const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
#[ignore = "the server of the others"]
fn victim_of_floods() {
    apart::be_server(|| async { victim::start(ListenerConfig::new("test"), 10_000) });
}

/// What is sent: `opening` once, then `turn` (which is told how often it was called) without end.
struct Flood {
    name: &'static str,
    opening: Vec<u8>,
    turn: fn(u32) -> Vec<u8>,
    /// Whether what is answered is read.
    reads: bool,
    /// Each turn in a packet of its own, so that it is looked at by itself.
    pause: Option<Duration>,
    /// Frames that a connection gets away with, at most. (Of many frames a packet, what the kernel holds counts too.)
    frames: u64,
}

impl Default for Flood {
    fn default() -> Self {
        Self { name: "", opening: Vec::new(), turn: |_| Vec::new(), reads: true, pause: None, frames: u64::MAX }
    }
}

/// How one connection ended.
#[derive(Debug, Default, Clone, Copy)]
struct Ended {
    frames: u64,
    /// GOAWAY's code, if there was one.
    code: Option<u32>,
    /// Closed by the server, and not by the end of the attack.
    closed: bool,
}

fn headers(flags: u8, stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &get(path))
}

fn nth(turn: u32) -> u32 {
    turn * 2 + 1
}

fn floods() -> Vec<Flood> {
    vec![
        // CVE-2019-9512 and CVE-2019-9515.
        Flood { name: "PING", turn: |_| frame(PING, 0, 0, &[0; 8]), ..Flood::default() },
        Flood { name: "SETTINGS", turn: |_| frame(SETTINGS, 0, 0, &[]), ..Flood::default() },
        Flood {
            name: "SETTINGS that move the windows of many streams",
            opening: (0..200).flat_map(|turn| headers(END_STREAM, nth(turn), "/never")).collect(),
            turn: |turn| {
                // SETTINGS_INITIAL_WINDOW_SIZE, up and down.
                frame(SETTINGS, 0, 0, &[0, 4, 0, 0, u8::try_from(turn % 2).unwrap(), 0])
            },
            ..Flood::default()
        },
        Flood { name: "PRIORITY", turn: |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), ..Flood::default() },
        Flood { name: "frames of no known type", turn: |_| frame(0xfe, 0, 0, &[]), ..Flood::default() },
        Flood { name: "WINDOW_UPDATE", turn: |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), ..Flood::default() },
        // CVE-2019-9518.
        Flood {
            name: "DATA without data",
            opening: headers(0, 1, "/never"),
            turn: |_| frame(DATA, 0, 1, &[]),
            ..Flood::default()
        },
        Flood {
            name: "DATA of one byte",
            opening: headers(0, 1, "/never"),
            turn: |_| frame(DATA, 0, 1, b"x"),
            ..Flood::default()
        },
        Flood {
            name: "HEADERS without headers",
            turn: |turn| frame(HEADERS, END_HEADERS, nth(turn), &[]),
            ..Flood::default()
        },
        // CVE-2024-27316.
        Flood {
            name: "CONTINUATION without headers",
            opening: frame(HEADERS, 0, 1, &get("/")),
            turn: |_| frame(CONTINUATION, 0, 1, &[]),
            ..Flood::default()
        },
        Flood {
            name: "CONTINUATION with headers",
            opening: frame(HEADERS, 0, 1, &get("/")),
            turn: |turn| {
                let mut block = Vec::new();
                literal(&mut block, format!("x-{turn}").as_bytes(), &[b'y'; 100]);
                frame(CONTINUATION, 0, 1, &block)
            },
            ..Flood::default()
        },
        // CVE-2016-6581: a table entry of 4 KB, named by a byte each time.
        Flood {
            name: "headers that expand",
            turn: |turn| {
                let mut block = get("/");
                block.push(0x40);
                let mut entry = Vec::new();
                literal(&mut entry, b"x", &[b'y'; 3900]);
                block.extend(&entry[1..]);
                block.extend([0xbe; 3000]);
                frame(HEADERS, END_HEADERS | END_STREAM, nth(turn), &block)
            },
            ..Flood::default()
        },
        // CVE-2023-44487.
        Flood {
            name: "rapid reset",
            turn: |turn| {
                [headers(END_STREAM, nth(turn), "/never"), frame(RST_STREAM, 0, nth(turn), &[0, 0, 0, 8])].concat()
            },
            ..Flood::default()
        },
        Flood {
            name: "rapid reset, of requests that were begun",
            turn: |turn| match turn % 2 {
                0 => headers(END_STREAM, nth(turn / 2), "/never"),
                _ => frame(RST_STREAM, 0, nth(turn / 2), &[0, 0, 0, 8]),
            },
            pause: Some(Duration::from_micros(100)),
            frames: 2000,
            ..Flood::default()
        },
        // CVE-2025-8671: the server is made to reset, by a window that grows too large.
        Flood {
            name: "resets that the server is made to send",
            turn: |turn| {
                let grow = frame(WINDOW_UPDATE, 0, nth(turn), &[0x7f, 0xff, 0xff, 0xff]);
                [headers(0, nth(turn), "/never"), grow].concat()
            },
            ..Flood::default()
        },
        Flood {
            name: "requests beyond the limit of streams",
            turn: |turn| headers(END_STREAM, nth(turn), "/never"),
            ..Flood::default()
        },
    ]
}

/// One connection of an attack.
async fn attack(flood: &Flood, address: SocketAddr, end: Instant) -> Ended {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (responses, mut requests) = socket.into_split();
    let mut responses = BufReader::new(responses);
    let mut frames = 0;
    let send = async {
        let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &flood.opening].concat();
        let mut open = requests.write_all(&opening).await.is_ok();
        let mut turn = 0;
        while open && Instant::now() < end {
            // Many frames a packet, unless each is to be seen alone.
            let mut packet = Vec::new();
            while packet.is_empty() || (flood.pause.is_none() && packet.len() < 16 << 10) {
                packet.extend((flood.turn)(turn));
                turn += 1;
                frames += 1;
            }
            // A server that reads nothing any more need not have closed.
            open = matches!(timeout(ATTACK, requests.write_all(&packet)).await, Ok(Ok(())));
            if let Some(pause) = flood.pause {
                // Shorter than a timer can be.
                let until = Instant::now() + pause;
                while Instant::now() < until {
                    yield_now().await;
                }
            }
        }
    };
    let receive = async {
        let mut code = None;
        while let Some(frame) = read(&mut responses).await {
            if frame.kind == GOAWAY {
                code.get_or_insert(frame.code());
            }
        }
        code
    };
    let (mut code, mut closed) = (None, false);
    tokio::pin!(receive);
    tokio::select! {
        biased;
        told = &mut receive, if flood.reads => (code, closed) = (told, true),
        () = send => {}
    }
    if !closed {
        // What the server has to say, or had to say while nobody listened.
        if let Ok(told) = timeout(Duration::from_millis(500), receive).await {
            (code, closed) = (told, true);
        }
    }
    Ended { frames, code, closed }
}

/// All connections of an attack, on a thread of their own; how each ended.
fn attacks(flood: &Flood, address: SocketAddr) -> Vec<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let end = Instant::now() + ATTACK;
    let attacker = || async {
        let mut ended = Vec::new();
        while Instant::now() < end {
            ended.push(attack(flood, address, end).await);
        }
        ended
    };
    let all = futures_util::future::join_all((0..ATTACKERS).map(|_| attacker()));
    runtime.block_on(all).concat()
}

#[test]
fn floods_end_and_hurt_nobody() {
    let _alone = ALONE.lock();
    let mut failures = Vec::new();
    for flood in floods() {
        let mut server = Apart::start("victim_of_floods");
        let mut asks = Asks::connect(server.address);
        // What a first request costs is not the attack's.
        assert_eq!(asks.get("/ok"), "ok");
        server.forget_peak();
        let before = server.usage();
        let bystander = Bystander::start(server.address);
        let ended = attacks(&flood, server.address);
        let took = bystander.stop();
        let after = server.usage();
        let told = Told::by(&mut asks);

        let closed = ended.iter().filter(|ended| ended.closed).count();
        let calm = ended.iter().filter(|ended| ended.code == Some(ENHANCE_YOUR_CALM)).count();
        let most = ended.iter().map(|ended| ended.frames).max().unwrap();
        let memory = after.peak.saturating_sub(before.resident);
        let cpu = (after.cpu - before.cpu) / u32::try_from(ended.len()).unwrap();
        println!(
            "{}: {} connections, {closed} closed ({calm} told to calm down) after at most {most} frames, {} calls; memory \
             +{} KiB, {cpu:?} of CPU each; others: {} answers, median {:?}, p99 {:?}, longest {:?}",
            flood.name,
            ended.len(),
            told.calls,
            memory >> 10,
            took.count(),
            took.median(),
            took.p99(),
            took.longest(),
        );
        let mut check = |holds: bool, what: &str| {
            if !holds {
                failures.push(format!("{}: {what}", flood.name));
            }
        };
        // The last of each attacker may have been cut short by the end of the attack.
        check(closed + ATTACKERS >= ended.len() && closed > 0, "connections stay open");
        check(most <= flood.frames, "a connection gets away with too many frames");
        check(memory <= MEMORY, "memory grows");
        check(cpu <= CPU, "a connection costs too much");
        check(took.p99() <= P99, "others wait");
        check(server.lives(), "the server is gone");
        apart::until("what was begun has ended", server::PATIENCE, || (Told::by(&mut asks).running == 0).then_some(()));
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
