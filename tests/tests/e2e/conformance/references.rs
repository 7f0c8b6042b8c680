//! References that lead nowhere or may not, and ReferenceGrants. A share without a backend is answered with 500.

use anyhow::Result;
use kube::api::DeleteParams;
use penstock_api::ReferenceGrant;

use super::{
    OURS,
    ask::get,
    case::{APP1, APP2, Case, NAMESPACE, OTHER, Route, V1, WEB},
    matching::by_path,
    play::converges,
    stage::Here,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        unresolved(
            "HTTPRouteInvalidBackendRefUnknownKind",
            "{group: unknownkind.example.com, kind: NonExistent, name: infra-backend-v1}",
            "InvalidKind",
        ),
        unresolved(
            "HTTPRouteInvalidNonExistentBackendRef",
            "{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: nonexistent, namespace: e2e-conformance}",
            "BackendNotFound",
        ),
        unresolved("HTTPRouteInvalidCrossNamespaceBackendRef", "{$app2}", "RefNotPermitted"),
        wrong_grants(unresolved("HTTPRouteInvalidReferenceGrant", "{$app2}", "RefNotPermitted")),
        partly_granted(),
        granted(),
        no_backends(),
    ]
}

/// All requests go where there is no backend.
fn unresolved(name: &'static str, backend: &str, reason: &'static str) -> Case {
    let rules = format!("- backendRefs: [{backend}]{OURS}");
    Case::new(name)
        .route(Route::http(&rules).says("ResolvedRefs", "False", reason))
        .asks([get("/").status(500), get("/v2").status(500)])
        // The rule that keeps the Service Penstock's.
        .ask(get("/ours").from(V1))
}

/// A permission; `from` and `to` in flow style.
fn grant(name: &str, from: &str, to: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: {name}}}\nspec:\n  from: [{{{from}}}]\n  to: [{{{to}}}]\n"
    )
}

fn of_routes(namespace: &str) -> String {
    format!("group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {namespace}")
}

fn to_workload(name: &str) -> String {
    format!("group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: {name}")
}

/// Every way in which a grant can miss the reference.
fn wrong_grants(mut case: Case) -> Case {
    let (from, to) = (of_routes(NAMESPACE), to_workload(APP2));
    for (namespace, name, from, to) in [
        (NAMESPACE, "wrong-namespace", from.clone(), to.clone()),
        (OTHER, "wrong-from-group", from.replace("gateway.networking.k8s.io", "another.example"), to.clone()),
        (OTHER, "wrong-from-kind", from.replace("HTTPRoute", "Gateway"), to.clone()),
        (OTHER, "wrong-from-namespace", of_routes("another-namespace"), to.clone()),
        (OTHER, "wrong-to-group", from.clone(), to.replace("runtime.wasmcloud.dev", "another.example")),
        (OTHER, "wrong-to-kind", from.clone(), to.replace("WorkloadDeployment", "Secret")),
        (OTHER, "wrong-to-name", from.clone(), to_workload("another-workload")),
    ] {
        case = case.object(namespace, grant(name, &from, &to));
    }
    case
}

fn partly_granted() -> Case {
    let rules = "
- matches: [{path: {value: /v2}}]
  backendRefs: [{$app2}]
- backendRefs: [{$app1}]";
    Case::new("HTTPRoutePartiallyInvalidViaInvalidReferenceGrant")
        .route(Route::http(rules).says("ResolvedRefs", "False", "RefNotPermitted"))
        .object(OTHER, grant("partly", &of_routes(NAMESPACE), &to_workload(APP1)))
        .asks([get("/v2").status(500), get("/").from(APP1)])
}

const GRANT: &str = "granted";

fn granted() -> Case {
    Case::new("HTTPRouteReferenceGrant")
        .http(&format!("- backendRefs: [{{$web}}]{OURS}"))
        .object(OTHER, grant(GRANT, &of_routes(NAMESPACE), &to_workload(WEB)))
        .ask(get("/").from(WEB))
        .then(revoked)
}

/// The permission is taken back.
async fn revoked(here: Here) -> Result<()> {
    here.stage.cluster.api::<ReferenceGrant>(OTHER).delete(GRANT, &DeleteParams::default()).await?;
    converges(&get("/").status(500), here.address("", 80)?).await
}

fn no_backends() -> Case {
    let rules = "
- matches: [{path: {type: Exact, value: /omitted-no-forward}}]
- matches: [{path: {type: Exact, value: /empty-no-forward}}]
  backendRefs: []
- matches: [{path: {value: /}}]
  backendRefs: [{$v1}]";
    Case::new("HTTPRouteNoBackendRefs")
        .http(rules)
        .asks(by_path(&[("/forward", Some(V1))]))
        .asks([get("/omitted-no-forward").status(500), get("/empty-no-forward").status(500)])
}
