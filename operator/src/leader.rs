//! Who leads: one Lease, taken and renewed with optimistic concurrency, watched by the others.
//!
//! A leader that cannot reach the API server any more is *suspended* well before its Lease ends: it decides and sends
//! nothing, and keeps its hosts' streams, since mostly the API server is down for everybody and nobody else leads. When
//! it can renew again and nobody has led in between, it goes on where it was. Times are measured from when a change was
//! seen here, so clocks need not agree.

mod election;

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::election::Leadership;
use self::election::{Decision, Election, Seen};
use crate::backoff::Backoff;

/// On the Lease: where hosts find its holder.
const ADDRESS: &str = "runtime.wasmcloud.dev/leader-address";

/// What an election needs to know.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The operator's namespace.
    pub namespace: String,
    /// The Lease.
    pub lease: String,
    /// This pod.
    pub name: String,
    /// Where hosts find this pod.
    pub address: String,
    /// How long a leader that is not heard of stays leader.
    pub duration: Duration,
}

/// Takes part until the token is cancelled, then gives the Lease back. What is published begins with
/// [`Leadership::Unknown`].
pub async fn run(client: Client, candidate: Candidate, told: watch::Sender<Leadership>, done: CancellationToken) {
    let api: Api<Lease> = Api::namespaced(client, &candidate.namespace);
    let changes = watcher::watch_object(api.clone(), &candidate.lease)
        .backoff(Backoff::default())
        .map_err(|error| tracing::debug!(%error, "the Lease cannot be watched"));
    let mut changes = std::pin::pin!(changes);
    let mut race = Race { api, election: Election::new(&candidate.name, candidate.duration), candidate, lease: None };
    loop {
        let (leadership, decision) = race.election.decide(Instant::now());
        told.send_if_modified(|it| {
            let changed = *it != leadership;
            if changed {
                tracing::info!(%leadership, "leadership");
                *it = leadership;
            }
            changed
        });
        let wait = match decision {
            Decision::Watch => None,
            Decision::At(at) => Some(at),
            Decision::Take => {
                race.take().await;
                continue;
            }
        };
        tokio::select! {
            () = done.cancelled() => break,
            Some(change) = changes.next() => if let Ok(lease) = change { race.seen(lease) },
            () = sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => {}
        }
    }
    if race.election.holds() {
        race.release().await;
    }
    told.send_replace(Leadership::Unknown);
}

struct Race {
    api: Api<Lease>,
    candidate: Candidate,
    election: Election,
    lease: Option<Lease>,
}

impl Race {
    fn seen(&mut self, lease: Option<Lease>) {
        let spec = lease.as_ref().and_then(|it| it.spec.clone()).unwrap_or_default();
        let annotations = lease.as_ref().and_then(|it| it.metadata.annotations.as_ref());
        let seconds = spec.lease_duration_seconds.and_then(|it| u64::try_from(it).ok());
        self.election.see(
            Instant::now(),
            Seen {
                version: lease.as_ref().and_then(|it| it.metadata.resource_version.clone()),
                holder: spec.holder_identity.filter(|it| !it.is_empty()),
                address: annotations.and_then(|it| it.get(ADDRESS).cloned()),
                duration: seconds.map_or(self.candidate.duration, Duration::from_secs),
                term: spec.lease_transitions.unwrap_or(0),
            },
        );
        self.lease = lease;
    }

    /// Takes or renews the Lease, as it was seen last; whoever was faster is seen by the watch.
    async fn take(&mut self) {
        let begun = Instant::now();
        let held = self.election.holds();
        let spec = self.lease.as_ref().and_then(|it| it.spec.as_ref());
        let now = MicroTime(Timestamp::now());
        let acquired = spec.and_then(|it| it.acquire_time.clone()).filter(|_| held);
        let transitions = spec.and_then(|it| it.lease_transitions).unwrap_or(0);
        let wanted = LeaseSpec {
            holder_identity: Some(self.candidate.name.clone()),
            lease_duration_seconds: Some(i32::try_from(self.candidate.duration.as_secs().max(1)).unwrap_or(i32::MAX)),
            acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if held { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        };
        match timeout(self.election.patience(), self.write(wanted)).await {
            Ok(Ok(lease)) => {
                self.seen(Some(lease));
                self.election.renewed(begun);
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                // Somebody was faster, or this copy is old: look again.
                if let Ok(lease) = self.api.get_opt(&self.candidate.lease).await {
                    self.seen(lease);
                }
                self.election.failed(Instant::now());
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the Lease cannot be written");
                self.election.failed(Instant::now());
            }
            Err(_) => {
                tracing::warn!("the Lease cannot be written: the API server does not answer");
                self.election.failed(Instant::now());
            }
        }
    }

    async fn release(&mut self) {
        let transitions = self.lease.as_ref().and_then(|it| it.spec.as_ref()?.lease_transitions);
        let free = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: transitions,
            ..LeaseSpec::default()
        };
        if !matches!(timeout(self.election.patience(), self.write(free)).await, Ok(Ok(_))) {
            tracing::warn!("the Lease could not be given back: the next leader has to wait for its end");
        }
    }

    async fn write(&self, spec: LeaseSpec) -> kube::Result<Lease> {
        let known = self.lease.as_ref();
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.candidate.lease.clone()),
                namespace: Some(self.candidate.namespace.clone()),
                resource_version: known.and_then(|it| it.metadata.resource_version.clone()),
                annotations: Some([(ADDRESS.to_owned(), self.candidate.address.clone())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        match known {
            Some(_) => self.api.replace(&self.candidate.lease, &PostParams::default(), &lease).await,
            None => self.api.create(&PostParams::default(), &lease).await,
        }
    }
}
