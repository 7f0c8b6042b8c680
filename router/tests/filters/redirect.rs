//! Redirects: Gateway API's conformance cases, then the rules of its text on ports, paths and statuses.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use http::{Method, Request, StatusCode, request::Parts};
use penstock_router::{
    Cause,
    filter::{FilterError, Filters, Hostname, PathModifier, Redirect, RedirectStatus, Scheme},
    route::Matched,
};

fn request(target: &str, host: &str) -> Parts {
    Request::get(target).header("host", host).body(()).expect("a request").into_parts().0
}

/// As a manifest has it: scheme, hostname, port, status.
fn redirect(scheme: &str, hostname: &str, port: u16, status: u16) -> Redirect {
    Redirect {
        scheme: (!scheme.is_empty()).then(|| scheme.parse().expect("a scheme")),
        hostname: (!hostname.is_empty()).then(|| hostname.parse().expect("a hostname")),
        path: None,
        port: port.try_into().ok(),
        status: if status == 0 { RedirectStatus::default() } else { status.try_into().expect("a status") },
    }
}

fn full(path: &str) -> Option<PathModifier> {
    Some(PathModifier::full(path).expect("a path"))
}

fn prefix(path: &str) -> Option<PathModifier> {
    Some(PathModifier::prefix(path).expect("a path"))
}

fn answer(redirect: Redirect, parts: &Parts, matched: &Matched, tls: bool, port: u16) -> (u16, String) {
    let filters = Filters { redirect: Some(redirect), ..Filters::default() };
    let response = filters.redirect(parts, matched, tls, port).expect("a redirect").expect("a location");
    let location = response.headers()["location"].to_str().expect("text").to_owned();
    (response.status().as_u16(), location)
}

#[test]
fn host_status_scheme_and_port() {
    let table = [
        ("redirect-host-and-status: hostname", redirect("", "example.org", 0, 0), 302, "http://example.org/p"),
        ("redirect-host-and-status: both", redirect("", "example.org", 0, 301), 301, "http://example.org/p"),
        ("redirect-port: port", redirect("", "", 8083, 0), 302, "http://asked.example:8083/p"),
        ("redirect-port: and host", redirect("", "example.org", 8083, 0), 302, "http://example.org:8083/p"),
        ("redirect-port: and status", redirect("", "", 8083, 301), 301, "http://asked.example:8083/p"),
        ("redirect-port: host and status", redirect("", "example.org", 8083, 302), 302, "http://example.org:8083/p"),
        ("redirect-scheme: scheme", redirect("https", "", 0, 0), 302, "https://asked.example/p"),
        ("redirect-scheme: and host", redirect("https", "example.org", 0, 0), 302, "https://example.org/p"),
        ("redirect-scheme: and status", redirect("https", "", 0, 301), 301, "https://asked.example/p"),
        ("redirect-scheme: host and status", redirect("https", "example.org", 0, 302), 302, "https://example.org/p"),
    ];
    for (name, redirect, status, location) in table {
        let matched = Matched::Prefix("/p".to_owned());
        let answer = answer(redirect, &request("/p", "asked.example"), &matched, false, 80);
        assert_eq!(answer, (status, location.to_owned()), "{name}");
    }
}

#[test]
fn port_and_scheme() {
    let table = [
        ("on 80: scheme nil, port nil", (false, 80), ("", 0), "http://example.org/p"),
        ("on 80: scheme nil, port 80", (false, 80), ("", 80), "http://example.org/p"),
        ("on 80: scheme nil, port 8080", (false, 80), ("", 8080), "http://example.org:8080/p"),
        ("on 80: scheme https, port nil", (false, 80), ("https", 0), "https://example.org/p"),
        ("on 80: scheme https, port 443", (false, 80), ("https", 443), "https://example.org/p"),
        ("on 80: scheme https, port 8443", (false, 80), ("https", 8443), "https://example.org:8443/p"),
        ("on 8080: scheme nil, port nil", (false, 8080), ("", 0), "http://example.org:8080/p"),
        ("on 8080: scheme nil, port 80", (false, 8080), ("", 80), "http://example.org/p"),
        ("on 8080: scheme https, port nil", (false, 8080), ("https", 0), "https://example.org/p"),
        ("on 443: scheme nil, port nil", (true, 443), ("", 0), "https://example.org/p"),
        ("on 443: scheme nil, port 443", (true, 443), ("", 443), "https://example.org/p"),
        ("on 443: scheme nil, port 8443", (true, 443), ("", 8443), "https://example.org:8443/p"),
        ("on 443: scheme http, port nil", (true, 443), ("http", 0), "http://example.org/p"),
        ("on 443: scheme http, port 80", (true, 443), ("http", 80), "http://example.org/p"),
        ("on 443: scheme http, port 8080", (true, 443), ("http", 8080), "http://example.org:8080/p"),
        ("text: http on 443 is not implied", (false, 80), ("http", 443), "http://example.org:443/p"),
        ("text: https on 80 is not implied", (false, 80), ("https", 80), "https://example.org:80/p"),
        ("text: plain listener on 443", (false, 443), ("", 0), "http://example.org:443/p"),
        ("text: encrypted listener on 80", (true, 80), ("", 0), "https://example.org:80/p"),
        ("text: the same scheme names its own port", (false, 8080), ("http", 0), "http://example.org/p"),
    ];
    for (name, (tls, listener), (scheme, port), location) in table {
        let parts = request("/p", "whatever.example:9999");
        let redirect = redirect(scheme, "example.org", port, 0);
        assert_eq!(
            answer(redirect, &parts, &Matched::Exact, tls, listener).1,
            location,
            "redirect-port-and-scheme: {name}"
        );
    }
}

#[test]
fn paths() {
    let table = [
        (
            "prefix",
            "/original-prefix/lemon",
            "/original-prefix",
            "",
            0,
            prefix("/replacement-prefix"),
            "asked/replacement-prefix/lemon",
        ),
        ("full", "/full/path/original", "/full", "", 0, full("/full-path-replacement"), "asked/full-path-replacement"),
        (
            "host",
            "/path-and-host",
            "/path-and-host",
            "example.org",
            0,
            prefix("/replacement-prefix"),
            "example.org/replacement-prefix",
        ),
        (
            "status",
            "/path-and-status",
            "/path-and-status",
            "",
            301,
            prefix("/replacement-prefix"),
            "asked/replacement-prefix",
        ),
        (
            "full and host",
            "/full-path-and-host",
            "/full-path-and-host",
            "example.org",
            0,
            full("/replacement-full"),
            "example.org/replacement-full",
        ),
        (
            "full and status",
            "/full-path-and-status",
            "/full-path-and-status",
            "",
            301,
            full("/replacement-full"),
            "asked/replacement-full",
        ),
        ("the query stays", "/a/b?x=1&y=%20", "/a", "", 0, prefix("/z"), "asked/z/b?x=1&y=%20"),
        ("the query stays with a full path", "/a/b?x=1", "/a", "", 0, full("/z"), "asked/z?x=1"),
        ("an empty query stays", "/a?", "/a", "", 0, full("/z"), "asked/z?"),
        ("nothing modified", "/a/b?x", "/a", "", 0, None, "asked/a/b?x"),
        ("prefix taken away", "/a//evil.example", "/a", "", 0, prefix(""), "asked//evil.example"),
        ("no path", "*", "/", "", 0, None, "asked"),
    ];
    for (name, target, matched, hostname, status, path, location) in table {
        let redirect = Redirect { path, ..redirect("", hostname, 0, status) };
        let wanted = (if status == 0 { 302 } else { status }, format!("http://{location}"));
        let matched = Matched::Prefix(matched.to_owned());
        assert_eq!(answer(redirect, &request(target, "asked"), &matched, false, 80), wanted, "redirect-path: {name}");
    }
}

#[test]
fn statuses() {
    let table = [
        ("303-redirect", Method::POST, "/see-other", 303),
        ("307-redirect", Method::GET, "/temporary", 307),
        ("308-redirect", Method::GET, "/permanent", 308),
        ("redirect-host-and-status", Method::GET, "/moved", 301),
        ("redirect-scheme", Method::GET, "/found", 302),
    ];
    for (name, method, path, status) in table {
        let mut parts = request(path, "asked");
        parts.method = method;
        let wanted = (status, format!("http://asked{path}"));
        assert_eq!(answer(redirect("", "", 0, status), &parts, &Matched::Exact, false, 80), wanted, "{name}");
    }
    for status in [200, 300, 304, 305, 306, 309, 404] {
        assert_eq!(RedirectStatus::try_from(status), Err(FilterError::Status { status }));
    }
    assert_eq!(StatusCode::from(RedirectStatus::default()), StatusCode::FOUND);
}

#[test]
fn the_host_of_the_request() {
    let h2 = Request::get("http://authority.example:81/p").body(()).expect("a request").into_parts().0;
    let table = [
        ("without its port", request("/p", "a.example:8000"), "http://a.example/p"),
        ("an IPv4 address", request("/p", "10.0.0.1:8000"), "http://10.0.0.1/p"),
        ("an IPv6 address", request("/p", "[::1]:8000"), "http://[::1]/p"),
        ("HTTP/2 authority", h2, "http://authority.example/p"),
    ];
    for (name, parts, location) in table {
        assert_eq!(answer(Redirect::default(), &parts, &Matched::Exact, false, 80).1, location, "{name}");
    }
    let none = Request::get("/p").body(()).expect("a request").into_parts().0;
    for (name, parts) in [("none", none), ("empty", request("/p", "")), ("no host", request("/p", "a b"))] {
        let error = Redirect::default().response(&parts, None, false, 80).expect_err(name);
        assert_eq!(error.cause, Cause::Malformed, "{name}");
    }
}

#[test]
fn refuses_what_cannot_be() {
    for scheme in ["", "HTTP", "ftp", "https://"] {
        assert_eq!(scheme.parse::<Scheme>(), Err(FilterError::Scheme { scheme: scheme.to_owned() }));
    }
    let long = "a".repeat(64);
    let longer = ["abcdefg"; 32].join(".");
    for hostname in
        ["", "*.example.org", "a.example:80", "a..b", ".a", "a.", "-a", "a-", "a_b", "é", "a b", &long, &longer]
    {
        let wanted = FilterError::Hostname { hostname: hostname.to_owned() };
        assert_eq!(hostname.parse::<Hostname>(), Err(wanted), "{hostname}");
    }
    assert_eq!("A.Example".parse::<Hostname>().expect("valid").as_str(), "a.example");
}
