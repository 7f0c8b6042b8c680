//! What a host says of its shares and listeners.

use std::{collections::BTreeMap, net::SocketAddr};

/// The state of everything on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last snapshot whose shares and listeners are all as it wants them, failures included.
    pub version: u64,
    /// The last snapshot that was taken in: its route tables are in force with the shares that are ready, its shares are
    /// being loaded, and what it no longer wants drains. Each share's state below is meant for this version.
    pub follows: u64,
    /// Shares by id. One that is not listed is not there (any more).
    pub shares: BTreeMap<String, ShareReport>,
    /// Listeners by name.
    pub listeners: BTreeMap<String, ListenerReport>,
    /// The host has been told to stop (SIGTERM) and drains, or is about to.
    pub leaving: bool,
    /// Why the newest snapshot could not be read and the one before is followed on.
    pub refused: Option<String>,
}

/// How far a share is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShareState {
    /// Images are being fetched and compiled, instances warmed.
    #[default]
    Loading,
    /// It answers.
    Ready,
    /// It did not start; it is tried again with growing pauses.
    Failed,
    /// It is no longer wanted and finishes what is in flight.
    Draining,
}

/// One share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareReport {
    /// How far it is.
    pub state: ShareState,
    /// Why it is not further: the host's own sentence.
    pub message: Option<String>,
    /// Units of capacity, as the host has them.
    pub replicas: u32,
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerReport {
    /// Whether it listens.
    pub bound: bool,
    /// Where, if it does.
    pub address: Option<SocketAddr>,
    /// Why it does not, or which of its routes are left out.
    pub errors: Vec<String>,
}
