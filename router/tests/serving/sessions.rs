//! Clients that stay with the backend that they were given first.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::server::{Answer, Plain, Raw, Server, gate, ok, route, target};
use penstock_router::{
    Action, Backend, Carrier, Cause, Error, ListenerLimits, Retry, SessionConfig, Sessions, Table, Target, Weighted,
    filter::{Filters, HeaderModifier},
    route::RouteTable,
};

fn named(name: &'static str) -> Arc<dyn Backend> {
    Arc::new(Answer(name, move |_, _| async move { ok(name) }))
}

fn config(carrier: Carrier) -> SessionConfig {
    SessionConfig { name: Some("sid".into()), carrier, absolute: None, idle: None }
}

const COOKIE: Carrier = Carrier::Cookie { permanent: false };

fn action(weights: &[(&'static str, u32)], carrier: Carrier, rule: &str) -> Action {
    let target = |(name, weight): &(&'static str, u32)| Target { weight: *weight, ..target(&named(name), &gate(9, 9)) };
    let backends = Weighted::new(weights.iter().map(target).collect());
    let sessions = Some(Box::new(Sessions::new(&config(carrier), rule, &backends).unwrap()));
    Action { backends, sessions, ..Action::default() }
}

fn table(weights: &[(&'static str, u32)]) -> Table {
    RouteTable::compile(vec![route("/", action(weights, COOKIE, "test/r 0"))])
}

fn serve(table: Table) -> Server {
    Server::with_table(table, gate(1, 1), ListenerLimits::default())
}

async fn get(raw: &mut Raw, path: &str, header: &str) -> Plain {
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n")).await;
    raw.response().await.unwrap()
}

/// The cookie that a response sets, as a client sends it.
fn cookie(response: &Plain) -> Option<String> {
    let set = response.head.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
    Some(format!("Cookie: other=1; {}\r\n", set.split(';').next().unwrap()))
}

#[tokio::test]
async fn a_client_stays_and_the_others_follow_the_weights() {
    let server = serve(table(&[("t/a", 70), ("t/b", 30)]));
    let mut raw = server.connect().await;
    let mut first = 0;
    for _ in 0..500 {
        let response = get(&mut raw, "/", "").await;
        first += i32::from(response.body == "t/a");
        assert!(cookie(&response).is_some());
    }
    assert!((300..400).contains(&first), "{first} of 500");
    let response = get(&mut raw, "/", "").await;
    let carried = cookie(&response).unwrap();
    assert!(!carried.contains("t/") && response.head.contains("; Path=/; HttpOnly; SameSite=Lax\r\n"), "{response:?}");
    for _ in 0..50 {
        let again = get(&mut raw, "/", &carried).await;
        assert_eq!((&again.body, cookie(&again)), (&response.body, None), "the same, and nothing to tell");
    }
}

#[tokio::test]
async fn a_session_outlives_tables_and_hosts_and_a_weight_of_zero() {
    let one = serve(table(&[("t/a", 0), ("t/b", 1)]));
    let carried = cookie(&get(&mut one.connect().await, "/", "").await).unwrap();
    // Another host, where the backends stand in another order and its own gets no new sessions.
    let other = serve(table(&[("t/b", 0), ("t/a", 1)]));
    let mut raw = other.connect().await;
    for _ in 0..20 {
        assert_eq!(get(&mut raw, "/", &carried).await.body, "t/b");
        assert_eq!(get(&mut raw, "/", "").await.body, "t/a");
    }
    // No weight at all: no new sessions, and those that are there go on.
    other.table.swap(table(&[("t/b", 0), ("t/a", 0)]));
    assert_eq!(get(&mut raw, "/", &carried).await.body, "t/b");
    assert_eq!(get(&mut raw, "/", "").await.status, 500);
    // It is gone: another one, and a new cookie.
    other.table.swap(table(&[("t/a", 1), ("t/c", 0)]));
    let moved = get(&mut raw, "/", &carried).await;
    assert_eq!(moved.body, "t/a");
    assert_ne!(cookie(&moved).unwrap(), carried);
}

#[tokio::test]
async fn rules_share_no_sessions() {
    let table = RouteTable::compile(vec![
        route("/a", action(&[("t/one", 1), ("t/two", 0)], COOKIE, "test/r 0")),
        route("/b", action(&[("t/one", 0), ("t/two", 1)], COOKIE, "test/r 1")),
    ]);
    let server = serve(table);
    let mut raw = server.connect().await;
    let first = get(&mut raw, "/a/x", "").await;
    assert!(first.head.contains("; Path=/a;"), "{first:?}");
    let other = get(&mut raw, "/b", &cookie(&first).unwrap()).await;
    assert_eq!(other.body, "t/two");
    assert!(other.head.contains("; Path=/b;"), "{other:?}");
}

#[tokio::test]
async fn a_header_carries_it_as_well() {
    let server =
        serve(RouteTable::compile(vec![route("/", action(&[("t/a", 1), ("t/b", 1)], Carrier::Header, "test/r 0"))]));
    let mut raw = server.connect().await;
    let first = get(&mut raw, "/", "").await;
    let line = first.head.lines().find(|line| line.starts_with("sid: ")).unwrap().to_owned() + "\r\n";
    for _ in 0..20 {
        let again = get(&mut raw, "/", &line).await;
        assert!(again.body == first.body && !again.head.contains("\r\nsid: "), "{again:?}");
    }
}

#[tokio::test]
async fn what_is_made_up_is_as_good_as_nothing() {
    let server = serve(table(&[("t/a", 1), ("t/b", 0)]));
    let mut raw = server.connect().await;
    for value in ["", "t/b", "0123456789abcdef", "../../etc", "%00", "\"t/b\"", &"f".repeat(5000)] {
        let response = get(&mut raw, "/", &format!("Cookie: sid={value}\r\n")).await;
        assert_eq!((response.status, response.body.as_str()), (200, "t/a"), "{value}");
        assert!(cookie(&response).is_some(), "{value}");
    }
}

#[tokio::test]
async fn a_filter_that_takes_cookies_away_ends_no_session() {
    let modifier = HeaderModifier::new([], [], ["Cookie"]).unwrap();
    let filters = Filters { request: Some(modifier), ..Filters::default() }.boxed();
    let action = Action { filters, ..action(&[("t/a", 1), ("t/b", 1)], COOKIE, "test/r 0") };
    let server = serve(RouteTable::compile(vec![route("/", action)]));
    let mut raw = server.connect().await;
    let first = get(&mut raw, "/", "").await;
    for _ in 0..20 {
        assert_eq!(get(&mut raw, "/", &cookie(&first).unwrap()).await.body, first.body);
    }
}

/// GEP-1619: a session is kept, not balanced. Without one, the cookie names the backend that has answered.
#[tokio::test]
async fn retries_keep_a_session_and_begin_it_where_it_was_answered() {
    let full: Arc<dyn Backend> = Arc::new(Answer("t/full", |_, _| async { Err(Error::new(Cause::HostFull, "full")) }));
    let targets = |full_weight| {
        let full = Target { weight: full_weight, ..target(&full, &gate(9, 9)) };
        Weighted::new(vec![full, target(&named("t/fine"), &gate(9, 9))])
    };
    let with_retry = |backends: Weighted| {
        let retry = Retry { codes: vec![], attempts: 1, backoff: Duration::ZERO, budget: Arc::default() };
        let sessions = Some(Box::new(Sessions::new(&config(COOKIE), "test/r 0", &backends).unwrap()));
        Action { backends, sessions, retry: Some(Box::new(retry)), ..Action::default() }
    };
    let server = serve(RouteTable::compile(vec![route("/", with_retry(targets(1_000_000)))]));
    let mut raw = server.connect().await;
    let response = get(&mut raw, "/", "").await;
    assert_eq!(response.body, "t/fine");
    let fine = cookie(&response).unwrap();
    assert_eq!(get(&mut raw, "/", &fine).await.body, "t/fine");

    // The token of the full one, from a host where it was not full.
    let earlier = serve(table(&[("t/full", 1)]));
    let pinned = cookie(&get(&mut earlier.connect().await, "/", "").await).unwrap();
    assert_eq!(BTreeSet::from([&pinned, &fine]).len(), 2);
    let response = get(&mut raw, "/", &pinned).await;
    assert!(response.status == 503 && response.has("penstock-not-started: true"), "{response:?}");
}
