//! testssl.sh, an auditor of TLS servers, against a listener: `make testssl` installs it and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/server.rs"]
mod server;

use std::{env, fs, path::Path, process::Stdio, time::Duration};

use authority::Authority;
use serde::Deserialize;
use server::{Server, backend, ok};
use tokio::{process::Command, time::timeout};

/// Findings that may be worse than LOW, by id, with the reason.
const MAY_BE: &[(&str, &str)] = &[
    ("engine_problem", "about its own OpenSSL, not about the server"),
    ("cipher_order", "every cipher offered is strong: the client knows best which one its processor is fast at"),
    ("cert_revocation", "the certificate is this test's: whether it can be revoked is up to who issues it"),
    ("security_headers", "headers of the application: up to the component"),
];

/// What it looks for: fewer findings mean that it did not get that far.
const FINDINGS: usize = 130;

/// It tries hundreds of handshakes, with a process for each.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Deserialize)]
struct Finding {
    id: String,
    severity: String,
    finding: String,
}

impl Finding {
    fn is_bad(&self) -> bool {
        !["OK", "INFO", "LOW", "DEBUG"].contains(&&*self.severity)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs testssl.sh: make testssl"]
async fn testssl_finds_nothing_worse_than_low() {
    let program = env::var_os("PENSTOCK_TESTSSL").expect("PENSTOCK_TESTSSL: what tests/tools/testssl.sh prints");
    let authority = Authority::new("ours");
    let config = authority::listener(&authority, &["localhost", "127.0.0.1"]);
    let server = Server::with_config(&backend(|_, _| async { ok("fine") }), config);
    let folder = env::temp_dir().join(format!("penstock-testssl-{}", server.address.port()));
    fs::create_dir_all(&folder).unwrap();
    let (roots, report) = (folder.join("roots.pem"), folder.join("report.json"));
    fs::write(&roots, authority.0.pem()).unwrap();
    let run = Command::new(program)
        .args(["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1"])
        .arg("--add-ca")
        .arg(&roots)
        .arg("--jsonfile")
        .arg(&report)
        .arg(format!("https://localhost:{}/", server.address.port()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, run).await.expect("testssl.sh takes too long").unwrap();
    let findings = read(&report);
    let text = String::from_utf8_lossy(&output.stdout);
    fs::remove_dir_all(&folder).unwrap();
    assert!(findings.len() >= FINDINGS, "{} findings\n{text}", findings.len());
    let (allowed, new): (Vec<_>, Vec<_>) = findings
        .iter()
        .filter(|finding| finding.is_bad())
        .partition(|finding| MAY_BE.iter().any(|(id, _)| *id == finding.id));
    println!("testssl.sh: {} findings, {} of those that may be worse than LOW are", findings.len(), allowed.len());
    for finding in findings.iter().filter(|finding| finding.severity == "LOW") {
        println!("LOW: {}: {}", finding.id, finding.finding);
    }
    for (id, reason) in MAY_BE {
        assert!(allowed.iter().any(|finding| finding.id == *id), "no longer worse than LOW ({reason}): {id}");
    }
    assert!(new.is_empty(), "{new:#?}");
}

fn read(report: &Path) -> Vec<Finding> {
    let text = fs::read_to_string(report).expect("testssl.sh left no report");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
