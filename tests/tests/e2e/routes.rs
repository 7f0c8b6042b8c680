//! HTTPRoutes whose parent is a Service: matching, canaries, and what their statuses say.

use std::time::{Duration, Instant};

use ::http::{HeaderName, Request};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use penstock_api::{HttpRoute, route::RouteParentStatus};
use penstock_tests::{
    cluster::{Cluster, PATIENCE, Scene, Template, condition},
    http,
    load::Plan,
};

/// Requests for one measured share: a tenth of them is met within 1% but for one run in a million.
const MEASURED: u64 = 20_000;

fn route(weights: (u32, u32)) -> String {
    let (stable, canary) = weights;
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: app}}
spec:
  parentRefs: [{{group: '', kind: Service, name: app, port: 80}}]
  rules:
  - matches: [{{headers: [{{name: x-variant, value: canary}}]}}]
    backendRefs: [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: canary}}]
  - matches: [{{path: {{type: PathPrefix, value: /only-canary}}}}]
    filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplaceFullPath, replaceFullPath: /hello}}}}}}]
    backendRefs: [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: canary}}]
  - backendRefs:
    - {{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: app, weight: {stable}}}
    - {{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: canary, weight: {canary}}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_canary_by_header_path_and_weight() -> Result<()> {
    let cluster = Cluster::connect().await?;
    // The operator has begun without these definitions, and notices.
    cluster.script(&["addon", "gateway-api"])?;
    let scene = Scene::start(&cluster, "canary", Template::kitchen(2)).await?;
    scene.beside("canary", "kitchen-p3", 2)?;
    let mut load = scene.load()?;
    load.answered_by("kitchen-p2", 50).await?;
    load.mark("the route comes");
    cluster.apply(scene.namespace(), &route((9, 1)))?;
    let parent = parent(&cluster, &scene, "app", |it| it.controller_name == "runtime.wasmcloud.dev/penstock").await?;
    for name in ["Accepted", "ResolvedRefs"] {
        ensure!(condition(&parent.conditions, name, Some(1)), "{parent:?}");
    }
    load.answered_by("kitchen-p3", 10).await?;
    scene.settled().await?;
    for (path, header, component) in [("/hello", Some("canary"), "kitchen-p3"), ("/only-canary/x", None, "kitchen-p3")]
    {
        until_answered_by(&scene, path, header, component).await?;
        for _ in 0..20 {
            let who = ask(&scene, path, header).await?;
            ensure!(who == component, "{path} {header:?}: {who}");
        }
    }
    measure(&scene, 0.1).await?;
    for (weights, component) in [((0, 1), "kitchen-p3"), ((1, 0), "kitchen-p2")] {
        load.mark(format!("weights {weights:?}"));
        cluster.apply(scene.namespace(), &route(weights))?;
        until_all_answered_by(&scene, component).await?;
        load.answered(100).await?;
    }
    // Its hosts stay behind the Service, for the other workload's sake: nobody has to be told before it leaves.
    load.mark("the canary goes to zero");
    let labelled = "runtime.wasmcloud.dev/workload-deployment=canary";
    cluster.kubectl(["scale", "workloaddeployment", "canary", "--replicas=0", "-n", scene.namespace()])?;
    cluster.kubectl(["wait", "--for=delete", "ww", "-l", labelled, "--timeout=60s", "-n", scene.namespace()])?;
    load.answered(100).await?;
    load.mark("the route goes");
    cluster.kubectl(["delete", "httproute", "app", "-n", scene.namespace()])?;
    load.answered(200).await?;
    let counted = load.finish().await?;
    println!("canary: {}, by {:?}", counted.line(), counted.kept.labels);
    counted.clean()?;
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn routes_say_what_is_wrong_and_others_are_left_alone() -> Result<()> {
    let cluster = Cluster::connect().await?;
    cluster.script(&["addon", "gateway-api"])?;
    let scene = Scene::start(&cluster, "refs", Template::kitchen(1)).await?;
    let namespace = scene.namespace();
    let manifest = |name: &str, parent: &str, backend: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: \
             [{{group: '', kind: Service, {parent}}}]\n  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: \
             [{{{backend}}}]}}]\n"
        )
    };
    let ours = "group: runtime.wasmcloud.dev, kind: WorkloadDeployment";
    cluster.apply(namespace, &manifest("absent", "name: app", &format!("{ours}, name: nobody")))?;
    cluster.apply(namespace, &manifest("port", "name: app, port: 81", &format!("{ours}, name: app")))?;
    // Another mesh's: a Service with a selector, whose endpoints Kubernetes keeps, with a Service behind it.
    cluster.kubectl(["create", "service", "clusterip", "plain", "--tcp=80", "-n", namespace])?;
    cluster.apply(namespace, &manifest("mesh", "name: plain", "name: plain, port: 80"))?;
    cluster.apply(namespace, &manifest("both", "name: plain", &format!("{ours}, name: app")))?;
    for (name, kind, reason) in [
        ("absent", "ResolvedRefs", "BackendNotFound"),
        ("port", "Accepted", "NoMatchingParent"),
        ("both", "Accepted", "NoMatchingParent"),
    ] {
        let said = parent(&cluster, &scene, name, |it| {
            it.conditions.iter().any(|it| it.type_ == kind && it.status == "False" && it.reason == reason)
        });
        let said = said.await.with_context(|| format!("{name}: {kind}=False {reason}"))?;
        let message = said.conditions.iter().find(|it| it.type_ == kind).map(|it| it.message.clone());
        println!("{name}: {kind}=False {reason}: {}", message.unwrap_or_default());
    }
    let answer = http::get(scene.address()?, "any.example", "/absent").await?;
    ensure!(answer.status() == 500, "{} {:?}", answer.status(), answer.body());
    // All that would have been done to the other's is done by now: statuses come last.
    let mesh = cluster.get("httproute", namespace, "mesh")?;
    ensure!(mesh.data.pointer("/status/parents/0").is_none(), "{mesh:?}");
    let slices = cluster.api::<EndpointSlice>(namespace).list(&Default::default()).await?;
    let of = |service: &str, it: &EndpointSlice| {
        let labels = it.metadata.labels.clone().unwrap_or_default();
        labels.get("kubernetes.io/service-name").is_some_and(|it| it == service)
            && labels.get("endpointslice.kubernetes.io/managed-by").is_some_and(|it| it == "penstock")
    };
    ensure!(
        slices.items.iter().any(|it| of("app", it)) && !slices.items.iter().any(|it| of("plain", it)),
        "{slices:?}"
    );
    scene.end()
}

/// What is said of a route at its parent, once it is so.
async fn parent(
    cluster: &Cluster,
    scene: &Scene,
    name: &str,
    check: impl Fn(&RouteParentStatus) -> bool,
) -> Result<RouteParentStatus> {
    cluster
        .until(cluster.api::<HttpRoute>(scene.namespace()), "a route's status", PATIENCE, |all| {
            all.get(name)?.status.as_ref()?.parents.iter().find(|it| check(it)).cloned()
        })
        .await
}

/// Which component answers.
async fn ask(scene: &Scene, path: &str, variant: Option<&str>) -> Result<String> {
    let mut request = Request::get(path).header("host", "shop.example");
    if let Some(variant) = variant {
        request = request.header("x-variant", variant);
    }
    let answer = http::send(scene.address()?, request.body(http_body_util::Full::default())?).await?;
    let who = answer.headers().get("x-component").context("nobody signs")?;
    Ok(who.to_str()?.to_owned())
}

async fn until_answered_by(scene: &Scene, path: &str, variant: Option<&str>, component: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while ask(scene, path, variant).await? != component {
        ensure!(Instant::now() < deadline, "{path} is not answered by {component}");
    }
    Ok(())
}

/// Until a hundred in a row come from it: both hosts have taken over then.
async fn until_all_answered_by(scene: &Scene, component: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut row = 0;
    while row < 100 {
        row = if ask(scene, "/hello", None).await? == component { row + 1 } else { 0 };
        ensure!(Instant::now() < deadline, "not all is answered by {component}");
    }
    Ok(())
}

/// The canary's share of many requests is as asked, within one in a hundred.
async fn measure(scene: &Scene, wanted: f64) -> Result<()> {
    let plan = Plan::new(scene.address()?)
        .authority("shop.example")
        .path("/hello")?
        .connections(8)
        .count(MEASURED)
        .timeout(Duration::from_secs(10))
        .label_header(HeaderName::from_static("x-component"));
    let report = plan.start()?.finish().await?;
    let canary = report.labels.get("kitchen-p3").copied().unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a share of some thousands")]
    let share = canary as f64 / report.sent as f64;
    println!("canary: {:.2}% of {} requests instead of {:.0}%", share * 100.0, report.sent, wanted * 100.0);
    ensure!(report.failed == 0 && report.sent == MEASURED, "{}", report.summary());
    ensure!((share - wanted).abs() < 0.01, "{share} instead of {wanted}");
    Ok(())
}
