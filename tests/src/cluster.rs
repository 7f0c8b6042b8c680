//! A real Kubernetes cluster with Penstock on it, for scenarios and the demonstration.
//!
//! `tests/e2e.sh` starts the cluster, installs `deploy/` and runs the scenarios inside the cluster's network, so that a
//! load goes the way of every client: to a ClusterIP, and by kube-proxy's rules to a host's pod. Nothing here waits by
//! the clock: conditions are awaited by watch.

mod dns;
mod fault;
mod registry;
mod scene;
mod wait;

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, ListParams},
};
use serde::de::DeserializeOwned;

pub use self::{
    dns::resolve,
    fault::HostProcess,
    scene::{Counted, Load, Scene, Template},
    wait::condition,
};

/// Where Penstock is.
pub const SYSTEM: &str = "penstock-system";

/// Long enough for a busy machine with two cores; nothing here takes a tenth of it otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster that is up. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    root: &'static Path,
}

impl Cluster {
    /// The cluster of `KUBECONFIG`, with the components of `tests/guests` and the quickstart in its registry.
    ///
    /// # Errors
    /// If there is none; the text says how to start one.
    pub async fn connect() -> Result<Self> {
        let cluster = Self::bare().await?;
        registry::fill(&cluster).await.context("the cluster's registry")?;
        Ok(cluster)
    }

    /// The same without a registry: for a control plane without nodes.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn bare() -> Result<Self> {
        let advice = "no cluster: run scenarios by `tests/e2e.sh`, which starts one and runs them in its network";
        if std::env::var_os("KUBECONFIG").is_none() {
            bail!("{advice}");
        }
        let client = Client::try_default().await.context(advice)?;
        client.apiserver_version().await.context(advice)?;
        Ok(Self { client, root: root() })
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Objects of one kind in a namespace.
    #[must_use]
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// `kubectl` with these arguments; its output.
    ///
    /// # Errors
    /// If it fails; the text holds what it wrote.
    pub fn kubectl<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        self.kubectl_with("", arguments)
    }

    /// The same with a text on standard input.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn kubectl_with<S: AsRef<str>>(&self, input: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        use std::io::Write;
        let arguments: Vec<String> = arguments.into_iter().map(|it| it.as_ref().to_owned()).collect();
        let mut child = Command::new("kubectl")
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl is not on the PATH: run scenarios by `tests/e2e.sh`")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}{text}", arguments.join(" "), error);
        }
        Ok(text)
    }

    /// Applies manifests, as a user does.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn apply(&self, namespace: &str, manifests: &str) -> Result<String> {
        self.kubectl_with(manifests, ["apply", "-n", namespace, "-f", "-"])
    }

    /// The cluster script (`hold`, `release`, `load`...), outside of the cluster's network.
    ///
    /// # Errors
    /// If it fails; the text holds what it wrote.
    pub fn script(&self, arguments: &[&str]) -> Result<()> {
        let script = self.root.join("tests/cluster/cluster");
        let output = Command::new(&script).args(arguments).output().with_context(|| script.display().to_string())?;
        if !output.status.success() {
            bail!("cluster {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Penstock's host pods that are not about to end.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn host_pods(&self) -> Result<Vec<Pod>> {
        let pods = self.api::<Pod>(SYSTEM).list(&ListParams::default().labels("wasmcloud.com/name=hostgroup")).await?;
        Ok(pods.items.into_iter().filter(|it| it.metadata.deletion_timestamp.is_none()).collect())
    }

    /// Waits until `pick` makes something of all objects of a kind in a namespace, by name.
    ///
    /// # Errors
    /// If the time is over; the text shows the objects as they are then.
    pub async fn until<K, T>(
        &self,
        api: Api<K>,
        what: &str,
        within: Duration,
        pick: impl FnMut(&wait::Objects<K>) -> Option<T>,
    ) -> Result<T>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        wait::until(api, what, within, pick).await
    }

    /// One object of any kind as JSON, by kubectl: `get("workloaddeployment", "ns", "name")`.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<DynamicObject> {
        let text = self.kubectl(["get", kind, name, "-n", namespace, "-o", "json"])?;
        Ok(serde_json::from_str(&text)?)
    }

    /// What manifests write as `image` for a component of the tests or of the quickstart, by the name of its file.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn image(&self, component: &str) -> Result<String> {
        registry::image(self.root, component)
    }

    /// The repository's folder.
    #[must_use]
    pub fn root(&self) -> &'static Path {
        self.root
    }
}

fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        root.canonicalize().unwrap_or(root)
    })
}
