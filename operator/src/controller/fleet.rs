//! The hosts: their pods, their streams, what they say and what they have been given.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use penstock_api::{
    control, labels,
    snapshot::{Share, Snapshot},
};
use tokio::time::Instant;

use crate::{
    hosts::{Hello, MachineSignal, Report, ShareSignal, ShareState},
    plan::{HostAddress, HostId, HostState, HostView, Name, SpillingHost},
};

/// Hosts that a new leader has never heard of have so many times the grace of others: after an outage of the API server, which
/// takes the operators' leadership, hosts try again in longer and longer pauses, and their pods are not ready because their
/// nodes were not heard of either. Nobody is to lose an endpoint for that.
const UNHEARD: u32 = 3;

/// The node's label with its zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// All hosts that have a pod, a stream or a share.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    /// As planning sees them.
    views: Vec<HostView>,
    records: HashMap<HostId, HostRecord>,
}

/// What is known of a host.
#[derive(Debug, Default)]
pub(crate) struct HostRecord {
    /// Its place among the views.
    index: usize,
    pub(super) address: Arc<HostAddress>,
    pub(super) pod: PodFacts,
    pub(super) cordoned: bool,
    pub(super) hello: Option<Hello>,
    pub(super) connected: bool,
    /// Since when its stream is gone.
    pub(super) away_since: Option<Instant>,
    /// Whether this leader has not heard of it yet, and still may: then it is taken to serve what its Workloads say.
    awaited: bool,
    pub(super) report: Option<Arc<Report>>,
    pub(super) machine: MachineSignal,
    /// Its shares that pass calls on and take those of others, with the calls at once that each is good for.
    pub(super) spilling: BTreeMap<String, u64>,
    /// What it said last of their load: calls running and waiting.
    pub(super) loads: HashMap<String, u64>,
    /// What it was told of its peers.
    pub(super) peers: Arc<control::Peers>,
    /// The version of the newest snapshot.
    pub(super) version: u64,
    pub(super) pushed: Option<Arc<Snapshot>>,
    /// Its shares: deployment and revision.
    pub(super) shares: BTreeSet<(Name, String)>,
    /// Deployments that wait for it to follow a snapshot.
    pub(super) awaited_by: BTreeSet<Name>,
}

/// What its pod says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) exists: bool,
    pub(super) deleting: bool,
    pub(super) ready: bool,
    pub(super) ended: bool,
}

// === impl Fleet ===

impl Fleet {
    pub(crate) fn views(&self) -> &[HostView] {
        &self.views
    }

    pub(crate) fn get(&self, id: &HostId) -> Option<&HostRecord> {
        self.records.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &HostId) -> Option<&mut HostRecord> {
        self.records.get_mut(id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&HostId, &mut HostRecord)> {
        self.records.iter_mut()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &HostId> {
        self.records.keys()
    }

    pub(crate) fn state(&self, id: &HostId) -> HostState {
        let record = self.records.get(id);
        record.and_then(|it| self.views.get(it.index)).map_or(HostState::Lost, |it| it.state)
    }

    pub(super) fn view_mut(&mut self, id: &HostId) -> Option<&mut HostView> {
        self.views.get_mut(self.records.get(id)?.index)
    }

    /// The record, made if it is not there.
    pub(super) fn entry(&mut self, id: &HostId) -> &mut HostRecord {
        let views = &mut self.views;
        self.records.entry(id.clone()).or_insert_with(|| {
            views.push(HostView { id: id.clone(), state: HostState::Lost, ..HostView::default() });
            HostRecord { index: views.len() - 1, ..HostRecord::default() }
        })
    }

    /// Forgets a host that has no pod, no stream and no share any more.
    pub(super) fn forget_if_gone(&mut self, id: &HostId) {
        let gone = self.records.get(id).is_some_and(|it| !it.pod.exists && !it.connected && it.shares.is_empty());
        if !gone {
            return;
        }
        if let Some(record) = self.records.remove(id) {
            self.views.swap_remove(record.index);
            let moved = self.views.get(record.index).map(|it| it.id.clone());
            if let Some(moved) = moved.and_then(|it| self.records.get_mut(&it)) {
                moved.index = record.index;
            }
        }
    }

    /// Hosts whose pods are ready, or had shares before, and whose streams are not here.
    pub(crate) fn expected(&self) -> usize {
        let expected = |it: &&HostRecord| !it.pod.deleting && !it.connected && (it.pod.ready || it.awaited);
        self.records.values().filter(expected).count()
    }

    /// How loaded a host is. Returns whether shares that spill are among what has changed.
    pub(crate) fn loaded(&mut self, id: &HostId, machine: MachineSignal, signals: Vec<ShareSignal>) -> bool {
        let Some(record) = self.records.get_mut(id) else { return false };
        record.machine = machine;
        let mut any = false;
        for signal in signals.into_iter().filter(|it| record.spilling.contains_key(&it.share)) {
            any = true;
            record.loads.insert(signal.share, signal.counters.in_flight + signal.counters.queued);
        }
        any
    }

    /// Hosts that take calls of others, with those of their shares that do.
    pub(super) fn spilling(&self) -> Vec<SpillingHost<'_>> {
        let host = |(id, record): (_, &HostRecord)| {
            let there = record.connected && matches!(self.state(id), HostState::Live | HostState::Cordoned);
            let port = record.hello.as_ref().filter(|_| there)?.peer_port?;
            let address = SocketAddr::new(*record.address.addresses.first()?, port);
            Some(SpillingHost { id: id.as_str(), address, shares: record.spilling_shares() })
        };
        self.records.iter().filter_map(host).filter(|it| !it.shares.is_empty()).collect()
    }

    /// Takes in what a pod and its node say. Returns whether its address is another now.
    pub(super) fn set_pod(&mut self, id: &HostId, pod: Option<&Pod>, node: Option<&Node>, cordoned: bool) -> bool {
        let record = self.entry(id);
        let Some(pod) = pod else {
            record.pod = PodFacts::default();
            return false;
        };
        let status = pod.status.as_ref();
        let conditions = status.and_then(|it| it.conditions.as_ref());
        let ready = conditions.is_some_and(|it| it.iter().any(|it| it.type_ == "Ready" && it.status == "True"));
        let uid: Arc<str> = pod.uid().unwrap_or_default().into();
        if record.pod.exists && *record.address.pod_uid != *uid {
            // Another pod of the same name: nothing that was known counts any more.
            record.report = None;
            record.hello = None;
            record.pushed = None;
        }
        record.pod = PodFacts {
            exists: true,
            deleting: pod.metadata.deletion_timestamp.is_some(),
            ready,
            ended: status.and_then(|it| it.phase.as_deref()).is_some_and(|it| matches!(it, "Failed" | "Succeeded")),
        };
        let unschedulable = node.and_then(|it| it.spec.as_ref()?.unschedulable).unwrap_or(false);
        record.cordoned = cordoned || unschedulable;
        let zone: Option<Arc<str>> = node.and_then(|it| it.labels().get(ZONE)).map(|it| it.as_str().into());
        let address = HostAddress {
            id: id.clone(),
            namespace: pod.namespace().unwrap_or_default().into(),
            pod_uid: uid,
            node: pod.spec.as_ref().and_then(|it| it.node_name.as_deref()).map(Into::into),
            zone: zone.clone(),
            addresses: addresses(pod),
        };
        let changed = *record.address != address;
        if changed {
            record.address = Arc::new(address);
        }
        let environment = record.address.namespace.clone();
        let labels = host_labels(pod);
        if let Some(view) = self.view_mut(id) {
            view.zone = zone;
            view.environment = environment;
            if *view.labels != labels {
                view.labels = Arc::new(labels);
            }
        }
        changed
    }

    /// Brings a host's state up to date. Returns the states before and now, and when to look again.
    pub(super) fn settle(
        &mut self,
        id: &HostId,
        now: Instant,
        began: Instant,
        grace: Duration,
    ) -> (HostState, HostState, Option<Instant>) {
        let Some(record) = self.records.get_mut(id) else { return (HostState::Lost, HostState::Lost, None) };
        let (state, again) = record.state(now, began, grace);
        record.awaited = again.is_some() && record.away_since.is_none();
        let Some(view) = self.views.get_mut(record.index) else { return (state, state, again) };
        let before = view.state;
        view.state = state;
        view.capacity = record.hello.as_ref().map(|it| it.instances).filter(|it| *it > 0);
        (before, state, again)
    }
}

// === impl HostRecord ===

impl HostRecord {
    /// What a host is good for. One whose stream is gone goes on as before for a while; then others get what it has, and
    /// it keeps its endpoints as long as its pod is ready and nobody has taken over.
    fn state(&self, now: Instant, began: Instant, grace: Duration) -> (HostState, Option<Instant>) {
        let there = if self.cordoned { HostState::Cordoned } else { HostState::Live };
        if !self.pod.exists || self.pod.ended {
            return (HostState::Lost, None);
        }
        if self.pod.deleting || self.report.as_ref().is_some_and(|it| it.leaving) {
            return (if self.connected { HostState::Terminating } else { HostState::Lost }, None);
        }
        if self.connected {
            return (there, None);
        }
        if self.hello.is_none() && self.shares.is_empty() {
            return (HostState::Lost, None);
        }
        let until = self.given_up_at(began, grace);
        if now < until {
            return (there, Some(until));
        }
        (if self.pod.ready { HostState::Cordoned } else { HostState::Lost }, None)
    }

    /// Whether its stream has been gone for so long that it is not waited for.
    pub(super) fn given_up(&self, now: Instant, began: Instant, grace: Duration) -> bool {
        !self.connected && now >= self.given_up_at(began, grace)
    }

    fn given_up_at(&self, began: Instant, grace: Duration) -> Instant {
        self.away_since.map_or_else(|| began + grace * UNHEARD, |it| it + grace)
    }

    /// Whether it can be taken to serve what it has: as long as its stream is there or its pod is ready, or it is awaited.
    pub(super) const fn serves(&self) -> bool {
        self.connected || self.pod.ready || self.awaited
    }

    /// It is told to run these.
    pub(super) fn is_given(&mut self, shares: &[Share]) {
        let spilling = shares.iter().filter(|it| it.capacity.spill);
        let capacity = |it: &Share| u64::from(it.replicas) * u64::from(it.capacity.concurrency);
        self.spilling = spilling.map(|it| (it.id.clone(), capacity(it))).collect();
        self.loads.retain(|share, _| self.spilling.contains_key(share));
    }

    /// Its shares that take calls of others: those that are ready.
    fn spilling_shares(&self) -> Vec<control::PeerShare> {
        let Some(report) = &self.report else { return Vec::new() };
        let ready = |id: &str| report.shares.get(id).is_some_and(|it| it.state == ShareState::Ready);
        let share = |(id, capacity): (&String, &u64)| control::PeerShare {
            id: id.clone(),
            capacity: *capacity,
            in_flight: self.loads.get(id).copied().unwrap_or(0),
        };
        self.spilling.iter().filter(|(id, _)| ready(id)).map(share).collect()
    }

    /// The last snapshot that it has taken in.
    pub(super) fn follows(&self) -> u64 {
        self.report.as_ref().map_or(0, |it| it.follows)
    }
}

/// One address of each family.
fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let status = pod.status.as_ref();
    let first = status.and_then(|it| it.pod_ip.as_deref());
    let others = status.into_iter().flat_map(|it| it.pod_ips.iter().flatten()).map(|it| it.ip.as_str());
    let mut found: Vec<IpAddr> = Vec::new();
    for address in first.into_iter().chain(others).filter_map(|it| it.parse::<IpAddr>().ok()) {
        if !found.iter().any(|it| it.is_ipv4() == address.is_ipv4()) {
            found.push(address);
        }
    }
    found
}

/// What `hostSelector` can select by: the pod's labels, and its group under its short name.
fn host_labels(pod: &Pod) -> std::collections::BTreeMap<String, String> {
    let mut all = pod.labels().clone();
    if let Some(group) = all.get(labels::HOST_GROUP).cloned() {
        all.insert(labels::SELECTOR_HOST_GROUP.to_owned(), group);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_vanishes_keeps_what_it_has_for_a_while() {
        let began = Instant::now();
        let grace = Duration::from_secs(10);
        let late = began + grace;
        let ready = PodFacts { exists: true, ready: true, ..PodFacts::default() };
        let unready = PodFacts { exists: true, ..PodFacts::default() };
        let hello = || Some(Hello::default());
        let case = |record: HostRecord, now| record.state(now, began, grace).0;
        let base = HostRecord::default;
        // No pod.
        assert_eq!(case(HostRecord { connected: true, ..base() }, began), HostState::Lost);
        // Connected.
        assert_eq!(case(HostRecord { connected: true, pod: ready, ..base() }, began), HostState::Live);
        assert_eq!(
            case(HostRecord { connected: true, pod: ready, cordoned: true, ..base() }, began),
            HostState::Cordoned
        );
        // Its pod is being deleted.
        let deleting = PodFacts { deleting: true, ..ready };
        assert_eq!(case(HostRecord { connected: true, pod: deleting, ..base() }, began), HostState::Terminating);
        assert_eq!(case(HostRecord { pod: deleting, hello: hello(), ..base() }, began), HostState::Lost);
        // Away.
        for (pod, then) in [(ready, HostState::Cordoned), (unready, HostState::Lost)] {
            let away = || HostRecord { pod, hello: hello(), away_since: Some(began), ..base() };
            assert_eq!(case(away(), began), HostState::Live);
            assert_eq!(case(away(), late), then);
            assert_eq!(away().state(began, began, grace).1, Some(late));
        }
        // Not heard of by this leader.
        let unheard = || {
            let shares = [(Name::new("ns", "a"), "1".to_owned())].into();
            HostRecord { pod: unready, shares, ..base() }
        };
        assert_eq!(case(unheard(), late), HostState::Live);
        assert_eq!(case(unheard(), began + grace * UNHEARD), HostState::Lost);
        // One that has never come gets nothing.
        assert_eq!(case(HostRecord { pod: ready, ..base() }, began), HostState::Lost);
    }

    #[test]
    fn a_new_leader_takes_hosts_to_serve_until_it_has_waited_for_them() {
        let (began, grace, id) = (Instant::now(), Duration::from_secs(10), HostId::from("a"));
        let mut fleet = Fleet::default();
        let record = fleet.entry(&id);
        record.pod = PodFacts { exists: true, ..PodFacts::default() };
        record.shares = [(Name::new("ns", "a"), "1".to_owned())].into();
        let end = began + grace * UNHEARD;
        assert_eq!(fleet.settle(&id, began, began, grace), (HostState::Lost, HostState::Live, Some(end)));
        assert_eq!((fleet.expected(), fleet.records[&id].serves()), (1, true));
        assert_eq!(fleet.settle(&id, end, began, grace), (HostState::Live, HostState::Lost, None));
        assert_eq!((fleet.expected(), fleet.records[&id].serves()), (0, false));
    }

    #[test]
    fn places_stay_right_when_hosts_go() {
        let mut fleet = Fleet::default();
        let ids: Vec<HostId> = ["a", "b", "c"].iter().map(|it| HostId::from(*it)).collect();
        for id in &ids {
            fleet.entry(id).pod.exists = true;
        }
        fleet.entry(&ids[0]).pod.exists = false;
        fleet.forget_if_gone(&ids[0]);
        assert!(fleet.get(&ids[0]).is_none());
        for id in &ids[1..] {
            assert_eq!(fleet.view_mut(id).map(|it| it.id.clone()).as_ref(), Some(id));
        }
        assert_eq!(fleet.views().len(), 2);
    }
}
