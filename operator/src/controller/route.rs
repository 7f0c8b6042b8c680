//! An HTTPRoute: into the tables of the Services that are its parents, and back into its status.

use std::{collections::BTreeSet, sync::Arc};

use penstock_api::{HttpRoute, manifest::ObjectKey};
use serde_json::json;

use super::{
    lead::{Context, Lead},
    write::{Action, Key, Kind, body},
};
use crate::plan::{Name, route_parents, status};

impl Lead {
    /// A route is another now.
    pub(super) fn route_changed(
        &mut self,
        cx: &mut Context<'_>,
        name: &Name,
        old: Option<&Arc<HttpRoute>>,
        new: Option<&Arc<HttpRoute>>,
    ) {
        let affected = self.tables.set_route(name, new.cloned());
        self.affect(affected);
        // A Service that only routes lead to has a listener while there are some.
        let services: BTreeSet<Name> = old.into_iter().chain(new).flat_map(|it| route_parents(name, it)).collect();
        for service in services {
            self.service_changed(cx, &service);
        }
        self.mark_route_status(name);
    }

    /// Writes what is to be said about a route, if it is not said yet.
    pub(super) fn route_status(&self, cx: &mut Context<'_>, name: &Name) {
        let Some(route) = cx.stores.routes.get(name).filter(|it| it.metadata.deletion_timestamp.is_none()) else {
            return;
        };
        let object =
            ObjectKey { kind: "HTTPRoute".to_owned(), namespace: name.namespace.clone(), name: name.name.clone() };
        let ours = self.tables.concerns(name);
        let parents = status::route(route, ours.then(|| self.tables.findings(&object)).as_deref(), cx.now);
        let key = Key::status(Kind::Route, name);
        if route.status.as_ref().map(|it| it.parents.as_slice()).unwrap_or_default() == parents {
            cx.writes.cancel(&key);
            return;
        }
        // To the API server all entries are one value, those of other controllers included: what was read must be current.
        let written = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {
                "name": name.name, "namespace": name.namespace, "resourceVersion": route.metadata.resource_version,
            },
            "status": { "parents": parents },
        });
        cx.writes.set(key, Action::Apply(body(&written)), None);
    }
}
