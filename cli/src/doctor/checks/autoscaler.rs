//! A HorizontalPodAutoscaler of a WorkloadDeployment. It is made for pods, and a workload's replicas are none.

use penstock_api::autoscaling::Autoscaling;

use super::{SERVICE, Scene, nobody, says_no, words};
use crate::{
    doctor::{
        finding::{Finding, Reason, Report},
        seen::{Autoscaler, Identifier, Known, LabelSelector, Source, Workload},
    },
    problem::Level,
};

/// The first version where HPAScaleToZero is on unless it is turned off.
const SCALES_TO_ZERO: (u32, u32) = (1, 37);
/// The label of a metric that says whose it is.
const LABEL: &str = "workload";

pub(super) fn check(autoscaler: &Autoscaler, scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let object = autoscaler.metadata.object("HorizontalPodAutoscaler");
    let me = object.to_string();
    let mut report = Report::of(object, findings);
    let target = (autoscaler.metadata.namespace.as_str(), autoscaler.spec.scale_target_ref.name.as_str());
    let workload = scene.seen.workload(target.0, target.1);
    // What KEDA writes is checked where it was taken from.
    if autoscaler.scaled_object().is_none() {
        match workload {
            None => {
                let message = format!("there is no WorkloadDeployment {}/{}", target.0, target.1);
                let advice = "Write the name of one in the HPA's own namespace.";
                report.error(Reason::UnknownWorkload, "spec.scaleTargetRef.name", message, advice);
            }
            Some(workload) => bounds(autoscaler, workload, scene, &mut report),
        }
        scene.rival(&mut report, &me, target);
        metrics(autoscaler, scene, &mut report);
    }
    conditions(autoscaler, &mut report);
}

fn bounds(autoscaler: &Autoscaler, workload: &Workload, scene: &Scene<'_>, report: &mut Report<'_>) {
    let spec = &autoscaler.spec;
    if spec.min_replicas == Some(0) {
        if !workload.answers_at_zero() {
            let message = "with 0 replicas nobody would answer the first call, so no metric would ever rise again";
            let advice = "Write `scaleToZero: true` in the WorkloadDeployment's spec, or `minReplicas: 1` here.";
            report.error(Reason::ZeroUnreachable, "spec.minReplicas", message.to_owned(), advice);
        }
        if let Some((major, minor)) = scene.seen.version.filter(|it| *it < SCALES_TO_ZERO) {
            let message =
                format!("0 needs HPAScaleToZero, which is off in Kubernetes {major}.{minor} unless it was turned on");
            let advice = "See that the API server and the controller manager have the feature gate, or use `spec.autoscaling`, which needs none.";
            report.warning(Reason::NeedsScaleToZeroFeature, "spec.minReplicas", message, advice);
        }
    }
    let (most, now) = (spec.max_replicas, workload.replicas());
    if most < now {
        let message = format!("there are {now} replicas, and the HPA allows {most} at most: it takes the others away");
        let advice = "Raise `maxReplicas` if the load needs them.";
        report.warning(Reason::AboveMaximum, "spec.maxReplicas", message, advice);
    }
}

fn metrics(autoscaler: &Autoscaler, scene: &Scene<'_>, report: &mut Report<'_>) {
    let mut served = true;
    for (index, metric) in autoscaler.spec.metrics.iter().enumerate() {
        let at = format!("spec.metrics[{index}]");
        match (metric.kind.as_str(), &metric.external, &metric.object) {
            ("External", Some(source), _) => {
                let at = format!("{at}.external");
                // Here an HPA goes by the field that is there, whatever the type says.
                if source.target.average_value.is_none() {
                    counts_pods(source, &at, report);
                }
                let known = Autoscaling::METRICS.iter().any(|it| it.name == source.metric.name);
                if known {
                    // Said once: it is the same for all of them.
                    served = served && supply(&at, &source.metric.name, scene, report);
                    whose(autoscaler, &source.metric, &format!("{at}.metric.selector"), scene, report);
                } else if is_ours(scene) {
                    unknown(&source.metric.name, &format!("{at}.metric.name"), report);
                }
            }
            // And here by the type.
            ("Object", _, Some(source)) if source.target.kind != "AverageValue" => {
                counts_pods(source, &format!("{at}.object"), report);
            }
            (kind @ ("Resource" | "ContainerResource" | "Pods"), ..) => {
                let message = format!(
                    "a metric of the type {kind} is measured in pods, and a workload has none: it never has a value"
                );
                let advice = "Use an External metric with `type: AverageValue`, such as requests_per_second, or `spec.autoscaling`.";
                report.error(Reason::MetricOfPods, format!("{at}.type"), message, advice);
            }
            _ => {}
        }
    }
}

/// The HPA holds a `Value` against the number of ready pods; for an average it divides by the replicas of `/scale`.
fn counts_pods(source: &Source, at: &str, report: &mut Report<'_>) {
    let message = format!(
        "a target of the type {} is multiplied by the number of ready pods, and a workload has none: the HPA falls to its minimum",
        source.target.kind
    );
    let advice = "Write `type: AverageValue` and `averageValue`: signals that are no sums are told times the replicas.";
    report.error(Reason::TargetCountsPods, format!("{at}.target.type"), message, advice);
}

/// Whether Penstock serves the API.
fn is_ours(scene: &Scene<'_>) -> bool {
    matches!(&scene.seen.external_metrics, Known::There(it) if it.spec.service.name == SERVICE)
}

/// Whether somebody answers for Penstock's metrics, as far as it is known.
fn supply(at: &str, metric: &str, scene: &Scene<'_>, report: &mut Report<'_>) -> bool {
    let there = match &scene.seen.external_metrics {
        Known::Unknown => return true,
        Known::Missing => {
            let message = format!("nobody serves external.metrics.k8s.io, so {metric} has no value");
            let advice = "Run `kubectl apply -k deploy/external-metrics`, or use `spec.autoscaling`, which needs none.";
            report.error(Reason::NoExternalMetrics, at, message, advice);
            return false;
        }
        Known::There(it) => it,
    };
    let service = &there.spec.service;
    if service.name != SERVICE {
        let message = format!(
            "external.metrics.k8s.io is served by {}/{}, which does not know Penstock's {metric}, and a cluster has one such server",
            service.namespace, service.name
        );
        let advice =
            "Write a ScaledObject if that is KEDA, or use `spec.autoscaling`; an HPA cannot have this metric here.";
        report.error(Reason::ForeignExternalMetrics, at, message, advice);
        return false;
    }
    if let Some(how) = nobody(&scene.seen.door) {
        let message = format!("Service {}/{SERVICE} {how}, so {metric} has no value", service.namespace);
        let advice = format!(
            "See whether an operator runs and leads: `kubectl get pods,leases,endpointslices -n {}`.",
            service.namespace
        );
        report.error(Reason::NobodyAnswers, at, message, advice);
        return false;
    }
    let available = there.status.conditions.iter().find(|it| it.kind == "Available");
    if available.is_some_and(|it| it.status == "True") {
        return true;
    }
    let said = available.map_or_else(|| "it has no condition Available".to_owned(), words);
    let message = format!("APIService v1beta1.external.metrics.k8s.io does not work: {said}");
    let advice =
        "See `kubectl describe apiservice v1beta1.external.metrics.k8s.io`, and the operator's log for who it refuses.";
    report.error(Reason::NoExternalMetrics, at, message, advice);
    false
}

/// The selector has to name one workload, and nothing else.
fn whose(autoscaler: &Autoscaler, metric: &Identifier, at: &str, scene: &Scene<'_>, report: &mut Report<'_>) {
    let target = &autoscaler.spec.scale_target_ref.name;
    let Some(workload) = named(&metric.selector) else {
        let message =
            format!("it does not say whose {} is meant: one label, {LABEL}, has to name one workload", metric.name);
        report.error(
            Reason::NoWorkloadNamed,
            at,
            message,
            format!("Write `selector: {{matchLabels: {{{LABEL}: {target}}}}}`."),
        );
        return;
    };
    let namespace = &autoscaler.metadata.namespace;
    if scene.seen.workload(namespace, workload).is_none() {
        let message = format!("there is no WorkloadDeployment {namespace}/{workload}, so {} has no value", metric.name);
        report.error(Reason::UnknownWorkload, at, message, format!("Write `{LABEL}: {target}`."));
    } else if workload != target {
        let message = format!("{target} is scaled by the load of {workload}");
        report.warning(Reason::OtherWorkload, at, message, format!("Write `{LABEL}: {target}`, unless that is meant."));
    }
}

fn named(selector: &LabelSelector) -> Option<&str> {
    let labels: Vec<_> = selector.match_labels.iter().collect();
    match (labels.as_slice(), selector.match_expressions.as_slice()) {
        ([(key, value)], []) if *key == LABEL => Some(value.as_str()),
        ([], [it]) if it.key == LABEL && it.operator == "In" => match it.values.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        },
        _ => None,
    }
}

/// A metric that Penstock, which is asked, does not have.
fn unknown(metric: &str, at: &str, report: &mut Report<'_>) {
    let names: Vec<&str> = Autoscaling::METRICS.iter().map(|it| it.name).collect();
    let message = format!("Penstock serves external metrics here and has no {metric}");
    report.error(Reason::UnknownMetric, at, message, format!("Write one of {}.", names.join(", ")));
}

/// What the HPA says of itself.
fn conditions(autoscaler: &Autoscaler, report: &mut Report<'_>) {
    let conditions = &autoscaler.status.conditions;
    for no in ["AbleToScale", "ScalingActive"].into_iter().filter_map(|kind| says_no(conditions, kind)) {
        let (level, advice) = match no.reason.as_str() {
            "ScalingDisabled" => {
                (Level::Warning, "It was scaled to 0 by hand: bring it back with `kubectl scale --replicas=1`.")
            }
            _ if report.has_errors() => {
                (Level::Note, "It follows from what else is said of this HPA: mend that first.")
            }
            _ => (Level::Error, "Do as its message says; `kubectl describe hpa` has the events that led to it."),
        };
        report.add(level, Reason::NotActive, "status.conditions", words(no), advice);
    }
}
