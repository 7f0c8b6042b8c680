//! Rewrites: Gateway API's conformance cases, its table of prefixes and slashes, and where a request keeps its host.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use http::{Request, request::Parts};
use penstock_router::{
    Cause,
    filter::{FilterError, Filters, HeaderModifier, PathModifier, Redirect, UrlRewrite},
    route::Matched,
};

fn request(target: &str) -> Parts {
    Request::get(target).header("host", "rewrite.example").body(()).expect("a request").into_parts().0
}

fn path(modifier: PathModifier) -> Filters {
    Filters { rewrite: Some(UrlRewrite { hostname: None, path: Some(modifier) }), ..Filters::default() }
}

fn full(path: &str) -> PathModifier {
    PathModifier::full(path).expect("a path")
}

fn prefix(path: &str) -> PathModifier {
    PathModifier::prefix(path).expect("a path")
}

fn host(hostname: &str) -> UrlRewrite {
    UrlRewrite { hostname: Some(hostname.parse().expect("a hostname")), path: None }
}

fn matched(prefix: &str) -> Matched {
    Matched::Prefix(prefix.to_owned())
}

#[test]
fn prefixes_and_slashes() {
    // Request path, prefix match, replacement, modified path: the table in the text, then what follows from it.
    let table = [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo/bar", "/foo", "/", "/bar"),
        ("/foo", "/foo", "/xyz/", "/xyz"),
        ("/foo/", "/foo", "/xyz/", "/xyz/"),
        ("/foo", "/foo/", "/xyz", "/xyz"),
        ("/foo/bar/", "/foo", "/xyz", "/xyz/bar/"),
        ("/foo//bar", "/foo", "/xyz", "/xyz//bar"),
        ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/", "/", "/", "/"),
        ("/", "/", "", "/"),
        ("/foo/foo/bar", "/foo", "/a/b", "/a/b/foo/bar"),
        ("/foo/b%20r", "/foo", "/x%2Fz", "/x%2Fz/b%20r"),
    ];
    for (from, at, with, wanted) in table {
        for query in ["", "?", "?a=1&b=%2F"] {
            let mut parts = request(&format!("{from}{query}"));
            path(prefix(with)).apply_request(&mut parts, &matched(at)).expect(from);
            assert_eq!(parts.uri.to_string(), format!("{wanted}{query}"), "{from} at {at:?} with {with:?}");
        }
    }
}

#[test]
fn rewrite_path() {
    let table = [
        ("prefix", "/prefix/one/two", "/prefix/one", prefix("/one"), "/one/two"),
        ("prefix taken away", "/strip-prefix/three", "/strip-prefix", prefix("/"), "/three"),
        ("full", "/full/one/two", "/full/one", full("/one"), "/one"),
        ("backend: full", "/full/original", "/full", full("/rewritten-full"), "/rewritten-full"),
        ("backend: prefix", "/prefix/original", "/prefix", prefix("/rewritten-prefix"), "/rewritten-prefix/original"),
        ("the query stays", "/full/one?a=b", "/full/one", full("/one"), "/one?a=b"),
        ("no path to rewrite", "*", "/", full("/one"), "*"),
    ];
    for (name, target, at, modifier, wanted) in table {
        let mut parts = request(target);
        path(modifier).apply_request(&mut parts, &matched(at)).expect(name);
        assert_eq!(parts.uri.to_string(), wanted, "rewrite-path: {name}");
        assert_eq!(parts.headers["host"], "rewrite.example", "{name}: the host stays");
    }
}

fn modified_headers() -> Option<HeaderModifier> {
    let add = [("X-Header-Add", "header-val-1"), ("X-Header-Add-Append", "header-val-2")];
    HeaderModifier::new([("X-Header-Set", "set-overwrites-values")], add, ["X-Header-Remove"]).ok()
}

#[test]
fn rewrite_and_modify_headers() {
    let table = [
        (
            "full",
            "/full/rewrite-path-and-modify-headers/test",
            "/full/rewrite-path-and-modify-headers",
            path(full("/test")),
            "/test",
            "rewrite.example",
        ),
        (
            "prefix",
            "/prefix/rewrite-path-and-modify-headers/one",
            "/prefix/rewrite-path-and-modify-headers",
            path(prefix("/prefix")),
            "/prefix/one",
            "rewrite.example",
        ),
        (
            "host",
            "/rewrite-host-and-modify-headers",
            "/rewrite-host-and-modify-headers",
            Filters { rewrite: Some(host("test.example.org")), ..Filters::default() },
            "/rewrite-host-and-modify-headers",
            "test.example.org",
        ),
    ];
    for (name, target, at, filters, wanted, wanted_host) in table {
        let filters = Filters { request: modified_headers(), ..filters };
        assert!(!filters.is_empty() && filters.check(true).is_ok());
        let mut parts = request(target);
        for (name, value) in
            [("X-Header-Remove", "remove-val"), ("X-Header-Add-Append", "append-val-1"), ("X-Header-Set", "set-val")]
        {
            parts.headers.insert(name, value.parse().expect("a value"));
        }
        filters.apply_request(&mut parts, &matched(at)).expect(name);
        assert_eq!(
            (parts.uri.path(), &parts.headers["host"]),
            (wanted, &wanted_host.parse().expect("a value")),
            "{name}"
        );
        assert_eq!(parts.headers["x-header-set"], "set-overwrites-values", "{name}");
        assert_eq!(parts.headers["x-header-add"], "header-val-1", "{name}");
        let appended: Vec<_> = parts.headers.get_all("x-header-add-append").iter().collect();
        assert_eq!(appended, ["append-val-1", "header-val-2"], "{name}");
        assert!(!parts.headers.contains_key("x-header-remove"), "{name}");
    }
}

#[test]
fn rewrite_host_wherever_it_stands() {
    let (h1, h2) = ("/one?q", "http://rewrite.example:8000/one?q");
    let table = [
        ("rewrite-host: one", h1, true, "one.example.org", "/one?q", true),
        ("rewrite-host: two", h1, true, "example.org", "/one?q", true),
        ("HTTP/2", h2, false, "example.org", "http://example.org/one?q", false),
        ("HTTP/2 with Host", h2, true, "example.org", "http://example.org/one?q", true),
        ("HTTP/1.0 without Host", h1, false, "example.org", "/one?q", true),
    ];
    for (name, target, with_header, hostname, uri, header_after) in table {
        let mut parts = request(target);
        if !with_header {
            parts.headers.remove("host");
        }
        host(hostname).apply(&mut parts, None).expect(name);
        assert_eq!(parts.uri.to_string(), uri, "{name}");
        let header = parts.headers.get("host").map(|host| host.to_str().expect("text"));
        assert_eq!(header, header_after.then_some(hostname), "{name}");
    }
    let mut parts = request(h2);
    let both = UrlRewrite { path: Some(full("/two")), ..host("example.org") };
    both.apply(&mut parts, None).expect("both");
    assert_eq!(parts.uri.to_string(), "http://example.org/two?q");
}

#[test]
fn a_prefix_that_did_not_match_is_an_error() {
    for (from, matched) in
        [("/foo", Matched::Exact), ("/foo", Matched::Regex), ("/food", matched("/foo")), ("/", matched("/foo"))]
    {
        let mut parts = request(from);
        let error = path(prefix("/xyz")).apply_request(&mut parts, &matched).expect_err(from);
        assert_eq!((error.cause, parts.uri.path()), (Cause::Internal, from), "and nothing was changed");
    }
}

#[test]
fn refuses_what_cannot_be() {
    let relative = |path: &str| Err(FilterError::PathNotAbsolute { path: path.to_owned() });
    let character = |path: &str, character| Err(FilterError::PathCharacter { path: path.to_owned(), character });
    assert_eq!(PathModifier::full("one"), relative("one"));
    assert_eq!(PathModifier::full(""), relative(""));
    assert_eq!(PathModifier::prefix("one/"), relative("one/"));
    assert_eq!(PathModifier::full("/one?a=b"), character("/one?a=b", '?'));
    assert_eq!(PathModifier::prefix("/one#two"), character("/one#two", '#'));
    assert_eq!(PathModifier::prefix("/é"), character("/é", 'é'));
    assert_eq!(PathModifier::prefix("/a b"), character("/a b", ' '));

    let redirect = Filters { redirect: Some(Redirect::default()), ..Filters::default() };
    let both = Filters { rewrite: Some(host("a.example")), ..redirect.clone() };
    assert_eq!(both.check(true), Err(FilterError::RewriteAndRedirect));
    let redirected_prefix = Redirect { path: Some(prefix("/x")), ..Redirect::default() };
    let redirected_prefix = Filters { redirect: Some(redirected_prefix), ..Filters::default() };
    for filters in [path(prefix("/x")), redirected_prefix] {
        assert_eq!((filters.check(false), filters.check(true)), (Err(FilterError::PrefixWithoutMatch), Ok(())));
    }
    assert_eq!(path(full("/x")).check(false), Ok(()), "a full path needs no prefix");
    assert_eq!(path(full("/x")).check_under(&redirect, true), Err(FilterError::UrlTwice));
    assert_eq!(path(full("/x")).check_under(&Filters::default(), true), Ok(()));
    assert_eq!(Filters::default().check_under(&redirect, true), Ok(()));
    assert!(Filters::default().is_empty() && !redirect.is_empty());
}
