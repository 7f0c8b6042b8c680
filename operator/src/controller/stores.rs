//! All that is known of the cluster: a store for each kind that is watched.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Node, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
};
use penstock_api::{
    GrpcRoute, Host, HttpRoute, ReferenceGrant, TrafficPolicy, Workload, WorkloadDeployment, WorkloadReplicaSet,
};

use super::{
    objects::controller_of,
    store::{Changed, Store},
    watch::{Change, Scopes},
    write::{Kind, Written},
};
use crate::{
    metrics::Metrics,
    plan::{AnyRoute, Name, RouteKey, RouteKind, Values},
};

/// One store for each kind.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) deployments: Store<WorkloadDeployment>,
    pub(crate) replica_sets: Store<WorkloadReplicaSet>,
    pub(crate) workloads: Store<Workload>,
    pub(crate) hosts: Store<Host>,
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<EndpointSlice>,
    pub(crate) config_maps: Store<ConfigMap>,
    pub(crate) secrets: Store<Secret>,
    pub(crate) pods: Store<Pod>,
    pub(crate) nodes: Store<Node>,
    pub(crate) http_routes: Store<HttpRoute>,
    pub(crate) grpc_routes: Store<GrpcRoute>,
    pub(crate) grants: Store<ReferenceGrant>,
    pub(crate) policies: Store<TrafficPolicy>,
    pub(crate) autoscalers: Store<HorizontalPodAutoscaler>,
    /// Names of ReplicaSets by the deployment that owns them.
    sets: HashMap<Name, BTreeSet<Name>>,
}

/// An object that is another now.
#[derive(Debug)]
pub(crate) enum News {
    Deployment(Changed<WorkloadDeployment>),
    ReplicaSet(Changed<WorkloadReplicaSet>),
    Workload(Changed<Workload>),
    Host(Changed<Host>),
    Service(Changed<Service>),
    Slice(Changed<EndpointSlice>),
    ConfigMap(Changed<ConfigMap>),
    Secret(Changed<Secret>),
    Pod(Changed<Pod>),
    Node(Changed<Node>),
    HttpRoute(Changed<HttpRoute>),
    GrpcRoute(Changed<GrpcRoute>),
    Grant(Changed<ReferenceGrant>),
    Policy(Changed<TrafficPolicy>),
    Autoscaler(Changed<HorizontalPodAutoscaler>),
}

impl Stores {
    pub(crate) fn new(scopes: &Scopes) -> Self {
        let (own, watched) = ([scopes.own()], &scopes.watched);
        Self {
            deployments: Store::new(watched),
            replica_sets: Store::new(watched),
            workloads: Store::new(watched),
            hosts: Store::new(&own),
            services: Store::new(watched),
            slices: Store::new(watched),
            config_maps: Store::new(watched),
            secrets: Store::new(watched),
            pods: Store::new(&own),
            nodes: Store::new(&[None]),
            http_routes: Store::new(watched),
            grpc_routes: Store::new(watched),
            grants: Store::new(watched),
            policies: Store::new(watched),
            autoscalers: Store::new(watched),
            sets: HashMap::new(),
        }
    }

    /// Whether everything has been listed once.
    pub(crate) fn are_synced(&self) -> bool {
        self.deployments.is_synced()
            && self.replica_sets.is_synced()
            && self.workloads.is_synced()
            && self.hosts.is_synced()
            && self.services.is_synced()
            && self.slices.is_synced()
            && self.config_maps.is_synced()
            && self.secrets.is_synced()
            && self.pods.is_synced()
            && self.nodes.is_synced()
            && self.http_routes.is_synced()
            && self.grpc_routes.is_synced()
            && self.grants.is_synced()
            && self.policies.is_synced()
            && self.autoscalers.is_synced()
    }

    /// Takes in what a watch says.
    pub(crate) fn watched(&mut self, change: Change) -> Vec<News> {
        match change {
            Change::Deployment(scope, event) => news(self.deployments.watched(&scope, event), News::Deployment),
            Change::ReplicaSet(scope, event) => {
                let changes = self.replica_sets.watched(&scope, event);
                changes.iter().for_each(|it| self.index(it));
                news(changes, News::ReplicaSet)
            }
            Change::Workload(scope, event) => news(self.workloads.watched(&scope, event), News::Workload),
            Change::Host(scope, event) => news(self.hosts.watched(&scope, event), News::Host),
            Change::Service(scope, event) => news(self.services.watched(&scope, event), News::Service),
            Change::Slice(scope, event) => news(self.slices.watched(&scope, event), News::Slice),
            Change::ConfigMap(scope, event) => news(self.config_maps.watched(&scope, event), News::ConfigMap),
            Change::Secret(scope, event) => news(self.secrets.watched(&scope, event), News::Secret),
            Change::Pod(scope, event) => news(self.pods.watched(&scope, event), News::Pod),
            Change::Node(scope, event) => news(self.nodes.watched(&scope, event), News::Node),
            Change::HttpRoute(scope, event) => news(self.http_routes.watched(&scope, event), News::HttpRoute),
            Change::GrpcRoute(scope, event) => news(self.grpc_routes.watched(&scope, event), News::GrpcRoute),
            Change::Grant(scope, event) => news(self.grants.watched(&scope, event), News::Grant),
            Change::Policy(scope, event) => news(self.policies.watched(&scope, event), News::Policy),
            Change::Autoscaler(scope, event) => news(self.autoscalers.watched(&scope, event), News::Autoscaler),
        }
    }

    /// Takes in what the API server answered to a write.
    pub(crate) fn written(&mut self, written: Written) -> Option<News> {
        match written {
            Written::Deployment(it) => self.deployments.written(it).map(News::Deployment),
            Written::ReplicaSet(it) => {
                let changed = self.replica_sets.written(it);
                changed.iter().for_each(|it| self.index(it));
                changed.map(News::ReplicaSet)
            }
            Written::Workload(it) => self.workloads.written(it).map(News::Workload),
            Written::Host(it) => self.hosts.written(it).map(News::Host),
            Written::Slice(it) => self.slices.written(it).map(News::Slice),
            Written::Service(it) => self.services.written(it).map(News::Service),
            Written::HttpRoute(it) => self.http_routes.written(it).map(News::HttpRoute),
            Written::GrpcRoute(it) => self.grpc_routes.written(it).map(News::GrpcRoute),
            Written::Event => None,
        }
    }

    /// Takes in that an object is gone, before its watch says so.
    pub(crate) fn gone(&mut self, kind: Kind, name: &Name) -> Option<News> {
        match kind {
            Kind::ReplicaSet => {
                let changed = self.replica_sets.forget(name);
                changed.iter().for_each(|it| self.index(it));
                changed.map(News::ReplicaSet)
            }
            Kind::Workload => self.workloads.forget(name).map(News::Workload),
            Kind::Slice => self.slices.forget(name).map(News::Slice),
            Kind::Deployment | Kind::Scale | Kind::Host | Kind::Service | Kind::Route(_) | Kind::Event => None,
        }
    }

    /// The ReplicaSets of a deployment.
    pub(crate) fn sets_of(&self, deployment: &Name) -> impl Iterator<Item = &Arc<WorkloadReplicaSet>> {
        self.sets.get(deployment).into_iter().flatten().filter_map(|it| self.replica_sets.get(it))
    }

    /// A route of either kind.
    pub(crate) fn route(&self, key: &RouteKey) -> Option<AnyRoute> {
        match key.kind {
            RouteKind::Http => self.http_routes.get(&key.name).cloned().map(AnyRoute::Http),
            RouteKind::Grpc => self.grpc_routes.get(&key.name).cloned().map(AnyRoute::Grpc),
        }
    }

    /// All routes.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (RouteKey, AnyRoute)> {
        let http = self.http_routes.iter().map(|(name, it)| (RouteKind::Http.of(name.clone()), it.clone().into()));
        let grpc = self.grpc_routes.iter().map(|(name, it)| (RouteKind::Grpc.of(name.clone()), it.clone().into()));
        http.chain(grpc)
    }

    fn index(&mut self, changed: &Changed<WorkloadReplicaSet>) {
        let owner = |it: &Arc<WorkloadReplicaSet>| {
            let owner = controller_of(&it.metadata, "WorkloadDeployment")?;
            Some(Name::new(&changed.name.namespace, &owner.name))
        };
        if let Some(owner) = changed.old.as_ref().and_then(owner)
            && let Some(sets) = self.sets.get_mut(&owner)
        {
            sets.remove(&changed.name);
            if sets.is_empty() {
                self.sets.remove(&owner);
            }
        }
        if let Some(owner) = changed.new.as_ref().and_then(owner) {
            self.sets.entry(owner).or_default().insert(changed.name.clone());
        }
    }

    pub(crate) fn count(&self, metrics: &Metrics) {
        let count = |kind: &str, number: usize| {
            metrics.objects.get_or_create(&kind.into()).set(i64::try_from(number).unwrap_or(i64::MAX));
        };
        count("WorkloadDeployment", self.deployments.len());
        count("WorkloadReplicaSet", self.replica_sets.len());
        count("Workload", self.workloads.len());
        count("Host", self.hosts.len());
        count("Service", self.services.len());
        count("HTTPRoute", self.http_routes.len());
        count("GRPCRoute", self.grpc_routes.len());
        count("ReferenceGrant", self.grants.len());
        count("TrafficPolicy", self.policies.len());
        count("HorizontalPodAutoscaler", self.autoscalers.len());
        count("EndpointSlice", self.slices.len());
        count("ConfigMap", self.config_maps.len());
        count("Secret", self.secrets.len());
        count("Pod", self.pods.len());
        count("Node", self.nodes.len());
    }
}

fn news<K>(changes: Vec<Changed<K>>, wrap: fn(Changed<K>) -> News) -> Vec<News> {
    changes.into_iter().map(wrap).collect()
}

impl Values for Stores {
    fn config_map(&self, name: &Name) -> Option<Arc<ConfigMap>> {
        self.config_maps.get(name).cloned()
    }

    fn secret(&self, name: &Name) -> Option<Arc<Secret>> {
        self.secrets.get(name).cloned()
    }

    fn policy(&self, name: &Name) -> Option<Arc<TrafficPolicy>> {
        self.policies.get(name).cloned()
    }
}
