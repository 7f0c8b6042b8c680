//! A whole run: the stage is set, the load is sent as planned, what happens is recorded and shown.

use std::{
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;

use super::{
    chart::Live,
    driver::{Aim, Driver},
    metrics::mean_wait,
    ramp::Ramp,
    record::{Change, Sample, Series, Since},
    report::Run,
    stage::{CALL, Seen, Stage},
    verdict::Goal,
};
use crate::{
    cluster::Cluster,
    load::{Answer, Plan, Running},
};

/// Requests a second at most.
const PEAK: f64 = 460.0;
/// Requests a second before and after: one replica is enough.
const QUIET: f64 = 6.0;
/// Requests a second for each replica. 460 of them take 37.7 replicas, so 38.
const EACH: f64 = 12.2;
/// Never met: more than it takes, so that 38 is found and not run into.
const MOST: u32 = 45;
/// As many calls can be under way. Open loop, so what does not fit is sent late, and its latency says so.
const CONNECTIONS: usize = 256;
/// After so many requests a connection is replaced, as gateways' are in time. Without that all of them would stay on
/// the host that was there first.
const REQUESTS_A_CONNECTION: u64 = 4;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_secs(1);
/// A run whose replicas are back for so long is over.
const REST: usize = 5;
/// Where it all happens.
const NAMESPACE: &str = "demo-autoscale";
const NAME: &str = "hello";

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who scales.
    pub driver: Driver,
    /// With shorter spans, for tests.
    pub short: bool,
    /// The component: `kitchen-p2` of `tests/guests`, wherever it is.
    pub image: String,
    /// Where the load is sent; the Service's ClusterIP otherwise.
    pub target: Option<SocketAddr>,
}

// === impl Options ===

impl Options {
    /// What is offered when.
    #[must_use]
    pub fn ramp(&self) -> Ramp {
        if self.short {
            // Five replicas' worth at once, to see how fast the first ones come; then all of it.
            return Ramp::new().hold(QUIET, 5).hold(60.0, 15).to(PEAK, 20).hold(PEAK, 60).to(QUIET, 10).hold(QUIET, 90);
        }
        Ramp::new()
            .hold(QUIET, 20)
            .to(PEAK, 60)
            .hold(PEAK, 120)
            .to(QUIET, 60)
            .hold(QUIET, 120)
            .hold(PEAK, 60)
            .hold(QUIET, 150)
    }

    /// What has to be reached.
    #[must_use]
    pub fn goal(&self) -> Goal {
        let steady = Duration::from_secs(if self.short { 20 } else { 60 });
        Goal { replicas: 38, slack: 1, steady, skew: 1, least: 1 }
    }

    /// What the driver is told.
    #[must_use]
    pub fn aim(&self) -> Aim {
        let patience_seconds = if self.short { 10 } else { 30 };
        Aim { namespace: NAMESPACE.into(), name: NAME.into(), least: 1, most: MOST, each: EACH, patience_seconds }
    }
}

/// Runs it and shows it meanwhile.
///
/// # Errors
/// If the stage cannot be set or the load not be sent. A run that went badly is no error: its verdicts say so.
pub async fn run<W: Write>(cluster: &Cluster, options: &Options, live: &mut Live<W>) -> Result<Run> {
    let (ramp, goal) = (options.ramp(), options.goal());
    let stage = Stage::set(cluster, options.driver, options.aim(), &options.image).await?;
    let target = options.target.unwrap_or(stage.address());
    stage.connects(target).await?;
    let watch = stage.watch().await?;
    let load = plan(target, &ramp)?.start()?;
    let mut recorder = Recorder::new(ramp, watch.seen());
    let mut ticks = tokio::time::interval(TICK);
    ticks.tick().await;
    while !recorder.over(goal.least) {
        ticks.tick().await;
        recorder.sample(&load, &watch.seen());
        live.show(options.driver.name(), &recorder.ramp, &recorder.series);
    }
    load.stop();
    let report = load.finish().await?;
    live.end();
    recorder.series.finish(&report);
    stage.end()?;
    Ok(Run { driver: options.driver, ramp: recorder.ramp, series: recorder.series, goal })
}

fn plan(target: SocketAddr, ramp: &Ramp) -> Result<Plan> {
    let path = format!("/sleep?ms={}", CALL.as_millis());
    let due = Arc::new(ramp.clone());
    Ok(Plan::new(target)
        .requests(move |id| request(&path, id))
        .arrivals(move |id| due.due(id))
        .duration(ramp.length())
        .connections(CONNECTIONS)
        .timeout(TIMEOUT)
        .keep_records()
        .check(well))
}

fn request(path: &str, id: u64) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    if id.is_multiple_of(REQUESTS_A_CONNECTION) {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    request
}

/// Anything but 200 is a failure, with the start of what was said.
fn well(answer: &Answer<'_>) -> Result<(), String> {
    if answer.head.status == 200 {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(answer.body).chars().take(200).collect();
    Err(format!("{}: {text}", answer.head.status))
}

/// Puts together what is seen each second.
struct Recorder {
    ramp: Ramp,
    series: Series,
    start: Instant,
    since: Since,
    last: Seen,
    /// How many of the changes seen are in the series.
    noted: usize,
}

// === impl Recorder ===

impl Recorder {
    /// The load begins now.
    fn new(ramp: Ramp, seen: Seen) -> Self {
        let start = Instant::now();
        Self { ramp, series: Series::default(), start, since: Since::new(start), last: seen, noted: 0 }
    }

    fn sample(&mut self, load: &Running, seen: &Seen) {
        let (now, progress) = (Instant::now(), load.progress());
        for &(at, wanted, serving) in seen.changes.iter().skip(self.noted) {
            self.series.note(Change { at: at.saturating_duration_since(self.start), wanted, serving });
        }
        self.noted = seen.changes.len();
        let at = now - self.start;
        let before = self.series.samples.last().map_or(Duration::ZERO, |it| it.at);
        let seconds = (at - before).as_secs_f64().max(1e-3);
        let (answered, failed) = self.since.next(now, progress.answered, progress.failed);
        let replicas = self.series.changes.last().copied().unwrap_or_default();
        self.series.samples.push(Sample {
            at,
            offered: (self.ramp.due_before(at) - self.ramp.due_before(before)) / seconds,
            answered,
            failed,
            wanted: replicas.wanted,
            serving: replicas.serving,
            hosts: seen.hosts.clone(),
            queue_wait: mean_wait(&self.last.waited, &seen.waited),
            ..Sample::default()
        });
        self.last = seen.clone();
    }

    /// Whether the plan has ended, or its last phase has nothing more to show.
    fn over(&self, least: u32) -> bool {
        let Some(last) = self.series.samples.last() else { return false };
        let resting = self.ramp.phases().last().is_some_and(|it| last.at >= it.start);
        let back = self.series.samples.iter().rev().take(REST);
        let rested = back.filter(|it| it.wanted <= least && it.serving <= least).count() == REST;
        last.at >= self.ramp.length() || (resting && rested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(short: bool) -> Options {
        Options { driver: Driver::Builtin, short, image: String::new(), target: None }
    }

    #[test]
    fn the_aim_leads_to_the_goal() {
        for short in [false, true] {
            let (options, ramp) = (options(short), options(short).ramp());
            let (aim, goal) = (options.aim(), options.goal());
            assert!((PEAK / aim.each).ceil() - f64::from(goal.replicas) == 0.0);
            assert!(aim.most > goal.replicas + goal.slack, "the limit is never what stops it");
            let (from, until) = ramp.steady(goal.steady).unwrap();
            assert_eq!(until - from, goal.steady);
            // What replicas can do at the aim's rate leaves as much again.
            let capacity = f64::from(super::super::stage::CONCURRENCY) / CALL.as_secs_f64();
            assert!(capacity > 2.0 * aim.each, "{capacity}");
        }
    }

    #[test]
    fn a_run_is_over_once_replicas_are_back() {
        let mut recorder = Recorder::new(options(true).ramp(), Seen::default());
        assert!(!recorder.over(1));
        let rest = recorder.ramp.phases().last().unwrap().start;
        let sample = |at, serving| Sample { at, wanted: 1, serving, ..Sample::default() };
        for second in 0..4 {
            recorder.series.samples.push(sample(rest + Duration::from_secs(second), 1));
            assert!(!recorder.over(1));
        }
        recorder.series.samples.push(sample(rest + Duration::from_secs(4), 1));
        assert!(recorder.over(1));
        recorder.series.samples.push(sample(rest + Duration::from_secs(5), 2));
        assert!(!recorder.over(1));
        recorder.series.samples.push(sample(recorder.ramp.length(), 2));
        assert!(recorder.over(1), "the plan's end");
    }

    #[test]
    fn every_fourth_request_ends_its_connection() {
        let closes = (0..8).filter(|id| request("/x", *id).headers().contains_key(header::CONNECTION)).count();
        assert_eq!(closes, 2);
        assert_eq!(request("/sleep?ms=80", 1).uri(), "/sleep?ms=80");
    }
}
