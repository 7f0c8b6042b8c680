//! Instances out of components: implements the router's backend and follows snapshots.

mod app;
mod backoff;
mod capability;
pub mod control;
pub mod engine;
mod instance;
mod peer;
mod workload;

pub use app::{
    CertificateStatus, Host, HostConfig, HostError, HostStatus, ListenerStatus, Metrics, PeerConfig, ShareState,
    ShareStatus, SpillStatus, TlsStatus,
};
pub use peer::{IdentityError, Peers, PeersError};
pub use workload::{LinkError, StartError};
