//! The operator at scale, on a real API server: thousands of simulated hosts with real control streams, no components.
//!
//! `tests/e2e.sh --nodes 0 -- cargo test --locked --offline --workspace --test e2e_scale -- --ignored --nocapture`. Smaller with
//! `PENSTOCK_SCALE=100,500,2000` (hosts, deployments, replicas). Prints the table of `docs/kubernetes.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    pin::pin,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Namespace, Node, Pod, ServiceAccount},
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher::{self, Event, watcher},
};
use penstock_api::WorkloadDeployment;
use penstock_tests::{
    cluster::{Cluster, SYSTEM, condition},
    process::Usage,
    table::Table,
};
use serde_json::{Value, json};

/// Requests of this test to the API server at once.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(900);
const NAMESPACES: usize = 10;

#[derive(Clone, Copy, Debug)]
struct Size {
    hosts: usize,
    deployments: usize,
    replicas: usize,
}

impl Size {
    fn of_environment() -> Result<Self> {
        let Ok(text) = std::env::var("PENSTOCK_SCALE") else {
            return Ok(Self { hosts: 1_000, deployments: 5_000, replicas: 20_000 });
        };
        let numbers: Vec<usize> = text.split(',').map(|it| it.trim().parse()).collect::<Result<_, _>>()?;
        let [hosts, deployments, replicas] = numbers[..] else { bail!("PENSTOCK_SCALE=HOSTS,DEPLOYMENTS,REPLICAS") };
        ensure!(replicas % deployments == 0, "replicas must be a multiple of deployments");
        Ok(Self { hosts, deployments, replicas })
    }

    fn each(self) -> u32 {
        u32::try_from(self.replicas / self.deployments).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane without nodes: tests/e2e.sh --nodes 0"]
async fn a_thousand_hosts() -> Result<()> {
    let size = Size::of_environment()?;
    let cluster = Cluster::bare().await?;
    let folder = tempfile::tempdir()?;
    println!("{size:?}");
    // Pods without a kubelet are orphans to it.
    cluster.script(&["hold", "kube-controller-manager"])?;
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens)?;
    let start = Instant::now();
    hosts(&cluster, size, &tokens).await?;
    println!("{} pods with tokens after {:.0?}", size.hosts, start.elapsed());
    let start = Instant::now();
    deployments(&cluster, size).await?;
    println!("{} deployments after {:.0?}", size.deployments, start.elapsed());
    let config = operator_config(&cluster, folder.path())?;

    let mut table = Table::new([
        "event",
        "hosts told",
        "converged",
        "API writes",
        "API reads",
        "operator CPU",
        "operator memory (peak)",
    ]);
    let mut operator = Operator::start(&config, "op-0")?;
    let before = Requests::now(&cluster)?;
    let start = Instant::now();
    let mut fleet = SimHosts::start(&cluster, folder.path(), &tokens).await?;
    let told =
        fleet.until("all replicas on hosts", |it| it.connected == size.hosts && it.replicas == size.replicas).await?;
    let told = told - start;
    converged(&cluster, size).await?;
    row(&mut table, &cluster, "first start", told, start, &before, &operator)?;

    operator.kill()?;
    let mut operator = Operator::start(&config, "op-0")?;
    let (before, start) = (Requests::now(&cluster)?, Instant::now());
    fleet.until("streams gone", |it| it.connected < size.hosts).await?;
    let told = fleet
        .until("all hosts connected again", |it| it.connected == size.hosts && it.replicas == size.replicas)
        .await?
        - start;
    converged(&cluster, size).await?;
    row(&mut table, &cluster, "operator killed and started", told, start, &before, &operator)?;

    let lost = size.hosts / 10;
    let (before, start) = (Requests::now(&cluster)?, Instant::now());
    fleet.say(&format!("lose {lost}"))?;
    fleet.until("lost hosts", |it| it.hosts == size.hosts - lost && it.replicas < size.replicas).await?;
    let told = fleet.until("replicas on the others", |it| it.replicas == size.replicas).await? - start;
    converged(&cluster, size).await?;
    row(&mut table, &cluster, &format!("{lost} hosts lost at once"), told, start, &before, &operator)?;
    println!("\n{table}");
    println!("(`hosts told` of lost hosts includes the grace of 10 s that an operator gives to a host that is away.)");
    operator.kill()?;
    cluster.script(&["release", "kube-controller-manager"])
}

fn row(
    table: &mut Table,
    cluster: &Cluster,
    event: &str,
    told: Duration,
    start: Instant,
    before: &Requests,
    operator: &Operator,
) -> Result<()> {
    let took = start.elapsed();
    let requests = Requests::now(cluster)?.since(before);
    let usage = Usage::of(operator.child.id())?;
    println!("{event}: {took:.1?}, writes by resource: {:?}", requests.writes);
    table.row([
        event.to_owned(),
        format!("{told:.1?}"),
        format!("{took:.1?}"),
        requests.writes.values().sum::<u64>().to_string(),
        requests.reads.to_string(),
        format!("{:.1?}", usage.cpu),
        format!("{} MiB ({} MiB)", usage.resident >> 20, usage.peak >> 20),
    ]);
    Ok(())
}

// === what there is before the operator ===

async fn hosts(cluster: &Cluster, size: Size, tokens: &Path) -> Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client().clone());
    for node in 0..NAMESPACES {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": format!("sim-{node}"), "labels": {"topology.kubernetes.io/zone": format!("zone-{}", node % 3)}},
        }))?;
        nodes.create(&PostParams::default(), &node).await?;
    }
    stream::iter(0..size.hosts).map(Ok).try_for_each_concurrent(AT_ONCE, |index| host(cluster, index, tokens)).await
}

async fn host(cluster: &Cluster, index: usize, tokens: &Path) -> Result<()> {
    let name = format!("sim-host-{index:04}");
    let pods = cluster.api::<Pod>(SYSTEM);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {"wasmcloud.com/name": "hostgroup", "wasmcloud.com/hostgroup": "default"},
        },
        "spec": {
            "nodeName": format!("sim-{}", index % NAMESPACES),
            "serviceAccountName": "penstock-host",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "host", "image": "simulated",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }))?;
    let pod = pods.create(&PostParams::default(), &pod).await?;
    let address = format!("10.{}.{}.{}", 64 + index / 65_536, index / 256 % 256, index % 256);
    let now = jiff::Timestamp::now().to_string();
    let status = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "10.63.0.1", "startTime": now,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        "containerStatuses": [{
            "name": "host", "ready": true, "started": true, "restartCount": 0, "image": "simulated", "imageID": "",
            "state": {"running": {"startedAt": now}},
        }],
    }});
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    let request: TokenRequest = serde_json::from_value(json!({
        "spec": {
            "audiences": ["penstock-operator"], "expirationSeconds": 7200,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod.uid()},
        },
    }))?;
    let accounts = cluster.api::<ServiceAccount>(SYSTEM);
    let token = accounts.create_token_request("penstock-host", &PostParams::default(), &request).await?;
    fs::write(tokens.join(&name), token.status.and_then(|it| it.token).context("no token")?)?;
    Ok(())
}

async fn deployments(cluster: &Cluster, size: Size) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client().clone());
    for index in 0..NAMESPACES {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": format!("scale-{index}")}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
    }
    stream::iter(0..size.deployments)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |index| async move {
            let deployment: WorkloadDeployment = serde_json::from_value(json!({
                "apiVersion": "runtime.wasmcloud.dev/v1alpha1", "kind": "WorkloadDeployment",
                "metadata": {"name": format!("app-{index:05}")},
                "spec": {
                    "replicas": size.each(),
                    "template": {"spec": {
                        "components": [{"name": "app", "image": "registry.example/app:1"}],
                        "hostInterfaces": [{"namespace": "wasi", "package": "http", "interfaces": ["incoming-handler"],
                            "config": {"host": format!("app-{index}.example.com")}}],
                    }},
                },
            }))?;
            let api = cluster.api::<WorkloadDeployment>(&format!("scale-{}", index % NAMESPACES));
            api.create(&PostParams::default(), &deployment).await?;
            anyhow::Ok(())
        })
        .await
}

/// Waits until every deployment says that all of its replicas serve and that its generation is programmed.
async fn converged(cluster: &Cluster, size: Size) -> Result<()> {
    let api: Api<WorkloadDeployment> = Api::all(cluster.client().clone());
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut missing: BTreeSet<String> = BTreeSet::new();
    let mut listed = false;
    let done = async {
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(it) | Event::InitApply(it)) => {
                    let status = it.status.clone().unwrap_or_default();
                    let ready = status.replicas.is_some_and(|it| it.ready == size.each() && it.current == size.each());
                    let programmed = condition(&status.conditions, "Programmed", it.metadata.generation);
                    if ready && programmed {
                        missing.remove(&it.name_any())
                    } else {
                        missing.insert(it.name_any())
                    };
                }
                Ok(Event::InitDone) => listed = true,
                Ok(_) | Err(_) => {}
            }
            if listed && missing.is_empty() {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, done).await.is_err() {
        bail!("{} deployments did not converge within {PATIENCE:?}, such as {:?}", missing.len(), missing.first());
    }
    Ok(())
}

// === the operator ===

/// A kubeconfig with the rights of the operator's account, and no others.
fn operator_config(cluster: &Cluster, folder: &Path) -> Result<PathBuf> {
    let token = cluster.kubectl(["create", "token", "penstock-operator", "-n", SYSTEM, "--duration=8h"])?;
    let view: Value = serde_json::from_str(&cluster.kubectl(["config", "view", "--raw", "-o", "json"])?)?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": view["clusters"],
        "users": [{"name": "operator", "user": {"token": token.trim()}}],
        "contexts": [{"name": "it", "context": {"cluster": view["clusters"][0]["name"], "user": "operator"}}],
    });
    let path = folder.join("operator.kubeconfig");
    fs::write(&path, config.to_string())?;
    Ok(path)
}

struct Operator {
    child: Child,
}

impl Operator {
    fn start(config: &Path, name: &str) -> Result<Self> {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(std::env::temp_dir().join("penstock-scale.log"))?;
        let child = Command::new(binary("penstock-operator"))
            .env("KUBECONFIG", config)
            .env("POD_NAME", name)
            .env("POD_NAMESPACE", SYSTEM)
            .env("POD_IP", "127.0.0.1")
            // One that was killed holds its Lease for so long.
            .env("PENSTOCK_LEASE_DURATION", "5s")
            .env("PENSTOCK_CONTROL_ADDRESS", "127.0.0.1:9443")
            .env("PENSTOCK_ADMIN_ADDRESS", "127.0.0.1:8080")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("penstock-operator: build it with `cargo build --workspace --bins`")?;
        Ok(Self { child })
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Beside the test's own binary.
fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join(name)
}

// === the hosts ===

#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Census {
    hosts: usize,
    connected: usize,
    replicas: usize,
}

struct SimHosts {
    child: Child,
    commands: ChildStdin,
    census: Arc<Mutex<Census>>,
}

impl SimHosts {
    async fn start(cluster: &Cluster, folder: &Path, tokens: &Path) -> Result<Self> {
        let name = format!("penstock-operator.{SYSTEM}.svc");
        let bundle = cluster
            .until(cluster.api::<ConfigMap>(SYSTEM), "the operator's CA", PATIENCE, |all| {
                all.get("penstock-ca")?.data.as_ref()?.get("ca.crt").cloned()
            })
            .await?;
        let ca = folder.join("ca.crt");
        fs::write(&ca, bundle)?;
        let mut child = Command::new(binary("sim-hosts"))
            .args(["--operator", "https://127.0.0.1:9443", "--operator-name", &name, "--ca-file"])
            .arg(&ca)
            .arg("--tokens")
            .arg(tokens)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("sim-hosts")?;
        let commands = child.stdin.take().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap());
        let census = Arc::new(Mutex::new(Census::default()));
        let shared = census.clone();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(lines).map_while(Result::ok) {
                if let Ok(it) = serde_json::from_str::<Census>(&line)
                    && it.hosts > 0
                {
                    *shared.lock().unwrap() = it;
                }
            }
        });
        Ok(Self { child, commands, census })
    }

    fn say(&mut self, command: &str) -> Result<()> {
        use std::io::Write as _;
        writeln!(self.commands, "{command}")?;
        Ok(())
    }

    /// When the census first was so. It is told each 100 ms.
    async fn until(&mut self, what: &str, check: impl Fn(&Census) -> bool) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let now = *self.census.lock().unwrap();
            if check(&now) {
                return Ok(Instant::now());
            }
            ensure!(Instant::now() < deadline, "waited in vain for {what}: {now:?}");
        }
    }
}

impl Drop for SimHosts {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === what the API server was asked ===

#[derive(Clone, Debug, Default)]
struct Requests {
    /// By resource, with its subresource.
    writes: BTreeMap<String, u64>,
    reads: u64,
}

impl Requests {
    /// The API server's own counters. This test itself writes nothing between two looks.
    fn now(cluster: &Cluster) -> Result<Self> {
        let mut requests = Self::default();
        for line in cluster.kubectl(["get", "--raw", "/metrics"])?.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
            let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
            let label = |name: &str| labels.split(&format!("{name}=\"")).nth(1).and_then(|it| it.split('"').next());
            let (verb, resource) = (label("verb").unwrap_or_default(), label("resource").unwrap_or_default());
            let ours = matches!(
                resource,
                "workloaddeployments" | "workloadreplicasets" | "workloads" | "hosts" | "endpointslices" | "events"
            );
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
            let count = count.trim().parse::<f64>().unwrap_or_default() as u64;
            if !ours {
                continue;
            }
            if matches!(verb, "POST" | "PUT" | "PATCH" | "APPLY" | "DELETE") {
                let sub = label("subresource").filter(|it| !it.is_empty()).map(|it| format!("/{it}"));
                *requests.writes.entry(format!("{resource}{}", sub.unwrap_or_default())).or_default() += count;
            } else {
                requests.reads += count;
            }
        }
        Ok(requests)
    }

    fn since(&self, before: &Self) -> Self {
        let less = |key: &String, count: u64| count - before.writes.get(key).copied().unwrap_or_default();
        let writes = self.writes.iter().map(|(key, count)| (key.clone(), less(key, *count))).filter(|it| it.1 > 0);
        Self { writes: writes.collect(), reads: self.reads - before.reads }
    }
}
