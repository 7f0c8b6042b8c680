//! One deployment's step: which ReplicaSets and Workloads there should be now. Looks at this deployment's objects only.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use penstock_api::{WorkloadDeploymentSpec, workload::WorkloadSpec};

use super::{
    Held, HostId, HostState, HostView, Name, Pace, Phase, Placement, RevisionView, Revisions, Spread, placement,
    rollout::{self, RevisionState},
};

/// A ReplicaSet of the deployment, as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaSetFacts<'a> {
    /// Its revision (label [`penstock_api::labels::REVISION`]).
    pub revision: String,
    /// Its number (annotation [`super::revisions::NUMBER`]), 0 if it has none.
    pub number: u64,
    /// Its `spec.replicas`.
    pub replicas: u32,
    /// Its template's spec, which says what hosts it may use; none: as the deployment's.
    pub template: Option<&'a WorkloadSpec>,
}

/// A Workload of the deployment, as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadFacts {
    /// Its revision.
    pub revision: String,
    /// Its `spec.hostId`.
    pub host: HostId,
    /// Its `spec.replicas`.
    pub replicas: u32,
    /// Of those, the ones that serve, as far as is known: what the host said last, even if it is not connected now; after a
    /// restart of the operator what the Workload's status says until the host says otherwise; 0 when the host is lost.
    pub ready: u32,
    /// Since when the share serves.
    pub ready_since: Option<Timestamp>,
}

/// All that decides about a deployment's step.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentFacts<'a> {
    /// The deployment.
    pub name: &'a Name,
    /// Its spec.
    pub spec: &'a WorkloadDeploymentSpec,
    /// The wanted revision ([`super::Resolved::revision`]); none: it cannot be resolved, and those that run go on.
    pub wanted: Option<&'a str>,
    /// Its ReplicaSets.
    pub replica_sets: &'a [ReplicaSetFacts<'a>],
    /// Its Workloads, those that are on their way out included.
    pub workloads: &'a [WorkloadFacts],
    /// All hosts. A Workload's host that is not among them is lost.
    pub hosts: &'a [HostView],
    /// Hosts of the other deployments behind the same Services ([`super::Tables::siblings`]).
    pub near: Option<&'a BTreeSet<HostId>>,
    /// Now.
    pub now: Timestamp,
}

/// A ReplicaSet as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedReplicaSet {
    /// Its revision.
    pub revision: String,
    /// Its number.
    pub number: u64,
    /// Its `spec.replicas`.
    pub replicas: u32,
}

/// Hosts that answer for a deployment at zero: one may be lost.
const STANDBY_HOSTS: u32 = 2;

/// A Workload as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedWorkload {
    /// Its revision.
    pub revision: String,
    /// Its `spec.hostId`.
    pub host: HostId,
    /// Its `spec.replicas`; 0: it is on standby.
    pub replicas: u32,
}

/// What is to be done about a deployment now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentStep {
    /// All ReplicaSets that there should be, oldest first. Only those that differ from what is there need a write.
    pub replica_sets: Vec<WantedReplicaSet>,
    /// Revisions whose ReplicaSets are to be deleted: history beyond its limit.
    pub delete: Vec<String>,
    /// All Workloads that there should be. Only those that differ from what is there need a write.
    pub workloads: Vec<WantedWorkload>,
    /// Workloads that are there and should not be: revision and host. Each stays, with its share, until [`super::drain`] says
    /// that it is gone.
    pub leaving: Vec<(String, HostId)>,
    /// Where the rollout stands.
    pub phase: Phase,
    /// The newest revision beside the wanted one.
    pub previous: Option<String>,
    /// Replicas for which there is no host.
    pub unplaced: u32,
    /// Hosts that the template selects and that take shares.
    pub selected: u32,
    /// When to ask again if nothing else happens before: a replica becomes available then.
    pub again: Option<Duration>,
}

/// What is to be done about a deployment now.
#[must_use]
pub fn deployment_step(facts: &DeploymentFacts<'_>) -> DeploymentStep {
    let wanted = wanted(facts);
    let history = history(facts, wanted);
    let numbers = wanted.map(|it| super::revisions(it, &history, facts.spec.revision_history_limit));
    let mut step = DeploymentStep::default();
    let states = states(facts, wanted, numbers.as_ref(), &mut step.again);
    let rollout = rollout::step(&Pace::of(facts.spec), wanted, &states);
    step.phase = rollout.phase;
    if let Some(numbers) = numbers {
        step.delete = numbers.delete;
        step.previous = numbers.previous;
    }
    let own: BTreeSet<HostId> = facts.workloads.iter().map(|it| it.host.clone()).collect();
    let alive: BTreeSet<&HostId> = (facts.hosts.iter())
        .filter(|it| it.state != HostState::Lost && own.contains(&it.id))
        .map(|it| &it.id)
        .collect();
    let gone = |host: &HostId| !alive.contains(host);
    let seed = facts.name.to_string();
    for state in states.iter().filter(|it| !step.delete.contains(&it.revision)) {
        let replicas = rollout.of(&state.revision);
        let template = facts.replica_sets.iter().find(|it| it.revision == state.revision).and_then(|it| it.template);
        let template = if wanted == Some(state.revision.as_str()) { None } else { template };
        let spread = Spread {
            own: Some(&own),
            near: facts.near,
            ..Spread::of(template.unwrap_or(&facts.spec.template.spec), &seed)
        };
        let held: BTreeMap<HostId, Held> = (facts.workloads.iter())
            .filter(|it| it.revision == state.revision)
            .map(|it| (it.host.clone(), Held { replicas: it.replicas, ready: it.ready }))
            .collect();
        let placement = match replicas {
            0 if on_standby(facts, wanted, &state.revision) => {
                placement::standby(STANDBY_HOSTS, &held, facts.hosts, &spread)
            }
            0 => Placement::default(),
            _ => placement::place(replicas, &held, facts.hosts, &spread),
        };
        if wanted.is_none_or(|it| it == state.revision) {
            step.unplaced += placement.unplaced;
            step.selected = step.selected.max(placement.selected);
        }
        let next = placement::settle(replicas, &held, &placement.shares, &gone);
        step.leaving.extend(
            held.keys().filter(|it| !next.contains_key(*it)).map(|host| (state.revision.clone(), host.clone())),
        );
        step.workloads.extend(next.into_iter().map(|(host, replicas)| WantedWorkload {
            revision: state.revision.clone(),
            host,
            replicas,
        }));
        step.replica_sets.push(WantedReplicaSet { revision: state.revision.clone(), number: state.number, replicas });
    }
    if step.replica_sets.iter().all(|it| it.replicas == 0) {
        // Nothing was placed, so nobody has counted the hosts.
        let spread = Spread::of(&facts.spec.template.spec, &seed);
        step.selected = placement::place(0, &BTreeMap::new(), facts.hosts, &spread).selected;
    }
    step
}

/// Whether a revision without replicas is to answer all the same: the wanted one of a deployment that is at zero, and until that
/// one can, the one before.
fn on_standby(facts: &DeploymentFacts<'_>, wanted: Option<&str>, revision: &str) -> bool {
    if !facts.spec.scale_to_zero.unwrap_or(false) || facts.spec.replicas != Some(0) {
        return false;
    }
    let serves = |revision: &str| facts.workloads.iter().any(|it| it.revision == revision && it.ready_since.is_some());
    match wanted {
        Some(wanted) if wanted != revision => !serves(wanted) && serves(revision),
        _ => true,
    }
}

/// The wanted revision, unless it would be new and changes wait.
fn wanted<'a>(facts: &DeploymentFacts<'a>) -> Option<&'a str> {
    let exists = |wanted: &&str| facts.replica_sets.iter().any(|it| it.revision == *wanted);
    facts.wanted.filter(|it| !facts.spec.paused.unwrap_or(false) || exists(it))
}

fn history(facts: &DeploymentFacts<'_>, wanted: Option<&str>) -> Vec<RevisionView> {
    let used = |revision: &str| facts.workloads.iter().any(|it| it.revision == revision);
    let view = |it: &ReplicaSetFacts<'_>| RevisionView {
        revision: it.revision.clone(),
        number: it.number,
        in_use: it.replicas > 0 || used(&it.revision) || wanted == Some(it.revision.as_str()),
    };
    facts.replica_sets.iter().map(view).collect()
}

/// Every revision that has a ReplicaSet or a Workload, and the wanted one; the oldest first.
fn states(
    facts: &DeploymentFacts<'_>,
    wanted: Option<&str>,
    numbers: Option<&Revisions>,
    again: &mut Option<Duration>,
) -> Vec<RevisionState> {
    let mut states: BTreeMap<&str, RevisionState> = BTreeMap::new();
    let new = |revision: &str| RevisionState { revision: revision.to_owned(), ..RevisionState::default() };
    for it in facts.replica_sets {
        let state = states.entry(&it.revision).or_insert_with(|| new(&it.revision));
        state.number = it.number;
        state.replicas = it.replicas;
    }
    if let (Some(wanted), Some(numbers)) = (wanted, numbers) {
        states.entry(wanted).or_insert_with(|| new(wanted)).number = numbers.number;
    }
    let min_ready = Pace::of(facts.spec).min_ready;
    for it in facts.workloads {
        let state = states.entry(&it.revision).or_insert_with(|| new(&it.revision));
        let ready = it.ready.min(it.replicas);
        state.current += it.replicas;
        state.ready += ready;
        let serving =
            it.ready_since.map(|since| Duration::try_from(facts.now.duration_since(since)).unwrap_or_default());
        match min_ready.checked_sub(serving.unwrap_or_default()) {
            Some(rest) if !rest.is_zero() => {
                if ready > 0 && serving.is_some() {
                    *again = Some(again.map_or(rest, |it| it.min(rest)));
                }
            }
            _ => state.available += ready,
        }
    }
    let mut states: Vec<RevisionState> = states.into_values().collect();
    states.sort_by(|a, b| (a.number, &a.revision).cmp(&(b.number, &b.revision)));
    states
}
