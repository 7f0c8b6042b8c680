//! What is compared with what.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use penstock_tests::{
    dev::{self, Dev},
    manifest::Workload,
    process::Process,
};

use crate::{machine::Cpus, routes, wrk::Ask};

const START: Duration = Duration::from_secs(60);

/// Instances that are kept warm, and connections unless said otherwise: one for each.
pub const WARM: u32 = 64;

/// Penstock and one peer on the same work.
#[derive(Clone, Debug)]
pub struct Pair {
    /// For the table and `--only`.
    pub name: String,
    /// The peer, which is 1 in every ratio.
    pub peer: Server,
    /// Penstock.
    pub penstock: Server,
    /// What is asked of both.
    pub ask: Ask,
    /// The least ratio of rates that this project sets itself.
    pub goal: f64,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub enum Server {
    /// A program that prints `listening on ADDRESS` or `Serving HTTP on http://ADDRESS/`.
    Program {
        /// For the table.
        name: String,
        /// Program and arguments.
        command: Vec<String>,
    },
    /// `penstock dev` with one workload.
    Dev {
        /// The binary.
        binary: PathBuf,
        /// More arguments.
        arguments: Vec<String>,
        /// What it runs.
        workload: Box<Workload>,
    },
}

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub enum Started {
    /// A plain process.
    Program(Process, SocketAddr),
    /// `penstock dev`.
    Dev(Box<Dev>, SocketAddr),
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The `penstock` binary.
    pub penstock: PathBuf,
    /// More arguments for `penstock dev`.
    pub arguments: Vec<String>,
    /// The `wasmtime` binary.
    pub wasmtime: PathBuf,
    /// The folder of the component files.
    pub components: PathBuf,
}

/// Every pair, in the order of the table.
///
/// # Errors
/// If this program does not know where it is.
pub fn pairs(places: &Places) -> Result<Vec<Pair>> {
    let mut pairs = vec![native()?];
    for (component, p3) in [("hello-wat", false), ("hello-p2", false), ("hello-p3", true)] {
        let file = places.components.join(format!("{component}.wasm"));
        for warm in [false, true] {
            pairs.push(component_pair(places, component, &file, p3, warm));
        }
    }
    Ok(pairs)
}

fn native() -> Result<Pair> {
    let folder = env::current_exe()?.parent().map(Path::to_path_buf).context("this program is nowhere")?;
    let server = |file: &str, name: &str| Server::Program {
        name: name.into(),
        command: vec![folder.join(file).display().to_string()],
    };
    Ok(Pair {
        name: "native".into(),
        peer: server("plain_hyper", "plain hyper"),
        penstock: server("native", "penstock router, 10,000 routes"),
        ask: Ask::Turns(routes::asked().collect()),
        goal: 0.85,
    })
}

/// The same component under the same rules of reuse. Fresh: one call an instance, one at a time. Warm 0.2: instances
/// live on, one call at a time (the only way for 0.2). Warm 0.3: wasmtime's defaults, 128 calls, 16 at a time.
fn component_pair(places: &Places, component: &str, file: &Path, p3: bool, warm: bool) -> Pair {
    let (reuse, at_once) = match (warm, p3) {
        (false, _) => (1, 1),
        (true, false) => (1_000_000_000, 1),
        (true, true) => (128, 16),
    };
    let mut command = vec![places.wasmtime.display().to_string()];
    command.extend(
        ["serve", "--addr", "127.0.0.1:0", "-O", "pooling-allocator=y", "--max-instance-reuse-count"].map(Into::into),
    );
    command.extend([reuse.to_string(), "--max-instance-concurrent-reuse-count".into(), at_once.to_string()]);
    command.push(file.display().to_string());
    let mut workload = Workload::file("bench", file).host("bench.local");
    // Capacity is not what is measured: no request may wait for a place.
    workload.capacity = Some((4 * WARM, 4 * WARM, "5s"));
    if p3 {
        workload = workload.p3();
    }
    if warm {
        workload = workload.pool_size(WARM / at_once);
        if p3 {
            workload.max_invocations = Some(reuse);
            workload.max_concurrency = Some(at_once);
        }
    }
    Pair {
        name: format!("{component}-{}", if warm { "warm" } else { "fresh" }),
        peer: Server::Program { name: "wasmtime serve".into(), command },
        penstock: Server::Dev {
            binary: places.penstock.clone(),
            arguments: places.arguments.clone(),
            workload: Box::new(workload),
        },
        ask: Ask::One { host: Some("bench.local".into()), path: "/".into() },
        goal: if warm { 1.1 } else { 1.3 },
    }
}

// === impl Server ===

impl Server {
    /// For the table.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Program { name, .. } => name,
            Self::Dev { .. } => "penstock dev",
        }
    }

    /// Starts it on its CPUs and waits until it listens.
    ///
    /// # Errors
    /// If it is missing or does not listen in time; the text holds its output.
    pub async fn start(&self, cpus: Cpus) -> Result<Started> {
        match self {
            Self::Program { command, .. } => {
                let words: Vec<_> = cpus.server().into_iter().chain(command.iter().cloned()).collect();
                let [program, arguments @ ..] = words.as_slice() else { anyhow::bail!("an empty command") };
                let mut process = Process::start(Command::new(program).args(arguments))?;
                let address = process.line("its address", START, |line| address(&line.text)).await?;
                Ok(Started::Program(process, address))
            }
            Self::Dev { binary, arguments, workload } => {
                let mut options = dev::Options::default().file("app.yaml", workload.as_ref());
                options.prefix = cpus.server();
                options.binary = Some(binary.clone());
                options.arguments.clone_from(arguments);
                let dev = options.start().await?;
                let address = dev.listener("shared")?;
                Ok(Started::Dev(Box::new(dev), address))
            }
        }
    }
}

/// `taskset` replaces itself by the program, so the process that was started is the server either way.
impl Started {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Program(_, address) | Self::Dev(_, address) => *address,
        }
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        match self {
            Self::Program(process, _) => process,
            Self::Dev(dev, _) => dev.process(),
        }
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let rest = line.strip_prefix("listening on ").or_else(|| line.strip_prefix("Serving HTTP on http://"))?;
    rest.trim_end_matches('/').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_what_servers_print() {
        let expected = "127.0.0.1:8080".parse().ok();
        assert_eq!(address("listening on 127.0.0.1:8080"), expected);
        assert_eq!(address("Serving HTTP on http://127.0.0.1:8080/"), expected);
        assert_eq!(address("warming up"), None);
    }

    #[test]
    fn both_sides_of_a_pair_follow_the_same_rules_of_reuse() {
        let places = Places {
            penstock: "penstock".into(),
            arguments: Vec::new(),
            wasmtime: "wasmtime".into(),
            components: "/c".into(),
        };
        let pair = |p3, warm| match component_pair(&places, "hello", Path::new("/c/hello.wasm"), p3, warm) {
            Pair { peer: Server::Program { command, .. }, penstock: Server::Dev { workload, .. }, .. } => {
                let flag = |name: &str| command.iter().skip_while(|word| *word != name).nth(1).cloned();
                let reuse = flag("--max-instance-reuse-count");
                let at_once = flag("--max-instance-concurrent-reuse-count");
                let ours = (workload.pool_size, workload.max_invocations, workload.max_concurrency);
                (reuse.unwrap(), at_once.unwrap(), ours)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(pair(false, false), ("1".into(), "1".into(), (None, None, None)));
        assert_eq!(pair(true, false), ("1".into(), "1".into(), (None, None, None)));
        assert_eq!(pair(false, true), ("1000000000".into(), "1".into(), (Some(64), None, None)));
        assert_eq!(pair(true, true), ("128".into(), "16".into(), (Some(4), Some(128), Some(16))));
    }
}
