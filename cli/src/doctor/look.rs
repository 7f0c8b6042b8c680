//! Asks the cluster: plain requests, so that a field that another version has, or has not, changes nothing.
//!
//! What may not be read is taken down as unseen, and what depends on it is not checked; only WorkloadDeployments and
//! HorizontalPodAutoscalers have to be readable.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail, ensure};
use http::{Request, header};
use kube::Client;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    checks::{self, SERVICE},
    seen::{Autoscaler, Known, Pod, Seen, Selected, Unseen},
    selector,
};
use crate::{args::DoctorArgs, cluster};

/// After so long the cluster is one that does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Objects in one answer.
const PAGE: usize = 500;
const EXTERNAL_METRICS: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";
/// Of pods, labels are all that matters.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const JSON: &str = "application/json";

/// What the checks need.
///
/// # Errors
///
/// When the cluster does not answer, has no Penstock, or does not let itself be looked at.
pub(super) fn look(args: &DoctorArgs) -> anyhow::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, of_context) = cluster::connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        let namespace = args.namespace.as_ref().unwrap_or(&of_context);
        let scope = if args.all_namespaces { String::new() } else { format!("namespaces/{}/", label(namespace)?) };
        let looking = Look { client, seen: Seen::default() }.at(&scope);
        tokio::time::timeout(PATIENCE, looking).await.with_context(|| format!("no answer within {PATIENCE:?}"))?
    })
}

/// A namespace, which becomes a part of a path.
fn label(name: &str) -> anyhow::Result<&str> {
    let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    ensure!(!name.is_empty() && name.chars().all(plain), "'{name}' is no namespace: write its name alone");
    Ok(name)
}

struct Look {
    client: Client,
    seen: Seen,
}

/// Why there is no answer, as far as one can go on.
enum Refusal {
    Missing,
    Forbidden(String),
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageMeta {
    r#continue: Option<String>,
}

/// `/scale` of anything.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Scale {
    status: ScaleStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScaleStatus {
    selector: Option<String>,
}

impl Look {
    async fn at(mut self, scope: &str) -> anyhow::Result<Seen> {
        self.seen.version = self.get::<Value>("/version").await?.ok().as_ref().and_then(version);
        let group = format!("/apis/{}/{}", penstock_api::GROUP, penstock_api::VERSION);
        self.seen.workloads = match self.list(&format!("{group}/{scope}workloaddeployments"), JSON).await? {
            Ok(all) => all,
            Err(Refusal::Missing) => bail!("this cluster has no WorkloadDeployments: apply deploy/crds first"),
            Err(Refusal::Forbidden(why)) => bail!("WorkloadDeployments cannot be listed: {why}"),
        };
        let autoscalers = format!("/apis/autoscaling/v2/{scope}horizontalpodautoscalers");
        self.seen.autoscalers = match self.list(&autoscalers, JSON).await? {
            Ok(all) => all,
            Err(Refusal::Missing) => bail!("this cluster has no autoscaling/v2"),
            Err(Refusal::Forbidden(why)) => bail!("HorizontalPodAutoscalers cannot be listed: {why}"),
        };
        let scaled = self.list(&format!("/apis/keda.sh/v1alpha1/{scope}scaledobjects"), JSON).await?;
        self.seen.scaled_objects = self.known("ScaledObjects", scaled).into_option().unwrap_or_default();
        self.pods().await?;
        let served = self.get(EXTERNAL_METRICS).await?;
        self.seen.external_metrics = self.known("APIService v1beta1.external.metrics.k8s.io", served);
        self.door().await?;
        Ok(self.seen)
    }

    /// Pods beside workloads that HPAs scale; if a selector matches some of them, other HPAs' selectors too.
    async fn pods(&mut self) -> anyhow::Result<()> {
        let ours = |it: &&Autoscaler| it.spec.scale_target_ref.is_workload();
        let namespaces: BTreeSet<String> =
            self.seen.autoscalers.iter().filter(ours).map(|it| it.metadata.namespace.clone()).collect();
        for namespace in namespaces {
            let pods = self.list::<Pod>(&format!("/api/v1/namespaces/{namespace}/pods"), METADATA).await?;
            let pods = self.known(&format!("pods in {namespace}"), pods).into_option().unwrap_or_default();
            let met = self.seen.workloads.iter().filter(|it| it.metadata.namespace == namespace).any(|it| {
                let selector = it.status.selector.as_deref().unwrap_or_default();
                pods.iter().any(|pod| selector::matches(selector, &pod.metadata.labels))
            });
            self.seen.pods.extend(pods);
            if met {
                self.selectors(&namespace).await?;
            }
        }
        Ok(())
    }

    /// By `/scale`, of what HPAs scale for the most part.
    async fn selectors(&mut self, namespace: &str) -> anyhow::Result<()> {
        let others = self.seen.autoscalers.iter().filter(|it| it.metadata.namespace == namespace);
        let paths: Vec<(String, String)> = others
            .filter_map(|it| {
                let target = &it.spec.scale_target_ref;
                let plural = match target.kind.as_str() {
                    "Deployment" => "deployments",
                    "StatefulSet" => "statefulsets",
                    "ReplicaSet" => "replicasets",
                    _ => return None,
                };
                let path = format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{}/scale", target.name);
                target.api_version.starts_with("apps/").then(|| (it.metadata.name.clone(), path))
            })
            .collect();
        for (autoscaler, path) in paths {
            let scale = self.get::<Scale>(&path).await?;
            let scale = self.known(&format!("what HPA {namespace}/{autoscaler} scales"), scale).into_option();
            if let Some(selector) = scale.and_then(|it| it.status.selector) {
                self.seen.selectors.push(Selected { namespace: namespace.to_owned(), autoscaler, selector });
            }
        }
        Ok(())
    }

    /// The Service where the operator is asked.
    async fn door(&mut self) -> anyhow::Result<()> {
        let Ok(namespace) = label(checks::system(&self.seen)).map(str::to_owned) else { return Ok(()) };
        let what = format!("Service {namespace}/{SERVICE}");
        let service = self.get::<Value>(&format!("/api/v1/namespaces/{namespace}/services/{SERVICE}")).await?;
        let slices = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{SERVICE}"
        );
        self.seen.door = match self.known(&what, service) {
            Known::Unknown => Known::Unknown,
            Known::Missing => Known::Missing,
            Known::There(_) => {
                let slices = self.list(&slices, JSON).await?;
                self.known(&format!("EndpointSlices of {what}"), slices)
            }
        };
        Ok(())
    }

    /// Takes down what may not be read.
    fn known<T>(&mut self, what: &str, answer: Result<T, Refusal>) -> Known<T> {
        match answer {
            Ok(it) => Known::There(it),
            Err(Refusal::Missing) => Known::Missing,
            Err(Refusal::Forbidden(why)) => {
                self.seen.unseen.push(Unseen { what: what.to_owned(), why });
                Known::Unknown
            }
        }
    }

    /// All pages.
    async fn list<T: DeserializeOwned>(&self, path: &str, accept: &str) -> anyhow::Result<Result<Vec<T>, Refusal>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let page = format!("{path}{separator}limit={PAGE}{next}");
            let page: Page<T> = match self.ask(&page, accept).await? {
                Ok(page) => page,
                Err(refusal) => return Ok(Err(refusal)),
            };
            all.extend(page.items.unwrap_or_default());
            match page.metadata.r#continue.filter(|it| !it.is_empty()) {
                None => return Ok(Ok(all)),
                Some(token) => {
                    let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
                    next = format!("&continue={token}");
                }
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Result<T, Refusal>> {
        self.ask(path, JSON).await
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, accept: &str) -> anyhow::Result<Result<T, Refusal>> {
        let request = Request::get(path).header(header::ACCEPT, accept).body(Vec::new())?;
        match self.client.request(request).await {
            Ok(it) => Ok(Ok(it)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Err(Refusal::Missing)),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Err(Refusal::Forbidden(status.message.clone()))),
            Err(error) => Err(error).context("the cluster does not answer as it should"),
        }
    }
}

impl<T> Known<T> {
    fn into_option(self) -> Option<T> {
        match self {
            Self::There(it) => Some(it),
            Self::Missing | Self::Unknown => None,
        }
    }
}

/// `{"major": "1", "minor": "37+"}`.
fn version(value: &Value) -> Option<(u32, u32)> {
    let number = |key: &str| {
        let text = value.get(key)?.as_str()?;
        let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    Some((number("major")?, number("minor")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_of_clouds_have_more_to_them() {
        assert_eq!(version(&json!({"major": "1", "minor": "37"})), Some((1, 37)));
        assert_eq!(version(&json!({"major": "1", "minor": "36+", "gitVersion": "v1.36.2-eks"})), Some((1, 36)));
        assert_eq!(version(&json!({"major": "", "minor": ""})), None);
        assert_eq!(version(&json!({})), None);
    }

    #[test]
    fn a_namespace_is_no_path() {
        assert_eq!(label("shop-1").unwrap(), "shop-1");
        for name in ["", "a/b", "a?b", "Shop", ".."] {
            assert!(label(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_empty_page_is_one() {
        let page: Page<Pod> = serde_json::from_value(json!({"metadata": {"continue": ""}, "items": null})).unwrap();
        assert!(page.items.is_none());
        let page: Page<Pod> = serde_json::from_value(json!({"items": [{"metadata": {"name": "a"}}]})).unwrap();
        assert_eq!(page.items.unwrap().len(), 1);
    }
}
