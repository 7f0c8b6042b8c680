//! What the figures were made on, and which CPUs take part.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, ensure};

/// Which CPUs server and load run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cpus {
    /// The first half for the server, the second for the load: the server alone is the bottleneck, so that the ratio of
    /// rates is the ratio of costs.
    Split,
    /// All for both, as the kernel likes: closer to real use, but the load's own cost blurs the ratio.
    Shared,
}

impl Cpus {
    /// The words to put before a server's command.
    #[must_use]
    pub fn server(self) -> Vec<String> {
        let half = count() / 2;
        if self == Self::Shared || half == 0 {
            return Vec::new();
        }
        ["taskset", "-c", &format!("0-{}", half - 1)].map(Into::into).into()
    }

    /// Confines this process, all its threads and its later children.
    ///
    /// # Errors
    /// If `taskset` is missing or fails.
    pub fn confine_load(self) -> Result<()> {
        let (half, all) = (count() / 2, count());
        if self == Self::Shared || half == 0 {
            return Ok(());
        }
        let mut command = Command::new("taskset");
        command.args(["-a", "-c", "-p", &format!("{half}-{}", all - 1), &std::process::id().to_string()]);
        let output = command.output().context("cannot run taskset (package util-linux); or choose --cpus shared")?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// CPUs of the machine, whatever this process is confined to.
fn count() -> usize {
    let listed = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let listed = listed.lines().filter(|line| line.starts_with("processor")).count();
    if listed > 0 { listed } else { thread::available_parallelism().map_or(1, usize::from) }
}

/// How busy the machine is with other things: runnable tasks per CPU over the last minute.
#[must_use]
pub fn busy() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    #[allow(clippy::cast_precision_loss, reason = "a number of CPUs")]
    let cpus = count() as f64;
    load / cpus
}

/// The machine in one line.
#[must_use]
pub fn describe() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let gib = memory.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).map_or(0, |kib| kib >> 20);
    let (model, kernel) = (field(&read("/proc/cpuinfo"), "model name"), read("/proc/sys/kernel/osrelease"));
    format!("{} x {model}, {gib} GiB, Linux {}", count(), kernel.trim())
}

/// What every server gets in its environment. With an inherited `RUST_BACKTRACE=1` each error that a server makes and handles costs
/// it a walk of its stack: `wash` then does 70 calls a second in place of 4,000.
pub const ENVIRONMENT: (&str, &str) = ("RUST_BACKTRACE", "0");

/// Where tools and built components are kept.
#[must_use]
pub fn cache() -> PathBuf {
    let under = |variable: &str, path: &str| env::var_os(variable).map(|folder| Path::new(&folder).join(path));
    let found = under("PENSTOCK_CACHE", "").or_else(|| under("XDG_CACHE_HOME", "penstock"));
    found.or_else(|| under("HOME", ".cache/penstock")).unwrap_or_default()
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// Its own.
    pub anonymous: u64,
    /// Pages of files, shared memory included: the kernel can take most of them back.
    pub file: u64,
}

impl Memory {
    /// Of any process.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
        };
        Ok(Self { anonymous: bytes("RssAnon:"), file: bytes("RssFile:") + bytes("RssShmem:") })
    }
}

/// The first line of what a command prints, such as a version.
#[must_use]
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("?").to_owned()
}
