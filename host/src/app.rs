//! The host as a process sees it: what it is started with, what it is told, what it says of itself.

mod admin;
mod metrics;
mod reconcile;
mod status;
mod tables;
mod tls;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use penstock_api::snapshot::Snapshot;
use penstock_router::{
    drain::{self, DrainSignal},
    listen::ListenerConfig,
    observe::Observer,
};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};

pub use metrics::Metrics;
pub use status::{CertificateStatus, HostStatus, ListenerStatus, ShareState, ShareStatus, SpillStatus, TlsStatus};

use crate::{
    capability,
    engine::{
        self, EngineOptions, Ticker,
        artifact::{ArtifactError, ArtifactStore, StoreOptions},
    },
    instance::HeavyRuntime,
    peer::{Peers, PeersError},
    workload::{ScratchSpace, Services},
};
use reconcile::Directory;

/// What a host is started with.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Images, compiled components and empty volumes live here; only this user may read it.
    pub cache_dir: PathBuf,
    /// How large the instance pool is.
    pub engine: EngineOptions,
    /// Where images come from and how large they may be.
    pub store: StoreOptions,
    /// Memory for a component that names no limit, in MiB.
    pub default_memory_mib: u32,
    /// What every listener allows and whom it believes; its name and its TLS are filled in.
    pub listener: ListenerConfig,
    /// How long a share that is no longer wanted may finish what is in flight.
    pub drain_timeout: Duration,
    /// How other hosts reach this one; `None`: there are no others.
    pub peer: Option<PeerConfig>,
}

/// A host among others.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The host's id: its certificate is for that.
    pub host_id: String,
    /// Where it takes calls that other hosts pass on.
    pub address: SocketAddr,
}

impl HostConfig {
    /// The defaults, with a cache folder.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            engine: EngineOptions::default(),
            store: StoreOptions::default(),
            default_memory_mib: 256,
            listener: ListenerConfig::new(""),
            drain_timeout: Duration::from_secs(30),
            peer: None,
        }
    }
}

/// Why a host could not start.
#[derive(Debug, Error)]
pub enum HostError {
    /// The engine's settings do not fit the machine.
    #[error(
        "the WebAssembly engine cannot start: {0:#}; with little address space (ulimit -v) ask for fewer instances"
    )]
    Engine(wasmtime::Error),
    /// The cache folder is not usable.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The folder of empty volumes is not usable.
    #[error("the folder of empty volumes {}: {source}; choose another cache folder", path.display())]
    Volumes {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Other hosts cannot reach this one.
    #[error("calls of other hosts cannot be taken on {address}: {source}")]
    Peers {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: PeersError,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A running host: follows the snapshots that it is given until it is drained.
pub struct Host {
    desired: watch::Sender<Arc<Snapshot>>,
    status: watch::Sender<HostStatus>,
    metrics: OnceLock<Arc<Metrics>>,
    directory: Directory,
    peers: Option<Arc<Peers>>,
    drain: DrainSignal,
    done: watch::Receiver<bool>,
    _ticker: Ticker,
}

impl Host {
    /// Starts a host with nothing to run. Call it inside a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// See [`HostError`].
    pub fn start(config: HostConfig, observer: Arc<dyn Observer>) -> Result<Arc<Self>, HostError> {
        let engine = engine::build(config.engine).map_err(HostError::Engine)?;
        let ticker = Ticker::start(&engine)?;
        let linker = capability::linker(&engine).map_err(HostError::Engine)?;
        let volumes = config.cache_dir.join("volumes");
        let (drain, watch) = drain::channel();
        let peers = config.peer.as_ref().map(|peer| {
            std::net::TcpListener::bind(peer.address)
                .map_err(PeersError::from)
                .and_then(|listener| Peers::start(listener, &peer.host_id, watch.clone()))
                .map_err(|source| HostError::Peers { address: peer.address, source })
        });
        let (peers, serving_peers) = peers.transpose()?.unzip();
        let services = Services {
            artifacts: ArtifactStore::new(engine.clone(), config.cache_dir.join("artifacts"), config.store.clone())?,
            engine,
            linker,
            slots: Arc::new(Semaphore::new(config.engine.max_instances as usize)),
            all_slots: config.engine.max_instances as usize,
            waiting: Arc::default(),
            heavy: Arc::new(HeavyRuntime::start()?),
            default_memory: (config.default_memory_mib as usize) << 20,
            scratch: ScratchSpace::take(&volumes).map_err(|source| HostError::Volumes { path: volumes, source })?,
            peers: peers.clone(),
        };
        let (desired, wanted) = watch::channel(Arc::new(Snapshot::default()));
        let status = watch::Sender::new(HostStatus::default());
        let (finished, done) = watch::channel(false);
        let directory = Directory::default();
        let reconciler =
            reconcile::Reconciler::new(config, services, observer, directory.clone(), status.clone(), watch);
        tokio::spawn(async move {
            reconciler.run(wanted).await;
            if let Some(serving) = serving_peers {
                // It ends by a panic, if at all before that.
                let _ = serving.await;
            }
            // Nobody listens any more if the host itself is gone.
            let _ = finished.send(true);
        });
        Ok(Arc::new(Self { desired, status, metrics: OnceLock::new(), directory, peers, drain, done, _ticker: ticker }))
    }

    /// Replaces what the host should run and route. Returns at once; [`Self::status`] tells how far it is. What cannot
    /// be applied is reported there and tried again, while everything else keeps serving.
    pub fn apply(&self, snapshot: impl Into<Arc<Snapshot>>) {
        self.desired.send_replace(snapshot.into());
    }

    /// The state of every share and listener; changes are announced.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<HostStatus> {
        self.status.subscribe()
    }

    /// The host among others, if it was started as one.
    #[must_use]
    pub const fn peers(&self) -> Option<&Arc<Peers>> {
        self.peers.as_ref()
    }

    /// Says that the host is about to stop: it is no longer ready, and serves on until it is [drained](Self::drain).
    pub fn leave(&self) {
        self.status.send_modify(|status| status.leaving = true);
    }

    /// Adds what `metrics` counts to `/metrics`. It must be told of requests as (part of) the host's observer.
    pub fn count(&self, metrics: Arc<Metrics>) {
        // Once is enough, and it is the first that counts.
        let _ = self.metrics.set(metrics);
    }

    /// Stops accepting, lets what is in flight finish within `grace`, and returns when all is quiet.
    pub async fn drain(&self, grace: Duration) {
        self.drain.start(grace);
        let mut done = self.done.clone();
        // An error means that the task is gone, which is quiet too.
        let _ = done.wait_for(|done| *done).await;
    }

    /// Serves `/livez`, `/readyz`, `/metrics`, `/v1/status`, `/v1/routes` and `/v1/explain` on `address` until the host drains.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn serve_admin(self: &Arc<Self>, address: SocketAddr) -> io::Result<SocketAddr> {
        admin::serve(self.clone(), address).await
    }
}
