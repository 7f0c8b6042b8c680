//! `make demo-autoscale DRIVER=...`: a workload that follows a load of up to 460 requests a second, from one replica to 38 and
//! back, and a report of it.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use penstock_tests::{
    autoscale::{
        chart::Live,
        driver::Driver,
        report::{self, Run, time},
        run::{Options, run},
        stage::{CALL, CONCURRENCY, prepare},
    },
    cluster::Cluster,
    table::Table,
};

const USAGE: &str = "usage: demo_autoscale [DRIVER[,DRIVER...]] [--short] [--report FILE] [--kubeconfig FILE --image REFERENCE [--target ADDRESS:PORT]]
  DRIVER              builtin (default), keda-prometheus, keda-external or hpa; several have one report
  --short             shorter spans, as tests have them
  --report FILE       where the report goes; autoscale.html otherwise
  --kubeconfig FILE   another cluster than that of tests/e2e.sh: nothing is installed there but a namespace
  --image REFERENCE   tests/guests/components/kitchen-p2.wasm in a registry that its hosts reach
  --target ADDRESS    where the load is sent if this machine does not reach ClusterIPs; loopback and private addresses only";

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
struct Arguments {
    drivers: Vec<Driver>,
    short: bool,
    report: Option<PathBuf>,
    kubeconfig: Option<OsString>,
    image: Option<String>,
    target: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return Ok(ExitCode::from(2));
        }
    };
    if let Some(kubeconfig) = &arguments.kubeconfig
        && std::env::var_os("KUBECONFIG").as_ref() != Some(kubeconfig)
    {
        // Started anew, so that the client, kubectl and this program agree on the cluster.
        let failed = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env("KUBECONFIG", kubeconfig)
            .exec();
        return Err(failed.into());
    }
    let own = arguments.kubeconfig.is_none() && arguments.image.is_none();
    let cluster = if own { Cluster::connect().await? } else { Cluster::bare().await? };
    let image = match &arguments.image {
        Some(image) => image.clone(),
        None => cluster.image("kitchen-p2")?,
    };
    let about = about(&cluster, arguments.short).await?;
    let mut runs = Vec::new();
    for &driver in &arguments.drivers {
        println!("\n{driver}: {}\n", driver.about());
        prepare(&cluster, driver, own)?;
        let options = Options { driver, short: arguments.short, image: image.clone(), target: arguments.target };
        let run = run(&cluster, &options, &mut Live::stdout()).await?;
        tell(&run);
        runs.push(run);
        // After each: a run takes minutes, and the next one may fail.
        write(arguments.report(), &runs, &about)?;
    }
    println!("\n{}", arguments.report().display());
    Ok(if runs.iter().all(Run::passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn about(cluster: &Cluster, short: bool) -> Result<String> {
    let hosts = cluster.host_pods().await?.len();
    let version = cluster.client().apiserver_version().await?.git_version;
    Ok(format!(
        "{hosts} hosts on Kubernetes {version}. One replica serves {CONCURRENCY} calls at once, each of which takes {} ms; the \
         load is open: requests are sent when they are due, whether or not earlier ones have been answered.{}",
        CALL.as_millis(),
        if short { " Spans are shortened, as in tests." } else { "" },
    ))
}

fn tell(run: &Run) {
    let mut table = Table::new(["what", "verdict", "wanted", "found"]);
    for it in run.verdicts() {
        let passed = if it.passed { "passed" } else { "FAILED" };
        table.row([it.name.to_owned(), passed.to_owned(), it.wanted, it.found]);
    }
    println!("{table}");
    let mut table = Table::new(["load", "replicas then", "first one more", "90% of them", "back"]);
    for it in run.reactions() {
        let load = format!("{:.0} to {:.0}/s in {} s", it.load.from, it.load.to, it.load.takes.as_secs());
        table.row([load, it.replicas.to_string(), time(it.first), time(it.most), time(it.back)]);
    }
    println!("{table}");
}

fn write(path: &Path, runs: &[Run], about: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, report::page(runs, about)).with_context(|| path.display().to_string())
}

// === impl Arguments ===

impl Arguments {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match &*argument {
                "--short" => parsed.short = true,
                "--report" => parsed.report = Some(value()?.into()),
                "--kubeconfig" => parsed.kubeconfig = Some(value()?.into()),
                "--image" => parsed.image = Some(value()?),
                "--target" => parsed.target = Some(value()?.parse().context("--target is no ADDRESS:PORT")?),
                it if it.starts_with('-') => bail!("there is no {it}"),
                names => {
                    for name in names.split(',') {
                        parsed
                            .drivers
                            .push(Driver::parse(name).with_context(|| format!("there is no driver {name:?}"))?);
                    }
                }
            }
        }
        if parsed.drivers.is_empty() {
            parsed.drivers.push(Driver::Builtin);
        }
        if parsed.kubeconfig.is_some() && parsed.image.is_none() {
            bail!("--kubeconfig needs --image: only the cluster of tests/e2e.sh has a registry of its own");
        }
        Ok(parsed)
    }

    fn report(&self) -> &Path {
        self.report.as_deref().unwrap_or(Path::new("autoscale.html"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn parse(line: &str) -> Result<Arguments> {
        Arguments::parse(line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        assert_eq!(parse("").unwrap(), Arguments { drivers: vec![Driver::Builtin], ..Arguments::default() });
        let all =
            parse("hpa,keda-external --short --report a/b.html --kubeconfig k --image r/k:1 --target 10.0.0.1:80")
                .unwrap();
        assert_eq!(all.drivers, [Driver::Hpa, Driver::KedaExternal]);
        assert!(all.short);
        assert_eq!(all.report(), Path::new("a/b.html"));
        assert_eq!(all.target, Some("10.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (line, error) in [
            ("knative", "there is no driver \"knative\""),
            ("--slow", "there is no --slow"),
            ("--report", "--report needs a value"),
            ("--target somewhere", "--target is no ADDRESS:PORT"),
            (
                "--kubeconfig k",
                "--kubeconfig needs --image: only the cluster of tests/e2e.sh has a registry of its own",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), error);
        }
    }
}
