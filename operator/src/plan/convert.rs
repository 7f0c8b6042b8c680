//! What rules of HTTPRoutes and of `http.routes` have in common on their way into a snapshot.

use penstock_api::{
    manifest::ObjectKey,
    reasons,
    route::{HttpRouteFilter, HttpRouteMatch, PathMatchType, SessionPersistence, ValueMatchType},
};
use penstock_router::{
    Sessions,
    route::{PathMatch, RegexMatch},
};

use super::Findings;

/// The matches that the router understands. None if there were some and none is left: then the rule matches nothing.
pub(super) fn matches(
    given: &[HttpRouteMatch],
    object: &ObjectKey,
    at: &str,
    findings: &mut Findings,
) -> Option<Vec<HttpRouteMatch>> {
    let mut kept = Vec::new();
    for (index, it) in given.iter().enumerate() {
        match trouble(it) {
            None => kept.push(it.clone()),
            Some((field, message)) => {
                let path = format!("{at}.matches[{index}].{field}");
                findings.error(object, path, reasons::UNSUPPORTED_VALUE, message);
            }
        }
    }
    (given.is_empty() || !kept.is_empty()).then_some(kept)
}

/// The field that the router would refuse, and why.
fn trouble(it: &HttpRouteMatch) -> Option<(String, String)> {
    if let Some(path) = &it.path {
        let compiled = match path.r#type {
            PathMatchType::Exact => PathMatch::exact(&path.value),
            PathMatchType::PathPrefix => PathMatch::prefix(&path.value),
            PathMatchType::RegularExpression => PathMatch::regex(&path.value),
        };
        if let Err(error) = compiled {
            return Some(("path.value".to_owned(), error.to_string()));
        }
    }
    let headers = it.headers.iter().enumerate().map(|(index, it)| (format!("headers[{index}]"), it.r#type, &it.value));
    let query = it.query_params.iter().enumerate();
    let query = query.map(|(index, it)| (format!("queryParams[{index}]"), it.r#type, &it.value));
    for (field, kind, value) in headers.chain(query) {
        if kind == ValueMatchType::RegularExpression
            && let Err(error) = RegexMatch::new(value.as_str())
        {
            return Some((format!("{field}.value"), error.to_string()));
        }
    }
    None
}

/// The filters, or none if one of them is not supported: leaving it out could do harm, so such a rule answers with 500
/// (Gateway API, `HTTPRouteFilter`).
pub(super) fn filters(
    given: &[HttpRouteFilter],
    object: &ObjectKey,
    at: &str,
    findings: &mut Findings,
) -> Option<Vec<HttpRouteFilter>> {
    for (index, it) in given.iter().enumerate() {
        if let HttpRouteFilter::Unsupported(name) = it {
            let message =
                format!("{name} is not supported yet: its requests are answered with 500 until it is removed");
            findings.error(object, format!("{at}.filters[{index}]"), reasons::UNSUPPORTED_VALUE, message);
        }
    }
    let supported = |it: &HttpRouteFilter| !matches!(it, HttpRouteFilter::Unsupported(_));
    given.iter().all(supported).then(|| given.to_vec())
}

/// The sessions, unless no client could carry them: the rule works without them, as without a field of a newer Gateway API.
pub(super) fn session(
    given: Option<&SessionPersistence>,
    object: &ObjectKey,
    at: &str,
    findings: &mut Findings,
) -> Option<SessionPersistence> {
    let given = given?;
    if let Some(Err(error)) = given.session_name.as_deref().map(Sessions::check_name) {
        let path = format!("{at}.sessionPersistence.sessionName");
        findings.warn(object, path, reasons::UNSUPPORTED_VALUE, format!("{error}; the rule keeps no sessions"));
        return None;
    }
    Some(given.clone())
}
