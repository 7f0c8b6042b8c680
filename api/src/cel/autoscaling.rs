//! Rules of `spec.autoscaling`.

use schemars::Schema;

use super::{Rule, add};

/// Of `autoscaling`.
pub(crate) fn autoscaling(schema: &mut Schema) {
    let rule = Rule(
        ".maxReplicas",
        "(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
        "maxReplicas is less than minReplicas (1 unless it says otherwise): raise it, or lower minReplicas",
    );
    add(schema, &[rule]);
}

/// Of a deployment's spec, which has both fields.
pub(super) const TO_ZERO: Rule = Rule(
    ".autoscaling",
    "!has(self.autoscaling) || !has(self.autoscaling.minReplicas) || self.autoscaling.minReplicas > 0 || (has(self.scaleToZero) && self.scaleToZero)",
    "with minReplicas 0 nobody would answer the first request: write `scaleToZero: true` beside `autoscaling`, or at least 1",
);

/// Of `metrics[].external`.
pub(crate) fn external_metric(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".metric",
                "self.metric.name in ['requests_per_second', 'in_flight', 'queued', 'concurrency', 'shed_per_second', 'utilization', 'queue_wait_seconds', 'latency_seconds']",
                "write one of requests_per_second, in_flight, queued, concurrency, utilization, queue_wait_seconds, latency_seconds, shed_per_second",
            ),
            Rule(
                ".target",
                "!(self.metric.name in ['requests_per_second', 'in_flight', 'queued', 'concurrency', 'shed_per_second']) || self.target.type == 'AverageValue'",
                "the replicas share this metric: write `type: AverageValue` and `averageValue`",
            ),
            Rule(
                ".target",
                "!(self.metric.name in ['utilization', 'queue_wait_seconds', 'latency_seconds']) || self.target.type == 'Value'",
                "this metric is the same however many replicas share it: write `type: Value` and `value`",
            ),
        ],
    );
}

/// Of `metrics[].external.target`.
pub(crate) fn metric_target(schema: &mut Schema) {
    let rule = Rule(
        "",
        "has(self.averageValue) == (self.type == 'AverageValue') && has(self.value) == (self.type == 'Value')",
        "the number belongs to the type: write `averageValue` for `type: AverageValue` and `value` for `type: Value`, and not the other",
    );
    add(schema, &[rule]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaling::{Autoscaling, MetricTargetType};

    /// The rules name the metrics that there are, as the code does.
    #[test]
    fn metrics_are_the_known_ones() {
        let mut schema = Schema::default();
        external_metric(&mut schema);
        let text = serde_json::to_value(&schema).unwrap_or_default().to_string();
        let times = |name: &str| text.matches(&format!("'{name}'")).count();
        for it in Autoscaling::METRICS {
            assert_eq!(times(it.name), 2, "{}", it.name);
        }
        let of = |at: usize| {
            let value = serde_json::to_value(&schema).unwrap_or_default();
            value["x-kubernetes-validations"][at]["rule"].as_str().unwrap_or_default().to_owned()
        };
        for it in Autoscaling::METRICS {
            let at = if it.target == MetricTargetType::AverageValue { 1 } else { 2 };
            assert!(of(at).contains(it.name), "{}", it.name);
        }
    }
}
