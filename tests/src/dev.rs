//! `penstock dev` on manifests of a test's own.
//!
//! What this module relies on, in one place: `penstock dev --json --listen 127.0.0.1:0 --admin 127.0.0.1:0 FOLDER`
//! writes one JSON object a line on standard output, each with an `event`. `ready` comes once everything in the folder
//! answers or was found to be broken, and has `admin` (where the admin endpoints are) and `listeners` (name to
//! address; `shared` is the one that routes by hostname). Each edit is followed by `applied` or `rejected` with the
//! `files` it is about.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fmt::Display,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Line, Process, Stream};

/// A big component takes several seconds to compile in an unoptimised build.
const START: Duration = Duration::from_secs(120);

/// An edit is seen by the watcher, planned and applied.
const APPLY: Duration = Duration::from_secs(30);

/// How `penstock dev` is to be started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files by name, relative to the folder.
    pub files: BTreeMap<PathBuf, String>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// More environment variables.
    pub environment: Vec<(String, String)>,
    /// Another binary than [`binary`] finds.
    pub binary: Option<PathBuf>,
    /// A command to run it by, such as `taskset -c 0`. It must become the program, not stay beside it.
    pub prefix: Vec<String>,
}

/// A running `penstock dev`. Dropping it kills the process and removes the folder.
#[derive(Debug)]
pub struct Dev {
    process: Process,
    ready: Ready,
    folder: TempDir,
}

/// What the event `ready` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// Where the admin endpoints are.
    pub admin: SocketAddr,
    /// Where each listener is.
    pub listeners: BTreeMap<String, SocketAddr>,
}

// === impl Options ===

impl Options {
    /// Adds a manifest file.
    #[must_use]
    pub fn file(mut self, name: impl Into<PathBuf>, text: &(impl Display + ?Sized)) -> Self {
        self.files.insert(name.into(), text.to_string());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Without a line for each request: for scenarios under load.
    #[must_use]
    pub fn quiet(self) -> Self {
        self.argument("--quiet")
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it ends or is not ready within two minutes; the text holds its output.
    pub async fn start(self) -> Result<Dev> {
        let (mut process, folder) = self.spawn()?;
        let ready = process.line("the event ready", START, |line| event(line, "ready")).await?;
        let ready =
            Ready::deserialize(&ready).with_context(|| format!("the event ready is not as expected: {ready}"))?;
        Ok(Dev { process, ready, folder })
    }

    /// Starts it without waiting for anything: for manifests that it must refuse.
    ///
    /// # Errors
    /// If files cannot be written or the binary is missing.
    pub fn spawn(self) -> Result<(Process, TempDir)> {
        let folder = tempfile::Builder::new().prefix("penstock-test-").tempdir()?;
        for (name, text) in &self.files {
            write(folder.path(), name, text)?;
        }
        let binary = self.binary.map_or_else(binary, Ok)?;
        let mut words = self.prefix.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["dev", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(&self.arguments).arg(folder.path()).envs(self.environment);
        Ok((Process::start(&mut command)?, folder))
    }
}

// === impl Dev ===

impl Dev {
    /// Starts on one file, `app.yaml`.
    ///
    /// # Errors
    /// As [`Options::start`].
    pub async fn start(manifest: &(impl Display + ?Sized)) -> Result<Self> {
        Options::default().file("app.yaml", manifest).start().await
    }

    /// The address of a listener: `shared`, or `namespace/service:port-name`.
    ///
    /// # Errors
    /// If there was no such listener when it became ready; the text names those there were.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        let names = || self.ready.listeners.keys().cloned().collect::<Vec<_>>().join(", ");
        self.ready.listeners.get(name).copied().with_context(|| format!("no listener {name}; there are {}", names()))
    }

    /// `GET` on the shared listener under a hostname.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub async fn get(&self, host: &str, path: &str) -> Result<Response<Bytes>> {
        crate::http::get(self.listener("shared")?, host, path).await
    }

    /// Writes a file of the folder: whole at once, as editors do (a new file renamed over the old one).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, manifest: &(impl Display + ?Sized)) -> Result<()> {
        write(self.folder.path(), name.as_ref(), &manifest.to_string())
    }

    /// Removes a file of the folder.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, name: impl AsRef<Path>) -> Result<()> {
        let path = self.folder.path().join(name);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Writes a file and waits until its content is what runs. The content must differ from what was there.
    ///
    /// # Errors
    /// If it is rejected (the text holds the problems), or if nothing happens within 30 s.
    pub async fn apply(&mut self, name: impl AsRef<Path>, manifest: &(impl Display + ?Sized)) -> Result<Value> {
        self.write_then(name.as_ref(), &manifest.to_string(), "applied").await
    }

    /// Writes a file that must be refused, and waits for the refusal.
    ///
    /// # Errors
    /// If it is applied, or if nothing happens within 30 s.
    pub async fn reject(&mut self, name: impl AsRef<Path>, manifest: &(impl Display + ?Sized)) -> Result<Value> {
        self.write_then(name.as_ref(), &manifest.to_string(), "rejected").await
    }

    async fn write_then(&mut self, name: &Path, manifest: &str, awaited: &str) -> Result<Value> {
        let mark = self.process.mark();
        write(self.folder.path(), name, manifest)?;
        let what = format!("{} to be {awaited}", name.display());
        let verdict = self.process.line_after(mark, &what, APPLY, |line| verdict(line, name)).await?;
        let got = verdict.get("event").and_then(Value::as_str).unwrap_or_default();
        anyhow::ensure!(got == awaited, "waited for {what}, but it was {got}: {verdict:#}");
        Ok(verdict)
    }

    /// An admin endpoint's JSON, such as `/v1/status`.
    ///
    /// # Errors
    /// If it does not answer 200 with JSON.
    pub async fn admin(&self, path: &str) -> Result<Value> {
        crate::http::json(self.ready.admin, path).await
    }

    /// Polls an admin endpoint until `holds` is true of it.
    ///
    /// # Errors
    /// If that takes longer than 30 s; the text holds the last answer and the process's output.
    pub async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + APPLY;
        loop {
            let last = self.admin(path).await;
            if let Ok(value) = &last
                && holds(value)
            {
                return last;
            }
            if tokio::time::Instant::now() >= deadline {
                anyhow::bail!("{path} did not become what was awaited: {last:?}\n{}", self.process.text());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where it listens, as it said when it became ready.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The process, for its lines, its memory, and signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The folder with the manifests.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The line as JSON if it is this event.
fn event(line: &Line, name: &str) -> Option<Value> {
    if line.stream != Stream::Out {
        return None;
    }
    let value: Value = serde_json::from_str(&line.text).ok()?;
    (value.get("event")? == name).then_some(value)
}

/// The line as JSON if it says what became of an edit of this file.
fn verdict(line: &Line, name: &Path) -> Option<Value> {
    let value = event(line, "applied").or_else(|| event(line, "rejected"))?;
    let files = value.get("files")?.as_array()?;
    files.iter().filter_map(Value::as_str).any(|file| Path::new(file).ends_with(name)).then_some(value)
}

fn write(folder: &Path, name: &Path, text: &str) -> Result<()> {
    let path = folder.join(name);
    // Hidden, so that a watcher which takes every `.yaml` does not see half a file.
    let hidden = path.with_file_name(format!(".{}.new", path.file_name().unwrap_or_default().display()));
    let written = || {
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&hidden, text)?;
        fs::rename(&hidden, &path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// The `penstock` binary: `$PENSTOCK_BIN`, else the one built beside this test.
///
/// # Errors
/// If there is none; the text says how to build it.
pub fn binary() -> Result<PathBuf> {
    if let Some(binary) = env::var_os("PENSTOCK_BIN") {
        return Ok(binary.into());
    }
    let this = env::current_exe()?;
    // target/debug/deps/scenario-1234 or target/debug/tool: look in both folders above.
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join("penstock")).find(|path| path.is_file());
    found.with_context(|| {
        let target = this.parent().unwrap_or(&this).display();
        format!("no penstock binary near {target}: run `cargo build -p penstock` first, or set PENSTOCK_BIN")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verdict_on_the_edited_file_counts() {
        let line = |stream, text: &str| Line { stream, text: text.into() };
        let name = Path::new("app.yaml");
        let cases = [
            (Stream::Out, r#"{"event":"applied","files":["/tmp/x/app.yaml"]}"#, true),
            (Stream::Out, r#"{"event":"rejected","files":["b.yaml","app.yaml"]}"#, true),
            (Stream::Out, r#"{"event":"applied","files":["my-app.yaml"]}"#, false),
            (Stream::Out, r#"{"event":"routes","files":["app.yaml"]}"#, false),
            (Stream::Err, r#"{"event":"applied","files":["app.yaml"]}"#, false),
            (Stream::Out, "app.yaml applied", false),
        ];
        for (stream, text, counts) in cases {
            assert_eq!(verdict(&line(stream, text), name).is_some(), counts, "{text}");
        }
    }

    #[test]
    fn the_event_ready_is_understood() {
        let text = r#"{"time":"2026-01-01T00:00:00Z","event":"ready","admin":"127.0.0.1:9",
            "listeners":{"shared":"127.0.0.1:8"},"ms":3,"files":1,"urls":[]}"#;
        let value = event(&Line { stream: Stream::Out, text: text.into() }, "ready").unwrap();
        let ready = Ready::deserialize(&value).unwrap();
        assert_eq!((ready.admin.port(), ready.listeners["shared"].port()), (9, 8));
    }
}
