//! Workloads whose `replicas` the operator chooses by load: looked at once a second.
//!
//! How many there should be is [`autoscale`]'s to say, which is pure. What it says is written to `/scale`, as an autoscaler of
//! Kubernetes does it, so that everything that follows is the same whoever scales.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use penstock_api::WorkloadDeployment;
use tokio::time::Instant;

use super::{
    events_of,
    lead::{Context, Lead, Wake},
    store::Changed,
    unit::{exchange, present},
    write::{Action, Key, Kind},
};
use crate::{
    events::Weight,
    hosts::ShareSignal,
    plan::{
        Name,
        autoscale::{Decision, Scaler},
        names,
        status::Autoscaled,
    },
};

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// How soon again while calls wait.
const HURRY: Duration = Duration::from_millis(250);

/// Who scales what.
#[derive(Default)]
pub(super) struct Autoscaling {
    /// Workloads that the operator scales.
    scaled: BTreeMap<Name, Scaled>,
    /// HorizontalPodAutoscalers by the deployment that they scale.
    others: HashMap<Name, BTreeSet<Name>>,
    /// Whether there is a timer for [`Wake::Scale`].
    waiting: bool,
}

#[derive(Default)]
struct Scaled {
    scaler: Scaler,
    looked: Option<Instant>,
    /// What is said of the change that is being written.
    note: Option<String>,
    told: Option<Autoscaled>,
}

impl Lead {
    /// Takes in whether a deployment is to be scaled.
    pub(super) fn autoscaling_changed(&mut self, cx: &Context<'_>, name: &Name) {
        let wanted = present(cx.stores, name).is_some_and(|it| it.spec.autoscaling.is_some());
        if wanted {
            self.autoscaling.scaled.entry(name.clone()).or_default();
            if !self.autoscaling.waiting {
                self.autoscaling.waiting = true;
                self.wake(cx.instant, Wake::Scale);
            }
        } else {
            self.autoscaling.scaled.remove(name);
        }
    }

    /// A HorizontalPodAutoscaler is another now.
    pub(super) fn autoscaler_changed(&mut self, changed: &Changed<HorizontalPodAutoscaler>) {
        let targets = |it: &Option<Arc<HorizontalPodAutoscaler>>| it.as_ref().and_then(target).into_iter().collect();
        exchange(&mut self.autoscaling.others, &changed.name, &targets(&changed.old), &targets(&changed.new));
    }

    /// Looks at all of them.
    pub(super) fn autoscale(&mut self, cx: &mut Context<'_>) {
        self.autoscaling.waiting = !self.autoscaling.scaled.is_empty();
        if !self.autoscaling.waiting {
            return;
        }
        self.wake(cx.instant + EVERY, Wake::Scale);
        let names: Vec<Name> = self.autoscaling.scaled.keys().cloned().collect();
        for name in names {
            if let Some(deployment) = present(cx.stores, &name).cloned() {
                self.scale(cx, &name, &deployment);
            }
        }
    }

    /// Looks at once at those of which a host says that calls wait.
    pub(super) fn hurry(&mut self, cx: &mut Context<'_>, signals: &[ShareSignal]) {
        for signal in signals.iter().filter(|it| it.counters.queued > 0) {
            let Some(name) = names::deployment_of(&signal.share) else { continue };
            let lately = |it: &Scaled| it.looked.is_some_and(|it| cx.instant < it + HURRY);
            if self.gathered
                && self.autoscaling.scaled.get(&name).is_some_and(|it| !lately(it))
                && let Some(deployment) = present(cx.stores, &name).cloned()
            {
                self.scale(cx, &name, &deployment);
            }
        }
    }

    fn scale(&mut self, cx: &mut Context<'_>, name: &Name, deployment: &Arc<WorkloadDeployment>) {
        let Some(spec) = &deployment.spec.autoscaling else { return };
        let other = self.autoscaling.others.get(name).and_then(BTreeSet::first).cloned();
        let Some(scaled) = self.autoscaling.scaled.get_mut(name) else { return };
        scaled.looked = Some(cx.instant);
        let problems = spec.problems(deployment.spec.scale_to_zero.unwrap_or(false));
        let key = Key::object(Kind::Scale, name);
        let said = if let Some((path, message)) = problems.first() {
            Autoscaled::Invalid(format!("spec.autoscaling.{path}: {message}"))
        } else if let Some(other) = other {
            // Two would undo each other's work.
            Autoscaled::ByAnother(other.name)
        } else if cx.writes.is_pending(&key) {
            return;
        } else {
            let current = deployment.spec.replicas.unwrap_or(1);
            let signals = cx.board.signals(name).unwrap_or_default();
            let decision = scaled.scaler.step(cx.board.now(), spec, current, &signals);
            if decision.desired != current {
                let Decision { desired, reason, explain, .. } = &decision;
                tracing::info!(unit = %name, from = current, to = desired, ?reason, "scales: {explain}");
                scaled.note = Some(format!("{current} replicas become {desired}: {explain}"));
                cx.metrics.rescaled(*desired > current);
                let action = Action::Scale { from: deployment.spec.replicas, to: *desired };
                cx.writes.set(key.clone(), action, None);
            }
            Autoscaled::Active(decision.limited)
        };
        if !matches!(said, Autoscaled::Active(_)) {
            scaled.scaler = Scaler::default();
            cx.writes.cancel(&key);
        }
        if scaled.told.as_ref() != Some(&said) {
            scaled.told = Some(said);
            self.mark_status(name);
        }
    }

    /// The number of replicas has been written.
    pub(super) fn rescaled(&mut self, cx: &mut Context<'_>, name: &Name) {
        let note = self.autoscaling.scaled.get_mut(name).and_then(|it| it.note.take());
        if let (Some(note), Some(deployment)) = (note, present(cx.stores, name).cloned()) {
            events_of::emit(cx, &*deployment, Weight::Normal, "SuccessfulRescale", &note, &self.settings.pod_name);
        }
    }

    /// What is to be said about a deployment's autoscaling, if it has any.
    pub(super) fn autoscaled(&self, name: &Name) -> Option<Autoscaled> {
        self.autoscaling.scaled.get(name).map(|it| it.told.clone().unwrap_or(Autoscaled::Active(None)))
    }
}

/// The deployment that an autoscaler scales, if it is one.
fn target(autoscaler: &Arc<HorizontalPodAutoscaler>) -> Option<Name> {
    let target = &autoscaler.spec.scale_target_ref;
    let ours = target.kind == "WorkloadDeployment"
        && target.api_version.as_deref().is_some_and(|it| it.starts_with("runtime.wasmcloud.dev/"));
    ours.then(|| Name::new(autoscaler.metadata.namespace.clone().unwrap_or_default(), &target.name))
}
