//! Lookup and build of route tables: `cargo bench -p penstock-router --bench route`.
//!
//! Each lookup group asks for 1,024 different requests in turn, spread over the whole table, so that the figure includes the
//! cache misses of a busy host and not those of one hot route. Hosts and paths lie one behind another in memory, since a real
//! request was read just before.
#![allow(
    clippy::unwrap_used,
    clippy::type_complexity,
    reason = "a test fails by panicking, and tables of cases are plain here"
)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{collections::HashMap, hint::black_box, ops::Range, rc::Rc, time::Duration};

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use penstock_router::route::{HeaderMatch, Match, PathMatch, RequestKey, Route, RouteTable, Rule, StringMatch};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const REQUESTS: usize = 1_024;
/// Routes on one hostname.
const PER_HOST: usize = 10;
const VERSION: HeaderName = HeaderName::from_static("x-version");

/// A request as places in a text that all requests share.
struct Request {
    host: Range<usize>,
    path: Range<usize>,
    headers: Rc<HeaderMap>,
}

fn host(number: usize) -> String {
    format!("service-{}.team-{}.example.com", number / PER_HOST, number / PER_HOST % 97)
}

/// Of ten routes of a hostname four are exact, four prefixes, and two share a prefix and ask for a header.
fn route(number: usize) -> Route<usize> {
    let mut matching = match number % PER_HOST {
        slot @ 0..4 => {
            Match { path: PathMatch::exact(&format!("/api/v1/items-{slot}/list")).unwrap(), ..Match::default() }
        }
        slot @ 4..8 => Match { path: PathMatch::prefix(&format!("/service/v{slot}")).unwrap(), ..Match::default() },
        _ => Match { path: PathMatch::prefix("/canary").unwrap(), ..Match::default() },
    };
    if number % PER_HOST >= 8 {
        let value = StringMatch::Exact((number % PER_HOST).to_string());
        matching.headers.push(HeaderMatch { name: VERSION, value });
    }
    Route {
        name: format!("team-{}/route-{number}", number % 97).into(),
        created: Some(number as i64),
        hostnames: vec![host(number).parse().unwrap()],
        rules: vec![Rule { name: None, matches: vec![matching], action: number }],
    }
}

/// Routes that all stand on one hostname, each with a prefix of its own, behind one for `/`.
fn on_one_host(number: usize) -> Route<usize> {
    let path = if number == 0 { "/".to_owned() } else { format!("/team-{}/service-{number}", number % 97) };
    let matching = Match { path: PathMatch::prefix(&path).unwrap(), ..Match::default() };
    Route {
        hostnames: Vec::new(),
        rules: vec![Rule { name: None, matches: vec![matching], action: number }],
        ..route(number)
    }
}

/// Routes that share hostname and path and are told apart by a header alone.
fn by_header(number: usize) -> Route<usize> {
    let headers = vec![HeaderMatch { name: VERSION, value: StringMatch::Exact(number.to_string()) }];
    let matching = Match { headers, ..Match::default() };
    Route {
        hostnames: Vec::new(),
        rules: vec![Rule { name: None, matches: vec![matching], action: number }],
        ..route(number)
    }
}

type Make = fn(usize) -> (String, String, Option<String>);

/// Requests for routes all over the table, made from a route's number.
fn requests(size: usize, make: Make) -> (String, Vec<Request>) {
    let mut text = String::new();
    let mut place = |part: &str| {
        text.push_str(part);
        text.len() - part.len()..text.len()
    };
    let mut known = HashMap::new();
    let requests = (0..REQUESTS).map(|n| n.wrapping_mul(2_654_435_761) % size).map(|number| {
        let (host, path, version) = make(number);
        let headers = Rc::clone(known.entry(version.clone()).or_insert_with(|| Rc::new(headers(version))));
        Request { host: place(&host), path: place(&path), headers }
    });
    let requests = requests.collect();
    (text, requests)
}

fn headers(version: Option<String>) -> HeaderMap {
    let common = [("accept", "*/*"), ("user-agent", "bench/1.0"), ("accept-encoding", "gzip")];
    let common =
        common.into_iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    common.chain(version.map(|version| (VERSION, version.parse().unwrap()))).collect()
}

/// Asks for each of the keys in turn.
fn in_turn<K: Copy, T>(b: &mut Bencher<'_>, keys: &[K], mut ask: impl FnMut(K) -> T) {
    let mut next = 0;
    b.iter(|| {
        next = (next + 1) % keys.len();
        ask(black_box(keys[next]))
    });
}

fn lookup(c: &mut Criterion) {
    let kinds: [(&str, bool, fn(usize) -> Route<usize>, Make); 8] = [
        ("exact", true, route, |n| (host(n), format!("/api/v1/items-{}/list", n % 4), None)),
        ("prefix", true, route, |n| (host(n), format!("/service/v{}/users/{n}/orders", 4 + n % 4), None)),
        ("header", true, route, |n| (host(n), format!("/canary/users/{n}"), Some((8 + n % 2).to_string()))),
        ("capitals-and-port", true, route, |n| {
            (host(n).to_uppercase() + ":8080", format!("/service/v{}/x", 4 + n % 4), None)
        }),
        ("miss-path", false, route, |n| (host(n), format!("/absent/v{}/users", n % 4), None)),
        ("miss-host", false, route, |n| (format!("absent-{n}.example.com"), "/service/v4/users".to_owned(), None)),
        ("one-host-prefix", true, on_one_host, |n| {
            ("any.test".to_owned(), format!("/team-{}/service-{n}/users/7", n % 97), None)
        }),
        ("one-path-header", true, by_header, |n| ("any.test".to_owned(), "/users/7".to_owned(), Some(n.to_string()))),
    ];
    for (kind, hit, route, make) in kinds {
        let mut group = c.benchmark_group(format!("lookup/{kind}"));
        group.throughput(Throughput::Elements(1));
        for size in SIZES {
            let table = RouteTable::compile((0..size).map(route).collect());
            let (text, requests) = requests(size, make);
            let keys: Vec<_> = requests
                .iter()
                .map(|Request { host, path, headers }| RequestKey {
                    host: &text[host.clone()],
                    path: &text[path.clone()],
                    query: None,
                    method: &Method::GET,
                    headers,
                })
                .collect();
            assert!(keys.iter().all(|key| table.find(key).is_some() == hit), "{kind} {size}");
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                in_turn(b, &keys, |key| table.find(&key).map(|found| *found.action));
            });
        }
    }
}

fn build(c: &mut Criterion) {
    let kinds: [(&str, fn(usize) -> Route<usize>); 3] =
        [("hosts", route), ("one-host", on_one_host), ("one-path", by_header)];
    for (kind, route) in kinds {
        let mut group = c.benchmark_group(format!("build/{kind}"));
        for size in SIZES {
            group.throughput(Throughput::Elements(size as u64));
            let routes: Vec<_> = (0..size).map(route).collect();
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter_batched(|| routes.clone(), RouteTable::compile, criterion::BatchSize::LargeInput);
            });
        }
    }
}

/// The layout that was tried first: each prefix three times in a radix tree with catch-all leaves. Only the path, no hostname.
fn matchit_baseline(c: &mut Criterion) {
    let mut group = c.benchmark_group("baseline/matchit-one-host-prefix");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let mut router = matchit::Router::new();
        for number in 0..size {
            let path = if number == 0 { String::new() } else { format!("/team-{}/service-{number}", number % 97) };
            for tail in ["", "/", "/{*rest}"].into_iter().filter(|tail| number != 0 || !tail.is_empty()) {
                router.insert(format!("{path}{tail}"), number).unwrap();
            }
        }
        let (text, requests) =
            requests(size, |n| (String::new(), format!("/team-{}/service-{n}/users/7", n % 97), None));
        let paths: Vec<_> = requests.iter().map(|request| &text[request.path.clone()]).collect();
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            in_turn(b, &paths, |path| router.at(path).map(|found| *found.value).ok());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = lookup, build, matchit_baseline
}
criterion_main!(benches);
