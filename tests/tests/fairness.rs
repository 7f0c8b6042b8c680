//! A workload that gets fifty times the calls that the machine can answer, beside one that goes on as before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use penstock_tests::{
    dev::{Dev, Options},
    http::get,
    load::{Plan, Report, Running},
    manifest::Workload,
};

/// Calls a second of the quiet workload, each of about [`WORK`].
const RATE: f64 = 30.0;
const BURST: f64 = 50.0;
const WORK: Duration = Duration::from_millis(6);
const SPAN: Duration = Duration::from_secs(8);
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_on_one_workload_leaves_the_other_its_share() -> Result<()> {
    let kitchen = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/components/kitchen-p2.wasm");
    let workload = |name: &str| Workload::file(name, &kitchen).host(&format!("{name}.test"));
    let dev = Options::default()
        .quiet()
        .file("burst.yaml", &workload("burst"))
        .file("quiet.yaml", &workload("quiet"))
        .start()
        .await?;
    let path = format!("/work?rounds={}", rounds(&dev).await);
    // A noisy machine may spoil a round, for the worse only: one good round shows that the host is fair.
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let alone = calls(&dev, "quiet", &path, RATE)?.finish().await?;
        let burst = calls(&dev, "burst", &path, RATE * BURST)?;
        // It has filled its line before the other is measured.
        dev.until("/v1/status", |status| shed(status, "default/burst") > 0).await?;
        let beside = calls(&dev, "quiet", &path, RATE)?.finish().await?;
        burst.stop();
        let burst = burst.finish().await?;

        assert!(burst.statuses.keys().all(|status| [200, 503].contains(status)), "{}", burst.summary());
        assert!(burst.statuses[&503] > burst.statuses[&200], "it is no burst: {}", burst.summary());
        all_well(&alone);
        all_well(&beside);
        let (alone, beside) = (alone.latency.p(0.99), beside.latency.p(0.99));
        println!("p99 of {WORK:?} of work: {alone:?} alone, {beside:?} beside a burst of {BURST} times as many calls");
        if beside <= 2 * alone {
            return Ok(());
        }
        seen.push((alone, beside));
    }
    panic!("the quiet workload's p99 alone and beside the burst, in {ROUNDS} rounds: {seen:?}");
}

/// How many rounds of work take about [`WORK`] here.
async fn rounds(dev: &Dev) -> u64 {
    const PROBE: u64 = 5000;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let address = dev.listener("shared").unwrap();
        assert_eq!(get(address, "quiet.test", &format!("/work?rounds={PROBE}")).await.unwrap().status(), 200);
        best = best.min(began.elapsed());
    }
    (PROBE as f64 * WORK.as_secs_f64() / best.as_secs_f64()) as u64
}

fn calls(dev: &Dev, workload: &str, path: &str, rate: f64) -> Result<Running> {
    let plan = Plan::new(dev.listener("shared")?).authority(format!("{workload}.test")).path(path)?;
    Ok(plan.connections(if rate > RATE { 400 } else { 8 }).rate(rate).duration(SPAN).start()?)
}

fn shed(status: &serde_json::Value, deployment: &str) -> u64 {
    let shares = status["shares"].as_object().into_iter().flat_map(|shares| shares.values());
    shares.filter(|share| share["deployment"] == deployment).filter_map(|share| share["shed"].as_u64()).sum()
}

fn all_well(report: &Report) {
    let statuses: Vec<u16> = report.statuses.keys().copied().collect();
    assert_eq!((report.failed, statuses), (0, vec![200]), "{}", report.summary());
}
