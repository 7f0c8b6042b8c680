//! Kubernetes in, snapshots out. What should run and be routed is decided by [`plan`], which is pure; [`hosts`] speaks with
//! hosts, and the controllers join the two.

mod admin;
mod app;
pub mod args;
mod backoff;
pub mod certificate;
mod controller;
mod events;
pub mod hosts;
pub mod leader;
mod metrics;
pub mod plan;

pub use self::app::main;
