//! What all cases share: two namespaces, their workloads, the Services of every case, and what routes say.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event, watcher},
};
use penstock_api::{GrpcRoute, HttpRoute, route::RouteParentStatus};
use penstock_tests::{
    cluster::{Cluster, PATIENCE, Scene, Template},
    manifest::Workload,
};
use tokio::{sync::watch, task::JoinSet};

use super::case::{APP1, APP2, Case, NAMESPACE, OTHER, Said, V1, V2, V3, WEB};

/// The `controllerName` of what Penstock says.
const CONTROLLER: &str = "runtime.wasmcloud.dev/penstock";

/// Two, so that each of two hosts has one of everything and any of them can answer.
const REPLICAS: u32 = 2;

/// Everything that cases find when they begin.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    addresses: BTreeMap<String, IpAddr>,
    routes: watch::Receiver<Routes>,
    scenes: Vec<Scene>,
    _followers: JoinSet<()>,
}

/// A case on its stage.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) stage: Arc<Stage>,
    pub(crate) case: Arc<Case>,
}

/// Routes by kind and name.
type Routes = BTreeMap<(&'static str, String), Known>;

/// A route as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) generation: Option<i64>,
    parents: Vec<RouteParentStatus>,
}

// === impl Stage ===

impl Stage {
    /// Everything but the routes, ready.
    pub(crate) async fn set(cluster: Cluster, cases: &[Arc<Case>]) -> Result<Self> {
        cluster.script(&["addon", "gateway-api"])?;
        let mut scenes = Vec::new();
        for namespace in [NAMESPACE, OTHER] {
            let name = namespace.strip_prefix("e2e-").context("scenes begin with e2e-")?;
            scenes.push(Scene::empty(&cluster, name, Template::kitchen(REPLICAS)).await?);
        }
        let host = cluster.host_pods().await?.first().context("no host")?.name_any();
        for (namespace, manifests) in [(NAMESPACE, ground(&cluster, cases, &host)?), (OTHER, others(&cluster)?)] {
            cluster.apply(namespace, &manifests)?;
        }
        for namespace in [NAMESPACE, OTHER] {
            ready(&cluster, namespace, "Ready", &["wd", "--all"])?;
        }
        let services = cluster.api::<Service>(NAMESPACE).list(&Default::default()).await?;
        let mut addresses = BTreeMap::new();
        for it in services.items {
            let name = it.metadata.name.context("a Service without a name")?;
            let address = it.spec.and_then(|it| it.cluster_ip).with_context(|| format!("{name} has no ClusterIP"))?;
            addresses.insert(name, address.parse()?);
        }
        let (sender, routes) = watch::channel(Routes::new());
        let sender = Arc::new(sender);
        let mut followers = JoinSet::new();
        followers.spawn(follow(&cluster, "HTTPRoute", &ApiResource::erase::<HttpRoute>(&()), sender.clone()));
        followers.spawn(follow(&cluster, "GRPCRoute", &ApiResource::erase::<GrpcRoute>(&()), sender));
        Ok(Self { cluster, addresses, routes, scenes, _followers: followers })
    }

    /// The routes of all cases, and what goes with them.
    pub(crate) fn apply(&self, cases: &[Arc<Case>]) -> Result<()> {
        let mut manifests: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (namespace, manifest) in cases.iter().flat_map(|it| it.manifests()) {
            manifests.entry(namespace).or_default().push(manifest);
        }
        for (namespace, manifests) in manifests {
            self.cluster.apply(namespace, &manifests.join("---\n"))?;
        }
        Ok(())
    }

    /// Waits until the hosts follow and the endpoints have been known for a while, of the workloads that all cases share.
    pub(crate) fn programmed(&self) -> Result<()> {
        let names = [V1, V2, V3].map(|it| format!("wd/{it}"));
        ready(&self.cluster, NAMESPACE, "Programmed", &names.each_ref().map(String::as_str))
    }

    /// Waits until all of this is said of a route at each of its parents, and about its newest generation. `beyond` is a
    /// generation that is not enough.
    pub(crate) async fn says(
        &self,
        kind: &'static str,
        name: &str,
        parents: usize,
        wanted: &[Said],
        beyond: Option<i64>,
    ) -> Result<Known> {
        let key = (kind, name.to_owned());
        let mut routes = self.routes.clone();
        let is_so = |it: &Known| it.generation > beyond && it.is_said(parents, wanted);
        let said = tokio::time::timeout(PATIENCE, routes.wait_for(|it| it.get(&key).is_some_and(is_so))).await;
        if let Ok(said) = said {
            return said?.get(&key).cloned().context("it is gone");
        }
        let known = self.routes.borrow().get(&key).cloned();
        anyhow::bail!("{kind} {name}: waited {PATIENCE:?} in vain for {wanted:?}; it says {known:#?}")
    }

    /// Removes the namespaces, without waiting for it.
    pub(crate) fn end(self) -> Result<()> {
        self.scenes.into_iter().try_for_each(Scene::end)
    }
}

impl Known {
    fn is_said(&self, parents: usize, wanted: &[Said]) -> bool {
        let ours: Vec<&RouteParentStatus> = self.parents.iter().filter(|it| it.controller_name == CONTROLLER).collect();
        let is_current =
            |it: &RouteParentStatus| it.conditions.iter().all(|it| it.observed_generation == self.generation);
        let says = |it: &RouteParentStatus, said: &Said| {
            let mut conditions = it.conditions.iter();
            conditions.any(|it| (&*it.type_, &*it.status, &*it.reason) == *said)
        };
        ours.len() == parents && ours.iter().all(|it| is_current(it) && wanted.iter().all(|said| says(it, said)))
    }
}

/// `kubectl wait` for a condition.
fn ready(cluster: &Cluster, namespace: &str, condition: &str, what: &[&str]) -> Result<()> {
    let (condition, patience) = (format!("--for=condition={condition}"), format!("--timeout={}s", PATIENCE.as_secs()));
    let arguments = ["wait", "-n", namespace, &condition, &patience];
    cluster.kubectl(arguments.iter().chain(what)).map(drop)
}

/// Services and workloads of the first namespace. What counts copies is on one host: copies do not leave the host of their
/// request.
fn ground(cluster: &Cluster, cases: &[Arc<Case>], host: &str) -> Result<String> {
    let mut documents = Vec::new();
    for (name, component) in [(V1, "kitchen-p2"), (V2, "kitchen-p3"), (V3, "kitchen-p2")] {
        documents.push(backend(cluster, name, component)?.alone());
    }
    documents.push(counter(cluster, "flaky")?.alone());
    for name in ["mirror-one", "mirror-two", "mirror-three", "mirror-four"] {
        let alone = counter(cluster, name)?.alone();
        documents.push(
            alone.replace("  template:\n    spec:\n", &format!("  template:\n    spec:\n      hostId: {host}\n")),
        );
    }
    for case in cases {
        documents.extend(case.fronts.iter().map(|it| it.yaml(case.name)));
        documents.extend(case.ground.iter().cloned());
        for front in case.fronts.iter().filter(|it| it.behind) {
            let own = backend(cluster, &case.front(front.suffix), "kitchen-p2")?.to_string();
            let (_, deployment) = own.split_once("---\n").context("no WorkloadDeployment")?;
            documents.push(deployment.to_owned());
        }
    }
    Ok(documents.join("---\n"))
}

/// Workloads of the other namespace.
fn others(cluster: &Cluster) -> Result<String> {
    let all: Result<Vec<String>> =
        [WEB, APP1, APP2].iter().map(|it| Ok(backend(cluster, it, "kitchen-p2")?.alone())).collect();
    Ok(all?.join("---\n"))
}

/// A workload that answers with its name.
fn backend(cluster: &Cluster, name: &str, component: &str) -> Result<Workload> {
    let mut workload = Workload::new(name, &cluster.image(component)?).env("NAME", name);
    workload.replicas = REPLICAS;
    Ok(if component.ends_with("-p3") { workload.p3() } else { workload })
}

/// A workload whose one instance serves all calls and counts them.
fn counter(cluster: &Cluster, name: &str) -> Result<Workload> {
    let mut workload = backend(cluster, name, "kitchen-p3")?.pool_size(1);
    workload.replicas = 1;
    workload.max_concurrency = Some(100);
    // A copy is lost if there is no place for it at once.
    workload.capacity = Some((100, 100, "5s"));
    Ok(workload)
}

/// Keeps the routes of one kind up to date.
fn follow(
    cluster: &Cluster,
    kind: &'static str,
    resource: &ApiResource,
    routes: Arc<watch::Sender<Routes>>,
) -> impl Future<Output = ()> + use<> {
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client().clone(), NAMESPACE, resource);
    async move {
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(it) | Event::InitApply(it)) => {
                    let parents = it.data.pointer("/status/parents").cloned().unwrap_or_default();
                    let parents = serde_json::from_value(parents).unwrap_or_default();
                    let known = Known { generation: it.metadata.generation, parents };
                    routes.send_modify(|all| drop(all.insert((kind, it.metadata.name.unwrap_or_default()), known)));
                }
                Ok(Event::Delete(it)) => {
                    routes.send_modify(|all| drop(all.remove(&(kind, it.metadata.name.unwrap_or_default()))));
                }
                Ok(Event::Init | Event::InitDone) => {}
                // An API server that is away comes back; the watcher tries again by itself.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

// === impl Here ===

impl Here {
    /// Where one of the case's Services is.
    pub(crate) fn address(&self, front: &str, port: u16) -> Result<SocketAddr> {
        let name = self.case.front(front);
        let address = self.stage.addresses.get(&name).with_context(|| format!("there is no Service {name}"))?;
        Ok(SocketAddr::new(*address, port))
    }

    /// Waits until the statuses of all of its routes are as they have to be.
    pub(crate) async fn says(&self) -> Result<()> {
        for route in &self.case.routes {
            let name = route.name(self.case.name);
            self.stage.says(route.kind, &name, route.parents.len(), &route.says, None).await?;
        }
        Ok(())
    }
}
