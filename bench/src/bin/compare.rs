//! Penstock beside its peers, in one run on one machine.
//!
//! Writes every figure to `bench/results/compare.jsonl`, the tables to `bench/results/compare.md`, and the same tables
//! into `bench/README.md`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use penstock_bench::{
    machine::{self, Cpus},
    measure::{self, Method},
    peers::{self, Places},
    render, report,
    setup::Setup,
    wrk,
};
use penstock_tests::chart;

/// Penstock beside its peers, in one run on one machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only the pairs whose name contains one of these: native, hello-wat, hello-p2, hello-p3, echo,
    /// stream, js, fresh, warm.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds, each of all servers.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seconds of load before each measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Connections at once.
    #[arg(long, default_value_t = peers::WARM as usize)]
    connections: usize,
    /// One more argument for `penstock dev`; may be given again.
    #[arg(long, allow_hyphen_values = true, default_value = "--quiet")]
    penstock_argument: Vec<String>,
    /// The wasmtime binary; the one that tests/guests/setup.sh installs otherwise.
    #[arg(long)]
    wasmtime: Option<PathBuf>,
    /// The wash binary; the one that bench/guests/setup.sh installs otherwise.
    #[arg(long)]
    wash: Option<PathBuf>,
    /// The component in JavaScript; the one that bench/guests/setup.sh builds otherwise.
    #[arg(long)]
    javascript: Option<PathBuf>,
    #[command(flatten)]
    setup: Setup,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let places = places(&arguments)?;
    let method = Method {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        warm_up: arguments.warm_up,
        connections: arguments.connections,
        cpus: arguments.setup.cpus,
    };
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part));
    let pairs: Vec<_> = peers::pairs(&places)?.into_iter().filter(|pair| wanted(&pair.name)).collect();
    ensure!(!pairs.is_empty(), "no pair is called like {:?}", arguments.only);
    ensure!(wrk::version() != "wrk ?", "wrk is not installed: apt-get install wrk");
    ensure!(!cfg!(debug_assertions), "this is a debug build, and so are the servers beside it; run it with --release");
    let busy = report::warn_if_busy();
    // Before any server: they are put on their own CPUs by name.
    arguments.setup.cpus.confine_load()?;

    let mut all = Vec::new();
    let mut raw = String::new();
    for pair in pairs {
        let results = measure::pair(&pair, method, |line| eprintln!("{line}")).await?;
        raw += &report::lines(&results.samples)?;
        raw += &report::lines(&results.steady)?;
        all.push((pair, results));
    }
    let text = format!("{}\n{}", conditions(&places, method, busy), render::tables(&all, &peers::notes(&places)));
    let ratio = |pair: &peers::Pair, results: &measure::Results| {
        pair.peers.first().and_then(|peer| render::ratio(pair, peer, results)).unwrap_or_default().0
    };
    let bars: Vec<_> = all.iter().map(|(pair, results)| (pair.name.as_str(), ratio(pair, results))).collect();
    println!("{text}\n{}", chart::bars(&bars, 40, |ratio| format!("{ratio:.2} of its first peer")));
    arguments.setup.write("compare", &raw, &text)
}

fn places(arguments: &Arguments) -> Result<Places> {
    let installed = |file: &str| machine::cache().join("guests").join(file);
    let there = |given: &Option<PathBuf>, file: &str| {
        given.clone().or_else(|| Some(installed(file)).filter(|path| path.exists()))
    };
    // Only the pairs with components need these; whether they exist shows when they start.
    let penstock = arguments.setup.penstock().unwrap_or_else(|_| "penstock".into());
    Ok(Places {
        penstock,
        arguments: arguments.penstock_argument.clone(),
        wasmtime: arguments.wasmtime.clone().unwrap_or_else(|| installed("bin/wasmtime")),
        wash: there(&arguments.wash, "bench/wash"),
        javascript: there(&arguments.javascript, "bench/hello-js.wasm"),
        components: arguments.setup.components()?,
    })
}

/// All that one must know to get the same figures.
fn conditions(places: &Places, method: Method, busy: f64) -> String {
    let version = |program: &Path| machine::first_line(&program.display().to_string(), &["--version"]);
    let mut programs = vec![version(&places.wasmtime)];
    programs.extend(places.wash.as_deref().map(version));
    programs.push(wrk::version());
    // Whatever binary --penstock names: nobody shall take a debug build's figures for the real ones.
    if places.penstock.components().any(|part| part.as_os_str() == "debug") {
        programs.push("a debug build of penstock".to_owned());
    }
    let Method { rounds, seconds, warm_up, connections, cpus } = method;
    let cpus =
        if cpus == Cpus::Split { "server and load each on half of the CPUs" } else { "server and load share all CPUs" };
    let method = format!(
        "{rounds} rounds of {seconds} s after {warm_up} s of warm-up, {connections} connections, {cpus}; {busy:.2} tasks per CPU \
         before the start"
    );
    report::conditions("compare", &programs, &method)
}
