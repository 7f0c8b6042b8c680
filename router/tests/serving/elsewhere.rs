//! Calls for which there is no place: passed on once, or kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use penstock_router::{
    Action, Backend, BackendFuture, Body, CallContext, Cause, Error, ListenerLimits, Retry, Weighted, admit::Admission,
    route::RouteTable,
};

use crate::server::{Server, eventually, gate, ok, route, target};

type Other = fn() -> Result<&'static str, Cause>;

/// Says `here` and what it was sent, and knows another that says `there` and what it was sent, or why it does not.
struct Here {
    other: Option<Other>,
    asked: Arc<AtomicUsize>,
}

struct There(Other);

async fn says(who: &str, request: Request<Body>) -> Result<Response<Body>, Error> {
    let sent = request.into_body().collect().await.map_err(|error| Error::new(Cause::Internal, error.to_string()))?;
    ok(format!("{who} {}", String::from_utf8_lossy(&sent.to_bytes())))
}

impl Backend for Here {
    fn name(&self) -> &str {
        "test/here"
    }

    fn elsewhere(&self) -> Option<Box<dyn Backend>> {
        self.asked.fetch_add(1, Relaxed);
        self.other.map(|other| Box::new(There(other)) as Box<dyn Backend>)
    }

    fn call<'a>(&'a self, request: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(says("here", request))
    }
}

impl Backend for There {
    fn name(&self) -> &str {
        "test/there"
    }

    fn call<'a>(&'a self, request: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(async move {
            let answer = says("there", request).await?;
            (self.0)().map(|_| answer).map_err(|cause| Error::new(cause, "told so"))
        })
    }
}

/// A server whose backend knows another, with or without a rule that repeats calls.
fn serve(other: Option<Other>, admission: &Arc<Admission>, retry: bool) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let here: Arc<dyn Backend> = Arc::new(Here { other, asked: Arc::clone(&asked) });
    let retry = retry.then(|| {
        let backoff = Duration::from_millis(1);
        Box::new(Retry { codes: Vec::new(), attempts: 1, backoff, budget: Arc::default() })
    });
    let action = Action { backends: Weighted::from(target(&here, admission)), retry, ..Action::default() };
    let table = RouteTable::compile(vec![route("/", action)]);
    (Server::with_table(table, gate(1, 1), ListenerLimits::default()), asked)
}

fn request(method: &str, body: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn what_has_no_place_here_goes_there_once() {
    let there: Other = || Ok("fine");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned();
    let large = "x".repeat(65_537);
    let kept = "y".repeat(65_536);
    // What is sent, what the other one does, and the answer: `None` if it waits here until there is a place.
    type Case = (&'static str, String, Option<Other>, Option<(u16, String)>);
    let cases: Vec<Case> = vec![
        ("no body", request("GET", ""), Some(there), Some((200, "there ".into()))),
        ("a small body", request("POST", "abc"), Some(there), Some((200, "there abc".into()))),
        ("as much as is kept", request("POST", &kept), Some(there), Some((200, format!("there {kept}")))),
        ("more than is kept", request("POST", &large), Some(there), None),
        ("who knows how much", chunked, Some(there), None),
        ("nobody else", request("GET", ""), None, None),
        ("a no", request("POST", "abc"), Some(|| Err(Cause::QueueFull)), None),
        ("a peer that is lost", request("PUT", "abc"), Some(|| Err(Cause::PeerLost)), None),
        ("a post that is lost", request("POST", "abc"), Some(|| Err(Cause::PeerLost)), Some((502, "peer-lost".into()))),
        ("its fault", request("GET", ""), Some(|| Err(Cause::GuestTrap)), Some((502, "guest-trap".into()))),
    ];
    for retry in [false, true] {
        for (name, sent, other, expected) in &cases {
            let admission = gate(1, 1);
            let (server, asked) = serve(*other, &admission, retry);
            let place = admission.try_admit().unwrap();
            let mut raw = server.connect().await;
            raw.send(sent).await;
            let answer = match expected {
                Some((status, text)) => {
                    let answer = raw.response().await.unwrap();
                    assert_eq!(answer.status, *status, "{name}, retry {retry}");
                    assert!(answer.body.contains(text.as_str()), "{name}, retry {retry}: {}", answer.body);
                    assert_eq!(admission.stats().admitted, 1, "{name}: it took no place here");
                    continue;
                }
                None => {
                    eventually("it waits here", || admission.stats().queued == 1).await;
                    drop(place);
                    raw.response().await.unwrap()
                }
            };
            assert_eq!(answer.status, 200, "{name}, retry {retry}");
            assert!(answer.body.starts_with("here "), "{name}, retry {retry}");
            let body = sent.split("\r\n\r\n").nth(1).unwrap();
            assert!(name.starts_with("who") || answer.body[5..] == *body, "{name}, retry {retry}: all of it");
            assert!(asked.load(Relaxed) <= 1, "{name}");
        }
    }
}

#[tokio::test]
async fn while_there_is_a_place_nobody_else_is_asked() {
    let admission = gate(1, 1);
    let (server, asked) = serve(Some(|| Ok("fine")), &admission, false);
    let mut raw = server.connect().await;
    for _ in 0..3 {
        assert!(raw.get("/").await.body.starts_with("here"));
    }
    assert_eq!(asked.load(Relaxed), 0);
}
