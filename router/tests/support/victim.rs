//! What the attacked server serves, and what it tells of itself.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use penstock_router::{Action, Backend, Body, Cause, Error, Listener, ListenerConfig, Table, TableHandle, drain};

use super::{
    bystander::Asks,
    server::{backend, gate, ok, route, target},
};

/// The size of the pieces that `/endless` is made of.
pub const PIECE: usize = 64 << 10;

/// What the attacked calls hold, in the server's process.
#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    running: AtomicUsize,
    bytes: AtomicUsize,
}

static COUNTS: LazyLock<Counts> = LazyLock::new(Counts::default);

/// A call that has not ended.
struct Running;

/// Bytes of a response that nobody has let go of.
struct Piece(Vec<u8>);

impl Running {
    fn begin() -> Self {
        COUNTS.calls.fetch_add(1, Relaxed);
        COUNTS.running.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        COUNTS.running.fetch_sub(1, Relaxed);
    }
}

impl Piece {
    fn bytes() -> Bytes {
        COUNTS.bytes.fetch_add(PIECE, Relaxed);
        Bytes::from_owner(Self(vec![b'x'; PIECE]))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        COUNTS.bytes.fetch_sub(PIECE, Relaxed);
    }
}

/// What is attacked: `/never` answers never and leaves the body alone, `/endless` has no end, `/sink` reads the body to its
/// end, and all else is answered at once.
fn attacked() -> Arc<dyn Backend> {
    backend(|request, _| {
        let running = Running::begin();
        async move {
            match request.uri().path() {
                "/never" => {
                    let _held = (request, running);
                    std::future::pending().await
                }
                "/endless" => {
                    let pieces = stream::repeat_with(move || {
                        let _ = &running;
                        Ok::<_, Infallible>(Frame::data(Piece::bytes()))
                    });
                    ok(Body::boxed(StreamBody::new(pieces)))
                }
                "/sink" => {
                    let mut body = request.into_body();
                    while let Some(frame) = body.frame().await {
                        let _ = frame.map_err(|error| Error::new(Cause::GuestError, error.to_string()))?;
                    }
                    drop(running);
                    ok("sunk")
                }
                _ => ok("answered"),
            }
        }
    })
}

/// What others ask for meanwhile: `/ok`, and `/told` for what the attacked calls hold.
fn others() -> Arc<dyn Backend> {
    backend(|request, _| async move {
        match request.uri().path() {
            "/told" => {
                let [calls, running, bytes] =
                    [&COUNTS.calls, &COUNTS.running, &COUNTS.bytes].map(|count| count.load(Relaxed));
                ok(format!("{calls} {running} {bytes}"))
            }
            _ => ok("ok"),
        }
    })
}

/// Serves all of that. Two workloads: what is attacked and what others ask for have room of their own.
pub fn start(config: ListenerConfig, room: usize) -> SocketAddr {
    let action = |backend: &Arc<dyn Backend>, room| Action {
        backends: target(backend, &gate(room, room)).into(),
        ..Action::default()
    };
    let others = others();
    let table = Table::compile(vec![
        route("/", action(&attacked(), room)),
        route("/ok", action(&others, 100)),
        route("/told", action(&others, 100)),
    ]);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config, TableHandle::new(table), Arc::new(())).unwrap();
    let address = listener.local_addr();
    tokio::spawn(async move {
        let (_signal, watch) = drain::channel();
        listener.serve(watch).await;
    });
    address
}

/// What the server tells.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Calls of what is attacked that ever began.
    pub calls: usize,
    /// Those that have not ended.
    pub running: usize,
    /// Bytes of their responses that nobody has let go of.
    pub bytes: usize,
}

impl Told {
    pub fn by(asks: &mut Asks) -> Self {
        let told = asks.get("/told");
        let mut numbers = told.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Self { calls: next(), running: next(), bytes: next() }
    }
}
