//! How long it takes from `/scale` to instances that serve.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use penstock_tests::{
    cluster::{Cluster, Scene, Template},
    load::Latency,
    table::Table,
};

const CHANGES: u32 = 100;

/// From the request to `/scale` to the moment at which every host has said that its share is ready and the Service's
/// endpoints are those of the hosts with shares. The component is cached on every host; one replica more or less each
/// time, now and then from one host to two and back, so that endpoints change as well.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn from_scale_to_ready() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "latency", Template::kitchen(8)).await?;
    let mut ready = Latency::default();
    for change in 0..CHANGES {
        let replicas = if change % 2 == 0 { 16 } else { 8 };
        let start = Instant::now();
        scene.scale_now(replicas).await?;
        scene
            .until("replicas that serve", |it| {
                let counts = it.status.as_ref().and_then(|it| it.replicas);
                counts.is_some_and(|it| it.ready == replicas && it.current == replicas)
            })
            .await?;
        ready.record(start.elapsed());
    }
    // From none to all hosts: endpoints come and go too.
    let mut endpoints = Latency::default();
    let pods = super::hosts(&cluster).await;
    for _ in 0..CHANGES / 5 {
        scene.scale_now(1).await?;
        scene.settled().await?;
        let start = Instant::now();
        scene.scale_now(4).await?;
        scene.until_endpoints(&pods).await?;
        endpoints.record(start.elapsed());
    }
    let mut table = Table::new(["from `/scale` to", "changes", "p50", "p99", "max"]);
    for (what, latency) in [("ready replicas in the status", &ready), ("endpoints on all hosts", &endpoints)] {
        table.row([
            what.to_owned(),
            latency.count().to_string(),
            format!("{:.0?}", latency.p(0.5)),
            format!("{:.0?}", latency.p(0.99)),
            format!("{:.0?}", latency.max()),
        ]);
    }
    println!("{table}");
    // The goal is 300 ms on a machine of its own; here the cluster, the hosts and this test share two cores.
    ensure!(ready.p(0.99) < Duration::from_secs(3), "p99 is {:?}", ready.p(0.99));
    scene.end()
}
