//! What a host makes of routes that cannot be served as they are written: its own answer, and a sentence in its status.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/host.rs"]
mod support;

use penstock_api::{
    route::{HttpPathMatch, HttpPathModifier, HttpRouteFilter, HttpRouteMatch, HttpUrlRewrite, PathMatchType},
    snapshot::{Route, RouteBackend},
};
use support::{TestHost, route, share, snapshot, wait};

/// A host with the workload `hello`, whose routes are replaced by these.
async fn host(routes: Vec<Route>) -> (TestHost, Vec<String>) {
    let hello = share("hello", "hello-wat");
    let host = TestHost::start(vec![hello.clone()]).await;
    let mut next = snapshot(2, vec![hello]);
    next.listeners[0].routes = routes;
    host.host.apply(next);
    let status = wait(&host.host, |status| status.version == 2).await;
    let errors = status.listeners["test"].errors.clone();
    (host, errors)
}

fn backend(deployment: &str) -> Vec<RouteBackend> {
    vec![RouteBackend { deployment: deployment.into(), weight: 1, ..RouteBackend::default() }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_not_there_is_500_and_one_that_is_not_ready_503() {
    let mut invalid = route("/invalid", "hello");
    invalid.rules[0].backends = backend("");
    let absent = route("/absent", "absent");
    let (host, errors) = host(vec![route("/", "hello"), invalid, absent]).await;
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(host.get("/").await.status, 200);

    let reply = host.get("/invalid").await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert_eq!(reply.problem()["detail"], "route default/hello names a backend that is not there");

    let reply = host.get("/absent").await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.problem()["detail"], "workload default/absent has no ready instance on this host");
    assert_eq!(reply.headers["retry-after"], "1");
    assert_eq!(reply.headers["penstock-not-started"], "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_gets_a_last_answer_when_its_listener_and_share_go() {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
    let host = TestHost::start(vec![share("hello", "hello-wat")]).await;
    let mut kept = BufStream::new(tokio::net::TcpStream::connect(host.address).await.unwrap());
    let mut closing = false;
    let mut answers = 0;
    while !closing {
        if answers == 1 {
            let mut next = snapshot(2, Vec::new());
            next.listeners.clear();
            host.host.apply(next);
            wait(&host.host, |status| status.version == 2).await;
        }
        kept.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        kept.flush().await.unwrap();
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            assert_ne!(
                kept.read_line(&mut line).await.unwrap(),
                0,
                "closed after {answers} answers without a last one"
            );
            head += &line;
        }
        assert!(head.starts_with("HTTP/1.1 200"), "answer {answers}: {head}");
        let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap();
        kept.read_exact(&mut vec![0; length.parse().unwrap()]).await.unwrap();
        closing = head.contains("connection: close");
        answers += 1;
        assert!(answers < 10_000 && !(closing && answers == 1), "answer {answers}: {head}");
    }
    // Then nothing holds the share any more.
    wait(&host.host, |status| status.shares.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_of_invalid_backends_count() {
    let mut half = route("/", "hello");
    half.rules[0].backends.extend(backend(""));
    let (host, _) = host(vec![half]).await;
    let mut statuses = [0; 2];
    for _ in 0..200 {
        statuses[usize::from(host.get("/").await.status == 500)] += 1;
    }
    // The choice is random: 40 from the middle is more than five standard deviations.
    assert!(statuses.iter().all(|count| (60..=140).contains(count)), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_does_not_fit_its_matches_is_said_and_its_neighbours_serve() {
    let rewrite = |path: &str| {
        HttpRouteFilter::UrlRewrite(HttpUrlRewrite {
            hostname: None,
            path: Some(HttpPathModifier::ReplacePrefixMatch(path.into())),
        })
    };
    let mut exact = route("/exact", "hello");
    exact.name = "default/exact".into();
    let path = HttpPathMatch { r#type: PathMatchType::Exact, value: "/exact".into() };
    exact.rules[0].matches = vec![HttpRouteMatch { path: Some(path), ..HttpRouteMatch::default() }];
    exact.rules[0].filters = vec![rewrite("/")];
    let mut twice = route("/twice", "hello");
    twice.name = "default/twice".into();
    twice.rules[0].filters = vec![rewrite("/a")];
    twice.rules[0].backends[0].filters = vec![rewrite("/b")];
    let (host, errors) = host(vec![route("/", "hello"), exact, twice]).await;
    assert_eq!(host.get("/").await.status, 200);
    assert_eq!(
        errors,
        [
            "route default/exact: rule 0: ReplacePrefixMatch needs a PathPrefix match, and a match of this rule has another \
             type: use ReplaceFullPath, or match by PathPrefix only",
            "route default/twice: rule 0: both the rule and its backendRef redirect or rewrite: keep one of the two",
        ]
    );
}
