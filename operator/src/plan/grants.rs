//! Who permits routes of other namespaces to lead to its workloads: Gateway API's ReferenceGrants.

use std::{collections::BTreeMap, sync::Arc};

use penstock_api::{ReferenceGrant, route::ReferenceGrantFrom};

use super::Name;

/// All grants, by the namespace to which they open a door.
#[derive(Debug, Default)]
pub(super) struct Grants(BTreeMap<String, BTreeMap<String, Arc<ReferenceGrant>>>);

impl Grants {
    /// A grant as it is now; says whether that changes what is permitted.
    pub(super) fn set(&mut self, name: &Name, grant: Option<Arc<ReferenceGrant>>) -> bool {
        let of = self.0.entry(name.namespace.clone()).or_default();
        let spec = grant.as_ref().map(|it| it.spec.clone());
        let before = match grant {
            Some(grant) => of.insert(name.name.clone(), grant),
            None => of.remove(&name.name),
        };
        if of.is_empty() {
            self.0.remove(&name.namespace);
        }
        before.map(|it| it.spec.clone()) != spec
    }

    /// Whether a route of that kind and namespace may lead to a workload of another namespace.
    pub(super) fn permit(&self, route_kind: &str, route_namespace: &str, kind: &str, workload: &Name) -> bool {
        let from = ReferenceGrantFrom {
            group: penstock_api::route::GROUP.to_owned(),
            kind: route_kind.to_owned(),
            namespace: route_namespace.to_owned(),
        };
        let mut grants = self.0.get(&workload.namespace).into_iter().flat_map(BTreeMap::values);
        grants.any(|it| it.spec.permits(&from, penstock_api::GROUP, kind, &workload.name))
    }
}
