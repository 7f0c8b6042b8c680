//! What a host says of itself.

use std::{collections::BTreeMap, mem::take, net::SocketAddr};

use serde::{Deserialize, Serialize};

/// The state of everything on a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// Version of the last snapshot whose shares and listeners are all as it wants them, failures included.
    pub version: u64,
    /// Version of the snapshot that the route tables follow: what is said of shares and listeners below is meant for it.
    /// Shares that it added may still be loading.
    #[serde(default)]
    pub follows: u64,
    /// The host has been told to stop.
    #[serde(default)]
    pub leaving: bool,
    /// Shares by id.
    pub shares: BTreeMap<String, ShareStatus>,
    /// Listeners by name.
    pub listeners: BTreeMap<String, ListenerStatus>,
}

/// How far a share is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareState {
    /// Images are being fetched and compiled, instances warmed, for the first time.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareStatus {
    /// `namespace/deployment`.
    pub deployment: String,
    /// The revision.
    pub revision: String,
    /// How far it is.
    pub state: ShareState,
    /// Why it is not further, or what is wrong although it is ready, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Units of capacity.
    pub replicas: u32,
    /// Units that the host lends it beyond those.
    #[serde(default)]
    pub lent: u32,
    /// Calls at once that its replicas are good for.
    pub capacity: u64,
    /// Calls running.
    pub in_flight: u64,
    /// Calls waiting.
    pub queued: u64,
    /// Calls admitted so far.
    #[serde(default)]
    pub admitted: u64,
    /// Calls refused so far.
    pub shed: u64,
    /// Milliseconds that admitted calls have waited, all together.
    #[serde(default)]
    pub waited_ms: u64,
    /// Calls whose answer has ended, however it did, so far.
    #[serde(default)]
    pub served: u64,
    /// Milliseconds that these took from their arrival on, all together.
    #[serde(default)]
    pub served_ms: u64,
    /// Instances, idle or not.
    #[serde(default)]
    pub instances: u64,
    /// Warm instances without a call.
    pub idle_instances: u64,
    /// Instances made so far.
    pub started_instances: u64,
    /// Of these those that a call waited for.
    #[serde(default)]
    pub cold_starts: u64,
    /// Calls that found a warm instance.
    pub reused_instances: u64,
    /// Calls that instances with `maxConcurrency` above 1 take at once now, all together.
    #[serde(default)]
    pub instance_concurrency: u64,
    /// Calls that ended in a trap.
    pub trapped: u64,
    /// CPU milliseconds of all instances.
    pub cpu_ms: u64,
    /// Bytes of memory that instances have.
    #[serde(default)]
    pub memory_bytes: u64,
    /// The same, summed over time: a byte for a second is 1.
    #[serde(default)]
    pub memory_byte_seconds: f64,
    /// Microseconds that an instance has kept its thread at most, in this minute and the one before.
    #[serde(default)]
    pub longest_poll_us: u64,
    /// How often each limit has stopped something, by the limit's name; those that have not are left out.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// Calls that went to other hosts, or came from there.
    #[serde(default)]
    pub spill: SpillStatus,
}

impl ShareStatus {
    /// Takes over everything but the names; whether anything is different.
    pub(super) fn update(&mut self, numbers: Self) -> bool {
        let (deployment, revision) = (take(&mut self.deployment), take(&mut self.revision));
        let changed = *self != numbers;
        *self = Self { deployment, revision, ..numbers };
        changed
    }
}

/// Calls that a share could not take at once, and those of other hosts that it could: counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpillStatus {
    /// Hosts with the same share that calls can be passed on to now.
    pub peers: u64,
    /// Another host has taken them.
    pub out: u64,
    /// Another host had no place either.
    pub refused: u64,
    /// The host that had them was lost.
    pub lost: u64,
    /// They are other hosts', and were taken here.
    #[serde(rename = "in")]
    pub taken: u64,
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Where it listens, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Why it does not listen, or which of its routes are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Number of the current route table.
    pub generation: u64,
    /// Matches in it.
    pub matches: usize,
    /// Its TLS, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,
}

/// A listener's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// What is shown to clients.
    pub certificates: Vec<CertificateStatus>,
    /// Handshakes that went well.
    pub handshakes: u64,
    /// Handshakes that failed, by cause.
    pub failures: BTreeMap<String, u64>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// `namespace/name` of the Secret that it is from.
    pub name: String,
    /// When it ends, in seconds since the epoch.
    pub not_after: i64,
}
