//! Hosts without components: real control streams, each share ready the moment it is asked for. For tests of the operator
//! and of its scale.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use penstock_api::snapshot::Snapshot;
use penstock_host::{
    HostStatus, ListenerStatus, Metrics, ShareState, ShareStatus,
    control::{About, Control, ControlConfig, Follower, Store},
};
use serde::Serialize;
use tokio::{sync::watch, task::JoinHandle};

/// A stand-in for a host.
#[derive(Debug, Default)]
pub struct SimHost {
    status: watch::Sender<HostStatus>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Why shares do not start, by id.
    failures: watch::Sender<BTreeMap<String, String>>,
    snapshots: AtomicU64,
}

/// Where simulated hosts find their operator, and how they show who they are.
#[derive(Clone, Debug)]
pub struct Operator {
    /// `https://HOST:PORT`.
    pub url: String,
    /// The name in its certificate.
    pub name: String,
    /// What its certificate is checked against.
    pub ca: std::path::PathBuf,
}

/// A simulated host and its stream. Dropping it is the end of both, without a word.
#[derive(Debug)]
pub struct Running {
    /// The host.
    pub host: Arc<SimHost>,
    metrics: Watched,
    task: JoinHandle<()>,
}

struct Watched(Arc<Metrics>);

/// Many of them.
#[derive(Debug)]
pub struct Fleet {
    operator: Operator,
    /// Name and token file.
    known: Vec<(String, std::path::PathBuf)>,
    running: BTreeMap<String, Running>,
}

/// What a fleet comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Hosts that run.
    pub hosts: usize,
    /// Of these, those with a stream.
    pub connected: usize,
    /// Of these, those that have been told something.
    pub told: usize,
    /// Shares on all hosts.
    pub shares: usize,
    /// Replicas of all shares.
    pub replicas: u64,
    /// Listeners on all hosts.
    pub listeners: usize,
    /// Snapshots that all hosts have been given so far.
    pub snapshots: u64,
}

// === impl SimHost ===

impl SimHost {
    /// A host with nothing to do.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on a share does not start, for this reason.
    pub fn fail(&self, id: &str, reason: &str) {
        self.failures.send_modify(|failures| drop(failures.insert(id.to_owned(), reason.to_owned())));
        self.settle();
    }

    /// From now on all shares start.
    pub fn mend(&self) {
        self.failures.send_modify(BTreeMap::clear);
        self.settle();
    }

    /// Changes what it says of itself, as a real host does when components come to an end.
    pub fn change(&self, change: impl FnOnce(&mut HostStatus)) {
        self.status.send_modify(change);
    }

    /// The snapshot that it was given last; announces the next.
    #[must_use]
    pub fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    fn settle(&self) {
        let (snapshot, failures) = (self.snapshot.borrow().clone(), self.failures.borrow().clone());
        let shares = snapshot.shares.iter().map(|share| {
            let message = failures.get(&share.id).cloned();
            let status = ShareStatus {
                deployment: share.deployment.clone(),
                revision: share.revision.clone(),
                state: if message.is_some() { ShareState::Failed } else { ShareState::Ready },
                message,
                replicas: share.replicas,
                capacity: u64::from(share.replicas) * u64::from(share.capacity.concurrency),
                ..ShareStatus::default()
            };
            (share.id.clone(), status)
        });
        let listeners = snapshot.listeners.iter().map(|listener| {
            let status = ListenerStatus { address: listener.address.parse().ok(), ..ListenerStatus::default() };
            (listener.name.clone(), status)
        });
        let (shares, listeners) = (shares.collect(), listeners.collect());
        self.status.send_modify(|status| {
            let (version, leaving) = (snapshot.version, status.leaving);
            *status = HostStatus { version, follows: version, leaving, shares, listeners };
        });
    }
}

impl Follower for SimHost {
    fn apply(&self, snapshot: Arc<Snapshot>) {
        self.snapshots.fetch_add(1, Relaxed);
        self.snapshot.send_replace(snapshot);
        self.settle();
    }

    fn status(&self) -> watch::Receiver<HostStatus> {
        self.status.subscribe()
    }
}

// === impl Operator ===

impl Operator {
    /// Starts a host's stream to this operator. With a `store`, it keeps its snapshots, and follows the last one at once.
    ///
    /// # Errors
    /// When there is a snapshot on disk that cannot be read.
    pub fn connect(&self, name: &str, token: &Path, store: Option<Store>) -> Result<Running> {
        let (host, metrics) = (SimHost::new(), Metrics::new());
        if let Some(snapshot) = store.as_ref().and_then(|store| store.load().transpose()).transpose()? {
            host.apply(Arc::new(snapshot));
        }
        let (url, server) = (self.url.clone(), self.name.clone());
        let control = Control {
            config: ControlConfig::new(url, server, name.to_owned(), token.to_owned(), self.ca.clone()),
            about: About {
                instances: 1000,
                engine: "none".to_owned(),
                version: "simulated".to_owned(),
                ..About::default()
            },
            follower: host.clone(),
            metrics: metrics.clone(),
            store: store.map(Arc::new),
        };
        Ok(Running { host, metrics: Watched(metrics), task: tokio::spawn(control.run()) })
    }
}

// === impl Running ===

impl Running {
    /// Whether its stream is open.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.metrics.0.connected()
    }

    /// Why it is not, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.metrics.0.trouble().map(|it| it.to_string())
    }

    /// How often it has tried to connect.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.metrics.0.attempts()
    }

    /// Waits until it is given a snapshot that `pick` accepts.
    ///
    /// # Errors
    /// If that takes longer than `within`; the text holds the last one.
    pub async fn given(&self, within: Duration, mut pick: impl FnMut(&Snapshot) -> bool) -> Result<Arc<Snapshot>> {
        let mut snapshots = self.host.snapshot();
        let found = tokio::time::timeout(within, snapshots.wait_for(|snapshot| pick(snapshot))).await;
        let last =
            || format!("no such snapshot within {within:?}; the last one is {:?}", self.host.snapshot().borrow());
        Ok(found.with_context(last)??.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

// === impl Fleet ===

impl Fleet {
    /// A host for each file in `tokens`: its name is the pod's, its content the pod's token. None runs yet.
    ///
    /// # Errors
    /// When the folder cannot be read or is empty.
    pub fn new(operator: Operator, tokens: &Path) -> Result<Self> {
        let mut known = Vec::new();
        for entry in fs::read_dir(tokens).with_context(|| tokens.display().to_string())? {
            let entry = entry?;
            known.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        ensure!(
            !known.is_empty(),
            "no token in {}: one file for each host is needed, its name the pod's",
            tokens.display()
        );
        known.sort();
        Ok(Self { operator, known, running: BTreeMap::new() })
    }

    /// Starts hosts that do not run until `count` do, or all there are.
    ///
    /// # Errors
    /// As [`Operator::connect`].
    pub fn start(&mut self, count: usize) -> Result<()> {
        for (name, token) in &self.known {
            if self.running.len() >= count {
                break;
            }
            if !self.running.contains_key(name) {
                self.running.insert(name.clone(), self.operator.connect(name, token, None)?);
            }
        }
        Ok(())
    }

    /// Ends `count` hosts at once, without a word; returns their names.
    pub fn lose(&mut self, count: usize) -> Vec<String> {
        let names: Vec<String> = self.running.keys().take(count).cloned().collect();
        for name in &names {
            self.running.remove(name);
        }
        names
    }

    /// Counts.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census { hosts: self.running.len(), ..Census::default() };
        for running in self.running.values() {
            let snapshot = running.host.snapshot.borrow();
            census.connected += usize::from(running.connected());
            census.told += usize::from(snapshot.version > 0);
            census.shares += snapshot.shares.len();
            census.replicas += snapshot.shares.iter().map(|share| u64::from(share.replicas)).sum::<u64>();
            census.listeners += snapshot.listeners.len();
            census.snapshots += running.host.snapshots.load(Relaxed);
        }
        census
    }
}
