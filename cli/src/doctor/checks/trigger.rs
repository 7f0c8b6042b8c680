//! A trigger that asks the operator. What it may say is what the operator reads: `operator/src/scaler/metadata.rs`.

use penstock_api::autoscaling::{Autoscaling, quantity};

use super::{SERVICE, Scene};
use crate::doctor::{
    finding::{Reason, Report},
    seen::{ScaledObject, Trigger},
};

const KEYS: [&str; 4] = ["metricName", "targetValue", "workload", "activationValue"];

/// Whether it is the operator's to answer.
pub(super) fn asks_penstock(trigger: &Trigger) -> bool {
    matches!(trigger.kind.as_str(), "external" | "external-push") && labels(trigger).next() == Some(SERVICE)
}

/// The namespace in which the operator is asked, if it is asked at all.
pub(super) fn asked(trigger: &Trigger) -> Option<&str> {
    asks_penstock(trigger).then(|| labels(trigger).nth(1)).flatten()
}

/// The parts of `penstock-autoscaling.penstock-system.svc:9444`, with or without `dns:///` before it.
fn labels(trigger: &Trigger) -> impl Iterator<Item = &str> {
    let host = text(trigger, "scalerAddress").and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    host.split(':').next().unwrap_or_default().split('.')
}

pub(super) fn check(trigger: &Trigger, at: &str, scaled: &ScaledObject, scene: &Scene<'_>, report: &mut Report<'_>) {
    trust(trigger, at, report);
    let metadata = format!("{at}.metadata");
    for key in trigger.metadata.keys() {
        if let Some(meant) = KEYS.iter().find(|it| it.eq_ignore_ascii_case(key) && *it != key) {
            let message = format!("{key} is not read: it is written {meant}");
            report.error(Reason::InvalidTrigger, format!("{metadata}.{key}"), message, format!("Write `{meant}`."));
        }
    }
    signal(trigger, &metadata, report);
    workload(trigger, &metadata, scaled, scene, report);
}

/// The operator speaks TLS alone, with a certificate of its own authority. KEDA speaks it where `enableTLS` says so, or where it
/// is given an authority.
fn trust(trigger: &Trigger, at: &str, report: &mut Report<'_>) {
    let is_on =
        |key: &str| text(trigger, key).is_some_and(|it| it == "1" || it == "t" || it.eq_ignore_ascii_case("true"));
    let (tls, anybody) = (is_on("enableTLS"), is_on("unsafeSsl"));
    let authority = !trigger.authentication_ref.name.is_empty();
    if !tls {
        let path = format!("{at}.metadata.enableTLS");
        let advice = "Write `enableTLS: \"true\"`.";
        if authority {
            let message = "KEDA speaks TLS here only if the authentication has a caCert".to_owned();
            report.warning(Reason::TriggerNotTrusted, path, message, advice);
        } else {
            let message = "KEDA speaks no TLS here, and the operator answers to nothing else".to_owned();
            report.error(Reason::TriggerNotTrusted, path, message, advice);
        }
    }
    if !authority {
        let path = format!("{at}.authenticationRef");
        let advice = "Apply deploy/autoscaling/keda.yaml, and write `authenticationRef: {name: penstock, kind: ClusterTriggerAuthentication}`.";
        if tls && anybody {
            let message = "with unsafeSsl and no authority KEDA believes whoever answers".to_owned();
            report.warning(Reason::TriggerNotTrusted, path, message, advice);
        } else {
            let message =
                "KEDA does not trust the operator's certificate, which is of the operator's own authority".to_owned();
            report.error(Reason::TriggerNotTrusted, path, message, advice);
        }
    }
}

/// Which signal, and its target.
fn signal(trigger: &Trigger, metadata: &str, report: &mut Report<'_>) {
    let name = text(trigger, "metricName").unwrap_or(Autoscaling::DEFAULT_METRIC.0);
    if !Autoscaling::METRICS.iter().any(|it| it.name == name) {
        let names: Vec<&str> = Autoscaling::METRICS.iter().map(|it| it.name).collect();
        let message = format!("there is no signal {name}");
        let advice = format!("Write one of {}.", names.join(", "));
        report.error(Reason::UnknownMetric, format!("{metadata}.metricName"), message, advice);
    }
    let example = "Write a number such as \"10\" or \"800m\".";
    match text(trigger, "targetValue") {
        None if name == Autoscaling::DEFAULT_METRIC.0 => {}
        None => {
            let message = format!("it does not say how much {name} one replica is meant to bear");
            report.error(Reason::InvalidTrigger, format!("{metadata}.targetValue"), message, example);
        }
        Some(value) => match quantity(value) {
            Ok(number) if number > 0.0 => {}
            _ => {
                let message = format!("{value:?} is no quantity above 0");
                report.error(Reason::InvalidTrigger, format!("{metadata}.targetValue"), message, example);
            }
        },
    }
    if let Some(value) = text(trigger, "activationValue")
        && !quantity(value).is_ok_and(|it| it >= 0.0)
    {
        let message = format!("{value:?} is no quantity");
        report.error(Reason::InvalidTrigger, format!("{metadata}.activationValue"), message, example);
    }
}

/// Whose load.
fn workload(trigger: &Trigger, metadata: &str, scaled: &ScaledObject, scene: &Scene<'_>, report: &mut Report<'_>) {
    let (namespace, target) = (&scaled.metadata.namespace, &scaled.spec.scale_target_ref);
    let path = format!("{metadata}.workload");
    let given = text(trigger, "workload");
    let name = given.unwrap_or(&scaled.metadata.name);
    let advice = match target.is_workload() {
        true => format!("Write `workload: {}`.", target.name),
        false => "Write the name of a WorkloadDeployment in the ScaledObject's own namespace.".to_owned(),
    };
    let how = if given.is_none() { " (the ScaledObject's own name, since it names none)" } else { "" };
    if scene.seen.workload(namespace, name).is_none() {
        let message = format!("there is no WorkloadDeployment {namespace}/{name}{how}");
        report.error(Reason::UnknownWorkload, path, message, advice);
    } else if target.is_workload() && target.name != name {
        let message = format!("{} is scaled by the load of {name}{how}", target.name);
        report.warning(Reason::OtherWorkload, path, message, advice);
    }
}

fn text<'a>(trigger: &'a Trigger, key: &str) -> Option<&'a str> {
    trigger.metadata.get(key).map(|it| it.trim()).filter(|it| !it.is_empty())
}
