//! What somebody who has a host's credentials can do with them: nothing, and only in that pod's name.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use penstock_tests::cluster::{Cluster, HostProcess, SYSTEM};

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
