//! Who a request comes from, by its connection, by a PROXY header and by what trusted peers forward; and the ids it goes by.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::server::{Plain, Raw, Server, backend, gate, ok, route};
use http::Request;
use penstock_router::{
    Action, Backend, Cause, ListenerConfig, ListenerLimits, Networks,
    filter::{Filters, Redirect},
    listen::{Forwarding, ProxyProtocol, TraceContext, proxy::Others},
    route::RouteTable,
};

const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\x01\xbb\x04\0\x04\0\0\0\0";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Answers with the headers that it was asked with, a line each, and with the client's address.
fn mirror() -> Arc<dyn Backend> {
    backend(|request, context| async move {
        let mut text = format!("client: {}\ntls: {}\n", context.client, context.tls);
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        ok(text)
    })
}

fn local() -> Networks {
    ["127.0.0.0/8".parse().unwrap()].into_iter().collect()
}

fn proxied(others: Others) -> ListenerConfig {
    let trusted = if others == Others::Serve { local() } else { Networks::default() };
    ListenerConfig { proxy_protocol: Some(ProxyProtocol { trusted, others }), ..ListenerConfig::new("test") }
}

/// What the backend was asked.
fn asked(response: &Plain) -> BTreeMap<&str, &str> {
    assert_eq!(response.status, 200, "{response:?}");
    response.body.lines().filter_map(|line| line.split_once(": ")).collect()
}

async fn ask(raw: &mut Raw, lines: &str) -> Plain {
    raw.send(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")).await;
    raw.response().await.unwrap()
}

#[tokio::test]
async fn the_client_is_the_one_of_the_proxy_header() {
    let server = Server::with_config(&mirror(), proxied(Others::Serve));
    for header in [V1.as_bytes(), V2] {
        let mut raw = server.connect().await;
        raw.send([header, GET.as_bytes()].concat()).await;
        let response = raw.response().await.unwrap();
        let asked = asked(&response);
        assert_eq!((asked["client"], asked["x-forwarded-for"]), ("192.0.2.1:4711", "192.0.2.1"));
        assert_eq!((asked["x-forwarded-port"], asked["x-forwarded-proto"]), ("443", "http"));
        assert_eq!(raw.get("/again").await.status, 200, "the header stands before the first request only");
    }
    for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut raw = server.connect().await;
        raw.send([header, GET.as_bytes()].concat()).await;
        let response = raw.response().await.unwrap();
        assert_eq!(asked(&response)["client"], raw.0.local_addr().unwrap().to_string());
    }
    let records = server.records.wait(6).await;
    for record in &records[..4] {
        assert_eq!((record.client, record.peer), ("192.0.2.1:4711".parse().unwrap(), record.client));
    }
}

#[tokio::test]
async fn a_proxy_header_in_pieces_stands_before_the_preface_of_http2_too() {
    let server = Server::with_config(&mirror(), proxied(Others::Serve));
    for header in [V1.as_bytes(), V2] {
        let mut raw = server.connect().await;
        raw.0.set_nodelay(true).unwrap();
        for part in header.chunks(5) {
            raw.send(part).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (mut client, connection) = h2::client::handshake(raw.0).await.unwrap();
        let _driver = tokio::spawn(connection);
        let request = Request::get("http://h.example/").body(()).unwrap();
        let mut response = client.send_request(request, true).unwrap().0.await.unwrap();
        let body = response.body_mut().data().await.unwrap().unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            text.starts_with("client: 192.0.2.1:4711\n") && text.contains("\nx-forwarded-host: h.example\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn without_a_good_proxy_header_a_trusted_peer_is_not_served() {
    let limits = ListenerLimits { header_read_timeout: Duration::from_millis(150), ..ListenerLimits::default() };
    let server = Server::with_config(&mirror(), ListenerConfig { limits, ..proxied(Others::Serve) });
    for bytes in
        [GET, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        assert_eq!(server.exchange(bytes).await, "", "{bytes}");
    }
    for bytes in ["", "PROXY TCP4 1.1.1.1"] {
        let started = Instant::now();
        assert_eq!(server.exchange(bytes).await, "", "{bytes}");
        assert!((140..1000).contains(&started.elapsed().as_millis()), "{bytes:?}: {:?}", started.elapsed());
    }
    // In time is in time: the request has as long again.
    let mut raw = server.connect().await;
    raw.send(V1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(raw.get("/").await.status, 200);
    assert_eq!(server.records.all().len(), 1);
}

#[tokio::test]
async fn from_others_no_proxy_header_is_read() {
    let served = Server::with_config(
        &mirror(),
        ListenerConfig { proxy_protocol: Some(ProxyProtocol::default()), ..ListenerConfig::new("test") },
    );
    let mut raw = served.connect().await;
    let response = raw.get("/").await;
    assert_eq!(asked(&response)["client"], raw.0.local_addr().unwrap().to_string());
    assert!(served.exchange([V1, GET].concat()).await.starts_with("HTTP/1.1 400 "), "a header of a stranger is read");
    let closed = Server::with_config(&mirror(), proxied(Others::Close));
    assert_eq!(closed.exchange(GET).await, "");
    assert_eq!(closed.exchange([V1, GET].concat()).await, "");
}

#[tokio::test]
async fn a_stranger_forges_nothing() {
    let server = Server::start(&mirror());
    let mut raw = server.connect().await;
    let forged = "Forwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 10.0.0.1\r\n\
                  X-Request-Id: forged\r\nX-Forwarded-User: root\r\n\
                  Connection: x-forwarded-for, x-forwarded-host, x-request-id, traceparent\r\n";
    let response = ask(&mut raw, forged).await;
    let client = raw.0.local_addr().unwrap();
    let asked = asked(&response);
    assert_eq!((asked["client"], asked["tls"]), (client.to_string().as_str(), "false"));
    assert_eq!((asked["x-forwarded-for"], asked["x-forwarded-proto"]), ("127.0.0.1", "http"));
    assert_eq!(asked["x-forwarded-host"], "a.example");
    assert_eq!(asked["x-forwarded-port"], server.address.port().to_string());
    for gone in ["forwarded", "x-real-ip", "x-forwarded-user", "connection"] {
        assert!(!asked.contains_key(gone), "{gone}");
    }
    let id = asked["x-request-id"];
    assert!(id.len() == 36 && response.has(&format!("x-request-id: {id}")), "{response:?}");
    let record = server.records.only().await;
    assert_eq!((record.client, record.request_id.as_deref()), (client, Some(id)));
    assert_eq!(record.trace_id.as_deref(), Some(&asked["traceparent"][3..35]));
}

#[tokio::test]
async fn clients_are_told_the_port_that_they_dial() {
    let config = || ListenerConfig { port: NonZeroU16::new(8080), ..ListenerConfig::new("test") };
    let server = Server::with_config(&mirror(), config());
    let response = ask(&mut server.connect().await, "").await;
    assert_eq!(asked(&response)["x-forwarded-port"], "8080");

    let filters = Filters { redirect: Some(Redirect::default()), ..Filters::default() };
    let table = RouteTable::compile(vec![route("/", Action { filters: filters.boxed(), ..Action::default() })]);
    let server = Server::with_all(table, gate(1, 1), config());
    let response = ask(&mut server.connect().await, "").await;
    assert!(response.has("location: http://a.example:8080/"), "{response:?}");
}

#[tokio::test]
async fn a_trusted_peer_is_believed() {
    let server = Server::with_config(&mirror(), ListenerConfig { trusted: local(), ..ListenerConfig::new("test") });
    let mut raw = server.connect().await;
    let said = "X-Forwarded-For: 10.0.0.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Request-Id: from-the-edge\r\n";
    let response = ask(&mut raw, said).await;
    let asked = asked(&response);
    assert_eq!((asked["client"], asked["tls"]), ("192.0.2.1:0", "true"));
    assert_eq!(asked["x-forwarded-for"], "10.0.0.1, 192.0.2.1, 127.0.0.1");
    assert_eq!((asked["x-forwarded-port"], asked["x-request-id"]), ("443", "from-the-edge"));
    assert!(response.has("x-request-id: from-the-edge"), "{response:?}");
    let record = server.records.only().await;
    assert_eq!((record.client, record.peer), ("192.0.2.1:0".parse().unwrap(), raw.0.local_addr().unwrap()));
    assert_eq!(record.request_id.as_deref(), Some("from-the-edge"));
}

#[tokio::test]
async fn trust_is_in_the_address_of_the_proxy_header() {
    let config = ListenerConfig { trusted: local(), ..proxied(Others::Serve) };
    let server = Server::with_config(&mirror(), config);
    let mut raw = server.connect().await;
    raw.send(V1).await;
    let response = ask(&mut raw, "X-Forwarded-For: 10.0.0.1\r\n").await;
    assert_eq!(asked(&response)["x-forwarded-for"], "192.0.2.1");
}

#[tokio::test]
async fn a_trace_goes_on_and_its_id_is_recorded() {
    let server = Server::start(&mirror());
    let mut raw = server.connect().await;
    let response = ask(&mut raw, &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n")).await;
    assert_eq!((asked(&response)["traceparent"], asked(&response)["tracestate"]), (PARENT, "a=1"));
    let response = ask(&mut raw, "traceparent: 00-0-0-01\r\ntracestate: a=1\r\n").await;
    let begun = asked(&response)["traceparent"].to_owned();
    assert!(begun.starts_with("00-") && begun.ends_with("-00") && begun.len() == 55, "{begun}");
    assert!(!asked(&response).contains_key("tracestate"));
    let records = server.records.wait(2).await;
    assert_eq!(records[0].trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(records[1].trace_id.as_deref(), Some(&begun[3..35]));
}

#[tokio::test]
async fn a_response_of_our_own_has_the_id_too_and_so_has_its_record() {
    let config = ListenerConfig { trusted: local(), ..ListenerConfig::new("test") };
    let server = Server::with_all(penstock_router::Table::default(), crate::server::gate(1, 1), config);
    let mut raw = server.connect().await;
    let response = ask(&mut raw, "X-Request-Id: one\r\n").await;
    assert!(response.status == 404 && response.has("x-request-id: one"), "{response:?}");
    let record = server.records.only().await;
    assert_eq!((record.cause, record.request_id.as_deref()), (Some(Cause::NoRoute), Some("one")));
    assert!(record.trace_id.is_some());
}

#[tokio::test]
async fn all_of_it_can_be_turned_off() {
    let config = ListenerConfig {
        forwarding: Forwarding::Off,
        trace_context: TraceContext::Off,
        request_id: false,
        ..ListenerConfig::new("test")
    };
    let server = Server::with_config(&mirror(), config);
    let mut raw = server.connect().await;
    let response = ask(&mut raw, "X-Forwarded-For: x\r\ntraceparent: y\r\nX-Request-Id: z\r\n").await;
    let asked = asked(&response);
    assert_eq!(asked.len(), 6, "{asked:?}");
    assert_eq!((asked["x-forwarded-for"], asked["traceparent"], asked["x-request-id"]), ("x", "y", "z"));
    assert!(!response.head.contains("x-request-id"));
    let record = server.records.only().await;
    assert_eq!((record.client, record.trace_id, record.request_id), (record.peer, None, None));
}
