//! testssl.sh, an auditor of TLS servers, against a listener: `make testssl` installs it and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/server.rs"]
mod server;

use std::{env, ffi::OsString, fs, path::PathBuf, process::Stdio, time::Duration};

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

/// How often the part of it that looks at sessions is asked again. Its client closes as soon as the handshake is done, and may so
/// miss the tickets that TLS 1.3 sends after it; without one it cannot resume and calls that a connect problem.
const AGAIN: usize = 5;

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

    /// Whether it says that nothing could be found out.
    fn is_missed_ticket(&self) -> bool {
        self.id == "sessionresumption_ticket" && self.finding.contains("connect problem")
    }
}

/// One server, looked at by testssl.sh as often as asked.
struct Auditor {
    program: OsString,
    folder: PathBuf,
    url: String,
}

impl Auditor {
    fn new(authority: &Authority, port: u16) -> Self {
        let program = env::var_os("PENSTOCK_TESTSSL").expect("PENSTOCK_TESTSSL: what tests/tools/testssl.sh prints");
        let folder = env::temp_dir().join(format!("penstock-testssl-{port}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("roots.pem"), authority.0.pem()).unwrap();
        Self { program, folder, url: format!("https://localhost:{port}/") }
    }

    /// What it finds, and what it prints. `only` are options that name a part of what it looks for.
    async fn look(&self, only: &[&str]) -> (Vec<Finding>, String) {
        let report = self.folder.join("report.json");
        drop(fs::remove_file(&report));
        let run = Command::new(&self.program)
            .args(["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1"])
            .arg("--add-ca")
            .arg(self.folder.join("roots.pem"))
            .arg("--jsonfile")
            .arg(&report)
            .args(only)
            .arg(&self.url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, run).await.expect("testssl.sh takes too long").unwrap();
        let text = fs::read_to_string(&report).expect("testssl.sh left no report");
        let findings = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (findings, String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs testssl.sh: make testssl"]
async fn testssl_finds_nothing_worse_than_low() {
    let authority = Authority::new("ours");
    let config = authority::listener(&authority, &["localhost", "127.0.0.1"]);
    let server = Server::with_config(&backend(|_, _| async { ok("fine") }), config);
    let auditor = Auditor::new(&authority, server.address.port());
    let (mut findings, text) = auditor.look(&[]).await;
    for _ in 0..AGAIN {
        let Some(missed) = findings.iter_mut().find(|finding| finding.is_missed_ticket()) else { break };
        let (again, text) = auditor.look(&["--server-defaults"]).await;
        let found = again.into_iter().find(|finding| finding.id == missed.id);
        *missed = found.unwrap_or_else(|| panic!("looked for sessions, not found:\n{text}"));
    }
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
