//! Services and their slices.

use anyhow::{Result, ensure};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use penstock_tests::{
    cluster::{Cluster, Scene, Template},
    http,
};

use super::hosts;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_service_that_comes_after_its_workload() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::empty(&cluster, "late", Template::kitchen(2)).await?;
    scene.apply_only("WorkloadDeployment")?;
    scene
        .until("a condition that tells of the missing Service", |it| {
            it.status.as_ref().is_some_and(|it| it.conditions.iter().any(|it| it.reason == "ServiceNotFound"))
        })
        .await?;
    scene.apply_only("Service")?;
    scene.settled().await?;
    scene.find_address().await?;
    let load = scene.load()?;
    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("a Service after its workload: {}", counted.line());
    counted.clean()?;
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_slice_that_somebody_deletes_or_edits() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let scene = Scene::start(&cluster, "slice", Template::kitchen(4)).await?;
    let pods = hosts(&cluster).await;
    scene.until_endpoints(&pods).await?;
    let slices = cluster.api::<EndpointSlice>(scene.namespace());
    let slice = slices.list(&Default::default()).await?.items.remove(0);
    ensure!(
        slice.labels().get("endpointslice.kubernetes.io/managed-by").is_some_and(|it| it == "penstock"),
        "{slice:?}"
    );
    ensure!(slice.owner_references().iter().any(|it| it.kind == "Service" && it.name == "app"), "{slice:?}");
    let mut load = scene.load()?;
    load.answered(50).await?;
    // Port and name must be the same afterwards: connections through kube-proxy go on.
    let port = slice.ports.as_ref().and_then(|it| it.first()?.port);
    load.mark("delete the slice");
    slices.delete(&slice.name_any(), &DeleteParams::default()).await?;
    let back =
        scene.until_slices("a new slice", |all| all.values().find(|it| it.uid() != slice.uid()).cloned()).await?;
    ensure!(back.ports.as_ref().and_then(|it| it.first()?.port) == port, "{back:?} after {slice:?}");
    scene.until_endpoints(&pods).await?;
    load.mark("it is back");
    load.answered(100).await?;
    let edit = serde_json::json!({"endpoints": []});
    load.mark("empty the slice");
    slices.patch(&back.name_any(), &PatchParams::default(), &Patch::Merge(edit)).await?;
    scene.until_endpoints(&pods).await?;
    load.mark("put right");
    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("a slice deleted and edited: {}", counted.line());
    // Between the deletion and the new slice the Service has no endpoint, so what falls into that moment is refused by
    // kube-proxy itself. The operator must be faster than kube-proxy's own pace of one change a second.
    counted.clean()?;
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn equal_paths_in_two_namespaces_do_not_meet() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let one = Scene::start(&cluster, "one", Template::kitchen(2)).await?;
    let other = Scene::start(&cluster, "other", Template::kitchen(2).component("kitchen-p3")).await?;
    for host in ["app", "app.e2e-one.svc.cluster.local", "other.example", "10.1.2.3"] {
        for _ in 0..10 {
            for (scene, component) in [(&one, "kitchen-p2"), (&other, "kitchen-p3")] {
                let answer = http::get(scene.address()?, host, "/hello").await?;
                let who = answer.headers().get("x-component").map(|it| it.to_str().unwrap().to_owned());
                ensure!(who.as_deref() == Some(component), "{host}: {} {who:?}", answer.status());
            }
        }
    }
    one.end()?;
    other.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn the_dns_name_works() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let scene = Scene::start(&cluster, "dns", Template::kitchen(1)).await?;
    let name = format!("app.{}.svc.cluster.local", scene.namespace());
    // As a pod asks: the cluster's DNS server.
    let dns: std::net::SocketAddr = "10.96.0.10:53".parse()?;
    let address = penstock_tests::cluster::resolve(dns, &name).await?;
    ensure!(address == scene.address()?.ip(), "{name} is {address}");
    let answer = http::get((address, 80).into(), &name, "/hello").await?;
    ensure!(answer.status() == 200, "{} {:?}", answer.status(), answer.body());
    scene.end()
}
