//! Hostnames: two lines, a pattern and a request's host. What parses prints and parses again, and a table agrees with the pattern.

#![no_main]

use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;
use penstock_router::route::{HostPattern, RequestKey, Route, RouteTable, Rule};

fuzz_target!(|text: &str| {
    let (pattern, host) = text.split_once('\n').unwrap_or((text, "a.b"));
    let Ok(pattern) = pattern.parse::<HostPattern>() else { return };
    assert_eq!(pattern.to_string().parse::<HostPattern>().as_ref(), Ok(&pattern));
    assert_eq!(pattern.intersection(&pattern).as_ref(), Some(&pattern));

    let table = RouteTable::compile(vec![Route {
        name: "n/a".into(),
        created: None,
        hostnames: vec![pattern.clone()],
        rules: vec![Rule { name: None, matches: Vec::new(), action: () }],
    }]);
    let headers = HeaderMap::new();
    let finds = |host: &str| {
        table.find(&RequestKey { host, path: "/", query: None, method: &Method::GET, headers: &headers }).is_some()
    };
    assert_eq!(finds(host), pattern.matches(host), "{pattern} {host:?}");

    let member = pattern.as_str().replace('*', "x");
    if member.len() <= 253 {
        assert!(finds(&member) && finds(&member.to_uppercase()) && finds(&format!("{member}.:8080")), "{pattern}");
    }
    if let Ok(other) = host.parse::<HostPattern>() {
        assert_eq!(pattern.intersection(&other), other.intersection(&pattern));
        if !other.is_wildcard() {
            assert_eq!(pattern.intersection(&other).is_some(), pattern.matches(host), "{pattern} {other}");
        }
    }
});
