//! Rules of GRPCRoutes, as Gateway API's own CEL has them.

use super::{super::diagnostic::Problem, http};
use crate::route::{GrpcMethodMatch, GrpcRouteRule, GrpcRouteSpec, ValueMatchType};

pub(super) fn check_route(spec: &GrpcRouteSpec, problems: &mut Vec<Problem>) {
    http::hostnames(&spec.hostnames, "spec.hostnames", problems);
    http::rule_names(spec.rules.iter().map(|it| it.name.as_deref()), "spec.rules", problems);
    for (index, rule) in spec.rules.iter().enumerate() {
        check_rule(rule, &format!("spec.rules[{index}]"), problems);
    }
}

fn check_rule(rule: &GrpcRouteRule, at: &str, problems: &mut Vec<Problem>) {
    for (index, it) in rule.matches.iter().enumerate() {
        let at = format!("{at}.matches[{index}]");
        if let Some(method) = &it.method {
            check_method(method, &format!("{at}.method"), problems);
        }
        for (place, header) in it.headers.iter().enumerate() {
            http::header_name(&header.name, &format!("{at}.headers[{place}].name"), problems);
        }
    }
    let backends = rule.backend_refs.iter().enumerate();
    let lists = backends.map(|(index, it)| (format!("{at}.backendRefs[{index}]"), &it.filters));
    for (at, filters) in std::iter::once((at.to_owned(), &rule.filters)).chain(lists) {
        http::filters(filters, &[], &at, problems);
        for (index, it) in filters.iter().enumerate() {
            if matches!(it.type_name(), "RequestRedirect" | "URLRewrite" | "CORS" | "ExternalAuth") {
                let message = format!("a GRPCRoute has no filter {}", it.type_name());
                let advice = "remove it, or write an HTTPRoute";
                problems.push(Problem::error(format!("{at}.filters[{index}].type"), message, advice));
            }
        }
    }
    http::session(rule.session_persistence.as_ref(), at, problems);
}

fn check_method(it: &GrpcMethodMatch, at: &str, problems: &mut Vec<Problem>) {
    let given = |it: &Option<String>| it.clone().filter(|it| !it.is_empty());
    let (service, method) = (given(&it.service), given(&it.method));
    if service.is_none() && method.is_none() {
        let advice = "name a service, a method or both, or leave `method` out";
        problems.push(Problem::error(at, "it matches neither a service nor a method", advice));
    }
    if it.r#type == ValueMatchType::RegularExpression {
        return;
    }
    if let Some(service) = service.filter(|it| !it.strip_prefix('.').unwrap_or(it).split('.').all(is_identifier)) {
        let advice = "write its package and name, such as `helloworld.Greeter`";
        problems.push(Problem::error(format!("{at}.service"), format!("`{service}` is no service"), advice));
    }
    if let Some(method) = method.filter(|it| !is_identifier(it)) {
        let advice = "write its name alone, such as `SayHello`";
        problems.push(Problem::error(format!("{at}.method"), format!("`{method}` is no method"), advice));
    }
}

/// A protobuf identifier.
fn is_identifier(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
        && !text.starts_with(|it: char| it.is_ascii_digit())
        && !text.is_empty()
}
