//! Who was first: hostnames on the shared listener, and equal matches on any.

use std::collections::BTreeMap;

use penstock_api::{manifest::ObjectKey, snapshot::Route};

use super::{Findings, Name, unit};

/// A route, and the object that it came from.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) object: ObjectKey,
    pub(super) route: Route,
}

impl Claim {
    /// The router's own order among equal matches: the oldest, then by name; the kind only makes it total.
    pub(super) fn age(&self) -> ((bool, Option<i64>, Name), &str) {
        let name = Name::new(&self.object.namespace, &self.object.name);
        (unit::age(self.route.created, name), &self.object.kind)
    }

    /// Its hostnames; `*` stands for every host.
    fn hosts(&self) -> Vec<&str> {
        match self.route.hostnames.is_empty() {
            true => vec!["*"],
            false => self.route.hostnames.iter().map(String::as_str).collect(),
        }
    }
}

/// Leaves every hostname to the namespace that claimed it first. A route that loses all of its hostnames goes.
pub(super) fn first_namespace_wins(
    mut claims: Vec<Claim>,
    reason: &'static str,
    findings: &mut Findings,
) -> Vec<Claim> {
    claims.sort_by(|a, b| a.age().cmp(&b.age()));
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::new();
    for mut claim in claims {
        let namespace = claim.object.namespace.clone();
        let mut lost = Vec::new();
        for host in claim.hosts() {
            let owner = owners.entry(host.to_owned()).or_insert_with(|| namespace.clone());
            if *owner != namespace {
                lost.push(host.to_owned());
            }
        }
        for host in &lost {
            let message =
                format!("`{host}` belongs to another namespace, which claimed it first: choose another hostname");
            findings.error(&claim.object, "", reason, message);
        }
        let before = claim.route.hostnames.len();
        claim.route.hostnames.retain(|it| !lost.contains(it));
        if lost.is_empty() || (before > 0 && !claim.route.hostnames.is_empty()) {
            kept.push(claim);
        }
    }
    kept
}

/// Says of every match that an older route takes from a younger one. They stay: the router's order does the same.
pub(super) fn report_ambiguous(claims: &[Claim], reason: &'static str, at: &str, findings: &mut Findings) {
    let mut sorted: Vec<&Claim> = claims.iter().collect();
    sorted.sort_by(|a, b| a.age().cmp(&b.age()));
    let mut taken: BTreeMap<(String, String), &ObjectKey> = BTreeMap::new();
    for claim in sorted {
        for (host, text) in claim.hosts().into_iter().flat_map(|host| texts(&claim.route).map(move |it| (host, it))) {
            let owner = taken.entry((host.to_owned(), text.clone())).or_insert(&claim.object);
            if *owner != &claim.object {
                let host = if host == "*" { "any host" } else { host };
                let message = format!(
                    "{owner} is older and takes the same requests of {at} ({host}, {text}): \
                     tell them apart by hostname, path or header"
                );
                findings.error(&claim.object, "", reason, message);
            }
        }
    }
}

/// Every match of a route as text that is equal for equal matches.
fn texts(route: &Route) -> impl Iterator<Item = String> {
    route.rules.iter().flat_map(|rule| {
        let any = rule.matches.is_empty().then(|| "path /".to_owned());
        any.into_iter().chain(rule.matches.iter().map(text))
    })
}

fn text(it: &penstock_api::route::HttpRouteMatch) -> String {
    use penstock_api::route::{PathMatchType, ValueMatchType};
    let path = it.path.clone().unwrap_or_default();
    let mut parts = vec![match path.r#type {
        PathMatchType::Exact => format!("path = {}", path.value),
        PathMatchType::PathPrefix if path.value.len() > 1 => format!("path {}", path.value.trim_end_matches('/')),
        PathMatchType::PathPrefix => "path /".to_owned(),
        PathMatchType::RegularExpression => format!("path ~ {}", path.value),
    }];
    parts.extend(it.method.map(|it| it.as_str().to_owned()));
    let value = |kind: ValueMatchType| if kind == ValueMatchType::Exact { "=" } else { "~" };
    let mut fields: Vec<String> = Vec::new();
    for header in &it.headers {
        fields.push(format!("header {} {} {}", header.name.to_ascii_lowercase(), value(header.r#type), header.value));
    }
    for query in &it.query_params {
        fields.push(format!("query {} {} {}", query.name, value(query.r#type), query.value));
    }
    fields.sort();
    parts.extend(fields);
    parts.join(", ")
}
