//! A listener with backends made of closures, an observer that keeps records, and raw connections to it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use penstock_router::{
    AccessRecord, Action, Backend, BackendFuture, Body, CallContext, Cause, DrainSignal, Ended, Error, Listener,
    ListenerConfig, ListenerLimits, Mirrored, Observer, Table, TableHandle, Target,
    admit::{Admission, Limits},
    drain,
    route::{Match, PathMatch, Route, RouteTable, Rule},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A backend made of a closure.
pub struct Answer<F>(pub &'static str, pub F);

impl<F, A> Backend for Answer<F>
where
    F: Fn(Request<Body>, CallContext) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<Body>, Error>> + Send + 'static,
{
    fn name(&self) -> &str {
        self.0
    }

    fn call<'a>(&'a self, request: Request<Body>, context: CallContext) -> BackendFuture<'a> {
        Box::pin((self.1)(request, context))
    }
}

pub fn backend<F, A>(answer: F) -> Arc<dyn Backend>
where
    F: Fn(Request<Body>, CallContext) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<Body>, Error>> + Send + 'static,
{
    Arc::new(Answer("test/backend", answer))
}

pub fn gate(concurrency: usize, queue_depth: usize) -> Arc<Admission> {
    Admission::new(Limits { concurrency, queue_depth, queue_timeout: Duration::from_secs(5) })
}

pub fn target(backend: &Arc<dyn Backend>, admission: &Arc<Admission>) -> Target {
    Target { backend: Arc::clone(backend), admission: Arc::clone(admission), filters: None, weight: 1 }
}

pub fn route(path: &str, action: Action) -> Route<Action> {
    let matches = vec![Match { path: PathMatch::prefix(path).unwrap(), ..Match::default() }];
    Route {
        name: format!("test/route-{path}").into(),
        created: None,
        hostnames: Vec::new(),
        rules: vec![Rule { name: None, matches, action }],
    }
}

/// Everything to one backend.
pub fn all_to(backend: &Arc<dyn Backend>, admission: &Arc<Admission>) -> Table {
    RouteTable::compile(vec![route("/", Action { backends: target(backend, admission).into(), ..Action::default() })])
}

/// One access record, kept.
#[derive(Clone, Debug)]
pub struct Kept {
    pub method: Method,
    pub host: String,
    pub path: String,
    pub status: Option<StatusCode>,
    pub cause: Option<Cause>,
    pub route: Option<String>,
    pub backend: Option<String>,
    pub generation: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub queue_wait: Duration,
    pub retries: u32,
    pub ended: Ended,
    pub client: SocketAddr,
    pub peer: SocketAddr,
    pub trace_id: Option<String>,
    pub request_id: Option<String>,
}

#[derive(Default)]
pub struct Records(Mutex<Vec<Kept>>, Mutex<Vec<Mirrored>>);

impl Observer for Records {
    fn request(&self, record: &AccessRecord<'_>) {
        assert!(record.first_byte.unwrap_or_default() <= record.total);
        self.0.lock().push(Kept {
            method: record.method.clone(),
            host: record.host.to_owned(),
            path: record.path.to_owned(),
            status: record.status,
            cause: record.cause,
            route: record.route().map(str::to_owned),
            backend: record.backend().map(str::to_owned),
            generation: record.generation,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            queue_wait: record.queue_wait,
            retries: record.retries,
            ended: record.ended,
            client: record.client,
            peer: record.peer,
            trace_id: record.trace_id.map(str::to_owned),
            request_id: record.request_id.map(str::to_owned),
        });
    }

    fn mirrored(&self, listener: &str, backend: &str, outcome: Mirrored) {
        assert_eq!((listener, backend), ("test", "test/mirror"));
        self.1.lock().push(outcome);
    }
}

impl Records {
    pub fn all(&self) -> Vec<Kept> {
        self.0.lock().clone()
    }

    /// What became of copies, in the order of their ends.
    pub fn mirrored(&self) -> Vec<Mirrored> {
        self.1.lock().clone()
    }

    /// Waits until there are `count` records, and a little longer to see that there are no more.
    pub async fn wait(&self, count: usize) -> Vec<Kept> {
        eventually("records", || self.0.lock().len() >= count).await;
        sleep(Duration::from_millis(20)).await;
        let all = self.all();
        assert_eq!(all.len(), count, "{all:#?}");
        all
    }

    /// The only record.
    pub async fn only(&self) -> Kept {
        self.wait(1).await.remove(0)
    }
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never came true: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// A listener that serves.
pub struct Server {
    pub address: SocketAddr,
    pub table: TableHandle,
    pub records: Arc<Records>,
    pub admission: Arc<Admission>,
    pub drain: DrainSignal,
    pub served: JoinHandle<()>,
}

impl Server {
    pub fn start(backend: &Arc<dyn Backend>) -> Self {
        Self::with_limits(backend, ListenerLimits::default())
    }

    pub fn with_limits(backend: &Arc<dyn Backend>, limits: ListenerLimits) -> Self {
        let admission = gate(1000, 1000);
        Self::with_table(all_to(backend, &admission), admission, limits)
    }

    pub fn with_table(table: Table, admission: Arc<Admission>, limits: ListenerLimits) -> Self {
        Self::with_all(table, admission, ListenerConfig { limits, ..ListenerConfig::new("test") })
    }

    pub fn with_config(backend: &Arc<dyn Backend>, config: ListenerConfig) -> Self {
        let admission = gate(1000, 1000);
        Self::with_all(all_to(backend, &admission), admission, config)
    }

    pub fn with_all(table: Table, admission: Arc<Admission>, config: ListenerConfig) -> Self {
        let table = TableHandle::new(table);
        let records = Arc::new(Records::default());
        let observer = Arc::clone(&records);
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config, table.clone(), observer).unwrap();
        let address = listener.local_addr();
        let (drain, watch) = drain::channel();
        let served = tokio::spawn(listener.serve(watch));
        Self { address, table, records, admission, drain, served }
    }

    pub async fn connect(&self) -> Raw {
        raw(self.address).await
    }

    /// Sends bytes on a connection of their own, and reads until the server closes it.
    pub async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut raw = self.connect().await;
        raw.send(request).await;
        raw.rest().await
    }

    /// Waits for the end of `serve`.
    pub async fn ended(self) {
        timeout(PATIENCE, self.served).await.expect("serve does not end").unwrap();
    }

    /// An HTTP/2 client, and the task that drives it.
    pub async fn http2(&self) -> (h2::client::SendRequest<bytes::Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        (client, tokio::spawn(connection))
    }
}

pub async fn raw(address: SocketAddr) -> Raw {
    raw_of(TcpStream::connect(address).await.unwrap())
}

pub fn raw_of(socket: TcpStream) -> Raw {
    Raw(socket, Vec::new())
}

/// A raw connection, with what was read beyond the last response.
pub struct Raw(pub TcpStream, Vec<u8>);

/// A response as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Plain {
    pub fn has(&self, header: &str) -> bool {
        self.head.contains(&format!("\r\n{header}\r\n"))
    }
}

impl Raw {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may answer and close before it has everything.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    pub async fn get(&mut self, path: &str) -> Plain {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        self.response().await.expect("a response")
    }

    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 8192];
        let read = timeout(PATIENCE, self.0.read(&mut buffer)).await.expect("no byte in time").unwrap_or(0);
        self.1.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// The next response: its head, and a body of known length. `None` at the end.
    pub async fn response(&mut self) -> Option<Plain> {
        let head = self.head().await?;
        let status = head[9..12].parse().unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while self.1.len() < length {
            if !self.fill().await {
                break;
            }
        }
        let body = self.1.drain(..length.min(self.1.len())).collect();
        Some(Plain { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// The next head.
    pub async fn head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = self.1.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.fill().await {
                return None;
            }
        };
        Some(String::from_utf8(self.1.drain(..end).collect()).unwrap())
    }

    /// Takes these bytes, which must come next.
    pub async fn take(&mut self, bytes: &str) {
        while self.1.len() < bytes.len() && self.fill().await {}
        let taken: Vec<u8> = self.1.drain(..bytes.len().min(self.1.len())).collect();
        assert_eq!(String::from_utf8_lossy(&taken), bytes);
    }

    /// The data of the next chunk of a chunked body; `None` at its end.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            match self.1.windows(2).position(|window| window == b"\r\n") {
                Some(line) => break line,
                None => assert!(self.fill().await, "the connection ended in a chunk's size"),
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.1[..line]).unwrap(), 16).unwrap();
        while self.1.len() < line + 2 + size + 2 {
            assert!(self.fill().await, "the connection ended in a chunk");
        }
        let chunk = self.1[line + 2..line + 2 + size].to_vec();
        self.1.drain(..line + 2 + size + 2);
        (size > 0).then_some(chunk)
    }

    /// All that comes until the server closes (or resets) the connection.
    pub async fn rest(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.1)).into_owned()
    }
}

pub fn ok(body: impl Into<Body>) -> Result<Response<Body>, Error> {
    Ok(Response::new(body.into()))
}
