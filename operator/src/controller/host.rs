//! What happens with hosts: pods and streams come and go, reports come in, snapshots go out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use penstock_api::{
    HostStatus, labels,
    snapshot::{Listener, Share, Snapshot},
};

use super::{
    lead::{Context, Lead, Wake, split},
    objects,
    write::{Action, Key, Kind, body},
};
use crate::{
    hosts::{Hello, Report},
    plan::{HostId, HostState, Name, asks_the_same, drain::Leaving, names, snapshot_for, status},
};

/// How often numbers in a host's status may be written.
const STATUS_PAUSE: Duration = Duration::from_secs(5);

impl Lead {
    // === pods and nodes ===

    pub(super) fn pod_changed(&mut self, cx: &mut Context<'_>, name: &Name) {
        let id = HostId::from(name.name.as_str());
        let pod = cx.stores.pods.get(name);
        let node_name = pod.and_then(|it| it.spec.as_ref()?.node_name.clone());
        let node = node_name.and_then(|it| cx.stores.nodes.get(&Name::new("", it)));
        let host = cx.stores.hosts.get(name);
        let cordoned = host.is_some_and(|it| it.annotations().get(objects::CORDON).is_some_and(|it| it == "true"));
        let before = self.fleet.get(&id).map(|it| it.pod);
        let moved = self.fleet.set_pod(&id, pod.map(|it| &**it), node.map(|it| &**it), cordoned);
        let now = self.fleet.get(&id).map(|it| it.pod);
        if moved || before != now {
            // Its address, or whether it can be taken to serve.
            self.mark_shares(&id);
        }
        self.refresh_host(cx, &id);
        self.mark_host_status(&id);
    }

    pub(super) fn node_changed(&mut self, cx: &mut Context<'_>, node: &str) {
        let on = |id: &&HostId| self.fleet.get(id).is_some_and(|it| it.address.node.as_deref() == Some(node));
        let ids: Vec<HostId> = self.fleet.ids().filter(on).cloned().collect();
        for id in ids {
            self.pod_changed(cx, &Name::new(&*self.settings.namespace.clone(), id.as_str()));
        }
    }

    pub(super) fn host_object_changed(&mut self, cx: &mut Context<'_>, id: &HostId) {
        let name = Name::new(&*self.settings.namespace.clone(), id.as_str());
        self.pod_changed(cx, &name);
    }

    /// Brings a host's state up to date, and what follows from it.
    pub(super) fn refresh_host(&mut self, cx: &mut Context<'_>, id: &HostId) {
        let (before, state, again) = self.fleet.settle(id, cx.instant, self.began(), self.settings.host_grace);
        if let Some(at) = again {
            self.wake(at, Wake::Host(id.clone()));
        }
        if before != state {
            tracing::info!(host = %id, ?before, now = ?state, "a host's state");
            self.mark_shares(id);
            self.mark_host_status(id);
            if self.fleet.get(id).is_some_and(|it| !it.spilling.is_empty()) {
                self.wake_peers(cx);
            }
            if state == HostState::Live {
                self.wake_spread(cx);
            }
            if state == HostState::Lost {
                cx.board.forget_host(id.as_str());
            }
        } else if state != HostState::Live && self.fleet.get(id).is_some_and(|it| !it.shares.is_empty()) {
            // Asked for by a timer: what it has may have to go now.
            self.mark_shares(id);
        }
        self.fleet.forget_if_gone(id);
    }

    /// Everything that a host has a share of is looked at again.
    fn mark_shares(&mut self, id: &HostId) {
        let units: BTreeSet<Name> =
            self.fleet.get(id).into_iter().flat_map(|it| &it.shares).map(|(name, _)| name.clone()).collect();
        for unit in units {
            self.mark_unit_and_services(&unit);
        }
    }

    pub(super) fn mark_unit_and_services(&mut self, unit: &Name) {
        self.mark_unit(unit);
        let services: Vec<Name> = self.tables.services_of(&unit.to_string()).cloned().collect();
        for service in services {
            self.mark_service(&service);
        }
    }

    // === streams ===

    pub(super) fn connected(&mut self, cx: &mut Context<'_>, hello: Hello) {
        let id = hello.host.clone();
        let record = self.fleet.entry(&id);
        if record.pod.exists && *record.address.pod_uid != *hello.pod_uid {
            record.report = None;
        }
        record.version = record.version.max(hello.snapshot_version);
        // What it has on its disk is not known here, so it is told in any case.
        record.pushed = None;
        record.peers = Arc::default();
        record.connected = true;
        record.away_since = None;
        record.hello = Some(hello);
        self.refresh_host(cx, &id);
        self.mark_host(&id);
        self.mark_host_status(&id);
    }

    pub(super) fn disconnected(&mut self, cx: &mut Context<'_>, id: &HostId) {
        let Some(record) = self.fleet.get_mut(id) else { return };
        record.connected = false;
        record.loads.clear();
        record.away_since = Some(cx.instant);
        self.mark_shares(id);
        self.refresh_host(cx, id);
        self.mark_host_status(id);
    }

    pub(super) fn reported(&mut self, cx: &mut Context<'_>, id: &HostId, report: &Arc<Report>, changed: &[String]) {
        let Some(record) = self.fleet.get_mut(id) else { return };
        let before = record.report.replace(report.clone());
        let mut units: BTreeSet<Name> = match &before {
            Some(_) => changed.iter().filter_map(|it| names::deployment_of(it)).collect(),
            // Until now the Workloads' statuses counted.
            None => record.shares.iter().map(|it| it.0.clone()).collect(),
        };
        if before.is_none() {
            self.mark_host(id);
        }
        let Some(record) = self.fleet.get_mut(id) else { return };
        if before.as_ref().map_or(0, |it| it.follows) != report.follows {
            units.extend(std::mem::take(&mut record.awaited_by));
        }
        let bound = |report: &Report, name: &str| report.listeners.get(name).map(|it| it.bound);
        let names = report.listeners.keys().chain(before.iter().flat_map(|it| it.listeners.keys()));
        let differs = |name: &&String| before.as_ref().and_then(|it| bound(it, name)) != bound(report, name);
        let services: BTreeSet<Name> = names.filter(differs).filter_map(|it| service_of(it)).collect();
        let leaves = report.leaving != before.as_ref().is_some_and(|it| it.leaving);
        for unit in units {
            self.mark_unit_and_services(&unit);
        }
        for service in services {
            self.mark_service(&service);
        }
        if self.fleet.get(id).is_some_and(|it| !it.spilling.is_empty()) {
            self.wake_peers(cx);
        }
        if leaves {
            self.refresh_host(cx, id);
        }
        self.mark_host_status(id);
    }

    // === snapshots ===

    /// Tells a host what it should run and route, if that is not what it was told last.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, id: &HostId) {
        let Some(record) = self.fleet.get(id).filter(|it| it.connected) else { return };
        let version = record.version + 1;
        let shares: Vec<_> = (record.shares.iter())
            .filter_map(|(unit, revision)| self.host_share(cx, unit, revision, id, record))
            .collect();
        let snapshot = snapshot_for(version, &shares, &self.tables);
        if record.pushed.as_ref().is_some_and(|it| asks_the_same(it, &snapshot)) {
            let version = record.version;
            self.left_out(id, version);
            return;
        }
        let affected = self.differing(record.pushed.as_deref(), &snapshot);
        let snapshot = Arc::new(snapshot);
        let Some(record) = self.fleet.get_mut(id) else { return };
        record.version = version;
        record.pushed = Some(snapshot.clone());
        record.awaited_by.extend(affected.iter().cloned());
        record.is_given(&snapshot.shares);
        if !record.spilling.is_empty() || !record.peers.peers.is_empty() {
            self.wake_peers(cx);
        }
        self.left_out(id, version);
        for name in affected {
            if let Some(unit) = self.units.get_mut(&name) {
                unit.unacked.insert(id.clone(), version);
            }
            self.mark_status(&name);
        }
        cx.metrics.snapshots.inc();
        if !cx.hosts.push(id, snapshot) {
            tracing::debug!(host = %id, "a host left before it could be told");
        }
    }

    /// Deployments for which a snapshot is another than the one before.
    fn differing(&self, before: Option<&Snapshot>, after: &Snapshot) -> BTreeSet<Name> {
        let empty = Snapshot::default();
        let before = before.unwrap_or(&empty);
        let changed = changed(&by_id(&before.shares), &by_id(&after.shares));
        let mut names: BTreeSet<Name> = changed.iter().filter_map(|it| names::deployment_of(it)).collect();
        for listener in self::changed(&by_name(&before.listeners), &by_name(&after.listeners)) {
            let Some(table) = service_of(listener).and_then(|it| self.tables.service(&it)) else { continue };
            names.extend(table.deployments.iter().map(|it| split(it)));
        }
        names
    }

    // === objects ===

    /// Writes the Host object and its status, if they differ.
    pub(super) fn host_status(&mut self, cx: &mut Context<'_>, id: &HostId) {
        let name = Name::new(&*self.settings.namespace, id.as_str());
        let (Some(record), Some(pod)) = (self.fleet.get(id), cx.stores.pods.get(&name)) else { return };
        let Some(hello) = record.hello.as_ref().filter(|_| !record.pod.deleting) else { return };
        let group = pod.labels().get(labels::HOST_GROUP);
        let wanted = objects::host(pod, group, self.settings.shared_port);
        let stored = cx.stores.hosts.get(&name);
        let key = Key::object(Kind::Host, &name);
        let same = stored.is_some_and(|it| it.spec == wanted.spec && objects::has_meta(&it.metadata, &wanted.metadata));
        if same {
            cx.writes.cancel(&key);
        } else {
            cx.writes.set(key, Action::Apply(body(&wanted)), None);
        }
        let Some(stored) = stored else { return };
        let before = stored.status.as_ref();
        let report = record.report.as_ref();
        let unbound = report.into_iter().flat_map(|it| &it.listeners).find(|(_, it)| !it.bound);
        let unbound_why = unbound.map(|(_, it)| it.errors.join("; ")).unwrap_or_default();
        let facts = status::HostStatusFacts {
            generation: stored.metadata.generation,
            state: self.fleet.state(id),
            connected: record.connected,
            refused: report.and_then(|it| it.refused.as_deref()),
            unbound: unbound.map(|(name, _)| (name.as_str(), unbound_why.as_str())),
        };
        let conditions = status::host(before, &facts, cx.now);
        let count = |it: usize| i64::try_from(it).ok();
        let shares = record.pushed.as_ref().map(|it| &it.shares);
        let mut after = HostStatus {
            conditions,
            version: Some(hello.version.clone()),
            os_name: Some(hello.os_name.clone()),
            os_arch: Some(hello.os_arch.clone()),
            os_kernel: Some(hello.os_kernel.clone()),
            component_count: shares.and_then(|it| count(it.iter().map(|it| it.components.len()).sum())),
            workload_count: shares.and_then(|it| count(it.len())),
            system_memory_total: i64::try_from(record.machine.memory_total).ok().filter(|it| *it > 0),
            ..before.cloned().unwrap_or_default()
        };
        let key = Key::status(Kind::Host, &name);
        if before == Some(&after) {
            cx.writes.cancel(&key);
            return;
        }
        // Numbers that change all the time are told together with something else, never for their own sake.
        if record.machine.memory_total > 0 {
            after.system_cpu_usage = Some(format!("{:.1}", record.machine.cpu_percent));
            after.system_memory_free = i64::try_from(record.machine.memory_free).ok();
        }
        after.last_seen = record.connected.then_some(Time(cx.now)).or(after.last_seen);
        let urgent = before.map(|it| &it.conditions) != Some(&after.conditions);
        let due = (!urgent).then(|| cx.instant + STATUS_PAUSE);
        if !urgent && cx.writes.is_pending(&key) {
            // It is put off once, then looked at again: its time would make every version of it another.
            self.wake(cx.instant + STATUS_PAUSE, Wake::Host(id.clone()));
            return;
        }
        cx.writes.set(key, Action::Apply(objects::status_body::<penstock_api::Host>(&name, &after)), due);
    }

    /// Whether a share is in its host's snapshot.
    pub(super) const fn in_snapshot(leaving: Leaving) -> bool {
        matches!(leaving, Leaving::No | Leaving::Announced)
    }
}

fn by_id(shares: &[Share]) -> BTreeMap<&str, &Share> {
    shares.iter().map(|it| (it.id.as_str(), it)).collect()
}

fn by_name(listeners: &[Listener]) -> BTreeMap<&str, &Listener> {
    listeners.iter().map(|it| (it.name.as_str(), it)).collect()
}

/// Keys whose values differ, or that only one of the two has.
fn changed<'a, V: PartialEq>(a: &BTreeMap<&'a str, &V>, b: &BTreeMap<&'a str, &V>) -> BTreeSet<&'a str> {
    let differs = |key: &&str| a.get(key) != b.get(key);
    a.keys().chain(b.keys()).copied().filter(differs).collect()
}

/// The Service of a listener, `namespace/service:port-name`.
fn service_of(listener: &str) -> Option<Name> {
    let (service, _) = listener.rsplit_once(':')?;
    Some(split(service))
}
