//! Shares by weight, within the suite's own tolerance.

use std::net::SocketAddr;

use ::http::{HeaderName, HeaderValue, Method, header};
use anyhow::{Context as _, Result, bail, ensure};
use penstock_tests::load::{Answer, Plan, Protocol};

use super::{
    ask::get,
    case::{Case, V1, V2, V3},
    stage::Here,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("HTTPRouteWeight").http(&rules(true)).ask(get("/")).then(http_shares), each_with_its_filter()]
}

/// Of so many requests ...
const MEASURED: u64 = 500;
/// ... a share may differ by so much ...
const TOLERANCE: f64 = 0.05;
/// ... and chance may have its way now and then: of so many attempts one has to do. The suite has ten.
const ATTEMPTS: u32 = 3;

const SHARES: &[(&str, f64)] = &[(V1, 0.7), (V2, 0.3), (V3, 0.0)];

/// 70, 30, and nothing for the third, who may be there or not.
pub(crate) fn rules(third: bool) -> String {
    let third = if third { ", {$v3, weight: 0}" } else { "" };
    format!("- backendRefs: [{{$v1, weight: 70}}, {{$v2, weight: 30}}{third}]")
}

pub(crate) async fn http_shares(here: Here) -> Result<()> {
    let plan = |address| Ok(Plan::new(address).path("/")?);
    shares(here.address("", 80)?, plan).await
}

/// The same with gRPC calls.
pub(crate) async fn grpc_shares(here: Here) -> Result<()> {
    let plan = |address| {
        let plan = Plan::new(address).path("/conformance.Echo/Echo")?.method(Method::POST);
        let plan = plan.protocol(Protocol::Http2 { streams: 1 }).body(&[0; 5][..]);
        Ok(plan
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .header(header::TE, HeaderValue::from_static("trailers")))
    };
    shares(here.address("", 80)?, plan).await
}

async fn shares(address: SocketAddr, plan: impl Fn(SocketAddr) -> Result<Plan>) -> Result<()> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let plan = plan(address)?.authority("conformance.example").connections(10).count(MEASURED);
        let plan = plan.header(HeaderName::from_static("x-dump"), HeaderValue::from_static("1"));
        let report = plan.check(well).label_with(name).start()?.finish().await?;
        ensure!(report.failed == 0 && report.answered == MEASURED, "{}", report.summary());
        let known = |label: &str| SHARES.iter().any(|it| it.0 == label);
        ensure!(report.labels.keys().all(|it| known(it)), "somebody else answered: {:?}", report.labels);
        if SHARES.iter().all(|(name, share)| is_met(report.labels.get(*name).copied().unwrap_or_default(), *share)) {
            return Ok(());
        }
        last = Some(report.labels);
    }
    bail!("{ATTEMPTS} times the shares of {MEASURED} requests were off by more than {TOLERANCE}: at last {last:?}")
}

/// Whether so many of the requests are that share of them; no share means none.
fn is_met(count: u64, share: f64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let is = count as f64 / MEASURED as f64;
    (is - share).abs() <= TOLERANCE && (share > 0.0 || count == 0)
}

fn well(answer: &Answer<'_>) -> Result<(), String> {
    if answer.head.status == 200 { Ok(()) } else { Err(answer.head.status.to_string()) }
}

/// The `name` in a kitchen's dump.
fn name<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    let body = std::str::from_utf8(answer.body).ok()?;
    body.split_once("\"name\":\"")?.1.split_once('"').map(|it| it.0)
}

/// Each backend's filter is for its own requests only.
fn each_with_its_filter() -> Case {
    let backend = |short: &str, name: &str| {
        format!(
            "{{{short}, weight: 10, filters: [{{type: RequestHeaderModifier, requestHeaderModifier: \
             {{set: [{{name: Backend, value: {name}}}]}}}}]}}"
        )
    };
    let rules = format!("- backendRefs: [{}, {}]", backend("$v1", V1), backend("$v2", V2));
    Case::new("HTTPRouteRequestHeaderModifierBackendWeights").http(&rules).ask(get("/")).then(own_filters)
}

async fn own_filters(here: Here) -> Result<()> {
    let address = here.address("", 80)?;
    let mut answered = [0_u32; 2];
    for _ in 0..100 {
        let (one, other) = (get("/").from(V1).sees(&[("backend", V1)]), get("/").from(V2).sees(&[("backend", V2)]));
        let answer = one.send(address).await?;
        if one.judge(&answer).is_ok() {
            answered[0] += 1;
        } else {
            other.judge(&answer).with_context(|| format!("{:?}", answer.body()))?;
            answered[1] += 1;
        }
    }
    ensure!(answered.iter().all(|it| *it > 0), "of 100 requests each backend should have got some: {answered:?}");
    Ok(())
}
