//! What a case is made of: Services, routes, what their statuses say, and requests.

use std::{fmt::Write as _, sync::Arc};

use anyhow::Result;
use futures_util::future::BoxFuture;

use super::{ask::Ask, stage::Here};

/// Where the Services and most backends are.
pub(crate) const NAMESPACE: &str = "e2e-conformance";
/// Where the backends are that need a ReferenceGrant.
pub(crate) const OTHER: &str = "e2e-conformance-other";

pub(crate) const V1: &str = "infra-backend-v1";
pub(crate) const V2: &str = "infra-backend-v2";
pub(crate) const V3: &str = "infra-backend-v3";
/// The workloads of the other namespace.
pub(crate) const WEB: &str = "web-backend";
pub(crate) const APP1: &str = "app-backend-v1";
pub(crate) const APP2: &str = "app-backend-v2";

/// What follows the requests of a case, where a table cannot say it.
pub(crate) type Then = Arc<dyn Fn(Here) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// One test of the conformance suite.
#[derive(Clone)]
pub(crate) struct Case {
    /// Its name there.
    pub(crate) name: &'static str,
    pub(crate) fronts: Vec<Front>,
    pub(crate) routes: Vec<Route>,
    /// Manifests that go with the routes, each with its namespace.
    pub(crate) objects: Vec<(&'static str, String)>,
    /// Manifests that come before.
    pub(crate) ground: Vec<String>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) then: Option<Then>,
}

/// A Service of a case: the parent of its routes.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    /// Tells several Services of a case apart.
    pub(crate) suffix: &'static str,
    /// Name, number and `appProtocol` of each port.
    pub(crate) ports: Vec<(&'static str, u16, Option<&'static str>)>,
    /// Whether it has a workload of its own, as a mesh's Services have: named as the Service, and not named by any route.
    pub(crate) behind: bool,
    /// In flow style.
    pub(crate) annotations: &'static str,
}

/// A route of a case.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) kind: &'static str,
    /// Tells several routes of a case apart.
    suffix: &'static str,
    hostnames: &'static [&'static str],
    /// Suffixes of Services, each with more fields in flow style.
    pub(crate) parents: Vec<(&'static str, &'static str)>,
    /// In block style. `$v1` and the like are the group, kind and name (and namespace) of a backend.
    rules: String,
    /// Conditions that have to be there for every parent.
    pub(crate) says: Vec<Said>,
}

/// `type`, `status` and `reason` of a condition.
pub(crate) type Said = (&'static str, &'static str, &'static str);

// === impl Case ===

impl Case {
    /// A case with one Service, port 80.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            fronts: vec![Front::new("")],
            routes: Vec::new(),
            objects: Vec::new(),
            ground: Vec::new(),
            asks: Vec::new(),
            then: None,
        }
    }

    /// The Service has a workload of its own.
    pub(crate) fn behind(mut self) -> Self {
        self.fronts[0].behind = true;
        self
    }

    /// The Services, in place of the one that there is without this.
    pub(crate) fn fronts(mut self, fronts: impl IntoIterator<Item = Front>) -> Self {
        self.fronts = fronts.into_iter().collect();
        self
    }

    /// An HTTPRoute with the first Service as its parent.
    pub(crate) fn http(self, rules: &str) -> Self {
        self.route(Route::http(rules))
    }

    /// A GRPCRoute with the first Service as its parent.
    pub(crate) fn grpc(self, rules: &str) -> Self {
        self.route(Route::grpc(rules))
    }

    pub(crate) fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Another manifest, applied together with the routes.
    pub(crate) fn object(mut self, namespace: &'static str, manifest: impl Into<String>) -> Self {
        self.objects.push((namespace, manifest.into()));
        self
    }

    /// Another manifest, applied together with the Services.
    pub(crate) fn ground(mut self, manifest: String) -> Self {
        self.ground.push(manifest);
        self
    }

    pub(crate) fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    pub(crate) fn asks(mut self, asks: impl IntoIterator<Item = Ask>) -> Self {
        self.asks.extend(asks);
        self
    }

    pub(crate) fn then<F>(mut self, then: impl Fn(Here) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.then = Some(Arc::new(move |here| Box::pin(then(here))));
        self
    }

    /// The name of one of its Services.
    pub(crate) fn front(&self, suffix: &str) -> String {
        named(self.name, suffix)
    }

    /// The manifests of its routes and of what goes with them, by namespace.
    pub(crate) fn manifests(&self) -> Vec<(&'static str, String)> {
        let routes = self.routes.iter().map(|it| (NAMESPACE, it.yaml(self.name)));
        routes.chain(self.objects.iter().map(|(at, it)| (*at, backends(it)))).collect()
    }
}

fn named(case: &str, suffix: &str) -> String {
    let name = case.to_lowercase();
    if suffix.is_empty() { name } else { format!("{name}-{suffix}") }
}

// === impl Front ===

impl Front {
    /// A Service without a selector, port 80.
    pub(crate) fn new(suffix: &'static str) -> Self {
        Self { suffix, ports: vec![("http", 80, None)], behind: false, annotations: "" }
    }

    pub(crate) fn ports(mut self, ports: &[(&'static str, u16, Option<&'static str>)]) -> Self {
        self.ports = ports.to_vec();
        self
    }

    pub(crate) fn behind(mut self) -> Self {
        self.behind = true;
        self
    }

    pub(crate) fn annotations(mut self, annotations: &'static str) -> Self {
        self.annotations = annotations;
        self
    }

    pub(crate) fn yaml(&self, case: &str) -> String {
        let name = named(case, self.suffix);
        let ports = self.ports.iter().map(|(name, port, protocol)| {
            let protocol = protocol.map(|it| format!(", appProtocol: {it}")).unwrap_or_default();
            format!("{{name: {name}, port: {port}{protocol}}}")
        });
        let ports: Vec<String> = ports.collect();
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, annotations: {{{}}}}}\nspec: {{ports: [{}]}}\n",
            self.annotations,
            ports.join(", ")
        )
    }
}

// === impl Route ===

impl Route {
    pub(crate) fn http(rules: &str) -> Self {
        Self::new("HTTPRoute", rules)
    }

    pub(crate) fn grpc(rules: &str) -> Self {
        Self::new("GRPCRoute", rules)
    }

    fn new(kind: &'static str, rules: &str) -> Self {
        let says = vec![("Accepted", "True", "Accepted"), ("ResolvedRefs", "True", "ResolvedRefs")];
        let parents = vec![("", "")];
        Self { kind, suffix: "", hostnames: &[], parents, rules: rules.trim().to_owned(), says }
    }

    /// Another name than the case's.
    pub(crate) fn named(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    pub(crate) fn hosts(mut self, hostnames: &'static [&'static str]) -> Self {
        self.hostnames = hostnames;
        self
    }

    /// Its parents, in place of the first Service as a whole.
    pub(crate) fn parents(mut self, parents: &[(&'static str, &'static str)]) -> Self {
        self.parents = parents.to_vec();
        self
    }

    /// What has to be said in place of the condition of that type.
    pub(crate) fn says(mut self, kind: &'static str, status: &'static str, reason: &'static str) -> Self {
        self.says.retain(|it| it.0 != kind);
        self.says.push((kind, status, reason));
        self
    }

    pub(crate) fn name(&self, case: &str) -> String {
        named(case, self.suffix)
    }

    fn yaml(&self, case: &str) -> String {
        let parent = |(suffix, more): &(&str, &str)| {
            let more = if more.is_empty() { String::new() } else { format!(", {more}") };
            format!("{{group: '', kind: Service, name: {}{more}}}", named(case, suffix))
        };
        let parents: Vec<String> = self.parents.iter().map(parent).collect();
        let hostnames: Vec<String> = self.hostnames.iter().map(|it| format!("'{it}'")).collect();
        let mut text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: {}\nmetadata: {{name: {}}}\nspec:\n  parentRefs: [{}]\n  hostnames: [{}]\n  rules:\n",
            self.kind,
            self.name(case),
            parents.join(", "),
            hostnames.join(", "),
        );
        for line in backends(&self.rules).lines() {
            let _ = writeln!(text, "  {line}");
        }
        text
    }
}

/// Puts references to workloads in place of their short names.
fn backends(text: &str) -> String {
    let mut text = text.to_owned();
    for (short, name, namespace) in [
        ("$v1", V1, None),
        ("$v2", V2, None),
        ("$v3", V3, None),
        ("$web", WEB, Some(OTHER)),
        ("$app1", APP1, Some(OTHER)),
        ("$app2", APP2, Some(OTHER)),
        ("$mirror1", "mirror-one", None),
        ("$mirror2", "mirror-two", None),
        ("$mirror3", "mirror-three", None),
        ("$mirror4", "mirror-four", None),
        ("$flaky", "flaky", None),
    ] {
        let namespace = namespace.map(|it| format!(", namespace: {it}")).unwrap_or_default();
        let reference = format!("group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: {name}{namespace}");
        text = text.replace(short, &reference);
    }
    text
}
