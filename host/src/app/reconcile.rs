//! Brings a host to where its snapshot wants it: level-triggered, one task, nothing but differences.
//!
//! The order is what keeps requests from being lost. A share is routed to once it is ready; a share that is no longer
//! wanted leaves the tables first, then the last request that holds an older table ends, then its instances go.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use penstock_api::snapshot::{self, Snapshot};
use penstock_router::{
    Table, background,
    drain::{DrainSignal, DrainWatch},
    listen::{Listener, ListenerConfig},
    observe::Observer,
    swap::{LARGE, TableHandle},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, sleep_until},
};

use super::{HostConfig, HostStatus, ListenerStatus, ShareState, ShareStatus, tables, tls::Secured};
use crate::{
    backoff::doubled,
    instance::Limit,
    workload::{Services, Share, StartError},
};

/// The pause after the first failed start or bind; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Events that are handled at once.
const EVENTS: usize = 4096;
/// How often the counters in the status are brought up to date.
const REFRESH: Duration = Duration::from_secs(1);
/// How soon again while calls wait.
const HURRY: Duration = Duration::from_millis(250);

/// How long a new port stays closed at most for workloads behind it that still start. A host that comes back from its disk
/// refuses connections until it can serve, so that clients and balancers go elsewhere, instead of answering 503.
const OPEN_AFTER: Duration = Duration::from_secs(5);

/// The running tables by listener, for the admin pages.
pub(super) type Directory = Arc<ArcSwap<BTreeMap<String, TableHandle>>>;

pub(super) struct Reconciler {
    config: HostConfig,
    services: Arc<Services>,
    observer: Arc<dyn Observer>,
    directory: Directory,
    reporter: watch::Sender<HostStatus>,
    drain: DrainWatch,
    desired: Arc<Snapshot>,
    /// The one whose routes the listeners were last compared with: tables are large, and events are many.
    compared: Option<Arc<Snapshot>>,
    shares: BTreeMap<String, ShareEntry>,
    listeners: BTreeMap<String, ListenerEntry>,
    /// Listeners that are no longer wanted and whose connections may still bring a last request.
    closing: Vec<Ended>,
    /// Whether a reconciliation is due for listeners that wait for their workloads to start.
    opening: bool,
    serving: JoinSet<()>,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
}

struct ShareEntry {
    spec: snapshot::Share,
    state: State,
    /// Failed starts in a row.
    failures: u32,
}

enum State {
    /// With the message of the attempt before, if that failed: until this one has come to an end, that is how it stands.
    Loading(JoinHandle<()>, Option<String>),
    Ready(Arc<Share>),
    Failed {
        message: String,
    },
    Draining(Arc<Share>),
}

struct ListenerEntry {
    spec: snapshot::Listener,
    handle: TableHandle,
    /// The deployments that its routes name: who answers, and who gets copies.
    named: Arc<BTreeSet<String>>,
    /// What the table was built from: the shares of each of these.
    built: Vec<(String, u32)>,
    route_errors: Vec<String>,
    /// None: it speaks plain HTTP.
    tls: Option<Secured>,
    bound: Result<SocketAddr, String>,
    failures: u32,
    /// When it opens although workloads behind it still start.
    opens_at: Instant,
    /// When to try to bind again after a failure.
    retry_at: Option<Instant>,
    serving: Option<Serving>,
}

/// A bound port: how to end it, and how to learn that its last connection has ended.
struct Serving {
    signal: DrainSignal,
    ended: Ended,
}

/// Its sender is dropped with the last connection.
type Ended = watch::Receiver<()>;

enum Event {
    Started(String, Box<Result<Share, StartError>>),
    RetryShare(String),
    RetryListener,
    Drained(String),
}

impl Reconciler {
    pub(super) fn new(
        config: HostConfig,
        services: Services,
        observer: Arc<dyn Observer>,
        directory: Directory,
        reporter: watch::Sender<HostStatus>,
        drain: DrainWatch,
    ) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            config,
            services: Arc::new(services),
            observer,
            directory,
            reporter,
            drain,
            desired: Arc::default(),
            compared: None,
            shares: BTreeMap::new(),
            listeners: BTreeMap::new(),
            closing: Vec::new(),
            opening: false,
            serving: JoinSet::new(),
            events,
            sender,
        }
    }

    /// Follows `wanted` until the host drains, then waits for the connections to end.
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<Arc<Snapshot>>) {
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drain = self.drain.clone();
        let mut events = Vec::new();
        let (waiting, mut looked) = (self.services.waiting.clone(), Instant::now());
        loop {
            tokio::select! {
                _ = drain.started() => break,
                changed = wanted.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.desired = wanted.borrow_and_update().clone();
                    self.reconcile().await;
                }
                // What came meanwhile is handled with it: a host with thousands of shares hears of many at once.
                1.. = self.events.recv_many(&mut events, EVENTS) => {
                    events.drain(..).for_each(|event| self.handle(event));
                    self.reconcile().await;
                }
                Some(_) = self.serving.join_next() => {}
                _ = refresh.tick() => self.tend(),
                // Who scales should hear of it soon. If something else comes first, that looks too.
                () = async { waiting.notified().await; sleep_until(looked + HURRY).await } => {}
            }
            self.report();
            looked = Instant::now();
        }
        while self.serving.join_next().await.is_some() {}
    }

    /// Keeps the shares' pools as they should be.
    fn tend(&self) {
        for entry in self.shares.values() {
            if let State::Ready(share) = &entry.state {
                share.tend();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Started(id, result) => self.started(&id, *result),
            Event::RetryShare(id) => {
                if let Some(entry) = self.shares.get_mut(&id)
                    && let State::Failed { message } = &entry.state
                {
                    let message = Some(message.clone());
                    entry.state = State::Loading(start(&self.services, &self.sender, entry.spec.clone()), message);
                }
            }
            // What is not bound is tried again with every reconciliation.
            Event::RetryListener => self.opening = false,
            Event::Drained(id) => {
                self.shares.remove(&id);
            }
        }
    }

    fn started(&mut self, id: &str, result: Result<Share, StartError>) {
        let Some(entry) = self.shares.get_mut(id) else { return };
        match result {
            Ok(share) => {
                share.resize(&entry.spec);
                entry.failures = 0;
                entry.state = State::Ready(Arc::new(share));
            }
            Err(error) => {
                let pause = backoff(entry.failures);
                entry.failures += 1;
                entry.state = State::Failed { message: error.to_string() };
                tracing::warn!(share = %id, %error, retry = ?pause, "a share did not start");
                later(&self.sender, pause, Event::RetryShare(id.to_owned()));
            }
        }
    }

    async fn reconcile(&mut self) {
        let desired = self.desired.clone();
        self.start_shares(&desired);
        self.update_listeners(&desired).await;
        self.serve_peers(&desired);
        self.retire_shares(&desired);
    }

    fn start_shares(&mut self, desired: &Snapshot) {
        for spec in &desired.shares {
            match self.shares.get_mut(&spec.id) {
                Some(entry) => {
                    if let State::Draining(share) = &entry.state {
                        // Wanted again before it was gone: it serves on.
                        entry.state = State::Ready(share.clone());
                    }
                    if entry.spec != *spec {
                        entry.spec = spec.clone();
                        if let State::Ready(share) = &entry.state {
                            share.resize(spec);
                        }
                    }
                }
                None => {
                    let state = State::Loading(start(&self.services, &self.sender, spec.clone()), None);
                    self.shares.insert(spec.id.clone(), ShareEntry { spec: spec.clone(), state, failures: 0 });
                }
            }
        }
    }

    async fn update_listeners(&mut self, desired: &Arc<Snapshot>) {
        let gone: Vec<String> = self
            .listeners
            .iter()
            .filter(|(name, entry)| {
                // One that is encrypted from now on, or no longer, is another: no connection may be half of each.
                let same = |spec: &snapshot::Listener| {
                    (&spec.address, spec.port, spec.tls.is_some())
                        == (&entry.spec.address, entry.spec.port, entry.spec.tls.is_some())
                };
                !desired.listeners.iter().any(|spec| spec.name == **name && same(spec))
            })
            .map(|(name, _)| name.clone())
            .collect();
        let changed = !gone.is_empty();
        for name in gone {
            if let Some(ListenerEntry { serving: Some(Serving { signal, ended }), .. }) = self.listeners.remove(&name) {
                signal.start(self.config.drain_timeout);
                self.closing.push(ended);
            }
        }
        self.closing.retain(|it| it.has_changed().is_ok());
        let mut added = false;
        let compared = self.compared.replace(desired.clone()).is_some_and(|it| Arc::ptr_eq(&it, desired));
        for (place, spec) in desired.listeners.iter().enumerate() {
            let same = |it: &&ListenerEntry| compared || it.spec.routes == spec.routes;
            let before = self.listeners.get(&spec.name).filter(same);
            let named = before.map_or_else(|| Arc::new(named(spec)), |it| it.named.clone());
            let same_routes = before.is_some();
            let built = self.inputs(desired, &named);
            if let Some(entry) = self.listeners.get_mut(&spec.name)
                && let (Some(secured), Some(tls)) = (&mut entry.tls, &spec.tls)
                && entry.spec.tls.as_ref() != Some(tls)
            {
                secured.update(tls);
                entry.spec.tls = Some(tls.clone());
            }
            let known = self.listeners.get(&spec.name).map(|entry| same_routes && entry.built == built);
            match known {
                Some(true) => {}
                Some(false) => {
                    let (table, route_errors) = self.table(desired, place, &named).await;
                    let Some(entry) = self.listeners.get_mut(&spec.name) else { continue };
                    entry.handle.swap(table);
                    if !same_routes {
                        entry.spec = spec.clone();
                    }
                    (entry.named, entry.built, entry.route_errors) = (named, built, route_errors);
                }
                None => {
                    let (table, route_errors) = self.table(desired, place, &named).await;
                    let tls = match spec.tls.as_ref().map(Secured::new).transpose() {
                        Ok(tls) => tls,
                        Err(error) => {
                            tracing::error!(listener = spec.name, %error, "the listener stays closed");
                            continue;
                        }
                    };
                    added = true;
                    self.listeners.insert(
                        spec.name.clone(),
                        ListenerEntry {
                            spec: spec.clone(),
                            handle: TableHandle::new(table),
                            named,
                            built,
                            route_errors,
                            tls,
                            bound: Err("not bound yet".to_owned()),
                            failures: 0,
                            opens_at: Instant::now() + OPEN_AFTER,
                            retry_at: None,
                            serving: None,
                        },
                    );
                }
            }
        }
        self.bind();
        if changed || added {
            let directory = self.listeners.iter().map(|(name, entry)| (name.clone(), entry.handle.clone())).collect();
            self.directory.store(Arc::new(directory));
        }
    }

    /// The table of the listener at that place, and which of its routes are left out. A large one is built in the background.
    async fn table(&self, desired: &Arc<Snapshot>, place: usize, named: &BTreeSet<String>) -> (Table, Vec<String>) {
        let Some(spec) = desired.listeners.get(place) else { return Default::default() };
        let mut ready: BTreeMap<String, Vec<(Arc<Share>, u32)>> = BTreeMap::new();
        for (spec, share) in self.ready(desired, named) {
            ready.entry(spec.deployment.clone()).or_default().push((share.clone(), spec.replicas));
        }
        let build = move |spec: &snapshot::Listener| {
            tables::build(&spec.routes, &|deployment: &str| ready.get(deployment).cloned().unwrap_or_default())
        };
        if spec.routes.len() <= LARGE {
            return build(spec);
        }
        let desired = desired.clone();
        background::run(move || desired.listeners.get(place).map(build).unwrap_or_default()).await
    }

    /// Binds every listener that is not bound yet, once what it leads to has come to the end of its first start.
    fn bind(&mut self) {
        if self.listeners.values().all(|it| it.serving.is_some()) {
            return;
        }
        let starting: BTreeSet<&str> = (self.shares.values())
            .filter(|it| matches!(it.state, State::Loading(_, None)))
            .map(|it| it.spec.deployment.as_str())
            .collect();
        let waits = |spec: &snapshot::Listener| deployments(spec).any(|it| starting.contains(it));
        let now = Instant::now();
        let mut opens_at = None;
        for (name, entry) in self.listeners.iter_mut().filter(|it| it.1.serving.is_none()) {
            if entry.retry_at.is_some_and(|at| now < at) {
                continue;
            }
            if now < entry.opens_at && waits(&entry.spec) {
                opens_at = Some(entry.opens_at.min(opens_at.unwrap_or(entry.opens_at)));
                continue;
            }
            let tls = entry.tls.as_ref().map(|it| it.handle.clone());
            let port = entry.spec.port.and_then(NonZeroU16::new);
            let config = ListenerConfig { name: name.as_str().into(), port, tls, ..self.config.listener.clone() };
            let bound = match entry.spec.address.parse::<SocketAddr>() {
                Ok(address) => Listener::bind(address, config, entry.handle.clone(), self.observer.clone())
                    .map_err(|error| format!("cannot listen on {address}: {error}")),
                Err(error) => {
                    Err(format!("'{}' is not an address such as 127.0.0.1:8000: {error}", entry.spec.address))
                }
            };
            match bound {
                Ok(listener) => {
                    let (signal, watch) = self.drain.child();
                    entry.bound = Ok(listener.local_addr());
                    let (serves, ended) = watch::channel(());
                    entry.serving = Some(Serving { signal, ended });
                    self.serving.spawn(async move {
                        listener.serve(watch).await;
                        drop(serves);
                    });
                }
                Err(message) => {
                    let message_changed = entry.bound.as_ref().err() != Some(&message);
                    if message_changed {
                        tracing::warn!(listener = %name, "{message}");
                    }
                    entry.bound = Err(message);
                    let pause = backoff(entry.failures);
                    entry.failures += 1;
                    entry.retry_at = Some(Instant::now() + pause);
                    later(&self.sender, pause, Event::RetryListener);
                }
            }
        }
        if let Some(at) = opens_at.filter(|_| !self.opening) {
            self.opening = true;
            later(&self.sender, at - now, Event::RetryListener);
        }
    }

    /// The ready shares of these deployments that the snapshot wants.
    fn ready<'a>(
        &'a self,
        desired: &'a Snapshot,
        named: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = (&'a snapshot::Share, &'a Arc<Share>)> {
        let wanted = desired.shares.iter().filter(|spec| named.contains(&spec.deployment));
        wanted.filter_map(|spec| Some((spec, self.ready_share(spec)?)))
    }

    fn ready_share(&self, spec: &snapshot::Share) -> Option<&Arc<Share>> {
        match &self.shares.get(&spec.id)?.state {
            State::Ready(share) => Some(share),
            _ => None,
        }
    }

    /// What decides a listener's table beside its routes.
    fn inputs(&self, desired: &Snapshot, named: &BTreeSet<String>) -> Vec<(String, u32)> {
        self.ready(desired, named).map(|(spec, _)| (spec.id.clone(), spec.replicas)).collect()
    }

    /// Which shares take calls of other hosts: those that requests are routed to here.
    fn serve_peers(&self, desired: &Snapshot) {
        let Some(peers) = &self.services.peers else { return };
        let ready = |spec: &snapshot::Share| Some((spec.id.clone(), self.ready_share(spec)?.clone()));
        peers.serve(desired.shares.iter().filter(|spec| spec.capacity.spill).filter_map(ready).collect());
    }

    /// Ends what is no longer wanted, after the tables have let go of it.
    fn retire_shares(&mut self, desired: &Snapshot) {
        let wanted: HashSet<&str> = desired.shares.iter().map(|spec| spec.id.as_str()).collect();
        let unwanted: Vec<String> = self.shares.keys().filter(|id| !wanted.contains(id.as_str())).cloned().collect();
        for id in unwanted {
            let Some(entry) = self.shares.get_mut(&id) else { continue };
            match &entry.state {
                State::Draining(_) => {}
                State::Loading(task, _) => {
                    task.abort();
                    self.shares.remove(&id);
                }
                State::Failed { .. } => {
                    self.shares.remove(&id);
                }
                State::Ready(share) => {
                    let share = share.clone();
                    entry.state = State::Draining(share.clone());
                    let handles: Vec<(TableHandle, u64)> = self
                        .listeners
                        .values()
                        .map(|listener| (listener.handle.clone(), listener.handle.current().number))
                        .collect();
                    let tables = Tables { handles, closing: self.closing.clone() };
                    tokio::spawn(retire(share, tables, self.config.drain_timeout, id, self.sender.clone()));
                }
            }
        }
    }

    fn report(&self) {
        // Outside the lock. Most often only numbers have changed, for thousands of shares each second: texts stay where they are.
        let shares: Vec<ShareStatus> = self.shares.values().map(ShareEntry::numbers).collect();
        let listeners: BTreeMap<_, _> =
            self.listeners.iter().map(|(name, entry)| (name.clone(), entry.status())).collect();
        let settled = !self.shares.values().any(|entry| matches!(entry.state, State::Loading(_, None)));
        let follows = self.desired.version;
        self.reporter.send_if_modified(|status| {
            let version = if settled { follows } else { status.version };
            let head = (status.version, status.follows) != (version, follows) || status.listeners != listeners;
            (status.version, status.follows, status.listeners) = (version, follows, listeners);
            if status.shares.keys().eq(self.shares.keys()) {
                let pairs = status.shares.values_mut().zip(shares);
                return pairs.fold(head, |changed, (known, numbers)| known.update(numbers) || changed);
            }
            let named = self.shares.iter().zip(shares).map(|((id, entry), numbers)| {
                let (deployment, revision) = (entry.spec.deployment.clone(), entry.spec.revision.clone());
                (id.clone(), ShareStatus { deployment, revision, ..numbers })
            });
            status.shares = named.collect();
            true
        });
    }
}

/// The deployments that answer a listener's requests.
fn deployments(spec: &snapshot::Listener) -> impl Iterator<Item = &str> {
    let rules = spec.routes.iter().flat_map(|route| &route.rules);
    rules.flat_map(|rule| &rule.backends).map(|backend| backend.deployment.as_str())
}

/// All that a listener's routes name: who answers, and who gets copies.
fn named(spec: &snapshot::Listener) -> BTreeSet<String> {
    let rules = spec.routes.iter().flat_map(|route| &route.rules);
    let mirrors = rules.flat_map(snapshot::RouteRule::all_mirrors).map(|mirror| mirror.deployment.as_str());
    let names: BTreeSet<&str> = deployments(spec).chain(mirrors).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The tables that had a share when it was no longer wanted.
struct Tables {
    /// Of listeners that go on, with the first generation that lacks it.
    handles: Vec<(TableHandle, u64)>,
    /// Of listeners that close: each connection may bring one more request, which the last table still answers.
    closing: Vec<Ended>,
}

impl Tables {
    async fn let_go(self) {
        for (handle, number) in &self.handles {
            handle.idle_below(*number).await;
        }
        for mut ended in self.closing {
            while ended.changed().await.is_ok() {}
        }
    }
}

/// Waits until no request can reach the share any more, then until those that did have ended.
async fn retire(share: Arc<Share>, tables: Tables, grace: Duration, id: String, sender: mpsc::UnboundedSender<Event>) {
    let deadline = Instant::now() + grace;
    let quiet = async {
        tables.let_go().await;
        share.admission.idle().await;
    };
    if tokio::time::timeout_at(deadline, quiet).await.is_err() {
        tracing::warn!(share = %id, ?grace, "a share was cut off with calls in flight");
    }
    share.admission.close();
    // The reconciler is gone when the host is.
    let _ = sender.send(Event::Drained(id));
}

fn start(services: &Arc<Services>, sender: &mpsc::UnboundedSender<Event>, spec: snapshot::Share) -> JoinHandle<()> {
    let (services, sender) = (services.clone(), sender.clone());
    tokio::spawn(async move {
        let result = Share::start(&spec, &services).await;
        // The reconciler is gone when the host is.
        let _ = sender.send(Event::Started(spec.id, Box::new(result)));
    })
}

fn later(sender: &mpsc::UnboundedSender<Event>, pause: Duration, event: Event) {
    let sender = sender.clone();
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        // The reconciler is gone when the host is.
        let _ = sender.send(event);
    });
}

fn backoff(failures: u32) -> Duration {
    doubled(FIRST_RETRY, LAST_RETRY, failures)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl ShareEntry {
    /// Its status without names.
    fn numbers(&self) -> ShareStatus {
        let (state, message, share) = match &self.state {
            State::Loading(_, None) => (ShareState::Loading, None, None),
            State::Loading(_, Some(message)) => (ShareState::Failed, Some(message.clone()), None),
            State::Ready(share) => (ShareState::Ready, share.trouble(), Some(share)),
            State::Failed { message } => (ShareState::Failed, Some(message.clone()), None),
            State::Draining(share) => (ShareState::Draining, None, Some(share)),
        };
        let stats = share.map(|share| share.stats()).unwrap_or_default();
        let admission = share.map(|share| share.admission.stats());
        ShareStatus {
            deployment: String::new(),
            revision: String::new(),
            state,
            message,
            replicas: self.spec.replicas,
            lent: share.map_or(0, |share| share.lent()),
            capacity: u64::from(self.spec.replicas) * u64::from(self.spec.capacity.concurrency),
            in_flight: admission.as_ref().map_or(0, |stats| stats.in_flight as u64),
            queued: admission.as_ref().map_or(0, |stats| stats.queued as u64),
            admitted: admission.as_ref().map_or(0, |stats| stats.admitted),
            shed: admission.as_ref().map_or(0, |stats| stats.shed.total()),
            waited_ms: admission.as_ref().map_or(0, |stats| ms(stats.wait.sum)),
            served: admission.as_ref().map_or(0, |stats| stats.served),
            served_ms: admission.as_ref().map_or(0, |stats| ms(stats.served_for)),
            instances: stats.alive as u64,
            idle_instances: stats.idle as u64,
            started_instances: stats.started,
            cold_starts: stats.cold,
            reused_instances: stats.reused,
            instance_concurrency: stats.concurrency as u64,
            trapped: stats.trapped,
            cpu_ms: ms(stats.used.cpu),
            memory_bytes: stats.used.memory,
            memory_byte_seconds: stats.used.byte_seconds,
            longest_poll_us: u64::try_from(stats.used.longest_poll.as_micros()).unwrap_or(u64::MAX),
            limits: Limit::ALL
                .iter()
                .zip(stats.used.stopped)
                .filter(|(_, count)| *count > 0)
                .map(|(it, count)| (it.name().into(), count))
                .collect(),
            spill: stats.spill,
        }
    }
}

impl ListenerEntry {
    fn status(&self) -> ListenerStatus {
        let current = self.handle.current();
        let error = self.bound.as_ref().err().cloned();
        let tls_error = self.tls.as_ref().and_then(|it| it.error.clone());
        ListenerStatus {
            address: self.bound.as_ref().ok().copied(),
            errors: error.into_iter().chain(tls_error).chain(self.route_errors.iter().cloned()).collect(),
            tls: self.tls.as_ref().map(Secured::status),
            generation: current.number,
            matches: current.table.len(),
        }
    }
}
