//! A deployment's status.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::LocalObjectReference;
use penstock_api::{WorkloadDeploymentStatus, conditions as is, reasons, replica_set::ReplicaCounts};

use super::{Autoscaled, Draft, autoscaled, errors, first, merge};
use crate::plan::{DeploymentStep, Finding, Name, Phase, names};

/// A share of the wanted revision that could not be started, or that crashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// On which host.
    pub host: String,
    /// The host's own sentence.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "host {}: {}", self.host, self.message)
    }
}

/// Whether what a generation says has reached everything that clients touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programmed {
    /// Ready hosts that do not follow the snapshot yet that has this generation; sorted.
    pub waiting_for: Vec<String>,
    /// Whether the slices of its Services have been as they are for the propagation delay.
    pub propagated: bool,
}

/// What decides about a deployment's status.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentStatusFacts<'a> {
    /// The deployment.
    pub name: &'a Name,
    /// Its generation.
    pub generation: Option<i64>,
    /// Its `spec.replicas`.
    pub replicas: u32,
    /// The wanted revision, if it could be resolved.
    pub wanted: Option<&'a str>,
    /// What was decided.
    pub step: &'a DeploymentStep,
    /// Replicas of all revisions that hosts have.
    pub current: u32,
    /// Replicas of all revisions that serve.
    pub ready: u32,
    /// Replicas of the wanted revision that serve.
    pub updated_ready: u32,
    /// Replicas that must serve ([`crate::plan::Pace::min_available`]).
    pub min_available: u32,
    /// A share of the wanted revision that could not be started.
    pub failure: Option<&'a Failure>,
    /// A share of the wanted revision that serves, and crashes again and again.
    pub crash: Option<&'a Failure>,
    /// Whether `progressDeadlineSeconds` have passed since the last progress of a rollout.
    pub deadline_exceeded: bool,
    /// Whether clients see it.
    pub programmed: &'a Programmed,
    /// Artifacts that are not there yet.
    pub artifacts_missing: &'a [String],
    /// How its autoscaling stands, if it has any.
    pub autoscaled: Option<&'a Autoscaled>,
    /// All that is to be said about it.
    pub findings: &'a [Finding],
}

/// A deployment's status.
#[must_use]
pub fn deployment(
    previous: Option<&WorkloadDeploymentStatus>,
    facts: &DeploymentStatusFacts<'_>,
    now: Timestamp,
) -> WorkloadDeploymentStatus {
    let deploy = deploy(facts);
    let mut drafts = vec![
        artifact(facts),
        sync(facts),
        deploy.clone(),
        scale(facts),
        available(facts),
        ready(facts, deploy),
        programmed(facts),
        healthy(facts),
    ];
    drafts.extend(facts.autoscaled.into_iter().flat_map(autoscaled::drafts));
    let conditions = previous.map(|it| it.conditions.as_slice()).unwrap_or_default();
    let set = |revision: &str| LocalObjectReference { name: names::replica_set(&facts.name.name, revision) };
    let counts = ReplicaCounts {
        expected: facts.replicas,
        current: facts.current,
        ready: facts.ready,
        unavailable: facts.replicas.saturating_sub(facts.ready),
    };
    // What surges during a rollout is no capacity that an autoscaler should multiply.
    let rolling = facts.step.replica_sets.iter().filter(|it| it.replicas > 0).count() > 1;
    WorkloadDeploymentStatus {
        observed_generation: facts.generation,
        conditions: merge(conditions, drafts, facts.generation, now),
        current_replica_set: match facts.wanted {
            Some(revision) => Some(set(revision)),
            None => previous.and_then(|it| it.current_replica_set.clone()),
        },
        previous_replica_set: facts.step.previous.as_deref().map(set),
        replicas: Some(counts),
        current_replicas: Some(if rolling { facts.current.min(facts.replicas) } else { facts.current }),
        selector: Some(names::scale_selector(facts.name)),
    }
}

fn artifact(facts: &DeploymentStatusFacts<'_>) -> Draft {
    match facts.artifacts_missing {
        [] => Draft::yes(is::ARTIFACT, reasons::RESOLVED, "every artifact is there"),
        missing => {
            let message = format!("waiting for artifacts: {}", missing.join(", "));
            Draft::no(is::ARTIFACT, reasons::ARTIFACT_NOT_FOUND, message)
        }
    }
}

fn sync(facts: &DeploymentStatusFacts<'_>) -> Draft {
    match (facts.wanted, first(&errors(facts.findings))) {
        // Errors in routes and hostnames do not keep the revision from running; they are said all the same.
        (_, Some((reason, message))) => Draft::no(is::SYNC, reason, message),
        (None, None) => Draft::no(is::SYNC, reasons::PENDING, "its references are being resolved"),
        (Some(_), None) => match first(facts.findings) {
            Some((reason, message)) => Draft::yes(is::SYNC, reason, message),
            None => Draft::yes(is::SYNC, reasons::RESOLVED, "every reference is resolved"),
        },
    }
}

/// How far the wanted revision is.
fn deploy(facts: &DeploymentStatusFacts<'_>) -> Draft {
    let Some(revision) = facts.wanted else {
        let (reason, message) = first(&errors(facts.findings))
            .unwrap_or((reasons::PENDING, "its references are being resolved".to_owned()));
        return Draft::no(is::DEPLOY, reason, message);
    };
    let (ready, wanted) = (facts.updated_ready, facts.replicas);
    let so_far = format!("{ready} of {wanted} replicas of revision {revision} serve");
    if facts.step.phase == Phase::Complete {
        return Draft::yes(is::DEPLOY, reasons::COMPLETE, so_far);
    }
    let why = facts.failure.map(ToString::to_string);
    match (facts.step.phase, why) {
        (Phase::Paused, _) => {
            Draft::no(is::DEPLOY, reasons::PAUSED, "the template's change waits: set `paused` to false to roll it out")
        }
        (_, why) if facts.deadline_exceeded => {
            let why = why.map(|it| format!(": {it}")).unwrap_or_default();
            Draft::no(is::DEPLOY, reasons::PROGRESS_DEADLINE_EXCEEDED, format!("{so_far}, without progress{why}"))
        }
        (_, Some(why)) => Draft::no(is::DEPLOY, reasons::START_FAILED, why),
        (_, None) if facts.step.selected == 0 && wanted > 0 => no_host(is::DEPLOY),
        (_, None) => Draft::no(is::DEPLOY, reasons::PROGRESSING, so_far),
    }
}

fn no_host(r#type: &'static str) -> Draft {
    let message = "no host that takes workloads is selected: correct `hostSelector`, `hostId` or `environment` of the \
                   template, or start a host";
    Draft::no(r#type, reasons::NO_HOST, message)
}

fn scale(facts: &DeploymentStatusFacts<'_>) -> Draft {
    let (current, wanted) = (facts.current, facts.replicas);
    if facts.step.selected == 0 && wanted > 0 {
        return no_host(is::SCALE);
    }
    match facts.step.unplaced {
        0 if current == wanted => Draft::yes(is::SCALE, reasons::SCALED, format!("{wanted} replicas")),
        0 => Draft::no(is::SCALE, reasons::SCALING, format!("{current} replicas, {wanted} are wanted")),
        unplaced => {
            let message = format!(
                "no host has room for {unplaced} of {wanted} replicas: add hosts, or relax `topologySpread` or the selector"
            );
            Draft::no(is::SCALE, reasons::INSUFFICIENT_CAPACITY, message)
        }
    }
}

fn available(facts: &DeploymentStatusFacts<'_>) -> Draft {
    let (ready, least) = (facts.ready, facts.min_available);
    let message = format!("{ready} replicas serve, {least} must");
    match ready >= least {
        true => Draft::yes(is::AVAILABLE, reasons::MINIMUM_AVAILABLE, message),
        false => Draft::no(is::AVAILABLE, reasons::MINIMUM_UNAVAILABLE, message),
    }
}

/// It does what its spec says.
fn ready(facts: &DeploymentStatusFacts<'_>, deploy: Draft) -> Draft {
    match deploy.status {
        Some(true) if facts.step.unplaced > 0 => Draft { r#type: is::READY, ..scale(facts) },
        Some(true) => Draft::yes(is::READY, reasons::SERVING, deploy.message),
        _ => Draft { r#type: is::READY, ..deploy },
    }
}

fn programmed(facts: &DeploymentStatusFacts<'_>) -> Draft {
    let waiting = &facts.programmed.waiting_for;
    if facts.step.phase != Phase::Complete || facts.step.unplaced > 0 {
        Draft::no(is::PROGRAMMED, reasons::NOT_READY, "not all of its replicas serve yet")
    } else if let Some(it) = facts.findings.iter().find(|it| it.reason == reasons::SERVICE_NOT_FOUND) {
        // It serves, but nobody can ask it.
        Draft::no(is::PROGRAMMED, it.reason, it.message.clone())
    } else if let Some(host) = waiting.first() {
        let more = if waiting.len() > 1 { format!(" and {} others", waiting.len() - 1) } else { String::new() };
        Draft::no(is::PROGRAMMED, reasons::WAITING_FOR_HOSTS, format!("host {host}{more} has not acknowledged it yet"))
    } else if !facts.programmed.propagated {
        Draft::no(is::PROGRAMMED, reasons::PROPAGATING, "its endpoints are known to the API server since a moment only")
    } else {
        Draft::yes(is::PROGRAMMED, reasons::PROGRAMMED, "hosts and endpoints are as it says")
    }
}

fn healthy(facts: &DeploymentStatusFacts<'_>) -> Draft {
    match facts.crash {
        Some(it) => Draft::no(is::HEALTHY, reasons::CRASH_LOOP, it.to_string()),
        None => Draft::yes(is::HEALTHY, reasons::HEALTHY, "no instances crash in a row"),
    }
}
