use std::collections::BTreeMap;

use super::*;
use crate::dev::event::{Endpoint, WorkloadRow};

/// An event as it is written, without colours and without the time.
fn written(event: Event) -> String {
    let mut out = Vec::new();
    write(&mut out, &Stamped { time: Timestamp::UNIX_EPOCH, event }).unwrap();
    let text = anstream::adapter::strip_bytes(&out).into_vec();
    let time = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
    String::from_utf8(text).unwrap().replace(&time, "TIME")
}

fn overview() -> Overview {
    let weighted = |all: &[(&str, u32)]| {
        all.iter()
            .map(|(workload, weight)| Weighted { workload: (*workload).into(), component: None, weight: *weight })
            .collect()
    };
    let workload = |name: &str, state, message: Option<&str>| WorkloadRow {
        workload: name.into(),
        revision: "1".into(),
        replicas: 2,
        state,
        message: message.map(Into::into),
    };
    Overview {
        urls: vec![Endpoint {
            url: "http://q.localhost:8000/".into(),
            also: vec!["http://localhost:8000/".into()],
            what: "Service default/q, port http".into(),
        }],
        routes: vec![
            RouteRow {
                url: "http://q.localhost:8000/".into(),
                matches: "any".into(),
                route: "default/q".into(),
                workloads: weighted(&[("default/page", 1)]),
            },
            RouteRow {
                url: "http://q.localhost:8000/api".into(),
                matches: "prefix".into(),
                route: "default/q".into(),
                workloads: weighted(&[("default/page", 3), ("default/api", 1)]),
            },
        ],
        workloads: vec![
            workload("default/page", ShareState::Ready, None),
            workload("default/api", ShareState::Failed, Some("there is no file")),
        ],
    }
}

#[test]
fn the_tables() {
    let ready = Event::Ready {
        admin: ([127, 0, 0, 1], 8001).into(),
        listeners: BTreeMap::new(),
        ms: 84,
        files: 1,
        overview: overview(),
    };
    assert_eq!(
        written(ready),
        "penstock dev is ready in 84 ms, 1 manifest file

http://q.localhost:8000/  Service default/q, port http; also http://localhost:8000/

URL                          MATCH   WORKLOAD                           INSTANCES
http://q.localhost:8000/     any     default/page                       2 ready
http://q.localhost:8000/api  prefix  default/page 75%, default/api 25%  failed
failed default/api: there is no file

Routes: penstock routes --admin http://127.0.0.1:8001  Stop: Ctrl-C

"
    );
    let text = written(Event::Routes { overview: Overview::default() });
    assert!(text.contains("Nothing to run yet"), "{text}");
}

fn request(status: Option<u16>, cause: Option<&'static str>) -> Request {
    Request {
        listener: "shared".into(),
        method: "GET".into(),
        host: "localhost:8000".into(),
        path: "/api".into(),
        status,
        route: None,
        workload: status.filter(|it| *it < 400).map(|_| "default/api".into()),
        cause,
        ended: if status.is_some() { "complete" } else { "client-left" },
        generation: 1,
        ms: 1.234,
        queue_ms: 0.0,
        bytes_in: 0,
        bytes_out: 0,
        retries: 0,
        peer: None,
        trace_id: None,
        request_id: None,
        client: ([127, 0, 0, 1], 1).into(),
    }
}

#[test]
fn requests() {
    for (status, cause, line) in [
        (Some(200), None, "TIME  200 GET  localhost:8000/api  default/api  1.23 ms\n"),
        (Some(404), Some("no-route"), "TIME  404 GET  localhost:8000/api  -  1.23 ms  no-route\n"),
        (None, None, "TIME  -   GET  localhost:8000/api  -  1.23 ms  client-left\n"),
    ] {
        assert_eq!(written(Event::Request(request(status, cause))), line);
    }
    assert_eq!([0.5, 12.34, 12_345.6].map(duration), ["0.50 ms", "12 ms", "12.3 s"]);
}

#[test]
fn edits() {
    let problem = Problem { line: 3, column: 5, advice: Some("do so".into()), ..Problem::of_file("a.yaml", "bad") };
    let rejected = |serving| Event::Rejected {
        version: 1,
        files: vec!["a.yaml".into()],
        problems: vec![problem.clone()],
        serving,
    };
    assert_eq!(
        written(rejected(true)),
        "TIME  broken a.yaml\n          a.yaml:3:5: error: bad; do so\n          What ran before goes on; the next \
         save is tried again.\n"
    );
    assert!(!written(rejected(false)).contains("goes on"));
    let applied = |fixed: &[&str]| Event::Applied {
        version: 1,
        files: vec!["a.yaml".into(), "b.yaml".into()],
        fixed: fixed.iter().map(ToString::to_string).collect(),
        ms: 12,
    };
    assert_eq!(written(applied(&[])), "TIME  applied a.yaml, b.yaml (12 ms)\n");
    assert_eq!(written(applied(&["a.yaml"])), "TIME  fixed a.yaml, b.yaml (12 ms)\n");
}

#[test]
fn a_guest_has_no_say_over_the_terminal() {
    let line = "\u{1b}[2Jred\u{7}\ttab".to_owned();
    let event = Event::Guest { share: "a@1".into(), component: "api".into(), stream: "stdout".into(), line };
    assert_eq!(written(event), "TIME  api | red\ttab\n");
}
