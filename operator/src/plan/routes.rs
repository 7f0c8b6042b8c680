//! The routes that a workload brings along: `http.routes`, else the host and path of its `wasi:http` entries.

use std::{collections::BTreeMap, sync::Arc};

use penstock_api::{
    hostname,
    manifest::ObjectKey,
    reasons,
    route::{HttpBackendRef, HttpPathMatch, HttpRouteMatch, PathMatchType},
    snapshot::{Route, RouteBackend, RouteRule},
    workload::HttpRule,
};

use super::{
    Findings, Name, Unit, Values, convert,
    policy::{self, RuleId},
    unit,
};

/// A workload and what it says about HTTP: all that tables need to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    pub(super) object: ObjectKey,
    /// `namespace/name`.
    pub(super) deployment: Arc<str>,
    /// Seconds since the epoch.
    pub(super) created: Option<i64>,
    /// Names of Services, each with the path of the field that names it.
    pub(super) services: Vec<(String, String)>,
    entries: Vec<Entry>,
    rules: Vec<(Vec<String>, RouteRule)>,
    /// Whether it has `http.routes`, valid or not.
    pub(super) has_rules: bool,
}

/// A `wasi:http` entry: hostnames in lower case (none: it names none), and the path that it begins with.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    hosts: Vec<String>,
    every_host: bool,
    path: String,
}

impl Routing {
    pub(super) fn new(
        unit: &Unit<'_>,
        http: &[(BTreeMap<String, String>, String)],
        values: &dyn Values,
        findings: &mut Findings,
    ) -> Self {
        let entries = http.iter().map(|(config, at)| entry(config, at, unit, findings)).collect();
        let given: &[HttpRule] = unit.spec.http.as_ref().map_or(&[], |it| &it.routes);
        let mut rules = Vec::new();
        for (index, it) in given.iter().enumerate() {
            let at = format!("{}.http.routes[{index}]", unit.at);
            let hosts: Vec<String> = it.hostnames.iter().filter_map(|host| valid(host, &at, unit, findings)).collect();
            if hosts.is_empty() && !it.hostnames.is_empty() {
                continue;
            }
            rules.extend(rule(it, index, &at, unit, values, findings).map(|rule| (hosts, rule)));
        }
        Self {
            object: unit.object.clone(),
            deployment: unit.deployment().into(),
            created: unit.created,
            services: unit.services.iter().map(|(name, path)| ((*name).to_owned(), path.clone())).collect(),
            entries,
            rules,
            has_rules: !given.is_empty(),
        }
    }

    /// The deployment's namespace and name.
    #[must_use]
    pub fn name(&self) -> Name {
        Name::new(&self.object.namespace, &self.object.name)
    }

    /// The Services that it says it is behind, whether they exist or not.
    pub fn services(&self) -> impl Iterator<Item = Name> + '_ {
        self.services.iter().map(|(name, _)| Name::new(&self.object.namespace, name))
    }

    /// Which of two claims counts: the older one, else the one whose name comes first.
    pub(super) fn age(&self) -> (bool, Option<i64>, Name) {
        unit::age(self.created, self.name())
    }

    /// The components that its routes name: a revision without one of them cannot serve all of them.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|(_, rule)| &rule.backends).filter_map(|it| it.component.as_deref())
    }

    /// Its routes on the shared listener: only for hostnames that it names. `*` alone stands for every host.
    pub(super) fn by_host(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        for entry in &self.entries {
            if !self.has_rules && (entry.every_host || !entry.hosts.is_empty()) {
                routes.push(self.route(entry.hosts.clone(), vec![self.plain(&entry.path)]));
            }
        }
        let inherited: Vec<String> = self.entries.iter().flat_map(|it| it.hosts.clone()).collect();
        let every_host = self.entries.iter().any(|it| it.every_host);
        let rules = self.rules.iter().map(|(hosts, rule)| match hosts.is_empty() {
            true => (inherited.clone(), rule.clone()),
            false => (hosts.clone(), rule.clone()),
        });
        routes.extend(self.grouped(rules.filter(|(hosts, _)| every_host || !hosts.is_empty())));
        routes
    }

    /// Its routes on the listener of its own Service: its rules as they are written, else host and path.
    pub(super) fn by_service(&self) -> Vec<Route> {
        if self.has_rules {
            return self.grouped(self.rules.iter().cloned());
        }
        if self.entries.is_empty() {
            return vec![self.everything()];
        }
        self.entries.iter().map(|it| self.route(it.hosts.clone(), vec![self.plain(&it.path)])).collect()
    }

    /// One route for all requests.
    pub(super) fn everything(&self) -> Route {
        self.route(Vec::new(), vec![self.plain("/")])
    }

    /// Rules of the same hostnames as one route each, so that among equal matches the first one wins. Where hostnames
    /// differ, there is a route for each of them with all the rules for it.
    fn grouped(&self, rules: impl Iterator<Item = (Vec<String>, RouteRule)>) -> Vec<Route> {
        let rules: Vec<_> = rules.collect();
        if let Some((hosts, _)) = rules.first()
            && rules.iter().all(|it| it.0 == *hosts)
        {
            let hosts = hosts.clone();
            return vec![self.route(hosts, rules.into_iter().map(|it| it.1).collect())];
        }
        let mut by_host: BTreeMap<Option<String>, Vec<RouteRule>> = BTreeMap::new();
        for (hosts, rule) in rules {
            if hosts.is_empty() {
                by_host.entry(None).or_default().push(rule.clone());
            }
            for host in hosts {
                by_host.entry(Some(host)).or_default().push(rule.clone());
            }
        }
        by_host.into_iter().map(|(host, rules)| self.route(host.into_iter().collect(), rules)).collect()
    }

    fn route(&self, hostnames: Vec<String>, rules: Vec<RouteRule>) -> Route {
        Route { name: self.deployment.to_string(), created: self.created, hostnames, rules }
    }

    fn plain(&self, path: &str) -> RouteRule {
        let prefix = HttpPathMatch { r#type: PathMatchType::PathPrefix, value: path.to_owned() };
        let matches = match path {
            "/" => Vec::new(),
            _ => vec![HttpRouteMatch { path: Some(prefix), ..HttpRouteMatch::default() }],
        };
        RouteRule { matches, backends: vec![backend(&self.deployment, None)], ..RouteRule::default() }
    }
}

fn backend(deployment: &str, component: Option<&String>) -> RouteBackend {
    RouteBackend {
        deployment: deployment.to_owned(),
        component: component.cloned(),
        weight: 1,
        ..RouteBackend::default()
    }
}

fn rule(
    rule: &HttpRule,
    index: usize,
    at: &str,
    unit: &Unit<'_>,
    values: &dyn Values,
    findings: &mut Findings,
) -> Option<RouteRule> {
    let matches = convert::matches(&rule.matches, &unit.object, at, findings)?;
    let id = RuleId { object: &unit.object, index, name: rule.name.as_deref() };
    let policy = policy::of_rule(&id, &rule.filters, at, &|it| values.policy(it), findings);
    let filters = convert::filters(&rule.filters, &unit.object, at, findings).filter(|_| policy.is_ok());
    let known = rule.component.as_ref().is_none_or(|name| unit.spec.components.iter().any(|it| it.name == *name));
    if let (false, Some(name)) = (known, &rule.component) {
        let message = format!("there is no component `{name}`: its requests are answered with 500");
        findings.error(&unit.object, format!("{at}.component"), reasons::COMPONENT_NOT_FOUND, message);
    }
    let backends = match &filters {
        Some(_) if known => vec![backend(&unit.deployment(), rule.component.as_ref())],
        _ => Vec::new(),
    };
    let filters = filters.unwrap_or_default();
    let mirrors = convert::mirrors(&rule.filters, at, &mut |it, at| mirror(&it, at, unit, findings));
    let (name, retry) = (rule.name.clone(), rule.retry.clone());
    // Rules of a template have one backend: there is nothing for a session to choose from.
    let (timeouts, policy) = (rule.timeouts, policy.unwrap_or_default());
    let session_persistence = None;
    Some(RouteRule { name, matches, filters, mirrors, backends, timeouts, retry, session_persistence, policy })
}

/// A workload of the same namespace. Whether it exists is not known here: copies are sent as soon as it is there.
fn mirror(it: &HttpBackendRef, at: &str, unit: &Unit<'_>, findings: &mut Findings) -> Option<String> {
    let advice = if !it.is_workload() {
        "write `group: runtime.wasmcloud.dev` and `kind: WorkloadDeployment`"
    } else if it.namespace.as_ref().is_some_and(|it| *it != unit.object.namespace) {
        "copies go to workloads of this namespace: use an HTTPRoute and a ReferenceGrant for another"
    } else {
        return Some(Name::new(&unit.object.namespace, &it.name).to_string());
    };
    findings.error(&unit.object, at, reasons::UNSUPPORTED_VALUE, format!("{}: {advice}; nothing is copied", it.name));
    None
}

fn entry(config: &BTreeMap<String, String>, at: &str, unit: &Unit<'_>, findings: &mut Findings) -> Entry {
    let aliases = config.get("host-aliases").into_iter().flat_map(|it| it.split(','));
    let given = config.get("host").map(String::as_str).into_iter().chain(aliases).map(str::trim);
    let at = format!("{at}.config");
    let (mut hosts, mut every_host) = (Vec::new(), false);
    for host in given.filter(|it| !it.is_empty()) {
        match host {
            "*" => every_host = true,
            _ => hosts.extend(valid(host, &at, unit, findings)),
        }
    }
    hosts.sort();
    hosts.dedup();
    if every_host {
        hosts.clear();
    }
    let path = config.get("path").map_or("/", String::as_str);
    let prefix = HttpPathMatch { r#type: PathMatchType::PathPrefix, value: path.to_owned() };
    let as_match = HttpRouteMatch { path: Some(prefix), ..HttpRouteMatch::default() };
    let path = match convert::matches(&[as_match], &unit.object, &at, findings) {
        Some(_) => path.to_owned(),
        None => "/".to_owned(),
    };
    Entry { hosts, every_host, path }
}

fn valid(host: &str, at: &str, unit: &Unit<'_>, findings: &mut Findings) -> Option<String> {
    match hostname::check(host) {
        Ok(()) => Some(host.to_ascii_lowercase()),
        Err(error) => {
            findings.error(&unit.object, at, reasons::INVALID_HOSTNAME, format!("`{host}`: {error}"));
            None
        }
    }
}
