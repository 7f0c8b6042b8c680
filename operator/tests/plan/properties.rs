//! What holds for every set of objects.

use std::collections::BTreeSet;

use penstock_api::manifest::Object;
use proptest::prelude::*;

use super::support::{behind, deployment, grant, grpc_route, http, http_route, object, objects, plan_all, service};

/// A policy and a mirror.
const FILTERS: &str = "filters: [{type: ExtensionRef, extensionRef: {group: penstock.dev, kind: TrafficPolicy, name: p}}, \
    {type: RequestMirror, requestMirror: {backendRef: {group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: b}}}], ";

/// Few names, so that they meet.
fn some_object() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "other/a", "other/b@2026-01-01", "c@2026-02-02"]);
    let host = || prop::sample::select(vec!["a.example", "A.example", "*.example", "*"]);
    let plain = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    prop_oneof![
        (name(), host(), any::<bool>(), any::<bool>()).prop_map(|(name, host, service, config)| {
            let from = if config { "}, configFrom: [{name: c}], secretFrom: [" } else { "" };
            let entry = http(&format!("host: '{host}'{from}"));
            let entry = if config { entry.replace("[}}]", "[]}]") } else { entry };
            deployment(name, &entry, &if service { behind("s") } else { String::new() })
        }),
        (name(), 0..3_u32).prop_map(|(name, rules)| {
            let rules = vec!["{hostnames: [a.example], matches: [{path: {value: /x}}]}"; rules as usize].join(", ");
            deployment(name, &format!("http: {{routes: [{rules}]}}"), &behind("s"))
        }),
        name().prop_map(move |name| service(&plain(name).replace("/b", "/s").replace('a', "s"), "{name: one, port: 80}")),
        (name(), name(), host(), 0..3_u32, any::<bool>()).prop_map(move |(name, backend, host, weight, grpc)| {
            let (namespace, backend) = backend.split_once('/').unwrap_or(("default", backend));
            let backend = backend.split('@').next().unwrap_or_default();
            let host = host.replace("*.", "w.").replace('*', "star.example");
            let write = if grpc { grpc_route } else { http_route };
            let filters = if weight == 2 { FILTERS } else { "" };
            write(
                name.split('@').next().unwrap_or_default(),
                &format!(
                    "hostnames: ['{host}'], parentRefs: [{{group: '', kind: Service, name: s}}], rules: [{{{filters}backendRefs: \
                     [{{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: {backend}, namespace: {namespace}, weight: {weight}}}]}}]"
                ),
            )
        }),
        (any::<bool>(), any::<bool>(), prop::sample::select(vec!["*", "a", "b"])).prop_map(|(own, grpc, to)| {
            let (namespace, from) = if own { ("default", "other") } else { ("other", "default") };
            grant(namespace, &format!("{} {from}", if grpc { "GRPCRoute" } else { "HTTPRoute" }), to)
        }),
        Just(object("ConfigMap", "c", "data: {host: from.example}")),
        (1..3_u32).prop_map(|requests| {
            let spec = format!("spec: {{rateLimit: {{requests: {requests}}}}}");
            object("TrafficPolicy", "p", &spec).replace("apiVersion: v1", "apiVersion: penstock.dev/v1alpha1")
        }),
    ]
}

/// Objects of different names, since of the same name there is one in a cluster.
pub(super) fn some_objects() -> impl Strategy<Value = Vec<Object>> {
    prop::collection::vec(some_object(), 0..12).prop_map(|texts| {
        let mut seen = BTreeSet::new();
        texts.iter().flat_map(|it| objects(it)).filter(|it| seen.insert(it.key())).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn order_never_matters((objects, shuffled) in some_objects().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle()))) {
        prop_assert_eq!(plan_all(objects), plan_all(shuffled));
    }

    #[test]
    fn everything_that_is_named_is_there(objects in some_objects()) {
        let plan = plan_all(objects);
        let ids: BTreeSet<&str> = plan.snapshot.shares.iter().map(|it| it.id.as_str()).collect();
        prop_assert_eq!(ids.len(), plan.snapshot.shares.len(), "an id appears twice");
        let names: BTreeSet<&str> = plan.snapshot.listeners.iter().map(|it| it.name.as_str()).collect();
        prop_assert_eq!(names.len(), plan.snapshot.listeners.len(), "a listener appears twice");
        let there: BTreeSet<&str> = plan.snapshot.shares.iter().map(|it| it.deployment.as_str())
            .chain(plan.kept_out.iter().map(String::as_str)).collect();
        for route in plan.snapshot.listeners.iter().flat_map(|it| &it.routes) {
            for backend in route.rules.iter().flat_map(|it| &it.backends) {
                prop_assert!(backend.deployment.is_empty() || there.contains(&*backend.deployment), "{}", backend.deployment);
            }
        }
    }

    /// On the shared listener no hostname is served by two namespaces.
    #[test]
    fn no_hostname_is_shared_by_namespaces(objects in some_objects()) {
        let plan = plan_all(objects);
        let mut owners = std::collections::BTreeMap::new();
        for route in plan.snapshot.listeners.iter().filter(|it| it.name == "shared").flat_map(|it| &it.routes) {
            let namespace = route.name.split('/').next().unwrap_or_default();
            let every_host = ["*".to_owned()];
            for host in if route.hostnames.is_empty() { &every_host[..] } else { &route.hostnames } {
                let owner = *owners.entry(host.clone()).or_insert(namespace);
                prop_assert_eq!(owner, namespace, "{}", host);
            }
        }
    }
}
