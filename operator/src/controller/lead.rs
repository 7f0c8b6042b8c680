//! What the leader knows beyond the objects, and what is still to be looked at.
//!
//! Every change marks what it touches; nothing else is looked at again. A turn goes through what is marked in the order
//! of the data: deployments, then Services, then hosts' snapshots, then statuses. All of it is made again from objects and
//! from what hosts say when another operator takes over.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::ResourceExt;
use penstock_api::manifest::ObjectKey;
use tokio::time::Instant;

use super::{
    autoscale::Autoscaling,
    fleet::Fleet,
    objects,
    service::ServiceRecord,
    store::Changed,
    stores::{News, Stores},
    unit::Unit,
    write::{Key, Kind, Outcome, Writes},
};
use crate::{
    board::Board,
    controller::Settings,
    hosts::{HostEvent, Hosts},
    metrics::Metrics,
    plan::{
        Affected, AnyRoute, HostId, Name, Ports, RouteKey, RouteKind, Source, TableOptions, Tables, endpoints, peers,
    },
};

/// Hosts that come one after the other are waited for so long before replicas are spread over them.
const GATHER: Duration = Duration::from_millis(300);
/// Hosts hear of each other's load so often at most: as often as they say it.
const TELL: Duration = Duration::from_secs(1);
/// Objects that are looked at before events are taken in again.
const TURN: usize = 256;

/// What every step needs beside the leader's own state.
pub(crate) struct Context<'a> {
    pub(crate) stores: &'a Stores,
    pub(crate) writes: &'a mut Writes,
    pub(crate) hosts: &'a Hosts,
    pub(crate) board: &'a Board,
    pub(crate) metrics: &'a Metrics,
    pub(crate) now: Timestamp,
    pub(crate) instant: Instant,
}

/// What the leader knows.
pub(crate) struct Lead {
    pub(super) settings: Arc<Settings>,
    pub(super) tables: Tables,
    pub(super) ports: Ports,
    pub(super) units: BTreeMap<Name, Unit>,
    pub(super) fleet: Fleet,
    pub(super) autoscaling: Autoscaling,
    pub(super) services: HashMap<Name, ServiceRecord>,
    /// Deployments by the ConfigMaps and Secrets that they refer to.
    pub(super) by_source: HashMap<Source, BTreeSet<Name>>,
    /// Services by the Secrets and ConfigMaps that their certificates are from.
    pub(super) services_by_source: HashMap<Source, BTreeSet<Name>>,
    /// Deployments by the Services that they name.
    pub(super) by_service: HashMap<Name, BTreeSet<Name>>,
    /// Whether hosts have had time to come: before that, nothing is placed.
    pub(super) gathered: bool,
    began: Instant,
    marks: Marks,
    timers: BTreeSet<(Instant, Wake)>,
    /// Whether there is a timer for [`Wake::Spread`].
    spreading: bool,
    /// When hosts last heard of each other's load, and whether there is a timer for [`Wake::Peers`].
    peers_told: Option<Instant>,
    telling: bool,
}

/// What is to be looked at.
#[derive(Debug, Default)]
pub(super) struct Marks {
    units: BTreeSet<Name>,
    services: BTreeSet<Name>,
    hosts: BTreeSet<HostId>,
    unit_statuses: BTreeSet<Name>,
    host_statuses: BTreeSet<HostId>,
    route_statuses: BTreeSet<RouteKey>,
}

/// Something to be looked at later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    Unit(Name),
    Host(HostId),
    /// Hosts have had time to come.
    Gathered,
    /// Hosts have come or gone: replicas may be spread better.
    Spread,
    /// Hosts are to hear of each other's load.
    Peers,
    /// Replicas are to follow the load.
    Scale,
}

// === impl Lead ===

impl Lead {
    /// Begins to lead: everything is made from the objects, and everything is to be looked at.
    pub(crate) fn begin(settings: Arc<Settings>, cx: &mut Context<'_>) -> Self {
        let shared_address = (settings.shared_port > 0).then(|| format!("{}:{}", settings.bind, settings.shared_port));
        let mut this = Self {
            tables: Tables::new(TableOptions { shared_address, shared_http_routes: false }),
            ports: Ports::new(settings.listener_ports.clone()),
            units: BTreeMap::new(),
            fleet: Fleet::default(),
            autoscaling: Autoscaling::default(),
            services: HashMap::new(),
            by_source: HashMap::new(),
            services_by_source: HashMap::new(),
            by_service: HashMap::new(),
            gathered: false,
            began: cx.instant,
            marks: Marks::default(),
            timers: BTreeSet::new(),
            spreading: false,
            peers_told: None,
            telling: false,
            settings,
        };
        // Ports first, the oldest slices first: no Service loses the port that it has.
        let mut slices: Vec<_> = cx.stores.slices.iter().collect();
        slices.sort_by_key(|(name, it)| (it.metadata.creation_timestamp.as_ref().map(|it| it.0), (*name).clone()));
        for (_, slice) in slices {
            let Some(service) = super::service::service_of(slice) else { continue };
            let recorded = cx.stores.services.get(&service).map(|it| endpoints::recorded_ports(it, slice));
            for (port_name, port) in recorded.into_iter().flatten() {
                this.ports.record(&service, &port_name, port);
            }
            this.slice_changed(cx, &service, &slice.name_any(), true);
        }
        let pods: Vec<_> = cx.stores.pods.iter().map(|(name, _)| name.clone()).collect();
        for pod in pods {
            this.pod_changed(cx, &pod);
        }
        let grants: Vec<_> = cx.stores.grants.iter().map(|(name, it)| (name.clone(), it.clone())).collect();
        for (name, grant) in grants {
            this.grant_changed(&name, Some(&grant));
        }
        for (name, policy) in cx.stores.policies.iter() {
            // No route is there yet that it could affect.
            drop(this.tables.set_policy(name, Some(policy.clone())));
        }
        let routes: Vec<_> = cx.stores.routes().collect();
        for (key, route) in routes {
            this.route_changed(cx, &key, None, Some(&route));
        }
        for (name, autoscaler) in cx.stores.autoscalers.iter() {
            let changed = Changed { name: name.clone(), old: None, new: Some(autoscaler.clone()) };
            this.autoscaler_changed(&changed);
        }
        let names: Vec<Name> = cx.stores.deployments.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            this.refresh(cx, &name);
        }
        let workloads: Vec<_> = cx.stores.workloads.iter().map(|(_, it)| it.clone()).collect();
        for workload in workloads {
            this.workload_changed(cx, None, Some(&workload));
        }
        // Now it is known which hosts have something, and so are waited for.
        let hosts: Vec<HostId> = this.fleet.ids().cloned().collect();
        for host in hosts {
            this.refresh_host(cx, &host);
            this.mark_host_status(&host);
        }
        let units: Vec<Name> = this.units.keys().cloned().collect();
        this.marks.units.extend(units);
        let services: Vec<Name> = this.services.keys().cloned().collect();
        this.marks.services.extend(services);
        this.wake(cx.instant + GATHER, Wake::Gathered);
        this
    }

    /// An object is another now.
    pub(crate) fn news(&mut self, cx: &mut Context<'_>, news: News) {
        match news {
            News::Deployment(it) => {
                let same = |a: &penstock_api::WorkloadDeployment, b: &penstock_api::WorkloadDeployment| {
                    a.spec == b.spec && a.metadata.deletion_timestamp == b.metadata.deletion_timestamp
                };
                match (&it.old, &it.new) {
                    // Its status was written, or its labels.
                    (Some(old), Some(new)) if same(old, new) => self.mark_status(&it.name),
                    _ => {
                        self.refresh(cx, &it.name);
                        self.mark_unit(&it.name);
                    }
                }
            }
            News::ReplicaSet(it) => {
                let object = it.new.as_ref().or(it.old.as_ref());
                let owner = object.and_then(|it| objects::controller_of(&it.metadata, "WorkloadDeployment"));
                if let Some(owner) = owner {
                    let unit = Name::new(&it.name.namespace, &owner.name);
                    match (&it.old, &it.new) {
                        (Some(old), Some(new)) if old.spec == new.spec => self.mark_status(&unit),
                        _ => self.mark_unit(&unit),
                    }
                }
            }
            News::Workload(it) => self.workload_changed(cx, it.old.as_ref(), it.new.as_ref()),
            News::Host(it) => self.host_object_changed(cx, &HostId::from(it.name.name.as_str())),
            News::Service(it) => {
                let spec = |it: &Option<Arc<k8s_openapi::api::core::v1::Service>>| {
                    it.as_ref().map(|it| {
                        let metadata = &it.metadata;
                        (it.spec.clone(), metadata.annotations.clone(), metadata.deletion_timestamp.clone())
                    })
                };
                if spec(&it.old) != spec(&it.new) {
                    self.service_changed(cx, &it.name);
                }
            }
            News::Slice(it) => {
                let object = it.new.as_ref().or(it.old.as_ref());
                if let Some(service) = object.and_then(|it| super::service::service_of(it)) {
                    self.slice_changed(cx, &service, &it.name.name, it.new.is_some());
                    self.mark_service(&service);
                }
            }
            News::ConfigMap(it) => self.source_changed(cx, &Source::ConfigMap(it.name)),
            News::Secret(it) => self.source_changed(cx, &Source::Secret(it.name)),
            News::Pod(it) => self.pod_changed(cx, &it.name),
            News::Node(it) => self.node_changed(cx, &it.name.name),
            News::HttpRoute(Changed { name, old, new }) => {
                let (old, new) = (old.map(AnyRoute::from), new.map(AnyRoute::from));
                self.route_changed(cx, &RouteKind::Http.of(name), old.as_ref(), new.as_ref());
            }
            News::GrpcRoute(Changed { name, old, new }) => {
                let (old, new) = (old.map(AnyRoute::from), new.map(AnyRoute::from));
                self.route_changed(cx, &RouteKind::Grpc.of(name), old.as_ref(), new.as_ref());
            }
            News::Grant(it) => self.grant_changed(&it.name, it.new.as_ref()),
            News::Policy(it) => {
                let affected = self.tables.set_policy(&it.name, it.new);
                self.affect(affected);
                self.source_changed(cx, &Source::Policy(it.name));
            }
            News::Autoscaler(it) => self.autoscaler_changed(&it),
        }
    }

    fn source_changed(&mut self, cx: &mut Context<'_>, source: &Source) {
        for unit in self.by_source.get(source).cloned().unwrap_or_default() {
            self.refresh(cx, &unit);
            self.mark_unit(&unit);
        }
        for service in self.services_by_source.get(source).cloned().unwrap_or_default() {
            self.service_changed(cx, &service);
        }
    }

    /// A host says something.
    pub(crate) fn host_event(&mut self, cx: &mut Context<'_>, event: HostEvent) {
        match event {
            HostEvent::Connected(hello) => {
                cx.board.forget_host(hello.host.as_str());
                self.connected(cx, hello);
            }
            HostEvent::Report { host, report, changed } => {
                for share in changed.iter().filter(|it| !report.shares.contains_key(*it)) {
                    cx.board.forget_share(host.as_str(), share);
                }
                self.reported(cx, &host, &report, &changed);
            }
            HostEvent::Signals { host, machine, signals } => {
                cx.board.heard(host.as_str(), &signals);
                self.hurry(cx, &signals);
                if self.fleet.loaded(&host, machine, signals) {
                    self.wake_peers(cx);
                }
            }
            // It may serve on, so its load is not forgotten before it is lost.
            HostEvent::Disconnected { host } => self.disconnected(cx, &host),
        }
        cx.metrics.hosts.set(i64::try_from(cx.hosts.connected()).unwrap_or(i64::MAX));
    }

    /// A write has ended; what the API server has now is in the stores already.
    pub(crate) fn written(&mut self, cx: &mut Context<'_>, key: &Key, outcome: &Outcome) {
        let ended = matches!(outcome, Outcome::Written(_) | Outcome::Deleted | Outcome::Missing);
        match key.kind {
            Kind::Slice if ended => self.slice_written(cx, &key.name),
            Kind::Scale if matches!(outcome, Outcome::Written(_)) => self.rescaled(cx, &key.name),
            Kind::ReplicaSet | Kind::Workload if !key.status && ended => {
                if let Some(unit) = self.unit_of(cx, key) {
                    self.mark_unit(&unit);
                }
            }
            Kind::Deployment if matches!(outcome, Outcome::Missing) => self.mark_unit(&key.name),
            _ => {}
        }
    }

    /// Looks at some of what is marked. Returns whether nothing is left.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        self.expire(cx);
        let mut budget = TURN;
        while self.gathered
            && budget > 0
            && let Some(name) = self.marks.units.pop_first()
        {
            count(cx, "WorkloadDeployment");
            self.step(cx, &name);
            budget -= 1;
        }
        while budget > 0
            && let Some(name) = self.marks.services.pop_first()
        {
            count(cx, "Service");
            self.step_service(cx, &name);
            budget -= 1;
        }
        let units_left = self.gathered && !self.marks.units.is_empty();
        // A snapshot is made when all that goes into it has been looked at.
        while budget > 0
            && !units_left
            && let Some(host) = self.marks.hosts.pop_first()
        {
            count(cx, "Host");
            self.push(cx, &host);
            budget -= 1;
        }
        let quiet = !units_left && self.marks.services.is_empty() && self.marks.hosts.is_empty();
        while budget > 0
            && quiet
            && self.gathered
            && let Some(name) = self.marks.unit_statuses.pop_first()
        {
            self.unit_statuses(cx, &name);
            budget -= 1;
        }
        while budget > 0
            && quiet
            && let Some(host) = self.marks.host_statuses.pop_first()
        {
            self.host_status(cx, &host);
            budget -= 1;
        }
        while budget > 0
            && quiet
            && self.gathered
            && let Some(route) = self.marks.route_statuses.pop_first()
        {
            self.route_status(cx, &route);
            budget -= 1;
        }
        quiet
            && (!self.gathered
                || self.marks.units.is_empty()
                    && self.marks.unit_statuses.is_empty()
                    && self.marks.route_statuses.is_empty())
            && self.marks.services.is_empty()
            && self.marks.hosts.is_empty()
            && self.marks.host_statuses.is_empty()
    }

    /// When to look again if nothing happens before.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.timers.first().map(|it| it.0)
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((at, wake)) = self.timers.pop_first() {
            if at > cx.instant {
                self.timers.insert((at, wake));
                return;
            }
            match wake {
                Wake::Unit(name) => self.mark_unit(&name),
                Wake::Host(host) => {
                    self.refresh_host(cx, &host);
                    self.mark_host_status(&host);
                }
                Wake::Gathered => self.gather(cx),
                Wake::Spread => self.spread(),
                Wake::Peers => self.tell_peers(cx),
                Wake::Scale => self.autoscale(cx),
            }
        }
    }

    /// Placement begins when every host whose pod is ready has come, or has had the time that hosts are given.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let waited = cx.instant.saturating_duration_since(self.began);
        let missing = self.fleet.expected();
        if missing > 0 && waited < self.settings.host_grace {
            self.wake(cx.instant + GATHER, Wake::Gathered);
            return;
        }
        tracing::info!(?waited, missing, hosts = cx.hosts.connected(), "hosts have gathered");
        self.gathered = true;
    }

    /// Hosts have come: what has no place, or too much in one place, is looked at again.
    fn spread(&mut self) {
        self.spreading = false;
        let uneven = self.units.iter().filter(|(_, unit)| unit.could_spread()).map(|(name, _)| name.clone());
        let uneven: Vec<Name> = uneven.collect();
        self.marks.units.extend(uneven);
    }

    pub(super) const fn began(&self) -> Instant {
        self.began
    }

    // === marks ===

    pub(super) fn mark_unit(&mut self, name: &Name) {
        self.marks.units.insert(name.clone());
    }

    pub(super) fn mark_status(&mut self, name: &Name) {
        self.marks.unit_statuses.insert(name.clone());
    }

    pub(super) fn mark_service(&mut self, name: &Name) {
        self.marks.services.insert(name.clone());
    }

    pub(super) fn mark_host(&mut self, host: &HostId) {
        self.marks.hosts.insert(host.clone());
    }

    pub(super) fn mark_host_status(&mut self, host: &HostId) {
        self.marks.host_statuses.insert(host.clone());
    }

    pub(super) fn mark_route_status(&mut self, key: &RouteKey) {
        self.marks.route_statuses.insert(key.clone());
    }

    pub(super) fn wake(&mut self, at: Instant, wake: Wake) {
        self.timers.insert((at, wake));
    }

    pub(super) fn wake_spread(&mut self, cx: &Context<'_>) {
        if !self.spreading {
            self.spreading = true;
            self.wake(cx.instant + GATHER, Wake::Spread);
        }
    }

    /// Hosts hear of each other soon, but not more often than they say how loaded they are.
    pub(super) fn wake_peers(&mut self, cx: &Context<'_>) {
        if !self.telling {
            self.telling = true;
            let earliest = self.peers_told.map_or(cx.instant, |it| it + TELL);
            self.wake(earliest.max(cx.instant), Wake::Peers);
        }
    }

    fn tell_peers(&mut self, cx: &Context<'_>) {
        (self.telling, self.peers_told) = (false, Some(cx.instant));
        let hosts = self.fleet.spilling();
        let mut all: BTreeMap<HostId, _> = peers(&hosts).into_iter().map(|(id, it)| (HostId::from(id), it)).collect();
        for (id, record) in self.fleet.iter_mut() {
            let now = all.remove(id).unwrap_or_default();
            if *record.peers != now {
                record.peers = Arc::new(now);
                cx.hosts.tell_peers(id, record.peers.clone());
            }
        }
    }

    /// Marks what a change of the tables affects.
    pub(super) fn affect(&mut self, affected: Affected) {
        for deployment in affected.deployments {
            let name = split(&deployment);
            let hosts: Vec<HostId> = self.units.get(&name).into_iter().flat_map(Unit::hosts).cloned().collect();
            for host in hosts {
                self.mark_host(&host);
            }
            self.mark_status(&name);
        }
        for service in affected.services {
            self.mark_service(&service);
        }
        for ObjectKey { kind, namespace, name } in affected.objects {
            match kind.as_str() {
                "WorkloadDeployment" | "Workload" => self.mark_status(&Name::new(namespace, name)),
                "Service" => self.mark_service(&Name::new(namespace, name)),
                kind => {
                    if let Some(kind) = RouteKind::find(kind) {
                        self.mark_route_status(&kind.of(Name::new(namespace, name)));
                    }
                }
            }
        }
    }

    pub(crate) fn report(&self, metrics: &Metrics) {
        let waiting = self.marks.units.len()
            + self.marks.services.len()
            + self.marks.hosts.len()
            + self.marks.unit_statuses.len()
            + self.marks.host_statuses.len()
            + self.marks.route_statuses.len();
        let gauge = metrics.waiting.get_or_create(&"object".into()).clone();
        gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

fn count(cx: &Context<'_>, kind: &'static str) {
    cx.metrics.reconciled.get_or_create(&kind.into()).inc();
}

/// `namespace/name`.
pub(super) fn split(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap_or(("", text));
    Name::new(namespace, name)
}
