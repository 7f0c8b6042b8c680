//! From a snapshot's routes and the shares that are ready to a route table.

mod policy;

use std::{num::NonZeroU16, ops::Range, sync::Arc, time::Duration};

use http::{HeaderName, Request, StatusCode};
use penstock_api::{
    route::{
        HttpCorsFilter, HttpHeader, HttpHeaderFilter, HttpPathModifier, HttpRequestRedirect, HttpRouteFilter,
        HttpRouteMatch, HttpRouteRetry, HttpRouteTimeouts, PathMatchType, SessionPersistence, SessionPersistenceType,
        ValueMatchType,
    },
    snapshot::{Route as RouteSpec, RouteBackend, RouteMirror, RouteRule},
};
use penstock_router::{
    Backend, BackendFuture, Body, CallContext, Cause, Error,
    admit::{Admission, Limits},
    filter::{Cors, CorsConfig, Filters, HeaderModifier, PathModifier, Redirect, RedirectStatus, UrlRewrite},
    route::{HeaderMatch, HostPattern, Match, PathMatch, QueryMatch, RegexMatch, Route, Rule, StringMatch},
    serve::{Action, Budgets, Carrier, Mirror, Retry, SessionConfig, Sessions, Table, Target, Timeouts, Weighted},
};

pub(super) use self::policy::healths;
use crate::workload::Share;

/// The shares of one deployment that are ready, with their replicas.
pub(super) type Ready<'a> = &'a dyn Fn(&str) -> Vec<(Arc<Share>, u32)>;

/// Of every rule that repeats calls. A process has one host (in tests several, which lose nothing by sharing them), and a
/// budget lasts as long as some table of its rule.
static BUDGETS: Budgets = Budgets::new();

/// Builds a table. What cannot be routed is left out and said in the second value; the rest serves.
pub(super) fn build(routes: &[RouteSpec], ready: Ready<'_>) -> (Table, Vec<String>) {
    let mut errors = Vec::new();
    let routes = routes
        .iter()
        .filter_map(|spec| {
            route(spec, ready, &mut errors).map_err(|error| errors.push(format!("route {}: {error}", spec.name))).ok()
        })
        .collect();
    (Table::compile(routes), errors)
}

fn route(spec: &RouteSpec, ready: Ready<'_>, errors: &mut Vec<String>) -> Result<Route<Action>, String> {
    let hostnames =
        spec.hostnames.iter().map(|name| name.parse::<HostPattern>().map_err(say)).collect::<Result<_, _>>()?;
    let mut rules = Vec::with_capacity(spec.rules.len());
    for (index, rule) in spec.rules.iter().enumerate() {
        let matches = rule.matches.iter().map(a_match).collect::<Result<_, _>>();
        // What tells the rule apart, the same on every host. A name is better than a place, which moves with the rules before it.
        let id = format!("{} {}", spec.name, rule.name.clone().unwrap_or_else(|| format!("#{index}")));
        let action = matches.and_then(|matches| Ok((matches, action(rule, &id, ready, &spec.name, errors)?)));
        let (matches, action) = action.map_err(|error| format!("rule {index}: {error}"))?;
        rules.push(Rule { name: rule.name.clone(), matches, action });
    }
    Ok(Route { name: spec.name.as_str().into(), created: spec.created, hostnames, rules })
}

fn a_match(spec: &HttpRouteMatch) -> Result<Match, String> {
    let path = spec.path.clone().unwrap_or_default();
    Ok(Match {
        path: match path.r#type {
            PathMatchType::Exact => PathMatch::exact(&path.value),
            PathMatchType::PathPrefix => PathMatch::prefix(&path.value),
            PathMatchType::RegularExpression => PathMatch::regex(&path.value),
        }
        .map_err(say)?,
        method: match spec.method {
            Some(method) => Some(http::Method::from_bytes(method.as_str().as_bytes()).map_err(say)?),
            None => None,
        },
        headers: spec
            .headers
            .iter()
            .map(|header| {
                let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(say)?;
                Ok(HeaderMatch { name, value: value(header.r#type, &header.value)? })
            })
            .collect::<Result<_, String>>()?,
        query: spec
            .query_params
            .iter()
            .map(|query| Ok(QueryMatch { name: query.name.clone(), value: value(query.r#type, &query.value)? }))
            .collect::<Result<_, String>>()?,
    })
}

fn value(kind: ValueMatchType, text: &str) -> Result<StringMatch, String> {
    Ok(match kind {
        ValueMatchType::Exact => StringMatch::Exact(text.to_owned()),
        ValueMatchType::RegularExpression => StringMatch::Regex(RegexMatch::new(text).map_err(say)?),
    })
}

fn action(
    rule: &RouteRule,
    id: &str,
    ready: Ready<'_>,
    route: &str,
    errors: &mut Vec<String>,
) -> Result<Action, String> {
    let rule_filters = filters(&rule.filters)?;
    let by_prefix = |it: &HttpRouteMatch| it.path.as_ref().is_none_or(|it| it.r#type == PathMatchType::PathPrefix);
    let prefix_only = rule.matches.iter().all(by_prefix);
    rule_filters.check(prefix_only).map_err(say)?;
    let mut targets = Vec::new();
    let mut mirrors: Vec<_> = rule.mirrors.iter().map(|it| (None, it)).collect();
    for backend in &rule.backends {
        let first = targets.len();
        let filters = filters(&backend.filters)?;
        filters.check_under(&rule_filters, prefix_only).map_err(say)?;
        self::targets(backend, &filters, ready, route, errors, &mut targets);
        mirrors.extend(backend.mirrors.iter().map(|it| (Some(first..targets.len()), it)));
    }
    let mut timeouts = timeouts(rule.timeouts.as_ref());
    if timeouts.request.is_none() {
        // The route says nothing: the workload's own, the longest if it has several.
        let shares = rule.backends.iter().flat_map(|backend| ready(&backend.deployment));
        timeouts.request = shares.map(|(share, _)| share.request_timeout).max();
    }
    let mirrors = mirrors.into_iter().map(|(only, it)| mirror(it, only, ready, route, errors)).collect();
    let backends = Weighted::new(targets);
    let retry = rule.retry.as_ref().map(|it| retry(it, id)).transpose()?.map(Box::new);
    let sessions = rule.session_persistence.as_ref().map(|it| Sessions::new(&session(it), id, &backends));
    let sessions = sessions.transpose().map_err(say)?.map(Box::new);
    let policy = rule.policy.as_ref().map(|it| policy::of(it, &backends)).transpose()?.map(Box::new);
    Ok(Action { filters: rule_filters.boxed(), backends, timeouts, retry, sessions, mirrors, policy })
}

/// The shares here that get copies; without any, copies are counted as not ready.
fn mirror(
    spec: &RouteMirror,
    only: Option<Range<usize>>,
    ready: Ready<'_>,
    route: &str,
    errors: &mut Vec<String>,
) -> Mirror {
    let mut backends = Vec::new();
    if !ready(&spec.deployment).is_empty() {
        let backend = RouteBackend { deployment: spec.deployment.clone(), weight: 1, ..RouteBackend::default() };
        targets(&backend, &Filters::default(), ready, route, errors, &mut backends);
    }
    Mirror {
        name: spec.deployment.as_str().into(),
        backends: Weighted::new(backends),
        numerator: spec.numerator,
        denominator: spec.denominator,
        only,
    }
}

fn retry(spec: &HttpRouteRetry, id: &str) -> Result<Retry, String> {
    Ok(Retry {
        codes: spec.codes.iter().map(|code| StatusCode::from_u16(*code).map_err(say)).collect::<Result<_, _>>()?,
        attempts: spec.attempts.unwrap_or(Retry::ATTEMPTS),
        backoff: spec.backoff.map_or(Retry::BACKOFF, Duration::from),
        budget: BUDGETS.of(id),
    })
}

fn session(spec: &SessionPersistence) -> SessionConfig {
    SessionConfig {
        name: spec.session_name.clone(),
        carrier: match spec.r#type {
            SessionPersistenceType::Cookie => Carrier::Cookie { permanent: spec.is_permanent() },
            SessionPersistenceType::Header => Carrier::Header,
        },
        absolute: spec.absolute_timeout.map(Duration::from),
        idle: spec.idle_timeout.map(Duration::from),
    }
}

/// Weights are multiplied by this, so that one backend's weight can be split between its revisions.
const SCALE: u64 = 1000;

fn targets(
    spec: &RouteBackend,
    filters: &Filters,
    ready: Ready<'_>,
    route: &str,
    errors: &mut Vec<String>,
    targets: &mut Vec<Target>,
) {
    let scaled = |part: u64| u32::try_from(u64::from(spec.weight.min(1_000_000)) * part).unwrap_or(u32::MAX);
    let shares = ready(&spec.deployment);
    if shares.is_empty() {
        let (cause, detail) = if spec.deployment.is_empty() {
            // A reference that the plan could not resolve keeps its weight (Gateway API: 500 in proportion).
            (Cause::NoBackend, format!("route {route} names a backend that is not there"))
        } else {
            (Cause::NotReady, format!("workload {} has no ready instance on this host", spec.deployment))
        };
        targets.push(Target {
            backend: Arc::new(Unavailable { name: spec.deployment.clone(), cause, detail }),
            admission: open(),
            filters: filters.clone().boxed(),
            weight: scaled(SCALE),
        });
        return;
    }
    let total: u64 = shares.iter().map(|(_, replicas)| u64::from((*replicas).max(1))).sum();
    for (share, replicas) in shares {
        let (backend, admission) = match share.backend(spec.component.as_deref()) {
            Ok(backend) => (backend, share.admission.clone()),
            Err(detail) => {
                errors.push(format!("route {route}: workload {}: {detail}", spec.deployment));
                let detail = format!("workload {}: {detail}", spec.deployment);
                let backend = Unavailable { name: spec.deployment.clone(), cause: Cause::NoBackend, detail };
                (Arc::new(backend) as Arc<dyn Backend>, open())
            }
        };
        let weight = scaled(SCALE * u64::from(replicas.max(1)) / total);
        targets.push(Target { backend, admission, filters: filters.clone().boxed(), weight });
    }
}

/// An admission that lets everybody in, for what answers at once.
fn open() -> Arc<Admission> {
    Admission::new(Limits { concurrency: usize::MAX, queue_depth: 0, queue_timeout: Duration::ZERO })
}

fn filters(specs: &[HttpRouteFilter]) -> Result<Filters, String> {
    let mut filters = Filters::default();
    for spec in specs {
        match spec {
            HttpRouteFilter::RequestHeaderModifier(it) => filters.request = Some(modifier(it)?),
            HttpRouteFilter::ResponseHeaderModifier(it) => filters.response = Some(modifier(it)?),
            HttpRouteFilter::RequestRedirect(it) => filters.redirect = Some(redirect(it)?),
            HttpRouteFilter::UrlRewrite(it) => {
                let hostname = it.hostname.as_deref().map(str::parse).transpose().map_err(say)?;
                filters.rewrite = Some(UrlRewrite { hostname, path: it.path.as_ref().map(path_modifier).transpose()? });
            }
            HttpRouteFilter::Cors(it) => filters.cors = Some(Cors::new(&cors(it)).map_err(say)?),
            // In the snapshot they are not filters any more.
            HttpRouteFilter::RequestMirror(_) => {}
            // What it leads to is the rule's policy.
            HttpRouteFilter::ExtensionRef(_) => {}
            HttpRouteFilter::Unsupported(name) => return Err(format!("the filter {name} is not supported")),
        }
    }
    Ok(filters)
}

fn cors(spec: &HttpCorsFilter) -> CorsConfig {
    CorsConfig {
        origins: spec.allow_origins.clone(),
        credentials: spec.allow_credentials == Some(true),
        methods: spec.allow_methods.iter().map(|it| it.as_str().to_owned()).collect(),
        headers: spec.allow_headers.clone(),
        expose: spec.expose_headers.clone(),
        max_age: spec.max_age,
    }
}

fn redirect(spec: &HttpRequestRedirect) -> Result<Redirect, String> {
    Ok(Redirect {
        scheme: spec.scheme.as_deref().map(str::parse).transpose().map_err(say)?,
        hostname: spec.hostname.as_deref().map(str::parse).transpose().map_err(say)?,
        path: spec.path.as_ref().map(path_modifier).transpose()?,
        port: spec.port.map(NonZeroU16::try_from).transpose().map_err(say)?,
        status: spec.status_code.map(RedirectStatus::try_from).transpose().map_err(say)?.unwrap_or_default(),
    })
}

fn modifier(spec: &HttpHeaderFilter) -> Result<HeaderModifier, String> {
    fn pairs(headers: &[HttpHeader]) -> impl Iterator<Item = (&str, &str)> {
        headers.iter().map(|header| (header.name.as_str(), header.value.as_str()))
    }
    HeaderModifier::new(pairs(&spec.set), pairs(&spec.add), spec.remove.iter().map(String::as_str)).map_err(say)
}

fn path_modifier(spec: &HttpPathModifier) -> Result<PathModifier, String> {
    match spec {
        HttpPathModifier::ReplaceFullPath(path) => PathModifier::full(path).map_err(say),
        HttpPathModifier::ReplacePrefixMatch(path) => PathModifier::prefix(path).map_err(say),
    }
}

fn timeouts(spec: Option<&HttpRouteTimeouts>) -> Timeouts {
    let Some(spec) = spec else { return Timeouts::default() };
    Timeouts { request: spec.request.map(Duration::from), backend: spec.backend_request.map(Duration::from) }
}

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Stands where a workload cannot answer, and says why.
struct Unavailable {
    name: String,
    cause: Cause,
    detail: String,
}

impl Backend for Unavailable {
    fn name(&self) -> &str {
        &self.name
    }

    fn call<'a>(&'a self, _: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        let error = Error::new(self.cause, self.detail.clone());
        let error = if self.cause == Cause::NotReady { error.retry_after(Duration::from_secs(1)) } else { error };
        Box::pin(async move { Err(error) })
    }
}
