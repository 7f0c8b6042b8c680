//! Plays bytes to a connection of the router, over a pipe in memory and with a clock that jumps: what its backend saw, and
//! what came back.
#![allow(dead_code, unreachable_pub, reason = "tests and fuzz targets share it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use penstock_router::{
    Action, Backend, BackendFuture, Body, CallContext, Cause, Error, ListenerConfig, ListenerLimits, Table,
    TableHandle, Target,
    admit::{Admission, Limits},
    listen::{Forwarding, Pipes, TraceContext},
    route::{Match, PathMatch, Route, Rule},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// A call of the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub host: Option<String>,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// What came of the bytes.
#[derive(Debug)]
pub struct Played {
    pub calls: Vec<Call>,
    pub answer: Vec<u8>,
    /// The router closed the connection before its client did.
    pub closed: bool,
}

/// Keeps what it is asked, and sends it back under `/echo`, while it reads it.
#[derive(Default)]
struct Recorder(Arc<Mutex<Vec<Call>>>);

impl Backend for Recorder {
    fn name(&self) -> &str {
        "test/recorder"
    }

    fn call<'a>(&'a self, request: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(self.record(request))
    }
}

impl Recorder {
    async fn record(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let (parts, mut body) = request.into_parts();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let place = {
            let mut calls = self.0.lock();
            calls.push(Call {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().map(str::to_owned),
                host: parts.headers.get("host").map(|host| text(host.as_bytes())),
                body: Vec::new(),
                whole: false,
            });
            calls.len() - 1
        };
        if parts.uri.path() == "/ignore" {
            return Ok(Response::new("ignored".into()));
        }
        if parts.uri.path() == "/echo" {
            let calls = Arc::clone(&self.0);
            let body = body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    calls.lock()[place].body.extend_from_slice(data);
                }
                // Bytes that no answer's head could be taken for.
                frame.map_data(|data| data.iter().map(|byte| byte | 0x80).collect::<Bytes>())
            });
            return Ok(Response::new(Body::boxed(body)));
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::new(Cause::GuestError, error.to_string()))?;
            if let Some(data) = frame.data_ref() {
                self.0.lock()[place].body.extend_from_slice(data);
            }
        }
        self.0.lock()[place].whole = true;
        Ok(Response::new("read".into()))
    }
}

/// A small table: all paths but `/closed/...` lead to the recorder, those to no backend.
fn table(recorder: Recorder) -> Table {
    let admission = Admission::new(Limits { concurrency: 10, queue_depth: 10, queue_timeout: Duration::from_secs(5) });
    let target = Target { backend: Arc::new(recorder), admission, filters: None, weight: 1 };
    let rule = |path: &str, action| {
        let matches = PathMatch::prefix(path).map(|path| vec![Match { path, ..Match::default() }]);
        Rule { name: None, matches: matches.unwrap_or_default(), action }
    };
    let rules =
        vec![rule("/", Action { backends: target.into(), ..Action::default() }), rule("/closed", Action::default())];
    Table::compile(vec![Route { name: "test/all".into(), created: None, hostnames: Vec::new(), rules }])
}

/// Sends the bytes in pieces of this size, each to be read by itself; then waits until nothing more happens, and hangs up.
///
/// # Panics
/// If the router panics, or does not end when its client has.
pub fn play(bytes: &[u8], piece: usize) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime needs no more than memory");
    let calls = Arc::default();
    let (answer, closed) = runtime.block_on(exchange(bytes, piece.max(1), Recorder(Arc::clone(&calls))));
    drop(runtime);
    let calls = std::mem::take(&mut *calls.lock());
    Played { calls, answer, closed }
}

async fn exchange(bytes: &[u8], piece: usize, recorder: Recorder) -> (Vec<u8>, bool) {
    let limits = ListenerLimits { body_bytes: Some(1 << 20), ..ListenerLimits::default() };
    let (forwarding, trace_context) = (Forwarding::Off, TraceContext::Off);
    // Nothing is added to what is passed on, and nothing random to answers.
    let config = ListenerConfig { limits, forwarding, trace_context, request_id: false, ..ListenerConfig::new("test") };
    let pipes = Pipes::new(config, TableHandle::new(table(recorder)), Arc::new(()));
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let client = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut serving = tokio::spawn(async move { pipes.serve(theirs, client).await });
    let (mut answers, mut requests) = tokio::io::split(ours);
    let reading = tokio::spawn(async move {
        let mut answer = Vec::new();
        let _ = answers.read_to_end(&mut answer).await;
        answer
    });
    for piece in bytes.chunks(piece) {
        if requests.write_all(piece).await.is_err() {
            break;
        }
        // Time stands still while anything can go on.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let patience = Duration::from_secs(5);
    let closed = match timeout(patience, &mut serving).await {
        Ok(served) => served.map(|()| true),
        Err(_) => {
            let _ = requests.shutdown().await;
            timeout(patience, &mut serving).await.expect("goes on after its client has gone").map(|()| false)
        }
    };
    drop(requests);
    let answer = reading.await.unwrap_or_default();
    (answer, closed.expect("the connection panicked"))
}
