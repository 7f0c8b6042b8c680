//! The RequestMirror filter. The suite reads its mirrors' logs; here a mirror counts.
//!
//! Mirrors have one instance, which serves all calls and counts those to `/counter` and `/concurrent`. So requests ask for
//! these paths, and a filter of the real backend alone makes that one answer with its dump.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use penstock_tests::{http, load::Plan};
use serde::Deserialize;

use super::{
    ask::{Ask, get},
    case::{Case, V1},
    headers::{MODIFIED, modified},
    play::converges,
    stage::Here,
};

pub(crate) fn cases() -> Vec<Case> {
    let mirror = |name: &str| format!("{{type: RequestMirror, requestMirror: {{backendRef: {{{name}}}}}}}");
    let one = mirror("$mirror1");
    let two = format!("{}, {}", mirror("$mirror2"), mirror("$mirror3"));
    vec![
        every("HTTPRouteRequestMirror", &one, &["$mirror1"]).then(|here| mirrored(here, &["/mirror0"])),
        every("HTTPRouteRequestMultipleMirrors", &two, &["$mirror2", "$mirror3"])
            .then(|here| mirrored(here, &["/mirror0", "/mirror1"])),
        some(),
    ]
}

/// The real backend, which answers with its dump although nobody has asked for it.
const BACKEND: &str = "[{$v1, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {\
    set: [{name: x-dump, value: '1'}]}}]}]";

/// Rules through which each mirror can be asked for its count: `/mirror0`, `/mirror1`.
fn counts(mirrors: &[&str]) -> String {
    let path = "{type: ReplaceFullPath, replaceFullPath: /counter}";
    let rule = |(index, name): (usize, &&str)| {
        format!(
            "- matches: [{{path: {{value: /mirror{index}}}}}]\n  filters: [{{type: URLRewrite, urlRewrite: {{path: {path}}}}}]\n  \
             backendRefs: [{{{name}}}]\n"
        )
    };
    mirrors.iter().enumerate().map(rule).collect()
}

fn every(name: &'static str, filters: &str, mirrors: &[&str]) -> Case {
    let rules = format!(
        "- matches: [{{path: {{value: /counter}}}}]\n  filters: [{filters}]\n  backendRefs: {BACKEND}\n\
         - matches: [{{path: {{value: /concurrent}}}}]\n  filters: [{MODIFIED}, {filters}]\n  backendRefs: {BACKEND}\n{}",
        counts(mirrors)
    );
    Case::new(name).http(&rules)
}

fn plainly() -> Ask {
    get("/counter").from(V1).dumped_by_rule()
}

fn changed() -> Ask {
    modified(get("/concurrent")).from(V1).dumped_by_rule()
}

/// Requests of a burst.
const BURST: u64 = 10;

/// Each request comes to each mirror once.
async fn mirrored(here: Here, mirrors: &'static [&'static str]) -> Result<()> {
    let address = here.address("", 80)?;
    for ask in [plainly(), changed()] {
        converges(&ask, address).await?;
        let mut before = Vec::new();
        for path in mirrors {
            before.push(settled(&here, path).await?);
        }
        for _ in 0..BURST {
            ask.check(address).await?;
        }
        for (path, before) in mirrors.iter().zip(before) {
            let after = settled(&here, path).await?;
            ensure!(after.instance == before.instance, "{path}: another instance counts: {before:?}, {after:?}");
            let came = after.count - before.count - after.asked;
            ensure!(came == BURST, "{path}: {came} of {BURST} requests came: {before:?}, {after:?}");
        }
    }
    Ok(())
}

/// What a mirror has counted.
#[derive(Clone, Debug, Deserialize)]
struct Count {
    instance: String,
    count: u64,
    /// How often it was asked for this count, which counts as well.
    #[serde(skip)]
    asked: u64,
}

async fn count(here: &Here, path: &str) -> Result<Count> {
    let answer = http::get(here.address("", 80)?, "conformance.example", path).await?;
    ensure!(answer.status() == 200, "{path}: {} {:?}", answer.status(), answer.body());
    serde_json::from_slice(answer.body()).with_context(|| format!("{path}: {:?}", answer.body()))
}

/// How long nothing has to come until no more is expected: mirrors are told while the answer is under way already.
const QUIET: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// The count, once nobody but who asks for it changes it.
async fn settled(here: &Here, path: &str) -> Result<Count> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = count(here, path).await?;
    for asked in 2.. {
        tokio::time::sleep(QUIET).await;
        let now = count(here, path).await?;
        if now.instance == last.instance && now.count == last.count + 1 {
            return Ok(Count { asked, ..now });
        }
        ensure!(Instant::now() < deadline, "{path}: it still counts: {now:?}");
        last = now;
    }
    bail!("{path}: it counts for ever")
}

/// Of so many requests ...
const MEASURED: u64 = 500;
/// ... in a second: copies that find no place at the mirror's one instance are given up, and that is not what is measured.
const RATE: f64 = 250.0;
/// The share that comes may differ by so many standard deviations ...
const DEVIATIONS: f64 = 3.0;
/// ... and of so many attempts one has to do. The suite has five.
const ATTEMPTS: u32 = 3;

/// A share of the requests.
fn some() -> Case {
    let mirror = |share: &str| format!("{{type: RequestMirror, requestMirror: {{backendRef: {{$mirror4}}, {share}}}}}");
    let rule = |mark: &str, filters: String| {
        format!(
            "- matches: [{{path: {{value: /counter}}, headers: [{{name: x-case, value: {mark}}}]}}]\n  \
             filters: [{filters}]\n  backendRefs: {BACKEND}\n"
        )
    };
    let rules = [
        rule("percent", mirror("percent: 20")),
        rule("fraction", mirror("fraction: {numerator: 25, denominator: 50}")),
        rule("modified", format!("{MODIFIED}, {}", mirror("percent: 35"))),
        counts(&["$mirror4"]),
    ];
    Case::new("HTTPRouteRequestPercentageMirror")
        .http(&rules.concat())
        .ask(get("/counter").with(&[("x-case", "percent")]).from(V1))
        .ask(get("/counter").with(&[("x-case", "fraction")]).from(V1))
        .ask(modified(get("/counter").with(&[("x-case", "modified")])).from(V1))
        .then(shares)
}

async fn shares(here: Here) -> Result<()> {
    for (case, share) in [("percent", 0.2), ("fraction", 0.5), ("modified", 0.35)] {
        let mut last = 0;
        let mut met = false;
        for _ in 0..ATTEMPTS {
            last = came(&here, case).await?;
            #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
            let (all, is) = (MEASURED as f64, last as f64);
            met = (is - all * share).abs() <= DEVIATIONS * (all * share * (1.0 - share)).sqrt();
            if met {
                break;
            }
        }
        ensure!(met, "{case}: {ATTEMPTS} times it was not about {share} of {MEASURED} requests, at last {last}");
    }
    Ok(())
}

/// How many of many requests came to the mirror.
async fn came(here: &Here, case: &'static str) -> Result<u64> {
    let before = settled(here, "/mirror0").await?;
    let plan = Plan::new(here.address("", 80)?).authority("conformance.example").path("/counter")?;
    let mark = (::http::HeaderName::from_static("x-case"), ::http::HeaderValue::from_static(case));
    let report = plan.header(mark.0, mark.1).connections(10).rate(RATE).count(MEASURED).start()?.finish().await?;
    ensure!(report.failed == 0 && report.answered == MEASURED, "{}", report.summary());
    let after = settled(here, "/mirror0").await?;
    ensure!(after.instance == before.instance, "another instance counts: {before:?}, {after:?}");
    Ok(after.count - before.count - after.asked)
}
