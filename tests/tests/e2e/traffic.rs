//! A TrafficPolicy on the way through kube-proxy.

use std::time::{Duration, Instant};

use ::http::{HeaderName, Request, Response};
use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use penstock_tests::{
    cluster::{Cluster, PATIENCE, Scene, Template},
    http,
};

/// One host, so that one count is asked for; and a second rule without a policy.
const OBJECTS: &str = "apiVersion: penstock.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: tight}
spec:
  rateLimit: {requests: 5, per: 1h, by: {type: Header, header: x-api-key}}
  compression: {contentTypes: ['text/*']}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{group: '', kind: Service, name: app, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /events}}]
    filters: [{type: ExtensionRef, extensionRef: {group: penstock.dev, kind: TrafficPolicy, name: tight}}]
    backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: app}]
  - backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: app}]
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn a_policy_limits_and_compresses() -> Result<()> {
    let cluster = Cluster::connect().await?;
    cluster.script(&["addon", "gateway-api"])?;
    let scene = Scene::start(&cluster, "traffic", Template::kitchen(1)).await?;
    cluster.apply(scene.namespace(), OBJECTS)?;
    let deadline = Instant::now() + PATIENCE;
    // A key of its own for each look, which is the first of its five requests.
    let plain = loop {
        let key = format!("look-{:?}", deadline - Instant::now());
        let answer = ask(&scene, "/events?count=2000", &key, "identity").await?;
        if answer.headers().contains_key("ratelimit") {
            break answer.body().len();
        }
        ensure!(Instant::now() < deadline, "the policy does not come into force: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for key in ["one", "two"] {
        for more in (0..5).rev() {
            let answer = ask(&scene, "/events?count=2000", key, "gzip").await?;
            ensure!(answer.status() == 200, "{key}, {more} more: {answer:?}");
            ensure!(answer.headers()["content-encoding"] == "gzip", "{answer:?}");
            ensure!(answer.body().len() * 2 < plain, "{} of {plain} bytes", answer.body().len());
        }
        let refused = ask(&scene, "/events?count=2000", key, "gzip").await?;
        ensure!(refused.status() == 429 && refused.headers().contains_key("retry-after"), "{refused:?}");
        let elsewhere = ask(&scene, "/ok", key, "gzip").await?;
        ensure!(elsewhere.status() == 200, "the other rule has no policy: {elsewhere:?}");
    }
    scene.end()
}

async fn ask(scene: &Scene, path: &str, key: &str, encoding: &str) -> Result<Response<Bytes>> {
    let request = Request::get(path).header("host", "app").header("accept-encoding", encoding);
    let request = request.header(HeaderName::from_static("x-api-key"), key);
    http::send(scene.address()?, request.body(Full::default())?).await
}
