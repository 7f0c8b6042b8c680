//! Replicas and shares as the API server tells of them, and waiting calls as the hosts tell of them.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures_util::{StreamExt as _, future::join_all};
use kube::{
    Client, ResourceExt as _,
    runtime::watcher::{self, Event, watcher},
};
use penstock_api::{Workload as Share, WorkloadDeployment};
use tokio::task::JoinSet;

use super::super::{
    driver::Aim,
    metrics::{Waited, waited},
};
use crate::cluster::{Cluster, SYSTEM, condition};

/// How often hosts are asked. By way of the API server, which reaches them from everywhere.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// The hosts' admin port.
const ADMIN: u16 = 8081;

/// What has been seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When, `spec.replicas` and `status.currentReplicas`; not more than one in a row that says the same.
    pub changes: Vec<(Instant, u32, u32)>,
    /// Replicas that are ready on each host, hosts without any among them.
    pub hosts: BTreeMap<String, u32>,
    /// What each host has counted.
    pub waited: BTreeMap<String, Waited>,
}

/// Sees until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

// === impl Watch ===

impl Watch {
    pub(super) async fn start(cluster: &Cluster, aim: &Aim, hosts: Vec<String>) -> Self {
        let none = hosts.iter().map(|it| (it.clone(), 0)).collect();
        let seen = Arc::new(Mutex::new(Seen { hosts: none, ..Seen::default() }));
        let workload = format!("{}/{}", aim.namespace, aim.name);
        let client = cluster.client().clone();
        // Once before anything begins, so that only what comes then counts.
        ask(&client, &hosts, &workload, &seen).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(replicas(cluster.clone(), aim.clone(), seen.clone()));
        tasks.spawn(shares(cluster.clone(), aim.clone(), hosts.clone(), seen.clone()));
        tasks.spawn({
            let seen = seen.clone();
            async move {
                let mut ticks = tokio::time::interval(ASKED_EVERY);
                loop {
                    ticks.tick().await;
                    ask(&client, &hosts, &workload, &seen).await;
                }
            }
        });
        Self { seen, _tasks: tasks }
    }

    /// What has been seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn replicas(cluster: Cluster, aim: Aim, seen: Arc<Mutex<Seen>>) {
    let one = watcher::Config::default().fields(&format!("metadata.name={}", aim.name));
    let mut events = pin!(watcher(cluster.api::<WorkloadDeployment>(&aim.namespace), one));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(it) | Event::Apply(it)) => {
                let serving = it.status.and_then(|it| it.current_replicas).unwrap_or_default();
                let (now, wanted) = (Instant::now(), it.spec.replicas.unwrap_or(1));
                let mut seen = lock(&seen);
                if seen.changes.last().is_none_or(|last| (last.1, last.2) != (wanted, serving)) {
                    seen.changes.push((now, wanted, serving));
                }
            }
            Ok(_) => {}
            Err(_) => pause().await,
        }
    }
}

async fn shares(cluster: Cluster, aim: Aim, hosts: Vec<String>, seen: Arc<Mutex<Seen>>) {
    let mut shares: BTreeMap<String, (String, u32)> = BTreeMap::new();
    let mut events = pin!(watcher(cluster.api::<Share>(&aim.namespace), watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                shares.clear();
                continue;
            }
            Ok(Event::InitApply(it)) => {
                keep(&mut shares, &it);
                continue;
            }
            Ok(Event::Apply(it)) => keep(&mut shares, &it),
            Ok(Event::Delete(it)) => drop(shares.remove(&it.name_any())),
            Ok(Event::InitDone) => {}
            Err(_) => {
                pause().await;
                continue;
            }
        }
        let mut all: BTreeMap<String, u32> = hosts.iter().map(|it| (it.clone(), 0)).collect();
        for (host, replicas) in shares.values() {
            *all.entry(host.clone()).or_default() += replicas;
        }
        lock(&seen).hosts = all;
    }
}

/// An API server that is away comes back; the watcher asks again.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// A share that does not serve yet, or is about to go, does not count.
fn keep(shares: &mut BTreeMap<String, (String, u32)>, share: &Share) {
    let ready = share.status.as_ref().is_some_and(|it| condition(&it.conditions, "Ready", None));
    match &share.spec.host_id {
        Some(host) if ready && share.metadata.deletion_timestamp.is_none() => {
            shares.insert(share.name_any(), (host.clone(), share.spec.replicas.unwrap_or(1)));
        }
        _ => drop(shares.remove(&share.name_any())),
    }
}

/// A host that does not answer keeps what it said last.
async fn ask(client: &Client, hosts: &[String], workload: &str, seen: &Mutex<Seen>) {
    let answers = hosts.iter().map(async |host| {
        let text = tokio::time::timeout(ASKED_EVERY, metrics(client, host)).await.ok()?.ok()?;
        Some((host.clone(), waited(&text, workload)))
    });
    let answers = join_all(answers).await;
    lock(seen).waited.extend(answers.into_iter().flatten());
}

async fn metrics(client: &Client, host: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{host}:{ADMIN}/proxy/metrics");
    Ok(client.request_text(http::Request::get(path).body(Vec::new())?).await?)
}
