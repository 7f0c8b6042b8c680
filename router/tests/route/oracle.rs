//! A slow, obviously right matcher, and random tables and requests that nearly collide, for the property test and the fuzz target.
//!
//! It shares no matching code with the table: it looks at every match of every route and takes the least by a plain tuple.

use std::{cell::RefCell, cmp::Reverse, collections::HashMap};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use penstock_router::route::{
    HeaderMatch, HostPattern, Match, PathMatch, QueryMatch, RegexMatch, RequestKey, Route, Rule, StringMatch,
};
use regex::Regex;

/// A request that owns its parts.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

impl Request {
    pub(crate) fn key(&self) -> RequestKey<'_> {
        RequestKey {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
        }
    }
}

/// The action of the rule that the request goes to.
pub(crate) fn find(routes: &[Route<usize>], request: &Request) -> Option<usize> {
    let host = host_of(&request.host);
    let mut best = None;
    for (number, route) in routes.iter().enumerate() {
        let hosts: Vec<Option<&str>> = match &*route.hostnames {
            [] => vec![None],
            some => some.iter().map(|host| Some(host.as_str())).collect(),
        };
        for pattern in hosts.into_iter().filter(|pattern| pattern.is_none_or(|pattern| host_matches(pattern, &host))) {
            for (position, rule) in route.rules.iter().enumerate() {
                let default = [Match::default()];
                let matches = if rule.matches.is_empty() { &default[..] } else { &rule.matches };
                for (index, matching) in matches.iter().enumerate() {
                    let (headers, query) = (first_headers(matching), first_query(matching));
                    if !holds(matching, &headers, &query, request) {
                        continue;
                    }
                    let host_rank = match pattern {
                        None => (2, Reverse(0)),
                        Some(name) if name.starts_with('*') => (1, Reverse(name.len())),
                        Some(name) => (0, Reverse(name.len())),
                    };
                    let path_rank = match &matching.path {
                        PathMatch::Exact(_) => (0, Reverse(0)),
                        PathMatch::Regex(_) => (1, Reverse(0)),
                        PathMatch::Prefix(path) => (2, Reverse(path.len())),
                    };
                    let rank = (
                        (host_rank, path_rank),
                        (matching.method.is_none(), Reverse(headers.len()), Reverse(query.len())),
                        (route.created.is_none(), route.created, route.name.to_string()),
                        (position, index, number),
                    );
                    if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                        best = Some((rank, rule.action));
                    }
                }
            }
        }
    }
    best.map(|(_, action)| action)
}

fn host_of(authority: &str) -> Vec<String> {
    let authority = authority.to_lowercase();
    if authority.starts_with('[') {
        return Vec::new();
    }
    let name = authority.split(':').next().unwrap_or_default();
    name.strip_suffix('.').unwrap_or(name).split('.').map(str::to_owned).collect()
}

fn host_matches(pattern: &str, host: &[String]) -> bool {
    let labels: Vec<_> = pattern.split('.').collect();
    match &labels[..] {
        ["*", suffix @ ..] => {
            host.len() > suffix.len() && !host[0].is_empty() && host[host.len() - suffix.len()..] == *suffix
        }
        exact => host == exact,
    }
}

fn first_headers(matching: &Match) -> Vec<&HeaderMatch> {
    let mut first: Vec<&HeaderMatch> = Vec::new();
    for header in &matching.headers {
        if !first.iter().any(|other| other.name == header.name) {
            first.push(header);
        }
    }
    first
}

fn first_query(matching: &Match) -> Vec<&QueryMatch> {
    let mut first: Vec<&QueryMatch> = Vec::new();
    for query in &matching.query {
        if !first.iter().any(|other| other.name == query.name) {
            first.push(query);
        }
    }
    first
}

fn holds(matching: &Match, headers: &[&HeaderMatch], query: &[&QueryMatch], request: &Request) -> bool {
    path_matches(&matching.path, &request.path)
        && matching.method.as_ref().is_none_or(|method| *method == request.method)
        && headers.iter().all(|header| {
            request.headers.iter().any(|(name, line)| {
                name.as_str() == header.name.as_str() && value_matches(&header.value, line.to_str().unwrap())
            })
        })
        && query.iter().all(|query| {
            let pairs = parameters(request.query.as_deref().unwrap_or_default());
            pairs
                .iter()
                .find(|(name, _)| *name == query.name)
                .is_some_and(|(_, value)| value_matches(&query.value, value))
        })
}

fn path_matches(pattern: &PathMatch, path: &str) -> bool {
    match pattern {
        PathMatch::Exact(text) => text == path,
        PathMatch::Regex(regex) => full_match(regex.as_str(), path),
        PathMatch::Prefix(text) => {
            let wanted: Vec<_> = text.split('/').skip(1).filter(|element| !element.is_empty()).collect();
            let given: Vec<_> = path.split('/').skip(1).collect();
            given.len() >= wanted.len() && given[..wanted.len()] == wanted[..]
        }
    }
}

fn value_matches(wanted: &StringMatch, value: &str) -> bool {
    match wanted {
        StringMatch::Exact(text) => text == value,
        StringMatch::Regex(regex) => full_match(regex.as_str(), value),
    }
}

fn parameters(query: &str) -> Vec<(String, String)> {
    let decode =
        |raw: &str| percent_encoding::percent_decode_str(&raw.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn full_match(source: &str, text: &str) -> bool {
    thread_local!(static KNOWN: RefCell<HashMap<String, Regex>> = RefCell::default());
    KNOWN.with_borrow_mut(|known| {
        let regex = known.entry(source.to_owned()).or_insert_with(|| Regex::new(&format!("^(?:{source})$")).unwrap());
        regex.is_match(text)
    })
}

/// Turns bytes into choices; once they run out, every choice is the first.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(byte) % limit
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == of - 1
    }
}

/// A table whose routes share hosts, paths, headers and parameters as often as not. Each rule's action is its number.
pub(crate) fn routes(choices: &mut Choices<'_>) -> Vec<Route<usize>> {
    let mut action = 0;
    let filler = choices.chance(3).then(|| filler(choices));
    let depth = 1 + choices.below(4);
    (0..1 + choices.below(12))
        .map(|_| Route {
            name: choices.of(&["n/a", "n/b", "n/c", "m/a"]).into(),
            created: choices.of(&[None, Some(1), Some(2), Some(-1)]),
            hostnames: (0..choices.below(4)).map(|_| pattern(choices)).collect(),
            rules: (0..1 + choices.below(3))
                .map(|_| {
                    action += 1;
                    let matches = (0..choices.below(4)).map(|_| matching(choices, depth)).collect();
                    Rule { name: None, matches, action }
                })
                .collect(),
        })
        .chain(filler)
        .collect()
}

/// A route with so many paths that its hostnames' paths are kept in the other of the two ways.
fn filler(choices: &mut Choices<'_>) -> Route<usize> {
    let path = |n| Match { path: PathMatch::exact(&format!("/filler-{n}")).unwrap(), ..Match::default() };
    let rules = vec![Rule { name: None, matches: (0..17).map(path).collect(), action: usize::MAX }];
    Route {
        name: "n/filler".into(),
        created: None,
        hostnames: (0..choices.below(4)).map(|_| pattern(choices)).collect(),
        rules,
    }
}

fn pattern(choices: &mut Choices<'_>) -> HostPattern {
    let names = ["a.test", "b.a.test", "*.a.test", "*.test", "*.b.a.test", "test", "a.b.test", "c.b.a.test"];
    choices.of(&names).parse().unwrap()
}

fn matching(choices: &mut Choices<'_>, depth: usize) -> Match {
    let path = match choices.below(8) {
        0 => PathMatch::default(),
        1 => PathMatch::regex(choices.of(&["/a.*", "/(a|b)/[ab]+", "/.*b", "/", "/a/b", "(?i).*A"])).unwrap(),
        2..=4 => PathMatch::exact(&path(choices, depth, &["a", "b", "ab", "A"])).unwrap(),
        _ => PathMatch::prefix(&path(choices, depth, &["a", "b", "ab", "A"])).unwrap(),
    };
    let headers = (0..choices.below(4)).map(|_| HeaderMatch { name: header_name(choices), value: value(choices) });
    let headers = headers.collect();
    let query = (0..choices.below(3))
        .map(|_| QueryMatch { name: choices.of(&["q", "r", "a b"]).into(), value: value(choices) });
    let query = query.collect();
    Match { path, method: choices.of(&[None, None, Some(Method::GET), Some(Method::POST)]), headers, query }
}

fn path(choices: &mut Choices<'_>, depth: usize, elements: &[&str]) -> String {
    let mut path = String::new();
    for _ in 0..choices.below(depth) {
        path.push('/');
        path.push_str(choices.of(elements));
    }
    if path.is_empty() || choices.chance(4) {
        path.push('/');
    }
    path
}

fn header_name(choices: &mut Choices<'_>) -> HeaderName {
    HeaderName::from_static(choices.of(&["x-a", "x-b", "version"]))
}

fn value(choices: &mut Choices<'_>) -> StringMatch {
    if choices.chance(6) {
        StringMatch::Regex(RegexMatch::new(choices.of(&["1|2", ".+", ".*", "[^1]*"])).unwrap())
    } else {
        StringMatch::Exact(choices.of(&["1", "2", "1 2", "", "12"]).into())
    }
}

/// A request from the same few words.
pub(crate) fn request(choices: &mut Choices<'_>) -> Request {
    let hosts = [
        "a.test",
        "A.Test",
        "b.a.test:80",
        "c.b.a.test",
        "x.test.",
        "test",
        "",
        "[::1]:80",
        "other",
        "a.test:",
        "a.b.test",
        "d.C.b.a.test:8080",
        "xa.test",
        "b.a.tes",
        ".test",
        "..a.test",
    ];
    let query = ["q=1", "q=2", "r=1", "q", "%71=1", "a+b=1", "a%20b=1+2", "q=%31", "r=1%202", "r=12", "", "q=1+2"];
    Request {
        host: choices.of(&hosts).to_owned(),
        path: path(choices, 5, &["a", "b", "ab", "A", ""]),
        query: match choices.below(4) {
            0 => None,
            pairs => Some((1..pairs).map(|_| choices.of(&query)).collect::<Vec<_>>().join("&")),
        },
        method: choices.of(&[Method::GET, Method::POST, Method::HEAD]),
        headers: (0..choices.below(4))
            .map(|_| (header_name(choices), HeaderValue::from_static(choices.of(&["1", "2", "1 2", "", "12"]))))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            }),
    }
}
