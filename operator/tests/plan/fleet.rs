//! Short ways to write hosts.

use std::{collections::BTreeMap, sync::Arc};

use penstock_operator::plan::{Held, HostAddress, HostId, HostState, HostView};

pub(super) fn id(name: &str) -> HostId {
    HostId::from(name)
}

/// A live host without a limit. `name` may have a zone: `h1/a`.
pub(super) fn host(name: &str) -> HostView {
    let (name, zone) = name.split_once('/').map_or((name, None), |(name, zone)| (name, Some(zone)));
    HostView {
        id: id(name),
        labels: Arc::new(BTreeMap::from([("hostgroup".to_owned(), "default".to_owned())])),
        environment: "penstock-system".into(),
        zone: zone.map(Into::into),
        state: HostState::Live,
        capacity: None,
        used: 0,
    }
}

/// `h1/a h2/a h3/b`.
pub(super) fn hosts(names: &str) -> Vec<HostView> {
    names.split_whitespace().map(host).collect()
}

/// `h1:3 h2:2`: all ready; `h1:3/1`: one of three is.
pub(super) fn held(text: &str) -> BTreeMap<HostId, Held> {
    let one = |it: &str| {
        let (name, counts) = it.split_once(':').unwrap();
        let (replicas, ready) = counts.split_once('/').unwrap_or((counts, counts));
        (id(name), Held { replicas: replicas.parse().unwrap(), ready: ready.parse().unwrap() })
    };
    text.split_whitespace().map(one).collect()
}

pub(super) fn shares(text: &str) -> BTreeMap<HostId, u32> {
    held(text).into_iter().map(|(host, it)| (host, it.replicas)).collect()
}

/// The other way round.
pub(super) fn text(shares: &BTreeMap<HostId, u32>) -> String {
    shares.iter().map(|(host, replicas)| format!("{host}:{replicas}")).collect::<Vec<_>>().join(" ")
}

pub(super) fn address(name: &str, number: u8) -> Arc<HostAddress> {
    Arc::new(HostAddress {
        id: id(name),
        namespace: "penstock-system".into(),
        pod_uid: format!("uid-{name}").into(),
        node: Some(format!("node-{name}").into()),
        zone: Some("z1".into()),
        addresses: vec![[10, 0, 0, number].into()],
    })
}
