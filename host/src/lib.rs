//! Instances out of components: implements the router's backend and follows snapshots.

mod app;
mod capability;
pub mod control;
pub mod engine;
mod instance;
mod workload;

pub use app::{
    CertificateStatus, Host, HostConfig, HostError, HostStatus, ListenerStatus, Metrics, ShareState, ShareStatus,
    TlsStatus,
};
pub use workload::{LinkError, StartError};
