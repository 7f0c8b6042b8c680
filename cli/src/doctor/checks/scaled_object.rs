//! A KEDA ScaledObject that scales a WorkloadDeployment, or asks the operator.

use super::{SERVICE, Scene, nobody, says_no, system, trigger, words};
use crate::{
    doctor::{
        finding::{Finding, Reason, Report},
        seen::{ScaledObject, Trigger},
    },
    problem::Level,
};

/// What KEDA takes for `maxReplicaCount` if there is none. `minReplicaCount` is 0.
const MAX: u32 = 100;

pub(super) fn check(scaled: &ScaledObject, scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let target = &scaled.spec.scale_target_ref;
    let ours = target.is_workload();
    if !ours && !scaled.spec.triggers.iter().any(trigger::asks_penstock) {
        return;
    }
    let object = scaled.metadata.object("ScaledObject");
    let me = object.to_string();
    let mut report = Report::of(object, findings);
    if ours {
        let workload = (scaled.metadata.namespace.as_str(), target.name.as_str());
        bounds(scaled, scene, &mut report);
        scene.rival(&mut report, &me, workload);
    }
    for (index, it) in scaled.spec.triggers.iter().enumerate() {
        let at = format!("spec.triggers[{index}]");
        if ours {
            pods(it, &at, &mut report);
        }
        if trigger::asks_penstock(it) {
            trigger::check(it, &at, scaled, scene, &mut report);
        }
    }
    let system = system(scene.seen);
    if let Some(how) = nobody(&scene.seen.door)
        && let Some(index) = scaled.spec.triggers.iter().position(|it| trigger::asked(it) == Some(system))
    {
        let message = format!("Service {system}/{SERVICE} {how}, so KEDA gets no answer");
        let advice =
            format!("See whether an operator runs and leads: `kubectl get pods,leases,endpointslices -n {system}`.");
        report.error(Reason::NobodyAnswers, format!("spec.triggers[{index}].metadata.scalerAddress"), message, advice);
    }
    if let Some(no) = says_no(&scaled.status.conditions, "Ready") {
        let (level, advice) = if report.has_errors() {
            (Level::Note, "It follows from what else is said of this ScaledObject: mend that first.")
        } else {
            (Level::Error, "Do as its message says; KEDA's operator logs more of it.")
        };
        report.add(level, Reason::NotActive, "status.conditions", words(no), advice);
    }
}

fn bounds(scaled: &ScaledObject, scene: &Scene<'_>, report: &mut Report<'_>) {
    let (spec, namespace) = (&scaled.spec, &scaled.metadata.namespace);
    let name = &spec.scale_target_ref.name;
    let Some(workload) = scene.seen.workload(namespace, name) else {
        let message = format!("there is no WorkloadDeployment {namespace}/{name}");
        let advice = "Write the name of one in the ScaledObject's own namespace.";
        report.error(Reason::UnknownWorkload, "spec.scaleTargetRef.name", message, advice);
        return;
    };
    let (field, least) = match spec.idle_replica_count {
        Some(0) => ("spec.idleReplicaCount", 0),
        _ => ("spec.minReplicaCount", spec.min_replica_count.unwrap_or(0)),
    };
    if least == 0 && !workload.answers_at_zero() {
        let how = if spec.min_replica_count.or(spec.idle_replica_count).is_none() {
            " (which it is if left out)"
        } else {
            ""
        };
        let message =
            format!("with 0 replicas{how} nobody would answer the first call, so nothing would ever wake the workload");
        let advice = "Write `scaleToZero: true` in the WorkloadDeployment's spec, or `minReplicaCount: 1` here.";
        report.error(Reason::ZeroUnreachable, field, message, advice);
    }
    let (most, now) = (spec.max_replica_count.unwrap_or(MAX), workload.replicas());
    if most < now {
        let message = format!("there are {now} replicas, and KEDA allows {most} at most: it takes the others away");
        let advice = "Raise `maxReplicaCount` if the load needs them.";
        report.warning(Reason::AboveMaximum, "spec.maxReplicaCount", message, advice);
    }
}

/// What an HPA, which KEDA makes of it, holds against pods.
fn pods(trigger: &Trigger, at: &str, report: &mut Report<'_>) {
    let kind = trigger.kind.as_str();
    if matches!(kind, "cpu" | "memory") {
        let message =
            format!("a trigger of the type {kind} is measured in pods, and a workload has none: it never has a value");
        let advice = "Use a trigger of the type external with one of Penstock's signals.";
        report.error(Reason::MetricOfPods, format!("{at}.type"), message, advice);
    } else if !matches!(trigger.metric_type.as_str(), "" | "AverageValue") {
        let message = format!(
            "a target of the type {} is multiplied by the number of ready pods, and a workload has none: it falls to the minimum",
            trigger.metric_type
        );
        let advice = "Write `metricType: AverageValue`, or leave it out.";
        report.error(Reason::TargetCountsPods, format!("{at}.metricType"), message, advice);
    }
}
