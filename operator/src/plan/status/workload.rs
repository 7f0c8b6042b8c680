//! A Workload's status.

use jiff::Timestamp;
use penstock_api::{WorkloadStatus, conditions as is, reasons};

use super::{Draft, errors, first, merge};
use crate::{hosts::ShareState, plan::Finding};

/// What decides about a Workload's status.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkloadStatusFacts<'a> {
    /// The Workload's generation.
    pub generation: Option<i64>,
    /// Its host; none: no host is selected.
    pub host: Option<&'a str>,
    /// The host's environment.
    pub environment: Option<&'a str>,
    /// The share's id.
    pub share_id: &'a str,
    /// Whether the host follows a snapshot with this share as it is wanted.
    pub synced: bool,
    /// How far the share is; none: nothing has been heard of it.
    pub state: Option<ShareState>,
    /// The host's own sentence about it.
    pub message: Option<&'a str>,
    /// What is to be said about it (of [`crate::plan::Resolved::findings`]).
    pub findings: &'a [Finding],
}

/// A Workload's status.
#[must_use]
pub fn workload(previous: Option<&WorkloadStatus>, facts: &WorkloadStatusFacts<'_>, now: Timestamp) -> WorkloadStatus {
    let config = match first(&errors(facts.findings)) {
        Some((reason, message)) => Draft::no(is::CONFIG, reason, message),
        None => Draft::yes(is::CONFIG, reasons::RESOLVED, "every reference is resolved"),
    };
    let (selection, placement) = match facts.host {
        Some(host) => (
            Draft::yes(is::HOST_SELECTION, reasons::SELECTED, "a host is selected"),
            Draft::yes(is::PLACEMENT, reasons::PLACED, format!("on host {host}")),
        ),
        None => {
            let message = "no host that takes workloads has these labels: correct `hostSelector`, `hostId` or \
                           `environment`, or start a host";
            (
                Draft::no(is::HOST_SELECTION, reasons::NO_HOST, message),
                Draft::no(is::PLACEMENT, reasons::NO_HOST, message),
            )
        }
    };
    let sync = match facts.synced {
        true => Draft::yes(is::SYNC, reasons::ACKNOWLEDGED, "the host has it as it is wanted"),
        false => Draft::no(is::SYNC, reasons::WAITING_FOR_HOSTS, "the host has not acknowledged it yet"),
    };
    let said = |otherwise: &str| facts.message.unwrap_or(otherwise).to_owned();
    let ready = match facts.state {
        Some(ShareState::Ready) => Draft::yes(is::READY, reasons::SERVING, "it serves"),
        Some(ShareState::Loading) => {
            Draft::no(is::READY, reasons::STARTING, said("its components are being fetched, compiled or started"))
        }
        Some(ShareState::Failed) => Draft::no(is::READY, reasons::START_FAILED, said("the host does not say why")),
        Some(ShareState::Draining) => Draft::no(is::READY, reasons::DRAINING, "it finishes what it has begun"),
        None => Draft::unknown(is::READY, reasons::WAITING_FOR_HOSTS, "nothing has been heard of it yet"),
    };
    // A share that serves has nothing else to say.
    let healthy = match (facts.state, facts.message) {
        (Some(ShareState::Ready), Some(message)) => Draft::no(is::HEALTHY, reasons::CRASH_LOOP, message),
        _ => Draft::yes(is::HEALTHY, reasons::HEALTHY, "no instances crash in a row"),
    };
    let conditions = previous.map(|it| it.conditions.as_slice()).unwrap_or_default();
    let drafts = vec![config, selection, placement, sync, ready, healthy];
    WorkloadStatus {
        observed_generation: facts.generation,
        conditions: merge(conditions, drafts, facts.generation, now),
        host_id: facts.host.map(ToOwned::to_owned),
        environment: facts.environment.map(ToOwned::to_owned),
        workload_id: facts.host.map(|_| facts.share_id.to_owned()),
    }
}
