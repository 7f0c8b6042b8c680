//! What rules of HTTPRoutes and of `http.routes` have in common on their way into a snapshot.

use penstock_api::{
    manifest::ObjectKey,
    origin, reasons,
    route::{
        Fraction, HttpBackendRef, HttpCorsFilter, HttpRouteFilter, HttpRouteMatch, PathMatchType, SessionPersistence,
        ValueMatchType,
    },
    snapshot::RouteMirror,
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

/// The filters, or none if one of them cannot be as it is written: leaving it out could do harm, so such a rule answers with
/// 500 (Gateway API, `HTTPRouteFilter`). Mirrors and policies are not among them: see [`mirrors`] and [`super::policy`].
pub(super) fn filters(
    given: &[HttpRouteFilter],
    object: &ObjectKey,
    at: &str,
    findings: &mut Findings,
) -> Option<Vec<HttpRouteFilter>> {
    let mut fine = true;
    for (index, it) in given.iter().enumerate() {
        let trouble = match it {
            HttpRouteFilter::Unsupported(name) => Some((String::new(), format!("{name} is not supported yet"))),
            HttpRouteFilter::Cors(it) => cors(it),
            _ => None,
        };
        if let Some((field, message)) = trouble {
            let message = format!("{message}: its requests are answered with 500 until it is corrected");
            findings.error(object, format!("{at}.filters[{index}]{field}"), reasons::UNSUPPORTED_VALUE, message);
            fine = false;
        }
    }
    // What these lead to is said elsewhere.
    let own =
        |it: &&HttpRouteFilter| !matches!(it, HttpRouteFilter::RequestMirror(_) | HttpRouteFilter::ExtensionRef(_));
    fine.then(|| given.iter().filter(own).cloned().collect())
}

/// Where copies go, by whom `resolve` finds for a reference at a path. A mirror that is not valid is left out, and the rule
/// works without it (Gateway API, `HTTPRequestMirrorFilter.backendRef`).
pub(super) fn mirrors(
    given: &[HttpRouteFilter],
    at: &str,
    resolve: &mut dyn FnMut(HttpBackendRef, &str) -> Option<String>,
) -> Vec<RouteMirror> {
    let mut mirrors = Vec::new();
    for (index, it) in given.iter().enumerate() {
        let HttpRouteFilter::RequestMirror(it) = it else { continue };
        let at = format!("{at}.filters[{index}].requestMirror.backendRef");
        if let Some(deployment) = resolve(it.backend_ref.clone().into(), &at) {
            let Fraction { numerator, denominator } = it.part();
            mirrors.push(RouteMirror { deployment, numerator, denominator });
        }
    }
    mirrors
}

/// What hosts would refuse although Gateway API's definition lets it pass: a port that is none.
fn cors(it: &HttpCorsFilter) -> Option<(String, String)> {
    it.allow_origins.iter().enumerate().find_map(|(index, text)| {
        let error = origin::check(text).err()?;
        Some((format!(".cors.allowOrigins[{index}]"), format!("`{text}` is no origin, {error}")))
    })
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
