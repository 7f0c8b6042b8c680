//! A listener without a port.

use std::{net::SocketAddr, sync::Arc};

use tokio::{io::DuplexStream, sync::Semaphore};

use super::{ListenerConfig, Stream};
use crate::{
    observe::Observer,
    serve::{self, Peer, Shared},
    swap::TableHandle,
};

/// Serves connections that are pipes in memory, as a listener serves those of its port: for fuzzing, and for tests without a
/// network. There is neither TLS nor a PROXY header, and nobody looks at the times of connections.
pub struct Pipes {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

// === impl Pipes ===

impl Pipes {
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn new(config: ListenerConfig, table: TableHandle, observer: Arc<dyn Observer>) -> Self {
        let places = Arc::new(Semaphore::new(config.limits.connections.max(1)));
        Self { shared: Arc::new(Shared::new(config, table, observer, 80)), places }
    }

    /// Serves one connection of `client` until it ends.
    pub async fn serve(&self, pipe: DuplexStream, client: SocketAddr) {
        // Nobody closes the semaphore.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let peer = Peer::new(Arc::clone(&self.shared), client, place);
        serve::speak(Stream::Pipe(Box::new(pipe)), peer).await;
    }
}
