//! The first request to a workload that has no instance, its compiled form on disk: with the workload loaded already, and with the
//! whole server started for it.
//!
//! Writes every figure to `bench/results/coldstart.jsonl`, the table to `bench/results/coldstart.md`, and the same table into
//! `bench/README.md`.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Parser;
use penstock_bench::{
    client::{self, Answer},
    embed,
    figures::quantile,
    machine::{self, Cpus, ENVIRONMENT},
    render::whole,
    report,
    setup::Setup,
};
use penstock_tests::{
    dev::{Dev, Options},
    manifest::Workload,
    process::{self, Process},
    table::Table,
};
use serde::Serialize;

/// First requests.
#[derive(Debug, Parser)]
struct Arguments {
    /// Workloads in Rust, each of a component of its own, so that each has one first request.
    #[arg(long, default_value_t = 300)]
    rust: usize,
    /// Starts with the workload in JavaScript: its component is so large that each sample gets a server of its own.
    #[arg(long, default_value_t = 30)]
    javascript: usize,
    /// Starts of a whole server for each of the other figures.
    #[arg(long, default_value_t = 30)]
    restarts: usize,
    /// 20 workloads, 3 starts of each kind: half a minute.
    #[arg(long)]
    quick: bool,
    /// The wasmtime binary; the one that tests/guests/setup.sh installs otherwise.
    #[arg(long)]
    wasmtime: Option<PathBuf>,
    /// The component in JavaScript; the one that bench/guests/setup.sh builds otherwise.
    #[arg(long)]
    javascript_component: Option<PathBuf>,
    #[command(flatten)]
    setup: Setup,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    /// The component.
    component: &'static str,
    /// What had to happen before it.
    what: What,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum What {
    /// The workload's first request, the workload loaded.
    First,
    /// The request after that: a fresh instance too, but nothing that is done once.
    Second,
    /// From the start of a process with nothing but a host in it to the first byte.
    Restart,
    /// The same of `penstock dev`, which reads and checks manifests first.
    DevRestart,
    /// The same of `wasmtime serve`, with its own cache of compiled forms.
    WasmtimeRestart,
}

struct Bench {
    arguments: Arguments,
    penstock: PathBuf,
    wasmtime: PathBuf,
    /// Scratch.
    folder: PathBuf,
    samples: Vec<Sample>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    ensure!(!cfg!(debug_assertions), "this is a debug build, and so are the servers beside it; run it with --release");
    if arguments.quick {
        (arguments.rust, arguments.javascript, arguments.restarts) = (20, 3, 3);
    }
    report::warn_if_busy();
    let components = arguments.setup.components()?;
    let guests = machine::cache().join("guests");
    let javascript = arguments.javascript_component.clone().unwrap_or_else(|| guests.join("bench/hello-js.wasm"));
    let folder = tempfile::Builder::new().prefix("penstock-coldstart-").tempdir()?;
    let mut bench = Bench {
        penstock: arguments.setup.penstock()?,
        wasmtime: arguments.wasmtime.clone().unwrap_or_else(|| guests.join("bin/wasmtime")),
        folder: folder.path().to_owned(),
        arguments,
        samples: Vec::new(),
    };
    bench.arguments.setup.cpus.confine_load()?;
    for (name, p3) in [("hello-p2", false), ("hello-p3", true)] {
        let file = components.join(format!("{name}.wasm"));
        bench.loaded(name, &file, p3).await?;
        bench.restarted(name, &file, p3, bench.arguments.restarts).await?;
    }
    if javascript.exists() {
        bench.loaded_alone("hello-js", &javascript).await?;
        bench.restarted("hello-js", &javascript, false, bench.arguments.restarts).await?;
    } else {
        eprintln!("no component in JavaScript: bench/guests/setup.sh builds it");
    }
    let text = bench.text();
    println!("{text}");
    bench.arguments.setup.write("coldstart", &report::lines(&bench.samples)?, &text)
}

impl Bench {
    /// Every workload loaded, then the first request of each, then one more.
    async fn loaded(&mut self, name: &'static str, component: &Path, p3: bool) -> Result<()> {
        let images = embed::write_distinct(component, &self.folder.join(name), self.arguments.rust)?;
        let mut workloads = Vec::new();
        for (n, image) in images.iter().enumerate() {
            let workload = Workload::file(&format!("w{n}"), image).host(&embed::host(n));
            workloads.push(if p3 { workload.p3() } else { workload });
        }
        eprintln!("{name}: compiles {} components", workloads.len());
        drop(self.dev(&workloads, Cpus::Shared).await?);
        let dev = self.dev(&workloads, self.arguments.setup.cpus).await?;
        let address = dev.listener("shared")?;
        let count = workloads.len();
        let samples = tokio::task::spawn_blocking(move || -> Result<Vec<Sample>> {
            // What everything shares, such as the client's own code, has been used once.
            let warm = embed::host(count - 1);
            client::get(address, &warm)?;
            let mut samples = Vec::new();
            for n in 0..count - 1 {
                let host = embed::host(n * 7 % (count - 1).max(1));
                samples.extend(first_and_second(name, address, &host)?);
            }
            Ok(samples)
        });
        self.add(samples.await??);
        Ok(())
    }

    /// The same with a server for each sample.
    async fn loaded_alone(&mut self, name: &'static str, component: &Path) -> Result<()> {
        let workloads = [Workload::file("js", component).host("js.bench.test")];
        eprintln!("{name}: compiles");
        drop(self.dev(&workloads, Cpus::Shared).await?);
        for _ in 0..self.arguments.javascript {
            let dev = self.dev(&workloads, self.arguments.setup.cpus).await?;
            let address = dev.listener("shared")?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let samples = tokio::task::spawn_blocking(move || first_and_second(name, address, "js.bench.test"));
            self.add(samples.await??.to_vec());
        }
        Ok(())
    }

    /// From the start of a process to the first byte of its first answer: Penstock and `wasmtime serve` in turn.
    async fn restarted(&mut self, name: &'static str, component: &Path, p3: bool, restarts: usize) -> Result<()> {
        let workload = Workload::file("one", component).host("one.bench.test");
        let folder = self.folder.join(format!("{name}-restart"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("app.yaml"), if p3 { workload.p3() } else { workload }.to_string())?;
        // The first round is for compiling.
        for round in 0..=restarts {
            for what in [What::Restart, What::DevRestart, What::WasmtimeRestart] {
                let address = process::free_port()?;
                let mut command = match what {
                    What::Restart => self.restart(component, address)?,
                    What::DevRestart => self.restart_dev(&folder, address),
                    _ => self.restart_wasmtime(component, address),
                };
                let host = if what == What::Restart { embed::host(0) } else { "one.bench.test".to_owned() };
                let start = Instant::now();
                let _process = Process::start(command.env(ENVIRONMENT.0, ENVIRONMENT.1))?;
                let answer = tokio::task::spawn_blocking(move || client::get_when_open(address, &host, start));
                let answer = answer.await??;
                if round > 0 {
                    self.samples.push(Sample { component: name, what, answer });
                }
            }
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> Command {
        let words = self.arguments.setup.cpus.server();
        let Some((first, rest)) = words.split_first() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        command
    }

    /// A host with one workload: `density` has one in it.
    fn restart(&self, component: &Path, address: SocketAddr) -> Result<Command> {
        let list = self.folder.join("images.txt");
        fs::write(&list, component.display().to_string())?;
        let mut command = self.command(&env::current_exe()?.with_file_name("density"));
        command.arg("--serve").arg(self.folder.join("cache")).arg("--images").arg(list);
        command.args(["--at-once-on", &address.to_string()]);
        Ok(command)
    }

    fn restart_dev(&self, manifests: &Path, address: SocketAddr) -> Command {
        let mut command = self.command(&self.penstock);
        command.args([
            "dev",
            "--quiet",
            "--service-ports",
            "0",
            "--admin",
            "127.0.0.1:0",
            "--listen",
            &address.to_string(),
        ]);
        command.arg("--cache-dir").arg(self.folder.join("cache")).arg(manifests);
        command
    }

    fn restart_wasmtime(&self, component: &Path, address: SocketAddr) -> Command {
        let mut command = self.command(&self.wasmtime);
        command.args([
            "serve",
            "-S",
            "cli",
            "-C",
            "cache=y",
            "-O",
            "pooling-allocator=y",
            "--addr",
            &address.to_string(),
        ]);
        command.args(["--max-instance-reuse-count", "1"]).arg(component);
        command
    }

    async fn dev(&self, workloads: &[Workload], cpus: Cpus) -> Result<Dev> {
        let mut options = Options::default().quiet();
        for workload in workloads {
            options = options.file(format!("{}.yaml", workload.name), workload);
        }
        options.prefix = cpus.server();
        options.environment = vec![(ENVIRONMENT.0.into(), ENVIRONMENT.1.into())];
        options.binary = Some(self.penstock.clone());
        options.argument("--cache-dir").argument(self.folder.join("cache").display().to_string()).start().await
    }

    fn add(&mut self, samples: Vec<Sample>) {
        self.samples.extend(samples);
    }

    fn text(&self) -> String {
        let wasmtime = machine::first_line(&self.wasmtime.display().to_string(), &["--version"]);
        let cpus = if self.arguments.setup.cpus == Cpus::Split {
            "server and client each on half of the CPUs"
        } else {
            "server and client share all CPUs"
        };
        let method = format!(
            "time from before the connection, or the process's start, to the answer's first byte; {cpus}; files in the page cache"
        );
        let mut table = Table::new(["component", "request", "samples", "p50 ms", "p99 ms", "most ms", "goal"]);
        for name in ["hello-p2", "hello-p3", "hello-js"] {
            for (what, text) in [
                (What::First, "a loaded workload's first"),
                (What::Second, "its second, fresh too"),
                (What::Restart, "first after a start of a host"),
                (What::DevRestart, "the same of `penstock dev`"),
                (What::WasmtimeRestart, "the same of `wasmtime serve`"),
            ] {
                let of = self.samples.iter().filter(|it| it.component == name && it.what == what);
                let ms: Vec<_> = of.map(|it| it.answer.first_us / 1e3).collect();
                if ms.is_empty() {
                    continue;
                }
                let goal = match (what, name) {
                    (What::First, "hello-js") => "p50 < 20 ms",
                    (What::First, _) => "p50 < 1 ms, p99 < 5 ms",
                    _ => "",
                };
                table.row([
                    name.to_owned(),
                    text.to_owned(),
                    whole(ms.len() as f64),
                    format!("**{:.2}**", quantile(&ms, 0.5)),
                    format!("**{:.2}**", quantile(&ms, 0.99)),
                    format!("{:.2}", quantile(&ms, 1.0)),
                    goal.to_owned(),
                ]);
            }
        }
        format!("{}\n{table}", report::conditions("coldstart", &[wasmtime], &method))
    }
}

fn first_and_second(component: &'static str, address: SocketAddr, host: &str) -> Result<[Sample; 2]> {
    // Each is alone: nothing of the one before is still being cleared away.
    let pause = || std::thread::sleep(Duration::from_millis(2));
    pause();
    let first = client::get(address, host)?;
    pause();
    let second = client::get(address, host)?;
    Ok([(What::First, first), (What::Second, second)].map(|(what, answer)| Sample { component, what, answer }))
}
