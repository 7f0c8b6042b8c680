//! What statuses say. Times of conditions change only with their status, and equal facts make an equal status, so that an
//! unchanged one need not be written again.

mod autoscaled;
mod deployment;
mod host;
mod replica_set;
mod route;
mod service;
mod workload;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub use self::{
    autoscaled::Autoscaled,
    deployment::{DeploymentStatusFacts, Failure, Programmed, deployment},
    host::{HostStatusFacts, host},
    replica_set::{ReplicaSetStatusFacts, replica_set},
    route::{CONTROLLER, route},
    service::service,
    workload::{WorkloadStatusFacts, workload},
};
use super::{Finding, Severity};

/// Bytes that a condition's message may have, as the API server checks it.
const MESSAGE_LIMIT: usize = 32_768;

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// One of [`penstock_api::conditions`].
    pub r#type: &'static str,
    /// `True` or `False`; none: `Unknown`.
    pub status: Option<bool>,
    /// A word in CamelCase.
    pub reason: &'static str,
    /// A sentence; may be empty.
    pub message: String,
}

impl Draft {
    /// `True`.
    #[must_use]
    pub fn yes(r#type: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { r#type, status: Some(true), reason, message: message.into() }
    }

    /// `False`.
    #[must_use]
    pub fn no(r#type: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { r#type, status: Some(false), reason, message: message.into() }
    }

    /// `Unknown`.
    #[must_use]
    pub fn unknown(r#type: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { r#type, status: None, reason, message: message.into() }
    }
}

/// Conditions with their times: where the status is as before, so is the time. Conditions of types that are not drafted go.
#[must_use]
pub fn merge(previous: &[Condition], drafts: Vec<Draft>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let condition = |draft: Draft| {
        let status = match draft.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = previous.iter().find(|it| it.type_ == draft.r#type && it.status == status);
        Condition {
            type_: draft.r#type.to_owned(),
            status: status.to_owned(),
            reason: draft.reason.to_owned(),
            message: cut(draft.message),
            observed_generation: generation,
            // Whole seconds: the API server keeps no more, and the status must compare equal to what it gives back.
            last_transition_time: before.map_or_else(|| Time(whole(now)), |it| it.last_transition_time.clone()),
        }
    };
    drafts.into_iter().map(condition).collect()
}

fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let end = (0..=MESSAGE_LIMIT).rev().find(|it| message.is_char_boundary(*it)).unwrap_or(0);
        message.truncate(end);
    }
    message
}

/// Errors before warnings, and how many more there are.
fn first(findings: &[Finding]) -> Option<(&'static str, String)> {
    let finding = findings.iter().min_by_key(|it| it.severity)?;
    let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
    let more = match findings.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some((finding.reason, format!("{path}{}{more}", finding.message)))
}

fn errors(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|it| it.severity == Severity::Error).cloned().collect()
}
