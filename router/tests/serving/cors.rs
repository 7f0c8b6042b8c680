//! CORS on the wire: preflights that no backend hears of, and responses that scripts may read, whoever made them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::server::{Plain, Server, backend, gate, ok, route, target};
use http::{Method, Request, Response};
use penstock_router::{
    Action, Backend, Body, Cause, ListenerLimits, Retry, Target, Timeouts, Weighted,
    admit::Admission,
    filter::{Cors, CorsConfig, Filters, Redirect},
    route::{Match, Route, RouteTable, Rule},
};

fn cors(origin: &str) -> Filters {
    let config = CorsConfig { origins: vec![origin.to_owned()], ..CorsConfig::default() };
    Filters { cors: Some(Cors::new(&config).unwrap()), ..Filters::default() }
}

/// Everything to this backend, through a filter for `https://a.example`.
fn action(backend: &Arc<dyn Backend>, admission: &Arc<Admission>) -> Action {
    Action {
        filters: cors("https://a.example").boxed(),
        backends: target(backend, admission).into(),
        ..Action::default()
    }
}

fn serve(action: Action) -> Server {
    Server::with_table(RouteTable::compile(vec![route("/", action)]), gate(1, 0), ListenerLimits::default())
}

/// Answers what a backend that knows CORS itself would, and counts its calls.
fn open() -> (Arc<dyn Backend>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let open = backend(move |_, _| {
        counter.fetch_add(1, Relaxed);
        async { Ok(Response::builder().header("access-control-allow-origin", "*").body(Body::from("hello")).unwrap()) }
    });
    (open, calls)
}

fn preflight(origin: &str) -> String {
    format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n")
}

async fn ask(server: &Server, request: &str) -> Plain {
    let mut raw = server.connect().await;
    raw.send(request).await;
    raw.response().await.expect("a response")
}

async fn get(server: &Server, origin: &str) -> Plain {
    ask(server, &format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n")).await
}

fn allowed(response: &Plain) -> Vec<&str> {
    response.head.lines().filter_map(|line| line.strip_prefix("access-control-allow-origin: ")).collect()
}

#[tokio::test]
async fn a_preflight_needs_neither_the_backend_nor_a_place() {
    let (open, calls) = open();
    // Nobody is admitted, and nobody may wait.
    let admission = gate(0, 0);
    let server = serve(action(&open, &admission));
    let response = ask(&server, &preflight("https://a.example")).await;
    assert_eq!((response.status, allowed(&response)), (200, vec!["https://a.example"]));
    assert!(response.has("access-control-max-age: 5") && response.has("content-length: 0"), "{response:?}");
    let response = ask(&server, &preflight("https://b.example")).await;
    assert_eq!((response.status, allowed(&response)), (200, vec![]));
    assert!(response.has("vary: origin"), "{response:?}");
    let records = server.records.wait(2).await;
    for record in records {
        assert_eq!((record.route.as_deref(), record.backend, record.cause), (Some("test/route-/"), None, None));
    }
    let stats = admission.stats();
    assert_eq!((calls.load(Relaxed), stats.admitted, stats.shed.queue_full), (0, 0, 0));
    // `OPTIONS` alone is the backend's.
    let response = ask(&server, "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n").await;
    assert_eq!(response.status, 503);
}

#[tokio::test]
async fn a_preflight_on_http2_and_with_a_body() {
    let (open, calls) = open();
    let server = serve(action(&open, &gate(1, 0)));
    let (mut client, _connection) = server.http2().await;
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri("http://a/")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "PUT")
        .body(())
        .unwrap();
    let response = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["access-control-allow-origin"]),
        (200, &"https://a.example".parse().unwrap())
    );

    let with_body = preflight("https://a.example").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
    let mut raw = server.connect().await;
    raw.send(&with_body).await;
    assert_eq!(raw.response().await.unwrap().status, 200);
    assert_eq!(calls.load(Relaxed), 0);
}

#[tokio::test]
async fn responses_say_who_may_read_them() {
    let (open, _) = open();
    let server = serve(action(&open, &gate(1, 0)));
    for (origin, wanted) in [("https://a.example", vec!["https://a.example"]), ("https://b.example", vec![])] {
        let response = get(&server, origin).await;
        assert_eq!((response.status, &*response.body, allowed(&response)), (200, "hello", wanted), "{response:?}");
        assert!(response.has("vary: origin"), "{response:?}");
    }
    // Whoever exposes all exposes what is added on the way, too.
    let config =
        CorsConfig { origins: vec!["*".into()], credentials: true, expose: vec!["*".into()], ..CorsConfig::default() };
    let filters = Filters { cors: Some(Cors::new(&config).unwrap()), ..Filters::default() };
    let server = serve(Action { filters: filters.boxed(), ..action(&open, &gate(1, 0)) });
    let response = get(&server, "https://b.example").await;
    assert!(response.has("access-control-expose-headers: x-request-id"), "{response:?}");
}

#[tokio::test]
async fn what_the_router_answers_itself_can_be_read_too() {
    let stuck = backend(|_, _| pending());
    let panics = backend(|_, _| async { panic!("told so") });
    let timeouts = Timeouts { request: Some(Duration::from_millis(20)), backend: None };
    let place = gate(10, 0);
    for (name, status, action) in [
        ("a full queue", 503, action(&stuck, &gate(0, 0))),
        ("the deadline", 504, Action { timeouts, ..action(&stuck, &place) }),
        ("a fault", 500, action(&panics, &place)),
        ("no backend", 500, Action { backends: Weighted::default(), ..action(&stuck, &place) }),
        ("repeated in vain", 503, Action { retry: retry(), ..action(&stuck, &gate(0, 0)) }),
    ] {
        let server = serve(action);
        let response = get(&server, "https://a.example").await;
        assert_eq!((response.status, allowed(&response)), (status, vec!["https://a.example"]), "{name}: {response:?}");
        assert!(response.has("content-type: application/problem+json"), "{name}: {response:?}");
        assert_eq!(allowed(&get(&server, "https://b.example").await), Vec::<&str>::new(), "{name}");
    }
}

fn retry() -> Option<Box<Retry>> {
    Some(Box::new(Retry { codes: Vec::new(), attempts: 1, backoff: Duration::from_millis(1), budget: Arc::default() }))
}

#[tokio::test]
async fn a_redirect_can_be_followed_and_its_preflight_is_none() {
    let (open, _) = open();
    let redirect = Redirect { hostname: Some("elsewhere.example".parse().unwrap()), ..Redirect::default() };
    let filters = Filters { redirect: Some(redirect), ..cors("https://a.example") };
    let server = serve(Action { filters: filters.boxed(), ..action(&open, &gate(1, 0)) });
    assert_eq!(ask(&server, &preflight("https://a.example")).await.status, 200);
    let response = get(&server, "https://a.example").await;
    assert_eq!((response.status, allowed(&response)), (302, vec!["https://a.example"]));
}

#[tokio::test]
async fn a_backend_has_filters_of_its_own_under_those_of_the_rule() {
    let (open, calls) = open();
    let place = gate(10, 0);
    let own = |origin| Target { filters: cors(origin).boxed(), ..target(&open, &place) };
    let bare = Action { filters: None, ..action(&open, &place) };
    for (name, action, ours, theirs) in [
        ("of the backend alone", Action { backends: own("https://b.example").into(), ..bare }, false, true),
        ("of both", Action { backends: own("https://b.example").into(), ..action(&open, &place) }, true, false),
        (
            "of both, with retries",
            Action { backends: own("https://b.example").into(), retry: retry(), ..action(&open, &place) },
            true,
            false,
        ),
    ] {
        let server = serve(action);
        for (origin, wanted) in [("https://a.example", ours), ("https://b.example", theirs)] {
            let before = calls.load(Relaxed);
            assert_eq!(allowed(&ask(&server, &preflight(origin)).await).len(), usize::from(wanted), "{name}: {origin}");
            assert_eq!(calls.load(Relaxed), before, "{name}");
            let response = get(&server, origin).await;
            assert_eq!((response.status, allowed(&response).len()), (200, usize::from(wanted)), "{name}: {origin}");
        }
    }
}

#[tokio::test]
async fn the_backend_that_answers_at_last_counts() {
    // The first one fails, the second has no filter: nothing of the first one's is left.
    let (open, _) = open();
    let fails = backend(|_, _| async { Err(penstock_router::Error::new(Cause::HostFull, "told so")) });
    let first = Target { filters: cors("https://a.example").boxed(), ..target(&fails, &gate(10, 0)) };
    let second = target(&open, &gate(10, 0));
    let server = serve(Action { backends: Weighted::new(vec![first, second]), retry: retry(), ..Action::default() });
    for _ in 0..20 {
        let response = get(&server, "https://a.example").await;
        // No filter looked at what the second says.
        assert_eq!((response.status, allowed(&response)), (200, vec!["*"]), "{response:?}");
    }
    assert!(server.records.all().iter().any(|record| record.retries == 1), "none was repeated in 20");
}

#[tokio::test]
async fn a_preflight_is_matched_as_any_request() {
    let (open, calls) = open();
    let place = gate(1, 0);
    let rule = |method, action| Rule { name: None, matches: vec![Match { method, ..Match::default() }], action };
    let of = |rules| {
        let route = Route { name: "test/route".into(), created: None, hostnames: Vec::new(), rules };
        Server::with_table(RouteTable::compile(vec![route]), gate(1, 0), ListenerLimits::default())
    };
    // A rule for PUT alone is not for OPTIONS, whatever the preflight asks for.
    let server = of(vec![rule(Some(Method::PUT), action(&open, &place))]);
    let response = ask(&server, &preflight("https://a.example")).await;
    assert_eq!((response.status, allowed(&response)), (404, vec![]));
    let server = of(vec![
        rule(Some(Method::PUT), Action { filters: None, ..action(&open, &place) }),
        rule(Some(Method::OPTIONS), action(&open, &place)),
    ]);
    let response = ask(&server, &preflight("https://a.example")).await;
    assert_eq!((response.status, allowed(&response)), (200, vec!["https://a.example"]));
    assert_eq!(calls.load(Relaxed), 0);
}

#[tokio::test]
async fn without_a_filter_a_preflight_is_the_backends() {
    let asked = backend(|request: Request<Body>, _| async move { ok(request.method().to_string()) });
    let server = Server::start(&asked);
    let response = ask(&server, &preflight("https://a.example")).await;
    assert_eq!((response.status, &*response.body, response.has("vary: origin")), (200, "OPTIONS", false));
}
