//! Traffic policies, as clients of `penstock dev` meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use penstock_tests::{
    dev::{Dev, Options},
    manifest::Workload,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const APPLY: Duration = Duration::from_secs(30);

fn component(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/components").join(name)
}

/// The filter that names a policy.
fn filter(policy: &str) -> String {
    let reference = format!("{{group: penstock.dev, kind: TrafficPolicy, name: {policy}}}");
    format!("filters: [{{type: ExtensionRef, extensionRef: {reference}}}]")
}

/// A workload at `app.test`, all of whose requests are of one policy.
fn app(guest: &str, policy: &str) -> Workload {
    let mut workload = Workload::file("app", &component(guest));
    workload.routes = Some(format!("[{{hostnames: [app.test], {}}}]", filter(policy)));
    workload
}

fn policy(name: &str, spec: &str) -> String {
    format!("apiVersion: penstock.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

async fn ask(dev: &Dev, path: &str, headers: &[(&str, &str)]) -> Result<Response<Bytes>> {
    let mut request = Request::get(path).header("host", "app.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    penstock_tests::http::send(dev.listener("shared")?, request.body(Full::default())?).await
}

fn header<'r>(response: &'r Response<Bytes>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|it| it.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_rate_are_refused_and_counted_by_key() -> Result<()> {
    let slow = policy("slow", "rateLimit: {requests: 2, per: 1h, by: {type: Header, header: x-api-key}}");
    let mut dev =
        Options::default().file("app.yaml", &app("kitchen-p2.wasm", "slow")).file("policy.yaml", &slow).start().await?;
    for (left, wanted) in [("1", 200), ("0", 200), ("0", 429), ("0", 429)] {
        let answer = ask(&dev, "/ok", &[("x-api-key", "a")]).await?;
        assert_eq!(answer.status(), wanted);
        assert_eq!(header(&answer, "ratelimit-policy"), Some("\"default\";q=2;w=3600"));
        assert!(header(&answer, "ratelimit").unwrap().starts_with(&format!("\"default\";r={left};t=")), "{answer:?}");
        let after = header(&answer, "retry-after").map(|it| it.parse::<u64>().unwrap());
        assert_eq!(after.is_some(), wanted == 429, "{answer:?}");
        assert!(after.is_none_or(|it| (1790..=1800).contains(&it)), "{answer:?}");
        if wanted == 429 {
            assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(ask(&dev, "/ok", &[("x-api-key", "b")]).await?.status(), 200, "another key");
    // A change of something else is no way around it; another limit begins anew.
    let mut other = app("kitchen-p2.wasm", "slow");
    other.request_timeout = Some("9s");
    dev.apply("app.yaml", &other).await?;
    assert_eq!(ask(&dev, "/ok", &[("x-api-key", "a")]).await?.status(), 429);
    dev.apply("policy.yaml", &slow.replace("requests: 2", "requests: 3")).await?;
    assert_eq!(ask(&dev, "/ok", &[("x-api-key", "a")]).await?.status(), 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_limited_on_both_ways() -> Result<()> {
    for guest in ["kitchen-p2.wasm", "kitchen-p3.wasm"] {
        let mut workload = app(guest, "small");
        workload.interface = if guest == "kitchen-p3.wasm" { "handler" } else { "incoming-handler" };
        let policy = policy("small", "limits: {requestBody: 1Ki, responseBody: 2Ki}");
        let mut dev = Options::default().file("app.yaml", &workload).file("policy.yaml", &policy).start().await?;
        let upload = async |size: usize| -> Result<u16> {
            let body = Full::from(vec![b'x'; size]);
            let request = Request::post("/echo").header("host", "app.test").body(body)?;
            Ok(penstock_tests::http::send(dev.listener("shared")?, request).await?.status().as_u16())
        };
        assert_eq!((upload(1024).await?, upload(1025).await?), (200, 413), "{guest}");
        assert_eq!(ask(&dev, "/stream?chunks=2&size=1024", &[]).await?.body().len(), 2048, "{guest}");
        let cut = ask(&dev, "/stream?chunks=3&size=1024&delay=50", &[]).await;
        assert!(cut.is_err(), "{guest}: the client sees that it is not whole: {cut:?}");
        let line = dev
            .process()
            .line("the record", APPLY, |line| line.text.contains("response-too-large").then_some(()))
            .await;
        line?;
    }
    Ok(())
}

/// An HTTPRoute of `app.test` to two workloads, of which one traps at every call.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_traps_is_left_out_and_comes_back() -> Result<()> {
    let backend = |name: &str| format!("{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: {name}}}");
    let trap = "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /trap}}}";
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: split}}\nspec:\n  hostnames: [app.test]\n  \
         rules:\n  - {}\n    backendRefs: [{}, {}]\n",
        filter("watchful"),
        backend("bad").replace("}", &format!(", filters: [{trap}]}}")),
        backend("good"),
    );
    let policy = policy("watchful", "outlierDetection: {consecutiveErrors: 3, baseEjectionTime: 2s}");
    let kitchen = component("kitchen-p2.wasm");
    let options = Options::default().file("route.yaml", &route).file("policy.yaml", &policy);
    let options = options.file("bad.yaml", &Workload::file("bad", &kitchen));
    let dev = options.file("good.yaml", &Workload::file("good", &kitchen)).start().await?;
    let gauge = async || -> Result<bool> {
        let page = penstock_tests::http::get(dev.ready().admin, "localhost", "/metrics").await?;
        let text = String::from_utf8_lossy(page.body()).into_owned();
        let line =
            text.lines().find(|line| line.starts_with("penstock_outlier_ejected{") && line.contains("default/bad"));
        Ok(line.unwrap_or_else(|| panic!("no such line: {text}")).ends_with(" 1"))
    };
    let mut failures = 0;
    while !gauge().await? {
        failures += usize::from(ask(&dev, "/ok", &[]).await?.status() == 502);
        assert!(failures <= 3, "{failures} failures");
    }
    for _ in 0..50 {
        let status = ask(&dev, "/ok", &[]).await?.status();
        assert!(status == 200 || !gauge().await?, "{status}");
    }
    while gauge().await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It has not been mended, and is left out again.
    while !gauge().await? {
        ask(&dev, "/ok", &[]).await?;
    }
    let page = penstock_tests::http::get(dev.ready().admin, "localhost", "/metrics").await?;
    let text = String::from_utf8_lossy(page.body()).into_owned();
    let count = "penstock_outlier_ejections_total{rule=\"HTTPRoute default/split #0\",workload=\"default/bad\"";
    assert!(text.lines().any(|line| line.starts_with(count) && line.ends_with(" 2")), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_compressed_for_those_who_want_that() -> Result<()> {
    let small = policy("small", "compression: {contentTypes: ['text/*']}");
    for (guest, interface) in [("kitchen-p2.wasm", "incoming-handler"), ("kitchen-p3.wasm", "handler")] {
        let mut workload = app(guest, "small");
        workload.interface = interface;
        let dev = Options::default().file("app.yaml", &workload).file("policy.yaml", &small).start().await?;
        let plain = ask(&dev, "/events?count=2000", &[]).await?;
        assert_eq!(
            (header(&plain, "content-encoding"), header(&plain, "vary")),
            (None, Some("accept-encoding")),
            "{guest}"
        );
        for (accept, wanted) in [("gzip", "gzip"), ("gzip, br;q=0.9", "gzip"), ("br, gzip", "br"), ("br", "br")] {
            let url = format!("http://{}/events?count=2000", dev.listener("shared")?);
            let mut curl = tokio::process::Command::new("curl");
            curl.args(["-s", "--compressed", "-D", "/dev/stderr", "-H", "Host: app.test"]);
            let output = curl.arg("-H").arg(format!("Accept-Encoding: {accept}")).arg(url).output().await?;
            let head = String::from_utf8(output.stderr)?;
            assert!(head.contains(&format!("content-encoding: {wanted}\r\n")), "{guest} {accept}: {head}");
            assert!(output.stdout == plain.body().as_ref(), "{guest} {accept}: {} bytes", output.stdout.len());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_is_not_held_back() -> Result<()> {
    let events = policy("events", "compression: {minSize: 1, contentTypes: ['text/*']}");
    for (guest, interface) in [("kitchen-p2.wasm", "incoming-handler"), ("kitchen-p3.wasm", "handler")] {
        let mut workload = app(guest, "events");
        workload.interface = interface;
        let dev = Options::default().file("app.yaml", &workload).file("policy.yaml", &events).start().await?;
        for coding in ["gzip", "br"] {
            let mut socket = TcpStream::connect(dev.listener("shared")?).await?;
            let request = format!(
                "GET /events?count=2&delay=3000 HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: {coding}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).await?;
            let (sent, mut read) = (Instant::now(), Vec::new());
            // The head, and more than a chunk of nothing but a compressor's own head.
            let body =
                |read: &[u8]| read.windows(4).position(|it| it == b"\r\n\r\n").map_or(0, |head| read.len() - head - 4);
            while body(&read) < 25 {
                assert!(socket.read_buf(&mut read).await? > 0, "{guest} {coding}: {}", String::from_utf8_lossy(&read));
            }
            assert!(sent.elapsed() < Duration::from_secs(2), "{guest} {coding}: {:?}", sent.elapsed());
            assert!(String::from_utf8_lossy(&read).contains(&format!("content-encoding: {coding}\r\n")));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_are_limited() -> Result<()> {
    let few = policy("few", "concurrency: {requests: 2, by: {type: Header, header: x-api-key}}");
    let dev =
        Options::default().file("app.yaml", &app("kitchen-p2.wasm", "few")).file("policy.yaml", &few).start().await?;
    let under_way = async |key: &'static str| ask(&dev, "/sleep?ms=3000", &[("x-api-key", key)]).await;
    let (one, two, refused, other) = tokio::join!(
        under_way("a"),
        under_way("a"),
        async {
            let calls = |it: &Value| it["shares"].as_object().and_then(|it| it.values().next()?["inFlight"].as_u64());
            dev.until("/v1/status", |it| calls(it) == Some(3)).await?;
            ask(&dev, "/ok", &[("x-api-key", "a")]).await
        },
        under_way("b")
    );
    let refused = refused?;
    assert_eq!((one?.status().as_u16(), two?.status().as_u16(), other?.status().as_u16()), (200, 200, 200));
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, Some("1")));
    assert_eq!(ask(&dev, "/ok", &[("x-api-key", "a")]).await?.status(), 200, "places come back");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_not_there_makes_the_rule_fail_until_it_is() -> Result<()> {
    let mut dev = Options::default().file("app.yaml", &app("kitchen-p2.wasm", "late")).start().await?;
    assert_eq!(ask(&dev, "/ok", &[]).await?.status(), 500);
    dev.apply("policy.yaml", &policy("late", "rateLimit: {requests: 100}")).await?;
    let answer = ask(&dev, "/ok", &[]).await?;
    assert_eq!((answer.status().as_u16(), header(&answer, "ratelimit-policy")), (200, Some("\"default\";q=100;w=1")));
    dev.remove("policy.yaml")?;
    let removed = Instant::now();
    while ask(&dev, "/ok", &[]).await?.status() != 500 {
        assert!(removed.elapsed() < APPLY, "the limit is gone, and requests pass");
    }
    Ok(())
}
