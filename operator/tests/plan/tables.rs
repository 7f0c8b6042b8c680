//! Tables that follow change by change, and the snapshots of hosts that are made of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use penstock_api::{
    manifest::{Object, ObjectKey},
    snapshot::Snapshot,
};
use penstock_operator::plan::{
    Affected, AnyRoute, Finding, HostShare, Name, Objects, Resolved, RouteKind, ServicePort, TableOptions, Tables,
    asks_the_same, resolve_deployment, resolve_workload, routing_in_force, snapshot_for, tls::ServiceTls,
};
use proptest::prelude::*;

use super::{
    properties::some_objects,
    support::{SHARED, behind, deployment, http, http_route, objects, plan_all, service},
};

fn address(port: &ServicePort) -> Option<String> {
    Some(format!("listener of {port}"))
}

/// Tables as a controller keeps them, with the objects that they are of.
struct Kept {
    tables: Tables,
    objects: BTreeMap<ObjectKey, Object>,
    resolved: BTreeMap<String, Resolved>,
}

impl Kept {
    fn new() -> Self {
        let options = TableOptions { shared_address: Some(SHARED.to_owned()), shared_http_routes: true };
        Self { tables: Tables::new(options), objects: BTreeMap::new(), resolved: BTreeMap::new() }
    }

    fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut kept = Self::new();
        for it in objects {
            kept.set(it);
        }
        kept
    }

    fn set(&mut self, object: Object) -> Affected {
        let key = object.key();
        self.objects.insert(key.clone(), object.clone());
        let name = Name::new(&key.namespace, &key.name);
        match object {
            Object::Service(it) => {
                self.tables.set_service(&name, Some((Arc::new(*it), ServiceTls::default())), &address)
            }
            Object::HttpRoute(it) => self.tables.set_route(&RouteKind::Http.of(name), Some(AnyRoute::Http(it.into()))),
            Object::GrpcRoute(it) => self.tables.set_route(&RouteKind::Grpc.of(name), Some(AnyRoute::Grpc(it.into()))),
            Object::ReferenceGrant(it) => self.tables.set_grant(&name, Some(it.into())),
            Object::WorkloadDeployment(_) | Object::Workload(_) => self.resolve(&name),
            Object::ConfigMap(_) | Object::Secret(_) => self.resolve_all(),
            Object::TrafficPolicy(it) => {
                let mut affected = self.tables.set_policy(&name, Some(it.into()));
                affected.extend(self.resolve_all());
                affected
            }
        }
    }

    fn remove(&mut self, key: &ObjectKey) -> Affected {
        self.objects.remove(key);
        let name = Name::new(&key.namespace, &key.name);
        match key.kind.as_str() {
            "Service" => self.tables.set_service(&name, None, &address),
            "HTTPRoute" => self.tables.set_route(&RouteKind::Http.of(name), None),
            "GRPCRoute" => self.tables.set_route(&RouteKind::Grpc.of(name), None),
            "ReferenceGrant" => self.tables.set_grant(&name, None),
            "TrafficPolicy" => {
                let mut affected = self.tables.set_policy(&name, None);
                affected.extend(self.resolve_all());
                affected
            }
            "WorkloadDeployment" | "Workload" => self.resolve(&name),
            _ => self.resolve_all(),
        }
    }

    /// A deployment of a name comes before a Workload of the same name, as in a plan.
    fn resolve(&mut self, name: &Name) -> Affected {
        let values: Objects = self.objects.values().cloned().collect();
        let find = |kind: &str| {
            let key = ObjectKey { kind: kind.into(), namespace: name.namespace.clone(), name: name.name.clone() };
            self.objects.get(&key)
        };
        let resolved = match (find("WorkloadDeployment"), find("Workload")) {
            (Some(Object::WorkloadDeployment(it)), _) => Some(resolve_deployment(it, &values)),
            (_, Some(Object::Workload(it))) => Some(resolve_workload(it, &values)),
            _ => None,
        };
        let affected = self.tables.set_deployment(name, resolved.as_ref().map(|it| it.routing.clone()));
        match resolved {
            Some(it) => drop(self.resolved.insert(name.to_string(), it)),
            None => drop(self.resolved.remove(&name.to_string())),
        }
        affected
    }

    fn resolve_all(&mut self) -> Affected {
        let names: BTreeSet<Name> = self.objects.keys().map(|it| Name::new(&it.namespace, &it.name)).collect();
        let mut all = Affected::default();
        for name in names {
            all.extend(self.resolve(&name));
        }
        all
    }

    /// The snapshot of a host with one replica of each of these.
    fn snapshot(&self, deployments: &[&str]) -> Snapshot {
        let share = |it: &&str| self.resolved.get(*it).and_then(|it| it.share.clone());
        let shares: Vec<HostShare> = deployments
            .iter()
            .filter_map(share)
            .map(|share| HostShare { share, replicas: 1, standby: false })
            .collect();
        snapshot_for(7, &shares, &self.tables)
    }

    fn findings(&self) -> Vec<Finding> {
        let of = |it: &ObjectKey| {
            let resolved = self.resolved.get(&format!("{}/{}", it.namespace, it.name));
            let own = resolved.into_iter().flat_map(|it| it.findings.clone()).filter(|finding| finding.object == *it);
            own.chain(self.tables.findings(it)).collect::<Vec<_>>()
        };
        let all: BTreeSet<Finding> = self.objects.keys().flat_map(of).collect();
        all.into_iter().collect()
    }
}

fn one(yaml: &str) -> Object {
    objects(yaml).remove(0)
}

fn names(affected: &Affected) -> (Vec<&str>, Vec<String>) {
    (affected.deployments.iter().map(|it| &**it).collect(), affected.services.iter().map(ToString::to_string).collect())
}

#[test]
fn a_host_has_the_listeners_of_its_shares_only() {
    let kept = Kept::of(objects(
        &[
            deployment("a", &http("host: a.example"), &behind("one")),
            deployment("b", &http("host: b.example"), &behind("two")),
            deployment("other/c", &http("host: c.example"), &behind("one")),
            service("one", "{name: http, port: 80}"),
            service("two", "{name: http, port: 80}, {name: admin, port: 81}"),
            service("other/one", "{name: http, port: 80}"),
        ]
        .concat(),
    ));
    let listeners = |snapshot: &Snapshot| -> Vec<(String, Vec<String>)> {
        let routes = |it: &penstock_api::snapshot::Listener| it.routes.iter().map(|it| it.name.clone()).collect();
        snapshot.listeners.iter().map(|it| (it.name.clone(), routes(it))).collect()
    };
    let snapshot = kept.snapshot(&["default/a"]);
    assert_eq!(
        listeners(&snapshot),
        [("default/one:http".into(), vec!["default/a".into()]), ("shared".into(), vec!["default/a".into()])]
    );
    assert_eq!((snapshot.version, snapshot.shares.len(), snapshot.shares[0].replicas), (7, 1, 1));
    assert!(snapshot.shares[0].id.starts_with("default/a@"));
    let both = kept.snapshot(&["default/b", "other/c"]);
    let names: Vec<&str> = both.listeners.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["default/two:admin", "default/two:http", "other/one:http", "shared"]);
    assert_eq!(kept.snapshot(&[]).listeners.len(), 1, "the shared one is there before anything else");
    assert!(asks_the_same(&snapshot, &Snapshot { version: 9, ..snapshot.clone() }));
    assert!(!asks_the_same(&snapshot, &both));
}

#[test]
fn a_change_concerns_those_whom_it_changes() {
    let mut kept = Kept::of(objects(
        &[
            deployment("a", &http("host: a.example"), &behind("one")),
            deployment("b", &http("host: b.example"), &behind("two")),
            service("one", "{name: http, port: 80}"),
            service("two", "{name: http, port: 80}"),
        ]
        .concat(),
    ));
    let two = Name::new("default", "two");
    let table = kept.tables.service(&two).unwrap().listeners[0].clone();

    // The same again: nothing.
    assert_eq!(kept.set(one(&service("one", "{name: http, port: 80}"))), Affected::default());
    let same = deployment("a", &http("host: a.example"), &behind("one"));
    assert_eq!(kept.set(one(&same)), Affected::default());
    // What is not routed concerns nobody: the image, the number of replicas.
    let scaled = deployment("a", &http("host: a.example"), &format!("{} replicas: 5,", behind("one")));
    assert_eq!(kept.set(one(&scaled)), Affected::default());
    // A hostname: the deployment's hosts. Its Service has one workload, which gets everything whatever its hostname.
    let affected = kept.set(one(&deployment("a", &http("host: new.example"), &behind("one"))));
    assert_eq!(names(&affected), (vec!["default/a"], vec![]));
    // A Service's ports: those behind it, and its slices.
    let affected = kept.set(one(&service("one", "{name: http, port: 80}, {name: more, port: 81}")));
    assert_eq!(names(&affected), (vec!["default/a"], vec!["default/one".into()]));
    // A second workload behind it: both.
    let affected = kept.set(one(&deployment("c", &http("host: c.example"), &behind("one"))));
    assert_eq!(names(&affected), (vec!["default/a", "default/c"], vec!["default/one".into()]));
    // A route to it: the Service's and whatever it leads to.
    let affected = kept.set(one(&http_route(
        "r",
        "parentRefs: [{group: '', kind: Service, name: one}], rules: [{backendRefs: [{group: runtime.wasmcloud.dev, \
         kind: WorkloadDeployment, name: b}]}]",
    )));
    assert_eq!(names(&affected), (vec!["default/a", "default/b", "default/c"], vec!["default/one".into()]));
    assert_eq!(kept.tables.services_of("default/b").count(), 2);
    // The neighbour's table is the same one all the time.
    assert!(Arc::ptr_eq(&table, &kept.tables.service(&two).unwrap().listeners[0]));
    // A Service that is deleted takes its listeners along, and its workload is told.
    let affected = kept.remove(&ObjectKey { kind: "Service".into(), namespace: "default".into(), name: "one".into() });
    assert!(affected.services.contains(&Name::new("default", "one")));
    assert!(affected.objects.iter().any(|it| it.name == "a"));
    assert_eq!(
        kept.tables.findings(&kept.objects.keys().find(|it| it.name == "a").unwrap().clone())[0].reason,
        "ServiceNotFound"
    );

    // A route to one port of a Service leaves the listener of the other as it is.
    kept.set(one(&service("two", "{name: http, port: 80}, {name: admin, port: 81}")));
    let admin = kept.tables.service(&two).unwrap().listeners[1].clone();
    let affected = kept.set(one(&http_route(
        "s",
        "parentRefs: [{group: '', kind: Service, name: two, port: 80}], hostnames: [s.example]",
    )));
    assert!(affected.services.contains(&two));
    assert!(Arc::ptr_eq(&admin, &kept.tables.service(&two).unwrap().listeners[1]));
}

#[test]
fn routes_that_lead_nowhere_are_answered_by_who_is_behind() {
    let parent = "parentRefs: [{group: '', kind: Service, name: one}], rules";
    let backend = "backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name";
    let base = service("one", "{port: 80}") + &deployment("a", "", &behind("one")) + &deployment("b", "", "");
    for (rules, want) in [
        ("[{filters: [{type: RequestRedirect, requestRedirect: {hostname: a.example}}]}]".to_owned(), "default/a"),
        (format!("[{{{backend}: nobody}}]}}]"), "default/a"),
        (format!("[{{{backend}: b}}]}}]"), "default/b"),
        (
            format!("[{{{backend}: b}}, {{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: nobody}}]}}]"),
            "default/b",
        ),
    ] {
        let kept = Kept::of(objects(&(base.clone() + &http_route("r", &format!("{parent}: {rules}")))));
        let table = kept.tables.service(&Name::new("default", "one")).unwrap();
        let deployments: Vec<&str> = table.deployments.iter().map(|it| &**it).collect();
        assert_eq!(deployments, [want], "{rules}");
    }
}

#[test]
fn a_route_that_moves_leaves_nothing_behind() {
    let mut kept = Kept::of(objects(
        &[deployment("a", "", ""), service("one", "{name: http, port: 80}"), service("two", "{name: http, port: 80}")]
            .concat(),
    ));
    let route = |service: &str, backend: &str| {
        one(&http_route(
            "r",
            &format!(
                "parentRefs: [{{group: '', kind: Service, name: {service}}}], rules: [{{backendRefs: [{{group: \
                 runtime.wasmcloud.dev, kind: WorkloadDeployment, name: {backend}}}]}}]"
            ),
        ))
    };
    let services =
        |kept: &Kept, name: &str| -> Vec<String> { kept.tables.services_of(name).map(ToString::to_string).collect() };
    kept.set(route("one", "a"));
    assert_eq!(services(&kept, "default/a"), ["default/one"]);
    let affected = kept.set(route("two", "a"));
    assert_eq!(names(&affected), (vec!["default/a"], vec!["default/one".into(), "default/two".into()]));
    assert_eq!(services(&kept, "default/a"), ["default/two"]);
    assert!(kept.tables.service(&Name::new("default", "one")).is_none());
    // A backend that is not there yet is used as soon as it is.
    kept.set(route("two", "b"));
    assert!(services(&kept, "default/a").is_empty());
    let affected = kept.set(one(&deployment("b", "", "")));
    assert_eq!(names(&affected), (vec!["default/b"], vec!["default/two".into()]));
    assert_eq!(services(&kept, "default/b"), ["default/two"]);
}

#[test]
fn a_hostname_goes_to_the_next_when_its_owner_goes() {
    let mut kept = Kept::of(objects(
        &[
            deployment("a@2026-01-01", &http("host: x.example"), ""),
            deployment("other/b@2026-02-02", &http("host: x.example"), ""),
        ]
        .concat(),
    ));
    let routes = |kept: &Kept, name: &str| kept.tables.shared_routes(name).count();
    assert_eq!((routes(&kept, "default/a"), routes(&kept, "other/b")), (1, 0));
    let loser = kept.objects.keys().find(|it| it.name == "b").unwrap().clone();
    assert_eq!(kept.tables.findings(&loser)[0].reason, "HostnameConflict");
    let owner = kept.objects.keys().find(|it| it.name == "a").unwrap().clone();
    let affected = kept.remove(&owner);
    assert_eq!(names(&affected), (vec!["default/a", "other/b"], vec![]));
    assert!(affected.objects.contains(&loser));
    assert_eq!((routes(&kept, "default/a"), routes(&kept, "other/b")), (0, 1));
    assert!(kept.tables.findings(&loser).is_empty());
}

#[test]
fn workloads_of_one_service_are_siblings() {
    let kept = Kept::of(objects(
        &[
            deployment("a", &http("host: a.example"), &behind("one")),
            deployment("b", &http("host: b.example"), &behind("one")),
            deployment("c", &http("host: c.example"), &behind("two")),
            service("one", "{name: http, port: 80}"),
            service("two", "{name: http, port: 80}"),
        ]
        .concat(),
    ));
    assert_eq!(kept.tables.siblings("default/a").iter().map(|it| &**it).collect::<Vec<_>>(), ["default/b"]);
    assert!(kept.tables.siblings("default/c").is_empty());
}

#[test]
fn a_mirror_wants_to_be_where_its_requests_are_and_is_not_behind_their_service() {
    let kind = "group: runtime.wasmcloud.dev, kind: WorkloadDeployment";
    let mirror = format!("filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: b, {kind}}}}}}}]");
    let spec = format!(
        "parentRefs: [{{group: '', kind: Service, name: one}}], rules: [{{{mirror}, backendRefs: [{{name: a, {kind}}}]}}]"
    );
    let yaml = [deployment("a", "", ""), deployment("b", "", ""), service("one", "{name: http, port: 80}")].concat();
    let kept = Kept::of(objects(&(yaml + &http_route("r", &spec))));
    let siblings = |of: &str| kept.tables.siblings(of).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((siblings("default/b"), siblings("default/a")), (vec!["default/a".to_owned()], vec![]));
    assert_eq!((kept.tables.services_of("default/a").count(), kept.tables.services_of("default/b").count()), (1, 0));
}

#[test]
fn what_a_template_refers_to_is_known() {
    let yaml = deployment(
        "a",
        "hostInterfaces: [{namespace: wasi, package: config, interfaces: [store], configFrom: [{name: c}], secretFrom: [{name: s}]}],",
        "",
    );
    let Object::WorkloadDeployment(it) = one(&yaml) else { panic!("a deployment") };
    let resolved = resolve_deployment(&it, &Objects::default());
    assert!(resolved.share.is_none() && resolved.revision().is_none());
    let sources: Vec<String> = resolved.sources.iter().map(|it| format!("{it:?}")).collect();
    assert_eq!(sources.len(), 2, "{sources:?}");
    let known: Objects = objects(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: v}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: s}}",
    )
    .into_iter()
    .collect();
    let resolved = resolve_deployment(&it, &known);
    assert_eq!(resolved.share.unwrap().replicas, 0);
}

#[test]
fn routes_to_a_new_component_wait_for_it() {
    let resolved = |component: &str| {
        let yaml = deployment("a", "http: {routes: [{component: REPLACED}]},", "");
        let yaml = yaml.replace("name: main", &format!("name: {component}")).replace("REPLACED", component);
        let Object::WorkloadDeployment(it) = one(&yaml) else { panic!("a deployment") };
        resolve_deployment(&it, &Objects::default())
    };
    let (old, new) = (resolved("old"), resolved("new"));
    assert!(Arc::ptr_eq(routing_in_force(&new, [&old]), &old.routing), "the old one serves still");
    assert!(Arc::ptr_eq(routing_in_force(&new, []), &new.routing), "it is gone");
    let same = resolved("new");
    assert!(Arc::ptr_eq(routing_in_force(&new, [&same]), &new.routing), "the old one can serve the new routes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// However objects come, change and go: the tables are those of a plan that is made at once of what is there, and a
    /// change answers everybody whose snapshot it changes.
    #[test]
    fn tables_are_what_a_plan_would_be(
        first in some_objects(),
        then in some_objects(),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut kept = Kept::new();
        let mut before: BTreeMap<String, Snapshot> = BTreeMap::new();
        let mut changes: Vec<Result<Object, ObjectKey>> = first.iter().chain(&then).cloned().map(Ok).collect();
        let all: Vec<ObjectKey> = changes.iter().filter_map(|it| it.as_ref().ok().map(Object::key)).collect();
        if !all.is_empty() {
            changes.extend(gone.iter().map(|it| Err(it.get(&all).clone())));
        }
        for change in changes {
            let affected = match change {
                Ok(object) => kept.set(object),
                Err(key) => kept.remove(&key),
            };
            for (name, resolved) in &kept.resolved {
                let now = snapshot_for(0, &[HostShare { share: shared(resolved), replicas: 1, standby: false }], &kept.tables);
                let same = before.get(name).is_none_or(|it| it.listeners == now.listeners);
                prop_assert!(same || affected.deployments.contains(name.as_str()), "{} is not told", name);
                before.insert(name.clone(), now);
            }
            before.retain(|name, _| kept.resolved.contains_key(name));
        }
        let plan = plan_all(kept.objects.values().cloned());
        let deployments: Vec<&str> = kept.resolved.keys().map(String::as_str).collect();
        let snapshot = kept.snapshot(&deployments);
        for listener in &snapshot.listeners {
            let planned = plan.snapshot.listeners.iter().find(|it| it.name == listener.name).unwrap();
            let sorted = |it: &penstock_api::snapshot::Listener| {
                let mut routes: Vec<String> = it.routes.iter().map(|it| format!("{it:?}")).collect();
                routes.sort();
                routes
            };
            if listener.name == "shared" {
                let planned = sorted(planned);
                prop_assert!(sorted(listener).iter().all(|it| planned.contains(it)));
            } else {
                prop_assert_eq!(sorted(listener), sorted(planned));
            }
        }
        let mut expected = plan.findings;
        expected.retain(|it| it.reason != "DuplicateName");
        prop_assert_eq!(kept.findings(), expected);
    }
}

/// The share, or a stand-in for one that could not be resolved.
fn shared(resolved: &Resolved) -> Arc<penstock_api::snapshot::Share> {
    resolved.share.clone().unwrap_or_else(|| {
        Arc::new(penstock_api::snapshot::Share { deployment: resolved.deployment.to_string(), ..Default::default() })
    })
}
