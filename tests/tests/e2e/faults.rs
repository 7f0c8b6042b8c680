//! What breaks in a cluster, under load.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::Lease,
    core::v1::{Node, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use penstock_tests::cluster::{Cluster, HostProcess, PATIENCE, SYSTEM, Scene, Template};

use super::hosts;

/// As the issue asks: a minute without an API server.
const OUTAGE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_host_pod_is_deleted() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let scene = Scene::start(&cluster, "pod", Template::kitchen(4)).await?;
    let before = hosts(&cluster).await;
    let mut load = scene.load()?;
    load.answered(100).await?;
    let victim = before.first().context("no host")?.clone();
    load.mark(format!("delete {victim}"));
    cluster.kubectl(["delete", "pod", "-n", SYSTEM, &victim, "--wait"])?;
    load.mark("it is gone");
    let after = new_hosts(&cluster, &victim, before.len()).await?;
    load.mark("its successor is ready");
    scene.until_endpoints(&after).await?;
    load.mark("its successor is an endpoint");
    scene.settled().await?;
    load.answered(200).await?;
    let counted = load.finish().await?;
    println!("a host pod deleted: {}", counted.line());
    counted.clean()?;
    scene.end()
}

/// The ready hosts, once there are as many as before without the one that went.
async fn new_hosts(cluster: &Cluster, gone: &str, count: usize) -> Result<Vec<String>> {
    cluster
        .until(cluster.api::<Pod>(SYSTEM), "a new host pod that is ready", PATIENCE, |pods| {
            let ready: Vec<String> = pods
                .values()
                .filter(|it| it.labels().get("wasmcloud.com/name").is_some_and(|it| it == "hostgroup"))
                .filter(|it| it.metadata.deletion_timestamp.is_none() && it.name_any() != gone && is_ready(it))
                .map(|it| it.name_any())
                .collect();
            (ready.len() == count).then_some(ready)
        })
        .await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|it| it.conditions.as_ref());
    conditions.is_some_and(|it| it.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_node_is_drained() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let nodes: Api<Node> = Api::all(cluster.client().clone());
    let count = nodes.list(&Default::default()).await?.items.len();
    ensure!(count > 1, "this needs two nodes");
    let scene = Scene::start(&cluster, "drain", Template::kitchen(4)).await?;
    let all = cluster.host_pods().await?;
    let on = |pod: &Pod, node: &str| pod.spec.as_ref().and_then(|it| it.node_name.as_deref()) == Some(node);
    let remaining: Vec<String> = all.iter().filter(|it| !on(it, "node-2")).map(|it| it.name_any()).collect();
    let mut load = scene.load()?;
    load.answered(100).await?;
    load.mark("drain node-2");
    let drained =
        cluster.kubectl(["drain", "node-2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"]);
    load.mark("drained");
    let moved = scene.until_endpoints(&remaining).await;
    load.mark("only the other node's host is an endpoint");
    let settled = scene.settled().await;
    cluster.kubectl(["uncordon", "node-2"])?;
    load.mark("uncordoned");
    drained.context("drain")?;
    moved?;
    settled?;
    scene.settled().await?;
    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("a node drained: {}", counted.line());
    counted.clean()?;
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn the_leader_is_killed() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "leader", Template::kitchen(2)).await?;
    let mut load = scene.load()?;
    load.answered(100).await?;
    let leader = leader(&cluster).await?;
    let pod = cluster.api::<Pod>(SYSTEM).get(&leader).await?;
    load.mark(format!("kill {leader}"));
    let killed = Instant::now();
    // The process, not the pod: nobody has time to say goodbye.
    HostProcess::of(&pod)?.signal("KILL")?;
    scene.scale_now(6).await?;
    scene.settled().await?;
    let took = killed.elapsed();
    load.mark("another leads and has scaled");
    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("the leader killed: scaled 2 -> 6 by the next one {took:?} later; {}", counted.line());
    counted.clean()?;
    scene.end()
}

async fn leader(cluster: &Cluster) -> Result<String> {
    let lease = cluster.api::<Lease>(SYSTEM).get("penstock-operator").await?;
    lease.spec.and_then(|it| it.holder_identity).context("nobody leads")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn the_api_server_is_down() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "outage", Template::kitchen(3)).await?;
    let mut load = scene.load()?;
    load.answered(100).await?;
    load.mark("the API server ends");
    let outage = Outage::begin(&cluster)?;
    tokio::time::sleep(OUTAGE).await;
    outage.end().await?;
    load.mark("it is back");
    let back = Instant::now();
    scene.scale_now(8).await?;
    scene.settled().await?;
    let took = back.elapsed();
    load.mark("scaled");
    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("a minute without API server: scaled 3 -> 8 {took:?} after it came back; {}", counted.line());
    counted.clean()?;
    scene.end()
}

/// Waits until kube-proxy follows the API server again, for which its client may take half a minute: until then a new Service
/// leads nowhere. It watches Services and EndpointSlices, each on its own: what shows that it has both is a new Service that
/// answers, here with the API server behind it.
async fn proxied(cluster: &Cluster) -> Result<()> {
    let name = "kube-proxy-follows";
    let api_server = cluster.api::<EndpointSlice>("default").get("kubernetes").await?;
    let service = serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"name": "https", "port": 443}]},
    });
    let slice = serde_json::json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": api_server.address_type,
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "ports": api_server.ports, "endpoints": api_server.endpoints,
    });
    let service: Service =
        cluster.api("default").create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    cluster.api::<EndpointSlice>("default").create(&PostParams::default(), &serde_json::from_value(slice)?).await?;
    let ip = service.spec.and_then(|it| it.cluster_ip).context("no ClusterIP")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connect = tokio::net::TcpStream::connect((ip.as_str(), 443));
        match tokio::time::timeout(Duration::from_millis(500), connect).await {
            Ok(Ok(_)) => break,
            other => ensure!(Instant::now() < deadline, "kube-proxy does not know a new Service: {other:?}"),
        }
    }
    cluster.kubectl(["delete", "service,endpointslice", name, "-n", "default"])?;
    Ok(())
}

/// While this lives there is no API server.
struct Outage<'c>(&'c Cluster, bool);

impl<'c> Outage<'c> {
    fn begin(cluster: &'c Cluster) -> Result<Self> {
        cluster.script(&["hold", "kube-apiserver"])?;
        Ok(Self(cluster, true))
    }

    async fn end(mut self) -> Result<()> {
        self.1 = false;
        self.release()?;
        proxied(self.0).await?;
        self.0.kubectl(["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s"])?;
        Ok(())
    }

    fn release(&self) -> Result<()> {
        self.0.script(&["release", "kube-apiserver"])?;
        let deadline = Instant::now() + PATIENCE;
        while self.0.kubectl(["get", "--raw", "/readyz"]).is_err() {
            ensure!(Instant::now() < deadline, "the API server does not come back");
        }
        Ok(())
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        if self.1 {
            // The test has failed already, and says why.
            let _ = self.release();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_host_starts_again_without_operator_and_api_server() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let scene = Scene::start(&cluster, "alone", Template::kitchen(4)).await?;
    let result = alone(&cluster, &scene).await;
    let back = cluster.kubectl(["scale", "deployment/penstock-operator", "-n", SYSTEM, "--replicas=2"]);
    result?;
    back?;
    cluster.kubectl(["rollout", "status", "deployment/penstock-operator", "-n", SYSTEM, "--timeout=120s"])?;
    scene.settled().await?;
    scene.end()
}

async fn alone(cluster: &Cluster, scene: &Scene) -> Result<()> {
    let victim = cluster.host_pods().await?.into_iter().next().context("no host")?;
    let address = pod_address(scene, &victim).await?;
    let mut load = scene.load()?;
    load.answered(100).await?;
    load.mark("the operators end");
    cluster.kubectl(["scale", "deployment/penstock-operator", "-n", SYSTEM, "--replicas=0"])?;
    cluster
        .until(cluster.api::<Deployment>(SYSTEM), "no operator", PATIENCE, |all| {
            let replicas = all.get("penstock-operator")?.status.as_ref()?.replicas;
            (replicas.unwrap_or_default() == 0).then_some(())
        })
        .await?;
    load.mark("the API server ends");
    let outage = Outage::begin(cluster)?;
    // Nothing is lost up to here. What follows is counted apart: with nobody left to take a dead host out of kube-proxy's
    // rules, new connections to it are refused until its container runs again.
    load.answered(200).await?;
    let counted = load.finish().await?;
    println!("without operator and API server: {}", counted.line());
    counted.clean()?;
    let process = HostProcess::of(&victim)?;
    let mut load = scene.load()?;
    load.answered(50).await?;
    load.mark("the host is killed");
    let killed = Instant::now();
    process.signal("KILL")?;
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let Ok(answer) = penstock_tests::http::get(address, "direct.example", "/hello").await else {
            ensure!(Instant::now() < deadline, "the host does not serve again");
            continue;
        };
        // From its first answer on it serves: never a 404 or 503 while it starts.
        ensure!(answer.status() == 200, "{} {:?}", answer.status(), answer.body());
        break;
    }
    let took = killed.elapsed();
    ensure!(HostProcess::of(&victim)? != process, "the host was not killed");
    load.mark("it serves again, from its disk");
    load.answered(300).await?;
    outage.end().await?;
    load.mark("the API server is back");
    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("a host killed without operator and API server: serves again after {took:?}; {}", counted.line());
    // No answer was wrong: whatever failed was a connection that was refused or cut while the container was away.
    for report in [&counted.kept, &counted.fresh] {
        let answers: Vec<u16> = report.statuses.keys().copied().collect();
        ensure!(answers == [200], "{}", report.summary());
        let late = report.records.iter().filter(|it| it.failure.is_some());
        let late = late.filter(|it| it.start > killed + took + Duration::from_millis(100)).count();
        ensure!(late == 0, "{late} requests failed after the host served again: {}", report.summary());
    }
    Ok(())
}

/// Where this pod serves the scene's Service: the slice is the record.
async fn pod_address(scene: &Scene, pod: &Pod) -> Result<std::net::SocketAddr> {
    let name = pod.name_any();
    let (ip, port) = scene
        .until_slices("the host's endpoint", |slices| {
            slices.values().find_map(|slice| {
                let endpoint = slice
                    .endpoints
                    .iter()
                    .flatten()
                    .find(|it| it.target_ref.as_ref().is_some_and(|it| it.name.as_deref() == Some(&name)))?;
                Some((endpoint.addresses.first()?.clone(), slice.ports.as_ref()?.first()?.port?))
            })
        })
        .await?;
    Ok(std::net::SocketAddr::new(ip.parse()?, u16::try_from(port)?))
}
