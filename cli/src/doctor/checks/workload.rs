//! A WorkloadDeployment: its selector, and `spec.autoscaling`.

use super::{Scene, says_no, words};
use crate::doctor::{
    finding::{Finding, Reason, Report},
    seen::Workload,
    selector,
};

pub(super) fn check(workload: &Workload, scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let mut report = Report::of(workload.metadata.object("WorkloadDeployment"), findings);
    match workload.status.selector.as_deref().filter(|it| !it.trim().is_empty()) {
        None => no_selector(workload, scene, &mut report),
        Some(selector) => pods(workload, selector, scene, &mut report),
    }
    own(workload, scene, &mut report);
}

/// An HPA asks for a selector, and the operator writes it with the first status.
fn no_selector(workload: &Workload, scene: &Scene<'_>, report: &mut Report<'_>) {
    let message = "`/scale` has no selector, without which no autoscaler scales: the operator has not looked at it yet";
    let advice = "See whether the operator runs: `kubectl get pods -n penstock-system -l app.kubernetes.io/name=penstock-operator`.";
    let scaled = workload.spec.autoscaling.is_some() || !scene.scalers(name(workload)).is_empty();
    if scaled {
        report.error(Reason::NoSelector, "status.selector", message.to_owned(), advice);
    } else {
        report.warning(Reason::NoSelector, "status.selector", message.to_owned(), advice);
    }
}

/// A workload has no pods, so whatever the selector matches is somebody else's.
fn pods(workload: &Workload, selector: &str, scene: &Scene<'_>, report: &mut Report<'_>) {
    let namespace = &workload.metadata.namespace;
    let matched: Vec<_> = (scene.seen.pods.iter())
        .filter(|it| it.metadata.namespace == *namespace && selector::matches(selector, &it.metadata.labels))
        .collect();
    let Some(first) = matched.first() else { return };
    let pod = format!("pod {namespace}/{}", first.metadata.name);
    let advice = "Take those labels off the pods, and see that nobody but Penstock's operator writes this status.";
    let meets = |selector: &str| matched.iter().any(|it| selector::matches(selector, &it.metadata.labels));
    let mut rivals: Vec<&str> = Vec::new();
    for it in scene.seen.autoscalers.iter().filter(|it| it.metadata.namespace == *namespace) {
        let target = &it.spec.scale_target_ref;
        let of = target.is_workload().then(|| scene.seen.workload(namespace, &target.name)).flatten();
        if of.and_then(|it| it.status.selector.as_deref()).is_some_and(meets) {
            rivals.push(&it.metadata.name);
        }
    }
    let others = scene.seen.selectors.iter().filter(|it| it.namespace == *namespace && meets(&it.selector));
    rivals.extend(others.map(|it| it.autoscaler.as_str()));
    if rivals.len() > 1 {
        let message = format!(
            "{pod} is matched by the selectors of the HPAs {}: all of them stop with AmbiguousSelector",
            rivals.join(", ")
        );
        report.error(Reason::AmbiguousSelector, "status.selector", message, advice);
    } else {
        let message = format!("`{selector}` matches {pod}, and a workload has none: an HPA takes it for a replica");
        report.error(Reason::SelectorMatchesPods, "status.selector", message, advice);
    }
}

/// `spec.autoscaling`.
fn own(workload: &Workload, scene: &Scene<'_>, report: &mut Report<'_>) {
    let Some(bounds) = &workload.spec.autoscaling else { return };
    let others = scene.scalers(name(workload));
    if !others.is_empty() {
        let message =
            format!("it is left alone (AmbiguousAutoscaler) as long as {} scales the workload", others.join(" and "));
        let advice = "Remove `spec.autoscaling`, or the other autoscaler.";
        report.warning(Reason::AmbiguousAutoscaler, "spec.autoscaling", message, advice);
    }
    if bounds.min_replicas == Some(0) && !workload.answers_at_zero() {
        let message = "with 0 replicas nobody would answer the first call, so nothing would ever wake the workload";
        let advice = "Write `scaleToZero: true` in the spec, or `minReplicas: 1`.";
        report.error(Reason::ZeroUnreachable, "spec.autoscaling.minReplicas", message.to_owned(), advice);
    }
    let (most, now) = (bounds.max_replicas, workload.replicas());
    if others.is_empty() && most < now {
        let message =
            format!("there are {now} replicas, and {most} at most are allowed: the operator has not taken them away");
        let advice = "Raise `maxReplicas` if the load needs them, and else see whether the operator runs.";
        report.warning(Reason::AboveMaximum, "spec.autoscaling.maxReplicas", message, advice);
    }
    let Some(no) = says_no(&workload.status.conditions, "ScalingActive") else { return };
    match no.reason.as_str() {
        // The other one is named above, if it was seen.
        "AmbiguousAutoscaler" if !others.is_empty() => {}
        "AmbiguousAutoscaler" => {
            let advice = "Remove `spec.autoscaling`, or the other autoscaler.";
            report.warning(Reason::AmbiguousAutoscaler, "spec.autoscaling", words(no), advice);
        }
        "InvalidAutoscaling" => {
            report.error(Reason::InvalidAutoscaling, "spec.autoscaling", words(no), "Correct the field that it names.");
        }
        _ => report.error(Reason::NotActive, "status.conditions", words(no), "Do as its message says."),
    }
}

fn name(workload: &Workload) -> super::Name<'_> {
    (&workload.metadata.namespace, &workload.metadata.name)
}
