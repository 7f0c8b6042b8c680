//! `make demo`: the quickstart, each of its routes, and a route that is swapped under load.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::{Request, header};
use http_body_util::Full;
use penstock_tests::{
    chart,
    dev::{Dev, Options},
    http::send,
    ledger::{Entry, Terms, Timeline},
    load::{Plan, Report},
};

/// How long the load runs while the route is swapped.
const LOAD: Duration = Duration::from_secs(10);
/// One column of the chart.
const COLUMN: Duration = Duration::from_millis(200);
const HOST: &str = "localhost";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, binary, quickstart] = arguments.as_slice() else {
        eprintln!("usage: demo PENSTOCK_BINARY QUICKSTART_FOLDER   (make demo builds the first and gives both)");
        return Ok(ExitCode::from(2));
    };
    let quickstart = Path::new(quickstart).canonicalize().context("the quickstart's folder")?;
    println!("\n1. penstock dev examples/quickstart/manifests\n");
    let started = Instant::now();
    let (mut dev, route) = start(Path::new(binary), &quickstart).await?;
    println!(
        "   everything is ready after {:.1} s (components are compiled once and kept)\n",
        started.elapsed().as_secs_f64()
    );
    println!("2. One hostname, four answers\n");
    ask(dev.listener("shared")?).await?;
    println!("\n3. The route /api goes to the canary and back, again and again, under full load\n");
    let clean = swap_under_load(&mut dev, &route).await?;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts on a copy of the manifests, since they are edited; the second value is the route's text.
async fn start(binary: &Path, quickstart: &Path) -> Result<(Dev, String)> {
    let components = format!("file://{}/", quickstart.join("components").display());
    let mut options = Options { binary: Some(binary.to_owned()), ..Options::default() }.quiet();
    let mut route = String::new();
    for entry in fs::read_dir(quickstart.join("manifests"))? {
        let path: PathBuf = entry?.path();
        let text = fs::read_to_string(&path)?.replace("file://../components/", &components);
        let name = path.file_name().unwrap_or_default().to_owned();
        if name == "route.yaml" {
            route.clone_from(&text);
        }
        options = options.file(name, &text);
    }
    ensure!(!route.is_empty(), "{} holds no route.yaml", quickstart.display());
    Ok((options.start().await?, route))
}

async fn ask(address: SocketAddr) -> Result<()> {
    for (path, variant, expected) in [
        ("/", "", "page"),
        ("/api/greeting?name=Ada", "", "api"),
        ("/api/greeting?name=Ada", "canary", "api-canary"),
        ("/js/words?text=level", "", "js"),
    ] {
        let mut request = Request::get(path).header(header::HOST, HOST);
        if !variant.is_empty() {
            request = request.header("x-variant", variant);
        }
        let start = Instant::now();
        let response = send(address, request.body(Full::default())?).await?;
        let elapsed = start.elapsed();
        let component = response.headers().get("x-component").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
        let body = String::from_utf8_lossy(response.body());
        let first: String = body.lines().next().unwrap_or_default().chars().take(52).collect();
        let header = if variant.is_empty() { String::new() } else { format!(" -H 'x-variant: {variant}'") };
        println!(
            "   {:<48} {}  {component:<10} {:>6.1} ms  {first}",
            format!("curl http://{HOST}{path}{header}"),
            response.status().as_u16(),
            elapsed.as_secs_f64() * 1e3,
        );
        ensure!(component == expected, "{path} was answered by {component}, not by {expected}: {body}");
    }
    Ok(())
}

async fn swap_under_load(dev: &mut Dev, route: &str) -> Result<bool> {
    let canary = swapped(route);
    ensure!(canary != route, "route.yaml has no backends `api` and `api-canary` to swap");
    let load = Plan::new(dev.listener("shared")?)
        .authority(HOST)
        .path("/api/greeting?name=Ada")?
        .connections(8)
        .duration(LOAD)
        .label_header("x-component".parse()?)
        .keep_records()
        .start()?;
    let mut timeline = Timeline::new("api");
    let end = Instant::now() + LOAD.saturating_sub(Duration::from_secs(1));
    while Instant::now() < end {
        for (revision, text) in [("api-canary", &canary), ("api", &route.to_owned())] {
            let before = Instant::now();
            dev.apply("route.yaml", text).await?;
            timeline.note(revision, before, Instant::now());
        }
    }
    let report = load.finish().await?;
    let entries: Vec<Entry> = report.records.iter().map(Entry::from_record).collect();
    let verdict = timeline.judge(Terms::all(report.sent), &entries);
    show(&report, &timeline);
    println!("   {verdict}");
    Ok(verdict.is_clean())
}

/// The same routes with the backends of the API and of its canary exchanged.
fn swapped(route: &str) -> String {
    route
        .replace("name: api-canary}", "name: <api>}")
        .replace("name: api}", "name: api-canary}")
        .replace("name: <api>}", "name: api}")
}

fn show(report: &Report, timeline: &Timeline) {
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let count = usize::try_from(report.elapsed().as_nanos() / COLUMN.as_nanos()).unwrap_or_default() + 1;
    for record in &report.records {
        let at = usize::try_from((record.end - report.started).as_nanos() / COLUMN.as_nanos()).unwrap_or_default();
        let who = record.label.as_deref().unwrap_or("nobody");
        let row = columns.entry(who.to_owned()).or_insert_with(|| vec![0.0; count]);
        if let Some(column) = row.get_mut(at) {
            *column += 1.0;
        }
    }
    let rows: Vec<(&str, Vec<f64>)> = columns.iter().map(|(who, row)| (who.as_str(), row.clone())).collect();
    let chart = chart::rows(&rows, |row| format!("{:.0}", row.iter().sum::<f64>()));
    println!("   who answered, {} ms a column\n", COLUMN.as_millis());
    for line in chart.lines() {
        println!("   {line}");
    }
    println!(
        "\n   {} requests, {} swaps of the route, {} failures; {:.0} a second, p50 {:?}, p99 {:?}\n",
        chart::thousands(report.sent),
        timeline.swaps(),
        report.failed,
        report.rate(),
        report.service.p(0.5),
        report.service.p(0.99),
    );
}
