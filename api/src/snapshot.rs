//! All that one host should run and route, with a version. The operator (or `penstock dev`) makes it; a host applies
//! the difference between the snapshot it has and the one it is given.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    policy::{Compression, ConcurrencyLimit, OutlierDetection, RateLimit, SizeLimits},
    route::{HttpRouteFilter, HttpRouteMatch, HttpRouteRetry, HttpRouteTimeouts, SessionPersistence},
};

/// All that one host should run and route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// Grows by at least one with every change.
    pub version: u64,
    /// The shares of workloads that this host runs.
    pub shares: Vec<Share>,
    /// The listeners that this host binds, each with its routes.
    pub listeners: Vec<Listener>,
}

/// One revision of one deployment on this host: `replicas` units of capacity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Share {
    /// Unique among all shares ever given to this host: `namespace/deployment@revision`.
    pub id: String,
    /// `namespace/deployment`: what routes name.
    pub deployment: String,
    /// Names the template's content, such as a short hash of it.
    pub revision: String,
    /// Units of capacity.
    pub replicas: u32,
    /// Whether it answers with no replicas too: the first call starts an instance in place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
    /// What one unit serves.
    pub capacity: Capacity,
    /// Whole-request deadline in milliseconds.
    pub request_timeout_ms: u64,
    /// The components, linked together and run as one unit.
    pub components: Vec<Component>,
    /// Volumes by name.
    pub volumes: Vec<Volume>,
    /// The interfaces that the host offers to these components, configuration merged in.
    pub host_interfaces: Vec<HostInterface>,
}

/// What one replica serves at once, may hold waiting, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// Calls at once.
    pub concurrency: u32,
    /// Calls that may wait.
    pub queue_depth: u32,
    /// How long a call may wait, in milliseconds.
    pub queue_timeout_ms: u64,
    /// Whether calls for which there is no place go to another host that has one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spill: bool,
    /// Units that the host may lend at most, beyond those that the share has, while calls wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub burst: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Default for Capacity {
    fn default() -> Self {
        Self { concurrency: 100, queue_depth: 100, queue_timeout_ms: 5_000, spill: false, burst: 0 }
    }
}

/// One component of a workload, with every reference to a ConfigMap or Secret resolved.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Component {
    /// Unique in its workload.
    pub name: String,
    /// `file:///path`, or an OCI reference, with or without a digest.
    pub image: String,
    /// `sha256:...` that the bytes (file) or the manifest (OCI) must have, if known.
    pub digest: Option<String>,
    /// Credentials for the registry, if the manifest names a pull secret.
    pub pull_secret: Option<PullSecret>,
    /// When to ask the registry again.
    pub pull_policy: PullPolicy,
    /// Warm instances per replica; `None`: a fresh instance for every call.
    pub pool_size: Option<u32>,
    /// A warm instance retires after so many calls; `None`: never.
    pub max_invocations: Option<u32>,
    /// Calls that one warm instance serves at once at most (0.3 only; 0.2 instances serve one); `None`: 1.
    pub max_concurrency: Option<u32>,
    /// Milliseconds after which a warm instance retires; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// A warm instance with more memory retires after its call; `None`: with more than three quarters of its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_mib: Option<u32>,
    /// `memoryLimitMiB`; `None`: the host's default.
    pub memory_limit_mib: Option<u32>,
    /// CPU milliseconds that one call may use; `None`: only the deadline ends it.
    pub cpu_limit_ms: Option<u64>,
    /// Elements of each table; `None`: as many as there can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_limit: Option<u32>,
    /// Outgoing connections of all its instances; `None`: the host's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_limit: Option<u32>,
    /// MiB of one response's body; `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_limit_mib: Option<u32>,
    /// Environment variables, merged.
    pub environment: BTreeMap<String, String>,
    /// `wasi:config` entries, merged.
    pub config: BTreeMap<String, String>,
    /// Egress: which hosts outgoing HTTP may reach. Empty denies all.
    pub allowed_hosts: Vec<String>,
    /// Which names may be looked up. Empty denies all.
    pub allowed_ip_name_lookups: Vec<String>,
    /// Volumes to mount.
    pub volume_mounts: Vec<VolumeMount>,
}

/// Registry credentials. Never printed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PullSecret {
    /// Registry user.
    pub username: String,
    /// Registry password or token.
    pub password: String,
}

/// When to ask the registry again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Ask on every start which digest the tag has.
    Always,
    /// Use what is on disk, if anything.
    #[default]
    IfNotPresent,
    /// Never ask.
    Never,
}

/// A volume of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Unique in its workload.
    pub name: String,
    /// A path on the host; `None`: an empty folder that lives as long as the share.
    pub host_path: Option<String>,
}

/// Where a component sees a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeMount {
    /// The volume's name.
    pub name: String,
    /// The path inside the component.
    pub mount_path: String,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// An interface that the workload asks of the host, its configuration merged in.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostInterface {
    /// Tells apart several entries of the same package.
    pub name: Option<String>,
    /// Such as `wasi`.
    pub namespace: String,
    /// Such as `http`.
    pub package: String,
    /// Such as `incoming-handler`.
    pub interfaces: Vec<String>,
    /// Semantic version, if it matters.
    pub version: Option<String>,
    /// `config`, `configFrom` and `secretFrom`, merged.
    pub config: BTreeMap<String, String>,
}

/// A port with a route table of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// `namespace/service:port-name`, or `shared`.
    pub name: String,
    /// Where to listen, such as `0.0.0.0:8000`.
    pub address: String,
    /// The port that clients dial, if that is another one: the Service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What this listener routes, in no particular order: precedence is by rule, not by place.
    pub routes: Vec<Route>,
    /// Certificates and what else TLS needs; none: the port speaks plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

/// TLS of a listener. Holds keys: never printed, and kept in memory only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerTls {
    /// The first one is for clients that name no host, or one that no certificate is for. None: nobody can connect.
    pub certificates: Vec<ListenerCertificate>,
    /// The authorities of clients' certificates (PEM); none: clients are not asked.
    pub client_authorities: Option<String>,
    /// Whether a client without a certificate is turned away.
    pub clients_required: bool,
}

/// A certificate with its key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerCertificate {
    /// `namespace/name` of the Secret that it is from.
    pub name: String,
    /// PEM: the server's own certificate first.
    pub chain: String,
    /// PEM.
    pub key: String,
}

/// One route with all its rules, in the shape of Gateway API's HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// `namespace/name`, for precedence ties, access records and metrics.
    pub name: String,
    /// Creation time in seconds since the epoch, for precedence ties; `None` sorts last.
    pub created: Option<i64>,
    /// Hostnames, exact or `*.suffix`. Empty: every host.
    pub hostnames: Vec<String>,
    /// The rules in their written order.
    pub rules: Vec<RouteRule>,
}

/// One rule of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteRule {
    /// The rule's own name, if it has one.
    pub name: Option<String>,
    /// Any of these. Empty: everything.
    pub matches: Vec<HttpRouteMatch>,
    /// What happens to request and response.
    pub filters: Vec<HttpRouteFilter>,
    /// Where copies of requests go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<RouteMirror>,
    /// Where requests go, by weight.
    pub backends: Vec<RouteBackend>,
    /// Timeouts, if other than the workload's.
    pub timeouts: Option<HttpRouteTimeouts>,
    /// When a call is repeated; `None`: never.
    pub retry: Option<HttpRouteRetry>,
    /// What keeps a client with the backend that it was given first.
    pub session_persistence: Option<SessionPersistence>,
    /// What its traffic policies say. Boxed: most rules have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<RulePolicy>>,
}

/// What traffic policies say of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RulePolicy {
    /// The rule's name among all rules, such as `HTTPRoute default/shop #0`: what is counted of it outlives tables by it.
    pub rule: String,
    /// How many requests a client may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// How many requests a client may have at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyLimit>,
    /// How large requests and responses may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<SizeLimits>,
    /// When a backend that fails is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
    /// Which responses are compressed, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

/// A weighted backend: the ready shares of one deployment on this host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteBackend {
    /// `namespace/deployment`. Empty: a reference that is not valid, whose share of the requests gets 500.
    pub deployment: String,
    /// Which component answers; `None`: the workload's only HTTP component.
    pub component: Option<String>,
    /// Share of the requests, in proportion to the sum of all weights.
    pub weight: u32,
    /// Filters for this backend only.
    pub filters: Vec<HttpRouteFilter>,
    /// Where copies go of requests to this backend.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<RouteMirror>,
}

/// Who gets copies of requests: the ready shares of one deployment on this host. What the filter `RequestMirror` comes to,
/// which is not among the rule's filters any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMirror {
    /// `namespace/deployment`.
    pub deployment: String,
    /// So many requests ...
    pub numerator: u32,
    /// ... of so many are copied.
    pub denominator: u32,
}

impl RouteRule {
    /// Where copies of requests go, whichever backend has them.
    pub fn all_mirrors(&self) -> impl Iterator<Item = &RouteMirror> {
        self.mirrors.iter().chain(self.backends.iter().flat_map(|it| &it.mirrors))
    }
}

// === what may hold secrets prints names only ===

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("digest", &self.digest)
            .field("environment", &self.environment.keys())
            .field("config", &self.config.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ListenerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerCertificate").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret").field("username", &self.username).finish_non_exhaustive()
    }
}

impl fmt::Debug for HostInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostInterface")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("package", &self.package)
            .field("interfaces", &self.interfaces)
            .field("version", &self.version)
            .field("config", &self.config.keys())
            .finish()
    }
}
