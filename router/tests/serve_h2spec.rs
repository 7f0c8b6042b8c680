//! h2spec, the conformance test of HTTP/2, against a listener over plaintext and over TLS. `make h2spec` builds it and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/server.rs"]
mod server;

use std::{env, fs, process::Stdio};

use authority::Authority;
use http_body_util::BodyExt;
use penstock_router::{ListenerConfig, ListenerLimits};
use server::{Server, backend, ok};
use tokio::process::Command;

/// Cases that may fail, by their titles, with the reason.
type MayFail = &'static [(&'static str, &'static str)];

const PLAINTEXT: MayFail = &[(
    "http2/3.5: Sends invalid connection preface",
    "the port speaks HTTP/1.1 too: what is no preface is answered with an HTTP/1.1 400, and closed",
)];

/// ALPN has settled the protocol before the first byte.
const TLS: MayFail = &[];

/// Cases there are: fewer mean that they were not run.
const CASES: usize = 140;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs h2spec: make h2spec"]
async fn h2spec_finds_nothing_new_over_plaintext() {
    finds_nothing_new(ListenerConfig::new("test"), &[], PLAINTEXT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs h2spec: make h2spec"]
async fn h2spec_finds_nothing_new_over_tls() {
    let config = authority::listener(&Authority::new("ours"), &["127.0.0.1"]);
    finds_nothing_new(config, &["--tls", "--insecure"], TLS).await;
}

async fn finds_nothing_new(config: ListenerConfig, flags: &[&str], may_fail: MayFail) {
    let program = env::var_os("PENSTOCK_H2SPEC").expect("PENSTOCK_H2SPEC: the path that tests/tools/h2spec.sh prints");
    let answers = backend(|request, _| async move {
        request
            .into_body()
            .collect()
            .await
            .map_err(|error| penstock_router::Error::new(penstock_router::Cause::GuestError, error.to_string()))?;
        // Long enough for the cases about windows.
        ok("x".repeat(1000))
    });
    let limits = ListenerLimits { streams: 100, ..ListenerLimits::default() };
    let server = Server::with_config(&answers, ListenerConfig { limits, ..config });
    let report = env::temp_dir().join(format!("penstock-h2spec-{}.xml", server.address.port()));
    let output = Command::new(program)
        .args(["--strict", "--host", "127.0.0.1", "--timeout", "2", "--port", &server.address.port().to_string()])
        .args(flags)
        .arg("--junit-report")
        .arg(&report)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let xml = fs::read_to_string(&report).unwrap_or_default();
    let _ = fs::remove_file(&report);
    let (cases, failed) = read(&xml);
    assert!(cases >= CASES, "{cases} cases in {xml}\n{}", String::from_utf8_lossy(&output.stderr));
    let (allowed, new): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(|title| may_fail.iter().any(|(allowed, _)| allowed == title));
    println!("h2spec {}: {cases} cases, {} that may fail failed: {allowed:#?}", flags.join(" "), allowed.len());
    for (title, reason) in may_fail {
        assert!(allowed.iter().any(|failed| failed == title), "no longer fails ({reason}): {title}");
    }
    assert!(new.is_empty(), "failed: {new:#?}\n{}", String::from_utf8_lossy(&output.stdout));
}

/// How many cases the report holds, and the titles of those that failed.
fn read(xml: &str) -> (usize, Vec<String>) {
    let cases: Vec<&str> = xml.split("<testcase ").skip(1).collect();
    let failed = cases.iter().filter(|case| case.contains("<failure") || case.contains("<error"));
    let title = |case: &&str| {
        let attribute = |name: &str| {
            let (_, rest) = case.split_once(&format!("{name}=\"")).unwrap_or_default();
            rest.split('"').next().unwrap_or_default()
        };
        format!("{}: {}", attribute("package"), attribute("classname"))
    };
    (cases.len(), failed.map(title).collect())
}
