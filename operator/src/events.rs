//! Events: once per change, beside the condition that says the same.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};

use crate::plan::names::short_hash;

/// Who says it.
const CONTROLLER: &str = "runtime.wasmcloud.dev/penstock-operator";
/// Characters of a note that Kubernetes takes.
const NOTE_LIMIT: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Normal,
    Warning,
}

/// An Event about an object. `instance` is this operator's pod.
pub(crate) fn event(
    regarding: &ObjectReference,
    weight: Weight,
    reason: &str,
    note: &str,
    instance: &str,
    now: Timestamp,
) -> Event {
    let name = regarding.name.clone().unwrap_or_default();
    let unique = short_hash(&format!("{name} {reason} {note} {instance} {now}"), 16);
    let note: String = note.chars().take(NOTE_LIMIT).collect();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{unique}", name.chars().take(200).collect::<String>())),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(reason.to_owned()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        type_: Some(match weight {
            Weight::Normal => "Normal".to_owned(),
            Weight::Warning => "Warning".to_owned(),
        }),
        ..Event::default()
    }
}
