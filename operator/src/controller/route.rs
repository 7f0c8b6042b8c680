//! A route: into the tables of the Services that are its parents, and back into its status.

use std::{collections::BTreeSet, sync::Arc};

use penstock_api::ReferenceGrant;
use serde_json::json;

use super::{
    lead::{Context, Lead},
    write::{Action, Key, Kind, body},
};
use crate::plan::{AnyRoute, Name, RouteKey, status};

impl Lead {
    /// A route is another now.
    pub(super) fn route_changed(
        &mut self,
        cx: &mut Context<'_>,
        key: &RouteKey,
        old: Option<&AnyRoute>,
        new: Option<&AnyRoute>,
    ) {
        if let (Some(old), Some(new)) = (old, new)
            && old.asks_the_same(new)
        {
            // A status was written.
            self.mark_route_status(key);
            return;
        }
        let affected = self.tables.set_route(key, new.cloned());
        self.affect(affected);
        // A Service that only routes lead to has a listener while there are some.
        let services: BTreeSet<Name> = old.into_iter().chain(new).flat_map(|it| it.services(&key.name)).collect();
        for service in services {
            self.service_changed(cx, &service);
        }
        self.mark_route_status(key);
    }

    /// A grant is another now: so are the routes that lead to its namespace from others.
    pub(super) fn grant_changed(&mut self, name: &Name, grant: Option<&Arc<ReferenceGrant>>) {
        let affected = self.tables.set_grant(name, grant.cloned());
        self.affect(affected);
    }

    /// Writes what is to be said about a route, if it is not said yet.
    pub(super) fn route_status(&self, cx: &mut Context<'_>, key: &RouteKey) {
        let Some(route) = cx.stores.route(key).filter(|it| it.metadata().deletion_timestamp.is_none()) else { return };
        let ours = self.tables.concerns(key);
        let parents = status::route(&route, ours.then(|| self.tables.findings(&key.object())).as_deref(), cx.now);
        let RouteKey { kind, name } = key;
        let key = Key::status(Kind::Route(*kind), name);
        if route.statuses() == parents {
            cx.writes.cancel(&key);
            return;
        }
        // To the API server all entries are one value, those of other controllers included: what was read must be current.
        let written = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": kind.name(),
            "metadata": {
                "name": name.name, "namespace": name.namespace, "resourceVersion": route.metadata().resource_version,
            },
            "status": { "parents": parents },
        });
        cx.writes.set(key, Action::Apply(body(&written)), None);
    }
}
