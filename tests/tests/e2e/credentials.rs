//! What somebody who has a host's credentials can do with them: nothing, and only in that pod's name.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::ResourceExt as _;
use penstock_tests::{
    cluster::{Cluster, HostProcess, PATIENCE, SYSTEM},
    sim_host::Operator,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_hosts_token_is_worth_nothing_to_the_api_server() -> Result<()> {
    let cluster = Cluster::bare().await?;
    let pod = cluster.host_pods().await?.into_iter().next().context("no host")?;
    let process = HostProcess::of(&pod)?;
    ensure!(
        !process.path("/var/run/secrets/kubernetes.io").exists(),
        "{} has a token for the API server",
        pod.name_any()
    );
    let token = fs::read_to_string(process.path("/var/run/penstock/token/token"))?;
    let mut refused = 0;
    for verb in [
        vec!["get", "pods", "-A"],
        vec!["get", "secrets", "-n", SYSTEM],
        vec!["get", "wd", "-A"],
        vec!["get", "configmap", "penstock-ca", "-n", SYSTEM],
        vec!["create", "configmap", "mine", "-n", SYSTEM],
        vec!["delete", "pod", "-n", SYSTEM, "--all"],
        vec!["auth", "whoami"],
    ] {
        // Only the token: the kubeconfig's own certificate must not help it.
        let mut arguments = vec!["--kubeconfig=/dev/null", "--server=https://10.89.0.1:6443"];
        let token = format!("--token={}", token.trim());
        arguments.extend(["--insecure-skip-tls-verify", token.as_str()]);
        arguments.extend(verb.iter().copied());
        match cluster.kubectl(&arguments) {
            Ok(text) => anyhow::bail!("{verb:?} was allowed: {text}"),
            Err(error) => {
                let text = error.to_string();
                ensure!(text.contains("Unauthorized") || text.contains("must be logged in"), "{verb:?}: {text}");
                refused += 1;
            }
        }
    }
    println!("{refused} requests with a host's token refused by the API server");
    // And if it had been made for the API server, the account may do nothing.
    for verb in ["get", "list", "create", "delete", "patch", "watch"] {
        for resource in ["pods", "secrets", "workloads.runtime.wasmcloud.dev", "endpointslices.discovery.k8s.io"] {
            let account = format!("--as=system:serviceaccount:{SYSTEM}:penstock-host");
            let said = cluster.kubectl(["auth", "can-i", verb, resource, "-n", SYSTEM, &account]);
            ensure!(said.is_err(), "penstock-host may {verb} {resource}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_hosts_token_speaks_for_its_own_pod_only() -> Result<()> {
    let cluster = Cluster::bare().await?;
    let pods = cluster.host_pods().await?;
    let [own, other, ..] = pods.as_slice() else { anyhow::bail!("this needs two hosts") };
    let folder = tempfile::tempdir()?;
    let (ca, token) = (folder.path().join("ca.crt"), folder.path().join("token"));
    let bundle = cluster.api::<ConfigMap>(SYSTEM).get("penstock-ca").await?.data.unwrap_or_default();
    fs::write(&ca, bundle.get("ca.crt").context("no ca.crt")?)?;
    let service = cluster.api::<Service>(SYSTEM).get("penstock-operator").await?;
    let ip = service.spec.and_then(|it| it.cluster_ip).context("no ClusterIP")?;
    let name = format!("penstock-operator.{SYSTEM}.svc");
    let operator = Operator { url: format!("https://{ip}:9443"), name, ca };
    let stolen = fs::read_to_string(HostProcess::of(own)?.path("/var/run/penstock/token/token"))?;
    let create = |arguments: &[&str]| cluster.kubectl([&["create", "token", "-n", SYSTEM], arguments].concat());
    // A pod's token for another pod; one of the hosts' account that is bound to no pod; one of another account; one that
    // was made for the API server; none.
    for (what, text, why) in [
        ("another pod's", stolen, "cannot speak for"),
        ("no pod's", create(&["penstock-host", "--audience=penstock-operator"])?, "not bound to a pod"),
        ("another account's", create(&["penstock-operator", "--audience=penstock-operator"])?, "and hosts are"),
        ("for the API server", create(&["penstock-host"])?, "audience"),
        ("none", "nonsense".to_owned(), "token"),
    ] {
        fs::write(&token, text.trim())?;
        let host = operator.connect(&other.name_any(), &token, None)?;
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        // Whoever does not lead sends it on or away; the leader says why not.
        let refused = loop {
            ticks.tick().await;
            ensure!(!host.connected(), "with a token that is {what} somebody speaks for {}", other.name_any());
            let trouble = host.trouble().unwrap_or_default();
            if trouble.contains("Unauthenticated") || trouble.contains("PermissionDenied") {
                break trouble;
            }
            ensure!(Instant::now() < deadline, "{what}: {trouble}");
        };
        println!("token {what}: {refused}");
        ensure!(refused.contains(why), "{what}: {refused}");
    }
    Ok(())
}
