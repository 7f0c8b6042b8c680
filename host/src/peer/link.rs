//! The connection to one peer: opened before it is needed, opened again when it is lost.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use penstock_api::control::peer_name;
use penstock_router::Body;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    identity::{Both, Identity},
    wire,
};

const CONNECT: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is found out within the sum of these.
const PING: Duration = Duration::from_secs(2);
const PONG: Duration = Duration::from_secs(2);
/// Pauses before the next attempt: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// What may be under way of one response, and of all.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A peer, connected or not.
pub(super) struct Link {
    pub(super) host: String,
    /// The connection, while there is one.
    sender: Arc<Mutex<Option<SendRequest<Body>>>>,
    task: JoinHandle<()>,
}

// === impl Link ===

impl Link {
    /// Connects, and keeps connected until it is dropped.
    pub(super) fn open(host: String, address: SocketAddr, identity: Arc<Identity>) -> Arc<Self> {
        let sender = Arc::default();
        let keeper = Keeper { host: host.clone(), address, identity, sender: Arc::clone(&sender) };
        Arc::new(Self { host, sender, task: tokio::spawn(keeper.run()) })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.sender.lock().as_ref().is_some_and(|it| !it.is_closed())
    }

    pub(super) fn sender(&self) -> Option<SendRequest<Body>> {
        self.sender.lock().clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The connection itself ends with the last call on it.
        self.task.abort();
    }
}

struct Keeper {
    host: String,
    address: SocketAddr,
    identity: Arc<Identity>,
    sender: Arc<Mutex<Option<SendRequest<Body>>>>,
}

// === impl Keeper ===

impl Keeper {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut current = self.identity.current();
        loop {
            // Its end means that the host is gone.
            let Ok(both) = current.wait_for(Option::is_some).await.map(|it| it.clone()) else { return };
            let Some(both) = both else { continue };
            match timeout(CONNECT, self.connect(&both)).await {
                Ok(Ok((sender, connection))) => {
                    tracing::debug!(peer = self.host, address = %self.address, "connected to a peer");
                    *self.sender.lock() = Some(sender);
                    pause = FIRST_PAUSE;
                    // It is not ended by the end of this task.
                    let _ = connection.await;
                    *self.sender.lock() = None;
                    tracing::debug!(peer = self.host, "the connection to a peer has ended");
                }
                Ok(Err(error)) => {
                    tracing::debug!(peer = self.host, address = %self.address, %error, ?pause, "no connection to a peer");
                }
                Err(_) => {
                    tracing::debug!(peer = self.host, address = %self.address, "a peer did not answer within {CONNECT:?}");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn connect(&self, both: &Both) -> io::Result<(SendRequest<Body>, JoinHandle<()>)> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(peer_name(&self.host)).map_err(io::Error::other)?;
        let stream = TlsConnector::from(both.client.clone()).connect(name, stream).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(wire::HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let host = self.host.clone();
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(peer = host, %error, "the connection to a peer broke");
            }
        });
        Ok((sender, connection))
    }
}
