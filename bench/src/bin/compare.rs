//! Penstock beside its peers, in one run on one machine.
//!
//! Writes every figure to `bench/results/compare.jsonl`, the tables to `bench/results/compare.md`, and the same tables
//! into `bench/README.md`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use penstock_bench::{
    machine::{self, Cpus},
    measure::{self, Method},
    peers::{self, Places},
    render, wrk,
};
use penstock_tests::{chart, dev};

/// Penstock beside its peers, in one run on one machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only the pairs whose name contains one of these: native, hello-wat, hello-p2, hello-p3, fresh, warm.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds, each of both servers.
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
    /// Which CPUs server and load run on.
    #[arg(long, value_enum, default_value = "split")]
    cpus: Cpus,
    /// The penstock binary; the one beside this program otherwise.
    #[arg(long)]
    penstock: Option<PathBuf>,
    /// One more argument for `penstock dev`; may be given again.
    #[arg(long, allow_hyphen_values = true, default_value = "--quiet")]
    penstock_argument: Vec<String>,
    /// The wasmtime binary; the one that tests/guests/setup.sh installs otherwise.
    #[arg(long)]
    wasmtime: Option<PathBuf>,
    /// Folder of hello-p2.wasm, hello-p3.wasm and hello-wat.wasm.
    #[arg(long)]
    components: Option<PathBuf>,
    /// Leaves bench/README.md as it is.
    #[arg(long)]
    no_readme: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = places(&arguments, bench)?;
    let method = Method {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        warm_up: arguments.warm_up,
        connections: arguments.connections,
        cpus: arguments.cpus,
    };
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part));
    let pairs: Vec<_> = peers::pairs(&places)?.into_iter().filter(|pair| wanted(&pair.name)).collect();
    ensure!(!pairs.is_empty(), "no pair is called like {:?}", arguments.only);
    ensure!(wrk::version() != "wrk ?", "wrk is not installed: apt-get install wrk");
    ensure!(!cfg!(debug_assertions), "this is a debug build, and so are the servers beside it; run it with --release");
    let busy = machine::busy();
    if busy > 0.25 {
        eprintln!(
            "warning: other work keeps the machine busy ({busy:.2} tasks per CPU); the figures will not be worth much"
        );
    }
    // Before any server: they are put on their own CPUs by name.
    arguments.cpus.confine_load()?;

    let mut all = Vec::new();
    let mut raw = String::new();
    for pair in pairs {
        let results = measure::pair(&pair, method, |line| eprintln!("{line}")).await?;
        for sample in &results.samples {
            raw.push_str(&format!("{}\n", serde_json::to_string(sample)?));
        }
        for steady in &results.steady {
            raw.push_str(&format!("{}\n", serde_json::to_string(steady)?));
        }
        all.push((pair, results));
    }
    let text = format!("{}\n{}", conditions(&places, method, busy), render::tables(&all));
    let bars: Vec<_> = all.iter().map(|(pair, results)| (pair.name.as_str(), render::ratio(pair, results).0)).collect();
    println!("{text}\n{}", chart::bars(&bars, 40, |ratio| format!("{ratio:.2} of its peer")));
    write(bench, &raw, &text, arguments.no_readme)
}

fn write(bench: &Path, raw: &str, text: &str, no_readme: bool) -> Result<()> {
    let results = bench.join("results");
    fs::create_dir_all(&results)?;
    fs::write(results.join("compare.jsonl"), raw)?;
    fs::write(results.join("compare.md"), text)?;
    let readme = bench.join("README.md");
    if !no_readme {
        let filled = render::fill(&fs::read_to_string(&readme)?, text).context("bench/README.md has lost its marks")?;
        fs::write(&readme, filled)?;
    }
    Ok(())
}

fn places(arguments: &Arguments, bench: &Path) -> Result<Places> {
    let cache = || {
        let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache/penstock"));
        env::var_os("PENSTOCK_CACHE").map(PathBuf::from).or_else(home).unwrap_or_default()
    };
    // Only the pairs with components need these; whether they exist shows when they start.
    let penstock = arguments.penstock.clone().or_else(|| dev::binary().ok()).unwrap_or_else(|| "penstock".into());
    let components = arguments.components.clone().unwrap_or_else(|| bench.join("../tests/guests/components"));
    Ok(Places {
        penstock,
        arguments: arguments.penstock_argument.clone(),
        wasmtime: arguments.wasmtime.clone().unwrap_or_else(|| cache().join("guests/bin/wasmtime")),
        components: fs::canonicalize(&components).with_context(|| format!("no folder {}", components.display()))?,
    })
}

/// All that one must know to get the same figures.
fn conditions(places: &Places, method: Method, busy: f64) -> String {
    let command: Vec<_> = env::args().skip(1).collect();
    let command = format!("cargo run --release -p penstock-bench --bin compare -- {}", command.join(" "));
    let wasmtime = machine::first_line(&places.wasmtime.display().to_string(), &["--version"]);
    let Method { rounds, seconds, warm_up, connections, cpus } = method;
    let cpus =
        if cpus == Cpus::Split { "server and load each on half of the CPUs" } else { "server and load share all CPUs" };
    // Whatever binary --penstock names: nobody shall take a debug build's figures for the real ones.
    let debug = places.penstock.components().any(|part| part.as_os_str() == "debug");
    let debug = if debug { " (debug build)" } else { "" };
    format!(
        "- {}, {}, {busy:.2} tasks per CPU before the start\n- penstock {}{debug}, {wasmtime}, {}, {}\n- {rounds} rounds of {seconds} s after {warm_up} s of warm-up, \
         {connections} connections, {cpus}\n- `{}`\n",
        machine::first_line("date", &["-u", "+%F"]),
        machine::describe(),
        env!("CARGO_PKG_VERSION"),
        wrk::version(),
        machine::first_line("rustc", &["--version"]),
        command.trim_end_matches([' ', '-']),
    )
}
