//! One pair, measured: rounds of peers and Penstock in turn, so that a machine that grows slower hits all.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use penstock_tests::load::{Plan, Report};
use serde::{Deserialize, Serialize};

use crate::{
    machine::Cpus,
    peers::{Pair, Server, Started},
    wrk::{self, Ask, Wrk},
};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Rounds, each of all servers.
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

/// All of one pair.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// At full speed.
    pub samples: Vec<Sample>,
    /// At a moderate rate.
    pub steady: Vec<Steady>,
    /// Peers that could not do it, and why.
    pub unable: Vec<(String, String)>,
}

/// Measures one pair; `note` is told of each step.
///
/// # Errors
/// If a server does not start or answers wrongly, other than wasmCloud's: what that cannot do is noted.
pub async fn pair(pair: &Pair, method: Method, mut note: impl FnMut(&str)) -> Result<Results> {
    let mut results = Results::default();
    for round in 0..method.rounds {
        for server in order(round, pair) {
            if results.is_unable(server) {
                continue;
            }
            match full_speed(pair, server, method, round).await {
                Ok(sample) => {
                    note(&sample.line());
                    results.samples.push(sample);
                }
                Err(error) => results.give_up(pair, server, error, &mut note)?,
            }
        }
    }
    // Half of what the slowest one can do: none is saturated, so latency is that of the work, not of the queue. Those that no
    // latency is compared with do not slow the others down, and are left out if that is too fast for them.
    let slowest = |server: &str| {
        let of = results.samples.iter().filter(|sample| sample.server == server);
        of.map(|sample| sample.rate).fold(f64::INFINITY, f64::min)
    };
    let counted = pair.peers.iter().filter(|peer| peer.goal.p99.is_some() || pair.peers.len() == 1);
    let counted = counted.map(|peer| peer.server.name()).chain([pair.penstock.name()]);
    let rate = (counted.map(slowest).fold(f64::INFINITY, f64::min) / 2.0).round().max(1.0);
    let able: Vec<_> =
        order(0, pair).into_iter().map(Server::name).filter(|name| slowest(name) > 1.25 * rate).collect();
    for round in 0..method.rounds {
        for server in order(round, pair) {
            if results.is_unable(server) || !able.contains(&server.name()) {
                continue;
            }
            match at_rate(pair, server, method, round, rate).await {
                Ok(steady) => {
                    note(&steady.line());
                    results.steady.push(steady);
                }
                Err(error) => results.give_up(pair, server, error, &mut note)?,
            }
        }
    }
    Ok(results)
}

/// Every server, another one first in each round.
fn order(round: usize, pair: &Pair) -> Vec<&Server> {
    let mut servers: Vec<_> = pair.peers.iter().map(|peer| &peer.server).chain([&pair.penstock]).collect();
    let first = round % servers.len();
    servers.rotate_left(first);
    servers
}

// === impl Results ===

impl Results {
    fn is_unable(&self, server: &Server) -> bool {
        self.unable.iter().any(|(name, _)| name == server.name())
    }

    /// Goes on without a peer that may fail; all else is an error.
    fn give_up(
        &mut self,
        pair: &Pair,
        server: &Server,
        error: anyhow::Error,
        note: &mut impl FnMut(&str),
    ) -> Result<()> {
        if !matches!(server, Server::Wash { .. }) {
            return Err(error.context(format!("{}: {}", pair.name, server.name())));
        }
        let reason = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        note(&format!("{}: {} cannot do it: {error:#}", pair.name, server.name()));
        self.unable.push((server.name().to_owned(), reason));
        Ok(())
    }
}

// === impl Sample ===

impl Sample {
    fn line(&self) -> String {
        format!(
            "{} round {}: {:<30} {:>8.0}/s  p50 {:>6.0} us  p99 {:>7.0} us  cpu {:>5.1} us/request  ({:.0}/s by our own load)",
            self.pair,
            self.round,
            self.server,
            self.rate,
            self.wrk.p50_us,
            self.wrk.p99_us,
            self.cpu_us,
            self.check_rate,
        )
    }
}

// === impl Steady ===

impl Steady {
    fn line(&self) -> String {
        format!(
            "{} round {}: {:<30} at {:.0}/s: p50 {:>6.0} us  p99 {:>7.0} us",
            self.pair, self.round, self.server, self.rate, self.p50_us, self.p99_us,
        )
    }
}

async fn at_rate(pair: &Pair, server: &Server, method: Method, round: usize, rate: f64) -> Result<Steady> {
    let started = server.start(method.cpus).await?;
    own(pair, &started, method, method.warm_up, Some(rate)).await?;
    let report = own(pair, &started, method, method.seconds, Some(rate)).await?;
    Ok(steady(pair, server.name(), round, rate, &report))
}

async fn full_speed(pair: &Pair, server: &Server, method: Method, round: usize) -> Result<Sample> {
    let name = server.name();
    let started = &mut server.start(method.cpus).await?;
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
    let plan = plan(pair, started, method).count(200);
    let expect = pair.expect.clone();
    let plan = plan.check(move |answer| expect.check(answer.head.status.as_u16(), answer.body));
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
    let (turns, body) = match &pair.ask {
        Ask::One { host, path, body } => {
            let host = host.clone().unwrap_or_else(|| started.address().to_string());
            (vec![(host, path.clone())], body.clone())
        }
        Ask::Turns(turns) => (turns.clone(), None),
    };
    plan.requests(move |id| {
        let turn = usize::try_from(id).unwrap_or(0) % turns.len().max(1);
        let mut request = Request::new(Full::new(body.clone().unwrap_or_default()));
        if body.is_some() {
            *request.method_mut() = http::Method::POST;
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
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
