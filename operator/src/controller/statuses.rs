//! What is said about deployments, ReplicaSets and Workloads: made from facts, written when it differs.

use std::{collections::BTreeMap, time::Duration};

use kube::{Resource, ResourceExt};
use penstock_api::{WorkloadDeployment, WorkloadReplicaSet, conditions, labels, manifest::ObjectKey, reasons};
use serde::Serialize;

use super::{
    events_of,
    lead::{Context, Lead, Wake},
    objects,
    unit::{Observed, Progress, present, present_alone},
    write::{Action, Key, Kind},
};
use crate::{
    events::Weight,
    hosts::ShareState,
    plan::{
        Finding, HostId, Name, Pace, Phase, Severity, names,
        status::{self, DeploymentStatusFacts, Failure, Programmed, ReplicaSetStatusFacts, WorkloadStatusFacts},
    },
};

/// What is on its way is not told at every step: a status that is soon another is written at most so often.
const PASSING: Duration = Duration::from_millis(500);

/// Two clocks are at work here, one that counts and one that tells the time: a timer by the first may come early by the second.
const AGAIN: Duration = Duration::from_millis(10);

/// Replicas of a revision, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    current: u32,
    ready: u32,
}

impl Lead {
    /// Writes the statuses of a deployment and of all that it has made, where they differ.
    pub(super) fn unit_statuses(&mut self, cx: &mut Context<'_>, name: &Name) {
        let Some(deployment) = present(cx.stores, name).cloned() else {
            self.alone_status(cx, name);
            return;
        };
        let Some(unit) = self.units.get(name).filter(|it| it.resolved.is_some()) else { return };
        let shares: Vec<((String, HostId), u32)> =
            unit.shares.iter().map(|(share, it)| (share.clone(), it.target)).collect();
        let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
        let mut seen = Vec::new();
        for (share, target) in shares {
            let observed = self.observed(cx.stores, name, &share, target);
            let count = counts.entry(share.0.clone()).or_default();
            count.current += target;
            count.ready += observed.ready;
            seen.push((share, observed));
        }
        cx.board.serving(name, counts.values().map(|it| it.ready).sum());
        self.deployment_status(cx, name, &deployment, &counts, &seen);
        for set in self.sets_of(cx, name, &deployment) {
            let counts = set.labels().get(labels::REVISION).and_then(|it| counts.get(it)).copied().unwrap_or_default();
            replica_set_status(cx, &set, counts);
        }
        for (share, observed) in seen {
            self.workload_status(cx, name, &share, &observed);
        }
    }

    fn deployment_status(
        &mut self,
        cx: &mut Context<'_>,
        name: &Name,
        deployment: &WorkloadDeployment,
        counts: &BTreeMap<String, Counts>,
        seen: &[((String, HostId), Observed)],
    ) {
        let findings = self.findings(name, "WorkloadDeployment");
        let Some(unit) = self.units.get(name) else { return };
        let wanted = unit.resolved.as_ref().and_then(|it| it.revision().map(ToOwned::to_owned));
        let pace = Pace::of(&deployment.spec);
        let all = counts.values().fold(Counts::default(), |all, it| Counts {
            current: all.current + it.current,
            ready: all.ready + it.ready,
        });
        let updated = wanted.as_ref().and_then(|it| counts.get(it)).copied().unwrap_or_default();
        let of_wanted = |state: ShareState| {
            let wanted = wanted.as_ref();
            seen.iter().filter(move |((revision, _), it)| it.state == Some(state) && wanted == Some(revision))
        };
        let failure = of_wanted(ShareState::Failed)
            .next()
            .map(|((_, host), it)| Failure { host: host.to_string(), message: it.message.clone().unwrap_or_default() });
        let crash = of_wanted(ShareState::Ready)
            .find_map(|((_, host), it)| it.message.clone().map(|message| Failure { host: host.to_string(), message }));
        let step = unit.step.clone();
        let progress = Progress {
            revision: wanted.clone().unwrap_or_default(),
            wanted: pace.replicas,
            current: all.current,
            ready: all.ready,
            updated_ready: updated.ready,
        };
        let deadline_exceeded = self.deadline_exceeded(cx, name, progress, step.phase, pace.progress_deadline);
        let programmed = self.programmed(cx, name);
        let autoscaled = self.autoscaled(name);
        let facts = DeploymentStatusFacts {
            name,
            generation: deployment.metadata.generation,
            replicas: pace.replicas,
            wanted: wanted.as_deref(),
            step: &step,
            current: all.current,
            ready: all.ready,
            updated_ready: updated.ready,
            min_available: pace.min_available(),
            failure: failure.as_ref(),
            crash: crash.as_ref(),
            deadline_exceeded,
            programmed: &programmed,
            artifacts_missing: &[],
            autoscaled: autoscaled.as_ref(),
            findings: &findings,
        };
        let before = deployment.status.as_ref();
        let after = status::deployment(before, &facts, cx.now);
        // People and programs wait for these; the steps on the way there matter less.
        let done = is_true(&after.conditions, conditions::READY) && is_true(&after.conditions, conditions::PROGRAMMED);
        let told = failure.is_some()
            || crash.is_some()
            || before.is_none_or(|it| it.selector.is_none())
            || !findings.is_empty();
        write_status(cx, Kind::Deployment, deployment, before, &after, done || told);

        let said: Vec<String> = before.iter().flat_map(|it| &it.conditions).map(|it| it.message.clone()).collect();
        let mut troubles = findings;
        let object = key("WorkloadDeployment", name);
        let trouble = |reason, message| Finding {
            object: object.clone(),
            path: String::new(),
            severity: Severity::Error,
            reason,
            message,
        };
        if let Some(it) = &failure {
            troubles.push(trouble(reasons::START_FAILED, it.to_string()));
        }
        if let Some(it) = &crash {
            troubles.push(trouble(reasons::CRASH_LOOP, it.to_string()));
        }
        if deadline_exceeded {
            troubles.push(trouble(reasons::PROGRESS_DEADLINE_EXCEEDED, "the rollout makes no progress".to_owned()));
        }
        let Some(unit) = self.units.get_mut(name) else { return };
        let instance = &self.settings.pod_name;
        events_of::tell(cx, deployment, &mut unit.told, &troubles, &said, Weight::Normal, instance);
    }

    fn deadline_exceeded(
        &mut self,
        cx: &Context<'_>,
        name: &Name,
        progress: Progress,
        phase: Phase,
        deadline: Duration,
    ) -> bool {
        let Some(unit) = self.units.get_mut(name) else { return false };
        if phase != Phase::Progressing {
            unit.progress = None;
            return false;
        }
        match &unit.progress {
            Some((before, since)) if *before == progress => {
                let passed = Duration::try_from(cx.now.duration_since(*since)).unwrap_or_default();
                passed >= deadline
            }
            _ => {
                unit.progress = Some((progress, cx.now));
                self.wake(cx.instant + deadline, Wake::Unit(name.clone()));
                false
            }
        }
    }

    /// Whether clients see what was decided.
    fn programmed(&mut self, cx: &Context<'_>, name: &Name) -> Programmed {
        let fleet = &self.fleet;
        let Some(unit) = self.units.get_mut(name) else { return Programmed::default() };
        unit.unacked.retain(|host, version| fleet.get(host).is_some_and(|it| it.follows() < *version));
        let ready = |host: &&HostId| fleet.get(host).is_some_and(|it| it.connected);
        let waiting_for = unit.unacked.keys().filter(ready).map(ToString::to_string).collect();
        let left = self.settled(name).map(|since| {
            let passed = Duration::try_from(cx.now.duration_since(since)).unwrap_or_default();
            self.settings.propagation_delay.saturating_sub(passed)
        });
        if let Some(left) = left.filter(|it| !it.is_zero()) {
            // The timer that was set when they settled may come a moment before this clock has got there, and would be the last.
            self.wake(cx.instant + left.max(AGAIN), Wake::Unit(name.clone()));
        }
        Programmed { waiting_for, propagated: left.is_some_and(|it| it.is_zero()) }
    }

    /// All that is to be said about a deployment.
    fn findings(&self, name: &Name, kind: &str) -> Vec<Finding> {
        let resolved = self.units.get(name).and_then(|it| it.resolved.as_ref());
        let mut findings = resolved.map(|it| it.findings.clone()).unwrap_or_default();
        findings.extend(self.tables.findings(&key(kind, name)));
        findings.sort();
        findings.dedup();
        findings
    }

    /// Writes the status of a Workload of its own.
    fn alone_status(&mut self, cx: &mut Context<'_>, name: &Name) {
        let Some(stored) = present_alone(cx.stores, name).cloned() else { return };
        let findings = self.findings(name, "Workload");
        let Some(unit) = self.units.get(name).filter(|it| it.alone) else { return };
        let share = unit.shares.iter().find(|it| it.1.is_wanted()).map(|(share, it)| (share.clone(), it.target));
        let host = share.as_ref().and_then(|it| self.fleet.get(&it.0.1));
        let observed = share.as_ref().map(|(share, target)| self.observed(cx.stores, name, share, *target));
        let observed = observed.unwrap_or_default();
        let id = share.as_ref().map(|it| names::share_id(name, &it.0.0)).unwrap_or_default();
        let facts = WorkloadStatusFacts {
            generation: stored.metadata.generation,
            host: share.as_ref().map(|it| it.0.1.as_str()),
            environment: host.map(|it| &*it.address.namespace).filter(|it| !it.is_empty()),
            share_id: &id,
            synced: share.as_ref().is_some_and(|it| !unit.unacked.contains_key(&it.0.1)) && observed.state.is_some(),
            state: observed.state,
            message: observed.message.as_deref(),
            findings: &findings,
        };
        let after = status::workload(stored.status.as_ref(), &facts, cx.now);
        let urgent = matches!(observed.state, Some(ShareState::Ready | ShareState::Failed)) || facts.host.is_none();
        write_status(cx, Kind::Workload, &*stored, stored.status.as_ref(), &after, urgent);
        let said: Vec<String> =
            stored.status.iter().flat_map(|it| &it.conditions).map(|it| it.message.clone()).collect();
        let Some(unit) = self.units.get_mut(name) else { return };
        let instance = &self.settings.pod_name;
        events_of::tell(cx, &*stored, &mut unit.told, &findings, &said, Weight::Normal, instance);
    }

    fn workload_status(&self, cx: &mut Context<'_>, name: &Name, share: &(String, HostId), observed: &Observed) {
        let own = Name::new(&name.namespace, names::workload(&name.name, &share.0, &share.1));
        let Some(stored) = cx.stores.workloads.get(&own).filter(|it| it.metadata.deletion_timestamp.is_none()).cloned()
        else {
            return;
        };
        let Some(host) = self.fleet.get(&share.1) else { return };
        let id = names::share_id(name, &share.0);
        let acked = self.units.get(name).is_some_and(|it| !it.unacked.contains_key(&share.1));
        let facts = WorkloadStatusFacts {
            generation: stored.metadata.generation,
            host: Some(share.1.as_str()),
            environment: Some(&host.address.namespace).filter(|it| !it.is_empty()).map(|it| &**it),
            share_id: &id,
            synced: acked
                && (host.report.is_none() || host.report.as_ref().is_some_and(|it| it.shares.contains_key(&id))),
            state: observed.state,
            message: observed.message.as_deref(),
            findings: &[],
        };
        let after = status::workload(stored.status.as_ref(), &facts, cx.now);
        let urgent = match observed.state {
            Some(ShareState::Ready) => facts.synced,
            state => state == Some(ShareState::Failed),
        };
        write_status(cx, Kind::Workload, &*stored, stored.status.as_ref(), &after, urgent);
    }
}

fn replica_set_status(cx: &mut Context<'_>, set: &WorkloadReplicaSet, counts: Counts) {
    let expected = set.spec.replicas.unwrap_or(1);
    let facts = ReplicaSetStatusFacts {
        generation: set.metadata.generation,
        expected,
        current: counts.current,
        ready: counts.ready,
    };
    let after = status::replica_set(set.status.as_ref(), &facts, cx.now);
    let done = counts.ready == expected && counts.current == expected;
    write_status(cx, Kind::ReplicaSet, set, set.status.as_ref(), &after, done);
}

/// Writes a status if it differs; one that is on its way to another is put off a little.
fn write_status<K, S>(cx: &mut Context<'_>, kind: Kind, object: &K, before: Option<&S>, after: &S, urgent: bool)
where
    K: Resource,
    K::DynamicType: Default,
    S: Serialize + PartialEq,
{
    let name = super::store::name_of(object);
    let key = Key::status(kind, &name);
    if before == Some(after) {
        cx.writes.cancel(&key);
        return;
    }
    let due = (!urgent).then(|| cx.instant + PASSING);
    cx.writes.set(key, Action::Apply(objects::status_body::<K>(&name, after)), due);
}

fn is_true(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition], name: &str) -> bool {
    conditions.iter().any(|it| it.type_ == name && it.status == "True")
}

fn key(kind: &str, name: &Name) -> ObjectKey {
    ObjectKey { kind: kind.to_owned(), namespace: name.namespace.clone(), name: name.name.clone() }
}
