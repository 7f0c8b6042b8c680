//! The CORS filter. What it answers to a preflight request, no backend sees.

use ::http::Method;

use super::{
    ask::{Ask, ask, get},
    case::{Case, Route, V1},
};

const ORIGIN: &str = "access-control-allow-origin";
const METHODS: &str = "access-control-allow-methods";
const HEADERS: &str = "access-control-allow-headers";
const CREDENTIALS: &str = "access-control-allow-credentials";

pub(crate) fn cases() -> Vec<Case> {
    let route = |name, rules: &[(&str, &str)]| {
        let rule = |(path, cors): &(&str, &str)| {
            let filter = format!("{{type: CORS, cors: {{{cors}}}}}");
            format!("- matches: [{{path: {{value: {path}}}}}]\n  filters: [{filter}]\n  backendRefs: [{{$v1}}]\n")
        };
        Route::http(&rules.iter().map(rule).collect::<String>()).named(name)
    };
    let everything = "allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials";
    let (known, unknown) = (format!("{everything}: true"), format!("{everything}: false"));
    let case = Case::new("HTTPRouteCORS")
        .route(route("several", &[("/cors-1", SEVERAL)]))
        .route(route("methods", &[("/cors-2", "allowOrigins: ['https://www.foo.com'], allowMethods: ['*']")]))
        .route(route(
            "origin",
            &[("/cors-wildcard-origin", "allowOrigins: ['*'], allowMethods: [PUT], allowCredentials: false")],
        ))
        .route(route(
            "headers",
            &[("/cors-wildcard-methods-headers", &known), ("/cors-wildcard-methods-headers-unauth", &unknown)],
        ))
        .asks(several())
        .asks(any_method())
        .asks(any_origin())
        .asks(any_header());
    vec![case]
}

const SEVERAL: &str = "allowOrigins: ['https://www.foo.com', 'https://*.bar.com'], allowMethods: [GET, OPTIONS], \
    allowHeaders: [x-header-1, x-header-2], exposeHeaders: [x-header-3, x-header-4], allowCredentials: true, \
    maxAge: 3600";

/// A preflight request for a method, and perhaps for headers.
fn preflight(path: &'static str, origin: &'static str, method: &'static str) -> Ask {
    let headers = [("origin", origin), ("access-control-request-method", method)];
    ask(Method::OPTIONS, path).with(&headers).ends_here()
}

const WITH_HEADERS: (&str, &str) = ("access-control-request-headers", "x-header-1, x-header-2");
const BOTH: [&str; 2] = ["x-header-1,x-header-2", "x-header-2,x-header-1"];

fn from(path: &'static str, method: Method, origin: &'static str) -> Ask {
    ask(method, path).with(&[("origin", origin)]).from(V1)
}

fn several() -> Vec<Ask> {
    let mut asks = Vec::new();
    for origin in ["https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"] {
        let allowed = preflight("/cors-1", origin, "GET")
            .with(&[WITH_HEADERS])
            .statuses(&[200, 204])
            .answers(ORIGIN, &[origin])
            .answers(METHODS, &["GET,OPTIONS", "OPTIONS,GET"])
            .answers(HEADERS, &BOTH)
            .answers("access-control-expose-headers", &["x-header-3,x-header-4", "x-header-4,x-header-3"])
            .answers("access-control-max-age", &["3600"])
            .answers(CREDENTIALS, &["true"]);
        asks.push(allowed);
    }
    for origin in ["https://www.foo.com", "https://www.bar.com"] {
        asks.push(from("/cors-1", Method::GET, origin).answers(ORIGIN, &[origin]));
    }
    let foreign = "https://foobar.com";
    asks.push(preflight("/cors-1", foreign, "GET").statuses(&[200, 204, 403]).answers_no(ORIGIN));
    asks.push(get("/cors-1").with(&[("origin", foreign)]).answers_no(ORIGIN));
    asks
}

fn any_method() -> Vec<Ask> {
    let asked = preflight("/cors-2", "https://www.foo.com", "POST").statuses(&[200, 204]);
    vec![asked.answers(METHODS, &["POST", "*"]).answers(ORIGIN, &["https://www.foo.com"]).answers_no(CREDENTIALS)]
}

fn any_origin() -> Vec<Ask> {
    let path = "/cors-wildcard-origin";
    let mut asks = Vec::new();
    for origin in ["https://foobar.com", "https://foobar.com:12345"] {
        let asked = preflight(path, origin, "PUT").statuses(&[200, 204]).answers(METHODS, &["PUT"]);
        asks.push(asked.answers(ORIGIN, &[origin, "*"]).answers_no(CREDENTIALS));
        asks.push(from(path, Method::PUT, origin).answers(ORIGIN, &[origin, "*"]).answers_no(CREDENTIALS));
    }
    asks
}

fn any_header() -> Vec<Ask> {
    let origin = "https://other.foo.com";
    let (known, unknown) = ("/cors-wildcard-methods-headers", "/cors-wildcard-methods-headers-unauth");
    let asked = |path| preflight(path, origin, "PUT").with(&[WITH_HEADERS]).statuses(&[200, 204]);
    vec![
        // With credentials nothing may be a wildcard.
        asked(known)
            .answers(ORIGIN, &[origin])
            .answers(METHODS, &["PUT"])
            .answers(HEADERS, &BOTH)
            .answers(CREDENTIALS, &["true"]),
        asked(unknown)
            .answers(ORIGIN, &[origin, "*"])
            .answers(METHODS, &["PUT", "*"])
            .answers(HEADERS, &[BOTH[0], BOTH[1], "*"])
            .answers_no(CREDENTIALS),
        from(known, Method::GET, origin).answers(ORIGIN, &[origin]).answers(CREDENTIALS, &["true"]),
        from(unknown, Method::GET, origin).answers(ORIGIN, &[origin, "*"]).answers_no(CREDENTIALS),
    ]
}
