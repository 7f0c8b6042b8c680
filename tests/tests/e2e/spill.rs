//! Calls that a host has no place for, by way of kube-proxy, which knows nothing of places.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use penstock_tests::{
    cluster::{Cluster, PATIENCE, Scene, Template},
    http::get,
};
use tokio::task::JoinSet;

const ROUNDS: u32 = 8;
const CALL: Duration = Duration::from_secs(2);

/// One place on each host, and as many calls at once as there are places: kube-proxy gives some hosts two and others none, and
/// all calls run at once all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn as_many_calls_as_places_never_wait() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let pods = cluster.host_pods().await?;
    let count = u32::try_from(pods.len())?;
    ensure!(count > 1, "one host has no peers");
    let template = Template::kitchen(count).inner("capacity: {concurrency: 1, whenFull: Spill}");
    let mut scene = Scene::start(&cluster, "spill", template).await?;
    for pod in &pods {
        knows(pod, u64::from(count) - 1).await?;
    }
    let address = scene.find_address().await?;
    let mut slowest = Duration::ZERO;
    for round in 0..ROUNDS {
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..count {
            calls.spawn(get(address, "app", "/sleep?ms=2000"));
        }
        while let Some(call) = calls.join_next().await {
            let status = call??.status();
            ensure!(status == 200, "round {round}: {status}");
        }
        slowest = slowest.max(began.elapsed());
    }
    // Two of them one after the other take twice as long.
    ensure!(slowest < CALL * 2, "the slowest round took {slowest:?}");
    let mut moved = 0;
    for pod in &pods {
        moved += number(pod, "spilled_out_total").await?;
    }
    println!(
        "{ROUNDS} rounds of {count} calls of {CALL:?} on {count} places: the slowest {slowest:.2?}, {moved} calls moved"
    );
    ensure!(moved > 0, "nothing was passed on");
    scene.end()
}

/// Waits until a host can pass calls on to so many others.
async fn knows(pod: &Pod, others: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let known = number(pod, "spill_peers").await;
        match known {
            Ok(known) if known == others => return Ok(()),
            known if Instant::now() > deadline => bail!("{known:?} peers in place of {others}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A number of the workload's share on a host.
async fn number(pod: &Pod, name: &str) -> Result<u64> {
    let address = pod.status.as_ref().and_then(|it| it.pod_ip.as_deref()).context("a pod without an address")?;
    let page = get(SocketAddr::new(address.parse()?, 8081), "admin", "/metrics").await?;
    let page = String::from_utf8(page.into_body().to_vec())?;
    let start = format!("penstock_workload_{name}{{workload=\"e2e-spill/app\"");
    let line = page.lines().find(|it| it.starts_with(&start)).with_context(|| format!("{start} is not in\n{page}"))?;
    Ok(line.rsplit(' ').next().context("a line without a number")?.parse()?)
}
