//! Watches on everything that is read, as one stream of changes.

use std::{fmt::Debug, sync::Arc};

use futures_util::StreamExt;
use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::{
        autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec},
        core::v1::{ConfigMap, Node, NodeSpec, NodeStatus, Pod, PodSpec, PodStatus, Secret, Service, ServiceStatus},
        discovery::v1::EndpointSlice,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event, watcher},
    },
};
use penstock_api::{
    GrpcRoute, Host, HttpRoute, ReferenceGrant, TrafficPolicy, Workload, WorkloadDeployment, WorkloadReplicaSet, labels,
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use super::store::Scope;
use crate::{
    backoff::Backoff,
    metrics::{KindLabels, Metrics},
};

/// Changes that wait to be looked at. Beyond it watches are read no further until there is room.
const WAITING: usize = 4096;

/// Secrets that no workload can mean: they are neither asked for nor kept.
const SECRETS: &str =
    "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";

/// What a watch says.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "they pass through a bounded queue, and a box for each costs more than it saves"
)]
pub(crate) enum Change {
    Deployment(Scope, Event<WorkloadDeployment>),
    ReplicaSet(Scope, Event<WorkloadReplicaSet>),
    Workload(Scope, Event<Workload>),
    Host(Scope, Event<Host>),
    Service(Scope, Event<Service>),
    Slice(Scope, Event<EndpointSlice>),
    ConfigMap(Scope, Event<ConfigMap>),
    Secret(Scope, Event<Secret>),
    Pod(Scope, Event<Pod>),
    Node(Scope, Event<Node>),
    HttpRoute(Scope, Event<HttpRoute>),
    GrpcRoute(Scope, Event<GrpcRoute>),
    Grant(Scope, Event<ReferenceGrant>),
    Policy(Scope, Event<TrafficPolicy>),
    Autoscaler(Scope, Event<HorizontalPodAutoscaler>),
}

/// Where is watched.
#[derive(Clone, Debug)]
pub(crate) struct Scopes {
    /// The operator's namespace.
    pub(crate) own: Arc<str>,
    /// Where workloads and Services are looked after.
    pub(crate) watched: Vec<Scope>,
}

impl Scopes {
    /// The operator's namespace, and the others; none: all.
    pub(crate) fn new(own: &str, watched: &[String]) -> Self {
        let watched = match watched {
            [] => vec![None],
            some => some.iter().map(|it| Some(Arc::from(it.as_str()))).collect(),
        };
        Self { own: own.into(), watched }
    }

    /// The operator's namespace alone.
    pub(crate) fn own(&self) -> Scope {
        Some(self.own.clone())
    }
}

/// All watches. They end with the set.
pub(crate) fn all(client: &Client, scopes: &Scopes, metrics: &Metrics) -> (mpsc::Receiver<Change>, JoinSet<()>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut watches = Watches { client, metrics, sender, tasks: JoinSet::new() };
    // Lists are consistent reads: an old one would look like a loss of what has been made since.
    let config = Config::default();
    for scope in &scopes.watched {
        watches.namespaced(scope, config.clone(), Change::Deployment, |_: &mut WorkloadDeployment| {});
        watches.namespaced(scope, config.clone(), Change::ReplicaSet, |_: &mut WorkloadReplicaSet| {});
        watches.namespaced(scope, config.clone(), Change::Workload, |_: &mut Workload| {});
        watches.namespaced(scope, config.clone(), Change::Service, |it: &mut Service| {
            let conditions = it.status.take().and_then(|it| it.conditions);
            it.status = Some(ServiceStatus { conditions, ..ServiceStatus::default() });
        });
        let ours = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PENSTOCK);
        watches.namespaced(scope, config.clone().labels(&ours), Change::Slice, |_: &mut EndpointSlice| {});
        watches.namespaced(scope, config.clone(), Change::Autoscaler, slim_autoscaler);
        watches.namespaced(scope, config.clone(), Change::ConfigMap, |it: &mut ConfigMap| it.binary_data = None);
        watches.namespaced(scope, config.clone().fields(SECRETS), Change::Secret, |_: &mut Secret| {});
    }
    watches.optional(&scopes.watched, Change::HttpRoute);
    watches.optional(&scopes.watched, Change::GrpcRoute);
    watches.optional(&scopes.watched, Change::Grant);
    // Its definition is Penstock's own, and may be applied after an operator that knows it has come.
    watches.optional(&scopes.watched, Change::Policy);
    let own = scopes.own();
    watches.namespaced(&own, config.clone(), Change::Host, |_: &mut Host| {});
    let pods = format!("{}={}", labels::HOST_NAME, labels::HOST_POD_NAME);
    watches.namespaced(&own, config.clone().labels(&pods), Change::Pod, slim_pod);
    watches.cluster(config, Change::Node, slim_node);
    (receiver, watches.tasks)
}

/// What is read of an autoscaler: what it scales.
fn slim_autoscaler(autoscaler: &mut HorizontalPodAutoscaler) {
    let target = std::mem::take(&mut autoscaler.spec.scale_target_ref);
    autoscaler.spec = HorizontalPodAutoscalerSpec { scale_target_ref: target, ..Default::default() };
    autoscaler.status = None;
    autoscaler.metadata.annotations = None;
}

/// What is read of a pod: metadata, its node, its phase, whether it is ready, and its addresses.
fn slim_pod(pod: &mut Pod) {
    let node_name = pod.spec.take().and_then(|it| it.node_name);
    pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
    let status = pod.status.take().unwrap_or_default();
    pod.status = Some(PodStatus {
        phase: status.phase,
        pod_ip: status.pod_ip,
        pod_ips: status.pod_ips,
        conditions: status.conditions.map(|it| it.into_iter().filter(|it| it.type_ == "Ready").collect()),
        ..PodStatus::default()
    });
}

/// What is read of a node: its labels, and whether it is cordoned. Its status, which changes all the time, is not.
fn slim_node(node: &mut Node) {
    let unschedulable = node.spec.take().and_then(|it| it.unschedulable);
    node.spec = Some(NodeSpec { unschedulable, ..NodeSpec::default() });
    node.status = None::<NodeStatus>;
    node.metadata.annotations = None;
}

struct Watches<'a> {
    client: &'a Client,
    metrics: &'a Metrics,
    sender: mpsc::Sender<Change>,
    tasks: JoinSet<()>,
}

impl Watches<'_> {
    fn namespaced<K>(&mut self, scope: &Scope, config: Config, wrap: fn(Scope, Event<K>) -> Change, slim: fn(&mut K))
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default,
    {
        let api = match scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.follow(api, scope.clone(), config, wrap, slim);
    }

    fn cluster<K>(&mut self, config: Config, wrap: fn(Scope, Event<K>) -> Change, slim: fn(&mut K))
    where
        K: Resource<Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default,
    {
        self.follow(Api::all(self.client.clone()), None, config, wrap, slim);
    }

    fn follow<K>(
        &mut self,
        api: Api<K>,
        scope: Scope,
        config: Config,
        wrap: fn(Scope, Event<K>) -> Change,
        slim: fn(&mut K),
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default,
    {
        let feed = Feed::new(self.sender.clone(), self.metrics, wrap, slim);
        self.tasks.spawn(feed.follow(api, scope, config));
    }

    /// A kind whose definition may be missing, now or later. While it is, there are none.
    fn optional<K>(&mut self, scopes: &[Scope], wrap: fn(Scope, Event<K>) -> Change)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default,
    {
        let (client, scopes) = (self.client.clone(), scopes.to_vec());
        let feed = Feed::new(self.sender.clone(), self.metrics, wrap, |_: &mut K| {});
        self.tasks.spawn(async move {
            let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
            let dynamic = K::DynamicType::default();
            let name = format!("{}.{}", K::plural(&dynamic), K::group(&dynamic));
            let only = Config::default().fields(&format!("metadata.name={name}"));
            let mut events = std::pin::pin!(watcher(definitions, only).backoff(Backoff::default()));
            let serves = |it: &CustomResourceDefinition| serves(it, &K::version(&dynamic));
            let mut told: Option<bool> = None;
            let mut listed = false;
            let mut watches = JoinSet::new();
            while let Some(event) = events.next().await {
                let there = match event {
                    Ok(Event::Init) => {
                        listed = false;
                        continue;
                    }
                    Ok(Event::InitApply(it)) => {
                        listed = serves(&it);
                        continue;
                    }
                    Ok(Event::InitDone) => listed,
                    Ok(Event::Apply(it)) => serves(&it),
                    Ok(Event::Delete(_)) => false,
                    // Whoever may not look goes without.
                    Err(error) if told.is_none() && is_forbidden(&error) => {
                        tracing::warn!(definition = name, %error, "it may not be read, so such objects are not followed");
                        false
                    }
                    Err(_) => continue,
                };
                if told == Some(there) {
                    continue;
                }
                told = Some(there);
                watches.shutdown().await;
                tracing::info!(definition = name, there, "a definition that may be missing");
                for scope in &scopes {
                    if there {
                        let api = match scope {
                            Some(namespace) => Api::namespaced(client.clone(), namespace),
                            None => Api::all(client.clone()),
                        };
                        watches.spawn(feed.clone().follow(api, scope.clone(), Config::default()));
                    } else if !(feed.send(scope, Event::Init).await && feed.send(scope, Event::InitDone).await) {
                        return;
                    }
                }
            }
        });
    }
}

/// Whether objects of this version can be asked for.
fn serves(definition: &CustomResourceDefinition, version: &str) -> bool {
    let established = definition.status.iter().flat_map(|it| it.conditions.iter().flatten());
    definition.metadata.deletion_timestamp.is_none()
        && definition.spec.versions.iter().any(|it| it.name == version && it.served)
        && established.into_iter().any(|it| it.type_ == "Established" && it.status == "True")
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

/// Where what is watched goes.
struct Feed<K> {
    kind: Arc<str>,
    sender: mpsc::Sender<Change>,
    seen: Counter,
    errors: Counter,
    wrap: fn(Scope, Event<K>) -> Change,
    slim: fn(&mut K),
}

impl<K> Clone for Feed<K> {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind.clone(),
            sender: self.sender.clone(),
            seen: self.seen.clone(),
            errors: self.errors.clone(),
            wrap: self.wrap,
            slim: self.slim,
        }
    }
}

impl<K> Feed<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    fn new(
        sender: mpsc::Sender<Change>,
        metrics: &Metrics,
        wrap: fn(Scope, Event<K>) -> Change,
        slim: fn(&mut K),
    ) -> Self {
        let kind: Arc<str> = K::kind(&K::DynamicType::default()).into();
        let counter =
            |family: &Family<KindLabels, Counter>| family.get_or_create(&KindLabels { kind: kind.to_string() }).clone();
        let (seen, errors) = (counter(&metrics.watched), counter(&metrics.watch_errors));
        Self { kind, sender, seen, errors, wrap, slim }
    }

    /// Whether somebody still reads.
    async fn send(&self, scope: &Scope, event: Event<K>) -> bool {
        self.sender.send((self.wrap)(scope.clone(), event)).await.is_ok()
    }

    async fn follow(self, api: Api<K>, scope: Scope, config: Config) {
        let kind = &self.kind;
        let mut events = std::pin::pin!(watcher(api, config).backoff(Backoff::default()));
        let mut failing = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.seen.inc();
                    if failing {
                        tracing::info!(%kind, "the watch goes on");
                        failing = false;
                    }
                    let event = event.modify(|it| {
                        it.managed_fields_mut().clear();
                        (self.slim)(it);
                    });
                    if !self.send(&scope, event).await {
                        return;
                    }
                }
                Err(error) => {
                    self.errors.inc();
                    if !failing {
                        tracing::warn!(%kind, error = %explain(&error), "a watch failed, it is tried again");
                    }
                    failing = true;
                }
            }
        }
    }
}

fn explain(error: &watcher::Error) -> String {
    let missing = matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404);
    let advice = if missing { " (is its definition applied? see deploy/crds)" } else { "" };
    format!("{error}{advice}")
}
