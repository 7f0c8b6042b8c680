//! `spec.autoscaling` of a WorkloadDeployment, with the field names of a HorizontalPodAutoscaler (autoscaling/v2).
//!
//! What is left out has a value that suits replicas which start within milliseconds: growth is bounded for each second, where
//! a HorizontalPodAutoscaler bounds it for each quarter of a minute, and replicas leave after one quiet minute instead of five.

mod quantity;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::quantity::quantity;

/// Between how many replicas, by which signals, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::autoscaling)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The fewest replicas. Left out: 1. 0 needs `scaleToZero: true` beside `autoscaling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 2_147_483_647))]
    pub min_replicas: Option<u32>,
    /// The most replicas.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_replicas: u32,
    /// The signals; the one that asks for most replicas wins. Left out: `utilization` at 0.8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub metrics: Vec<ScalingMetric>,
    /// How fast, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<ScalingBehavior>,
}

/// One signal and where it should be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScalingMetric {
    /// Where it comes from: hosts count the load themselves, so `External`, as seen from Kubernetes.
    pub r#type: ScalingMetricType,
    /// Which signal, and its target.
    pub external: ExternalMetric,
}

/// Where a signal comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingMetricType {
    /// From the hosts.
    #[default]
    External,
}

/// A signal, and its target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::external_metric)]
pub struct ExternalMetric {
    /// The signal.
    pub metric: MetricIdentifier,
    /// Where it should be.
    pub target: MetricTarget,
}

/// A signal's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricIdentifier {
    /// `requests_per_second`, `in_flight`, `queued`, `concurrency`, `shed_per_second` (for these, the target is an
    /// `AverageValue`), `utilization`, `queue_wait_seconds` or `latency_seconds` (for these, a `Value`).
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// Where a signal should be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::metric_target)]
#[serde(rename_all = "camelCase")]
pub struct MetricTarget {
    /// Which of the two it is.
    pub r#type: MetricTargetType,
    /// For each replica, such as "10" or "500m".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity::positive")]
    pub average_value: Option<Quantity>,
    /// For the workload as a whole, such as "800m" or "0.05".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity::positive")]
    pub value: Option<Quantity>,
}

/// Whether a target is for each replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricTargetType {
    /// All replicas' values together, divided by their number.
    #[default]
    AverageValue,
    /// As it is.
    Value,
}

/// How fast, either way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingBehavior {
    /// Upwards. Left out: at once, by 100% or 4 replicas each second, whichever is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Downwards. Left out: after 60 seconds in which fewer were enough, to as few as those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast, one way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// For so long, the most careful recommendation counts. Left out: 0 upwards, 60 downwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3600))]
    pub stabilization_window_seconds: Option<u32>,
    /// Which of several policies counts. Left out: `Max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// How much may change within which time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub policies: Vec<ScalingPolicy>,
    /// By which part of the target a signal may be off before anything changes. Left out: 0.1, and a difference below it
    /// that does not go away within a minute is made good for after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity::not_negative")]
    pub tolerance: Option<Quantity>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that lets most change.
    #[default]
    Max,
    /// The one that lets least change.
    Min,
    /// None: nothing changes this way.
    Disabled,
}

/// How much may change within which time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub r#type: ScalingPolicyType,
    /// How much.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub value: u32,
    /// Within so many seconds.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: u32,
}

/// What a policy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPolicyType {
    /// Replicas. The name is the HorizontalPodAutoscaler's.
    #[default]
    Pods,
    /// Percent of the replicas that there were when the period began.
    Percent,
}

/// [`ScalingRules`] with nothing left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling<'a> {
    /// For so long, the most careful recommendation counts.
    pub window: Duration,
    /// Which of the policies counts.
    pub select: SelectPolicy,
    /// How much may change within which time.
    pub policies: &'a [ScalingPolicy],
    /// By which part of the target a signal may be off.
    pub tolerance: f64,
    /// Whether the tolerance was asked for: then a difference below it is to be left alone, however long it lasts.
    pub strict: bool,
}

/// A metric that can be scaled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownMetric {
    /// Its name.
    pub name: &'static str,
    /// What its target is.
    pub target: MetricTargetType,
}

// === impl Autoscaling ===

impl Autoscaling {
    /// The fewest replicas, if it does not say.
    pub const MIN_REPLICAS: u32 = 1;
    /// As many signals at most.
    pub const MAX_METRICS: usize = 16;
    /// The signal, if it names none.
    pub const DEFAULT_METRIC: (&'static str, f64) = ("utilization", 0.8);
    /// The signals that there are.
    pub const METRICS: [KnownMetric; 8] = {
        const fn known(name: &'static str, target: MetricTargetType) -> KnownMetric {
            KnownMetric { name, target }
        }
        use MetricTargetType::{AverageValue, Value};
        [
            known("requests_per_second", AverageValue),
            known("in_flight", AverageValue),
            known("queued", AverageValue),
            known("concurrency", AverageValue),
            known("utilization", Value),
            known("queue_wait_seconds", Value),
            known("latency_seconds", Value),
            known("shed_per_second", AverageValue),
        ]
    };

    /// The fewest replicas.
    #[must_use]
    pub fn min_replicas(&self) -> u32 {
        self.min_replicas.unwrap_or(Self::MIN_REPLICAS)
    }

    /// The signals with their targets; no target where it cannot be read.
    pub fn targets(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        let default = (Self::DEFAULT_METRIC.0, Some(Self::DEFAULT_METRIC.1));
        let default = self.metrics.is_empty().then_some(default).into_iter();
        default.chain(self.metrics.iter().map(|it| (it.external.metric.name.as_str(), it.external.target.number())))
    }

    /// How fast upwards.
    #[must_use]
    pub fn scale_up(&self) -> Scaling<'_> {
        Scaling::new(self.behavior.as_ref().and_then(|it| it.scale_up.as_ref()), &Scaling::UP)
    }

    /// How fast downwards.
    #[must_use]
    pub fn scale_down(&self) -> Scaling<'_> {
        Scaling::new(self.behavior.as_ref().and_then(|it| it.scale_down.as_ref()), &Scaling::DOWN)
    }

    /// What is wrong: each time the field, below `autoscaling`, and a sentence that says what to write instead.
    /// `scale_to_zero` is the deployment's.
    #[must_use]
    pub fn problems(&self, scale_to_zero: bool) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut say = |path: String, message: String| problems.push((path, message));
        let (min, max) = (self.min_replicas(), self.max_replicas);
        if max < 1 {
            say("maxReplicas".to_owned(), "no replica would ever run: write at least 1".to_owned());
        } else if min > max {
            say(
                "maxReplicas".to_owned(),
                format!("{max} is less than minReplicas, {min}: raise it, or lower minReplicas"),
            );
        }
        if min == 0 && !scale_to_zero {
            let message = "with 0 replicas nobody would answer the first request: write `scaleToZero: true` in the spec, or at least 1";
            say("minReplicas".to_owned(), message.to_owned());
        }
        if self.metrics.len() > Self::MAX_METRICS {
            let message = format!("there are {} metrics: keep at most {}", self.metrics.len(), Self::MAX_METRICS);
            say("metrics".to_owned(), message);
        }
        for (index, it) in self.metrics.iter().take(Self::MAX_METRICS).enumerate() {
            it.external.problems(&format!("metrics[{index}].external"), &mut say);
        }
        if let Some(behavior) = &self.behavior {
            for (field, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
                if let Some(rules) = rules {
                    rules.problems(&format!("behavior.{field}"), &mut say);
                }
            }
        }
        problems
    }
}

// === impl ExternalMetric ===

impl ExternalMetric {
    fn problems(&self, at: &str, say: &mut dyn FnMut(String, String)) {
        let name = &self.metric.name;
        let known = Autoscaling::METRICS.iter().find(|it| it.name == *name);
        match known {
            None => {
                let names: Vec<&str> = Autoscaling::METRICS.iter().map(|it| it.name).collect();
                let message = format!("there is no metric `{name}`: write one of {}", names.join(", "));
                say(format!("{at}.metric.name"), message);
            }
            Some(known) if known.target != self.target.r#type => {
                let message = match known.target {
                    MetricTargetType::AverageValue => {
                        format!("{name} is shared by the replicas: write `type: AverageValue` and `averageValue`")
                    }
                    MetricTargetType::Value => {
                        format!("{name} is the same however many replicas share it: write `type: Value` and `value`")
                    }
                };
                say(format!("{at}.target.type"), message);
                return;
            }
            Some(_) => {}
        }
        self.target.problems(&format!("{at}.target"), say);
    }
}

// === impl MetricTarget ===

impl MetricTarget {
    /// The target, if it is there and more than 0.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let (given, _) = self.given();
        quantity(&given?.0).ok().filter(|it| *it > 0.0)
    }

    /// The field that its type asks for, and the other one.
    const fn given(&self) -> (Option<&Quantity>, Option<&Quantity>) {
        match self.r#type {
            MetricTargetType::AverageValue => (self.average_value.as_ref(), self.value.as_ref()),
            MetricTargetType::Value => (self.value.as_ref(), self.average_value.as_ref()),
        }
    }

    fn problems(&self, at: &str, say: &mut dyn FnMut(String, String)) {
        let (field, other) = match self.r#type {
            MetricTargetType::AverageValue => ("averageValue", "value"),
            MetricTargetType::Value => ("value", "averageValue"),
        };
        let (given, stray) = self.given();
        match given.map(|it| quantity(&it.0)) {
            None => say(format!("{at}.{field}"), format!("the target has no number: add `{field}`, such as \"10\"")),
            Some(Err(error)) => say(format!("{at}.{field}"), error),
            Some(Ok(number)) if number <= 0.0 => {
                say(format!("{at}.{field}"), "nothing can be divided by it: write a number above 0".to_owned());
            }
            Some(Ok(_)) => {}
        }
        if stray.is_some() {
            say(format!("{at}.{other}"), format!("`{other}` is for the other type of target: remove it"));
        }
    }
}

// === impl ScalingRules ===

impl ScalingRules {
    fn problems(&self, at: &str, say: &mut dyn FnMut(String, String)) {
        if self.stabilization_window_seconds.is_some_and(|it| it > 3600) {
            say(format!("{at}.stabilizationWindowSeconds"), "write at most 3600, which is an hour".to_owned());
        }
        for (index, it) in self.policies.iter().enumerate() {
            if it.value < 1 {
                let message =
                    "nothing could ever change: write at least 1, or `selectPolicy: Disabled` if that is meant";
                say(format!("{at}.policies[{index}].value"), message.to_owned());
            }
            if !(1..=1800).contains(&it.period_seconds) {
                let message = "write from 1 to 1800, which is half an hour".to_owned();
                say(format!("{at}.policies[{index}].periodSeconds"), message);
            }
        }
        match self.tolerance.as_ref().map(|it| quantity(&it.0)) {
            Some(Err(error)) => say(format!("{at}.tolerance"), error),
            Some(Ok(number)) if number < 0.0 => {
                say(format!("{at}.tolerance"), "write a part of the target, such as 0.1, or 0".to_owned());
            }
            _ => {}
        }
    }
}

// === impl Scaling ===

impl Scaling<'static> {
    /// What is not said of `scaleUp`. A HorizontalPodAutoscaler allows the same within 15 seconds; a replica here is no pod.
    pub const UP: Self = Self {
        window: Duration::ZERO,
        select: SelectPolicy::Max,
        policies: &[
            ScalingPolicy { r#type: ScalingPolicyType::Percent, value: 100, period_seconds: 1 },
            ScalingPolicy { r#type: ScalingPolicyType::Pods, value: 4, period_seconds: 1 },
        ],
        tolerance: 0.1,
        strict: false,
    };
    /// What is not said of `scaleDown`.
    pub const DOWN: Self = Self {
        window: Duration::from_secs(60),
        select: SelectPolicy::Max,
        policies: &[ScalingPolicy { r#type: ScalingPolicyType::Percent, value: 100, period_seconds: 15 }],
        tolerance: 0.1,
        strict: false,
    };
}

impl<'a> Scaling<'a> {
    fn new(rules: Option<&'a ScalingRules>, default: &Scaling<'static>) -> Self {
        let Some(rules) = rules else { return *default };
        let tolerance = rules.tolerance.as_ref().and_then(|it| quantity(&it.0).ok()).filter(|it| *it >= 0.0);
        Self {
            window: rules.stabilization_window_seconds.map_or(default.window, |it| Duration::from_secs(it.into())),
            select: rules.select_policy.unwrap_or(default.select),
            policies: if rules.policies.is_empty() { default.policies } else { &rules.policies },
            tolerance: tolerance.unwrap_or(default.tolerance),
            strict: tolerance.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Autoscaling {
        serde_json::from_value(value).unwrap()
    }

    fn metric(name: &str, r#type: &str, field: &str, number: &str) -> serde_json::Value {
        json!({ "type": "External", "external": { "metric": { "name": name }, "target": { "type": r#type, field: number } } })
    }

    #[test]
    fn reads_and_writes_what_a_horizontal_pod_autoscaler_has() {
        let value = json!({
            "minReplicas": 2,
            "maxReplicas": 38,
            "metrics": [
                metric("requests_per_second", "AverageValue", "averageValue", "12.2"),
                metric("queue_wait_seconds", "Value", "value", "50m"),
            ],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 3,
                    "selectPolicy": "Min",
                    "policies": [{ "type": "Percent", "value": 900, "periodSeconds": 60 }],
                },
                "scaleDown": { "selectPolicy": "Disabled", "tolerance": "50m" },
            },
        });
        let it = parse(value.clone());
        assert_eq!(it.problems(false), []);
        assert_eq!(serde_json::to_value(&it).unwrap(), value);
        let targets: Vec<_> = it.targets().collect();
        assert_eq!(targets, [("requests_per_second", Some(12.2)), ("queue_wait_seconds", Some(0.05))]);
        let (up, down) = (it.scale_up(), it.scale_down());
        assert_eq!((up.window, up.select, up.policies.len()), (Duration::from_secs(3), SelectPolicy::Min, 1));
        assert_eq!((up.tolerance, up.strict), (0.1, false));
        assert_eq!((down.window, down.select), (Duration::from_secs(60), SelectPolicy::Disabled));
        assert_eq!((down.tolerance, down.strict), (0.05, true));
        assert_eq!(down.policies, Scaling::DOWN.policies);
    }

    #[test]
    fn defaults() {
        let it = parse(json!({ "maxReplicas": 3 }));
        assert_eq!(it.problems(false), []);
        assert_eq!(it.min_replicas(), 1);
        assert_eq!(it.targets().collect::<Vec<_>>(), [("utilization", Some(0.8))]);
        assert_eq!((it.scale_up(), it.scale_down()), (Scaling::UP, Scaling::DOWN));
        assert_eq!(serde_json::to_value(&it).unwrap(), json!({ "maxReplicas": 3 }));
    }

    #[test]
    fn numbers_may_be_written_without_quotes() {
        let it: MetricTarget = serde_json::from_value(json!({ "type": "Value", "value": 2 })).unwrap();
        assert_eq!(it.number(), Some(2.0));
    }

    #[test]
    fn problems_name_the_field_and_say_what_to_write() {
        let one = |metric: serde_json::Value| json!({ "maxReplicas": 5, "metrics": [metric] });
        let rules = |rules: serde_json::Value| json!({ "maxReplicas": 5, "behavior": { "scaleDown": rules } });
        let target = "metrics[0].external.target";
        let both = json!({ "type": "Value", "value": "1", "averageValue": "1" });
        let both = json!({ "type": "External", "external": { "metric": { "name": "utilization" }, "target": both } });
        let cases = [
            (json!({ "maxReplicas": 0 }), "maxReplicas".to_owned(), "at least 1"),
            (json!({ "maxReplicas": 2, "minReplicas": 3 }), "maxReplicas".to_owned(), "2 is less than minReplicas, 3"),
            (json!({ "maxReplicas": 2, "minReplicas": 0 }), "minReplicas".to_owned(), "scaleToZero: true"),
            (
                json!({ "maxReplicas": 2, "metrics": vec![metric("queued", "AverageValue", "averageValue", "1"); 17] }),
                "metrics".to_owned(),
                "at most 16",
            ),
            (
                one(metric("cpu", "Value", "value", "1")),
                "metrics[0].external.metric.name".to_owned(),
                "requests_per_second, in_flight, queued, concurrency, utilization, queue_wait_seconds, latency_seconds, shed_per_second",
            ),
            (one(metric("queued", "Value", "value", "1")), format!("{target}.type"), "type: AverageValue"),
            (one(metric("utilization", "AverageValue", "averageValue", "1")), format!("{target}.type"), "type: Value"),
            (
                one(metric("queued", "AverageValue", "value", "1")),
                format!("{target}.averageValue"),
                "add `averageValue`",
            ),
            (one(metric("utilization", "Value", "value", "1 s")), format!("{target}.value"), "`1 s`"),
            (one(metric("utilization", "Value", "value", "0")), format!("{target}.value"), "above 0"),
            (one(metric("utilization", "Value", "value", "-1")), format!("{target}.value"), "above 0"),
            (one(both), format!("{target}.averageValue"), "remove it"),
            (
                rules(json!({ "stabilizationWindowSeconds": 3601 })),
                "behavior.scaleDown.stabilizationWindowSeconds".to_owned(),
                "3600",
            ),
            (rules(json!({ "tolerance": "-0.1" })), "behavior.scaleDown.tolerance".to_owned(), "0.1"),
            (rules(json!({ "tolerance": "much" })), "behavior.scaleDown.tolerance".to_owned(), "`much`"),
            (
                rules(json!({ "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 1801 }] })),
                "behavior.scaleDown.policies[0].periodSeconds".to_owned(),
                "1800",
            ),
            (
                rules(json!({ "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 0 }] })),
                "behavior.scaleDown.policies[0].periodSeconds".to_owned(),
                "1800",
            ),
            (
                rules(json!({ "policies": [{ "type": "Pods", "value": 0, "periodSeconds": 1 }] })),
                "behavior.scaleDown.policies[0].value".to_owned(),
                "Disabled",
            ),
        ];
        for (value, path, words) in cases {
            let problems = parse(value.clone()).problems(false);
            let found: Vec<&str> = problems.iter().map(|it| it.0.as_str()).collect();
            assert!(found.contains(&path.as_str()), "{value}: {problems:?}");
            assert!(problems.iter().any(|it| it.0 == path && it.1.contains(words)), "{value}: {problems:?}");
        }
        // What lies at the edge is fine.
        let edge = json!({
            "maxReplicas": 1,
            "minReplicas": 0,
            "metrics": vec![metric("queued", "AverageValue", "averageValue", "1"); 16],
            "behavior": { "scaleUp": {
                "stabilizationWindowSeconds": 3600,
                "tolerance": "0",
                "policies": [
                    { "type": "Pods", "value": 1, "periodSeconds": 1 },
                    { "type": "Percent", "value": 1, "periodSeconds": 1800 },
                ],
            } },
        });
        assert_eq!(parse(edge).problems(true), []);
    }
}
