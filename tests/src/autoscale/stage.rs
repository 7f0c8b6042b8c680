//! The cluster's part of a run: the workload and its driver's objects in a namespace of their own, and what is seen of them.

mod watch;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Service;
use penstock_api::WorkloadDeployment;

pub use self::watch::{Seen, Watch};
use super::driver::{Aim, Driver};
use crate::{
    cluster::{Cluster, PATIENCE, SYSTEM, condition},
    manifest::Workload,
};

/// The Service of the hosts' admin ports, for Prometheus: `tests/cluster/penstock/metrics.yaml`.
const METRICS: &str = "penstock-host-metrics.penstock-system.svc.cluster.local";
/// A second is a long time for kube-proxy, even on a busy machine.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

/// What one replica is good for. With [`CALL`] that is 25 calls a second, twice the twelve that drivers aim at, so that a host
/// that gets more than its part for a second has room.
pub const CONCURRENCY: u32 = 2;
/// How long a call takes.
pub const CALL: Duration = Duration::from_millis(80);
/// Long enough to hold what comes until the slowest driver has seen it: nothing is to be refused.
const QUEUE: (u32, &str) = (1_000, "30s");

/// A workload behind a Service, and a driver that scales it.
pub struct Stage {
    cluster: Cluster,
    aim: Aim,
    address: SocketAddr,
}

// === impl Stage ===

impl Stage {
    /// Makes the namespace anew, starts the workload on every host once, so that the component is there, leaves the least
    /// number of replicas, and gives them to the driver.
    ///
    /// # Errors
    /// If something does not come to be; the text says what.
    pub async fn set(cluster: &Cluster, driver: Driver, aim: Aim, image: &str) -> Result<Self> {
        let namespace = &aim.namespace;
        cluster.kubectl(["delete", "namespace", namespace, "--ignore-not-found", "--wait"])?;
        cluster.kubectl(["create", "namespace", namespace])?;
        let hosts = u32::try_from(cluster.host_pods().await?.len())?;
        ensure!(hosts > 0, "there is no host pod in penstock-system");
        cluster.apply(namespace, &manifest(&aim, image, hosts.max(aim.least), ""))?;
        settled(cluster, &aim, hosts.max(aim.least)).await?;
        cluster.apply(namespace, &manifest(&aim, image, aim.least, &driver.spec(&aim)))?;
        settled(cluster, &aim, aim.least).await?;
        let objects = driver.objects(&aim);
        if !objects.is_empty() {
            cluster.apply(namespace, &objects)?;
            follows(cluster, driver, &aim).await?;
        }
        let service = cluster.api::<Service>(namespace).get(&aim.name).await?;
        let ip = service.spec.and_then(|it| it.cluster_ip).context("the Service has no ClusterIP")?;
        Ok(Self { cluster: cluster.clone(), address: SocketAddr::new(ip.parse()?, 80), aim })
    }

    /// The Service's ClusterIP and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until this address, the Service's own or one that leads there, takes a connection.
    ///
    /// # Errors
    /// If it does not.
    pub async fn connects(&self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + CONNECTS_WITHIN;
        loop {
            match tokio::time::timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(address)).await {
                Ok(Ok(_)) => return Ok(()),
                _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(Err(error)) => bail!("{address}: {error}"),
                Err(_) => bail!("{address} takes no connection: is it reached from here? --target gives another one"),
            }
        }
    }

    /// Begins to watch replicas, shares and waiting calls.
    ///
    /// # Errors
    /// If the API server does not say which hosts there are.
    pub async fn watch(&self) -> Result<Watch> {
        let pods = self.cluster.host_pods().await?;
        let hosts = pods.into_iter().filter_map(|it| it.metadata.name).collect();
        Ok(Watch::start(&self.cluster, &self.aim, hosts).await)
    }

    /// Removes the namespace, without waiting for it.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub fn end(self) -> Result<()> {
        self.cluster.kubectl(["delete", "namespace", &self.aim.namespace, "--wait=false"]).map(drop)
    }
}

/// Sees to it that what the driver needs is there. `addons`: whether it may be deployed, as on the cluster of
/// `tests/cluster`; elsewhere it is only looked for.
///
/// # Errors
/// If it is not; the text says how to get it.
pub fn prepare(cluster: &Cluster, driver: Driver, addons: bool) -> Result<()> {
    let there = |what: &[&str]| cluster.kubectl([&["get"], what].concat()).is_ok();
    if driver.needs_keda() && !there(&["crd", "scaledobjects.keda.sh"]) {
        ensure!(addons, "{driver}: KEDA is not there; install it first");
        cluster.script(&["addon", "keda"]).context("`tests/cluster/cluster build keda` makes its programs")?;
    }
    if driver == Driver::KedaExternal && addons {
        // KEDA reads what it is to trust from its own namespace.
        let authority =
            cluster.kubectl(["get", "configmap", "penstock-ca", "-n", SYSTEM, "-o", "jsonpath={.data.ca\\.crt}"])?;
        let data = serde_json::json!({ "ca.crt": authority });
        let map = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "penstock-ca" }, "data": data });
        cluster.apply("keda", &map.to_string())?;
        cluster.kubectl(["apply", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/autoscaling/keda.yaml")])?;
    }
    if driver == Driver::KedaPrometheus && !there(&["deployment", "prometheus", "-n", "monitoring"]) {
        ensure!(addons, "{driver}: there is no Prometheus in the namespace monitoring that knows the hosts");
        cluster.script(&["addon", "prometheus", METRICS, "8081"])?;
    }
    if driver == Driver::Hpa {
        let service =
            ["get", "apiservice", "v1beta1.external.metrics.k8s.io", "-o", "jsonpath={.spec.service.namespace}"];
        let owner =
            cluster.kubectl(service).with_context(|| format!("{driver}: nobody serves external.metrics.k8s.io"))?;
        ensure!(
            owner == SYSTEM,
            "{driver}: external.metrics.k8s.io is served from the namespace {owner:?}, not by Penstock; a cluster has one \
             such server, and KEDA brings its own"
        );
    }
    Ok(())
}

/// Service and deployment, with lines under the deployment's `spec:`.
fn manifest(aim: &Aim, image: &str, replicas: u32, spec: &str) -> String {
    let mut workload = Workload::new(&aim.name, image);
    workload.replicas = replicas;
    workload.capacity = Some((CONCURRENCY, QUEUE.0, QUEUE.1));
    let mut indented = String::new();
    for line in spec.lines() {
        let _ = writeln!(indented, "  {line}");
    }
    workload.to_string().replace("\nspec:\n  replicas:", &format!("\nspec:\n{indented}  replicas:"))
}

async fn settled(cluster: &Cluster, aim: &Aim, replicas: u32) -> Result<()> {
    let what = format!("{replicas} replicas of {} that serve, and Programmed=True", aim.name);
    cluster
        .until(cluster.api::<WorkloadDeployment>(&aim.namespace), &what, PATIENCE, |all| {
            let deployment = all.get(&aim.name)?;
            let status = deployment.status.as_ref()?;
            let ready = status.replicas.is_some_and(|it| it.ready == replicas && it.current == replicas);
            (ready && condition(&status.conditions, "Programmed", deployment.metadata.generation)).then_some(())
        })
        .await
}

/// Waits until the driver's HPA has got its metric once: from then on it follows.
async fn follows(cluster: &Cluster, driver: Driver, aim: &Aim) -> Result<()> {
    let namespace = &aim.namespace;
    let hpa = if driver.needs_keda() { format!("hpa/keda-hpa-{}", aim.name) } else { format!("hpa/{}", aim.name) };
    let deadline = Instant::now() + PATIENCE;
    // KEDA makes its HPA a moment later, and `kubectl wait` ends at once where there is none.
    loop {
        let wait = ["wait", "--for=condition=ScalingActive", &hpa, "-n", namespace, "--timeout=10s"];
        let Err(error) = cluster.kubectl(wait) else { return Ok(()) };
        if Instant::now() > deadline {
            let shown = cluster.kubectl(["get", "hpa", "-n", namespace, "-o", "yaml"]).unwrap_or_default();
            return Err(error.context(format!("{driver}: {hpa} does not get its metric; there is\n{shown}")));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_lines_are_part_of_the_deployment() {
        let aim =
            Aim { namespace: "demo".into(), name: "app".into(), least: 1, most: 45, each: 12.2, patience_seconds: 30 };
        let text = manifest(&aim, "registry/kitchen:1", 1, &Driver::Builtin.spec(&aim));
        assert!(text.contains("\nspec:\n  autoscaling:\n    minReplicas: 1\n    maxReplicas: 45\n"), "{text}");
        assert!(text.contains("\n  replicas: 1\n"), "{text}");
        assert!(text.contains("capacity: {concurrency: 2, queueDepth: 1000, queueTimeout: 30s}"), "{text}");
        assert!(!manifest(&aim, "x", 1, "").contains("autoscaling"));
    }
}
