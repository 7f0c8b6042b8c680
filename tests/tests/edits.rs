//! Edits of manifests and components under load, in the real binary: no request is lost, whatever the edit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use penstock_tests::{
    dev::Options,
    ledger::{Entry, Terms, Timeline},
    load::Plan,
    manifest::Workload,
};

const SPAN: Duration = Duration::from_secs(8);

fn component(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/components").join(name)
}

/// The workload in one of its revisions: the guest tells its environment.
fn revision(n: u32) -> Workload {
    Workload::file("app", &component("kitchen-p2.wasm")).host("app.test").env("REVISION", &n.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_replace_each_other_without_a_lost_request() -> Result<()> {
    let mut dev = Options::default().quiet().file("app.yaml", &revision(0)).start().await?;
    let load = Plan::new(dev.listener("shared")?)
        .authority("app.test")
        .path("/env")?
        .connections(4)
        .duration(SPAN)
        .label_with(|answer| {
            let text = std::str::from_utf8(answer.body).ok()?;
            text.split_once("REVISION\",\"")?.1.split_once('"').map(|(revision, _)| revision)
        })
        .keep_records()
        .start()?;
    let mut timeline = Timeline::new("0");
    let end = Instant::now() + SPAN.saturating_sub(Duration::from_secs(2));
    let mut last = 0;
    while Instant::now() < end {
        last += 1;
        let before = Instant::now();
        dev.apply("app.yaml", &revision(last)).await?;
        dev.until("/v1/status", |status| ready(status) == 1).await?;
        timeline.note(last.to_string(), before, Instant::now());
    }
    let report = load.finish().await?;
    let entries: Vec<Entry> = report.records.iter().map(Entry::from_record).collect();
    let verdict = timeline.judge(Terms::all(report.sent), &entries);
    println!("{verdict}");
    assert!(last >= 3, "only {last} revisions in {SPAN:?}");
    verdict.clean()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_leaves_the_last_good_state_serving() -> Result<()> {
    let mut dev = Options::default().quiet().file("app.yaml", &revision(1)).start().await?;
    let load =
        Plan::new(dev.listener("shared")?).authority("app.test").path("/ok")?.connections(4).duration(SPAN).start()?;
    for broken in [
        "kind: [not, a, manifest",
        "apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\nmetadata: {name: app}\nspec: {replicas: many}\n",
        "apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\nmetadata: {name: app}\nspec: {template: {spec: {components: [{name: x}]}}}\n",
    ] {
        let rejected = dev.reject("app.yaml", broken).await?;
        let problems = rejected["problems"].as_array().map(Vec::len).unwrap_or_default();
        assert!(problems > 0, "{rejected:#}");
    }
    // A component that cannot start does not take the old one down.
    let orphan = Workload::file("app", &component("orphan.wasm")).host("app.test");
    dev.write("app.yaml", &orphan)?;
    dev.until("/v1/status", |status| failed(status) == 1).await?;
    let report = load.finish().await?;
    assert_eq!(
        (report.failed, report.statuses.keys().copied().collect::<Vec<_>>()),
        (0, vec![200]),
        "{}",
        report.summary()
    );
    Ok(())
}

fn states<'s>(status: &'s serde_json::Value, state: &'s str) -> impl Iterator<Item = &'s serde_json::Value> {
    let shares = status["shares"].as_object().into_iter().flat_map(|shares| shares.values());
    shares.filter(move |share| share["state"] == state)
}

/// Revisions that answer, if none is still on its way.
fn ready(status: &serde_json::Value) -> usize {
    if states(status, "Loading").next().is_some() { 0 } else { states(status, "Ready").count() }
}

fn failed(status: &serde_json::Value) -> usize {
    states(status, "Failed").count()
}
