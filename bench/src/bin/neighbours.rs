//! An innocent workload alone, and beside others that spin, eat memory, trap, read slowly, never end or call themselves.
//!
//! Writes every figure to `bench/results/neighbours.jsonl`, the table to `bench/results/neighbours.md`, and the same table into
//! `bench/README.md`.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Parser;
use penstock_bench::{
    figures::{median, spread},
    machine::{Cpus, ENVIRONMENT},
    render::whole,
    report,
    setup::Setup,
};
use penstock_tests::{
    dev::{Dev, Options},
    load::{Plan, Report, Running},
    manifest::Workload,
    table::Table,
};
use serde::Serialize;

/// How deep a call that calls itself goes.
const DEPTH: usize = 6;

/// An innocent workload beside bad neighbours.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only the neighbours whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds, each of all neighbours, and alone before each of them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Requests a second to the innocent one: far below what it could do, so that its latency is its own.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// Calls of the neighbour at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// One round of 2 s: half a minute.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    setup: Setup,
}

/// What a neighbour does, so many calls at once.
#[derive(Clone, Copy, Debug)]
enum Bad {
    /// Asks for this path, again and again.
    Ask(&'static str),
    /// Asks for this path and takes a kilobyte of the answer every tenth of a second.
    ReadSlowly(&'static str),
    /// Asks for this path and takes all that comes.
    ReadAll(&'static str),
    /// Sends a body to this path, a byte every tenth of a second.
    WriteSlowly(&'static str),
    /// Each call makes a call to the same workload, and that one another, and so on.
    CallItself,
}

const NEIGHBOURS: [(&str, Bad); 8] = [
    ("spins", Bad::Ask("/spin")),
    ("eats memory", Bad::Ask("/hog")),
    ("traps", Bad::Ask("/trap")),
    ("reads slowly", Bad::ReadSlowly("/infinite?size=65536")),
    ("writes slowly", Bad::WriteSlowly("/upload")),
    ("answers without end", Bad::ReadAll("/infinite?size=65536")),
    ("calls itself", Bad::CallItself),
    ("works hard", Bad::Ask("/burn?ms=50")),
];

/// The innocent one in one measurement.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    neighbour: &'static str,
    round: usize,
    alone: Innocent,
    beside: Innocent,
    /// Calls that the neighbour's clients ended, or bytes where they are about bodies.
    done: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Innocent {
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    answered: u64,
    errors: u64,
    /// 99th percentile of how late requests were sent: near the latency's own, the load was the bottleneck.
    lag_p99_us: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    ensure!(!cfg!(debug_assertions), "this is a debug build, and so are the servers beside it; run it with --release");
    if arguments.quick {
        (arguments.rounds, arguments.seconds) = (1, 2);
    }
    report::warn_if_busy();
    arguments.setup.cpus.confine_load()?;
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part));
    let mut samples = Vec::new();
    for round in 0..arguments.rounds {
        for (name, bad) in NEIGHBOURS.into_iter().filter(|it| wanted(it.0)) {
            // A server of its own: what one neighbour leaves behind is not the next one's doing.
            let dev = start(&arguments).await?;
            innocent(&dev, &arguments, 1).await?;
            let alone = innocent(&dev, &arguments, arguments.seconds).await?;
            let neighbour = Neighbour::start(&dev, bad, arguments.at_once)?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let beside = innocent(&dev, &arguments, arguments.seconds).await?;
            let done = neighbour.stop().await?;
            let sample = Sample { neighbour: name, round, alone, beside, done };
            eprintln!("{}", serde_json::to_string(&sample)?);
            samples.push(sample);
        }
    }
    let text = text(&arguments, &samples);
    println!("{text}");
    arguments.setup.write("neighbours", &report::lines(&samples)?, &text)
}

async fn start(arguments: &Arguments) -> Result<Dev> {
    let components = arguments.setup.components()?;
    let innocent = Workload::file("innocent", &components.join("hello-p2.wasm")).host("innocent.test");
    let mut bad = Workload::file("bad", &components.join("kitchen-p2.wasm")).host("bad.test");
    bad.request_timeout = Some("2s");
    bad.memory_limit_mib = Some(128);
    bad.allowed_hosts = vec!["127.0.0.1".into()];
    let mut options = Options::default().quiet().file("innocent.yaml", &innocent).file("bad.yaml", &bad);
    options.prefix = arguments.setup.cpus.server();
    options.environment = vec![(ENVIRONMENT.0.into(), ENVIRONMENT.1.into())];
    options.binary = Some(arguments.setup.penstock()?);
    options.start().await
}

async fn innocent(dev: &Dev, arguments: &Arguments, seconds: u64) -> Result<Innocent> {
    let plan = Plan::new(dev.listener("shared")?).authority("innocent.test").path("/x")?;
    let report: Report = plan.connections(32).rate(arguments.rate).seconds(seconds).start()?.finish().await?;
    let us = |duration: Duration| duration.as_secs_f64() * 1e6;
    let wrong: u64 = report.statuses.iter().filter(|(status, _)| **status != 200).map(|(_, count)| count).sum();
    Ok(Innocent {
        p50_us: us(report.latency.p(0.5)),
        p99_us: us(report.latency.p(0.99)),
        max_us: us(report.latency.max()),
        answered: report.answered,
        errors: report.failed + wrong,
        lag_p99_us: us(report.lag.p(0.99)),
    })
}

/// A neighbour's clients.
enum Neighbour {
    Load(Running),
    Threads { stop: Arc<AtomicBool>, bytes: Arc<AtomicU64>, threads: Vec<JoinHandle<()>> },
}

impl Neighbour {
    fn start(dev: &Dev, bad: Bad, at_once: usize) -> Result<Self> {
        let address = dev.listener("shared")?;
        let path = match bad {
            Bad::Ask(path) => path.to_owned(),
            Bad::CallItself => call_itself(dev.listener("default/bad:http")?),
            Bad::ReadSlowly(_) | Bad::ReadAll(_) | Bad::WriteSlowly(_) => {
                let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
                let client = || {
                    let (stop, bytes) = (stop.clone(), bytes.clone());
                    thread::spawn(move || {
                        while !stop.load(Relaxed) {
                            // The host ends these calls at their deadline; then the next one begins.
                            let _ = body(address, bad, &stop, &bytes);
                        }
                    })
                };
                let threads = (0..at_once).map(|_| client()).collect();
                return Ok(Self::Threads { stop, bytes, threads });
            }
        };
        let plan = Plan::new(address).authority("bad.test").path(&path)?.connections(at_once);
        Ok(Self::Load(plan.seconds(3_600).start()?))
    }

    async fn stop(self) -> Result<u64> {
        match self {
            Self::Load(running) => {
                running.stop();
                let report = running.finish().await?;
                Ok(report.answered + report.failed)
            }
            Self::Threads { stop, bytes, threads } => {
                stop.store(true, Relaxed);
                let joined = tokio::task::spawn_blocking(|| threads.into_iter().try_for_each(JoinHandle::join));
                ensure!(joined.await?.is_ok(), "a client panicked");
                Ok(bytes.load(Relaxed))
            }
        }
    }
}

/// One call with a body that is slow, or large, until it ends or is to stop.
fn body(address: SocketAddr, bad: Bad, stop: &AtomicBool, bytes: &AtomicU64) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(100);
    let (method, path) = match bad {
        Bad::WriteSlowly(path) => ("POST", path),
        Bad::ReadSlowly(path) | Bad::ReadAll(path) | Bad::Ask(path) => ("GET", path),
        Bad::CallItself => ("GET", "/"),
    };
    let mut connection = TcpStream::connect(address).inspect_err(|_| thread::sleep(PAUSE))?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    let length = if method == "POST" { "content-length: 1000000\r\n" } else { "" };
    connection.write_all(format!("{method} {path} HTTP/1.1\r\nhost: bad.test\r\n{length}\r\n").as_bytes())?;
    let mut buffer = vec![0; if matches!(bad, Bad::ReadAll(_)) { 64 << 10 } else { 1 << 10 }];
    while !stop.load(Relaxed) {
        let moved =
            if matches!(bad, Bad::WriteSlowly(_)) { connection.write(b"x")? } else { connection.read(&mut buffer)? };
        if moved == 0 {
            break;
        }
        bytes.fetch_add(moved as u64, Relaxed);
        if !matches!(bad, Bad::ReadAll(_)) {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// A path that makes the guest fetch such a path of itself, and so on.
fn call_itself(own: SocketAddr) -> String {
    let mut path = "/hello".to_owned();
    for _ in 0..DEPTH {
        let url: String = format!("http://{own}{path}")
            .bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect();
        path = format!("/fetch?url={url}");
    }
    path
}

fn text(arguments: &Arguments, samples: &[Sample]) -> String {
    let method = format!(
        "{} rounds; {} s alone, then {} s beside {} calls at once of the neighbour, in a new server each time; {:.0} requests a second \
         to the innocent one in open loop; {}",
        arguments.rounds,
        arguments.seconds,
        arguments.seconds,
        arguments.at_once,
        arguments.rate,
        if arguments.setup.cpus == Cpus::Split {
            "server and load each on half of the CPUs"
        } else {
            "server and load share all CPUs"
        },
    );
    let mut table = Table::new([
        "the neighbour",
        "alone, p50 us",
        "p99 us",
        "beside it, p50 us",
        "p99 us",
        "p99 : alone",
        "least to greatest",
        "goal",
        "errors",
        "sent late, p99 us",
        "its own calls or MiB",
    ]);
    for (name, bad) in NEIGHBOURS {
        let of: Vec<_> = samples.iter().filter(|sample| sample.neighbour == name).collect();
        if of.is_empty() {
            continue;
        }
        let middle = |what: &dyn Fn(&Sample) -> f64| whole(median(of.iter().map(|sample| what(sample))));
        let ratios: Vec<_> = of.iter().map(|sample| sample.beside.p99_us / sample.alone.p99_us).collect();
        let (ratio, least, greatest) = spread(&ratios);
        let done = median(of.iter().map(|sample| sample.done as f64));
        let bytes = matches!(bad, Bad::ReadSlowly(_) | Bad::ReadAll(_) | Bad::WriteSlowly(_));
        table.row([
            name.to_owned(),
            middle(&|it| it.alone.p50_us),
            middle(&|it| it.alone.p99_us),
            middle(&|it| it.beside.p50_us),
            middle(&|it| it.beside.p99_us),
            format!("**{ratio:.2}**"),
            format!("{least:.2} to {greatest:.2}"),
            "<= 2.00".to_owned(),
            of.iter().map(|sample| sample.alone.errors + sample.beside.errors).sum::<u64>().to_string(),
            middle(&|it| it.beside.lag_p99_us),
            if bytes { format!("{:.1} MiB", done / f64::from(1 << 20)) } else { whole(done) },
        ]);
    }
    format!("{}\n{table}", report::conditions("neighbours", &[], &method))
}
