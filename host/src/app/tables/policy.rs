//! From a snapshot's policies to the router's.

use penstock_api::{
    ByteSize,
    policy::{
        Compression as CompressionSpec, CompressionAlgorithm, OutlierDetection, RateLimit, RateLimitKey,
        RateLimitKeyType,
    },
    snapshot::RulePolicy,
};
use penstock_router::{
    Weighted,
    policy::{Compression, Concurrencies, HealthStatus, Healths, OutlierConfig, Policy, Rate, RateKey, RateLimiters},
};

use super::say;

/// Of every rule that limits its clients, for as long as some table has such a rule.
static LIMITERS: RateLimiters = RateLimiters::new();

/// Of every rule that takes so many requests at once.
static CONCURRENCIES: Concurrencies = Concurrencies::new();

/// Of every rule that leaves out backends that fail.
static HEALTHS: Healths = Healths::new();

/// What is known of backends that may be left out, for metrics.
pub(in crate::app) fn healths() -> Vec<HealthStatus> {
    HEALTHS.status()
}

pub(super) fn of(spec: &RulePolicy, backends: &Weighted) -> Result<Policy, String> {
    let rate = spec.rate_limit.as_ref().map(rate).transpose()?;
    let concurrency = spec
        .concurrency
        .as_ref()
        .map(|it| key(it.by.as_ref()).map(|by| CONCURRENCIES.of(&spec.rule, it.requests, &by)));
    let limits = spec.limits.unwrap_or_default();
    Ok(Policy {
        rate: rate.map(|it| LIMITERS.of(&spec.rule, &it)),
        concurrency: concurrency.transpose()?,
        request_body: limits.request_body.map(ByteSize::bytes),
        response_body: limits.response_body.map(ByteSize::bytes),
        outliers: spec.outlier_detection.as_ref().map(|it| {
            let names: Vec<Option<&str>> = backends.targets().map(|target| target.backend.id()).collect();
            HEALTHS.of(&spec.rule, outliers(it), &names)
        }),
        compression: spec.compression.as_ref().map(compression),
    })
}

fn rate(spec: &RateLimit) -> Result<Rate, String> {
    let by = key(spec.by.as_ref())?;
    Ok(Rate { requests: spec.requests, per: spec.period().into(), burst: spec.burst.unwrap_or(spec.requests), by })
}

fn key(spec: Option<&RateLimitKey>) -> Result<RateKey, String> {
    Ok(match spec.map(|it| it.r#type).unwrap_or_default() {
        RateLimitKeyType::Client => RateKey::Client,
        RateLimitKeyType::All => RateKey::All,
        RateLimitKeyType::Header => {
            let name = spec.and_then(|it| it.header.as_deref()).unwrap_or_default();
            RateKey::Header(name.parse().map_err(say)?)
        }
    })
}

fn outliers(spec: &OutlierDetection) -> OutlierConfig {
    OutlierConfig {
        consecutive_errors: spec.consecutive_errors.unwrap_or(OutlierDetection::CONSECUTIVE_ERRORS),
        interval: spec.interval.unwrap_or(OutlierDetection::INTERVAL).into(),
        base_ejection: spec.base_ejection_time.unwrap_or(OutlierDetection::BASE_EJECTION_TIME).into(),
        max_percent: spec.max_ejection_percent.unwrap_or(OutlierDetection::MAX_EJECTION_PERCENT),
    }
}

fn compression(spec: &CompressionSpec) -> Compression {
    let has = |it| spec.algorithms.is_empty() || spec.algorithms.contains(&it);
    let types = match &spec.content_types[..] {
        [] => CompressionSpec::CONTENT_TYPES.map(ToOwned::to_owned).into(),
        some => some.iter().map(|it| it.to_ascii_lowercase()).collect(),
    };
    Compression {
        min_size: spec.min_size.unwrap_or(CompressionSpec::MIN_SIZE).bytes(),
        types,
        brotli: has(CompressionAlgorithm::Br),
        gzip: has(CompressionAlgorithm::Gzip),
    }
}
