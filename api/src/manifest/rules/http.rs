//! Rules of HTTPRoutes and of `http.routes`, as Gateway API's own CEL has them.

use std::collections::BTreeSet;

use super::{super::diagnostic::Problem, cors, no_duplicates};
use crate::{
    hostname,
    route::{
        HttpBackendRef, HttpHeaderFilter, HttpPathModifier, HttpRequestMirror, HttpRequestRedirect, HttpRouteFilter,
        HttpRouteMatch, HttpRouteRetry, HttpRouteSpec, HttpRouteTimeouts, PathMatchType, SessionPersistence,
        SessionPersistenceType,
    },
    workload::HttpRule,
};

pub(super) fn check_route(spec: &HttpRouteSpec, problems: &mut Vec<Problem>) {
    hostnames(&spec.hostnames, "spec.hostnames", problems);
    rule_names(spec.rules.iter().map(|it| it.name.as_deref()), "spec.rules", problems);
    for (index, rule) in spec.rules.iter().enumerate() {
        let at = format!("spec.rules[{index}]");
        matches(&rule.matches, &at, problems);
        filters(&rule.filters, &rule.matches, &at, problems);
        timeouts(rule.timeouts.as_ref(), &at, problems);
        retry(rule.retry.as_ref(), &at, problems);
        session(rule.session_persistence.as_ref(), &at, problems);
        let redirects = rule.filters.iter().any(|it| matches!(it, HttpRouteFilter::RequestRedirect(_)));
        if redirects && !rule.backend_refs.is_empty() {
            let advice = "a redirect asks no backend: remove `backendRefs` or the filter";
            problems.push(Problem::error(format!("{at}.backendRefs"), "the rule redirects", advice));
        }
        for (place, backend) in rule.backend_refs.iter().enumerate() {
            filters(&backend.filters, &rule.matches, &format!("{at}.backendRefs[{place}]"), problems);
        }
    }
}

pub(super) fn check_rules(rules: &[HttpRule], components: &BTreeSet<&str>, at: &str, problems: &mut Vec<Problem>) {
    rule_names(rules.iter().map(|it| it.name.as_deref()), at, problems);
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("{at}[{index}]");
        hostnames(&rule.hostnames, &format!("{at}.hostnames"), problems);
        matches(&rule.matches, &at, problems);
        filters(&rule.filters, &rule.matches, &at, problems);
        timeouts(rule.timeouts.as_ref(), &at, problems);
        retry(rule.retry.as_ref(), &at, problems);
        if let Some(component) = rule.component.as_deref()
            && !components.contains(component)
        {
            let known = components.iter().copied().collect::<Vec<_>>().join(", ");
            let message = format!("there is no component `{component}`");
            problems.push(Problem::error(format!("{at}.component"), message, format!("the workload has {known}")));
        }
    }
}

pub(super) fn rule_names<'n>(names: impl Iterator<Item = Option<&'n str>>, at: &str, problems: &mut Vec<Problem>) {
    let named: Vec<(usize, &str)> = names.enumerate().filter_map(|(index, name)| Some((index, name?))).collect();
    no_duplicates(named.iter().map(|(_, name)| *name), problems, |place, name| {
        let index = named.get(place).map_or(place, |it| it.0);
        let path = format!("{at}[{index}].name");
        Problem::error(path, format!("there are two rules `{name}`"), "give each a name of its own")
    });
}

pub(super) fn hostnames(names: &[String], at: &str, problems: &mut Vec<Problem>) {
    for (index, name) in names.iter().enumerate() {
        if let Err(error) = hostname::check(name) {
            let message = format!("`{name}` is no hostname");
            problems.push(Problem::error(format!("{at}[{index}]"), message, error.to_string()));
        }
    }
}

fn matches(matches: &[HttpRouteMatch], at: &str, problems: &mut Vec<Problem>) {
    for (index, it) in matches.iter().enumerate() {
        let at = format!("{at}.matches[{index}]");
        if let Some(path) = &it.path
            && path.r#type != PathMatchType::RegularExpression
        {
            let value = &path.value;
            let trouble = if !value.starts_with('/') {
                Some("begin it with `/`")
            } else if ["//", "/./", "/../", "#"].iter().any(|it| value.contains(it))
                || value.ends_with("/.")
                || value.ends_with("/..")
            {
                Some("leave out `//`, `.`, `..` and `#`: paths are compared in their normal form")
            } else if ["%2f", "%2F"].iter().any(|it| value.contains(it)) {
                Some("write `/` instead of `%2F`")
            } else {
                None
            };
            if let Some(advice) = trouble {
                problems.push(Problem::error(format!("{at}.path.value"), format!("`{value}` is no path"), advice));
            }
        }
        for (place, header) in it.headers.iter().enumerate() {
            header_name(&header.name, &format!("{at}.headers[{place}].name"), problems);
        }
    }
}

pub(super) fn header_name(name: &str, at: &str, problems: &mut Vec<Problem>) {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        let advice = "use letters, digits and `-`";
        problems.push(Problem::error(at, format!("{name:?} is no name of a header"), advice));
    }
}

pub(super) fn filters(filters: &[HttpRouteFilter], matches: &[HttpRouteMatch], at: &str, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, filter) in filters.iter().enumerate() {
        let at = format!("{at}.filters[{index}]");
        let name = filter.type_name();
        if !seen.insert(name) && !matches!(name, "RequestMirror" | "ExtensionRef") {
            problems.push(Problem::error(&at, format!("there are two {name} filters"), "merge them"));
        }
        match filter {
            HttpRouteFilter::RequestHeaderModifier(it) | HttpRouteFilter::ResponseHeaderModifier(it) => {
                let field = if name.starts_with("Req") { "requestHeaderModifier" } else { "responseHeaderModifier" };
                headers(it, &format!("{at}.{field}"), problems);
            }
            HttpRouteFilter::RequestRedirect(it) => {
                redirect(it, &format!("{at}.requestRedirect"), problems);
                new_path(it.path.as_ref(), matches, &format!("{at}.requestRedirect.path"), problems);
            }
            HttpRouteFilter::UrlRewrite(it) => {
                precise(it.hostname.as_deref(), &format!("{at}.urlRewrite.hostname"), problems);
                new_path(it.path.as_ref(), matches, &format!("{at}.urlRewrite.path"), problems);
            }
            HttpRouteFilter::Cors(it) => cors::check(it, &format!("{at}.cors"), problems),
            HttpRouteFilter::RequestMirror(it) => mirror(it, &format!("{at}.requestMirror"), problems),
            // Whether it leads anywhere is for the plan to say, which knows the objects.
            HttpRouteFilter::ExtensionRef(_) => {}
            HttpRouteFilter::Unsupported(name) => {
                let advice = "requests of this rule are answered with 500 until it is removed".to_owned();
                problems.push(Problem::warning(at, format!("{name} is not supported yet"), Some(advice)));
            }
        }
    }
    if seen.contains("RequestRedirect") && seen.contains("URLRewrite") {
        let advice = "keep one of them";
        problems.push(Problem::error(format!("{at}.filters"), "a rule either redirects or rewrites", advice));
    }
}

fn headers(filter: &HttpHeaderFilter, at: &str, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    let set = filter.set.iter().enumerate().map(|(index, it)| (format!("{at}.set[{index}].name"), &it.name));
    let add = filter.add.iter().enumerate().map(|(index, it)| (format!("{at}.add[{index}].name"), &it.name));
    let remove = filter.remove.iter().enumerate().map(|(index, it)| (format!("{at}.remove[{index}]"), it));
    for (path, name) in set.chain(add).chain(remove) {
        header_name(name, &path, problems);
        if !seen.insert(name.to_ascii_lowercase()) {
            problems.push(Problem::warning(path, format!("`{name}` is named more than once"), None));
        }
    }
}

fn redirect(redirect: &HttpRequestRedirect, at: &str, problems: &mut Vec<Problem>) {
    precise(redirect.hostname.as_deref(), &format!("{at}.hostname"), problems);
    if let Some(scheme) = redirect.scheme.as_deref()
        && !matches!(scheme, "http" | "https")
    {
        let path = format!("{at}.scheme");
        problems.push(Problem::error(path, format!("`{scheme}` is not allowed"), "write http or https"));
    }
    if let Some(code) = redirect.status_code
        && !matches!(code, 301 | 302 | 303 | 307 | 308)
    {
        let path = format!("{at}.statusCode");
        problems.push(Problem::error(path, format!("{code} is no redirect"), "write 301, 302, 303, 307 or 308"));
    }
}

fn mirror(mirror: &HttpRequestMirror, at: &str, problems: &mut Vec<Problem>) {
    if mirror.percent.is_some() && mirror.fraction.is_some() {
        let advice = "remove one of them";
        problems.push(Problem::error(at, "`percent` and `fraction` say the same in two ways", advice));
    }
    if let Some(it) = mirror.fraction
        && it.numerator > it.denominator
    {
        let advice = "make the numerator at most the denominator";
        problems.push(Problem::error(format!("{at}.fraction"), "more than all requests", advice));
    }
    if !HttpBackendRef::from(mirror.backend_ref.clone()).is_workload() {
        let advice = "write `group: runtime.wasmcloud.dev` and `kind: WorkloadDeployment`".to_owned();
        problems.push(Problem::warning(format!("{at}.backendRef"), "copies go to workloads only", Some(advice)));
    }
}

fn precise(name: Option<&str>, at: &str, problems: &mut Vec<Problem>) {
    if let Some(name) = name
        && let Err(error) = hostname::check_precise(name)
    {
        problems.push(Problem::error(at, format!("`{name}` is no exact hostname"), error.to_string()));
    }
}

/// `ReplacePrefixMatch` needs to know the one prefix that it replaces.
fn new_path(path: Option<&HttpPathModifier>, matches: &[HttpRouteMatch], at: &str, problems: &mut Vec<Problem>) {
    let Some(HttpPathModifier::ReplacePrefixMatch(_)) = path else { return };
    let prefix = |it: &HttpRouteMatch| it.path.as_ref().is_none_or(|it| it.r#type == PathMatchType::PathPrefix);
    if matches.len() > 1 || !matches.iter().all(prefix) {
        let advice = "give the rule exactly one match, with a path of type PathPrefix";
        problems.push(Problem::error(at, "it is not clear which prefix is replaced", advice));
    }
}

fn timeouts(timeouts: Option<&HttpRouteTimeouts>, at: &str, problems: &mut Vec<Problem>) {
    if let Some(HttpRouteTimeouts { request: Some(whole), backend_request: Some(one) }) = timeouts
        && whole.as_millis() > 0
        && one > whole
    {
        let path = format!("{at}.timeouts.backendRequest");
        problems.push(Problem::error(path, format!("{one} is longer than request, {whole}"), "shorten it"));
    }
}

fn retry(retry: Option<&HttpRouteRetry>, at: &str, problems: &mut Vec<Problem>) {
    let codes = retry.map(|it| &*it.codes).unwrap_or_default();
    no_duplicates(codes.iter(), problems, |index, code| {
        let path = format!("{at}.retry.codes[{index}]");
        Problem::error(path, format!("{code} is there twice"), "remove one of them")
    });
}

pub(super) fn session(session: Option<&SessionPersistence>, at: &str, problems: &mut Vec<Problem>) {
    let Some(session) = session else { return };
    let at = format!("{at}.sessionPersistence");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if let Some(name) = &session.session_name
        && (name.is_empty() || !name.bytes().all(plain))
    {
        let message = format!("{name:?} is no name for a session");
        problems.push(Problem::error(format!("{at}.sessionName"), message, "use letters, digits, `-` and `_`"));
    }
    if session.is_permanent() && session.absolute_timeout.is_none() {
        let advice = "add it, or write `lifetimeType: Session`";
        problems.push(Problem::error(&at, "a permanent cookie says when it ends: absoluteTimeout is missing", advice));
    }
    if session.r#type == SessionPersistenceType::Header && session.cookie_config.is_some() {
        let advice = Some("remove it, or write `type: Cookie`".to_owned());
        problems.push(Problem::warning(format!("{at}.cookieConfig"), "the session is carried in a header", advice));
    }
}
