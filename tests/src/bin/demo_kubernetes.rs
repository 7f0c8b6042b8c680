//! `make demo-kubernetes`: two Services on a real cluster, scaled and rolled under load, and what kubectl shows meanwhile.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, ensure};
use penstock_tests::{
    cluster::{Cluster, Scene, Template},
    http,
};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cluster = Cluster::connect().await?;
    println!("\n1. The cluster, the operators, and a host on every node\n");
    show(&cluster, &["get", "nodes,pods,hosts.runtime.wasmcloud.dev", "-n", "penstock-system"])?;
    println!("\n2. Two Services, each with a workload of its own, in two namespaces\n");
    let mut api = Scene::start(&cluster, "demo-api", Template::kitchen(1)).await?;
    let page = Scene::start(&cluster, "demo-page", Template::kitchen(2).component("page")).await?;
    for scene in [&api, &page] {
        show(&cluster, &["get", "service,wd,ww,endpointslices", "-n", scene.namespace()])?;
        println!();
    }
    println!("3. curl http://CLUSTER-IP/: whatever the Host header says, the Service that is dialled answers\n");
    for (scene, host, path) in [
        (&api, "app.e2e-demo-api.svc.cluster.local", "/hello"),
        (&api, "anything.example", "/hello"),
        (&page, "anything.example", "/"),
    ] {
        ask(scene, host, path).await?;
    }
    println!("\n4. Under load: kubectl scale from 1 to 12, then a rolling update to another component\n");
    let mut load = api.load()?;
    load.answered(100).await?;
    let start = Instant::now();
    println!("   $ kubectl scale wd app --replicas=12");
    api.scale(12)?;
    api.settled().await?;
    load.mark("12 replicas");
    println!("   Programmed after {:.0?}\n", start.elapsed());
    show(&cluster, &["get", "wd,ww,endpointslices", "-n", api.namespace()])?;
    load.answered(200).await?;
    println!("\n   $ kubectl apply (the image is now another component)");
    let start = Instant::now();
    let template = api.template().clone().component("kitchen-p3");
    *api.template() = template;
    api.apply()?;
    api.settled().await?;
    load.mark("rolled");
    println!("   Programmed after {:.0?}\n", start.elapsed());
    show(&cluster, &["get", "wd,wrs,ww,endpointslices", "-n", api.namespace()])?;
    load.answered_by("kitchen-p3", 200).await?;
    let counted = load.finish().await?;
    println!("\n   {}", counted.line());
    println!("   answered by {:?}", counted.fresh.labels.keys().collect::<Vec<_>>());
    counted.clean()?;
    println!("\n5. What happened, as Kubernetes tells it\n");
    show(&cluster, &["get", "events.events.k8s.io", "-n", api.namespace(), "--sort-by=.metadata.creationTimestamp"])?;
    api.end()?;
    page.end()?;
    Ok(ExitCode::SUCCESS)
}

fn show(cluster: &Cluster, arguments: &[&str]) -> Result<()> {
    println!("   $ kubectl {}", arguments.join(" "));
    for line in cluster.kubectl(arguments)?.lines() {
        println!("   {line}");
    }
    Ok(())
}

async fn ask(scene: &Scene, host: &str, path: &str) -> Result<()> {
    let address = scene.address()?;
    let start = Instant::now();
    let answer = http::get(address, host, path).await?;
    let took = start.elapsed();
    let text = String::from_utf8_lossy(answer.body());
    let first: String = text.lines().next().context("an empty answer")?.chars().take(40).collect();
    let command = format!("curl http://{}{path} -H 'Host: {host}'", address.ip());
    println!("   {command:<72} {}  {:>5.1} ms  {first}", answer.status().as_u16(), took.as_secs_f64() * 1e3);
    ensure!(answer.status() == 200, "{text}");
    Ok(())
}
