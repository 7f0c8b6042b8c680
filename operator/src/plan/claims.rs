//! Who was first among equal matches.

use std::collections::BTreeMap;

use penstock_api::{manifest::ObjectKey, snapshot::Route};

use super::{Findings, Name, unit};

/// A route, and the object that it came from.
#[derive(Clone, Debug, PartialEq)]
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
    pub(super) fn hosts(&self) -> Vec<&str> {
        match self.route.hostnames.is_empty() {
            true => vec!["*"],
            false => self.route.hostnames.iter().map(String::as_str).collect(),
        }
    }
}

/// Says of every match that an older route takes from a younger one. They stay: the router's order does the same.
pub(super) fn report_ambiguous(claims: &[Claim], reason: &'static str, at: &str, findings: &mut Findings) {
    let mut by_host: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        for host in claim.hosts() {
            by_host.entry(host).or_default().push(claim);
        }
    }
    for (host, claims) in by_host {
        report_ambiguous_on(host, claims, reason, at, findings);
    }
}

/// The same for one hostname, which all of the claims have.
pub(super) fn report_ambiguous_on(
    host: &str,
    mut claims: Vec<&Claim>,
    reason: &'static str,
    at: &str,
    findings: &mut Findings,
) {
    claims.sort_by(|a, b| a.age().cmp(&b.age()));
    let mut taken: BTreeMap<String, &ObjectKey> = BTreeMap::new();
    for claim in claims {
        for text in texts(&claim.route) {
            let owner = taken.entry(text.clone()).or_insert(&claim.object);
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
