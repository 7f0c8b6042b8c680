//! A deployment: from what it says and how its shares are, to ReplicaSets and Workloads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use penstock_api::{
    TrafficPolicy, Workload, WorkloadDeployment, WorkloadReplicaSet, conditions, labels, snapshot::Share,
};

use super::{
    events_of,
    fleet::HostRecord,
    lead::{Context, Lead, Wake},
    objects::{self, controller_of},
    stores::Stores,
    write::{Action, Key, Kind, body},
};
use crate::{
    events::Weight,
    hosts::ShareState,
    plan::{
        DeploymentFacts, DeploymentStep, HostId, HostShare, HostState, HostView, Name, Phase, ReplicaSetFacts,
        Resolved, Spread, Values, WantedReplicaSet, WorkloadFacts, deployment_step,
        drain::{self, Leaving, LeavingFacts},
        names, resolve_deployment, resolve_replica_set, resolve_workload, revisions,
    },
};

/// A deployment, or a Workload of its own.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// Whether it is a Workload of its own, which no deployment made: then that is its only object.
    pub(super) alone: bool,
    pub(super) resolved: Option<Resolved>,
    /// What a share of each revision is.
    contents: BTreeMap<String, Arc<Share>>,
    /// The same for revisions that refer to something that is gone: good enough for hosts that run them already.
    remains: BTreeMap<String, Arc<Share>>,
    /// ReplicaSets as they were decided last.
    sets: BTreeMap<String, WantedReplicaSet>,
    /// Shares by revision and host.
    pub(super) shares: BTreeMap<(String, HostId), ShareRecord>,
    pub(super) step: DeploymentStep,
    /// Hosts that have been sent something new about it, with the snapshot's version.
    pub(super) unacked: BTreeMap<HostId, u64>,
    /// What counts as progress, and since when it has not changed.
    pub(super) progress: Option<(Progress, Timestamp)>,
    /// What Events have said that still is so.
    pub(super) told: BTreeSet<(String, String)>,
}

/// A share on a host.
#[derive(Debug, Default)]
pub(crate) struct ShareRecord {
    /// Whether it is to be there, as was decided last.
    wanted: bool,
    /// Replicas, as were decided or written last.
    pub(super) target: u32,
    /// Whether its Workload has been seen.
    existed: bool,
    pub(super) leaving: Leaving,
    /// The first snapshot without it.
    pub(super) left_out_in: Option<u64>,
    ready_since: Option<Timestamp>,
}

/// What counts as progress of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(super) revision: String,
    pub(super) wanted: u32,
    pub(super) current: u32,
    pub(super) ready: u32,
    pub(super) updated_ready: u32,
}

/// How a share is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// None: nothing has been heard of it.
    pub(super) state: Option<ShareState>,
    pub(super) message: Option<String>,
    pub(super) ready: u32,
    /// If it is known: since when it has been ready.
    since: Option<Timestamp>,
}

impl ShareRecord {
    /// Whether it is to be there.
    pub(super) const fn is_wanted(&self) -> bool {
        self.wanted
    }
}

impl Unit {
    /// Hosts that have a share of it.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.shares.keys().map(|it| &it.1)
    }

    /// The Workload of a share.
    pub(super) fn workload(&self, name: &Name, revision: &str, host: &HostId) -> Name {
        if self.alone { name.clone() } else { Name::new(&name.namespace, names::workload(&name.name, revision, host)) }
    }

    /// Whether more hosts could change anything about where it runs.
    pub(super) fn could_spread(&self) -> bool {
        self.step.unplaced > 0 || self.step.selected == 0 || self.shares.values().any(|it| it.target > 1)
    }
}

impl Lead {
    // === what it is ===

    /// Resolves a deployment again, and tells the tables.
    pub(super) fn refresh(&mut self, cx: &mut Context<'_>, name: &Name) {
        let deployment = present(cx.stores, name);
        let resolved = match (deployment, present_alone(cx.stores, name)) {
            (Some(deployment), _) => resolve_deployment(deployment, cx.stores),
            (None, Some(workload)) => resolve_workload(workload, cx.stores),
            (None, None) => return,
        };
        self.autoscaling_changed(cx, name);
        let unit = self.units.entry(name.clone()).or_default();
        unit.alone = deployment.is_none();
        if let Some(share) = &resolved.share {
            // Content of the same name is the same; the one that is there is shared by snapshots.
            unit.contents.entry(share.revision.clone()).or_insert_with(|| share.clone());
        }
        let services: BTreeSet<Name> = resolved.routing.services().collect();
        let sources = resolved.sources.clone();
        let before = unit.resolved.replace(resolved.clone());
        let (sources_before, services_before, routing_before) = match before {
            Some(it) => (it.sources.clone(), it.routing.services().collect(), Some(it.routing)),
            None => Default::default(),
        };
        exchange(&mut self.by_source, name, &sources_before, &sources);
        exchange(&mut self.by_service, name, &services_before, &services);
        if routing_before.as_ref() != Some(&resolved.routing) {
            let affected = self.tables.set_deployment(name, Some(resolved.routing));
            self.affect(affected);
        }
        for service in services.symmetric_difference(&services_before) {
            self.service_changed(cx, service);
        }
    }

    /// Forgets a deployment that is gone and has no share left.
    fn forget_unit(&mut self, cx: &mut Context<'_>, name: &Name) {
        cx.board.forget(name);
        self.autoscaling_changed(cx, name);
        let Some(unit) = self.units.remove(name) else { return };
        let affected = self.tables.set_deployment(name, None);
        self.affect(affected);
        if let Some(resolved) = unit.resolved {
            let services = resolved.routing.services().collect();
            exchange(&mut self.by_source, name, &resolved.sources, &BTreeSet::new());
            exchange(&mut self.by_service, name, &services, &BTreeSet::new());
            for service in services {
                self.service_changed(cx, &service);
            }
        }
        cx.writes.cancel(&Key::status(Kind::Deployment, name));
    }

    // === its Workloads ===

    /// A Workload is another now.
    pub(super) fn workload_changed(
        &mut self,
        cx: &mut Context<'_>,
        old: Option<&Arc<Workload>>,
        new: Option<&Arc<Workload>>,
    ) {
        let Some(object) = new.or(old) else { return };
        if object.metadata.owner_references.iter().flatten().all(|it| it.kind != "WorkloadReplicaSet") {
            self.alone_changed(cx, old, new, &super::store::name_of(&**object));
            return;
        }
        let Some((name, revision, host)) = identity(cx.stores, object) else {
            // Somebody has edited what it is by: its deployment puts it right.
            if let Some(unit) = owner_of(cx.stores, object) {
                self.mark_unit(&unit);
            }
            return;
        };
        let own = Name::new(&name.namespace, object.name_any());
        let key = Key::object(Kind::Workload, &own);
        let share = (revision, host.clone());
        match new {
            Some(new) => {
                if cx.writes.is_deleting(&key) && !self.has_share(&name, &share) {
                    return;
                }
                let pending = cx.writes.is_pending(&key);
                let replicas = new.spec.replicas.unwrap_or(1);
                let record = self.share_entry(&name, &share);
                record.existed = true;
                if !pending {
                    self.set_target(&name, &share, replicas);
                }
                self.ensure_content(cx, &name, &share.0);
                let status_only = old.is_some_and(|old| old.spec == new.spec);
                if status_only {
                    self.mark_status(&name);
                } else {
                    self.mark_host(&host);
                    self.mark_unit(&name);
                }
            }
            None if self.has_share(&name, &share) => {
                self.mark_host(&host);
                self.mark_unit(&name);
            }
            None => self.mark_status(&name),
        }
    }

    /// A Workload of its own is another now.
    fn alone_changed(
        &mut self,
        cx: &mut Context<'_>,
        old: Option<&Arc<Workload>>,
        new: Option<&Arc<Workload>>,
        name: &Name,
    ) {
        match (old, new) {
            (Some(old), Some(new)) if old.spec == new.spec => self.mark_status(name),
            _ => {
                self.refresh(cx, name);
                let hosts: Vec<HostId> = self.units.get(name).into_iter().flat_map(Unit::hosts).cloned().collect();
                for host in hosts {
                    self.mark_host(&host);
                }
                self.mark_unit(name);
            }
        }
    }

    fn has_share(&self, name: &Name, share: &(String, HostId)) -> bool {
        self.units.get(name).is_some_and(|it| it.shares.contains_key(share))
    }

    fn share_entry(&mut self, name: &Name, share: &(String, HostId)) -> &mut ShareRecord {
        let host = self.fleet.entry(&share.1);
        host.shares.insert((name.clone(), share.0.clone()));
        let unit = self.units.entry(name.clone()).or_default();
        unit.shares.entry(share.clone()).or_insert_with(|| ShareRecord { wanted: true, ..ShareRecord::default() })
    }

    fn set_target(&mut self, name: &Name, share: &(String, HostId), replicas: u32) {
        let Some(record) = self.units.get_mut(name).and_then(|it| it.shares.get_mut(share)) else { return };
        let before = std::mem::replace(&mut record.target, replicas);
        if let Some(view) = self.fleet.view_mut(&share.1) {
            view.used = view.used.saturating_sub(before).saturating_add(replicas);
        }
    }

    fn drop_share(&mut self, name: &Name, share: &(String, HostId)) {
        self.set_target(name, share, 0);
        if let Some(unit) = self.units.get_mut(name) {
            unit.shares.remove(share);
            if !unit.shares.keys().any(|it| it.1 == share.1) {
                unit.unacked.remove(&share.1);
            }
        }
        if let Some(host) = self.fleet.get_mut(&share.1) {
            host.shares.remove(&(name.clone(), share.0.clone()));
        }
        self.fleet.forget_if_gone(&share.1);
    }

    /// Sees to it that a revision's content is known, as well as it can be.
    fn ensure_content(&mut self, cx: &Context<'_>, name: &Name, revision: &str) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if unit.contents.contains_key(revision) {
            return;
        }
        let set = Name::new(&name.namespace, names::replica_set(&name.name, revision));
        let Some(set) = cx.stores.replica_sets.get(&set) else { return };
        // Its own deployment may be gone already, then the revision alone says what the share is.
        let made;
        let deployment = match cx.stores.deployments.get(name) {
            Some(it) => it,
            None => {
                made = Arc::new(orphan(name, set));
                &made
            }
        };
        match resolve_replica_set(deployment, set, revision, cx.stores).share {
            Some(share) => drop(unit.contents.insert(revision.to_owned(), share)),
            None => {
                if let Some(share) = resolve_replica_set(deployment, set, revision, &Lenient(cx.stores)).share {
                    unit.remains.insert(revision.to_owned(), share);
                }
            }
        }
    }

    /// A share as its host is to have it; none if it is to have none.
    pub(super) fn host_share(
        &self,
        cx: &Context<'_>,
        name: &Name,
        revision: &str,
        host: &HostId,
        told: &HostRecord,
    ) -> Option<HostShare> {
        let unit = self.units.get(name)?;
        let record = unit.shares.get(&(revision.to_owned(), host.clone()))?;
        if !Self::in_snapshot(record.leaving) {
            return None;
        }
        let own = unit.workload(name, revision, host);
        // What is to be there is written first, so that another operator knows it too. What somebody has deleted drains.
        let replicas = match cx.stores.workloads.get(&own) {
            Some(stored) => stored.spec.replicas.unwrap_or(1),
            None if record.existed => record.target,
            None => return None,
        };
        let id = || names::share_id(name, revision);
        let before = || told.pushed.as_ref()?.shares.iter().find(|it| it.id == id()).cloned().map(Arc::new);
        let has_it = || told.report.as_ref().is_some_and(|it| it.shares.contains_key(&id()));
        let remains = || unit.remains.get(revision).filter(|_| has_it()).cloned();
        let share = unit.contents.get(revision).cloned().or_else(before).or_else(remains)?;
        let standby = present(cx.stores, name).is_some_and(|it| it.spec.scale_to_zero.unwrap_or(false));
        Some(HostShare { share, replicas, standby })
    }

    // === how its shares are ===

    /// How a share is: what its host says, or, as long as that has not spoken to this operator, what its Workload says.
    pub(super) fn observed(&self, stores: &Stores, name: &Name, share: &(String, HostId), target: u32) -> Observed {
        let unknown = Observed::default();
        let Some(host) = self.fleet.get(&share.1) else { return unknown };
        if self.fleet.state(&share.1) == HostState::Lost || !host.serves() {
            return unknown;
        }
        if let Some(report) = &host.report {
            let Some(it) = report.shares.get(&names::share_id(name, &share.0)) else { return unknown };
            let ready = if it.state == ShareState::Ready { it.replicas.min(target) } else { 0 };
            return Observed { state: Some(it.state), message: it.message.clone(), ready, since: None };
        }
        let Some(unit) = self.units.get(name) else { return unknown };
        let own = unit.workload(name, &share.0, &share.1);
        let status = stores.workloads.get(&own).and_then(|it| it.status.as_ref());
        let ready = status.and_then(|it| it.conditions.iter().find(|it| it.type_ == conditions::READY));
        match ready {
            Some(it) if it.status == "True" => Observed {
                state: Some(ShareState::Ready),
                message: None,
                ready: target,
                since: Some(it.last_transition_time.0),
            },
            _ => unknown,
        }
    }

    /// Whether a share serves, and is to go on serving.
    fn stays(&self, stores: &Stores, name: &Name, share: &(String, HostId), record: &ShareRecord) -> bool {
        record.wanted
            && record.leaving == Leaving::No
            && self.observed(stores, name, share, record.target).state == Some(ShareState::Ready)
    }

    /// Hosts with a ready share of a deployment; whether each is to go on serving it.
    pub(super) fn ready_hosts(&self, stores: &Stores, name: &Name) -> BTreeMap<HostId, bool> {
        let mut ready = BTreeMap::new();
        let Some(unit) = self.units.get(name) else { return ready };
        for (share, record) in &unit.shares {
            let serves = Self::in_snapshot(record.leaving)
                && self.observed(stores, name, share, record.target).state == Some(ShareState::Ready);
            // A share that has been released serves what has come already: its endpoint stays until its host says so.
            let releasing = record.leaving == Leaving::Released && self.has_endpoint(name, &share.1);
            if serves || releasing {
                *ready.entry(share.1.clone()).or_insert(false) |= self.stays(stores, name, share, record);
            }
        }
        ready
    }

    // === what is to be done ===

    /// Looks at a deployment.
    pub(super) fn step(&mut self, cx: &mut Context<'_>, name: &Name) {
        match present(cx.stores, name).cloned() {
            Some(deployment) => {
                if self.units.get(name).is_none_or(|it| it.resolved.is_none()) {
                    self.refresh(cx, name);
                }
                self.decide(cx, name, &deployment);
            }
            None => match present_alone(cx.stores, name).cloned() {
                Some(workload) => self.decide_alone(cx, name, &workload),
                // What it has made goes with it, and drains.
                None => self.follow_owner(cx, name),
            },
        }
        self.leave(cx, name);
        self.mark_status(name);
        let empty = self.units.get(name).is_some_and(|it| it.shares.is_empty());
        if empty && present(cx.stores, name).is_none() && present_alone(cx.stores, name).is_none() {
            self.forget_unit(cx, name);
        }
    }

    /// Of a deployment that is gone, what is still there stays.
    fn follow_owner(&mut self, cx: &Context<'_>, name: &Name) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let there: Vec<bool> = (unit.shares.keys())
            .map(|(revision, host)| cx.stores.workloads.get(&unit.workload(name, revision, host)).is_some())
            .collect();
        for (record, there) in unit.shares.values_mut().zip(there) {
            record.wanted = there;
        }
    }

    /// A Workload of its own runs on one host, and stays there as long as it can.
    fn decide_alone(&mut self, cx: &Context<'_>, name: &Name, workload: &Arc<Workload>) {
        let Some(unit) = self.units.get(name) else { return };
        let Some(revision) = unit.resolved.as_ref().and_then(|it| it.revision().map(ToOwned::to_owned)) else { return };
        let seed = name.to_string();
        let spread = Spread::of(&workload.spec, &seed);
        let takes = |it: &&HostView| it.state == HostState::Live && spread.selects(it);
        let selected = self.fleet.views().iter().filter(takes).count();
        let status = workload.status.as_ref().and_then(|it| it.host_id.as_deref()).map(HostId::from);
        let before = unit.shares.iter().find(|it| it.1.wanted).map(|it| it.0.1.clone()).or(status);
        let stays = |it: &HostId| self.fleet.views().iter().any(|view| view.id == *it && takes(&view));
        let best = || self.fleet.views().iter().filter(takes).min_by_key(|it| (it.used, it.id.clone()));
        let host = before.clone().filter(stays).or_else(|| best().map(|it| it.id.clone()));
        // Without a better one it stays where it is.
        let kept = || before.filter(|it| self.fleet.state(it) != HostState::Lost);
        let chosen = host.or_else(kept);
        let replicas = workload.spec.replicas.unwrap_or(1);
        if let Some(host) = &chosen {
            let share = (revision.clone(), host.clone());
            let record = self.share_entry(name, &share);
            (record.wanted, record.existed) = (true, true);
            self.set_target(name, &share, replicas);
            let serves = self.observed(cx.stores, name, &share, replicas).state == Some(ShareState::Ready);
            if let Some(unit) = self.units.get_mut(name) {
                for (other, record) in &mut unit.shares {
                    // The one before goes when this one serves.
                    record.wanted = *other == share || record.wanted && !serves;
                }
            }
            self.mark_host(host);
        }
        if let Some(unit) = self.units.get_mut(name) {
            let unplaced = if chosen.is_some() { 0 } else { replicas };
            let selected = u32::try_from(selected).unwrap_or(u32::MAX);
            unit.step = DeploymentStep { unplaced, selected, ..DeploymentStep::default() };
        }
    }

    fn decide(&mut self, cx: &mut Context<'_>, name: &Name, deployment: &Arc<WorkloadDeployment>) {
        let sets = self.sets_of(cx, name, deployment);
        let sets = self.set_facts(cx, name, &sets);
        let workloads = self.workload_facts(cx, name);
        let siblings = self.tables.siblings(&name.to_string());
        let near: BTreeSet<HostId> = siblings
            .iter()
            .filter_map(|it| self.units.get(&super::lead::split(it)))
            .flat_map(Unit::hosts)
            .cloned()
            .collect();
        let Some(unit) = self.units.get(name) else { return };
        let wanted = unit.resolved.as_ref().and_then(|it| it.revision().map(ToOwned::to_owned));
        let step = deployment_step(&DeploymentFacts {
            name,
            spec: &deployment.spec,
            wanted: wanted.as_deref(),
            replica_sets: &sets,
            workloads: &workloads,
            hosts: self.fleet.views(),
            near: (!near.is_empty()).then_some(&near),
            now: cx.now,
        });
        self.write_sets(cx, name, deployment, wanted.as_deref(), &step);
        self.write_workloads(cx, name, &step);
        for (revision, host) in &step.leaving {
            let share = (revision.clone(), host.clone());
            if let Some(record) = self.units.get_mut(name).and_then(|it| it.shares.get_mut(&share)) {
                record.wanted = false;
            }
        }
        if let Some(again) = step.again {
            self.wake(cx.instant + again, Wake::Unit(name.clone()));
        }
        self.tell_rollout(cx, deployment, wanted.as_deref(), &step);
        if let Some(unit) = self.units.get_mut(name) {
            let used: BTreeSet<String> = (unit.shares.keys().map(|it| it.0.clone()))
                .chain(step.replica_sets.iter().map(|it| it.revision.clone()))
                .chain(wanted)
                .collect();
            unit.contents.retain(|revision, _| used.contains(revision));
            unit.remains.retain(|revision, _| used.contains(revision));
            unit.sets = step.replica_sets.iter().map(|it| (it.revision.clone(), it.clone())).collect();
            unit.step = step;
        }
    }

    fn set_facts<'s>(
        &self,
        cx: &Context<'_>,
        name: &Name,
        sets: &'s [Arc<WorkloadReplicaSet>],
    ) -> Vec<ReplicaSetFacts<'s>> {
        let mut facts: BTreeMap<String, ReplicaSetFacts<'s>> = BTreeMap::new();
        for set in sets {
            let Some(revision) = set.labels().get(labels::REVISION) else { continue };
            let number = set.annotations().get(revisions::NUMBER).and_then(|it| it.parse().ok()).unwrap_or(0);
            let replicas = set.spec.replicas.unwrap_or(1);
            let template = Some(&set.spec.template.spec);
            facts.insert(revision.clone(), ReplicaSetFacts { revision: revision.clone(), number, replicas, template });
        }
        // What is decided and on its way counts already.
        let decided = self.units.get(name).into_iter().flat_map(|it| &it.sets);
        for (revision, it) in decided {
            let own = Name::new(&name.namespace, names::replica_set(&name.name, revision));
            if cx.writes.is_pending(&Key::object(Kind::ReplicaSet, &own)) {
                let fact = facts.entry(revision.clone()).or_default();
                fact.revision.clone_from(revision);
                (fact.number, fact.replicas) = (it.number, it.replicas);
            }
        }
        facts.into_values().collect()
    }

    /// The deployment's ReplicaSets that are not being deleted.
    pub(super) fn sets_of(
        &self,
        cx: &Context<'_>,
        name: &Name,
        deployment: &WorkloadDeployment,
    ) -> Vec<Arc<WorkloadReplicaSet>> {
        let uid = deployment.uid().unwrap_or_default();
        let ours = |it: &&Arc<WorkloadReplicaSet>| {
            it.metadata.deletion_timestamp.is_none()
                && controller_of(&it.metadata, "WorkloadDeployment").is_some_and(|it| it.uid == uid)
                && !cx.writes.is_deleting(&Key::object(Kind::ReplicaSet, &super::store::name_of(&***it)))
        };
        cx.stores.sets_of(name).filter(ours).cloned().collect()
    }

    fn workload_facts(&mut self, cx: &Context<'_>, name: &Name) -> Vec<WorkloadFacts> {
        let Some(unit) = self.units.get(name) else { return Vec::new() };
        let seen: Vec<_> =
            unit.shares.iter().map(|(share, it)| self.observed(cx.stores, name, share, it.target)).collect();
        let Some(unit) = self.units.get_mut(name) else { return Vec::new() };
        let fact = |(((revision, host), record), seen): ((&(String, HostId), &mut ShareRecord), Observed)| {
            let ready = seen.state == Some(ShareState::Ready);
            record.ready_since = record.ready_since.filter(|_| ready).or(ready.then(|| seen.since.unwrap_or(cx.now)));
            WorkloadFacts {
                revision: revision.clone(),
                host: host.clone(),
                replicas: record.target,
                ready: seen.ready,
                ready_since: record.ready_since,
            }
        };
        unit.shares.iter_mut().zip(seen).map(fact).collect()
    }

    fn write_sets(
        &self,
        cx: &mut Context<'_>,
        name: &Name,
        deployment: &Arc<WorkloadDeployment>,
        wanted: Option<&str>,
        step: &DeploymentStep,
    ) {
        for set in &step.replica_sets {
            let own = Name::new(&name.namespace, names::replica_set(&name.name, &set.revision));
            let key = Key::object(Kind::ReplicaSet, &own);
            let stored = cx
                .stores
                .replica_sets
                .get(&own)
                .filter(|it| it.metadata.deletion_timestamp.is_none() && !cx.writes.is_deleting(&key));
            // The wanted revision has the template as it is written now: what does not make a revision may have changed.
            let template = match stored {
                _ if wanted == Some(&set.revision) => deployment.spec.template.clone(),
                Some(stored) => stored.spec.template.clone(),
                None => continue,
            };
            let desired = objects::replica_set(deployment, set, template);
            let same = |it: &Arc<WorkloadReplicaSet>| {
                it.spec == desired.spec && objects::has_meta(&it.metadata, &desired.metadata)
            };
            if stored.is_some_and(same) {
                cx.writes.cancel(&key);
            } else {
                cx.writes.set(key, Action::Apply(body(&desired)), None);
            }
        }
        for revision in &step.delete {
            let own = Name::new(&name.namespace, names::replica_set(&name.name, revision));
            if let Some(uid) = cx.stores.replica_sets.get(&own).and_then(|it| it.uid()) {
                cx.writes.set(Key::object(Kind::ReplicaSet, &own), Action::Delete(uid), None);
            }
        }
    }

    fn write_workloads(&mut self, cx: &mut Context<'_>, name: &Name, step: &DeploymentStep) {
        for it in &step.workloads {
            let share = (it.revision.clone(), it.host.clone());
            let set = Name::new(&name.namespace, names::replica_set(&name.name, &it.revision));
            // It needs its owner's uid; the ReplicaSet's write marks the deployment again.
            let Some(set) = cx.stores.replica_sets.get(&set) else { continue };
            let own = Name::new(&name.namespace, names::workload(&name.name, &it.revision, &it.host));
            let key = Key::object(Kind::Workload, &own);
            let stored = cx
                .stores
                .workloads
                .get(&own)
                .filter(|it| it.metadata.deletion_timestamp.is_none() && !cx.writes.is_deleting(&key));
            let desired = objects::workload(&name.name, &it.revision, set, &it.host, it.replicas);
            let same =
                |it: &Arc<Workload>| it.spec == desired.spec && objects::has_meta(&it.metadata, &desired.metadata);
            if stored.is_some_and(same) {
                cx.writes.cancel(&key);
            } else {
                cx.writes.set(key, Action::Apply(body(&desired)), None);
            }
            self.share_entry(name, &share).wanted = true;
            self.set_target(name, &share, it.replicas);
            self.ensure_content(cx, name, &it.revision);
        }
    }

    // === how shares leave ===

    /// Takes every share that is to leave, or was, one step further.
    fn leave(&mut self, cx: &mut Context<'_>, name: &Name) {
        let Some(unit) = self.units.get(name) else { return };
        let leaving = unit.shares.iter().filter(|(_, it)| !it.wanted || it.leaving != Leaving::No);
        let leaving: Vec<(String, HostId)> = leaving.map(|it| it.0.clone()).collect();
        for share in leaving {
            let Some((next, again)) = self.next_leaving(cx, name, &share) else { continue };
            if let Some(again) = again {
                self.wake(cx.instant + again, Wake::Unit(name.clone()));
            }
            self.set_leaving(cx, name, &share, next);
        }
    }

    fn next_leaving(
        &self,
        cx: &Context<'_>,
        name: &Name,
        share: &(String, HostId),
    ) -> Option<(Leaving, Option<std::time::Duration>)> {
        let unit = self.units.get(name)?;
        let record = unit.shares.get(share)?;
        let host = self.fleet.get(&share.1)?;
        let serves = self.observed(cx.stores, name, share, record.target).state == Some(ShareState::Ready);
        let others = unit
            .shares
            .iter()
            .any(|(it, record)| it.1 == share.1 && it != share && self.stays(cx.stores, name, it, record));
        let facts = LeavingFacts {
            wanted: record.wanted,
            last_behind_a_service: serves && !others && self.has_endpoint(name, &share.1),
            announced: self.announced(cx.stores, name, &share.1),
            left_out_in: record.left_out_in,
            acked: host.follows(),
            host_lost: self.fleet.state(&share.1) == HostState::Lost
                || host.given_up(cx.instant, self.began(), self.settings.host_grace),
        };
        Some(drain::next(cx.now, self.settings.departure_delay(), record.leaving, &facts))
    }

    fn set_leaving(&mut self, cx: &mut Context<'_>, name: &Name, share: &(String, HostId), next: Leaving) {
        let Some(record) = self.units.get_mut(name).and_then(|it| it.shares.get_mut(share)) else { return };
        let before = std::mem::replace(&mut record.leaving, next);
        if before == next {
            return;
        }
        record.left_out_in = None;
        tracing::debug!(unit = %name, revision = %share.0, host = %share.1, ?before, ?next, "a share leaves");
        // The snapshot that is made next is the first without it, or with it again.
        self.mark_host(&share.1);
        if next == Leaving::Gone {
            if self.units.get(name).is_some_and(|it| !it.alone) {
                let own = Name::new(&name.namespace, names::workload(&name.name, &share.0, &share.1));
                let key = Key::object(Kind::Workload, &own);
                match cx.stores.workloads.get(&own).and_then(|it| it.uid()) {
                    Some(uid) => cx.writes.set(key, Action::Delete(uid), None),
                    None => cx.writes.cancel(&key),
                }
                cx.writes.cancel(&Key::status(Kind::Workload, &own));
            }
            self.drop_share(name, share);
        }
        self.mark_unit_and_services(name);
    }

    /// A host has been told everything up to a version: shares that were released are left out of it.
    pub(super) fn left_out(&mut self, host: &HostId, version: u64) {
        let Some(record) = self.fleet.get_mut(host) else { return };
        let follows = record.follows();
        let shares: Vec<(Name, String)> = record.shares.iter().cloned().collect();
        let mut reached = Vec::new();
        for (name, revision) in shares {
            let unit = self.units.get_mut(&name);
            let Some(share) = unit.and_then(|it| it.shares.get_mut(&(revision, host.clone()))) else { continue };
            if share.leaving == Leaving::Released {
                let since = *share.left_out_in.get_or_insert(version);
                record.awaited_by.insert(name.clone());
                if since <= follows {
                    reached.push(name);
                }
            }
        }
        for name in reached {
            self.mark_unit(&name);
        }
    }

    // === whose is it ===

    /// The deployment of a ReplicaSet or Workload.
    pub(super) fn unit_of(&self, cx: &Context<'_>, key: &Key) -> Option<Name> {
        match key.kind {
            Kind::ReplicaSet => {
                let set = cx.stores.replica_sets.get(&key.name)?;
                let owner = controller_of(&set.metadata, "WorkloadDeployment")?;
                Some(Name::new(&key.name.namespace, &owner.name))
            }
            Kind::Workload => identity(cx.stores, cx.stores.workloads.get(&key.name)?).map(|it| it.0),
            _ => None,
        }
    }

    /// Events about a rollout.
    fn tell_rollout(
        &mut self,
        cx: &mut Context<'_>,
        deployment: &WorkloadDeployment,
        wanted: Option<&str>,
        step: &DeploymentStep,
    ) {
        let Some(unit) = self.units.get(&super::store::name_of(deployment)) else { return };
        let Some(wanted) = wanted.filter(|_| step.previous.is_some()) else { return };
        // The first look after a restart tells nothing: nothing has changed.
        if unit.sets.is_empty() {
            return;
        }
        let instance = &self.settings.pod_name;
        if !unit.sets.contains_key(wanted) && step.replica_sets.iter().any(|it| it.revision == wanted) {
            let note = format!("revision {wanted} is rolled out");
            events_of::emit(cx, deployment, Weight::Normal, "RolloutStarted", &note, instance);
        } else if unit.step.phase != Phase::Complete && step.phase == Phase::Complete {
            let note = format!("revision {wanted} has all of the replicas");
            events_of::emit(cx, deployment, Weight::Normal, "RolloutComplete", &note, instance);
        }
    }
}

/// A deployment that is there and not being deleted.
pub(super) fn present<'a>(stores: &'a Stores, name: &Name) -> Option<&'a Arc<WorkloadDeployment>> {
    stores.deployments.get(name).filter(|it| it.metadata.deletion_timestamp.is_none())
}

/// A Workload of its own that is there and not being deleted. A deployment of the same name comes first.
pub(super) fn present_alone<'a>(stores: &'a Stores, name: &Name) -> Option<&'a Arc<Workload>> {
    let alone = |it: &&Arc<Workload>| {
        it.metadata.deletion_timestamp.is_none()
            && it.metadata.owner_references.iter().flatten().all(|it| it.kind != "WorkloadReplicaSet")
    };
    stores.workloads.get(name).filter(alone).filter(|_| stores.deployments.get(name).is_none())
}

/// Whose share a Workload is: deployment, revision and host. None if it is nobody's, or not under the name that it
/// would have.
fn identity(stores: &Stores, workload: &Workload) -> Option<(Name, String, HostId)> {
    let owner = controller_of(&workload.metadata, "WorkloadReplicaSet")?;
    let namespace = workload.namespace()?;
    let set = stores.replica_sets.get(&Name::new(&namespace, &owner.name));
    let deployment = owner_of(stores, workload)?.name;
    let revision =
        set.and_then(|it| it.labels().get(labels::REVISION)).or_else(|| workload.labels().get(labels::REVISION));
    let revision = revision?.clone();
    let host = HostId::from(workload.spec.host_id.as_deref()?);
    let named = names::workload(&deployment, &revision, &host) == workload.name_any();
    named.then(|| (Name::new(namespace, deployment), revision, host))
}

/// The deployment of a Workload, by its ReplicaSet, or by its label if that is gone.
fn owner_of(stores: &Stores, workload: &Workload) -> Option<Name> {
    let owner = controller_of(&workload.metadata, "WorkloadReplicaSet")?;
    let namespace = workload.namespace()?;
    let set = stores.replica_sets.get(&Name::new(&namespace, &owner.name));
    let deployment = set.and_then(|it| controller_of(&it.metadata, "WorkloadDeployment")).map(|it| it.name.clone());
    let deployment = deployment.or_else(|| workload.labels().get(labels::WORKLOAD_DEPLOYMENT).cloned())?;
    Some(Name::new(namespace, deployment))
}

/// A stand-in for a deployment that is gone, as far as its revisions need one.
fn orphan(name: &Name, set: &WorkloadReplicaSet) -> WorkloadDeployment {
    let mut it = WorkloadDeployment::new(
        &name.name,
        penstock_api::WorkloadDeploymentSpec { template: set.spec.template.clone(), ..Default::default() },
    );
    it.metadata.namespace = Some(name.namespace.clone());
    it
}

/// Takes a name out of an index where it was, and puts it in where it is.
pub(super) fn exchange<K: Clone + Ord + std::hash::Hash>(
    index: &mut std::collections::HashMap<K, BTreeSet<Name>>,
    name: &Name,
    before: &BTreeSet<K>,
    after: &BTreeSet<K>,
) {
    for key in before.difference(after) {
        if let Some(names) = index.get_mut(key) {
            names.remove(name);
            if names.is_empty() {
                index.remove(key);
            }
        }
    }
    for key in after.difference(before) {
        index.entry(key.clone()).or_default().insert(name.clone());
    }
}

/// Values where what is missing is empty.
struct Lenient<'a>(&'a Stores);

impl Values for Lenient<'_> {
    fn config_map(&self, name: &Name) -> Option<Arc<ConfigMap>> {
        self.0.config_map(name).or_else(|| Some(Arc::default()))
    }

    fn secret(&self, name: &Name) -> Option<Arc<Secret>> {
        self.0.secret(name).or_else(|| Some(Arc::default()))
    }

    fn policy(&self, name: &Name) -> Option<Arc<TrafficPolicy>> {
        self.0.policy(name)
    }
}
