//! Kubernetes in, snapshots out. What should run and be routed is decided by [`plan`], which is pure; [`hosts`] speaks with
//! hosts, and the controllers join the two.

mod accept;
mod admin;
mod app;
pub mod args;
mod backoff;
pub mod board;
pub mod certificate;
mod controller;
mod events;
pub mod external_metrics;
pub mod hosts;
pub mod leader;
mod metrics;
pub mod plan;
pub mod scaler;
pub mod signals;

pub use self::app::main;
