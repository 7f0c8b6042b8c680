//! KEDA's external scaler: KEDA asks here whether a workload has to run and how loaded it is, and scales it by its `/scale`.
//!
//! A trigger's metadata:
//!
//! | key | meaning |
//! |---|---|
//! | `metricName` | a [signal](crate::signals::Signal) by its name; `utilization` if there is none |
//! | `targetValue` | what one replica is meant to bear, a quantity (`10`, `800m`); 0.8 for `utilization`, else required |
//! | `workload` | the WorkloadDeployment; if there is none, it is called as the ScaledObject is |
//! | `activationValue` | the workload has to run while the signal is above it; if there is none, while it is called |
//!
//! KEDA does not say what a ScaledObject scales, hence `workload`. It is looked for in the ScaledObject's own namespace and
//! in no other: nobody reads another tenant's load.
//!
//! # What is told to an HPA
//! Totals, for a target of the type `AverageValue`, which is what KEDA asks for by default: the HPA divides by the target
//! and has the number of replicas. What is no sum by itself (`utilization`, `queue_wait_seconds`, `latency_seconds`) is told
//! times the number of replicas, so that the average is the thing itself. `metricType: Value` never works: there an HPA
//! counts ready pods, and a workload's replicas are no pods.
//!
//! # Who answers
//! Hosts speak to the operator that leads, so only that one knows signals; the others say UNAVAILABLE, and keep no
//! connection. [`leader_slice`] points a Service at the one that leads.

mod activity;
mod leader;
mod metadata;
mod quantity;
mod server;
mod service;
mod stream;
mod value;

use tokio::sync::watch;

pub(crate) use self::value::milli;
pub use self::{
    leader::{leader_slice, point_here},
    server::serve,
};
pub use crate::accept::{AuthoritiesError, clients_of};
use crate::{plan::Name, signals::WorkloadSignals};

/// The protocol, as `proto/externalscaler/externalscaler.proto` defines it.
pub mod protocol {
    #![expect(missing_docs, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
    tonic::include_proto!("externalscaler");
}

/// Where signals come from.
pub trait Source: Send + Sync + 'static {
    /// How loaded a workload is; none: there is no such workload.
    fn signals(&self, workload: &Name) -> Option<WorkloadSignals>;
    /// Ticks whenever the signals of some workload have changed, or [`Source::ready`] has; as long as the process lives.
    fn changes(&self) -> watch::Receiver<u64>;
    /// This operator leads, and has heard of hosts. Until then its signals say nothing.
    fn ready(&self) -> bool;
}

#[cfg(test)]
pub(crate) mod tests;
