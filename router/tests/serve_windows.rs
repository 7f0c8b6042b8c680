//! HTTP/2 windows: bodies larger than they are go both ways whole, and clients that keep them shut, or open and do not read,
//! make the router hold little.

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
    future::poll_fn,
    io::{Read, Write},
    net::TcpStream,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use apart::{Apart, until};
use bystander::{Asks, Bystander};
use bytes::Bytes;
use frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame, get};
use h2::client::SendRequest;
use http::{Request, Response};
use parking_lot::Mutex;
use penstock_router::{Backend, Ended, ListenerConfig, ListenerLimits};
use server::{PATIENCE, Server, backend};
use tokio::time::timeout;
use victim::{PIECE, Told};

/// Figures of one attack are not those of two.
static ALONE: Mutex<()> = Mutex::new(());

/// How long a client may take nothing, here.
const PATIENT: Duration = Duration::from_secs(3);
/// As many as one connection may have, nearly.
const STREAMS: u32 = 250;
const CONNECTIONS: usize = 4;
const ALL: usize = STREAMS as usize * CONNECTIONS;
const P99: Duration = Duration::from_millis(250);
const MIB: u64 = 1 << 20;

#[test]
#[ignore = "the server of the others"]
fn victim_of_windows() {
    apart::be_server(|| async {
        let limits = ListenerLimits { request_timeout: PATIENT, ..ListenerLimits::default() };
        victim::start(ListenerConfig { limits, ..ListenerConfig::new("test") }, 10_000)
    });
}

/// Asks for endless responses with windows of this size.
fn opening(window: u32) -> Vec<u8> {
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat())].concat();
    if window > 0xffff {
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &(window - 0xffff).to_be_bytes()));
    }
    for number in 0..STREAMS {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &get("/endless")));
    }
    bytes
}

/// Plays clients that ask for endless responses until these have been given up, and says how many bytes of them were held at
/// most.
fn held_at_most(name: &str, window: u32, memory: u64, reads: bool) -> usize {
    let _alone = ALONE.lock();
    let server = Apart::start("victim_of_windows");
    let mut asks = Asks::connect(server.address);
    assert_eq!(asks.get("/ok"), "ok");
    let before = server.usage();
    let bystander = Bystander::start(server.address);
    let opening = opening(window);
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.write_all(&opening).unwrap();
        let mut reader = socket.try_clone().unwrap();
        sockets.push(socket);
        if reads {
            // Until the server is gone.
            drop(std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink())));
        }
    }
    let mut most = 0;
    until("all are answered, and given up", PATIENT * 4, || {
        let told = Told::by(&mut asks);
        most = most.max(told.bytes);
        (told.calls == ALL && told.running == 0).then_some(())
    });
    let grown = server.usage().peak - before.resident;
    let took = bystander.stop();
    println!(
        "{name}: {ALL} responses held {} KiB at most, {} KiB each; memory +{} KiB; others: p99 {:?}",
        most >> 10,
        (most / ALL) >> 10,
        grown >> 10,
        took.p99()
    );
    until("what was held is given back", PATIENT, || (Told::by(&mut asks).bytes == 0).then_some(()));
    assert!(grown <= memory, "memory grows by {grown}");
    assert!(took.p99() <= P99, "others wait: {took:?}");
    most
}

#[test]
fn windows_that_stay_shut_hold_one_piece_of_each_response() {
    let held = held_at_most("windows that stay shut", 0, 100 * MIB, true);
    assert!(held <= PIECE * ALL, "{held}");
}

#[test]
fn open_windows_on_a_socket_that_is_not_read_hold_a_few_pieces_of_each_response() {
    let held = held_at_most("a socket that is not read", 0x7fff_ffff, 300 * MIB, false);
    // What may be written ahead (128 KiB), the piece that is more than that, and one that waits to be the next.
    assert!(held <= ((128 << 10) + 2 * PIECE) * ALL, "{held}");
}

/// Sends back what it gets.
fn echo() -> Arc<dyn Backend> {
    backend(|request, _| async move { Ok(Response::new(request.into_body())) })
}

/// A client of HTTP/2 by prior knowledge, with windows of this size.
async fn http2(server: &Server, stream: u32, connection: u32) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(stream).initial_connection_window_size(connection);
    let (client, driver) = builder.handshake(socket).await.unwrap();
    drop(tokio::spawn(driver));
    client
}

/// The bytes of a body that no two places of look alike.
fn bytes(range: Range<usize>) -> Bytes {
    range.map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
}

/// Sends a body as the windows allow; says how much of it was sent when nothing more was allowed for so long.
async fn upload(stream: &mut h2::SendStream<Bytes>, size: usize, patience: Duration) -> usize {
    let mut sent = 0;
    while sent < size {
        stream.reserve_capacity(size - sent);
        let allowed = match timeout(patience, poll_fn(|cx| stream.poll_capacity(cx))).await {
            Ok(Some(allowed)) => allowed.unwrap(),
            Ok(None) => panic!("the stream ended"),
            Err(_) => return sent,
        };
        let end = size.min(sent + allowed);
        stream.send_data(bytes(sent..end), end == size).unwrap();
        sent = end;
    }
    sent
}

#[tokio::test]
async fn bodies_larger_than_all_windows_go_both_ways_whole() {
    const SIZE: usize = 4 << 20;
    let server = Server::start(&echo());
    // Smaller than what the router sends at once.
    let client = http2(&server, 20_000, 50_000).await;
    let exchange = |mut client: SendRequest<Bytes>| async move {
        let request = Request::post("http://a/").body(()).unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        let uploading = tokio::spawn(async move { upload(&mut body, SIZE, PATIENCE).await });
        let mut body = response.await.unwrap().into_body();
        let mut read = 0;
        while let Some(piece) = timeout(PATIENCE, body.data()).await.unwrap() {
            let piece = piece.unwrap();
            assert!(piece == bytes(read..read + piece.len()), "other bytes at {read}");
            read += piece.len();
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
        assert_eq!((read, uploading.await.unwrap()), (SIZE, SIZE));
    };
    // Several at once share the connection's windows.
    let all = futures_util::future::join_all((0..3).map(|_| tokio::spawn(exchange(client.clone())))).await;
    assert!(all.into_iter().all(|exchanged| exchanged.is_ok()));
    for record in server.records.wait(3).await {
        assert_eq!((record.ended, record.bytes_in, record.bytes_out), (Ended::Complete, SIZE as u64, SIZE as u64));
    }
}

#[tokio::test]
async fn an_upload_that_nobody_reads_stops_at_the_windows() {
    let ignores = backend(|request, _| async move {
        let _held = request;
        std::future::pending().await
    });
    let server = Server::start(&ignores);
    let mut client = http2(&server, 65_535, 65_535).await;
    let mut bodies = Vec::new();
    let mut sent = Vec::new();
    for _ in 0..5 {
        let request = Request::post("http://a/").body(()).unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        sent.push(upload(&mut body, 1 << 20, Duration::from_millis(300)).await);
        bodies.push((response, body));
    }
    // 256 KiB a stream; the fifth finds the connection's MiB used up.
    assert_eq!(sent, [256 << 10, 256 << 10, 256 << 10, 256 << 10, 0]);
}

#[test]
fn a_client_that_reads_slowly_makes_the_router_hold_little() {
    let _alone = ALONE.lock();
    let server = Apart::start("victim_of_windows");
    let mut asks = Asks::connect(server.address);
    for path in ["HTTP/1", "HTTP/2"] {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        if path == "HTTP/1" {
            write!(socket, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        } else {
            let windows = [&[0, 4][..], &0x7fff_ffff_u32.to_be_bytes()].concat();
            socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &windows)].concat()).unwrap();
            socket.write_all(&frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())).unwrap();
            socket.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/endless"))).unwrap();
        }
        let (mut piece, mut most) = (vec![0; PIECE], 0);
        // Longer than a client may take nothing: this one takes something.
        let end = Instant::now() + PATIENT + Duration::from_secs(1);
        while Instant::now() < end {
            socket.read_exact(&mut piece).unwrap();
            most = most.max(Told::by(&mut asks).bytes);
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("{path}: a slow reader makes the router hold {} KiB", most >> 10);
        assert!(most <= 4 * PIECE, "{path}: {most}");
        drop(socket);
        until("it is noticed that the client has left", PATIENCE, || (Told::by(&mut asks).running == 0).then_some(()));
    }
}
