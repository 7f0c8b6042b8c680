//! A route's status at the Services that are its parents.

use jiff::Timestamp;
use penstock_api::{conditions as is, reasons, route::RouteParentStatus};

use super::{Draft, first, merge};
use crate::plan::{AnyRoute, Finding, is_service};

/// The `controllerName` of Penstock's entries.
pub const CONTROLLER: &str = "runtime.wasmcloud.dev/penstock";

/// All of a route's `status.parents`: Penstock's own for each Service, and those of other controllers as they are (the list
/// is one value to the API server). `findings` are [`crate::plan::Tables::findings`] of the route; none: it is not Penstock's
/// affair, see [`crate::plan::Tables::concerns`].
#[must_use]
pub fn route(route: &AnyRoute, findings: Option<&[Finding]>, now: Timestamp) -> Vec<RouteParentStatus> {
    let previous = route.statuses();
    let mut parents: Vec<RouteParentStatus> =
        previous.iter().filter(|it| it.controller_name != CONTROLLER).cloned().collect();
    let Some(findings) = findings else { return parents };
    let own = route.parent_refs().iter().enumerate().filter(|(_, it)| is_service(it));
    for (index, parent_ref) in own {
        let before = previous.iter().find(|it| it.controller_name == CONTROLLER && it.parent_ref == *parent_ref);
        let conditions = before.map(|it| it.conditions.as_slice()).unwrap_or_default();
        parents.push(RouteParentStatus {
            parent_ref: parent_ref.clone(),
            controller_name: CONTROLLER.to_owned(),
            conditions: merge(conditions, drafts(index, findings), route.metadata().generation, now),
        });
    }
    parents
}

fn drafts(index: usize, findings: &[Finding]) -> Vec<Draft> {
    let at = format!("spec.parentRefs[{index}]");
    let of = |keep: &dyn Fn(&&Finding) -> bool| -> Vec<Finding> { findings.iter().filter(keep).cloned().collect() };
    let accepted = match first(&of(&|it| it.path == at)) {
        Some((reason, message)) => Draft::no(is::ACCEPTED, reason, message),
        None => Draft::yes(is::ACCEPTED, reasons::ACCEPTED, "it is attached"),
    };
    let backend = |it: &&Finding| it.path.contains(".backendRefs[") && !it.path.contains(".filters[");
    // A filter's reference that leads nowhere; what else is wrong with a filter is no matter of references.
    let filter = |it: &&Finding| it.path.ends_with(".extensionRef") && it.reason != reasons::UNSUPPORTED_VALUE;
    let reference = |it: &&Finding| backend(it) || filter(it);
    let resolved = match first(&of(&reference)) {
        Some((reason, message)) => Draft::no(is::RESOLVED_REFS, reason, message),
        None => Draft::yes(is::RESOLVED_REFS, reasons::RESOLVED_REFS, "every backend and policy is there"),
    };
    let other = |it: &&Finding| !reference(it) && !it.path.starts_with("spec.parentRefs[");
    let partly =
        first(&of(&other)).map(|(_, message)| Draft::yes(is::PARTIALLY_INVALID, reasons::UNSUPPORTED_VALUE, message));
    [accepted, resolved].into_iter().chain(partly).collect()
}
