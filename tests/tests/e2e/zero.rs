//! A workload at zero: its Service stays reachable, the first calls are answered, and it goes back to zero.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use penstock_tests::{
    cluster::{Cluster, Scene, Template},
    http::get,
};
use tokio::task::JoinSet;

/// First calls at once.
const CALLS: usize = 100;
/// What the slowest but one of them may take: the component is on the host.
const P99: Duration = Duration::from_millis(250);

/// Answers how long the slowest but one took.
async fn first_calls(scene: &Scene) -> Result<Duration> {
    let address = scene.address()?;
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(async move {
            let began = Instant::now();
            let status = get(address, "app", "/sleep?ms=1").await?.status();
            Ok::<_, anyhow::Error>((status, began.elapsed()))
        });
    }
    let mut took = Vec::new();
    while let Some(call) = calls.join_next().await {
        let (status, elapsed) = call??;
        ensure!(status == 200, "a first call was answered with {status}");
        took.push(elapsed);
    }
    took.sort_unstable();
    let (p50, p99) = (took[CALLS / 2], took[CALLS * 99 / 100 - 1]);
    println!("{CALLS} first calls at once: p50 {p50:.1?}, p99 {p99:.1?}, the slowest {:.1?}", took[CALLS - 1]);
    Ok(p99)
}

/// Nobody scales it: the first calls are answered at zero, as often as they come.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn at_zero_the_first_calls_are_answered() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let template =
        Template::kitchen(1).extra("scaleToZero: true").inner("capacity: {concurrency: 10, queueDepth: 200}");
    let mut scene = Scene::start(&cluster, "zero", template).await?;
    scene.find_address().await?;
    scene.scale(0)?;
    scene.until("0 replicas", |it| it.status.as_ref().is_some_and(|it| it.current_replicas == Some(0))).await?;
    scene.settled().await?;
    let mut p99 = Vec::new();
    for _ in 0..3 {
        p99.push(first_calls(&scene).await?);
    }
    p99.sort_unstable();
    // Cluster, hosts and callers share the same few processors: one round in three may meet something else.
    ensure!(p99[1] < P99, "{p99:?}");
    let status = scene.deployment().await?.status.unwrap_or_default();
    ensure!(status.current_replicas == Some(0), "nobody was to scale it: {status:?}");
    scene.end()
}

/// The operator scales it: up with the first calls, and to zero again when nobody calls.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn autoscaling_goes_to_zero_and_back() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let lines = "scaleToZero: true\nautoscaling: {minReplicas: 0, maxReplicas: 5, behavior: {scaleDown: {stabilizationWindowSeconds: 5}}}";
    let template = Template::kitchen(1).extra(lines).inner("capacity: {concurrency: 10, queueDepth: 200}");
    let mut scene = Scene::start(&cluster, "to-zero", template).await?;
    scene.find_address().await?;
    let at = |wanted: fn(u32) -> bool| {
        move |it: &penstock_api::WorkloadDeployment| {
            it.spec.replicas.is_some_and(wanted)
                && it.status.as_ref().is_some_and(|status| status.current_replicas == it.spec.replicas)
        }
    };
    scene.until("0 replicas, since nobody calls", at(|it| it == 0)).await?;
    first_calls(&scene).await?;
    scene.until("a replica, since somebody called", at(|it| it > 0)).await?;
    scene.until("0 replicas again", at(|it| it == 0)).await?;
    scene.end()
}
