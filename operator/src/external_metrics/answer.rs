//! From a request to its response, once it is known who asks and that they may.

use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::{
    GROUP, VERSION, discovery,
    review::Access,
    selector::{self, WORKLOAD},
    status::{failure, json},
};
use crate::{
    plan::Name,
    scaler::{Source, milli},
    signals::Signal,
};

/// Seconds that a rate is the mean of.
const WINDOW: u32 = 1;

/// The response to a request of somebody who may ask it.
#[must_use]
pub fn answer(
    source: &dyn Source,
    method: &Method,
    path: &str,
    query: Option<&str>,
    now: Timestamp,
) -> Response<String> {
    if method != Method::GET {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "metrics can be read, and nothing else");
    }
    let path = path.trim_end_matches('/');
    if let Some(access) = Access::of(path) {
        return value(source, access, query, now);
    }
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    match steps.as_slice() {
        ["apis"] => json(StatusCode::OK, &discovery::groups()),
        ["apis", GROUP] => json(StatusCode::OK, &discovery::group()),
        ["apis", GROUP, VERSION] => json(StatusCode::OK, &discovery::resources()),
        // Neither is there /openapi/v2, nor /openapi/v3: the aggregator goes without.
        _ => failure(
            StatusCode::NOT_FOUND,
            &format!("there is only /apis/{GROUP}/{VERSION}/namespaces/NAMESPACE/METRIC, and what leads there"),
        ),
    }
}

fn value(source: &dyn Source, access: Access<'_>, query: Option<&str>, now: Timestamp) -> Response<String> {
    let Some(signal) = Signal::parse(access.metric) else {
        let names = Signal::ALL.map(Signal::name).join(", ");
        let message = format!("there is no metric {:?}: they are {names}", access.metric);
        return failure(StatusCode::NOT_FOUND, &message);
    };
    if selector::watches(query) {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "metrics cannot be watched: read them again");
    }
    let name = match selector::workload(query) {
        Ok(name) => name,
        Err(message) => return failure(StatusCode::BAD_REQUEST, &message),
    };
    if !source.ready() {
        let message = "this operator does not lead, or has heard of no host yet: come again";
        return failure(StatusCode::SERVICE_UNAVAILABLE, message);
    }
    let Some(signals) = source.signals(&Name::new(access.namespace, &name)) else {
        let message = format!(
            "there is no WorkloadDeployment {name} in namespace {}, or no host has it yet: create it there, or name \
             another in the metric's selector ({WORKLOAD}: NAME)",
            access.namespace
        );
        return failure(StatusCode::NOT_FOUND, &message);
    };
    let item = json!({
        "metricName": signal.name(),
        "metricLabels": { WORKLOAD: name },
        "timestamp": seconds(now),
        "window": WINDOW,
        "value": quantity(milli(signal, &signals)),
    });
    let list = json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "metadata": {},
        "items": [item],
    });
    json(StatusCode::OK, &list)
}

/// As Kubernetes writes it: `2`, not `2000m`.
fn quantity(milli: i64) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// Times have no fractions of a second there.
fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
