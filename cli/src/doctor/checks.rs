//! What can be wrong. Pure: from what was seen, and nothing else.

mod autoscaler;
mod scaled_object;
#[cfg(test)]
mod tests;
mod trigger;
mod workload;

use std::collections::BTreeMap;

use super::{
    finding::{Finding, Reason, Report},
    seen::{Condition, EndpointSlice, Known, Meta, Seen},
};

/// The Service by which the operator is asked.
pub(crate) const SERVICE: &str = "penstock-autoscaling";
/// Where that is, if nothing that asks it says otherwise.
const SYSTEM: &str = "penstock-system";

/// Namespace and name.
type Name<'a> = (&'a str, &'a str);

/// What was seen, with what several checks need of it.
struct Scene<'a> {
    seen: &'a Seen,
    /// Who scales a workload, as it is shown. HPAs that KEDA made are not named beside the ScaledObject that they are of.
    scalers: BTreeMap<Name<'a>, Vec<String>>,
}

/// All that is wrong, the worst first.
pub(crate) fn findings(seen: &Seen) -> Vec<Finding> {
    let scene = Scene::of(seen);
    let mut findings = Vec::new();
    for it in &seen.workloads {
        workload::check(it, &scene, &mut findings);
    }
    for it in &seen.scaled_objects {
        scaled_object::check(it, &scene, &mut findings);
    }
    for it in seen.autoscalers.iter().filter(|it| it.spec.scale_target_ref.is_workload()) {
        autoscaler::check(it, &scene, &mut findings);
    }
    findings.sort();
    findings.dedup();
    findings
}

// === impl Scene ===

impl<'a> Scene<'a> {
    fn of(seen: &'a Seen) -> Self {
        let mut scalers: BTreeMap<Name<'a>, Vec<String>> = BTreeMap::new();
        let mut add = |namespace: &'a str, workload: &'a str, who: String| {
            scalers.entry((namespace, workload)).or_default().push(who);
        };
        for it in seen.autoscalers.iter().filter(|it| it.spec.scale_target_ref.is_workload()) {
            // Whoever may not list ScaledObjects sees those HPAs alone.
            let listed = it.scaled_object().is_some_and(|name| {
                let of = |other: &Meta| other.namespace == it.metadata.namespace && other.name == name;
                seen.scaled_objects.iter().any(|it| of(&it.metadata))
            });
            if !listed {
                let who = it.metadata.object("HorizontalPodAutoscaler").to_string();
                add(&it.metadata.namespace, &it.spec.scale_target_ref.name, who);
            }
        }
        for it in seen.scaled_objects.iter().filter(|it| it.spec.scale_target_ref.is_workload()) {
            let who = it.metadata.object("ScaledObject").to_string();
            add(&it.metadata.namespace, &it.spec.scale_target_ref.name, who);
        }
        Self { seen, scalers }
    }

    /// Who scales a workload.
    fn scalers<'b>(&'b self, workload: Name<'b>) -> &'b [String] {
        self.scalers.get(&workload).map_or(&[], Vec::as_slice)
    }

    /// Another one that scales the same.
    fn rival(&self, report: &mut Report<'_>, me: &str, workload: Name<'_>) {
        let others: Vec<&str> = self.scalers(workload).iter().map(String::as_str).filter(|it| *it != me).collect();
        if others.is_empty() {
            return;
        }
        let (namespace, name) = workload;
        report.error(
            Reason::SeveralAutoscalers,
            "spec.scaleTargetRef",
            format!(
                "{} scales WorkloadDeployment {namespace}/{name} as well: each undoes what the other does, and no condition \
                 tells",
                others.join(" and ")
            ),
            "Keep one of them; several metrics fit into one autoscaler.",
        );
    }
}

/// The namespace of the operator's Service, as those who ask it have it.
pub(crate) fn system(seen: &Seen) -> &str {
    if let Known::There(it) = &seen.external_metrics
        && it.spec.service.name == SERVICE
    {
        return &it.spec.service.namespace;
    }
    seen.scaled_objects.iter().flat_map(|it| &it.spec.triggers).find_map(trigger::asked).unwrap_or(SYSTEM)
}

/// Whether the operator's Service leads to nobody; what is wrong with it.
fn nobody(door: &Known<Vec<EndpointSlice>>) -> Option<&'static str> {
    match door {
        Known::Unknown => None,
        Known::Missing => Some("is not there"),
        Known::There(slices) => {
            // Left out, it is to be taken for ready.
            let ready = slices.iter().flat_map(|it| &it.endpoints).any(|it| it.conditions.ready != Some(false));
            (!ready).then_some("leads to no operator")
        }
    }
}

/// What a condition says, if it says no.
fn says_no<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|it| it.kind == kind && it.status == "False")
}

/// `Reason: message.`, whatever of it there is.
fn words(condition: &Condition) -> String {
    let Condition { kind, reason, message, .. } = condition;
    let text = format!("{kind} is False, {reason}: {message}");
    text.trim_end_matches([':', ' ', ',']).to_owned()
}
