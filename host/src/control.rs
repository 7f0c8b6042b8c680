//! The host's end of the control stream: it opens it, says who it is, follows the snapshots that come, and says how far it
//! is. Without an operator it goes on with the last snapshot, from disk if need be.

mod about;
mod backoff;
mod connect;
mod load;
mod report;
mod store;
mod stream;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use penstock_api::snapshot::Snapshot;
use tokio::sync::watch;

pub use self::{about::About, store::Store};
use self::{backoff::Backoff, stream::End};
use crate::{Host, HostStatus, Metrics, Peers};

/// How a host finds its operator, and shows who it is.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// `https://HOST:PORT` of the operator's Service.
    pub operator: String,
    /// The name that the operator's certificate must be for, wherever the connection leads.
    pub server_name: String,
    /// The host's id: the name of its pod.
    pub host_id: String,
    /// The token that the pod is given for the operator's audience. It is replaced now and then, so that it is read anew for
    /// each connection.
    pub token_file: PathBuf,
    /// The certificates that the operator's is checked against. Likewise.
    pub ca_file: PathBuf,
    /// The pause after the first failed attempt; it doubles with each further one.
    pub first_retry: Duration,
    /// The longest pause.
    pub last_retry: Duration,
}

impl ControlConfig {
    /// Pauses from 250 ms to 5 s: an operator that starts is found soon, well within the time after which it gives a host up,
    /// and a thousand hosts do not come at once.
    #[must_use]
    pub fn new(operator: String, server_name: String, host_id: String, token_file: PathBuf, ca_file: PathBuf) -> Self {
        let (first_retry, last_retry) = (Duration::from_millis(250), Duration::from_secs(5));
        Self { operator, server_name, host_id, token_file, ca_file, first_retry, last_retry }
    }
}

/// What follows snapshots. A [`Host`] does, and so does a stand-in for tests of the operator at scale.
pub trait Follower: Send + Sync + 'static {
    /// Takes a snapshot. It returns at once; the status tells how far it is.
    fn apply(&self, snapshot: Arc<Snapshot>);
    /// The state of everything; changes are announced.
    fn status(&self) -> watch::Receiver<HostStatus>;
    /// Its place among others, if it has any.
    fn peers(&self) -> Option<&Arc<Peers>> {
        None
    }
}

impl Follower for Host {
    fn apply(&self, snapshot: Arc<Snapshot>) {
        Self::apply(self, snapshot);
    }

    fn status(&self) -> watch::Receiver<HostStatus> {
        Self::status(self)
    }

    fn peers(&self) -> Option<&Arc<Peers>> {
        Self::peers(self)
    }
}

/// Follows the operator for as long as it is polled, through all its absences.
pub struct Control {
    /// Where it is.
    pub config: ControlConfig,
    /// What is said of this host in each hello.
    pub about: About,
    /// What follows.
    pub follower: Arc<dyn Follower>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where every snapshot is kept.
    pub store: Option<Arc<Store>>,
}

impl Control {
    /// Runs for ever.
    pub async fn run(self) {
        let (kept, keep) = watch::channel(None);
        let writer = async {
            match &self.store {
                Some(store) => store.clone().write(keep).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.follow(&kept) => {}
            () = writer => {}
        }
    }

    async fn follow(&self, kept: &watch::Sender<Option<Arc<Snapshot>>>) {
        let mut backoff = Backoff::new(self.config.first_retry, self.config.last_retry);
        // Where the last operator has sent us. It counts once: if nobody is there, the Service knows better.
        let mut sent_to: Option<String> = None;
        loop {
            self.metrics.attempts.fetch_add(1, Relaxed);
            let at = sent_to.take();
            let end = stream::follow(self, at.as_deref(), kept, &mut backoff).await;
            self.metrics.connected.store(false, Relaxed);
            let operator = at.as_deref().unwrap_or(&self.config.operator);
            let pause = match end {
                End::SentTo(address) if at.as_ref() != Some(&address) => {
                    tracing::info!(operator, leader = address, "the operator sends this host to its leader");
                    sent_to = Some(address);
                    // Two that send a host to and fro must not spin.
                    if at.is_some() { backoff.pause() } else { Duration::ZERO }
                }
                End::SentTo(_) => backoff.pause(),
                End::Failed(reason) => {
                    let pause = backoff.pause();
                    tracing::warn!(operator, reason, ?pause, "no stream to the operator; what runs goes on");
                    self.metrics.trouble.store(Some(Arc::new(format!("{operator}: {reason}"))));
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}
