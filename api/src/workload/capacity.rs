//! What one replica is worth, and where replicas go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;

/// What one replica serves at once and may hold waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Calls at once; 100 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
    /// Calls that may wait; 100 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub queue_depth: Option<u32>,
    /// How long a call may wait; 5s unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<GatewayDuration>,
    /// What becomes of a call that a host's share has no place for; `Queue` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_full: Option<WhenFull>,
    /// Replicas' worth of room that a host may lend at once, beyond the replicas that it has, while calls wait and the host is not
    /// busy; 0 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10_000))]
    pub burst: Option<u32>,
}

/// What becomes of a call that a host's share has no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenFull {
    /// It waits on that host.
    #[default]
    Queue,
    /// Another host takes it, one hop away, if one has room; else it waits.
    Spill,
}

/// How evenly replicas spread over hosts that differ in one label, as in a pod's `topologySpreadConstraints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpread {
    /// The label, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1))]
    pub topology_key: String,
    /// By how many replicas two values of the label may differ; 1 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_skew: Option<u32>,
    /// What happens when that is not possible; `ScheduleAnyway` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_unsatisfiable: Option<Unsatisfiable>,
}

/// What happens to a replica that would break the spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unsatisfiable {
    /// It runs nevertheless.
    #[default]
    ScheduleAnyway,
    /// It waits.
    DoNotSchedule,
}
