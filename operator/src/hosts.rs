//! The hosts that are connected: who they are, what they say, what they are told. No Kubernetes in it; the one thing asked
//! of Kubernetes, whose token that is, stands behind a trait.
//!
//! The controllers hold a [`Hosts`] and read [`HostEvent`]s from its channel. Events of one host come in their order, and a
//! stream that was replaced by a newer one of the same pod says nothing more.

mod authority;
mod hub;
mod identity;
mod message;
mod report;
mod server;
mod tls;

use std::{borrow::Borrow, fmt, sync::Arc};

use bytes::Bytes;

use crate::signals::Counters;

pub use self::{
    authority::{Authority, AuthorityError, Material, Renewal},
    hub::Hosts,
    identity::{Identify, Identity, Refusal, TokenReviewer, TokenRules},
    report::{ListenerReport, Report, ShareReport, ShareState},
    server::serve,
    tls::{Certificates, TlsError},
};

/// Which host: the name of its pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub Arc<str>);

/// What a host says of itself when its stream begins. Its identity is what Kubernetes says of its token; the rest is its
/// own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The pod, by its token.
    pub host: HostId,
    /// The pod's uid, by its token: a StatefulSet's next pod has the same name and another uid.
    pub pod_uid: String,
    /// The node it runs on, by its token, if the cluster says so.
    pub node: Option<String>,
    /// The host's version.
    pub version: String,
    /// The engine and its version, such as `wasmtime 48.0.8`.
    pub engine: String,
    /// Component instances that it can hold at once.
    pub instances: u32,
    /// Memory that its components may use together; 0 if nothing limits it.
    pub memory_bytes: u64,
    /// The operating system, such as `linux`.
    pub os_name: String,
    /// The processor's architecture, such as `x86_64`.
    pub os_arch: String,
    /// The kernel's release.
    pub os_kernel: String,
    /// The snapshot that it follows already, from its disk or from before the connection was lost; 0 if none.
    pub snapshot_version: u64,
    /// Where other hosts reach it.
    pub peer_port: Option<u16>,
    /// A request for a certificate (PKCS #10, DER); empty if it wants none.
    pub certificate_request: Bytes,
}

/// What becomes known of a host.
#[derive(Clone, Debug)]
pub enum HostEvent {
    /// Its stream begins. Nothing that was known of it before counts any more, and it waits for a
    /// [push](Hosts::push). A second one without a [`HostEvent::Disconnected`] between means that the stream was replaced.
    Connected(Hello),
    /// Its state changed.
    Report {
        /// Who.
        host: HostId,
        /// All that it says now.
        report: Arc<Report>,
        /// The ids of the shares that differ from its last report, those that are gone included.
        changed: Vec<String>,
    },
    /// How loaded it is: each second while that changes, else each ten.
    Signals {
        /// Who.
        host: HostId,
        /// The machine below it.
        machine: MachineSignal,
        /// The shares whose numbers changed.
        signals: Vec<ShareSignal>,
    },
    /// Its stream has ended. It may serve on all the same.
    Disconnected {
        /// Who.
        host: HostId,
    },
}

/// How loaded one share is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareSignal {
    /// The share's id in the snapshot.
    pub share: String,
    /// What has been counted since the share started, and what there is now.
    pub counters: Counters,
    /// CPU milliseconds of all calls since the share started.
    pub cpu_ms: u64,
    /// Replicas' worth of room that the host lends it.
    pub lent: u32,
}

/// How loaded the machine below a host is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineSignal {
    /// Percent of all processors that were busy since the last signal.
    pub cpu_percent: f64,
    /// Bytes.
    pub memory_total: u64,
    /// Bytes that could be had without swapping.
    pub memory_free: u64,
}

/// Who leads, as this operator knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leader {
    /// Nobody, or nobody knows: hosts are asked to come again.
    #[default]
    Unknown,
    /// This one: hosts are taken in.
    Me,
    /// Another, at this address (`10.0.0.7:9443`): hosts are sent there.
    At(String),
}

// === impl HostId ===

impl HostId {
    /// The pod's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for HostId {
    fn default() -> Self {
        Self("".into())
    }
}

impl From<&str> for HostId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for HostId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for HostId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
