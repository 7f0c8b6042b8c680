//! From the `TrafficPolicy` objects that a rule names to what its hosts are told, and which routes a change of one reaches.

use std::{collections::BTreeSet, fmt, sync::Arc};

use penstock_api::{
    TrafficPolicy, TrafficPolicySpec,
    manifest::ObjectKey,
    policy::{GROUP, KIND, RateLimit, RateLimitKey, RateLimitKeyType},
    reasons,
    route::{ExtensionRef, HttpRouteFilter},
    snapshot::RulePolicy,
};

use super::{Affected, Findings, Name, Tables};

/// Some reference of a rule leads nowhere, or its policies contradict each other. The rule answers with 500: a filter that
/// cannot be resolved must not be skipped (Gateway API, `HTTPRouteFilter`).
#[derive(Debug)]
pub(super) struct Unresolved;

/// Where policies are looked up.
pub(super) type Policies<'a> = &'a dyn Fn(&Name) -> Option<Arc<TrafficPolicy>>;

/// A rule, as it is known wherever it is spoken of.
pub(super) struct RuleId<'r> {
    pub(super) object: &'r ObjectKey,
    pub(super) index: usize,
    pub(super) name: Option<&'r str>,
}

impl fmt::Display for RuleId<'_> {
    /// A name is better than a place, which moves with the rules before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{} {name}", self.object),
            None => write!(f, "{} #{}", self.object, self.index),
        }
    }
}

/// What a rule's policies come to; none if it names none.
pub(super) fn of_rule(
    rule: &RuleId<'_>,
    filters: &[HttpRouteFilter],
    at: &str,
    policies: Policies<'_>,
    findings: &mut Findings,
) -> Result<Option<Box<RulePolicy>>, Unresolved> {
    let mut merged = RulePolicy::default();
    let (mut any, mut fine) = (false, true);
    for (index, reference) in references(filters) {
        any = true;
        let added = find(reference, &rule.object.namespace, policies).and_then(|it| add(&mut merged, &it.spec));
        if let Err((reason, message)) = added {
            let message = format!("{message}; until then requests of the rule are answered with 500");
            findings.error(rule.object, format!("{at}.filters[{index}].extensionRef"), reason, message);
            fine = false;
        }
    }
    match (fine, any) {
        (false, _) => Err(Unresolved),
        (true, false) => Ok(None),
        (true, true) => Ok(Some(Box::new(RulePolicy { rule: rule.to_string(), ..merged }))),
    }
}

/// Says of each reference that a backend cannot have one. False if there is any.
pub(super) fn none_here(filters: &[HttpRouteFilter], object: &ObjectKey, at: &str, findings: &mut Findings) -> bool {
    let mut none = true;
    for (index, _) in references(filters) {
        let message = format!("a {KIND} is for a whole rule: name it in the rule's own filters");
        findings.error(object, format!("{at}.filters[{index}].extensionRef"), reasons::UNSUPPORTED_VALUE, message);
        none = false;
    }
    none
}

/// The policies that rules name, whether they exist or not.
pub(super) fn named<'a>(
    filters: impl IntoIterator<Item = &'a HttpRouteFilter>,
    namespace: &'a str,
) -> impl Iterator<Item = Name> {
    filters.into_iter().filter_map(move |it| match it {
        HttpRouteFilter::ExtensionRef(it) if it.is_traffic_policy() => Some(Name::new(namespace, &it.name)),
        _ => None,
    })
}

fn references(filters: &[HttpRouteFilter]) -> impl Iterator<Item = (usize, &ExtensionRef)> {
    filters.iter().enumerate().filter_map(|(index, it)| match it {
        HttpRouteFilter::ExtensionRef(it) => Some((index, it)),
        _ => None,
    })
}

type Trouble = (&'static str, String);

fn find(reference: &ExtensionRef, namespace: &str, policies: Policies<'_>) -> Result<Arc<TrafficPolicy>, Trouble> {
    if !reference.is_traffic_policy() {
        let ExtensionRef { group, kind, .. } = reference;
        let message = format!("{group}/{kind} is no kind of filter here: write `group: {GROUP}` and `kind: {KIND}`");
        return Err((reasons::INVALID_KIND, message));
    }
    let name = Name::new(namespace, &reference.name);
    policies(&name).ok_or_else(|| {
        // Gateway API has this one reason for all objects that do not exist.
        (reasons::BACKEND_NOT_FOUND, format!("there is no {KIND} {name}: create it, or correct the name"))
    })
}

/// Adds what a policy says. Two policies of a rule may say different things, but not the same thing twice.
fn add(merged: &mut RulePolicy, spec: &TrafficPolicySpec) -> Result<(), Trouble> {
    if let Some(limit) = &spec.rate_limit {
        check_rate(limit)?;
        put(&mut merged.rate_limit, limit, "rateLimit")?;
    }
    if let Some(limit) = &spec.concurrency {
        check_key(limit.by.as_ref(), "concurrency")?;
        put(&mut merged.concurrency, limit, "concurrency")?;
    }
    if let Some(limits) = &spec.limits {
        put(&mut merged.limits, limits, "limits")?;
    }
    if let Some(detection) = &spec.outlier_detection {
        put(&mut merged.outlier_detection, detection, "outlierDetection")?;
    }
    if let Some(compression) = &spec.compression {
        put(&mut merged.compression, compression, "compression")?;
    }
    Ok(())
}

fn put<T: Clone>(place: &mut Option<T>, value: &T, field: &str) -> Result<(), Trouble> {
    match place.replace(value.clone()) {
        None => Ok(()),
        Some(_) => {
            let message = format!("two policies of this rule say `{field}`: keep one");
            Err((reasons::UNSUPPORTED_VALUE, message))
        }
    }
}

/// What an API server with an older definition lets pass.
fn check_rate(limit: &RateLimit) -> Result<(), Trouble> {
    let no = |message: &str| {
        Err((reasons::UNSUPPORTED_VALUE, format!("the policy's `rateLimit` cannot be kept: {message}")))
    };
    if !(RateLimit::SHORTEST..=RateLimit::LONGEST).contains(&limit.period()) || limit.requests == 0 {
        return no("write at least 1 request, and a time from 1s to 24h");
    }
    check_key(limit.by.as_ref(), "rateLimit")
}

fn check_key(by: Option<&RateLimitKey>, field: &str) -> Result<(), Trouble> {
    let by = by.cloned().unwrap_or_default();
    let named = by.header.as_deref().is_some_and(|it| http::HeaderName::from_bytes(it.as_bytes()).is_ok());
    if by.r#type == RateLimitKeyType::Header && !named {
        let message = format!("the policy's `{field}` cannot be kept: `by.header` is no name of a header");
        return Err((reasons::UNSUPPORTED_VALUE, message));
    }
    Ok(())
}

// === which tables a change reaches ===

impl Tables {
    /// A policy as it is now. Only routes that name it are looked at again; a deployment whose own routes do is resolved
    /// anew by whoever keeps it ([`super::Source::Policy`]).
    pub fn set_policy(&mut self, name: &Name, policy: Option<Arc<TrafficPolicy>>) -> Affected {
        let mut affected = Affected::default();
        let dirty = self.put_policy(name, policy, &mut affected);
        self.rebuild(dirty, &mut affected);
        affected
    }

    /// The same, without building the tables: answers those that have to be.
    pub(super) fn put_policy(
        &mut self,
        name: &Name,
        policy: Option<Arc<TrafficPolicy>>,
        affected: &mut Affected,
    ) -> BTreeSet<Name> {
        let spec = |it: &Option<Arc<TrafficPolicy>>| it.as_ref().map(|it| it.spec.clone());
        let now = spec(&policy);
        let before = match policy {
            Some(policy) => self.policies.insert(name.clone(), policy),
            None => self.policies.remove(name),
        };
        if spec(&before) == now {
            return BTreeSet::new();
        }
        let routes = self.policed.get(name).cloned().unwrap_or_default();
        routes.iter().flat_map(|route| self.attach(route, affected)).collect()
    }
}
