//! Waits for a rollout, and says how far it is whenever that changes.

use std::{pin::pin, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use penstock_api::{WorkloadDeployment, conditions, reasons};

use super::cluster::Target;

/// How far a rollout is.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Done(String),
    Failed(String),
    Going(String),
}

pub(crate) async fn run(target: &Target, timeout: Duration) -> anyhow::Result<ExitCode> {
    // It names what is wrong if there is none.
    target.deployment().await?;
    let only = watcher::Config::default().fields(&format!("metadata.name={}", target.name));
    let mut events = pin!(watcher(target.deployments(), only));
    let mut last = String::new();
    let follow = async {
        while let Some(event) = events.next().await {
            let deployment = match event {
                Ok(Event::Apply(it) | Event::InitApply(it)) => it,
                Ok(Event::Delete(_)) => bail!("{} was deleted meanwhile", target.name),
                // An API server that is away comes back: the watcher asks again.
                Ok(Event::Init | Event::InitDone) | Err(_) => continue,
            };
            match step(&deployment) {
                Step::Done(message) => {
                    anstream::println!("workloaddeployment \"{}\" successfully rolled out: {message}", target.name);
                    return Ok(ExitCode::SUCCESS);
                }
                Step::Failed(message) => bail!("{message}"),
                Step::Going(message) if message != last => {
                    anstream::println!("Waiting for workloaddeployment \"{}\": {message}", target.name);
                    last = message;
                }
                Step::Going(_) => {}
            }
        }
        bail!("the watch has ended")
    };
    if timeout.is_zero() {
        return follow.await;
    }
    tokio::time::timeout(timeout, follow).await.with_context(|| format!("not rolled out within {timeout:?}"))?
}

fn step(deployment: &WorkloadDeployment) -> Step {
    let status = deployment.status.as_ref().filter(|it| it.observed_generation >= deployment.metadata.generation);
    let Some(status) = status else {
        return Step::Going("its newest generation has not been looked at yet".to_owned());
    };
    let of = |name: &str| status.conditions.iter().find(|it| it.type_ == name);
    let Some(deploy) = of(conditions::DEPLOY) else { return Step::Going("nothing is known yet".to_owned()) };
    if deploy.reason == reasons::PROGRESS_DEADLINE_EXCEEDED {
        return Step::Failed(deploy.message.clone());
    }
    match of(conditions::PROGRAMMED) {
        Some(programmed) if programmed.status == "True" && deploy.status == "True" => {
            Step::Done(deploy.message.clone())
        }
        Some(programmed) if deploy.status == "True" => Step::Going(programmed.message.clone()),
        _ => Step::Going(deploy.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_done_when_clients_see_it() {
        let with = |generation: u32, deploy: (&str, &str), programmed: &str| {
            let condition = |name: &str, status: &str, reason: &str| {
                json!({"type": name, "status": status, "reason": reason, "message": format!("{name} says"),
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            };
            let deployment = json!({
                "metadata": {"name": "a", "generation": generation},
                "spec": {"template": {"spec": {"components": []}}},
                "status": {"observedGeneration": 2, "conditions": [
                    condition("Deploy", deploy.0, deploy.1), condition("Programmed", programmed, "Any"),
                ]},
            });
            step(&serde_json::from_value(deployment).unwrap())
        };
        assert_eq!(with(2, ("True", "Complete"), "True"), Step::Done("Deploy says".into()));
        assert_eq!(with(2, ("True", "Complete"), "False"), Step::Going("Programmed says".into()));
        assert_eq!(with(2, ("False", "Progressing"), "False"), Step::Going("Deploy says".into()));
        assert_eq!(with(2, ("False", "ProgressDeadlineExceeded"), "False"), Step::Failed("Deploy says".into()));
        assert!(matches!(with(3, ("True", "Complete"), "True"), Step::Going(_)), "that is about the generation before");
    }
}
