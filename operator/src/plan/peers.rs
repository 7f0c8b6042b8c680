//! Who passes calls on to whom: pure.
//!
//! A host is told of a few others with the same share, not of all: to choose well between two, a few are enough, and what is
//! told each second grows with the number of hosts and not with its square. Each is told of those after it in the order of
//! their names, so that everybody is told of by as many.

use std::{collections::BTreeMap, net::SocketAddr};

use penstock_api::control::{Peer, PeerShare, Peers};

/// So many others are told of for each share.
const PEERS: usize = 16;

/// A host that takes calls of others.
#[derive(Clone, Debug)]
pub struct SpillingHost<'a> {
    /// The pod's name.
    pub id: &'a str,
    /// Where it takes them.
    pub address: SocketAddr,
    /// Its shares that do.
    pub shares: Vec<PeerShare>,
}

/// What each of the hosts is to know, by its name.
#[must_use]
pub fn peers<'a>(hosts: &[SpillingHost<'a>]) -> BTreeMap<&'a str, Peers> {
    let mut hosts: Vec<&SpillingHost<'a>> = hosts.iter().collect();
    hosts.sort_by_key(|it| it.id);
    let mut having: BTreeMap<&str, Vec<(usize, &PeerShare)>> = BTreeMap::new();
    for (place, host) in hosts.iter().enumerate() {
        for share in &host.shares {
            having.entry(&share.id).or_default().push((place, share));
        }
    }
    // For each host, of each other one, the shares that both have.
    let mut told: Vec<BTreeMap<usize, Vec<PeerShare>>> = vec![BTreeMap::new(); hosts.len()];
    for ring in having.values() {
        for (at, (place, _)) in ring.iter().enumerate() {
            let after = ring.iter().cycle().skip(at + 1).take(PEERS.min(ring.len() - 1));
            if let Some(of) = told.get_mut(*place) {
                after.for_each(|(other, share)| of.entry(*other).or_default().push((*share).clone()));
            }
        }
    }
    let name = |place: usize, shares: Vec<PeerShare>| {
        let host = hosts.get(place)?;
        Some(Peer { host_id: host.id.to_owned(), address: host.address.to_string(), shares })
    };
    let of = |told: BTreeMap<usize, Vec<PeerShare>>| Peers {
        peers: told.into_iter().filter_map(|(place, shares)| name(place, shares)).collect(),
    };
    hosts.iter().map(|it| it.id).zip(told.into_iter().map(of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host<'a>(id: &'a str, shares: &[(&str, u64)]) -> SpillingHost<'a> {
        let share =
            |(id, in_flight): &(&str, u64)| PeerShare { id: (*id).to_owned(), capacity: 10, in_flight: *in_flight };
        SpillingHost { id, address: ([10, 0, 0, 1], 9444).into(), shares: shares.iter().map(share).collect() }
    }

    fn told(peers: &Peers) -> Vec<(&str, Vec<(&str, u64)>)> {
        let of = |it| -> (&str, Vec<(&str, u64)>) {
            let Peer { host_id, shares, .. }: &Peer = it;
            (host_id, shares.iter().map(|it| (it.id.as_str(), it.in_flight)).collect())
        };
        peers.peers.iter().map(of).collect()
    }

    #[test]
    fn each_is_told_of_the_others_that_have_the_same() {
        let hosts = [host("c", &[("x", 3), ("y", 1)]), host("a", &[("x", 1)]), host("b", &[("x", 2), ("z", 9)])];
        let peers = peers(&hosts);
        assert_eq!(told(&peers["a"]), [("b", vec![("x", 2)]), ("c", vec![("x", 3)])]);
        assert_eq!(told(&peers["c"]), [("a", vec![("x", 1)]), ("b", vec![("x", 2)])]);
        assert_eq!(peers["a"].peers[0].address, "10.0.0.1:9444");
        assert_eq!(told(&super::peers(&[host("a", &[("x", 1)])])["a"]), []);
    }

    #[test]
    fn of_many_each_is_told_of_some_and_told_of_as_often() {
        let names: Vec<String> = (0..100).map(|it| format!("host-{it:02}")).collect();
        let hosts: Vec<_> = names.iter().map(|it| host(it, &[("x", 0)])).collect();
        let peers = peers(&hosts);
        let mut named = BTreeMap::new();
        for (host, told) in &peers {
            assert_eq!(told.peers.len(), PEERS);
            assert!(told.peers.iter().all(|it| it.host_id != *host));
            told.peers.iter().for_each(|it| *named.entry(it.host_id.clone()).or_insert(0) += 1);
        }
        assert!(named.len() == 100 && named.values().all(|it| *it == PEERS), "{named:?}");
    }
}
