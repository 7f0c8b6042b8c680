//! Watches on everything that is read, as one stream of changes.

use std::{fmt::Debug, sync::Arc};

use futures_util::StreamExt;
use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, Node, NodeSpec, NodeStatus, Pod, PodSpec, PodStatus, Secret, Service, ServiceStatus},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event, watcher},
    },
};
use penstock_api::{Host, Workload, WorkloadDeployment, WorkloadReplicaSet, labels};
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
        watches.namespaced(scope, config.clone(), Change::ConfigMap, |it: &mut ConfigMap| it.binary_data = None);
        watches.namespaced(scope, config.clone().fields(SECRETS), Change::Secret, |_: &mut Secret| {});
    }
    let own = scopes.own();
    watches.namespaced(&own, config.clone(), Change::Host, |_: &mut Host| {});
    let pods = format!("{}={}", labels::HOST_NAME, labels::HOST_POD_NAME);
    watches.namespaced(&own, config.clone().labels(&pods), Change::Pod, slim_pod);
    watches.cluster(config, Change::Node, slim_node);
    (receiver, watches.tasks)
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
        let kind = kind_of::<K>();
        let sender = self.sender.clone();
        let (seen, errors) = (counter(&self.metrics.watched, &kind), counter(&self.metrics.watch_errors, &kind));
        self.tasks.spawn(async move {
            let mut events = std::pin::pin!(watcher(api, config).backoff(Backoff::default()));
            let mut failing = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        seen.inc();
                        if failing {
                            tracing::info!(%kind, "the watch goes on");
                            failing = false;
                        }
                        let event = event.modify(|it| {
                            it.managed_fields_mut().clear();
                            slim(it);
                        });
                        if sender.send(wrap(scope.clone(), event)).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        errors.inc();
                        if !failing {
                            tracing::warn!(%kind, error = %explain(&error), "a watch failed, it is tried again");
                        }
                        failing = true;
                    }
                }
            }
        });
    }
}

/// The kind's name.
fn kind_of<K: Resource>() -> Arc<str>
where
    K::DynamicType: Default,
{
    K::kind(&K::DynamicType::default()).into()
}

fn counter(
    family: &prometheus_client::metrics::family::Family<KindLabels, prometheus_client::metrics::counter::Counter>,
    kind: &str,
) -> prometheus_client::metrics::counter::Counter {
    family.get_or_create(&KindLabels { kind: kind.to_owned() }).clone()
}

fn explain(error: &watcher::Error) -> String {
    let missing = matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404);
    let advice = if missing { " (is its definition applied? see deploy/crds)" } else { "" };
    format!("{error}{advice}")
}
