//! Filters that redirect.

use ::http::Method;

use super::{
    OURS,
    ask::{Ask, ask, get},
    case::{Case, Front, Route},
    encrypted,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("HTTPRoute303Redirect", code(303), asked(303)),
        ("HTTPRoute307Redirect", code(307), asked(307)),
        ("HTTPRoute308Redirect", code(308), asked(308)),
        ("HTTPRouteRedirectHostAndStatus", HOST_AND_STATUS, host_and_status()),
        ("HTTPRouteRedirectPath", PATH, path()),
        ("HTTPRouteRedirectPort", PORT, port()),
        ("HTTPRouteRedirectScheme", SCHEME, scheme()),
    ]
    .into_iter()
    .map(|(name, redirects, asks)| Case::new(name).http(&format!("{}{OURS}", rules(redirects))).asks(asks))
    .collect();
    cases.push(port_and_scheme());
    cases
}

/// A path, and the fields of its redirect in flow style.
type Redirect = (&'static str, &'static str);

/// The redirect of the tests that are about one status each.
pub(crate) const fn code(status: u16) -> &'static [Redirect] {
    match status {
        303 => &[("/see-other", "statusCode: 303")],
        307 => &[("/temporary", "statusCode: 307")],
        _ => &[("/permanent", "statusCode: 308")],
    }
}

/// What comes of it.
pub(crate) fn asked(status: u16) -> Vec<Ask> {
    vec![match status {
        303 => ask(Method::POST, "/see-other").redirects(303, "http://conformance.example/see-other"),
        307 => get("/temporary").redirects(307, "http://conformance.example/temporary"),
        _ => get("/permanent").redirects(308, "http://conformance.example/permanent"),
    }]
}

pub(crate) fn rules(redirects: &[Redirect]) -> String {
    let rule = |(path, fields): &Redirect| {
        let filter = format!("{{type: RequestRedirect, requestRedirect: {{{fields}}}}}");
        format!("- matches: [{{path: {{value: {path}}}}}]\n  filters: [{filter}]\n")
    };
    redirects.iter().map(rule).collect()
}

pub(crate) const HOST_AND_STATUS: &[Redirect] =
    &[("/hostname-redirect", "hostname: example.org"), ("/host-and-status", "statusCode: 301, hostname: example.org")];

pub(crate) fn host_and_status() -> Vec<Ask> {
    vec![
        get("/hostname-redirect").redirects(302, "http://example.org/hostname-redirect"),
        get("/host-and-status").redirects(301, "http://example.org/host-and-status"),
    ]
}

pub(crate) const PATH: &[Redirect] = &[
    ("/original-prefix", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix}"),
    ("/full", "path: {type: ReplaceFullPath, replaceFullPath: /full-path-replacement}"),
    (
        "/path-and-host",
        "hostname: example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix}",
    ),
    ("/path-and-status", "statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix}"),
    ("/full-path-and-host", "hostname: example.org, path: {type: ReplaceFullPath, replaceFullPath: /replacement-full}"),
    ("/full-path-and-status", "statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /replacement-full}"),
];

pub(crate) fn path() -> Vec<Ask> {
    vec![
        get("/original-prefix/lemon").redirects(302, "http://conformance.example/replacement-prefix/lemon"),
        get("/full/path/original").redirects(302, "http://conformance.example/full-path-replacement"),
        get("/path-and-host").redirects(302, "http://example.org/replacement-prefix"),
        get("/path-and-status").redirects(301, "http://conformance.example/replacement-prefix"),
        get("/full-path-and-host").redirects(302, "http://example.org/replacement-full"),
        get("/full-path-and-status").redirects(301, "http://conformance.example/replacement-full"),
    ]
}

pub(crate) const PORT: &[Redirect] = &[
    ("/port", "port: 8083"),
    ("/port-and-host", "hostname: example.org, port: 8083"),
    ("/port-and-status", "port: 8083, statusCode: 301"),
    ("/port-and-host-and-status", "port: 8083, hostname: example.org, statusCode: 302"),
];

pub(crate) fn port() -> Vec<Ask> {
    vec![
        get("/port").redirects(302, "http://conformance.example:8083/port"),
        get("/port-and-host").redirects(302, "http://example.org:8083/port-and-host"),
        get("/port-and-status").redirects(301, "http://conformance.example:8083/port-and-status"),
        get("/port-and-host-and-status").redirects(302, "http://example.org:8083/port-and-host-and-status"),
    ]
}

pub(crate) const SCHEME: &[Redirect] = &[
    ("/scheme", "scheme: https"),
    ("/scheme-and-host", "hostname: example.org, scheme: https"),
    ("/scheme-and-status", "scheme: https, statusCode: 301"),
    ("/scheme-and-host-and-status", "scheme: https, statusCode: 302, hostname: example.org"),
];

pub(crate) fn scheme() -> Vec<Ask> {
    vec![
        get("/scheme").redirects(302, "https://conformance.example/scheme"),
        get("/scheme-and-host").redirects(302, "https://example.org/scheme-and-host"),
        get("/scheme-and-status").redirects(301, "https://conformance.example/scheme-and-status"),
        get("/scheme-and-host-and-status").redirects(302, "https://example.org/scheme-and-host-and-status"),
    ]
}

/// Ports that a redirect does not name: those of the Service on which it was asked.
fn port_and_scheme() -> Case {
    let on_80: &[Redirect] = &[
        ("/scheme-nil-and-port-nil", "hostname: example.org"),
        ("/scheme-nil-and-port-80", "hostname: example.org, port: 80"),
        ("/scheme-nil-and-port-8080", "hostname: example.org, port: 8080"),
        ("/scheme-https-and-port-nil", "hostname: example.org, scheme: https"),
        ("/scheme-https-and-port-443", "hostname: example.org, scheme: https, port: 443"),
        ("/scheme-https-and-port-8443", "hostname: example.org, scheme: https, port: 8443"),
    ];
    let on_8080: &[Redirect] = &[
        ("/scheme-nil-and-port-nil", "hostname: example.org"),
        ("/scheme-nil-and-port-80", "hostname: example.org, port: 80"),
        ("/scheme-https-and-port-nil", "hostname: example.org, scheme: https"),
    ];
    let on_443: &[Redirect] = &[
        ("/scheme-nil-and-port-nil", "hostname: example.org"),
        ("/scheme-nil-and-port-443", "hostname: example.org, port: 443"),
        ("/scheme-nil-and-port-8443", "hostname: example.org, port: 8443"),
        ("/scheme-http-and-port-nil", "hostname: example.org, scheme: http"),
        ("/scheme-http-and-port-80", "hostname: example.org, scheme: http, port: 80"),
        ("/scheme-http-and-port-8080", "hostname: example.org, scheme: http, port: 8080"),
    ];
    let route = |redirects, name: &'static str, parent| {
        Route::http(&format!("{}{OURS}", rules(redirects))).named(name).parents(&[(parent, "")])
    };
    let first = |path, location| get(path).redirects(302, location);
    let second = |path, location| get(path).to("8080").port(8080).redirects(302, location);
    let third = |path, location| get(path).to("443").host("example.org").tls("example.org").redirects(302, location);
    let secret = "runtime.wasmcloud.dev/tls-secrets: httprouteredirectportandscheme";
    let fronts = [
        Front::new(""),
        Front::new("8080").ports(&[("http", 8080, None)]),
        Front::new("443").ports(&[("https", 443, Some("https"))]).annotations(secret),
    ];
    Case::new("HTTPRouteRedirectPortAndScheme")
        .fronts(fronts)
        .ground(encrypted::secret("httprouteredirectportandscheme", "example.org"))
        .route(route(on_80, "80", ""))
        .route(route(on_8080, "8080", "8080"))
        .route(route(on_443, "443", "443"))
        .asks([
            first("/scheme-nil-and-port-nil", "http://example.org/scheme-nil-and-port-nil"),
            first("/scheme-nil-and-port-80", "http://example.org/scheme-nil-and-port-80"),
            first("/scheme-nil-and-port-8080", "http://example.org:8080/scheme-nil-and-port-8080"),
            first("/scheme-https-and-port-nil", "https://example.org/scheme-https-and-port-nil"),
            first("/scheme-https-and-port-443", "https://example.org/scheme-https-and-port-443"),
            first("/scheme-https-and-port-8443", "https://example.org:8443/scheme-https-and-port-8443"),
            second("/scheme-nil-and-port-nil", "http://example.org:8080/scheme-nil-and-port-nil"),
            second("/scheme-nil-and-port-80", "http://example.org/scheme-nil-and-port-80"),
            second("/scheme-https-and-port-nil", "https://example.org/scheme-https-and-port-nil"),
            third("/scheme-nil-and-port-nil", "https://example.org/scheme-nil-and-port-nil"),
            third("/scheme-nil-and-port-443", "https://example.org/scheme-nil-and-port-443"),
            third("/scheme-nil-and-port-8443", "https://example.org:8443/scheme-nil-and-port-8443"),
            third("/scheme-http-and-port-nil", "http://example.org/scheme-http-and-port-nil"),
            third("/scheme-http-and-port-80", "http://example.org/scheme-http-and-port-80"),
            third("/scheme-http-and-port-8080", "http://example.org:8080/scheme-http-and-port-8080"),
        ])
}
