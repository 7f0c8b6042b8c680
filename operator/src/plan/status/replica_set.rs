//! A ReplicaSet's status.

use jiff::Timestamp;
use penstock_api::{WorkloadReplicaSetStatus, conditions as is, reasons, replica_set::ReplicaCounts};

use super::{Draft, merge};

/// What decides about a ReplicaSet's status.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplicaSetStatusFacts {
    /// The ReplicaSet's generation.
    pub generation: Option<i64>,
    /// Its `spec.replicas`.
    pub expected: u32,
    /// Replicas that hosts have.
    pub current: u32,
    /// Of those, the ones that serve.
    pub ready: u32,
}

/// A ReplicaSet's status.
#[must_use]
pub fn replica_set(
    previous: Option<&WorkloadReplicaSetStatus>,
    facts: &ReplicaSetStatusFacts,
    now: Timestamp,
) -> WorkloadReplicaSetStatus {
    let ReplicaSetStatusFacts { generation, expected, current, ready } = *facts;
    let counts = ReplicaCounts { expected, current, ready, unavailable: expected.saturating_sub(ready) };
    let up = match ready < expected {
        true => Draft::yes(is::SCALE_UP, reasons::STARTING, format!("{ready} of {expected} replicas serve")),
        false => Draft::no(is::SCALE_UP, reasons::SCALED, "no replica is to be added"),
    };
    let down = match current > expected {
        true => Draft::yes(is::SCALE_DOWN, reasons::DRAINING, format!("{} replicas leave", current - expected)),
        false => Draft::no(is::SCALE_DOWN, reasons::SCALED, "no replica is to leave"),
    };
    let serving = match ready >= expected {
        true => Draft::yes(is::READY, reasons::SERVING, format!("{expected} replicas serve")),
        false => Draft::no(is::READY, reasons::STARTING, format!("{ready} of {expected} replicas serve")),
    };
    let conditions = previous.map(|it| it.conditions.as_slice()).unwrap_or_default();
    WorkloadReplicaSetStatus {
        observed_generation: generation,
        conditions: merge(conditions, vec![up, down, serving], generation, now),
        replicas: Some(counts),
    }
}
