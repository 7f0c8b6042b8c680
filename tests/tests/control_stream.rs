//! The control stream between the operator's own server and the host's own client: real TLS, real gRPC, on loopback. Whose
//! token it is, is answered by a table in the API server's stead; what runs are hosts without components.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "control/support.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use penstock_api::snapshot::Snapshot;
use penstock_host::control::Store;
use penstock_operator::hosts::{HostEvent, Leader, ShareState};
use penstock_tests::process::free_port;

use self::support::{Files, PATIENCE, Server, hello, snapshot};

#[tokio::test]
async fn a_host_says_who_it_is_and_answers_for_what_it_is_given() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let host = server.connect(&files, "host-a");
    let said = hello(server.event().await);
    assert_eq!(
        (said.host.as_str(), said.pod_uid.as_str(), said.node.as_deref()),
        ("host-a", "uid-host-a", Some("node-1"))
    );
    assert_eq!((said.instances, said.snapshot_version, said.os_name.as_str()), (1000, 0, "linux"));

    let pushed = snapshot(1, &["ns/a@1", "ns/b@1"]);
    assert!(server.hosts.push(&said.host, Arc::new(pushed.clone())));
    let given = host.given(PATIENCE, |it| it.version == 1).await.unwrap();
    assert_eq!(*given, pushed, "it arrives as it was pushed");
    let report = server.report(|report| report.version == 1).await;
    assert_eq!(report.follows, 1);
    assert!(report.shares.values().all(|share| share.state == ShareState::Ready));
    assert!(report.listeners["shared"].bound);

    // One that does not start is told in the host's own words, and its neighbour is not touched.
    host.host.fail("ns/b@1", "component 'b': the registry has no such image");
    let report = server.report(|report| report.shares["ns/b@1"].state == ShareState::Failed).await;
    assert_eq!(report.shares["ns/b@1"].message.as_deref(), Some("component 'b': the registry has no such image"));
    assert_eq!(report.shares["ns/a@1"].state, ShareState::Ready);
    host.host.mend();
    let report = server.report(|report| report.shares["ns/b@1"].state == ShareState::Ready).await;
    assert_eq!(report.shares["ns/b@1"].message, None);

    // What is gone from the snapshot is gone from the report.
    server.hosts.push(&said.host, Arc::new(snapshot(2, &["ns/a@1"])));
    let report = server.report(|report| report.version == 2).await;
    assert_eq!(report.shares.len(), 1);

    host.host.change(|status| status.leaving = true);
    server.report(|report| report.leaving).await;
    drop(host);
    assert_eq!(server.gone().await.as_str(), "host-a");
}

#[tokio::test]
async fn of_many_snapshots_the_last_one_counts() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let host = server.connect(&files, "host-a");
    let id = hello(server.event().await).host;
    for version in 1..=500 {
        server.hosts.push(&id, Arc::new(snapshot(version, &["ns/a@1"])));
    }
    host.given(PATIENCE, |it| it.version == 500).await.unwrap();
    server.report(|report| report.version == 500).await;
}

#[tokio::test]
async fn load_is_told_when_it_changes() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let host = server.connect(&files, "host-a");
    let id = hello(server.event().await).host;
    server.hosts.push(&id, Arc::new(snapshot(1, &["ns/a@1"])));
    server.report(|report| report.version == 1).await;
    host.host.change(|status| status.shares.get_mut("ns/a@1").unwrap().in_flight = 7);
    loop {
        if let HostEvent::Signals { machine, signals, .. } = server.event().await {
            assert!(machine.memory_total > 0 && machine.memory_free > 0, "{machine:?}");
            if signals.iter().any(|signal| signal.share == "ns/a@1" && signal.counters.in_flight == 7) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn only_a_pods_own_token_counts() {
    let files = Files::new(&["host-a", "host-b"]);
    let server = Server::start(&files).await;
    // A token that nobody knows.
    std::fs::write(files.token("nobody"), "forged").unwrap();
    let host = server.connect(&files, "nobody");
    let trouble = support::trouble(&host).await;
    assert!(trouble.contains("not valid"), "{trouble}");
    // Another pod's.
    std::fs::copy(files.token("host-b"), files.token("host-a")).unwrap();
    let host = server.connect(&files, "host-a");
    let trouble = support::trouble(&host).await;
    assert!(trouble.contains("pod host-b, which cannot speak for host-a"), "{trouble}");
    assert_eq!(server.hosts.connected(), 0);
    // The right one, put in its place: it is read anew for each attempt.
    std::fs::write(files.token("host-a"), "token-host-a").unwrap();
    support::until(|| host.connected()).await;
}

#[tokio::test]
async fn a_newer_stream_of_the_same_pod_takes_the_place_of_the_older() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let old = server.connect(&files, "host-a");
    let id = hello(server.event().await).host;
    server.hosts.push(&id, Arc::new(snapshot(1, &["ns/a@1"])));
    old.given(PATIENCE, |it| it.version == 1).await.unwrap();
    // The same container, started again while its last connection is not known to be dead.
    let new = server.connect(&files, "host-a");
    let said = server.connected(|hello| hello.snapshot_version == 0).await;
    assert_eq!(said.host, id);
    // The older one does not give up: whoever is there last, of two that both live, has the place.
    drop(old);
    support::until(|| {
        server.hosts.push(&id, Arc::new(snapshot(2, &["ns/a@1"])));
        new.host.snapshot().borrow().version == 2
    })
    .await;
    assert_eq!(server.hosts.connected(), 1);
}

#[tokio::test]
async fn a_certificate_is_rotated_without_an_end_and_an_expired_one_is_refused() {
    let files = Files::new(&["host-a", "host-b"]);
    let mut server = Server::start(&files).await;
    let host = server.connect(&files, "host-a");
    let id = hello(server.event().await).host;
    // Made half a year ago.
    let old = files.material(jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 180));
    files.publish(&old);
    server.certificates.set(&old).unwrap();
    let late = server.connect(&files, "host-b");
    let trouble = support::trouble(&late).await;
    assert!(trouble.to_lowercase().contains("expired"), "{trouble}");
    // The stream that was open does not notice, neither of the expired one nor of the next.
    let new = penstock_operator::hosts::Material::renew(Some(&old), &support::names(), jiff::Timestamp::now()).unwrap();
    assert!(new.changed);
    server.certificates.set(&new.material).unwrap();
    support::until(|| late.connected()).await;
    server.hosts.push(&id, Arc::new(snapshot(1, &["ns/a@1"])));
    host.given(PATIENCE, |it| it.version == 1).await.unwrap();
}

#[tokio::test]
async fn an_operator_that_nobody_vouches_for_is_told_nothing() {
    let files = Files::new(&["host-a"]);
    let server = Server::start(&files).await;
    files.publish(&files.material(jiff::Timestamp::now()));
    let host = server.connect(&files, "host-a");
    let trouble = support::trouble(&host).await;
    assert!(trouble.contains("certificate"), "{trouble}");
    assert_eq!(server.hosts.connected(), 0);
}

#[tokio::test]
async fn a_host_comes_back_to_a_new_operator_and_says_what_it_follows() {
    let files = Files::new(&["host-a"]);
    let address = free_port().unwrap();
    let mut server = Server::start_at(&files, address).await;
    let host = server.connect(&files, "host-a");
    let id = hello(server.event().await).host;
    server.hosts.push(&id, Arc::new(snapshot(41, &["ns/a@1"])));
    server.report(|report| report.version == 41).await;
    server.stop().await;
    support::until(|| !host.connected()).await;
    assert_eq!(host.host.snapshot().borrow().version, 41, "it goes on with what it has");

    let mut server = Server::start_at(&files, address).await;
    let said = hello(server.event().await);
    assert_eq!((said.host.as_str(), said.snapshot_version), ("host-a", 41));
    // Without being told anything it says how it stands.
    let report = server.report(|report| report.version == 41).await;
    assert_eq!(report.shares.len(), 1);
}

#[tokio::test]
async fn without_an_operator_a_host_starts_from_disk() {
    let files = Files::new(&["host-a"]);
    let store = || Store::open(files.path("state"), Some(files.path("secrets"))).unwrap();
    let address = free_port().unwrap();
    let mut given = snapshot(3, &["ns/a@1", "ns/b@1"]);
    given.shares[1].components = vec![penstock_api::snapshot::Component {
        environment: [("PASSWORD".to_owned(), "hunter2".to_owned())].into(),
        ..Default::default()
    }];
    {
        let mut server = Server::start_at(&files, address).await;
        let host = server.operator(&files).connect("host-a", &files.token("host-a"), Some(store())).unwrap();
        let id = hello(server.event().await).host;
        server.hosts.push(&id, Arc::new(given.clone()));
        support::until(|| store().load().unwrap().is_some_and(|it| it.version == 3)).await;
        drop(host);
        server.stop().await;
    }
    // Nobody is there now.
    let nobody = support::operator(&files, address);
    let host = nobody.connect("host-a", &files.token("host-a"), Some(store())).unwrap();
    assert_eq!(**host.host.snapshot().borrow(), given, "secrets included");
    support::trouble(&host).await;
    // Once somebody is, the host says what it runs, and follows on.
    let mut server = Server::start_at(&files, address).await;
    let said = hello(server.event().await);
    assert_eq!(said.snapshot_version, 3);
    server.report(|report| report.version == 3 && report.shares.len() == 2).await;
    server.hosts.push(&said.host, Arc::new(snapshot(4, &[])));
    host.given(PATIENCE, |it| it.version == 4).await.unwrap();
}

#[tokio::test]
async fn a_follower_sends_hosts_to_the_leader() {
    let files = Files::new(&["host-a"]);
    let mut leader = Server::start(&files).await;
    let mut follower = Server::start(&files).await;
    follower.hosts.set_leader(Leader::At(leader.address.to_string()));
    let host = follower.connect(&files, "host-a");
    let id = hello(leader.event().await).host;
    support::until(|| host.connected()).await;
    assert_eq!(follower.hosts.connected(), 0);
    // They change places: the host follows.
    follower.hosts.set_leader(Leader::Me);
    leader.hosts.set_leader(Leader::At(follower.address.to_string()));
    assert_eq!(leader.gone().await, id);
    assert_eq!(hello(follower.event().await).host, id);
    follower.hosts.push(&id, Arc::new(snapshot(1, &["ns/a@1"])));
    host.given(PATIENCE, |it| it.version == 1).await.unwrap();
    // Nobody knows who leads: the host asks again until somebody does.
    follower.hosts.set_leader(Leader::Unknown);
    assert_eq!(follower.gone().await, id);
    support::trouble(&host).await;
    follower.hosts.set_leader(Leader::Me);
    assert_eq!(follower.connected(|hello| hello.snapshot_version == 1).await.host, id);
}

#[tokio::test]
async fn the_way_to_the_leader_is_told_once() {
    let names: Vec<String> = (0..40).map(|number| format!("host-{number}")).collect();
    let files = Files::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let leader = Server::start(&files).await;
    let follower = Server::start(&files).await;
    follower.hosts.set_leader(Leader::At(leader.address.to_string()));
    let hosts: Vec<_> = names.iter().map(|name| follower.connect(&files, name)).collect();
    support::until(|| leader.hosts.connected() == hosts.len()).await;
    for host in &hosts {
        assert_eq!(host.attempts(), 2, "the follower's word came through: {:?}", host.trouble());
    }
}

#[tokio::test]
async fn a_snapshot_as_large_as_they_come() {
    let files = Files::new(&["host-a"]);
    let mut server = Server::start(&files).await;
    let host = server.connect(&files, "host-a");
    let id = hello(server.event().await).host;
    let names: Vec<String> = (0..10_000).map(|number| format!("ns/workload-{number}@0123456789")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let large: Snapshot = snapshot(1, &names);
    server.hosts.push(&id, Arc::new(large));
    host.given(Duration::from_secs(60), |it| it.version == 1).await.unwrap();
    assert_eq!(server.report(|report| report.version == 1).await.shares.len(), 10_000);
}
