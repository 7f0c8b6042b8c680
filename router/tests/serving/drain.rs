//! The graceful end of a listener.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{io::Write, sync::Arc, time::Duration};

use crate::server::{PATIENCE, Server, all_to, backend, eventually, gate, ok};
use http::Request;
use penstock_router::{Ended, Listener, ListenerConfig, TableHandle, drain};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const LONG: Duration = Duration::from_secs(30);

fn slow(pause: u64) -> Arc<dyn penstock_router::Backend> {
    backend(move |request, _| async move {
        if request.uri().path() == "/slow" {
            sleep(Duration::from_millis(pause)).await;
        }
        ok("done")
    })
}

#[tokio::test]
async fn what_is_in_flight_ends_well_and_then_serve_returns() {
    let server = Server::start(&slow(500));
    let mut busy = server.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut idle = server.connect().await;
    assert!(!idle.get("/").await.has("connection: close"));
    let (mut client, driver) = server.http2().await;
    let request = Request::get("http://a/slow").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    eventually("both run", || server.admission.stats().in_flight == 2).await;
    let started = Instant::now();
    server.drain.start(LONG);
    sleep(Duration::from_millis(20)).await;
    // A request that is already on its way when the drain begins is answered, as the last one.
    let last = idle.get("/").await;
    assert!(last.status == 200 && last.has("connection: close"), "{last:?}");
    assert_eq!(idle.rest().await, "");
    sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is open");
    let answer = busy.response().await.unwrap();
    assert!(answer.status == 200 && answer.has("connection: close"), "{answer:?}");
    assert_eq!(response.await.unwrap().status(), 200);
    timeout(PATIENCE, driver).await.expect("no GOAWAY").unwrap().unwrap();
    let records = Arc::clone(&server.records);
    server.ended().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(records.wait(4).await.iter().all(|record| record.ended == Ended::Complete));
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let server = Server::start(&slow(0));
    let mut used = server.connect().await;
    used.get("/").await;
    let mut fresh = server.connect().await;
    let (client, driver) = server.http2().await;
    sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    server.drain.start(LONG);
    assert_eq!(used.rest().await + &fresh.rest().await, "");
    timeout(PATIENCE, driver).await.unwrap().unwrap().unwrap();
    drop(client);
    server.ended().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn at_the_deadline_the_rest_is_cut() {
    let server = Server::start(&slow(60_000));
    let mut busy = server.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut client, _driver) = server.http2().await;
    let request = Request::get("http://a/slow").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    eventually("both run", || server.admission.stats().in_flight == 2).await;
    let started = Instant::now();
    server.drain.start(LONG);
    sleep(Duration::from_millis(50)).await;
    // A second word can only shorten the time.
    server.drain.start(Duration::from_millis(400));
    server.drain.start(LONG);
    assert_eq!(busy.rest().await, "");
    assert!(response.await.is_err());
    let (records, admission) = (Arc::clone(&server.records), Arc::clone(&server.admission));
    server.ended().await;
    assert!((400..1500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert!(records.wait(2).await.iter().all(|record| record.ended == Ended::ClientLeft));
    assert_eq!(admission.stats().in_flight, 0);
}

#[tokio::test]
async fn connections_that_the_kernel_accepted_are_served() {
    let server = Server::start(&slow(0));
    // No await from here until the drain: the listener cannot have accepted any of them before.
    let clients: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(server.address).unwrap()).collect();
    for mut client in &clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    server.drain.start(LONG);
    for client in clients {
        client.set_nonblocking(true).unwrap();
        let mut client = crate::server::raw_of(TcpStream::from_std(client).unwrap());
        assert_eq!(client.response().await.expect("an answer").status, 200);
    }
    server.ended().await;
}

#[tokio::test]
async fn one_listener_ends_alone_and_all_end_together() {
    let (backend, admission) = (slow(0), gate(10, 10));
    let (all, watch) = drain::channel();
    let start = || {
        let (signal, watch) = watch.child();
        let table = TableHandle::new(all_to(&backend, &admission));
        let config = ListenerConfig::new("one");
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config, table, Arc::new(())).unwrap();
        (listener.local_addr(), signal, tokio::spawn(listener.serve(watch)))
    };
    let (first, signal, first_served) = start();
    let (second, _kept, second_served) = start();
    signal.start(LONG);
    timeout(PATIENCE, first_served).await.unwrap().unwrap();
    assert!(TcpStream::connect(first).await.is_err());
    assert!(TcpStream::connect(second).await.is_ok());
    all.start(LONG);
    timeout(PATIENCE, second_served).await.unwrap().unwrap();
    assert!(TcpStream::connect(second).await.is_err());
    // The port is free for a successor.
    let table = TableHandle::new(all_to(&backend, &admission));
    Listener::bind(second, ListenerConfig::new("next"), table, Arc::new(())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_its_deadline_and_its_parents() {
    let (parent_signal, mut parent) = drain::channel();
    let (child_signal, mut child) = parent.child();
    assert!(timeout(LONG, child.started()).await.is_err());
    let now = Instant::now();
    child_signal.start(LONG);
    assert_eq!(child.started().await, now + LONG);
    assert_eq!(parent.deadline(), None);
    parent_signal.start(LONG / 2);
    assert_eq!((child.deadline(), parent.started().await), (Some(now + LONG / 2), now + LONG / 2));
    child.expired().await;
    assert_eq!(Instant::now(), now + LONG / 2);
    // Without any signal left it never starts.
    let (signal, mut watch) = drain::channel();
    drop(signal);
    assert!(timeout(LONG, watch.started()).await.is_err());
}
