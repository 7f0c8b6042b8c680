//! A host's conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use penstock_api::{HostStatus, conditions as is, reasons};

use super::{Draft, merge};
use crate::plan::HostState;

/// What decides about a host's conditions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostStatusFacts<'a> {
    /// The Host object's generation.
    pub generation: Option<i64>,
    /// Its state.
    pub state: HostState,
    /// Whether its stream is there.
    pub connected: bool,
    /// Why it could not read its newest snapshot ([`crate::hosts::Report::refused`]).
    pub refused: Option<&'a str>,
    /// A listener that it could not bind: name and reason.
    pub unbound: Option<(&'a str, &'a str)>,
}

/// A host's conditions; the rest of its status is what it says of itself.
#[must_use]
pub fn host(previous: Option<&HostStatus>, facts: &HostStatusFacts<'_>, now: Timestamp) -> Vec<Condition> {
    let reporting = match facts.connected {
        true => Draft::yes(is::REPORTING, reasons::CONNECTED, "its stream is there"),
        false => Draft::no(is::REPORTING, reasons::DISCONNECTED, "it has no stream to the operator now"),
    };
    let ready = match (facts.state, facts.connected) {
        (HostState::Lost, _) => Draft::no(is::READY, reasons::HOST_LOST, "it is gone: its workloads run elsewhere"),
        (HostState::Terminating, _) => Draft::no(is::READY, reasons::DRAINING, "its pod is being deleted"),
        (_, false) => Draft::unknown(is::READY, reasons::DISCONNECTED, "it serves on with what it has, if it runs"),
        (state, true) => match (facts.refused, facts.unbound) {
            (Some(why), _) => Draft::no(is::READY, reasons::SNAPSHOT_REFUSED, why),
            (None, Some((name, why))) => {
                Draft::no(is::READY, reasons::NOT_BOUND, format!("listener {name} is not bound: {why}"))
            }
            (None, None) if state == HostState::Cordoned => {
                Draft::yes(is::READY, reasons::CORDONED, "it serves, and gives what it has to others")
            }
            (None, None) => Draft::yes(is::READY, reasons::SERVING, "it takes workloads and serves"),
        },
    };
    let conditions = previous.map(|it| it.conditions.as_slice()).unwrap_or_default();
    merge(conditions, vec![reporting, ready], facts.generation, now)
}
