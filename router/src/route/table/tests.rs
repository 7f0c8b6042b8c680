use std::time::{Duration, Instant};

use super::*;
use crate::route::{HeaderMatch, PathMatch, QueryMatch, RegexMatch, StringMatch};

fn route(name: String, hosts: &[&str], matching: Match) -> Route<usize> {
    let hostnames = hosts.iter().map(|host| host.parse().unwrap()).collect();
    Route {
        name: name.into(),
        created: None,
        hostnames,
        rules: vec![Rule { name: None, matches: vec![matching], action: 0 }],
    }
}

fn find<'t>(table: &'t RouteTable<usize>, host: &str, path: &str, headers: &HeaderMap) -> Option<Found<'t, usize>> {
    table.find(&RequestKey { host, path, query: None, method: &Method::GET, headers })
}

#[test]
fn an_empty_table_finds_nothing() {
    let table = RouteTable::<usize>::default();
    assert!(table.is_empty());
    assert!(find(&table, "a.test", "/", &HeaderMap::new()).is_none());
    assert!(
        table
            .explain(&RequestKey { host: "", path: "/", query: None, method: &Method::GET, headers: &HeaderMap::new() })
            .winner
            .is_none()
    );
}

#[test]
fn what_matched_is_told_for_filters() {
    let matches = [
        (PathMatch::exact("/exact").unwrap(), "/exact", Matched::Exact),
        (PathMatch::prefix("/a/").unwrap(), "/a/b", Matched::Prefix("/a".into())),
        (PathMatch::default(), "/", Matched::Prefix("/".into())),
        (PathMatch::regex("/r.*").unwrap(), "/rx", Matched::Regex),
    ];
    for (path, request, wanted) in matches {
        let table = RouteTable::compile(vec![route("n/a".into(), &[], Match { path, ..Match::default() })]);
        assert_eq!(*find(&table, "", request, &HeaderMap::new()).unwrap().matched, wanted);
    }
}

#[test]
fn hosts_and_paths_of_every_length_are_found() {
    // The index keeps lengths modulo 64 and depths as bits: the edges of both.
    let headers = HeaderMap::new();
    for elements in [1, 2, 31, 62, 63] {
        let path = "/a".repeat(elements);
        for path_match in [PathMatch::prefix(&path).unwrap(), PathMatch::exact(&path).unwrap()] {
            let table = RouteTable::compile(vec![route(
                "n/a".into(),
                &[],
                Match { path: path_match.clone(), ..Match::default() },
            )]);
            let deeper = find(&table, "", &format!("{path}/{}", "x/".repeat(70)), &headers);
            assert_eq!(deeper.is_some(), matches!(path_match, PathMatch::Prefix(_)), "{elements}");
            assert!(find(&table, "", &path, &headers).is_some(), "{elements}");
            assert!(find(&table, "", &path[2..], &headers).is_none(), "{elements}");
        }
    }
    for labels in [1, 31, 62, 63, 64, 100, 124] {
        let name = format!("*{}", ".a".repeat(labels));
        let table = RouteTable::compile(vec![route("n/a".into(), &[&name], Match::default())]);
        assert!(find(&table, &name.replace('*', "b"), "/", &headers).is_some(), "{labels}");
        assert!(find(&table, &name[2..], "/", &headers).is_none(), "{labels}");
    }
}

/// Building must stay far from quadratic when all routes share one host and one path: 20,000 pairs twenty times over would take minutes.
#[test]
fn many_routes_on_one_path_compile_and_answer_quickly() {
    let header = |name: &str, value: StringMatch| HeaderMatch { name: name.parse().unwrap(), value };
    let kinds: [fn(usize) -> Match; 5] = [
        |_| Match::default(),
        |n| Match { path: PathMatch::exact(&format!("/{n}")).unwrap(), ..Match::default() },
        |n| Match {
            headers: vec![HeaderMatch { name: "x".parse().unwrap(), value: StringMatch::Exact(n.to_string()) }],
            ..Match::default()
        },
        |n| Match {
            headers: vec![HeaderMatch {
                name: format!("x-{n}").parse().unwrap(),
                value: StringMatch::Exact("1".into()),
            }],
            ..Match::default()
        },
        |n| Match {
            query: vec![QueryMatch { name: "q".into(), value: StringMatch::Exact(n.to_string()) }],
            ..Match::default()
        },
    ];
    let started = Instant::now();
    for kind in kinds {
        let table =
            RouteTable::compile((0..20_000).map(|n| route(format!("n/{n:05}"), &["a.test"], kind(n))).collect());
        assert_eq!(table.len(), 20_000);
        assert_eq!(table.shadowed().is_empty(), kind(0) != kind(1));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());

    let tenants = (0..20_000).map(|n| {
        let headers = vec![header("x-tenant", StringMatch::Exact(n.to_string()))];
        route(format!("n/{n:05}"), &["a.test"], Match { headers, ..Match::default() })
    });
    let expression = RegexMatch::new("1999.").unwrap();
    let all = tenants.chain([route(
        "m/a".into(),
        &["a.test"],
        Match { headers: vec![header("x-tenant", StringMatch::Regex(expression))], ..Match::default() },
    )]);
    let table = RouteTable::compile(all.collect());
    for (tenant, wanted) in
        [("7", Some("n/00007")), ("19990", Some("m/a")), ("19980", Some("n/19980")), ("20000", None)]
    {
        let headers = HeaderMap::from_iter([("x-tenant".parse().unwrap(), tenant.parse().unwrap())]);
        let started = Instant::now();
        let mut found = None;
        for _ in 0..1000 {
            found = find(&table, "a.test", "/", &headers).map(|found| &**found.route);
        }
        assert_eq!(found, wanted);
        assert!(
            started.elapsed() < Duration::from_millis(200),
            "trying 20,000 one by one takes seconds: {:?}",
            started.elapsed()
        );
    }
}
