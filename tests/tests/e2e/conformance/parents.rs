//! What routes say of their parents, and parents that several routes share.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use penstock_api::HttpRoute;
use penstock_tests::cluster::PATIENCE;

use super::{
    OURS,
    ask::get,
    case::{Case, Front, NAMESPACE, OTHER, Route, V1, V2, V3},
    play::converges,
    stage::Here,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        unmatched("HTTPRouteInvalidParentRefNotMatchingListenerPort", "port: 81"),
        unmatched("HTTPRouteInvalidParentRefNotMatchingSectionName", "port: 80, sectionName: http1"),
        unmatched("HTTPRouteInvalidParentRefSectionNameNotMatchingPort", "sectionName: http, port: 81"),
        foreign_parent(),
        several_parents(),
        generation(),
    ]
}

/// A parent without such a port. The route beside it answers, and shows that this one does not.
fn unmatched(name: &'static str, parent: &'static str) -> Case {
    Case::new(name)
        .route(Route::http("- backendRefs: [{$v2}]").parents(&[("", parent)]).says(
            "Accepted",
            "False",
            "NoMatchingParent",
        ))
        .route(Route::http(OURS).named("beside"))
        .asks([get("/").status(404), get("/ours").from(V1)])
}

/// The Service of another namespace. What a listener does not allow is a reference that is not permitted here.
fn foreign_parent() -> Case {
    let name = "HTTPRouteInvalidCrossNamespaceParentRef";
    let service = name.to_lowercase();
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: foreign-parent}}\nspec:\n  \
         parentRefs: [{{group: '', kind: Service, name: {service}, namespace: {NAMESPACE}, port: 80}}]\n  rules:\n  \
         - backendRefs: [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: web-backend}}]\n"
    );
    Case::new(name)
        .http(OURS)
        .object(OTHER, route)
        .asks([get("/").status(404), get("/ours").from(V1)])
        .then(not_accepted)
}

async fn not_accepted(here: Here) -> Result<()> {
    let cluster = &here.stage.cluster;
    let api = cluster.api::<HttpRoute>(OTHER);
    let said = cluster.until(api, "Accepted=False RefNotPermitted", PATIENCE, |all| {
        let parents = &all.get("foreign-parent")?.status.as_ref()?.parents;
        let mut conditions = parents.iter().flat_map(|it| &it.conditions);
        conditions.find(|it| it.type_ == "Accepted" && it.status == "False" && it.reason == "RefNotPermitted").cloned()
    });
    said.await?;
    get("/").status(404).check(here.address("", 80)?).await
}

fn several_parents() -> Case {
    let shared = "
- matches: [{path: {value: /shared}}]
  backendRefs: [{$v1}]";
    Case::new("HTTPRouteMultipleGateways")
        .fronts([Front::new(""), Front::new("other")])
        .route(Route::http(shared).named("shared").parents(&[("", ""), ("other", "")]))
        .route(Route::http("- backendRefs: [{$v2}]").named("one"))
        .route(Route::http("- backendRefs: [{$v3}]").named("other").parents(&[("other", "")]))
        .asks([
            get("/shared").from(V1),
            get("/").from(V2),
            get("/shared").to("other").from(V1),
            get("/").to("other").from(V3),
        ])
}

fn generation() -> Case {
    Case::new("HTTPRouteObservedGenerationBump")
        .http("- backendRefs: [{$v1}]")
        .ask(get("/").from(V1))
        .then(another_generation)
}

/// After an edit the conditions are about the edited route.
async fn another_generation(here: Here) -> Result<()> {
    let (stage, route) = (&here.stage, &here.case.routes[0]);
    let name = route.name(here.case.name);
    let before = stage.says(route.kind, &name, 1, &route.says, None).await?;
    let backend = serde_json::json!({"group": "runtime.wasmcloud.dev", "kind": "WorkloadDeployment", "name": V2});
    let patch = Patch::Merge(serde_json::json!({"spec": {"rules": [{"backendRefs": [backend]}]}}));
    stage.cluster.api::<HttpRoute>(NAMESPACE).patch(&name, &PatchParams::default(), &patch).await?;
    let after = stage.says(route.kind, &name, 1, &route.says, before.generation).await?;
    ensure!(after.generation > before.generation, "{after:?} after {before:?}");
    converges(&get("/").from(V2), here.address("", 80)?).await
}
