//! Rules of `TrafficPolicy`.

use super::{super::diagnostic::Problem, http, no_duplicates};
use crate::policy::{Compression, OutlierDetection, RateLimit, RateLimitKey, RateLimitKeyType, TrafficPolicySpec};

pub(super) fn check(spec: &TrafficPolicySpec, problems: &mut Vec<Problem>) {
    rate_limit(spec.rate_limit.as_ref(), "spec.rateLimit", problems);
    key(spec.concurrency.as_ref().and_then(|it| it.by.as_ref()), "spec.concurrency", problems);
    outlier_detection(spec.outlier_detection.as_ref(), "spec.outlierDetection", problems);
    compression(spec.compression.as_ref(), "spec.compression", problems);
}

fn rate_limit(limit: Option<&RateLimit>, at: &str, problems: &mut Vec<Problem>) {
    let Some(limit) = limit else { return };
    if !(RateLimit::SHORTEST..=RateLimit::LONGEST).contains(&limit.period()) {
        let message = format!("{} is no time for a rate", limit.period());
        problems.push(Problem::error(
            format!("{at}.per"),
            message,
            "write a time from 1s to 24h, such as 1s, 1m or 1h",
        ));
    }
    key(limit.by.as_ref(), at, problems);
}

fn key(by: Option<&RateLimitKey>, at: &str, problems: &mut Vec<Problem>) {
    let Some(RateLimitKey { r#type, header }) = by else { return };
    let path = format!("{at}.by.header");
    match (r#type, header) {
        (RateLimitKeyType::Header, Some(name)) => http::header_name(name, &path, problems),
        (RateLimitKeyType::Header, None) => {
            let message = "type is `Header` but `header` is missing";
            problems.push(Problem::error(path, message, "add it, it says which one"));
        }
        (_, Some(_)) => {
            let message = "`header` is for `type: Header`";
            problems.push(Problem::error(path, message, "write `type: Header`, or remove it"));
        }
        (_, None) => {}
    }
}

fn outlier_detection(spec: Option<&OutlierDetection>, at: &str, problems: &mut Vec<Problem>) {
    let Some(spec) = spec else { return };
    for (field, time) in [("interval", spec.interval), ("baseEjectionTime", spec.base_ejection_time)] {
        if let Some(time) = time
            && !(OutlierDetection::SHORTEST..=OutlierDetection::LONGEST).contains(&time)
        {
            let message = format!("{time} is too short or too long");
            problems.push(Problem::error(format!("{at}.{field}"), message, "write a time from 1s to 1h"));
        }
    }
}

fn compression(spec: Option<&Compression>, at: &str, problems: &mut Vec<Problem>) {
    let Some(spec) = spec else { return };
    no_duplicates(spec.algorithms.iter(), problems, |index, _| {
        Problem::error(format!("{at}.algorithms[{index}]"), "it is there twice", "remove one of them")
    });
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    for (index, text) in spec.content_types.iter().enumerate() {
        let good = text.split_once('/').is_some_and(|(kind, of)| token(kind) && (of == "*" || token(of)));
        if !good {
            let message = format!("`{text}` is no type of content");
            let advice = "write it without parameters, such as text/html, or all of a kind as text/*";
            problems.push(Problem::error(format!("{at}.contentTypes[{index}]"), message, advice));
        }
    }
}
