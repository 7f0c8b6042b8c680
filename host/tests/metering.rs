//! What workloads are charged, beside what the whole process has used. Alone in its file, since it looks at the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/host.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use penstock_api::route::{HttpHeaderMatch, HttpRouteMatch};
use penstock_host::HostStatus;
use rustix::time::{ClockId, clock_gettime};
use support::{TestHost, share, snapshot, wait};

fn process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Workloads of different kinds on one host, whose calls compute from a fraction of a millisecond to forty: what they are charged for that,
/// all together, is what the process uses for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_are_charged_for_what_the_host_uses() {
    let kinds = [
        ("fresh2", "kitchen-p2", None, None),
        ("fresh3", "kitchen-p3", None, None),
        ("warm2", "kitchen-p2", Some(2), None),
        ("warm3", "kitchen-p3", Some(2), None),
        ("several3", "kitchen-p3", Some(2), Some(8)),
    ];
    let shares = kinds.map(|(name, image, pool, at_once)| {
        let mut spec = share(name, image);
        spec.components[0].pool_size = pool;
        spec.components[0].max_concurrency = at_once;
        spec
    });
    let host = TestHost::start(shares.to_vec()).await;
    // The path says what to do, so that a header has to say who does it.
    let mut by_header = snapshot(2, shares.to_vec());
    for (route, (name, ..)) in by_header.listeners[0].routes.iter_mut().zip(kinds) {
        let header = HttpHeaderMatch { name: "x-kind".into(), value: name.into(), ..HttpHeaderMatch::default() };
        route.rules[0].matches = vec![HttpRouteMatch { headers: vec![header], ..HttpRouteMatch::default() }];
    }
    host.host.apply(by_header);
    wait(&host.host, |it| it.version == 2).await;
    let call = |name: &str, rounds: u64| {
        let request = Request::get(format!("/work?rounds={rounds}")).header("x-kind", name);
        host.send(request.body(Full::default()).unwrap())
    };
    // The same calls without and with their work: the difference is the guests' own.
    let mut measured = Vec::new();
    for (batch, works) in [&[0, 0, 0], &[100, 1_000, 20_000]].into_iter().enumerate() {
        let begun = process();
        for rounds in works.iter().cycle().take(12) {
            let replies = join_all(kinds.iter().flat_map(|kind| (0..10).map(|_| call(kind.0, *rounds)))).await;
            assert!(replies.iter().all(|it| it.status == 200), "{:?}", replies.first());
        }
        let used = process() - begun;
        let calls = 120 * (batch as u64 + 1);
        let done = |it: &HostStatus| it.shares.values().all(|share| share.admitted == calls && share.in_flight == 0);
        let charged = wait(&host.host, done).await.shares.values().map(|it| it.cpu_ms).sum();
        measured.push((used, Duration::from_millis(charged)));
    }
    let (used, charged) = (measured[1].0 - measured[0].0, measured[1].1 - measured[0].1 * 2);
    let share = charged.as_secs_f64() / used.as_secs_f64();
    println!("charged {charged:?} of {used:?}: {share:.3}; of calls without work {:?}", measured[0]);
    assert!(used > Duration::from_millis(500), "too little to say anything: {used:?}");
    // In an unoptimised build, what the host does between two slices is a larger part.
    let least = if cfg!(debug_assertions) { 0.9 } else { 0.95 };
    assert!((least..=1.05).contains(&share), "charged {charged:?} of {used:?}");
}

/// Memory is charged by size and time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_charged_by_size_and_time() {
    let mut spec = share("kitchen", "kitchen-p2");
    spec.components[0].pool_size = Some(1);
    let host = TestHost::start(vec![spec]).await;
    assert_eq!(host.get("/grow?mib=32").await.status, 200);
    let of = |status: &HostStatus| {
        let share = &status.shares["default/kitchen@1"];
        (share.memory_bytes, share.memory_byte_seconds)
    };
    let (bytes, before) = of(&wait(&host.host, |it| of(it).0 >= 32 << 20).await);
    let begun = Instant::now();
    assert!(bytes < 40 << 20, "{bytes}");
    #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
    let size = bytes as f64;
    let (_, after) = of(&wait(&host.host, |it| of(it).1 - before >= 3.0 * size).await);
    let seconds = (after - before) / size;
    let passed = begun.elapsed().as_secs_f64();
    assert!((seconds - passed).abs() < 0.7, "{seconds} charged, {passed} passed");
}
