//! Kubernetes in, snapshots out. What should run and be routed is decided by [`plan`], which is pure.

pub mod hosts;
pub mod plan;
