//! GRPCRoutes and ReferenceGrants: a gRPC client behind a Service is led to another namespace's workload, once that
//! namespace permits it.

use std::time::{Duration, Instant};

use ::http::uri::PathAndQuery;
use anyhow::{Result, ensure};
use kube::{Api, Resource, core::NamespaceResourceScope};
use penstock_api::{
    GrpcRoute, HttpRoute,
    route::{HttpRouteStatus, RouteParentStatus},
};
use penstock_tests::{
    cluster::{Cluster, PATIENCE, Scene, Template},
    http,
};
use tonic::{Code, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

const PARENT: &str = "parentRefs: [{group: '', kind: Service, name: app, port: 80}]";

fn route(kind: &str, other: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: app}}\nspec:\n  {PARENT}\n  rules:\n  - backendRefs: \
         [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: app, namespace: {other}}}]\n"
    )
}

fn grant(from: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: callers}}\nspec:\n  from: \
         [{{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: {from}}}]\n  to: [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment}}]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_grpc_route_to_another_namespace_needs_its_grant() -> Result<()> {
    let cluster = Cluster::connect().await?;
    cluster.script(&["addon", "gateway-api"])?;
    let scene = Scene::start(&cluster, "grpc", Template::kitchen(1)).await?;
    let other = Scene::start(&cluster, "grpc-other", Template::kitchen(1).component("kitchen-p3")).await?;
    let namespace = scene.namespace();
    ensure!(call(&scene).await? == "kitchen-p2", "without a route the Service's own workload answers");

    cluster.apply(namespace, &route("GRPCRoute", other.namespace()))?;
    says::<GrpcRoute>(&cluster, namespace, "ResolvedRefs", "False", "RefNotPermitted").await?;
    until(&scene, "Unavailable").await?;

    cluster.apply(other.namespace(), &grant(namespace))?;
    says::<GrpcRoute>(&cluster, namespace, "ResolvedRefs", "True", "ResolvedRefs").await?;
    until(&scene, "kitchen-p3").await?;

    // An HTTPRoute has no part of a port that a GRPCRoute has, and gets it when that one goes.
    cluster.apply(namespace, &route("HTTPRoute", namespace))?;
    says::<HttpRoute>(&cluster, namespace, "Accepted", "False", "Conflicted").await?;
    until(&scene, "kitchen-p3").await?;

    cluster.kubectl(["delete", "referencegrant", "callers", "-n", other.namespace()])?;
    says::<GrpcRoute>(&cluster, namespace, "ResolvedRefs", "False", "RefNotPermitted").await?;
    until(&scene, "Unavailable").await?;

    cluster.kubectl(["delete", "grpcroute", "app", "-n", namespace])?;
    says::<HttpRoute>(&cluster, namespace, "Accepted", "True", "Accepted").await?;
    until(&scene, "kitchen-p2").await?;
    // The other namespace's own Service has been there all along.
    let answer = http::get(other.address()?, "any.example", "/hello").await?;
    ensure!(answer.headers()["x-component"] == "kitchen-p3", "{answer:?}");
    other.end()?;
    scene.end()
}

/// Which component answers a call, or the code of its refusal.
async fn call(scene: &Scene) -> Result<String> {
    let endpoint = Channel::from_shared(format!("http://{}", scene.address()?))?;
    let mut grpc = Grpc::new(endpoint.connect().await?);
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/kitchen.Kitchen/Echo");
    let codec = ProstCodec::<String, String>::default();
    let answer =
        tokio::time::timeout(PATIENCE, grpc.unary(tonic::Request::new("hello".to_owned()), path, codec)).await?;
    match answer {
        Ok(answer) => {
            let metadata = answer.metadata().get("x-component").and_then(|it| it.to_str().ok()).unwrap_or_default();
            ensure!(answer.get_ref() == "hello", "{answer:?}");
            Ok(metadata.to_owned())
        }
        Err(refused) => Ok(code(&refused)),
    }
}

fn code(refused: &Status) -> String {
    match refused.code() {
        Code::Unavailable => "Unavailable".to_owned(),
        other => format!("{other:?}: {}", refused.message()),
    }
}

/// Until twenty in a row are answered so: every host has taken over then.
async fn until(scene: &Scene, answer: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut row = 0;
    let mut last = String::new();
    while row < 20 {
        // Whether the connection is refused or the call: until it is as it should be, both are waited out.
        last = call(scene).await.unwrap_or_else(|error| error.to_string());
        row = if last == answer { row + 1 } else { 0 };
        ensure!(Instant::now() < deadline, "{last} instead of {answer}");
        if row == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    println!("grpc: {last}");
    Ok(())
}

/// A kind of route, whose status says what of its parents.
trait HasParents {
    fn parents(&self) -> &[RouteParentStatus];
}

impl HasParents for HttpRoute {
    fn parents(&self) -> &[RouteParentStatus] {
        of(self.status.as_ref())
    }
}

impl HasParents for GrpcRoute {
    fn parents(&self) -> &[RouteParentStatus] {
        of(self.status.as_ref())
    }
}

fn of(status: Option<&HttpRouteStatus>) -> &[RouteParentStatus] {
    status.map(|it| it.parents.as_slice()).unwrap_or_default()
}

/// Waits until a condition of the route `app` is so.
async fn says<K>(cluster: &Cluster, namespace: &str, kind: &str, status: &str, reason: &str) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + HasParents
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<K> = cluster.api(namespace);
    let what = format!("{kind}={status} {reason}");
    let message = cluster
        .until(api, &what, PATIENCE, |all| {
            let conditions = all.get("app")?.parents().iter().flat_map(|it| &it.conditions);
            let said = |it: &&_| {
                let it: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition = it;
                it.type_ == kind && it.status == status && it.reason == reason
            };
            conditions.filter(said).map(|it| it.message.clone()).next()
        })
        .await?;
    println!("grpc: {}: {what}: {message}", K::kind(&()));
    Ok(())
}
