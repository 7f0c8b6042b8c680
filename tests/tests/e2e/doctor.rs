//! `penstock doctor` on a real cluster: three HPAs that cannot work are named, and one that works is not.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use penstock_tests::{
    cluster::{Cluster, Scene, Template},
    dev::binary,
};
use serde_json::Value;

/// Of HPAs for the scene's workload: their name and metrics.
fn autoscaler(name: &str, metrics: &str) -> String {
    format!(
        "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: runtime.wasmcloud.dev/v1alpha1, kind: WorkloadDeployment, name: app}}
  minReplicas: 1
  maxReplicas: 5
  metrics:
  - {metrics}
"
    )
}

fn external(selector: &str, target: &str) -> String {
    format!("{{type: External, external: {{metric: {{name: queued{selector}}}, target: {{{target}}}}}}}")
}

/// Its exit code, and what it has found.
fn doctor(namespace: &str) -> Result<(Option<i32>, Value)> {
    let output = Command::new(binary()?).args(["doctor", "-n", namespace, "-o", "json"]).output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code(), serde_json::from_slice(&output.stdout).context(error)?))
}

/// Whether an error with this reason is about this HPA of the namespace.
fn names(found: &Value, namespace: &str, hpa: &str, reason: &str, path: &str) -> bool {
    let object = format!("HorizontalPodAutoscaler {namespace}/{hpa}");
    let is = |it: &Value| {
        it["object"] == object.as_str() && it["reason"] == reason && it["path"] == path && it["level"] == "error"
    };
    found["findings"].as_array().is_some_and(|all| all.iter().any(is))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_doctor_names_hpas_that_cannot_work() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let scene = Scene::start(&cluster, "doctor", Template::kitchen(1)).await?;
    let namespace = scene.namespace().to_owned();
    let ours = ", selector: {matchLabels: {workload: app}}";
    let average = "type: AverageValue, averageValue: \"10\"";

    cluster.apply(&namespace, &autoscaler("well", &external(ours, average)))?;
    scene.until("a status", |it| it.status.as_ref().is_some_and(|it| it.selector.is_some())).await?;
    let (_, found) = doctor(&namespace)?;
    // An HPA that has not had its first turn says nothing of itself; one that had says that it is active.
    ensure!(found["workloads"] == 1 && found["autoscalers"] == 1, "{found:#}");
    ensure!(found["errors"] == 0, "a sound HPA: {found:#}");
    cluster.kubectl(["delete", "hpa", "well", "-n", &namespace])?;

    let broken = [
        (
            "of-value",
            external(ours, "type: Value, value: \"10\""),
            "TargetCountsPods",
            "spec.metrics[0].external.target.type",
        ),
        (
            "of-pods",
            "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}".to_owned(),
            "MetricOfPods",
            "spec.metrics[0].type",
        ),
        ("of-nobody", external("", average), "NoWorkloadNamed", "spec.metrics[0].external.metric.selector"),
    ];
    let manifests: String = broken.iter().map(|(name, metrics, ..)| autoscaler(name, metrics)).collect();
    cluster.apply(&namespace, &manifests)?;
    let (code, found) = doctor(&namespace)?;
    ensure!(code == Some(1), "exit code {code:?}: {found:#}");
    for (name, _, reason, path) in &broken {
        ensure!(names(&found, &namespace, name, reason, path), "{name}: no {reason} at {path} in {found:#}");
        let rivals = names(&found, &namespace, name, "SeveralAutoscalers", "spec.scaleTargetRef");
        ensure!(rivals, "{name}: its rivals are not named in {found:#}");
    }
    println!("{} findings for three broken HPAs", found["findings"].as_array().map_or(0, Vec::len));
    // They undo each other's work, and must not go on with it in the clean-up.
    cluster.kubectl(["delete", "hpa", "--all", "-n", &namespace])?;
    scene.end()
}
