//! One workload behind a Service in a namespace of its own, and the load that is on it while something happens.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use http::{HeaderName, HeaderValue, header};
use k8s_openapi::api::{
    core::v1::{Namespace, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use penstock_api::{Workload as Share, WorkloadDeployment, WorkloadReplicaSet};

use super::{Cluster, PATIENCE, condition, registry, wait::Objects};
use crate::{
    load::{Answer, Plan, Report, Running},
    manifest::Workload,
};

/// What is deployed: one component of the tests or of the quickstart.
#[derive(Clone, Debug)]
pub struct Template {
    /// The file's name without `.wasm`.
    pub component: &'static str,
    /// Units of capacity.
    pub replicas: u32,
    /// WASI 0.3.
    pub p3: bool,
    /// Lines under the deployment's `spec:`, such as `strategy: {...}`.
    pub extra: &'static str,
    /// Lines under the template's `spec:`, such as `capacity: {...}`.
    pub inner: &'static str,
}

/// A namespace with one workload behind a Service of the same name.
pub struct Scene {
    cluster: Cluster,
    namespace: String,
    template: Template,
    address: Option<SocketAddr>,
}

/// The name of deployment and Service in every scene.
const NAME: &str = "app";

// === impl Template ===

impl Template {
    /// So many replicas of the component that does as the path says.
    #[must_use]
    pub fn kitchen(replicas: u32) -> Self {
        Self { component: "kitchen-p2", replicas, p3: false, extra: "", inner: "" }
    }

    /// Another component.
    #[must_use]
    pub fn component(mut self, name: &'static str) -> Self {
        self.component = name;
        self.p3 = name.ends_with("-p3");
        self
    }

    /// More lines under `spec:`.
    #[must_use]
    pub fn extra(mut self, lines: &'static str) -> Self {
        self.extra = lines;
        self
    }

    /// More lines under the template's `spec:`.
    #[must_use]
    pub fn inner(mut self, lines: &'static str) -> Self {
        self.inner = lines;
        self
    }

    fn yaml(&self, cluster: &Cluster) -> Result<String> {
        let image = registry::image(cluster.root(), self.component)?;
        let mut workload = Workload::new(NAME, &image);
        workload.replicas = self.replicas;
        if self.p3 {
            workload = workload.p3();
        }
        let text = workload.to_string();
        let indented = |lines: &str, by: &str| {
            lines.lines().fold(String::new(), |mut text, line| {
                let _ = writeln!(text, "{by}{line}");
                text
            })
        };
        let (extra, inner) = (indented(self.extra, "  "), indented(self.inner, "      "));
        let text = text.replace("\nspec:\n  replicas:", &format!("\nspec:\n{extra}  replicas:"));
        Ok(text.replace("\n  template:\n    spec:\n", &format!("\n  template:\n    spec:\n{inner}")))
    }
}

// === impl Scene ===

impl Scene {
    /// Makes the namespace anew, applies, and waits until `Programmed` says that clients are served.
    ///
    /// # Errors
    /// If that does not come to be.
    pub async fn start(cluster: &Cluster, name: &str, template: Template) -> Result<Self> {
        let mut scene = Self::empty(cluster, name, template).await?;
        scene.apply()?;
        scene.settled().await?;
        scene.find_address().await?;
        scene.connects().await?;
        Ok(scene)
    }

    /// Programmed is true, and the Service leads somewhere. What the propagation delay is for may take kube-proxy a little
    /// longer on a busy machine: a second more is not a failure of what is tested here.
    ///
    /// # Errors
    /// If it does not, a second later.
    pub async fn connects(&self) -> Result<()> {
        let address = self.address()?;
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match tokio::net::TcpStream::connect(address).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => bail!("{address} a second after Programmed=True: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Only the namespace.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn empty(cluster: &Cluster, name: &str, template: Template) -> Result<Self> {
        let namespace = format!("e2e-{name}");
        let api: Api<Namespace> = Api::all(cluster.client().clone());
        cluster.kubectl(["delete", "namespace", &namespace, "--ignore-not-found", "--wait"])?;
        let object: Namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": &namespace}}))?;
        api.create(&PostParams::default(), &object).await?;
        Ok(Self { cluster: cluster.clone(), namespace, template, address: None })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What is deployed, to be changed before [`Scene::apply`].
    pub fn template(&mut self) -> &mut Template {
        &mut self.template
    }

    /// Applies Service and deployment.
    ///
    /// # Errors
    /// If the API server refuses them.
    pub fn apply(&self) -> Result<()> {
        self.cluster.apply(&self.namespace, &self.template.yaml(&self.cluster)?).map(drop)
    }

    /// Applies only one of the two: `Service` or `WorkloadDeployment`.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub fn apply_only(&self, kind: &str) -> Result<()> {
        let yaml = self.template.yaml(&self.cluster)?;
        let document = yaml.split("---\n").find(|it| it.contains(&format!("\nkind: {kind}\n")));
        self.cluster.apply(&self.namespace, document.with_context(|| format!("no {kind}"))?).map(drop)
    }

    /// Applies a deployment of its own behind no Service, for routes to name, and waits until it serves.
    ///
    /// # Errors
    /// If it does not.
    pub fn beside(&self, name: &str, component: &str, replicas: u32) -> Result<()> {
        let mut workload = Workload::new(name, &registry::image(self.cluster.root(), component)?);
        workload.replicas = replicas;
        if component.ends_with("-p3") {
            workload = workload.p3();
        }
        self.cluster.apply(&self.namespace, &workload.alone())?;
        let resource = format!("wd/{name}");
        self.cluster
            .kubectl(["wait", "--for=condition=Ready", &resource, "-n", &self.namespace, "--timeout=120s"])
            .map(drop)
    }

    /// Learns the Service's ClusterIP, which [`Scene::address`] gives.
    ///
    /// # Errors
    /// If there is none.
    pub async fn find_address(&mut self) -> Result<SocketAddr> {
        let service = self.cluster.api::<Service>(&self.namespace).get(NAME).await?;
        let ip = service.spec.and_then(|it| it.cluster_ip).context("the Service has no ClusterIP")?;
        let address = SocketAddr::new(ip.parse()?, 80);
        self.address = Some(address);
        Ok(address)
    }

    /// The Service's ClusterIP and port.
    ///
    /// # Errors
    /// If it is not known yet.
    pub fn address(&self) -> Result<SocketAddr> {
        self.address.context("the Service's address is not known: call find_address")
    }

    /// `kubectl scale`, for real.
    ///
    /// # Errors
    /// If it fails.
    pub fn scale(&mut self, replicas: u32) -> Result<()> {
        self.template.replicas = replicas;
        let to = format!("--replicas={replicas}");
        self.cluster.kubectl(["scale", "wd", NAME, "-n", &self.namespace, &to]).map(drop)
    }

    /// The same request to `/scale` that kubectl sends, without the time that it takes to start.
    ///
    /// # Errors
    /// If it fails.
    pub async fn scale_now(&mut self, replicas: u32) -> Result<()> {
        self.template.replicas = replicas;
        let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
        let api = self.deployments();
        api.patch_scale(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn deployments(&self) -> Api<WorkloadDeployment> {
        self.cluster.api(&self.namespace)
    }

    /// The deployment as it is now.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn deployment(&self) -> Result<WorkloadDeployment> {
        Ok(self.deployments().get(NAME).await?)
    }

    /// Waits until the deployment is as wanted.
    ///
    /// # Errors
    /// If the time is over; the text shows it.
    pub async fn until(&self, what: &str, mut check: impl FnMut(&WorkloadDeployment) -> bool) -> Result<()> {
        self.cluster
            .until(self.deployments(), what, PATIENCE, |all: &Objects<WorkloadDeployment>| {
                all.get(NAME).filter(|it| check(it)).map(drop)
            })
            .await
    }

    /// Waits until as many replicas as wanted serve and `Programmed` is true, both of the newest generation.
    ///
    /// # Errors
    /// If the time is over; the text shows the deployment.
    pub async fn settled(&self) -> Result<()> {
        let replicas = self.template.replicas;
        let what = format!("{replicas} replicas that serve, and Programmed=True");
        self.until(&what, |it| {
            let generation = it.metadata.generation;
            let Some(status) = &it.status else { return false };
            let ready = status.replicas.is_some_and(|it| it.ready == replicas && it.current == replicas);
            ready && condition(&status.conditions, "Programmed", generation)
        })
        .await
    }

    /// Waits until the shares on all hosts together are as wanted.
    ///
    /// # Errors
    /// If the time is over; the text shows them.
    pub async fn until_shares<T>(&self, what: &str, pick: impl FnMut(&Objects<Share>) -> Option<T>) -> Result<T> {
        self.cluster.until(self.cluster.api(&self.namespace), what, PATIENCE, pick).await
    }

    /// Waits until the Service's endpoints are as wanted.
    ///
    /// # Errors
    /// If the time is over; the text shows the slices.
    pub async fn until_slices<T>(
        &self,
        what: &str,
        pick: impl FnMut(&Objects<EndpointSlice>) -> Option<T>,
    ) -> Result<T> {
        self.cluster.until(self.cluster.api(&self.namespace), what, PATIENCE, pick).await
    }

    /// Waits until the ready endpoints are those of exactly these pods.
    ///
    /// # Errors
    /// As [`Scene::until_slices`].
    pub async fn until_endpoints(&self, pods: &[String]) -> Result<()> {
        let mut wanted = pods.to_vec();
        wanted.sort();
        self.until_slices(&format!("endpoints of {wanted:?}"), |slices| (ready_pods(slices) == wanted).then_some(()))
            .await
    }

    /// Names of the revisions, by number.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn revisions(&self) -> Result<Vec<String>> {
        let all = self.cluster.api::<WorkloadReplicaSet>(&self.namespace).list(&Default::default()).await?;
        let mut named: Vec<(u64, String)> = all
            .items
            .into_iter()
            .map(|it| {
                let annotations = it.metadata.annotations.unwrap_or_default();
                let number = annotations.get("deployment.kubernetes.io/revision").and_then(|it| it.parse().ok());
                (number.unwrap_or_default(), it.metadata.name.unwrap_or_default())
            })
            .collect();
        named.sort();
        Ok(named.into_iter().map(|(_, name)| name).collect())
    }

    /// Starts the load of this scene.
    ///
    /// # Errors
    /// If the address is not known.
    pub fn load(&self) -> Result<Load> {
        Load::start(self.address()?)
    }

    /// Removes the namespace, without waiting for it.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub fn end(self) -> Result<()> {
        self.cluster.kubectl(["delete", "namespace", &self.namespace, "--wait=false"]).map(drop)
    }
}

/// The pods behind the ready endpoints, in order.
fn ready_pods(slices: &Objects<EndpointSlice>) -> Vec<String> {
    let mut pods: Vec<String> = slices
        .values()
        .filter(|it| it.metadata.labels.as_ref().and_then(|it| it.get("kubernetes.io/service-name")).is_some())
        .flat_map(|it| it.endpoints.iter().flatten())
        .filter(|it| it.conditions.as_ref().is_some_and(|it| it.ready == Some(true)))
        .filter_map(|it| it.target_ref.as_ref()?.name.clone())
        .collect();
    pods.sort();
    pods
}

// === load ===

/// Two loads at once: one on connections that are kept, as gateways do, and one that connects anew for each request, so
/// that each goes through kube-proxy's choice again.
pub struct Load {
    kept: Running,
    fresh: Running,
    started: Instant,
    marks: Vec<(Duration, String)>,
}

/// What became of every request.
pub struct Counted {
    /// On kept connections.
    pub kept: Report,
    /// On connections of their own.
    pub fresh: Report,
    started: Instant,
    marks: Vec<(Duration, String)>,
}

/// Requests a second of each of the two.
const RATE: f64 = 50.0;
/// Ended by [`Load::finish`] long before.
const LONGEST: Duration = Duration::from_secs(1_200);

impl Load {
    /// Starts to send to a Service's address, with a Host header that no route knows.
    ///
    /// # Errors
    /// If the load generator refuses it.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let plan = Plan::new(address)
            .authority("whatever.example")
            .path("/hello")?
            .rate(RATE)
            .duration(LONGEST)
            .keep_records()
            .check(well)
            .label_with(component);
        let close = (header::CONNECTION, HeaderValue::from_static("close"));
        let kept = plan.clone().connections(6).start()?;
        let fresh = plan.connections(16).header(close.0, close.1).start()?;
        Ok(Self { kept, fresh, started: Instant::now(), marks: Vec::new() })
    }

    /// Notes what happens now, for the report of a failure.
    pub fn mark(&mut self, what: impl Into<String>) {
        self.marks.push((self.started.elapsed(), what.into()));
    }

    /// Waits until so many more requests have been answered: proof that a state holds under load.
    ///
    /// # Errors
    /// If they are not within two minutes.
    pub async fn answered(&self, more: u64) -> Result<()> {
        let target = self.count() + more;
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while self.count() < target {
            if Instant::now() > deadline {
                bail!("the load got only {} of {target} answers", self.count());
            }
            ticks.tick().await;
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.kept.progress().answered + self.fresh.progress().answered
    }

    /// Answers by component so far.
    #[must_use]
    pub fn by(&self, component: &str) -> u64 {
        [&self.kept, &self.fresh]
            .iter()
            .map(|it| it.progress().labels.get(component).copied().unwrap_or_default())
            .sum()
    }

    /// Waits until the component has given so many more answers.
    ///
    /// # Errors
    /// If it has not within two minutes.
    pub async fn answered_by(&self, component: &str, more: u64) -> Result<()> {
        let target = self.by(component) + more;
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while self.by(component) < target {
            if Instant::now() > deadline {
                bail!("{component} gave only {} of {target} answers", self.by(component));
            }
            ticks.tick().await;
        }
        Ok(())
    }

    /// Ends it, and tells what became of every request.
    ///
    /// # Errors
    /// If the generator failed.
    pub async fn finish(self) -> Result<Counted> {
        let Self { kept, fresh, started, marks } = self;
        kept.stop();
        fresh.stop();
        Ok(Counted { kept: kept.finish().await?, fresh: fresh.finish().await?, started, marks })
    }
}

/// Anything but 200 is a failure, with the start of what was said.
fn well(answer: &Answer<'_>) -> Result<(), String> {
    if answer.head.status == 200 {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(answer.body).chars().take(300).collect();
    Err(format!("{}: {text}", answer.head.status))
}

/// The component that answered: the kitchens sign in a header, the simple ones in the body.
fn component<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    static SIGNATURE: HeaderName = HeaderName::from_static("x-component");
    if let Some(name) = answer.head.headers.get(&SIGNATURE) {
        return name.to_str().ok();
    }
    Some(if answer.body.ends_with(b"(p3)\n") { "hello-p3" } else { "hello-p2" })
}

// === impl Counted ===

impl Counted {
    /// Requests that were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.kept.sent + self.fresh.sent
    }

    /// Requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.kept.failed + self.fresh.failed
    }

    /// One line for a scenario's output.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{} requests, {} failed; kept: p50 {:?}, p99 {:?}, max {:?}; fresh: p50 {:?}, p99 {:?}, max {:?}",
            self.sent(),
            self.failed(),
            self.kept.latency.p(0.5),
            self.kept.latency.p(0.99),
            self.kept.latency.max(),
            self.fresh.latency.p(0.5),
            self.fresh.latency.p(0.99),
            self.fresh.latency.max(),
        )
    }

    /// For tests: any failure is an error that tells when and what, among the moments that were marked.
    ///
    /// # Errors
    /// If a request failed, or none was sent.
    pub fn clean(&self) -> Result<()> {
        if self.failed() == 0 && self.sent() > 0 {
            return Ok(());
        }
        let mut moments = self.marks.clone();
        for (name, report) in [("kept", &self.kept), ("fresh", &self.fresh)] {
            let failures = report.records.iter().filter_map(|it| Some((it, it.failure.as_ref()?)));
            for (record, failure) in failures.take(15) {
                let at = record.start.saturating_duration_since(self.started);
                let took = record.end.saturating_duration_since(record.start);
                moments.push((at, format!("FAILED after {took:?}, {name} connection: {failure}")));
            }
        }
        moments.sort();
        let mut text = self.line();
        for (at, what) in moments {
            let _ = write!(text, "\n  {:>8.3} s  {what}", at.as_secs_f64());
        }
        bail!(text)
    }
}
