//! The demonstration of autoscaling with shorter spans: reached, held, spread evenly, nothing lost, and back again.

use std::io;

use anyhow::{Result, ensure};
use penstock_tests::{
    autoscale::{
        chart::Live,
        driver::Driver,
        report::{Run, time},
        run::{Options, run},
        stage::prepare,
    },
    cluster::Cluster,
};

async fn follows_the_load(driver: Driver) -> Result<Run> {
    let cluster = Cluster::connect().await?;
    prepare(&cluster, driver, true)?;
    // Cluster, hosts and load share the same few processors. A moment in which none of them runs looks like a burst to
    // whoever scales, and is one: then it is tried once more. A call that fails is never forgiven.
    let mut attempts = 0;
    loop {
        let options = Options { driver, short: true, image: cluster.image("kitchen-p2")?, target: None };
        let run = run(&cluster, &options, &mut Live::new(io::stdout(), false)).await?;
        for it in run.reactions() {
            println!("{driver}: {it:?}; first {}, 90% {}, back {}", time(it.first), time(it.most), time(it.back));
        }
        let verdicts = run.verdicts();
        attempts += 1;
        if run.passed() {
            return Ok(run);
        }
        let lost = verdicts.iter().any(|it| it.name == "failed requests" && !it.passed);
        ensure!(attempts < 2 && !lost, "{driver}: {verdicts:#?}");
        println!("{driver}: once more, after {verdicts:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn the_operator_itself_follows_the_load() -> Result<()> {
    let run = follows_the_load(Driver::Builtin).await?;
    let step = run.reactions().into_iter().next();
    let first = step.and_then(|it| it.first);
    // The goal is a second on a machine of its own; here the cluster, the hosts and this test share two cores.
    ensure!(first.is_some_and(|it| it.as_secs() < 3), "the first replica after {first:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn an_hpa_follows_the_load() -> Result<()> {
    follows_the_load(Driver::Hpa).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with KEDA"]
async fn keda_follows_the_load_by_prometheus() -> Result<()> {
    follows_the_load(Driver::KedaPrometheus).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with KEDA"]
async fn keda_follows_the_load_by_asking_the_operator() -> Result<()> {
    follows_the_load(Driver::KedaExternal).await.map(drop)
}
