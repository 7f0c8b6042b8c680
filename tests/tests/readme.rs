//! What README tells people to type works, in the order in which it stands there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use penstock_tests::{dev, process::Process};

const START: Duration = Duration::from_secs(120);
const CARGO_RUN: &str = "cargo run --bin penstock -- ";

/// The lines of README's `sh` blocks.
fn commands(readme: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in readme.lines() {
        match (line.trim_end(), inside) {
            ("```sh", _) => inside = true,
            ("```", _) => inside = false,
            (command, true) => commands.push(command),
            _ => {}
        }
    }
    commands
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_work() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    let commands = commands(&readme);
    ensure!(commands.len() >= 6, "README has lost its commands: {commands:?}");
    let binary = dev::binary()?;
    let mut running = None;
    for command in commands {
        if let Some(demonstration) = command.strip_prefix("make ") {
            // A step of its own in tests/run.sh: it takes longer than a test should.
            let steps = fs::read_to_string(root.join("tests/run.sh"))?;
            let runs = steps.lines().any(|it| it.ends_with(&format!(" {demonstration}")));
            ensure!(runs, "tests/run.sh does not run `{command}`");
        } else if let Some(arguments) =
            command.strip_prefix(CARGO_RUN).filter(|arguments| arguments.starts_with("dev "))
        {
            let mut program = Command::new(&binary);
            program.args(arguments.split_whitespace()).current_dir(&root);
            let mut process = Process::start(&mut program)?;
            let address: SocketAddr = "127.0.0.1:8000".parse()?;
            // The slowest of them to compile.
            process.answers(address, "localhost", "/js/words?text=a", START).await?;
            running = Some(process);
        } else {
            let line = command
                .replace(CARGO_RUN, &format!("'{}' ", binary.display()))
                .replace("curl ", "curl --fail --silent --show-error ");
            let output = tokio::process::Command::new("sh").args(["-c", &line]).current_dir(&root).output().await;
            let output = output.with_context(|| line.clone())?;
            let said = String::from_utf8_lossy(&output.stdout);
            let complaint = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success() && !said.trim().is_empty(), "{command}: {said}{complaint}");
        }
    }
    ensure!(running.is_some(), "README no longer starts penstock dev");
    Ok(())
}
