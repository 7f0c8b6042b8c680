//! CORS: every case of Gateway API's conformance test `HTTPRouteCORS`, then the rules of its text and of the Fetch standard.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use http::{HeaderMap, HeaderName, HeaderValue, Method, header::VARY};
use penstock_router::filter::{Cors, CorsConfig, FilterError, OriginPattern};
use proptest::prelude::*;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|it| (*it).to_owned()).collect()
}

fn cors(config: &CorsConfig) -> Cors {
    Cors::new(config).expect("a filter")
}

/// The rules of `httproute-cors.yaml`, by path.
fn rule(path: &str) -> Cors {
    let config = CorsConfig::default();
    cors(&match path {
        "/cors-1" => CorsConfig {
            origins: texts(&["https://www.foo.com", "https://*.bar.com"]),
            methods: texts(&["GET", "OPTIONS"]),
            headers: texts(&["x-header-1", "x-header-2"]),
            expose: texts(&["x-header-3", "x-header-4"]),
            credentials: true,
            max_age: 3600,
        },
        "/cors-2" => CorsConfig { origins: texts(&["https://www.foo.com"]), methods: texts(&["*"]), ..config },
        "/cors-wildcard-origin" => CorsConfig { origins: texts(&["*"]), methods: texts(&["PUT"]), ..config },
        path => CorsConfig {
            origins: texts(&["*"]),
            methods: texts(&["*"]),
            headers: texts(&["*"]),
            credentials: path == "/cors-wildcard-methods-headers",
            ..config
        },
    })
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    headers.iter().map(pair).collect()
}

/// The headers of the response, and whether it is the filter's own.
fn exchange(filter: &Cors, method: &str, asked: &[(&str, &str)], answered: &[(&str, &str)]) -> (HeaderMap, bool) {
    let asked = map(asked);
    match filter.preflight(&method.parse::<Method>().unwrap(), &asked) {
        Some(response) => {
            assert_eq!(response.status(), 200);
            (response.headers().clone(), true)
        }
        None => {
            let mut headers = map(answered);
            filter.answer(&asked).apply(&mut headers);
            (headers, false)
        }
    }
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

const ORIGIN: &str = "origin";
const METHOD: &str = "access-control-request-method";
const HEADERS: &str = "access-control-request-headers";
const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_METHODS: &str = "access-control-allow-methods";
const ALLOW_HEADERS: &str = "access-control-allow-headers";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";

#[test]
fn conformance() {
    // Its name there, the path, the method, the request's headers; the headers that the response has (one of the values) and
    // those that it has not.
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static [(&'static str, &'static [&'static str])],
        &'static [&'static str],
    );
    const BOTH: (&str, &str) = (HEADERS, "x-header-1, x-header-2");
    const ECHOED: &[&str] = &["x-header-1, x-header-2", "x-header-2, x-header-1"];
    const CORS_1: [(&str, &[&str]); 5] = [
        (ALLOW_METHODS, &["GET, OPTIONS", "OPTIONS, GET"]),
        (ALLOW_HEADERS, ECHOED),
        (EXPOSE, &["x-header-3, x-header-4", "x-header-4, x-header-3"]),
        (MAX_AGE, &["3600"]),
        (ALLOW_CREDENTIALS, &["true"]),
    ];
    let cases: [Case; 17] = [
        (
            "CORS preflight request from an exact matching origin should be allowed",
            "/cors-1",
            "OPTIONS",
            &[(ORIGIN, "https://www.foo.com"), (METHOD, "GET"), BOTH],
            &[(ALLOW_ORIGIN, &["https://www.foo.com"]), CORS_1[0], CORS_1[1], CORS_1[2], CORS_1[3], CORS_1[4]],
            &[],
        ),
        (
            "CORS preflight request from a wildcard matching origin should be allowed",
            "/cors-1",
            "OPTIONS",
            &[(ORIGIN, "https://www.bar.com"), (METHOD, "GET"), BOTH],
            &[(ALLOW_ORIGIN, &["https://www.bar.com"]), CORS_1[0], CORS_1[1], CORS_1[2], CORS_1[3], CORS_1[4]],
            &[],
        ),
        (
            "CORS preflight request from a wildcard matching any number of periods left to '*' should be allowed",
            "/cors-1",
            "OPTIONS",
            &[(ORIGIN, "https://xpto.www.bar.com"), (METHOD, "GET"), BOTH],
            &[(ALLOW_ORIGIN, &["https://xpto.www.bar.com"]), CORS_1[0], CORS_1[1], CORS_1[2], CORS_1[3], CORS_1[4]],
            &[],
        ),
        (
            "CORS preflight request from a non-matching origin should not be allowed",
            "/cors-1",
            "OPTIONS",
            &[(ORIGIN, "https://foobar.com"), (METHOD, "GET")],
            &[],
            &[ALLOW_ORIGIN],
        ),
        (
            "Simple request from an exact matching origin should be allowed",
            "/cors-1",
            "GET",
            &[(ORIGIN, "https://www.foo.com"), (METHOD, "GET"), BOTH],
            &[(ALLOW_ORIGIN, &["https://www.foo.com"])],
            &[],
        ),
        (
            "Simple request from a wildcard matching origin should be allowed",
            "/cors-1",
            "GET",
            &[(ORIGIN, "https://www.bar.com"), (METHOD, "GET"), BOTH],
            &[(ALLOW_ORIGIN, &["https://www.bar.com"])],
            &[],
        ),
        (
            "Simple request from a non-matching origin should not be allowed",
            "/cors-1",
            "GET",
            &[(ORIGIN, "https://foobar.com"), (METHOD, "GET")],
            &[],
            &[ALLOW_ORIGIN],
        ),
        (
            "CORS preflight request with POST method should be allowed by allowMethods with wildcard",
            "/cors-2",
            "OPTIONS",
            &[(ORIGIN, "https://www.foo.com"), (METHOD, "POST")],
            &[(ALLOW_METHODS, &["POST", "*"]), (ALLOW_ORIGIN, &["https://www.foo.com"])],
            &[ALLOW_CREDENTIALS],
        ),
        (
            "CORS preflight request should not receive access-control-allow-credentials header without access-control-allow-credentials set to true",
            "/cors-2",
            "OPTIONS",
            &[(ORIGIN, "https://www.foo.com"), (METHOD, "POST")],
            &[],
            &[ALLOW_CREDENTIALS],
        ),
        (
            "CORS preflight request from a wildcard origin should return header with '*' or with the requested Origin",
            "/cors-wildcard-origin",
            "OPTIONS",
            &[(ORIGIN, "https://foobar.com"), (METHOD, "PUT")],
            &[(ALLOW_ORIGIN, &["https://foobar.com", "*"]), (ALLOW_METHODS, &["PUT"])],
            &[ALLOW_CREDENTIALS],
        ),
        (
            "CORS preflight request from a wildcard origin containing a port should return header with '*' or with the requested Origin",
            "/cors-wildcard-origin",
            "OPTIONS",
            &[(ORIGIN, "https://foobar.com:12345"), (METHOD, "PUT")],
            &[(ALLOW_ORIGIN, &["https://foobar.com:12345", "*"]), (ALLOW_METHODS, &["PUT"])],
            &[ALLOW_CREDENTIALS],
        ),
        (
            "Request from a wildcard origin containing a port should return header with '*' or with the requested Origin",
            "/cors-wildcard-origin",
            "PUT",
            &[(ORIGIN, "https://foobar.com:12345")],
            &[(ALLOW_ORIGIN, &["https://foobar.com:12345", "*"])],
            &[],
        ),
        (
            "Simple request from a wildcard origin should return header with '*' or with the requested Origin",
            "/cors-wildcard-origin",
            "PUT",
            &[(ORIGIN, "https://foobar.com")],
            &[(ALLOW_ORIGIN, &["https://foobar.com", "*"])],
            &[ALLOW_CREDENTIALS],
        ),
        (
            "CORS preflight request requesting specific method and headers should be allowed and always echo the origin with allowCredentials set to true",
            "/cors-wildcard-methods-headers",
            "OPTIONS",
            &[(ORIGIN, "https://other.foo.com"), (METHOD, "PUT"), BOTH],
            &[
                (ALLOW_ORIGIN, &["https://other.foo.com"]),
                (ALLOW_METHODS, &["PUT"]),
                (ALLOW_HEADERS, ECHOED),
                (ALLOW_CREDENTIALS, &["true"]),
            ],
            &[],
        ),
        (
            "CORS preflight request requesting specific method and headers should hide access-control-allow-credentials headers with allowCredentials set to false",
            "/cors-wildcard-methods-headers-unauth",
            "OPTIONS",
            &[(ORIGIN, "https://other.foo.com"), (METHOD, "PUT"), BOTH],
            &[
                (ALLOW_ORIGIN, &["https://other.foo.com", "*"]),
                (ALLOW_METHODS, &["PUT", "*"]),
                (ALLOW_HEADERS, &["x-header-1, x-header-2", "x-header-2, x-header-1", "*"]),
            ],
            &[ALLOW_CREDENTIALS],
        ),
        (
            "CORS request should receive access-control-allow-credentials header with allowCredentials set to true",
            "/cors-wildcard-methods-headers",
            "GET",
            &[(ORIGIN, "https://other.foo.com")],
            &[(ALLOW_ORIGIN, &["https://other.foo.com"]), (ALLOW_CREDENTIALS, &["true"])],
            &[],
        ),
        (
            "CORS request should not receive access-control-allow-credentials header without allowCredentials set to true",
            "/cors-wildcard-methods-headers-unauth",
            "GET",
            &[(ORIGIN, "https://other.foo.com")],
            &[(ALLOW_ORIGIN, &["https://other.foo.com", "*"])],
            &[ALLOW_CREDENTIALS],
        ),
    ];
    for (name, path, method, asked, present, absent) in cases {
        let (headers, own) = exchange(&rule(path), method, asked, &[]);
        assert_eq!(own, method == "OPTIONS", "{name}");
        for (header, values) in present {
            let got = value(&headers, header).unwrap_or_else(|| panic!("{name}: no {header} in {headers:?}"));
            assert!(values.contains(&got), "{name}: {header}: {got}");
        }
        for header in absent {
            assert_eq!(value(&headers, header), None, "{name}: {header}");
        }
    }
}

#[test]
fn only_a_preflight_is_answered() {
    let filter = rule("/cors-1");
    for (name, method, asked, own) in [
        ("a preflight", "OPTIONS", &[(ORIGIN, "https://www.foo.com"), (METHOD, "PUT")][..], true),
        ("of somebody else", "OPTIONS", &[(ORIGIN, "https://foo.com"), (METHOD, "PUT")], true),
        ("of no place", "OPTIONS", &[(ORIGIN, "null"), (METHOD, "PUT")], true),
        ("without the method", "OPTIONS", &[(ORIGIN, "https://www.foo.com")], false),
        ("without the origin", "OPTIONS", &[(METHOD, "PUT")], false),
        ("another method", "GET", &[(ORIGIN, "https://www.foo.com"), (METHOD, "PUT")], false),
        ("another case", "options", &[(ORIGIN, "https://www.foo.com"), (METHOD, "PUT")], false),
    ] {
        assert_eq!(exchange(&filter, method, asked, &[]).1, own, "{name}");
    }
}

#[test]
fn an_origin_that_is_not_allowed_is_told_nothing() {
    let filter = rule("/cors-1");
    for origin in ["https://foo.com", "http://www.foo.com", "https://bar.com", "null", ""] {
        for method in ["OPTIONS", "GET"] {
            let (headers, _) = exchange(&filter, method, &[(ORIGIN, origin), (METHOD, "GET")], &[(ALLOW_ORIGIN, "*")]);
            assert_eq!(headers.keys().collect::<Vec<_>>(), ["vary"], "{method} {origin}");
        }
    }
    // Nor is one of two that are named.
    let two = [(ORIGIN, "https://www.foo.com"), (ORIGIN, "https://www.foo.com")];
    assert_eq!(exchange(&filter, "GET", &two, &[]).0.keys().collect::<Vec<_>>(), ["vary"]);
    // Without origins, nothing is allowed.
    let (headers, own) =
        exchange(&cors(&CorsConfig::default()), "OPTIONS", &[(ORIGIN, "https://a"), (METHOD, "GET")], &[]);
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["vary"]);
    assert!(own);
}

#[test]
fn what_a_backend_says_of_it_is_replaced() {
    let said = [
        (ALLOW_ORIGIN, "*"),
        (ALLOW_ORIGIN, "https://evil.example"),
        (ALLOW_CREDENTIALS, "true"),
        (ALLOW_METHODS, "*"),
        (ALLOW_HEADERS, "*"),
        (EXPOSE, "*"),
        (MAX_AGE, "86400"),
        ("x-other", "stays"),
    ];
    let (headers, _) = exchange(&rule("/cors-2"), "GET", &[(ORIGIN, "https://www.foo.com")], &said);
    assert_eq!(headers.get_all(ALLOW_ORIGIN).iter().collect::<Vec<_>>(), ["https://www.foo.com"]);
    assert_eq!(value(&headers, "x-other"), Some("stays"));
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, [ALLOW_ORIGIN, "vary", "x-other"]);
}

#[test]
fn caches_are_told_what_the_answer_depends_on() {
    const FOO: (&str, &str) = (ORIGIN, "https://www.foo.com");
    let all = |headers: &HeaderMap| -> Vec<String> {
        headers.get_all(VARY).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    for (name, path, asked, answered, vary) in [
        ("allowed", "/cors-1", &[FOO][..], "", &["origin"][..]),
        ("not allowed", "/cors-1", &[(ORIGIN, "https://no")], "", &["origin"]),
        ("none asks, the next one may", "/cors-1", &[], "", &["origin"]),
        ("beside what the backend says", "/cors-1", &[FOO], "accept", &["accept", "origin"]),
        ("the backend says so already", "/cors-1", &[FOO], "accept, Origin", &["accept, Origin"]),
        ("the backend says everything", "/cors-1", &[FOO], "*", &["*"]),
        ("always the same", "/cors-wildcard-origin", &[FOO], "", &[]),
        ("always the same, whoever asks", "/cors-wildcard-origin", &[], "", &[]),
        ("every origin, by name", "/cors-wildcard-methods-headers", &[FOO], "", &["origin"]),
    ] {
        let answered = [("vary", answered)];
        let answered = if answered[0].1.is_empty() { &[][..] } else { &answered };
        assert_eq!(all(&exchange(&rule(path), "GET", asked, answered).0), vary, "{name}");
    }
    let preflight = [FOO, (METHOD, "PUT"), (HEADERS, "x-a")];
    let (headers, _) = exchange(&rule("/cors-wildcard-methods-headers-unauth"), "OPTIONS", &preflight, &[]);
    assert_eq!(all(&headers), ["access-control-request-method", "access-control-request-headers"]);
    // `*` is sent to everybody, or a cache would give what it has from others to those who ask.
    assert_eq!(value(&exchange(&rule("/cors-wildcard-origin"), "GET", &[], &[]).0, ALLOW_ORIGIN), Some("*"));
}

#[test]
fn exposed_headers() {
    const ASKED: [(&str, &str); 1] = [(ORIGIN, "https://a.example")];
    const ANSWERED: [(&str, &str); 3] = [("x-one", "1"), ("set-cookie", "a=b"), ("x-two", "2")];
    for (name, expose, credentials, wanted) in [
        ("none", &[][..], true, None),
        ("some", &["x-one", "X-Three"], true, Some("x-one, X-Three")),
        ("all", &["*"], false, Some("*")),
        ("all and more", &["x-one", "*"], false, Some("*")),
        // A literal `*` would be the name of a header then. What the filter itself adds is not for scripts.
        ("all, with credentials", &["*"], true, Some("x-one, x-two")),
    ] {
        let config = CorsConfig { origins: texts(&["*"]), expose: texts(expose), credentials, ..CorsConfig::default() };
        assert_eq!(value(&exchange(&cors(&config), "GET", &ASKED, &ANSWERED).0, EXPOSE), wanted, "{name}");
    }
}

#[test]
fn preflights_of_wildcards_are_told_what_they_ask_for() {
    const FOO: (&str, &str) = (ORIGIN, "https://www.foo.com");
    for path in ["/cors-wildcard-methods-headers", "/cors-wildcard-methods-headers-unauth"] {
        let asked = [FOO, (METHOD, "DELETE"), (HEADERS, "authorization"), (HEADERS, "x-a")];
        let (headers, _) = exchange(&rule(path), "OPTIONS", &asked, &[]);
        assert_eq!(value(&headers, ALLOW_METHODS), Some("DELETE"), "{path}");
        assert_eq!(headers.get_all(ALLOW_HEADERS).iter().collect::<Vec<_>>(), ["authorization", "x-a"], "{path}");
        assert_eq!(value(&headers, MAX_AGE), Some("5"), "{path}: the default");
        let (headers, _) = exchange(&rule(path), "OPTIONS", &asked[..2], &[]);
        assert_eq!(value(&headers, ALLOW_HEADERS), None, "{path}");
    }
    // A method that is not in the list is the browser's to refuse.
    let (headers, _) = exchange(&rule("/cors-1"), "OPTIONS", &[FOO, (METHOD, "DELETE")], &[]);
    assert_eq!(value(&headers, ALLOW_METHODS), Some("GET, OPTIONS"));
}

#[test]
fn origins() {
    for (pattern, origin, allowed) in [
        ("https://a.example", "https://a.example", true),
        ("https://a.example", "https://A.Example", true),
        ("https://A.example", "https://a.example", true),
        ("https://a.example", "http://a.example", false),
        ("https://a.example", "https://b.a.example", false),
        ("https://a.example", "https://a.example.evil", false),
        // "If not included, port 80 is assumed for http scheme origins, and port 443 for https origins."
        ("https://a.example", "https://a.example:443", true),
        ("https://a.example:443", "https://a.example", true),
        ("http://a.example:80", "http://a.example", true),
        ("http://a.example:443", "http://a.example", false),
        ("https://a.example", "https://a.example:8443", false),
        ("https://a.example:8443", "https://a.example:8443", true),
        ("https://a.example:8443", "https://a.example", false),
        // "A greedy match to the left, including any number of DNS labels."
        ("https://*.a.example", "https://b.a.example", true),
        ("https://*.a.example", "https://c.b.a.example", true),
        ("https://*.a.example", "https://B.A.EXAMPLE", true),
        ("https://*.a.example", "https://a.example", false),
        ("https://*.a.example", "https://.a.example", false),
        ("https://*.a.example", "https://ba.example", false),
        ("https://*.a.example", "https://b.a.example:8443", false),
        ("https://*.a.example:8443", "https://b.a.example:8443", true),
        // What only looks like a host at its end.
        ("https://*.a.example", "https://evil.example/.a.example", false),
        ("https://*.a.example", "https://evil.example#.a.example", false),
        ("https://*.a.example", "https://evil.example?.a.example", false),
        ("https://*.a.example", "https://evil.example\\.a.example", false),
        ("https://*.a.example", "https://user@b.a.example", false),
        ("https://*.a.example", "https://evil.example:1 .a.example", false),
        ("https://*.a.example", "https://evil.example, https://b.a.example", false),
        // "A wildcard by itself matches all hosts."
        ("https://*", "https://anything.example", true),
        ("https://*", "https://[::1]", true),
        ("https://*", "https://anything.example:8443", false),
        ("http://*:3000", "http://127.0.0.1:3000", true),
        ("http://*:3000", "http://[::1]:3000", true),
        ("https://*", "https://", false),
        ("https://*", "null", false),
        ("https://*", "https://::1", false),
        ("https://*", "https://a.example:", false),
        ("https://*", "https://a.example:0", false),
        ("https://*", "https://a.example:65536", false),
        ("https://*", "https://bücher.example", false),
    ] {
        let pattern: OriginPattern = pattern.parse().unwrap();
        assert_eq!(pattern.allows(origin), allowed, "{pattern:?} and {origin}");
    }
}

#[test]
fn what_cannot_be_written() {
    let refused = |config: CorsConfig| Cors::new(&config).expect_err("a refusal").to_string();
    let default = CorsConfig::default;
    for origin in
        ["", "null", "a.example", "ftp://a", "https://a/", "https://*a", "https://a.*", "https://**", "https://"]
    {
        let error = refused(CorsConfig { origins: texts(&[origin]), ..default() });
        assert!(error.starts_with(&format!("`{origin}` is not an origin")), "{error}");
    }
    for (field, config) in [
        ("allowOrigins", CorsConfig { origins: texts(&["https://a", "*"]), ..default() }),
        ("allowMethods", CorsConfig { methods: texts(&["*", "GET"]), ..default() }),
        ("allowHeaders", CorsConfig { headers: texts(&["*", "x-a"]), ..default() }),
    ] {
        assert_eq!(Cors::new(&config), Err(FilterError::WildcardNotAlone { field }));
    }
    assert!(refused(CorsConfig { methods: texts(&["GET, PUT"]), ..default() }).contains("is not a method"));
    assert!(refused(CorsConfig { headers: texts(&["x a"]), ..default() }).contains("is not a header name"));
    assert!(refused(CorsConfig { expose: texts(&["x\na"]), ..default() }).contains("is not a header name"));
}

fn label() -> impl Strategy<Value = String> {
    "[a-c]{1,2}"
}

/// A host of few letters, so that many fit.
fn labels() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(label(), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Wildcards as Gateway API's text has them, label by label.
    #[test]
    fn a_wildcard_takes_one_label_or_more(
        suffix in labels(), host in labels(), secure in any::<[bool; 2]>(), port in any::<[bool; 2]>(),
    ) {
        let scheme = |secure: bool| if secure { "https" } else { "http" };
        let at = |port: bool| if port { ":8080" } else { "" };
        let pattern = format!("{}://*.{}{}", scheme(secure[0]), suffix.join("."), at(port[0]));
        let origin = format!("{}://{}{}", scheme(secure[1]), host.join("."), at(port[1]));
        let below = host.len() > suffix.len() && host[host.len() - suffix.len()..] == suffix[..];
        let wanted = below && secure[0] == secure[1] && port[0] == port[1];
        prop_assert_eq!(pattern.parse::<OriginPattern>().unwrap().allows(&origin), wanted, "{} and {}", pattern, origin);
    }

    /// Whatever a browser or somebody else sends: no panic, and what is allowed ends in the suffix after a real label.
    #[test]
    fn any_text_is_an_origin_or_none(origin in "(https?://)?[a-z.:@/#\\\\*\\[\\] é]{0,12}(\\.a\\.example)?(:[0-9]{0,6})?") {
        let pattern: OriginPattern = "https://*.a.example".parse().unwrap();
        if pattern.allows(&origin) {
            let host = origin.strip_prefix("https://").unwrap();
            let host = host.strip_suffix(":443").unwrap_or(host).strip_suffix(".a.example").unwrap();
            prop_assert!(!host.is_empty() && !host.contains(['/', '@', '#', '\\', ' ', 'é']), "{}", origin);
        }
    }

    /// What an origin is allowed by itself it is not by another: an exact pattern allows only its own.
    #[test]
    fn an_exact_origin_allows_only_itself(ours in labels(), theirs in labels()) {
        let (ours, theirs) = (ours.join("."), theirs.join("."));
        let pattern: OriginPattern = format!("https://{ours}").parse().unwrap();
        prop_assert_eq!(pattern.allows(&format!("https://{theirs}")), ours == theirs);
    }
}
