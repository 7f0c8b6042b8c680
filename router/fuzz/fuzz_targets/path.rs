//! Paths: two lines, a request's path and a prefix. A normal form is normal, has no dot segments, and the table agrees with the match.

#![no_main]

use std::borrow::Cow;

use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;
use penstock_router::route::{Match, PathMatch, RequestKey, Route, RouteTable, Rule, normalise};

fuzz_target!(|text: &str| {
    let (path, prefix) = text.split_once('\n').unwrap_or((text, "/a"));
    let Ok(normal) = normalise(path) else { return };
    assert!(matches!(normalise(&normal), Ok(Cow::Borrowed(_))), "{normal}");
    assert!(normal.starts_with('/') || normal == "*");
    assert!(normal.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{normal}");
    let decoded = percent_encoding::percent_decode_str(&normal).collect::<Vec<_>>();
    let segments = |separators: &'static [u8]| decoded.split(move |byte| separators.contains(byte));
    assert!(!segments(b"/\\").any(|segment| matches!(segment, b"." | b"..")), "{path:?} {normal}");
    assert!(!decoded.contains(&0));

    for matching in [PathMatch::exact(prefix), PathMatch::prefix(prefix)].into_iter().flatten() {
        let wanted = matching.matches(&normal);
        let table = RouteTable::compile(vec![Route {
            name: "n/a".into(),
            created: None,
            hostnames: Vec::new(),
            rules: vec![Rule { name: None, matches: vec![Match { path: matching, ..Match::default() }], action: () }],
        }]);
        let key = RequestKey { host: "", path: &normal, query: None, method: &Method::GET, headers: &HeaderMap::new() };
        assert_eq!(table.find(&key).is_some(), wanted, "{normal} {prefix}");
    }
});
