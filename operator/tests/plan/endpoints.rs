//! From a Service and its hosts to EndpointSlices.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use penstock_operator::plan::{
    HostAddress, HostState,
    endpoints::{Changes, Endpoint, EndpointState, ReadyShare, SLICE_LIMIT, findings, recorded_ports, slices, states},
};
use proptest::prelude::*;

use super::fleet::{address, id};

fn service(spec: &str) -> Service {
    let json = format!(r#"{{"metadata": {{"name": "s", "namespace": "default", "uid": "u1"}}, "spec": {spec}}}"#);
    serde_json::from_str(&json).unwrap()
}

fn http() -> Service {
    service(r#"{"clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "ports": [{"name": "http", "port": 80}]}"#)
}

fn ports() -> BTreeMap<String, u16> {
    BTreeMap::from([("http".to_owned(), 20_001)])
}

fn endpoint(name: &str, number: u8, state: EndpointState) -> Endpoint {
    Endpoint { host: address(name, number), state }
}

fn ready(count: usize) -> Vec<Endpoint> {
    let endpoint = |it: usize| Endpoint {
        host: Arc::new(HostAddress {
            addresses: vec![IpAddr::from([
                10,
                1,
                u8::try_from(it / 250).unwrap(),
                u8::try_from(it % 250 + 1).unwrap(),
            ])],
            ..(*address(&format!("h{it:03}"), 1)).clone()
        }),
        state: EndpointState::Ready,
    };
    (0..count).map(endpoint).collect()
}

/// The API server after the changes.
fn apply(existing: &[Arc<EndpointSlice>], changes: &Changes) -> Vec<Arc<EndpointSlice>> {
    let name = |it: &EndpointSlice| it.metadata.name.clone().unwrap();
    let mut all: BTreeMap<String, Arc<EndpointSlice>> = existing.iter().map(|it| (name(it), it.clone())).collect();
    for it in &changes.delete {
        all.remove(it).expect("it is there");
    }
    all.extend(changes.apply.iter().map(|it| (name(it), Arc::new(it.clone()))));
    all.into_values().collect()
}

fn hosts_of(slices: &[Arc<EndpointSlice>]) -> Vec<String> {
    let endpoints = slices.iter().flat_map(|it| it.endpoints.iter().flatten());
    let mut hosts: Vec<String> = endpoints.map(|it| it.target_ref.clone().unwrap().name.unwrap()).collect();
    hosts.sort();
    hosts
}

#[test]
fn a_slice_says_all_there_is_to_say() {
    let changes = slices(&http(), &ports(), &[endpoint("h1", 7, EndpointState::Ready)], &[]);
    let json = serde_json::to_value(&changes.apply).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "s-penstock-v4-0", "namespace": "default",
                "labels": {
                    "kubernetes.io/service-name": "s",
                    "endpointslice.kubernetes.io/managed-by": "penstock",
                },
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "s", "uid": "u1"}],
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 20001, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": ["10.0.0.7"],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "node-h1", "zone": "z1",
                "targetRef": {"kind": "Pod", "namespace": "penstock-system", "name": "h1", "uid": "uid-h1"},
            }],
        }])
    );
    assert_eq!(recorded_ports(&http(), &changes.apply[0]), [("http".to_owned(), 20_001)]);
    let existing = apply(&[], &changes);
    assert!(slices(&http(), &ports(), &[endpoint("h1", 7, EndpointState::Ready)], &existing).is_empty());
}

#[test]
fn ports_have_the_services_names() {
    let both = service(
        r#"{"ipFamilies": ["IPv4"], "ports": [{"name": "grpc", "port": 90, "appProtocol": "kubernetes.io/h2c"}, {"name": "left-out", "port": 91}]}"#,
    );
    let changes = slices(&both, &BTreeMap::from([("grpc".to_owned(), 20_002)]), &ready(1), &[]);
    let ports = serde_json::to_value(&changes.apply[0].ports).unwrap();
    let expected =
        serde_json::json!([{"name": "grpc", "port": 20002, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}]);
    assert_eq!(ports, expected);
    // A port without a name goes by its number, in everything but the slice.
    let unnamed = service(r#"{"ipFamilies": ["IPv4"], "ports": [{"port": 80}]}"#);
    let changes = slices(&unnamed, &BTreeMap::from([("80".to_owned(), 20_003)]), &ready(1), &[]);
    assert_eq!(changes.apply[0].ports.as_ref().unwrap()[0].name.as_deref(), Some(""));
    assert_eq!(recorded_ports(&unnamed, &changes.apply[0]), [("80".to_owned(), 20_003)]);
}

#[test]
fn each_family_has_its_slices() {
    let mut host = (*address("h1", 1)).clone();
    host.addresses = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let endpoints = [Endpoint { host: Arc::new(host.clone()), state: EndpointState::Ready }];
    let types = |families: &str| -> Vec<String> {
        let service = service(&format!(r#"{{"ipFamilies": {families}, "ports": [{{"name": "http", "port": 80}}]}}"#));
        slices(&service, &ports(), &endpoints, &[]).apply.into_iter().map(|it| it.address_type).collect()
    };
    assert_eq!(types(r#"["IPv4"]"#), ["IPv4"]);
    assert_eq!(types(r#"["IPv6"]"#), ["IPv6"]);
    assert_eq!(types(r#"["IPv4", "IPv6"]"#), ["IPv4", "IPv6"]);
    assert_eq!(types("[]"), ["IPv4", "IPv6"]);
    // The API server refuses these addresses: the host is no endpoint then.
    for address in ["127.0.0.1", "169.254.1.1", "0.0.0.0", "::1", "fe80::1", "ff02::1"] {
        host.addresses = vec![address.parse().unwrap()];
        let endpoints = [Endpoint { host: Arc::new(host.clone()), state: EndpointState::Ready }];
        let changes = slices(&service(r#"{"ports": [{"name": "http", "port": 80}]}"#), &ports(), &endpoints, &[]);
        assert!(changes.apply.iter().all(|it| it.endpoints.as_ref().unwrap().is_empty()), "{address}");
    }
}

#[test]
fn states_are_what_they_are() {
    let endpoints = [
        endpoint("h1", 1, EndpointState::Ready),
        endpoint("h2", 2, EndpointState::Leaving),
        endpoint("h3", 3, EndpointState::Gone),
    ];
    let changes = slices(&http(), &ports(), &endpoints, &[]);
    let conditions: Vec<_> = (changes.apply[0].endpoints.iter().flatten())
        .map(|it| it.conditions.clone().unwrap())
        .map(|it| (it.ready.unwrap(), it.serving.unwrap(), it.terminating.unwrap()))
        .collect();
    assert_eq!(conditions, [(true, true, false), (false, true, true), (false, false, true)]);
}

#[test]
fn a_change_writes_what_it_changes() {
    let existing = apply(&[], &slices(&http(), &ports(), &ready(250), &[]));
    assert_eq!(existing.len(), 3);
    let write = |endpoints: &[Endpoint]| slices(&http(), &ports(), endpoints, &existing);
    let mut one_leaves = ready(250);
    one_leaves[120].state = EndpointState::Leaving;
    let changes = write(&one_leaves);
    assert_eq!((changes.apply.len(), changes.delete.len()), (1, 0));
    let mut one_less = ready(250);
    one_less.remove(120);
    assert_eq!(write(&one_less).apply.len(), 1);
    // New ones go into the one slice that has room; only what does not fit needs a new one.
    let changes = write(&ready(270));
    assert_eq!((changes.apply.len(), changes.delete.len()), (1, 0));
    let changes = write(&ready(320));
    assert_eq!(hosts_of(&apply(&existing, &changes)).len(), 320);
    assert_eq!(
        (changes.apply.len(), changes.delete.len()),
        (1, 0),
        "a new slice for all of them, nothing else is written"
    );
    // Empty ones go, but for the one that records the port.
    let changes = write(&[]);
    assert_eq!((changes.apply.len(), changes.delete.len()), (1, 2));
    assert_eq!(recorded_ports(&http(), &changes.apply[0]), [("http".to_owned(), 20_001)]);
    // Without a listener there is nothing to record.
    let changes = slices(&http(), &BTreeMap::new(), &[], &existing);
    assert_eq!((changes.apply.len(), changes.delete.len()), (0, 3));
}

#[test]
fn what_comes_goes_where_something_has_gone() {
    let without = |count: usize, gone: &[&str]| -> Vec<Endpoint> {
        ready(count).into_iter().filter(|it| !gone.contains(&it.host.id.as_str())).collect()
    };
    let existing = apply(&[], &slices(&http(), &ports(), &ready(150), &[]));
    let existing = apply(&existing, &slices(&http(), &ports(), &without(150, &["h149"]), &existing));
    let sizes: BTreeSet<usize> = existing.iter().map(|it| it.endpoints.as_ref().unwrap().len()).collect();
    assert_eq!(sizes, BTreeSet::from([50, 99]));
    // The emptier slice is written anyway: the other, which has room as well, stays as it is.
    let changes = slices(&http(), &ports(), &without(151, &["h149", "h000"]), &existing);
    assert_eq!((changes.apply.len(), changes.delete.len()), (1, 0));
}

#[test]
fn what_somebody_edited_is_put_right() {
    let existing = apply(&[], &slices(&http(), &ports(), &ready(3), &[]));
    type Edit<'e> = (&'e str, &'e dyn Fn(&mut EndpointSlice));
    let edits: [Edit<'_>; 7] = [
        ("a port", &|it| it.ports.as_mut().unwrap()[0].port = Some(8080)),
        ("a label", &|it| drop(it.metadata.labels.as_mut().unwrap().remove("kubernetes.io/service-name"))),
        ("the owner", &|it| it.metadata.owner_references = None),
        ("an address", &|it| it.endpoints.as_mut().unwrap()[1].addresses = vec!["10.9.9.9".into()]),
        ("an endpoint less", &|it| drop(it.endpoints.as_mut().unwrap().remove(0))),
        ("an endpoint more", &|it| {
            let more = it.endpoints.as_ref().unwrap()[0].clone();
            it.endpoints.as_mut().unwrap().push(more);
        }),
        ("a condition", &|it| it.endpoints.as_mut().unwrap()[0].conditions = None),
    ];
    for (about, edit) in edits {
        let mut edited = (*existing[0]).clone();
        edit(&mut edited);
        let edited = vec![Arc::new(edited)];
        let changes = slices(&http(), &ports(), &ready(3), &edited);
        assert_eq!((changes.apply.len(), changes.delete.len()), (1, 0), "{about}");
        let after = apply(&edited, &changes);
        assert_eq!(hosts_of(&after), ["h000", "h001", "h002"], "{about}");
        assert!(slices(&http(), &ports(), &ready(3), &after).is_empty(), "{about}");
    }
    // What others add to it is theirs.
    let mut marked = (*existing[0]).clone();
    marked.metadata.labels.as_mut().unwrap().insert("team".into(), "a".into());
    marked.metadata.resource_version = Some("7".into());
    assert!(slices(&http(), &ports(), &ready(3), &[Arc::new(marked)]).is_empty());
    // One that is being deleted counts no more, and its name is not used until it is gone.
    let mut deleted = (*existing[0]).clone();
    deleted.metadata.deletion_timestamp = serde_json::from_str("\"2026-11-01T00:00:00Z\"").unwrap();
    let changes = slices(&http(), &ports(), &ready(3), &[Arc::new(deleted)]);
    assert_eq!(changes.apply[0].metadata.name.as_deref(), Some("s-penstock-v4-1"));
}

#[test]
fn a_headless_service_is_told_so() {
    let headless = service(r#"{"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}"#);
    assert_eq!(findings(&headless)[0].reason, "HeadlessService");
    let labels = slices(&headless, &ports(), &ready(1), &[]).apply[0].metadata.labels.clone().unwrap();
    assert_eq!(labels.get("service.kubernetes.io/headless").map(String::as_str), Some(""));
    assert!(findings(&http()).is_empty());
}

#[test]
fn an_endpoint_serves_all_that_is_routed_to_it() {
    // what it is about, shares (`deployment@host`, `-`: it is to leave), states of hosts, endpoints
    let cases = [
        ("one workload", "a@h1 a@h2", "", "h1:Ready h2:Ready"),
        ("the last share is to leave", "a@h1 a@h2-", "", "h1:Ready h2:Leaving"),
        ("all are to leave", "a@h1- a@h2-", "", "h1:Leaving h2:Leaving"),
        ("a pod that is being deleted", "a@h1 a@h2", "h2:Terminating", "h1:Ready h2:Leaving"),
        ("a cordoned host serves on", "a@h1 a@h2", "h2:Cordoned", "h1:Ready h2:Ready"),
        ("a lost host", "a@h1 a@h2", "h2:Lost", "h1:Ready"),
        ("two workloads: where both are", "a@h1 a@h2 b@h2", "", "h2:Ready"),
        ("one of the two is ready nowhere", "a@h1 a@h2", "", "h1:Ready h2:Ready"),
        ("they meet nowhere", "a@h1 b@h2", "", "h1:Ready h2:Ready"),
        ("one of the two is to leave", "a@h1 b@h1 a@h2 b@h2-", "", "h1:Ready h2:Leaving"),
        ("nothing is ready", "", "", ""),
    ];
    for (about, shares, hosts, expected) in cases {
        let share = |it: &str| {
            let (deployment, host) = it.trim_end_matches('-').split_once('@').unwrap();
            ReadyShare { deployment: deployment.into(), host: id(host), stays: !it.ends_with('-') }
        };
        let shares: Vec<ReadyShare> = shares.split_whitespace().map(share).collect();
        let state = |host: &penstock_operator::plan::HostId| match hosts.split_once(':') {
            Some((name, "Terminating")) if name == host.as_str() => HostState::Terminating,
            Some((name, "Cordoned")) if name == host.as_str() => HostState::Cordoned,
            Some((name, "Lost")) if name == host.as_str() => HostState::Lost,
            _ => HostState::Live,
        };
        let got: Vec<String> = states(&shares, &state).iter().map(|(host, it)| format!("{host}:{it:?}")).collect();
        assert_eq!(got.join(" "), expected, "{about}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However hosts come and go: every host is in exactly one slice, none has more than 100, nothing is written that did
    /// not change, and a second look changes nothing.
    #[test]
    fn slices_follow_their_hosts(rounds in prop::collection::vec(prop::collection::btree_set(0..400_usize, 0..300), 1..6)) {
        let mut existing: Vec<Arc<EndpointSlice>> = Vec::new();
        let all = ready(400);
        let mut before = BTreeSet::new();
        for round in rounds {
            let endpoints: Vec<Endpoint> = round.iter().map(|it| all[*it].clone()).collect();
            let changes = slices(&http(), &ports(), &endpoints, &existing);
            let changed = before.symmetric_difference(&round).count();
            prop_assert!(changes.apply.len() + changes.delete.len() <= changed + 1);
            existing = apply(&existing, &changes);
            let names: Vec<String> = round.iter().map(|it| format!("h{it:03}")).collect();
            prop_assert_eq!(hosts_of(&existing), names);
            prop_assert!(existing.iter().all(|it| it.endpoints.as_ref().unwrap().len() <= SLICE_LIMIT));
            prop_assert!(slices(&http(), &ports(), &endpoints, &existing).is_empty());
            before = round;
        }
    }
}
