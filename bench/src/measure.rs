//! One pair, measured: rounds of peer and Penstock in turn, so that a machine that grows slower hits both.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use penstock_tests::load::{Plan, Report};
use serde::{Deserialize, Serialize};

use crate::{
    machine::Cpus,
    peers::{Pair, Started},
    wrk::{self, Ask, Wrk},
};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Rounds, each of both servers.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// Seconds of load before it.
    pub warm_up: u64,
    /// Connections at once.
    pub connections: usize,
    /// Which CPUs.
    pub cpus: Cpus,
}

/// What one server showed in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// The pair's name.
    pub pair: String,
    /// Which server.
    pub server: String,
    /// Which round, from 0.
    pub round: usize,
    /// The external load at full speed.
    pub wrk: Wrk,
    /// Answers a second under it.
    pub rate: f64,
    /// CPU time of the server for each of its requests, in microseconds.
    pub cpu_us: f64,
    /// Resident memory right after, in bytes.
    pub resident: u64,
    /// Our own generator at full speed, as a cross-check: answers a second.
    pub check_rate: f64,
}

/// Latency under the same, moderate load for both.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Steady {
    /// The pair's name.
    pub pair: String,
    /// Which server.
    pub server: String,
    /// Which round, from 0.
    pub round: usize,
    /// Requests that fell due in a second.
    pub rate: f64,
    /// Median latency from the intended start, in microseconds.
    pub p50_us: f64,
    /// 99th percentile of it.
    pub p99_us: f64,
    /// Whole answers.
    pub answered: u64,
    /// Failures.
    pub failed: u64,
    /// 99th percentile of how late requests were sent: near the latency's own, the load was the bottleneck.
    pub lag_p99_us: f64,
}

/// All of one pair: peer first in every round.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// At full speed.
    pub samples: Vec<Sample>,
    /// At a moderate rate.
    pub steady: Vec<Steady>,
}

/// Measures one pair; `note` is told of each step.
///
/// # Errors
/// If a server does not start or answers wrongly.
pub async fn pair(pair: &Pair, method: Method, mut note: impl FnMut(&str)) -> Result<Results> {
    let mut results = Results::default();
    for round in 0..method.rounds {
        for server in order(round, pair) {
            let mut started =
                server.start(method.cpus).await.with_context(|| format!("{}: {}", pair.name, server.name()))?;
            let sample = full_speed(pair, server.name(), &mut started, method, round).await?;
            note(&format!(
                "{} round {round}: {:<30} {:>8.0}/s  p50 {:>6.0} us  p99 {:>7.0} us  cpu {:>5.1} us/request  ({:.0}/s by our own load)",
                pair.name,
                sample.server,
                sample.rate,
                sample.wrk.p50_us,
                sample.wrk.p99_us,
                sample.cpu_us,
                sample.check_rate,
            ));
            results.samples.push(sample);
        }
    }
    // Half of what the slower one can do: neither is saturated, so latency is that of the work, not of the queue.
    let slower = results.samples.iter().map(|sample| sample.rate).fold(f64::INFINITY, f64::min);
    let rate = (slower / 2.0).round().max(1.0);
    for round in 0..method.rounds {
        for server in order(round, pair) {
            let started = server.start(method.cpus).await?;
            own(pair, &started, method, method.warm_up, Some(rate)).await?;
            let report = own(pair, &started, method, method.seconds, Some(rate)).await?;
            let steady = steady(pair, server.name(), round, rate, &report);
            note(&format!(
                "{} round {round}: {:<30} at {rate:.0}/s: p50 {:>6.0} us  p99 {:>7.0} us",
                pair.name, steady.server, steady.p50_us, steady.p99_us,
            ));
            results.steady.push(steady);
        }
    }
    Ok(results)
}

/// Peer first in even rounds, Penstock first in odd ones.
fn order(round: usize, pair: &Pair) -> [&crate::peers::Server; 2] {
    if round.is_multiple_of(2) { [&pair.peer, &pair.penstock] } else { [&pair.penstock, &pair.peer] }
}

async fn full_speed(pair: &Pair, name: &str, started: &mut Started, method: Method, round: usize) -> Result<Sample> {
    let address = started.address();
    let load = async |seconds: u64| {
        let (ask, connections) = (pair.ask.clone(), method.connections);
        let run = move || wrk::run(address, &ask, connections, Duration::from_secs(seconds));
        tokio::task::spawn_blocking(run).await?
    };
    answers(pair, started, method).await?;
    load(method.warm_up).await?;
    let before = started.process().usage()?;
    let wrk: Wrk = load(method.seconds).await?;
    let after = started.process().usage()?;
    ensure!(wrk.errors == 0, "{} of {}: {} errors\n{}", name, pair.name, wrk.errors, wrk.raw);
    let check = own(pair, started, method, method.seconds.min(3), None).await?;
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let requests = wrk.requests.max(1) as f64;
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let duration = wrk.duration_us.max(1) as f64 / 1e6;
    Ok(Sample {
        pair: pair.name.clone(),
        server: name.into(),
        round,
        rate: requests / duration,
        cpu_us: (after.cpu - before.cpu).as_secs_f64() * 1e6 / requests,
        resident: after.resident,
        check_rate: check.rate(),
        wrk,
    })
}

/// A server that answers wrongly is fast for the wrong reason.
async fn answers(pair: &Pair, started: &mut Started, method: Method) -> Result<()> {
    let plan = plan(pair, started, method).count(1_000);
    let plan = plan.check(|answer| match (answer.head.status.as_u16(), answer.body) {
        (200, body) if body.starts_with(b"hello") => Ok(()),
        (status, body) => Err(format!("{status} {:?}", String::from_utf8_lossy(body))),
    });
    let report = plan.start()?.finish().await?;
    ensure!(report.failed == 0, "{}: {}\n{}", pair.name, report.summary(), started.process().text());
    Ok(())
}

async fn own(pair: &Pair, started: &Started, method: Method, seconds: u64, rate: Option<f64>) -> Result<Report> {
    let mut plan = plan(pair, started, method).seconds(seconds);
    if let Some(rate) = rate {
        plan = plan.rate(rate);
    }
    let report = plan.start()?.finish().await?;
    let good = report.failed == 0 && report.statuses.keys().all(|status| *status == 200);
    ensure!(good, "{}: {}", pair.name, report.summary());
    Ok(report)
}

fn plan(pair: &Pair, started: &Started, method: Method) -> Plan {
    let plan = Plan::new(started.address()).connections(method.connections);
    let turns = match &pair.ask {
        Ask::One { host, path } => {
            vec![(host.clone().unwrap_or_else(|| started.address().to_string()), path.clone())]
        }
        Ask::Turns(turns) => turns.clone(),
    };
    plan.requests(move |id| {
        let turn = usize::try_from(id).unwrap_or(0) % turns.len().max(1);
        let mut request = Request::new(Full::<Bytes>::default());
        if let Some((host, path)) = turns.get(turn)
            && let (Ok(uri), Ok(host)) = (path.parse(), host.parse())
        {
            *request.uri_mut() = uri;
            request.headers_mut().insert(header::HOST, host);
        }
        request
    })
}

fn steady(pair: &Pair, name: &str, round: usize, rate: f64, report: &Report) -> Steady {
    let us = |duration: Duration| duration.as_secs_f64() * 1e6;
    Steady {
        pair: pair.name.clone(),
        server: name.into(),
        round,
        rate,
        p50_us: us(report.latency.p(0.5)),
        p99_us: us(report.latency.p(0.99)),
        answered: report.answered,
        failed: report.failed,
        lag_p99_us: us(report.lag.p(0.99)),
    }
}
