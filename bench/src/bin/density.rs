//! Thousands of workloads on one host: what an idle one holds, how long they take to load, and what they do to each other's calls.
//!
//! Each host is a process of its own (this program again, `--serve`), on half of the CPUs. Writes every figure to
//! `bench/results/density.jsonl`, the tables to `bench/results/density.md`, and the same tables into `bench/README.md`.

use std::{
    env,
    hint::black_box,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Parser;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use penstock_bench::{
    embed::{self, Said, Serve},
    figures::median,
    machine::{Cpus, ENVIRONMENT, Memory},
    render::whole,
    report,
};
use penstock_router::route::{RequestKey, Route, RouteTable, Rule};
use penstock_tests::{
    load::{Plan, Report},
    process::{Process, Stream},
    table::Table,
};
use serde::Serialize;

/// Thousands of workloads on one host: memory, load time, call time.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many workloads.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
    counts: Vec<usize>,
    /// Whether all workloads are of the same component, or each of one of its own.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Content::Shared, Content::Distinct])]
    content: Vec<Content>,
    /// The most components of their own: each is compiled once, at about 0.2 s.
    #[arg(long, default_value_t = 1_000)]
    distinct_most: usize,
    /// As many components of their own as workloads: an hour more.
    #[arg(long)]
    all: bool,
    /// Rounds, each of every number of workloads.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Requests a second: far below what the host can do.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Seconds after which workloads that are not ready count as never ready.
    #[arg(long, default_value_t = 900)]
    patience: u64,
    /// 10 and 100 workloads, one round: a first idea in half a minute.
    #[arg(long)]
    quick: bool,
    /// The component; hello-p2.wasm of the test guests otherwise.
    #[arg(long)]
    component: Option<PathBuf>,
    /// Which CPUs the host and the load run on.
    #[arg(long, value_enum, default_value = "split")]
    cpus: Cpus,
    /// Leaves bench/README.md as it is.
    #[arg(long)]
    no_readme: bool,
    /// Runs such a host with this cache folder: what this program starts itself as.
    #[arg(long, hide = true, requires = "images")]
    serve: Option<PathBuf>,
    /// The files of its components, one a line.
    #[arg(long, hide = true)]
    images: Option<PathBuf>,
    /// Where it listens, if all is to be as fast as it can be: for `coldstart`.
    #[arg(long, hide = true)]
    at_once_on: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
enum Content {
    /// The same component for all.
    Shared,
    /// One of its own for each.
    Distinct,
}

/// One host, or why there is none.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    content: Content,
    workloads: usize,
    round: usize,
    /// Milliseconds until every workload was ready, compiled forms on disk.
    load_ms: f64,
    /// Bytes that each workload added, before its first call.
    idle: Each,
    /// The same after every workload has been called once.
    used: Each,
    /// The first call of each workload.
    first: Calls,
    /// Calls of ten workloads in turn, spread over all.
    ten: Calls,
    /// Calls of all workloads in turn.
    turns: Calls,
}

/// Bytes a workload.
#[derive(Clone, Copy, Debug, Serialize)]
struct Each {
    anonymous: f64,
    file: f64,
}

/// Latency from when a call was due, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Calls {
    calls: u64,
    p50_us: f64,
    p99_us: f64,
}

/// What could not be measured.
#[derive(Clone, Debug, Serialize)]
struct Missing {
    content: Content,
    workloads: usize,
    reason: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if let (Some(cache), Some(images)) = (&arguments.serve, &arguments.images) {
        let serve = Serve {
            cache: cache.clone(),
            images: std::fs::read_to_string(images)?.lines().map(PathBuf::from).collect(),
            listen: arguments.at_once_on.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
            patience: Duration::from_secs(arguments.patience),
            settle: arguments.at_once_on.is_none(),
        };
        return embed::serve(serve).await;
    }
    ensure!(!cfg!(debug_assertions), "this is a debug build; run it with --release");
    if arguments.quick {
        arguments.counts = vec![10, 100];
        (arguments.rounds, arguments.seconds) = (1, 1);
    }
    report::warn_if_busy();
    let component = report::folder().join("../tests/guests/components/hello-p2.wasm");
    let component = arguments.component.clone().unwrap_or(component).canonicalize()?;
    // The page cache keeps what was compiled, wherever it lies; a folder of its own keeps the user's cache as it is.
    let folder = tempfile::Builder::new().prefix("penstock-density-").tempdir()?;
    let mut bench =
        Bench { arguments, component, folder: folder.path().to_owned(), samples: Vec::new(), missing: Vec::new() };
    bench.run().await?;

    let raw = report::lines(&bench.samples)? + &report::lines(&bench.missing)?;
    let text = bench.text();
    println!("{text}");
    report::write("density", &raw, &text, !bench.arguments.no_readme)
}

struct Bench {
    arguments: Arguments,
    component: PathBuf,
    folder: PathBuf,
    samples: Vec<Sample>,
    missing: Vec<Missing>,
}

impl Bench {
    async fn run(&mut self) -> Result<()> {
        for content in self.arguments.content.clone() {
            self.compile(content).await?;
        }
        self.arguments.cpus.confine_load()?;
        for round in 0..self.arguments.rounds {
            for content in self.arguments.content.clone() {
                for workloads in self.counts(content) {
                    if self.missing.iter().any(|it| it.content == content && it.workloads == workloads) {
                        continue;
                    }
                    match self.host(content, workloads, round).await {
                        Ok(sample) => {
                            eprintln!("{}", serde_json::to_string(&sample)?);
                            self.samples.push(sample);
                        }
                        Err(error) => {
                            let reason = format!("{error:#}").lines().last().unwrap_or_default().to_owned();
                            eprintln!("{content:?} {workloads}: {error:#}");
                            self.missing.push(Missing { content, workloads, reason });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn counts(&self, content: Content) -> Vec<usize> {
        let arguments = &self.arguments;
        let fits = |count: &usize| content == Content::Shared || arguments.all || *count <= arguments.distinct_most;
        arguments.counts.iter().copied().filter(fits).collect()
    }

    fn images(&self, content: Content, workloads: usize) -> Result<Vec<PathBuf>> {
        match content {
            Content::Shared => Ok(vec![self.component.clone(); workloads]),
            Content::Distinct => embed::write_distinct(&self.component, &self.folder.join("images"), workloads),
        }
    }

    /// Puts every compiled form on disk, with all CPUs and a few hundred at a time.
    async fn compile(&self, content: Content) -> Result<()> {
        const AT_ONCE: usize = 250;
        let most = self.counts(content).into_iter().max().unwrap_or(0);
        let images = self.images(content, if content == Content::Shared { most.min(1) } else { most })?;
        let start = Instant::now();
        for images in images.chunks(AT_ONCE) {
            self.start(images, Cpus::Shared).await?;
        }
        eprintln!("{content:?}: {} compiled in {:.1} s", images.len(), start.elapsed().as_secs_f64());
        Ok(())
    }

    /// A host that is ready: before, after, where, and how long it took.
    async fn start(&self, images: &[PathBuf], cpus: Cpus) -> Result<(Process, Memory, Said)> {
        let list = self.folder.join("images.txt");
        std::fs::write(&list, images.iter().map(|file| format!("{}\n", file.display())).collect::<String>())?;
        let this = env::current_exe()?.display().to_string();
        let words: Vec<_> = cpus.server().into_iter().chain([this]).collect();
        let [program, rest @ ..] = words.as_slice() else { anyhow::bail!("an empty command") };
        let mut command = Command::new(program);
        command.args(rest).arg("--serve").arg(self.folder.join("cache")).arg("--images").arg(&list);
        command.arg("--patience").arg(self.arguments.patience.to_string());
        let mut process = Process::start(command.env(ENVIRONMENT.0, ENVIRONMENT.1))?;
        let said = |line: &penstock_tests::process::Line| -> Option<Said> {
            (line.stream == Stream::Out).then(|| serde_json::from_str(&line.text).ok())?
        };
        let patience = Duration::from_secs(self.arguments.patience + 60);
        let empty = process.line("the empty host", Duration::from_secs(60), |line| match said(line)? {
            Said::Empty { memory } => Some(memory),
            Said::Ready { .. } => None,
        });
        let empty = empty.await?;
        let ready =
            process.line("all workloads", patience, |line| said(line).filter(|it| matches!(it, Said::Ready { .. })));
        let ready = ready.await?;
        Ok((process, empty, ready))
    }

    async fn host(&self, content: Content, workloads: usize, round: usize) -> Result<Sample> {
        let images = self.images(content, workloads)?;
        let (process, empty, ready) = self.start(&images, self.arguments.cpus).await?;
        let Said::Ready { address, took_ms, memory } = ready else { anyhow::bail!("not ready") };
        let each = |memory: Memory| Each {
            anonymous: per(memory.anonymous, empty.anonymous, workloads),
            file: per(memory.file, empty.file, workloads),
        };
        let plan = || Plan::new(address).connections(16).rate(self.arguments.rate);
        // In an order that is not that of loading.
        let all = move |id: u64| usize::try_from(id).unwrap_or(0).wrapping_mul(7_919) % workloads;
        let first = load(plan().count(workloads as u64), all).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = Memory::of(process.pid())?;
        let some = workloads.div_ceil(10);
        let ten = move |id: u64| usize::try_from(id).unwrap_or(0) % 10 * some % workloads;
        let seconds = self.arguments.seconds;
        // A warm-up of the connections; then the same, measured.
        load(plan().seconds(1), ten).await?;
        let ten = load(plan().seconds(seconds), ten).await?;
        let turns = load(plan().seconds(seconds), all).await?;
        Ok(Sample {
            content,
            workloads,
            round,
            load_ms: took_ms,
            idle: each(memory),
            used: each(used),
            first: calls(&first),
            ten: calls(&ten),
            turns: calls(&turns),
        })
    }

    fn text(&self) -> String {
        let arguments = &self.arguments;
        let method = format!(
            "{} rounds; loads of {} s at {:.0} requests a second over 16 connections; host on {}; {:.1} KiB a component",
            arguments.rounds,
            arguments.seconds,
            arguments.rate,
            if arguments.cpus == Cpus::Split { "half of the CPUs" } else { "all CPUs" },
            std::fs::metadata(&self.component).map_or(0, |it| it.len()) as f64 / 1024.0,
        );
        let mut memory = Table::new([
            "components",
            "workloads",
            "ready after s",
            "KiB each, never called",
            "of it files",
            "KiB each, called once",
            "of it files",
            "route lookup ns",
        ]);
        let mut times = Table::new([
            "components",
            "workloads",
            "ten of them, p50 us",
            ": fewest",
            "p99 us",
            ": fewest",
            "all in turn, p50 us",
            "p99 us",
            "first call, p50 us",
            "p99 us",
        ]);
        for content in &arguments.content {
            let counts = self.counts(*content);
            for &workloads in &counts {
                let name = if *content == Content::Shared { "one for all" } else { "one each" };
                let head = || [name.to_owned(), whole(workloads as f64)];
                if let Some(missing) =
                    self.missing.iter().find(|it| it.content == *content && it.workloads == workloads)
                {
                    memory.row(head().into_iter().chain([format!("not measured: {}", missing.reason)]));
                    continue;
                }
                let of = |workloads: usize, what: &dyn Fn(&Sample) -> f64| {
                    let same = |it: &&Sample| it.content == *content && it.workloads == workloads;
                    median(self.samples.iter().filter(same).map(what))
                };
                let kib = |what: &dyn Fn(&Sample) -> f64| format!("{:.1}", of(workloads, what) / 1024.0);
                memory.row(head().into_iter().chain([
                    format!("{:.2}", of(workloads, &|it| it.load_ms) / 1e3),
                    kib(&|it| it.idle.anonymous + it.idle.file),
                    kib(&|it| it.idle.file),
                    kib(&|it| it.used.anonymous + it.used.file),
                    kib(&|it| it.used.file),
                    format!("{:.0}", lookup(workloads)),
                ]));
                let fewest = counts.first().copied().unwrap_or(workloads);
                let us = |what: &dyn Fn(&Sample) -> f64| whole(of(workloads, what));
                let ratio =
                    |what: &dyn Fn(&Sample) -> f64| format!("**{:.2}**", of(workloads, what) / of(fewest, what));
                times.row(head().into_iter().chain([
                    us(&|it| it.ten.p50_us),
                    ratio(&|it| it.ten.p50_us),
                    us(&|it| it.ten.p99_us),
                    ratio(&|it| it.ten.p99_us),
                    us(&|it| it.turns.p50_us),
                    us(&|it| it.turns.p99_us),
                    us(&|it| it.first.p50_us),
                    us(&|it| it.first.p99_us),
                ]));
            }
        }
        format!("{}\n{memory}\n{times}", report::conditions("density", &[], &method))
    }
}

fn per(after: u64, before: u64, workloads: usize) -> f64 {
    (after as f64 - before as f64) / workloads as f64
}

/// Sends a plan's requests to the workloads that `which` names; every answer must be right.
async fn load(plan: Plan, which: impl Fn(u64) -> usize + Send + Sync + 'static) -> Result<Report> {
    let plan = plan.requests(move |id| {
        let mut request = Request::new(http_body_util::Full::default());
        if let Ok(host) = HeaderValue::from_str(&embed::host(which(id))) {
            request.headers_mut().insert(header::HOST, host);
        }
        request
    });
    let report = plan.start()?.finish().await?;
    let good = report.failed == 0 && report.statuses.keys().all(|status| *status == 200);
    ensure!(good, "{}", report.summary());
    Ok(report)
}

fn calls(report: &Report) -> Calls {
    let us = |quantile| report.latency.p(quantile).as_secs_f64() * 1e6;
    Calls { calls: report.answered, p50_us: us(0.5), p99_us: us(0.99) }
}

/// Nanoseconds to find one of so many routes, each of a hostname of its own.
fn lookup(workloads: usize) -> f64 {
    const LOOKUPS: usize = 200_000;
    let route = |n| -> Option<Route<usize>> {
        let rules = vec![Rule { name: None, matches: Vec::new(), action: n }];
        Some(Route {
            name: format!("bench/w{n}").into(),
            created: None,
            hostnames: vec![embed::host(n).parse().ok()?],
            rules,
        })
    };
    let table = RouteTable::compile((0..workloads).filter_map(route).collect());
    let hosts: Vec<_> = (0..1_024_usize).map(|n| embed::host(n.wrapping_mul(2_654_435_761) % workloads)).collect();
    let headers = HeaderMap::new();
    let start = Instant::now();
    for n in 0..LOOKUPS {
        let host = &hosts[n % hosts.len()];
        let key = RequestKey { host, path: "/", query: None, method: &Method::GET, headers: &headers };
        black_box(table.find(black_box(&key)).map(|found| *found.action));
    }
    start.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
}
