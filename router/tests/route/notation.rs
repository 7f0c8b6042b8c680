//! Routes and requests in one line each, so that a table test reads like the table that it is about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part of it")]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use penstock_router::route::{
    HeaderMatch, Match, PathMatch, QueryMatch, RegexMatch, RequestKey, Route, RouteTable, Rule, StringMatch,
};

/// `METHOD /prefix name=value ?name=value`, with `=/path` for an exact path and `~` for expressions, each part optional.
pub(crate) fn matching(text: &str) -> Match {
    let mut matching = Match::default();
    for word in text.split_whitespace() {
        match word.split_at(1) {
            ("=", path) => matching.path = PathMatch::exact(path).unwrap(),
            ("~", source) => matching.path = PathMatch::regex(source).unwrap(),
            ("/", _) => matching.path = PathMatch::prefix(word).unwrap(),
            ("?", pair) => {
                let (name, value) = value(pair);
                matching.query.push(QueryMatch { name: name.into(), value });
            }
            _ if word.bytes().all(|byte| byte.is_ascii_uppercase()) => matching.method = Some(word.parse().unwrap()),
            _ => {
                let (name, value) = value(word);
                matching.headers.push(HeaderMatch { name: name.parse().unwrap(), value });
            }
        }
    }
    matching
}

fn value(pair: &str) -> (&str, StringMatch) {
    match (pair.split_once('~'), pair.split_once('=')) {
        (Some((name, source)), _) => (name, StringMatch::Regex(RegexMatch::new(source).unwrap())),
        (None, Some((name, value))) => (name, StringMatch::Exact(value.into())),
        (None, None) => panic!("{pair}: no value"),
    }
}

/// A route of rules, each `(matches, action)`.
pub(crate) fn route(name: &str, hosts: &[&str], rules: &[(&[&str], &'static str)]) -> Route<&'static str> {
    Route {
        name: name.into(),
        created: Some(0),
        hostnames: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        rules: rules
            .iter()
            .map(|(matches, action)| Rule {
                name: None,
                matches: matches.iter().map(|text| matching(text)).collect(),
                action: *action,
            })
            .collect(),
    }
}

/// Sends `METHOD host/path?query name=value`, with method and headers optional.
pub(crate) fn ask<A: Copy>(table: &RouteTable<A>, request: &str) -> Option<A> {
    with_key(request, |key| {
        let found = table.find(key).map(|found| (*found.action, found.route.to_string(), found.rule));
        let explained = table.explain(key).winner.map(|winner| (winner.route, winner.rule));
        assert_eq!(
            found.as_ref().map(|(_, route, rule)| (route.clone(), *rule)),
            explained,
            "{request}: find and explain differ"
        );
        found.map(|(action, ..)| action)
    })
}

/// Reads a request in the notation of [`ask`].
pub(crate) fn with_key<T>(request: &str, then: impl FnOnce(&RequestKey<'_>) -> T) -> T {
    let mut words = request.split_whitespace().peekable();
    let method = words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_uppercase())).unwrap_or("GET");
    let method: Method = method.parse().unwrap();
    let target = words.next().unwrap();
    let (host, path) = target.split_at(target.find('/').unwrap());
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    for (name, value) in words.map(|word| word.split_once('=').unwrap()) {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    }
    then(&RequestKey { host, path, query, method: &method, headers: &headers })
}

/// Compiles routes and asks for each request.
pub(crate) fn check(routes: Vec<Route<&'static str>>, cases: &[(&str, Option<&str>)]) {
    let table = RouteTable::compile(routes);
    for (request, wanted) in cases {
        assert_eq!(ask(&table, request), *wanted, "{request}");
    }
}
