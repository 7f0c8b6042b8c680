//! From watches and hosts' reports to writes and snapshots.
//!
//! One task decides. It takes in what has changed, looks again at what that touches and at nothing else, and hands what
//! comes of it to writers that wait for the API server in its place. Decisions themselves are [`crate::plan`]'s, which is
//! pure. What is asked of a host is written down first (as a Workload) and told then, so that another operator that
//! takes over knows it.
//!
//! With the API server gone, nothing is decided and nobody is told anything new: hosts keep what they have.

mod autoscale;
mod events_of;
mod fleet;
mod host;
mod lead;
mod objects;
mod route;
mod service;
mod statuses;
mod store;
mod stores;
mod unit;
mod watch;
mod write;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;
use tokio::{
    sync::{mpsc, watch as channel},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    lead::{Context, Lead},
    stores::{News, Stores},
    watch::{Change, Scopes},
    write::{Key, Outcome, Writes},
};
use crate::{
    admin::Health,
    board::Board,
    hosts::{HostEvent, Hosts, Leader},
    leader::Leadership,
    metrics::Metrics,
};

/// What readiness waits for.
pub(crate) const WATCHES: &str = "watches";
/// Changes and events that are taken in at once.
const BATCH: usize = 512;
/// How often the deciding task says that it is alive, and brings its numbers up to date.
const BEAT: Duration = Duration::from_secs(1);

/// What the controllers are told on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The namespace of the operator and of the hosts' pods.
    pub(crate) namespace: String,
    /// The operator's pod.
    pub(crate) pod_name: String,
    /// Where workloads and Services are looked after; none: everywhere.
    pub(crate) watch_namespaces: Vec<String>,
    /// The ports of Services' listeners.
    pub(crate) listener_ports: RangeInclusive<u16>,
    /// The port of the shared listener; 0: none.
    pub(crate) shared_port: u16,
    /// The address on which hosts listen.
    pub(crate) bind: String,
    pub(crate) propagation_delay: Duration,
    pub(crate) host_grace: Duration,
    pub(crate) writers: usize,
}

// === impl Settings ===

impl Settings {
    /// How long a host serves on after its endpoint says `terminating`. Longer than an endpoint that comes is waited for:
    /// kube-proxy writes its rules at most once a second, and then takes its time to do so. Who looks a moment too early at an
    /// endpoint that comes waits; who comes a moment too late to one that goes is refused.
    pub(crate) fn departure_delay(&self) -> Duration {
        self.propagation_delay * 3
    }
}

/// What the deciding task holds.
struct World {
    settings: Arc<Settings>,
    stores: Stores,
    writes: Writes,
    hosts: Hosts,
    board: Board,
    metrics: Metrics,
    health: Health,
    lead: Option<(i32, Lead)>,
    leadership: Leadership,
    synced: bool,
}

/// What is told to the one task that decides, beside what it watches.
pub(crate) struct Told {
    /// What hosts say.
    pub(crate) events: mpsc::Receiver<HostEvent>,
    /// Who leads.
    pub(crate) leadership: channel::Receiver<Leadership>,
}

/// What the one task that decides tells others.
#[derive(Clone)]
pub(crate) struct Tells {
    /// Hosts.
    pub(crate) hosts: Hosts,
    /// Whoever scales by load.
    pub(crate) board: Board,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
}

/// Decides until the token is cancelled.
pub(crate) async fn run(client: Client, settings: Settings, told: Told, tells: Tells, done: CancellationToken) {
    let Told { mut events, mut leadership } = told;
    let Tells { hosts, board, metrics, health } = tells;
    let scopes = Scopes::new(&settings.namespace, &settings.watch_namespaces);
    let (mut changes, _watches) = watch::all(&client, &scopes, &metrics);
    let mut world = World {
        stores: Stores::new(&scopes),
        writes: Writes::new(client, settings.writers, metrics.clone()),
        settings: Arc::new(settings),
        hosts,
        board,
        metrics,
        health,
        lead: None,
        leadership: Leadership::Unknown,
        synced: false,
    };
    let mut beat = tokio::time::interval(BEAT);
    let (mut changed, mut heard) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    let mut idle = false;
    loop {
        let due = world.due();
        tokio::select! {
            biased;
            () = done.cancelled() => break,
            Ok(()) = leadership.changed() => {
                let now = leadership.borrow_and_update().clone();
                world.led(now);
            }
            _ = beat.tick() => world.beat(),
            (key, outcome) = world.writes.ended() => {
                world.written(&key, outcome);
                while let Some((key, outcome)) = world.writes.try_ended() {
                    world.written(&key, outcome);
                }
            }
            count = events.recv_many(&mut heard, BATCH) => {
                if count == 0 {
                    break;
                }
                world.heard(heard.drain(..));
            }
            count = changes.recv_many(&mut changed, BATCH) => {
                if count == 0 {
                    break;
                }
                world.changed(changed.drain(..));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            () = std::future::ready(()), if !idle => {}
        }
        let begun = std::time::Instant::now();
        idle = world.turn();
        world.metrics.busy.inc_by(begun.elapsed().as_secs_f64());
    }
    world.hosts.set_leader(Leader::Unknown);
}

impl World {
    /// When there is something to do if nothing happens before.
    fn due(&self) -> Option<Instant> {
        let wake = self.lead.as_ref().filter(|_| self.leads()).and_then(|(_, lead)| lead.next_wake());
        let write = self.writes.next_due().filter(|_| self.leads());
        wake.into_iter().chain(write).min()
    }

    fn leads(&self) -> bool {
        matches!(self.leadership, Leadership::Leading { .. })
    }

    fn beat(&mut self) {
        self.health.alive();
        self.stores.count(&self.metrics);
        self.writes.report();
        if let Some((_, lead)) = &self.lead {
            lead.report(&self.metrics);
        }
    }

    /// Who leads is another now.
    fn led(&mut self, now: Leadership) {
        self.leadership = now;
        self.metrics.leader.set(i64::from(self.leads()));
        match &self.leadership {
            Leadership::Leading { term } => {
                // Somebody else has led in between: what was known then is worth nothing now.
                if self.lead.as_ref().is_some_and(|(led, _)| led != term) {
                    self.resign(Leader::Unknown);
                }
                self.begin();
            }
            // The streams stay, and nothing is sent.
            Leadership::Suspended { over: false, .. } => {}
            Leadership::Suspended { over: true, .. } | Leadership::Unknown => self.resign(Leader::Unknown),
            Leadership::Following { address: Some(address), .. } => {
                let leader = Leader::At(address.clone());
                self.resign(leader);
            }
            Leadership::Following { address: None, .. } => self.resign(Leader::Unknown),
        }
    }

    fn resign(&mut self, leader: Leader) {
        if self.lead.take().is_some() {
            self.board.lead(false);
        }
        self.writes.clear();
        self.hosts.set_leader(leader);
    }

    /// Begins to lead as soon as everything is known that there is.
    fn begin(&mut self) {
        let Leadership::Leading { term } = self.leadership else { return };
        if self.lead.is_some() || !self.synced {
            return;
        }
        let settings = self.settings.clone();
        self.board.lead(true);
        let (_, mut cx) = self.split();
        let lead = Lead::begin(settings, &mut cx);
        self.lead = Some((term, lead));
        self.hosts.set_leader(Leader::Me);
        tracing::info!(term, "begins to lead");
    }

    fn split(&mut self) -> (Option<&mut Lead>, Context<'_>) {
        let cx = Context {
            stores: &self.stores,
            writes: &mut self.writes,
            hosts: &self.hosts,
            board: &self.board,
            metrics: &self.metrics,
            now: Timestamp::now(),
            instant: Instant::now(),
        };
        (self.lead.as_mut().map(|it| &mut it.1), cx)
    }

    fn changed(&mut self, changes: impl Iterator<Item = Change>) {
        for change in changes {
            for news in self.stores.watched(change) {
                self.news(news);
            }
        }
        if !self.synced && self.stores.are_synced() {
            self.synced = true;
            self.health.done(WATCHES);
            tracing::info!("everything has been listed once");
            self.begin();
        }
    }

    fn news(&mut self, news: News) {
        if let (Some(lead), mut cx) = self.split() {
            lead.news(&mut cx, news);
        }
    }

    fn heard(&mut self, events: impl Iterator<Item = HostEvent>) {
        if let (Some(lead), mut cx) = self.split() {
            for event in events {
                lead.host_event(&mut cx, event);
            }
        }
    }

    fn written(&mut self, key: &Key, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Written(written) => {
                let news = self.stores.written(*written);
                if let Some(news) = news {
                    self.news(news);
                }
                Outcome::Written(Box::new(write::Written::Event))
            }
            Outcome::Missing | Outcome::Deleted if !key.status => {
                if let Some(news) = self.stores.gone(key.kind, &key.name) {
                    self.news(news);
                }
                outcome
            }
            other => other,
        };
        if let (Some(lead), mut cx) = self.split() {
            lead.written(&mut cx, key, &outcome);
        }
    }

    /// Does some of what is to be done. Returns whether nothing is left.
    fn turn(&mut self) -> bool {
        if !self.leads() {
            return true;
        }
        let (Some(lead), mut cx) = self.split() else { return true };
        let idle = lead.turn(&mut cx);
        self.writes.dispatch();
        idle
    }
}
