//! The demonstration of autoscaling: a load that goes up, stays and goes down again, a driver that follows it, and what is
//! told about that. `make demo-autoscale` runs it; scenarios run it with shorter spans.
//!
//! What is pure stands apart from what touches a cluster: a plan ([`ramp`]), what happened ([`record`]), whether that is
//! good ([`verdict`]), and how it is shown ([`chart`], [`report`]). [`stage`] is the cluster's part, [`run`] the whole.

pub mod chart;
pub mod driver;
pub mod metrics;
pub mod ramp;
pub mod record;
pub mod report;
pub mod run;
pub mod stage;
mod svg;
pub mod verdict;
