//! Guests that compute without end beside an innocent one, in the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use penstock_tests::{
    dev::Options,
    load::{Plan, Report},
    manifest::Workload,
};

/// Requests a second of the innocent neighbour: far below what it could do, so that its latency is its own.
const RATE: f64 = 300.0;
const SPAN: Duration = Duration::from_secs(5);
const SPINNERS: usize = 8;
/// The spinners' deadline (`requestTimeout`), and how late its 504 may come on a busy machine.
const DEADLINE: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(1);
/// Below this a p99 of an unoptimised build measures the machine's own noise.
const FLOOR: Duration = Duration::from_millis(2);
const ROUNDS: usize = 3;

fn component(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/components").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn spinning_guests_end_by_their_deadline_and_hurt_no_neighbour() -> Result<()> {
    let mut spinner = Workload::file("spinner", &component("kitchen-p2.wasm")).host("spinner.test");
    spinner.request_timeout = Some("1s");
    let innocent = Workload::file("innocent", &component("hello-p2.wasm")).host("innocent.test");
    let dev =
        Options::default().quiet().file("spinner.yaml", &spinner).file("innocent.yaml", &innocent).start().await?;
    let address = dev.listener("shared")?;
    let neighbour = || -> Result<_> {
        Ok(Plan::new(address)
            .authority("innocent.test")
            .path("/x")?
            .connections(4)
            .rate(RATE)
            .duration(SPAN)
            .start()?)
    };
    // A noisy machine may spoil a round, for the worse only: one good round shows that the host isolates.
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let alone = neighbour()?.finish().await?;
        let spinning = Plan::new(address)
            .authority("spinner.test")
            .path("/spin")?
            .connections(SPINNERS)
            .duration(SPAN + DEADLINE)
            .start()?;
        // All of them are spinning before the neighbour is measured.
        dev.until("/v1/status", |status| in_flight(status, "default/spinner") >= SPINNERS as u64).await?;
        let beside = neighbour()?.finish().await?;
        spinning.stop();
        let spinners = spinning.finish().await?;

        assert_eq!(spinners.statuses.keys().copied().collect::<Vec<_>>(), [504], "{}", spinners.summary());
        assert!(spinners.service.max() < DEADLINE + SLACK, "a spinner outlived its deadline: {}", spinners.summary());
        all_well(&alone);
        all_well(&beside);
        let (alone, beside) = (alone.latency.p(0.99), beside.latency.p(0.99));
        println!("innocent neighbour's p99: {alone:?} alone, {beside:?} beside {SPINNERS} spinners");
        if beside <= 3 * alone.max(FLOOR) {
            return Ok(());
        }
        seen.push((alone, beside));
    }
    panic!("the neighbour's p99 alone and beside the spinners, in {ROUNDS} rounds: {seen:?}");
}

fn in_flight(status: &serde_json::Value, deployment: &str) -> u64 {
    let shares = status["shares"].as_object().into_iter().flat_map(|shares| shares.values());
    shares.filter(|share| share["deployment"] == deployment).filter_map(|share| share["inFlight"].as_u64()).sum()
}

fn all_well(report: &Report) {
    assert_eq!(
        (report.failed, report.statuses.keys().copied().collect::<Vec<_>>()),
        (0, vec![200]),
        "{}",
        report.summary()
    );
}
