//! A deployment in a cluster, and its revisions.

use anyhow::{Context as _, bail};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use penstock_api::{WorkloadDeployment, WorkloadReplicaSet};

use crate::{args::RolloutArgs, cluster};

/// The annotation with a revision's number, as on ReplicaSets of apps/v1.
const NUMBER: &str = "deployment.kubernetes.io/revision";

/// A deployment that was named on the command line.
pub(crate) struct Target {
    pub(crate) name: String,
    namespace: String,
    client: Client,
}

/// One of its revisions.
pub(crate) struct Revision {
    pub(crate) number: u64,
    pub(crate) set: WorkloadReplicaSet,
}

impl Target {
    pub(crate) async fn of(args: &RolloutArgs, deployment: &str) -> anyhow::Result<Self> {
        let name = name(deployment)?.to_owned();
        let (client, of_context) = cluster::connect(None, args.context.as_deref()).await?;
        let namespace = args.namespace.clone().unwrap_or(of_context);
        Ok(Self { name, namespace, client })
    }

    pub(crate) fn deployments(&self) -> Api<WorkloadDeployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn deployment(&self) -> anyhow::Result<WorkloadDeployment> {
        let found = self.deployments().get_opt(&self.name).await.context("the cluster does not answer as it should")?;
        found.with_context(|| {
            format!("there is no WorkloadDeployment {}/{}: choose another by -n and name", self.namespace, self.name)
        })
    }

    /// Its revisions, the oldest first.
    pub(crate) async fn revisions(&self, deployment: &WorkloadDeployment) -> anyhow::Result<Vec<Revision>> {
        let api: Api<WorkloadReplicaSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let uid = deployment.uid();
        let sets = api.list(&ListParams::default()).await.context("revisions cannot be listed")?;
        let own = |it: &WorkloadReplicaSet| it.owner_references().iter().any(|it| Some(&it.uid) == uid.as_ref());
        let mut revisions: Vec<Revision> = sets
            .items
            .into_iter()
            .filter(own)
            .filter_map(|set| Some(Revision { number: set.annotations().get(NUMBER)?.parse().ok()?, set }))
            .collect();
        revisions.sort_by_key(|it| it.number);
        Ok(revisions)
    }
}

/// The name in `NAME`, `wd/NAME` or the resource's longer names.
fn name(text: &str) -> anyhow::Result<&str> {
    let Some((kind, name)) = text.split_once('/') else { return Ok(text) };
    let known = ["wd", "workloaddeployment", "workloaddeployments", "workloaddeployments.runtime.wasmcloud.dev"];
    if !known.contains(&kind.to_lowercase().as_str()) {
        bail!(
            "'{kind}' is none of Penstock's resources with revisions: write wd/{name}; for others use kubectl rollout"
        );
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_as_for_kubectl() {
        for text in ["hello", "wd/hello", "workloaddeployment/hello", "WorkloadDeployments.runtime.wasmcloud.dev/hello"]
        {
            assert_eq!(name(text).unwrap(), "hello", "{text}");
        }
        assert!(name("deployment/hello").unwrap_err().to_string().contains("write wd/hello"));
    }
}
