//! How an old revision gives way to a new one on a host that can run both at once.

use std::collections::{BTreeMap, BTreeSet};

use penstock_api::snapshot::{Route, Share, Snapshot};

/// What a host should have on the way from `current`, which it has, to `desired`: the desired snapshot, and of each
/// deployment whose new share is not ready yet the old shares that are. So a revision that cannot start never takes
/// the one before it down. `ready` says of a share's id whether it answers now.
///
/// Calling it again as shares get ready leads to `desired` itself. A deployment that is no longer desired is not
/// carried over. A route that means a component which only the new revision has stays as it was until that is ready.
#[must_use]
pub fn carry_over(desired: &Snapshot, current: &Snapshot, ready: &dyn Fn(&str) -> bool) -> Snapshot {
    let mut next = desired.clone();
    let wanted: BTreeSet<&str> = desired.shares.iter().map(|share| share.id.as_str()).collect();
    let waiting: BTreeSet<&str> =
        desired.shares.iter().filter(|share| !ready(&share.id)).map(|share| share.deployment.as_str()).collect();
    let carried = |share: &&Share| {
        waiting.contains(share.deployment.as_str()) && !wanted.contains(share.id.as_str()) && ready(&share.id)
    };
    let carried: Vec<&Share> = current.shares.iter().filter(carried).collect();
    if carried.is_empty() {
        return next;
    }
    for listener in &mut next.listeners {
        let Some(before) = current.listeners.iter().find(|it| it.name == listener.name) else { continue };
        let before: BTreeMap<&str, &Route> = before.routes.iter().map(|route| (route.name.as_str(), route)).collect();
        for route in &mut listener.routes {
            if let Some(old) = before.get(route.name.as_str())
                && needs_the_new(route, &carried)
            {
                *route = (*old).clone();
            }
        }
    }
    next.shares.extend(carried.into_iter().cloned());
    next
}

/// Whether a route names a component that none of the carried shares of its deployment has.
fn needs_the_new(route: &Route, carried: &[&Share]) -> bool {
    route.rules.iter().flat_map(|rule| &rule.backends).any(|backend| {
        let Some(component) = &backend.component else { return false };
        let mut old = carried.iter().filter(|share| share.deployment == backend.deployment).peekable();
        old.peek().is_some() && !old.any(|share| share.components.iter().any(|it| it.name == *component))
    })
}

#[cfg(test)]
mod tests {
    use penstock_api::snapshot::{Component, Listener, RouteBackend, RouteRule};

    use super::*;

    /// `app@1` is the share of revision 1 of the deployment `app`, with one component of the revision's name.
    fn snapshot(version: u64, shares: &[&str]) -> Snapshot {
        let shares = shares.iter().map(|id| {
            let (deployment, revision) = id.split_once('@').unwrap();
            Share {
                id: (*id).into(),
                deployment: deployment.into(),
                revision: revision.into(),
                components: vec![Component { name: revision.into(), ..Component::default() }],
                ..Share::default()
            }
        });
        Snapshot { version, shares: shares.collect(), listeners: Vec::new() }
    }

    fn ids(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.shares.iter().map(|share| share.id.as_str()).collect()
    }

    #[test]
    fn an_old_share_stays_until_the_new_one_is_ready() {
        // what it is about, desired, current, ready, next
        type Case = (
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
            &'static [&'static str],
            &'static [&'static str],
        );
        let cases: &[Case] = &[
            ("the first start", &["a@1"], &[], &[], &["a@1"]),
            ("nothing changes", &["a@1"], &["a@1"], &["a@1"], &["a@1"]),
            ("the new one loads or failed", &["a@2"], &["a@1"], &["a@1"], &["a@2", "a@1"]),
            ("still so when it is asked again", &["a@2"], &["a@2", "a@1"], &["a@1"], &["a@2", "a@1"]),
            ("the new one is ready", &["a@2"], &["a@2", "a@1"], &["a@1", "a@2"], &["a@2"]),
            ("the old one never was ready", &["a@2"], &["a@1"], &[], &["a@2"]),
            ("a second edit before the first was ready", &["a@3"], &["a@2", "a@1"], &["a@1"], &["a@3", "a@1"]),
            ("an edit taken back", &["a@1"], &["a@2", "a@1"], &["a@1"], &["a@1"]),
            ("the deployment is removed", &[], &["a@1"], &["a@1"], &[]),
            ("scaled to nothing", &["b@1"], &["a@1", "b@1"], &["a@1", "b@1"], &["b@1"]),
            ("a neighbour goes on", &["a@2", "b@2"], &["a@1", "b@1"], &["a@1", "b@1", "b@2"], &["a@2", "b@2", "a@1"]),
            ("two old ones that both serve", &["a@3"], &["a@1", "a@2"], &["a@1", "a@2"], &["a@3", "a@1", "a@2"]),
        ];
        for (about, desired, current, ready, next) in cases {
            let got = carry_over(&snapshot(7, desired), &snapshot(6, current), &|id| ready.contains(&id));
            assert_eq!(ids(&got), *next, "{about}");
            assert_eq!(got.version, 7, "{about}");
        }
    }

    /// The routes `r` and `s` to a component of `app`.
    fn routed(mut snapshot: Snapshot, component: &str) -> Snapshot {
        let route = |name: &str, component: Option<&str>| Route {
            name: name.into(),
            rules: vec![RouteRule {
                backends: vec![RouteBackend {
                    deployment: "app".into(),
                    component: component.map(Into::into),
                    weight: 1,
                    ..RouteBackend::default()
                }],
                ..RouteRule::default()
            }],
            ..Route::default()
        };
        let routes = vec![route("r", Some(component)), route(component, None)];
        snapshot.listeners = vec![Listener { name: "shared".into(), routes, ..Listener::default() }];
        snapshot
    }

    #[test]
    fn a_route_to_a_component_of_the_new_revision_waits_for_it() {
        let desired = routed(snapshot(2, &["app@2"]), "2");
        let current = routed(snapshot(1, &["app@1"]), "1");
        let routes = |snapshot: &Snapshot| -> Vec<(String, Option<String>)> {
            let routes = snapshot.listeners[0].routes.iter();
            routes.map(|route| (route.name.clone(), route.rules[0].backends[0].component.clone())).collect()
        };
        let next = carry_over(&desired, &current, &|id| id == "app@1");
        // `r` stays; the route that names no component is the new one.
        assert_eq!(routes(&next), [("r".into(), Some("1".into())), ("2".into(), None)]);
        let next = carry_over(&desired, &next, &|_| true);
        assert_eq!(next, desired);
    }
}
