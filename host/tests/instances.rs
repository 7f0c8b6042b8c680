//! What bounds a component's instances, and what becomes of them: limits with causes of their own, retirement, crash loops, how many
//! calls one instance takes at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/host.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::join_all;
use penstock_api::snapshot::Share;
use penstock_host::{ShareState, ShareStatus};
use support::{TestHost, share, wait};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const KITCHENS: [&str; 2] = ["kitchen-p2", "kitchen-p3"];
const ID: &str = "default/kitchen@1";

fn kitchen(name: &str) -> Share {
    share("kitchen", name)
}

/// With one warm instance; of 0.3, one that takes several calls at once if `at_once` says so.
fn warm(name: &str, at_once: Option<u32>) -> Share {
    let mut spec = kitchen(name);
    spec.components[0].pool_size = Some(1);
    spec.components[0].max_concurrency = at_once;
    spec
}

/// Kinds of warm instances: both versions one call at a time, and 0.3 with several.
const WARM: [(&str, Option<u32>); 3] = [("kitchen-p2", None), ("kitchen-p3", None), ("kitchen-p3", Some(4))];

async fn instance(host: &TestHost) -> String {
    host.get("/counter").await.json()["instance"].to_string()
}

/// Asks until another instance answers.
async fn retires(host: &TestHost, first: &str, image: &str) {
    let until = tokio::time::Instant::now() + support::PATIENCE;
    while instance(host).await == first {
        assert!(tokio::time::Instant::now() < until, "{image}: it never retires");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until what the host counts is so.
async fn counted(host: &TestHost, done: impl Fn(&ShareStatus) -> bool) -> ShareStatus {
    let status = wait(&host.host, |status| status.shares.get(ID).is_some_and(&done)).await;
    status.shares[ID].clone()
}

/// How often a limit has stopped something.
fn hits(status: &ShareStatus, limit: &str) -> u64 {
    status.limits.get(limit).copied().unwrap_or(0)
}

/// A server that answers after a while; how many it had at once at most.
async fn slow_server(pause: Duration) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (now, most) = (now.clone(), most.clone());
            tokio::spawn(async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                tokio::time::sleep(pause).await;
                now.fetch_sub(1, SeqCst);
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
            });
        }
    });
    (address, seen)
}

// === limits ===

#[tokio::test(flavor = "multi_thread")]
async fn a_table_beyond_its_limit_is_refused_by_name() {
    let mut spec = kitchen("kitchen-p2");
    spec.components[0].table_limit = Some(1);
    let host = TestHost::start(vec![spec]).await;
    let why = host.failure(ID);
    assert!(why.contains("needed a table of more than its 1 elements (tableLimit)"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_cpu_have_causes_and_counts_of_their_own() {
    for image in KITCHENS {
        let mut spec = kitchen(image);
        spec.components[0].memory_limit_mib = Some(16);
        spec.components[0].cpu_limit_ms = Some(50);
        let host = TestHost::start(vec![spec]).await;
        for (path, status, cause) in [("/hog", 502, "guest-memory"), ("/spin", 504, "guest-cpu")] {
            let reply = host.get(path).await;
            let problem = reply.problem();
            assert_eq!(reply.status, status, "{image}{path}: {reply:?}");
            assert!(problem["type"].as_str().unwrap().ends_with(cause), "{image}{path}: {problem:?}");
        }

        let status = counted(&host, |it| hits(it, "memory") > 0 && hits(it, "cpu") > 0).await;
        assert_eq!((hits(&status, "outbound"), hits(&status, "response")), (0, 0), "{image}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_connection_waits_for_a_place() {
    for image in KITCHENS {
        let (server, most) = slow_server(Duration::from_millis(100)).await;
        let mut spec = kitchen(image);
        spec.components[0].allowed_hosts = vec!["*".into()];
        spec.components[0].outbound_limit = Some(2);
        let host = TestHost::start(vec![spec]).await;
        let path = format!("/fetch?url=http%3A%2F%2F{server}%2F");
        let replies = join_all((0..8).map(|_| host.get(&path))).await;
        assert!(replies.iter().all(|it| it.status == 200), "{image}: {replies:?}");
        assert_eq!(most.load(SeqCst), 2, "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_in_vain_is_told_so() {
    for image in KITCHENS {
        let (server, _) = slow_server(Duration::from_secs(20)).await;
        let mut spec = kitchen(image);
        spec.components[0].allowed_hosts = vec!["*".into()];
        spec.components[0].outbound_limit = Some(1);
        let host = TestHost::start(vec![spec]).await;
        let path = format!("/fetch?url=http%3A%2F%2F{server}%2F");
        let refused = {
            let replies = [host.get(&path), host.get(&path)].map(Box::pin);
            futures_util::future::select_all(replies).await.0
        };
        assert_eq!(refused.status, 502, "{image}: {refused:?}");
        assert!(refused.body.contains("ConnectionLimitReached"), "{image}: {refused:?}");
        counted(&host, |it| hits(it, "outbound") == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_beyond_its_limit_is_cut() {
    for (image, at_once) in WARM {
        let mut spec = warm(image, at_once);
        spec.components[0].response_limit_mib = Some(1);
        let host = TestHost::start(vec![spec]).await;
        let whole = host.get("/stream?chunks=4&size=200000").await;
        assert_eq!((whole.broken, whole.body.len()), (false, 800_000), "{image}");
        let cut = host.get("/stream?chunks=16&size=200000").await;
        assert!(cut.broken && cut.body.len() <= 1 << 20, "{image}: {} bytes", cut.body.len());
        // One that says so beforehand is not begun.
        let refused = host.get("/length?says=2000000&is=5").await;
        assert_eq!(refused.status, 502, "{image}");
        let problem = refused.problem();
        assert!(problem["type"].as_str().unwrap().ends_with("response-too-large"), "{image}: {problem:?}");
        assert!(
            problem["detail"].as_str().unwrap().contains("1 MiB in one response (responseLimitMiB)"),
            "{problem:?}"
        );
        counted(&host, |it| hits(it, "response") == 2).await;
        assert_eq!(host.get("/ok").await.status, 200, "{image}");
    }
}

// === pools ===

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_retires_by_age() {
    for (image, at_once) in WARM {
        let mut spec = warm(image, at_once);
        spec.components[0].max_age_ms = Some(300);
        let host = TestHost::start(vec![spec]).await;
        let first = instance(&host).await;
        retires(&host, &first, image).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_has_grown_large_retires() {
    for (image, at_once) in WARM {
        let mut spec = warm(image, at_once);
        spec.components[0].max_memory_mib = Some(8);
        let host = TestHost::start(vec![spec]).await;
        let first = instance(&host).await;
        assert_eq!(host.get("/grow?mib=1").await.status, 200);
        assert_eq!(instance(&host).await, first, "{image}: it is small enough");
        assert_eq!(host.get("/grow?mib=16").await.status, 200);
        // Shared ones are looked at now and then.
        retires(&host, &first, image).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_started_again_before_anybody_asks() {
    for (image, at_once) in WARM {
        let mut spec = warm(image, at_once);
        spec.components[0].pool_size = Some(3);
        let host = TestHost::start(vec![spec]).await;
        counted(&host, |it| (it.idle_instances, it.instances, it.cold_starts) == (3, 3, 0)).await;
        assert_eq!(host.get("/trap").await.status, 502);
        let status = counted(&host, |it| it.trapped == 1 && it.idle_instances == 3).await;
        assert_eq!((status.cold_starts, status.started_instances), (0, 4), "{image}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_said_and_ends_with_the_first_success() {
    for (image, at_once) in WARM {
        let host = TestHost::start(vec![warm(image, at_once)]).await;
        for _ in 0..4 {
            assert_eq!(host.get("/trap").await.status, 502);
        }
        assert_eq!(counted(&host, |it| it.trapped == 4).await.message, None, "{image}: four may be chance");
        assert_eq!(host.get("/trap").await.status, 502);
        let status = counted(&host, |it| it.message.is_some()).await;
        let message = status.message.unwrap();
        assert!(message.starts_with("crash loop: every call traps: component 'kitchen' of"), "{image}: {message}");
        assert_eq!(status.state, ShareState::Ready, "{image}: a request that traps keeps nobody else out");
        assert_eq!(host.get("/ok").await.status, 200, "{image}");
        counted(&host, |it| it.message.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_does_not_start_is_not_ready() {
    let mut spec = kitchen("kitchen-p2");
    spec.components[0].memory_limit_mib = Some(1);
    let host = TestHost::start(vec![spec]).await;
    let why = host.failure(ID);
    assert!(why.contains("needed more than its 1 MiB of memory (memoryLimitMiB)"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_takes_fewer_calls_at_once_while_they_compute() {
    let mut spec = warm("kitchen-p3", Some(16));
    spec.components[0].cpu_limit_ms = None;
    let host = TestHost::start(vec![spec]).await;
    // On a busy machine even calls that wait may look as if they computed, for a moment.
    let waiting = async {
        loop {
            let replies = join_all((0..200).map(|_| host.get("/sleep?ms=100"))).await;
            assert!(replies.iter().all(|it| it.status == 200), "{replies:?}");
        }
    };
    tokio::select! {
        () = waiting => {}
        status = counted(&host, |it| it.admitted >= 200 && it.instance_concurrency == 16) => {
            assert_eq!(status.instance_concurrency, 16, "who waits, waits side by side");
        }
    }
    let computing = async {
        loop {
            let replies = join_all((0..24).map(|_| host.get("/burn?ms=20"))).await;
            assert!(replies.iter().all(|it| it.status == 200), "{replies:?}");
        }
    };
    tokio::select! {
        () = computing => {}
        status = counted(&host, |it| it.instance_concurrency < 8) => {
            assert!(status.instance_concurrency >= 1, "{status:?}");
        }
    }
}

/// Six calls of a replica that is good for one.
async fn six_calls(host: &TestHost) -> Duration {
    let began = tokio::time::Instant::now();
    let replies = join_all((0..6).map(|_| host.get("/sleep?ms=400"))).await;
    assert!(replies.iter().all(|it| it.status == 200), "{replies:?}");
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_lent_at_once_and_taken_back() {
    let mut spec = kitchen("kitchen-p2");
    spec.capacity.concurrency = 1;
    let host = TestHost::start(vec![spec.clone()]).await;
    let alone = six_calls(&host).await;
    assert!(alone >= Duration::from_millis(2400), "one after another: {alone:?}");

    spec.capacity.burst = 8;
    let host = TestHost::start(vec![spec.clone()]).await;
    // A busy machine lends nothing: then it is asked again.
    let until = tokio::time::Instant::now() + support::PATIENCE;
    let lent = loop {
        let took = six_calls(&host).await;
        if took < Duration::from_millis(1200) {
            break took;
        }
        assert!(tokio::time::Instant::now() < until, "with room to lend they took {took:?}");
    };
    let status = counted(&host, |it| it.lent > 0).await;
    println!("six calls: {alone:?} alone, {lent:?} with room lent: {}", status.lent);
    assert_eq!((status.replicas, status.capacity, status.lent <= 5), (1, 1, true), "{status:?}");
    counted(&host, |it| it.lent == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_standby_a_share_without_replicas_answers() {
    let mut spec = kitchen("kitchen-p2");
    (spec.replicas, spec.standby) = (0, true);
    let host = TestHost::start(vec![spec]).await;
    assert_eq!(host.get("/sleep?ms=1").await.status, 200);
    let status = counted(&host, |it| it.served == 1).await;
    assert_eq!((status.replicas, status.capacity, status.instances), (0, 0, 0), "nothing is kept for it: {status:?}");
}
