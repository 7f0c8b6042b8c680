//! A port: binds it, accepts its connections, keeps an eye on their times, and ends it gracefully.

mod accept;
mod config;
mod frames;
mod framing;
mod handshake;
#[cfg(target_os = "linux")]
mod hangup;
mod io;
mod keeper;
mod network;
mod pipes;
pub mod proxy;
mod stream;

use std::{net::SocketAddr, num::NonZeroU16, sync::Arc};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant, sleep, timeout},
};

use self::{accept::Acceptor, keeper::Keeper};
pub use self::{
    config::{Forwarding, ListenerConfig, ListenerLimits, TraceContext},
    network::{InvalidNetwork, Network, Networks},
    pipes::Pipes,
    proxy::ProxyProtocol,
};
pub(crate) use self::{
    handshake::{Protocol, Secured, secure},
    io::Io,
    stream::Stream,
};
use crate::{
    drain::DrainWatch,
    observe::Observer,
    serve::{self, Order, Peer, Shared},
    swap::TableHandle,
};

/// Clients that the kernel holds until they are accepted: a burst of connections, or a full connection limit.
const BACKLOG: u32 = 1024;

/// How long an idle HTTP/1 connection stays open after a drain began: a request may already be on its way.
const LAST_REQUEST: Duration = Duration::from_millis(250);

/// A drain closes the port once no connection was waiting for so long (and after [`LAST_REQUEST`] at the latest).
const LAST_ACCEPT: Duration = Duration::from_millis(10);

/// How long the tasks of connections that were cut may take to be gone.
const AFTER_CUT: Duration = Duration::from_secs(5);

/// A bound port with its route table.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

// === impl Listener ===

impl Listener {
    /// Binds `address` (port 0: any free one). Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Whatever the system says: the port is taken or needs a privilege, the address is not this machine's.
    pub fn bind(
        address: SocketAddr,
        config: ListenerConfig,
        table: TableHandle,
        observer: Arc<dyn Observer>,
    ) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restarted host takes its port back at once, whatever connections of its predecessor still linger.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        let port = config.port.map_or(address.port(), NonZeroU16::get);
        let shared = Shared::new(config, table, observer, port);
        Ok(Self { socket, address, shared: Arc::new(shared) })
    }

    /// The address that was bound, with its real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts and serves connections until `drain` starts, then closes the port, lets what is in flight finish until
    /// the drain's deadline, cuts the rest, and returns when the last connection has ended.
    pub async fn serve(self, mut drain: DrainWatch) {
        let limit = u32::try_from(self.shared.config.limits.connections).unwrap_or(u32::MAX).max(1);
        let slots = Arc::new(Semaphore::new(limit as usize));
        let mut keeper = Keeper::new(&self.shared);
        let mut acceptor = Acceptor::new(self.socket, Arc::clone(&slots));
        loop {
            tokio::select! {
                biased;
                _ = drain.started() => break,
                () = keeper.tick() => if acceptor.is_short() { keeper.make_room() },
                (socket, client, slot) = acceptor.accept() => keeper.keep(&spawn(&self.shared, socket, client, slot)),
            }
        }
        keeper.tell(Order::LastRequest);
        // Those that the kernel has connected already are not turned away.
        let closing = Instant::now() + LAST_REQUEST;
        while let Ok((socket, client, slot)) = timeout(LAST_ACCEPT, acceptor.accept()).await {
            keeper.keep(&spawn(&self.shared, socket, client, slot));
            if Instant::now() >= closing {
                break;
            }
        }
        drop(acceptor);
        finish(&slots, limit, keeper, drain).await;
    }
}

/// The drain of a listener whose port is closed.
async fn finish(slots: &Semaphore, limit: u32, mut keeper: Keeper, mut drain: DrainWatch) {
    keeper.tell(Order::LastRequest);
    let close = sleep(LAST_REQUEST);
    let ended = slots.acquire_many(limit);
    tokio::pin!(close, ended);
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut ended => return,
            () = drain.expired() => break,
            () = &mut close, if !closing => {
                closing = true;
                keeper.tell(Order::Close);
            }
            () = keeper.tick() => {}
        }
    }
    keeper.tell(Order::Cut);
    if timeout(AFTER_CUT, ended).await.is_err() {
        tracing::warn!("connections that were cut have not ended: a backend blocks its thread");
    }
}

fn spawn(shared: &Arc<Shared>, socket: TcpStream, client: SocketAddr, slot: OwnedSemaphorePermit) -> Arc<Peer> {
    let peer = Peer::new(Arc::clone(shared), client, slot);
    drop(tokio::spawn(serve::serve(socket, Arc::clone(&peer))));
    peer
}
