//! Back to an older revision's template.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use penstock_api::WorkloadDeployment;
use serde_json::json;

use super::cluster::{Revision, Target};

pub(crate) async fn run(target: &Target, wanted: Option<u64>) -> anyhow::Result<ExitCode> {
    let deployment = target.deployment().await?;
    let name = &target.name;
    ensure!(
        deployment.spec.paused != Some(true),
        "{name} is paused, so that nothing would roll: set `spec.paused` to false first"
    );
    let revisions = target.revisions(&deployment).await?;
    let revision = choose(&deployment, &revisions, wanted)?;
    let template = &revision.set.spec.template;
    let number = revision.number;
    if *template == deployment.spec.template {
        anstream::println!(
            "workloaddeployment.runtime.wasmcloud.dev/{name} skipped rollback: its template is that of revision {number} \
             already; if a ConfigMap or Secret was changed, put that back"
        );
        return Ok(ExitCode::SUCCESS);
    }
    // Somebody else's edit in between is not overwritten.
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": deployment.resource_version()},
        {"op": "replace", "path": "/spec/template", "value": template},
    ]))?;
    let params = PatchParams { field_manager: Some("penstock-rollout".to_owned()), ..PatchParams::default() };
    target
        .deployments()
        .patch(name, &params, &Patch::<WorkloadDeployment>::Json(patch))
        .await
        .with_context(|| format!("{name} was not changed: look at it again, and repeat the command"))?;
    anstream::println!("workloaddeployment.runtime.wasmcloud.dev/{name} rolled back to revision {number}");
    Ok(ExitCode::SUCCESS)
}

/// The revision of that number, or the newest before the one that is wanted now.
fn choose<'a>(
    deployment: &WorkloadDeployment,
    revisions: &'a [Revision],
    wanted: Option<u64>,
) -> anyhow::Result<&'a Revision> {
    let name = deployment.name_any();
    let known = || revisions.iter().map(|it| it.number.to_string()).collect::<Vec<_>>().join(", ");
    // 0 is the one before, as for kubectl.
    if let Some(wanted) = wanted.filter(|it| *it > 0) {
        let found = revisions.iter().find(|it| it.number == wanted);
        return found.with_context(|| format!("{name} has no revision {wanted}; it has {}", known()));
    }
    match revisions {
        [] | [_] => bail!("{name} has no revision before this one"),
        [.., before, _] => Ok(before),
    }
}

#[cfg(test)]
mod tests {
    use penstock_api::WorkloadReplicaSet;

    use super::*;

    #[test]
    fn the_one_before_unless_another_is_named() {
        let deployment = WorkloadDeployment::new("a", Default::default());
        let all = |numbers: &[u64]| -> Vec<Revision> {
            let set =
                |number: &u64| Revision { number: *number, set: WorkloadReplicaSet::new("s", Default::default()) };
            numbers.iter().map(set).collect()
        };
        let number = |numbers: &[u64], wanted| {
            choose(&deployment, &all(numbers), wanted).map(|it| it.number).map_err(|it| it.to_string())
        };
        assert_eq!(number(&[2, 5, 7], None), Ok(5));
        assert_eq!(number(&[2, 5, 7], Some(0)), Ok(5));
        assert_eq!(number(&[2, 5, 7], Some(2)), Ok(2));
        assert_eq!(number(&[2, 5], Some(4)), Err("a has no revision 4; it has 2, 5".to_owned()));
        assert_eq!(number(&[2], None), Err("a has no revision before this one".to_owned()));
    }
}
