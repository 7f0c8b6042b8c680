//! Events about objects: once per change.

use std::{collections::BTreeSet, fmt::Debug};

use kube::Resource;

use super::{
    lead::Context,
    objects,
    write::{Action, Key, Kind, body},
};
use crate::{
    events::{Weight, event},
    plan::{Finding, Name, Severity},
};

/// Emits an Event.
pub(super) fn emit<K>(cx: &mut Context<'_>, object: &K, weight: Weight, reason: &str, note: &str, instance: &str)
where
    K: Resource + Debug,
    K::DynamicType: Default,
{
    let it = event(&objects::reference(object), weight, reason, note, instance, cx.now);
    let namespace = it.metadata.namespace.clone().unwrap_or_default();
    let name = Name::new(namespace, it.metadata.name.clone().unwrap_or_default());
    cx.writes.set(Key::object(Kind::Event, &name), Action::Create(body(&it)), None);
}

/// Emits an Event for each finding that has not been told yet. What a condition of the object says already was told by
/// whoever wrote it.
pub(super) fn tell<K>(
    cx: &mut Context<'_>,
    object: &K,
    told: &mut BTreeSet<(String, String)>,
    findings: &[Finding],
    said: &[String],
    weight: Weight,
    instance: &str,
) where
    K: Resource + Debug,
    K::DynamicType: Default,
{
    let mut current = BTreeSet::new();
    for finding in findings {
        let entry = (finding.reason.to_owned(), finding.message.clone());
        let known = told.contains(&entry) || said.iter().any(|it| it.contains(&finding.message));
        if !known && current.insert(entry) {
            let weight = if finding.severity == Severity::Error { Weight::Warning } else { weight };
            emit(cx, object, weight, finding.reason, &finding.message, instance);
        } else {
            current.insert((finding.reason.to_owned(), finding.message.clone()));
        }
    }
    *told = current;
}
