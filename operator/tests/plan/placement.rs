//! Where replicas go, and how they get there.

use std::collections::{BTreeMap, BTreeSet};

use penstock_api::workload::{TopologySpread, Unsatisfiable};
use penstock_operator::plan::{
    Held, HostId, HostState, HostView, Placement, Spread,
    placement::{place, settle},
};
use proptest::prelude::*;

use super::fleet::{held, host, hosts, id, shares, text};

fn zones(when: Option<Unsatisfiable>) -> Vec<TopologySpread> {
    vec![TopologySpread {
        topology_key: "topology.kubernetes.io/zone".into(),
        max_skew: None,
        when_unsatisfiable: when,
    }]
}

fn moves(current: &BTreeMap<HostId, Held>, goal: &BTreeMap<HostId, u32>) -> u32 {
    current.iter().map(|(host, it)| it.replicas.saturating_sub(goal.get(host).copied().unwrap_or(0))).sum()
}

#[test]
fn replicas_are_even_and_stay_where_they_are() {
    // what it is about, hosts, current, replicas, goal
    let cases = [
        ("38 on three", "h1 h2 h3", "h1:13 h2:13 h3:12", 38, "h1:13 h2:13 h3:12"),
        ("nothing moves for one that is off by one", "h1 h2 h3", "h1:2 h2:1 h3:1", 4, "h1:2 h2:1 h3:1"),
        ("scale out fills the emptier", "h1 h2 h3", "h1:2 h2:1 h3:1", 6, "h1:2 h2:2 h3:2"),
        ("scale in takes from the fuller", "h1 h2 h3", "h1:2 h2:3 h3:2", 6, "h1:2 h2:2 h3:2"),
        ("scale in takes what is not ready", "h1 h2 h3", "h1:1 h2:1/0 h3:1", 2, "h1:1 h3:1"),
        ("wherever that is", "h1 h2 h3", "h1:1/0 h2:1 h3:1", 2, "h2:1 h3:1"),
        ("also here", "h1 h2 h3", "h1:1 h2:1 h3:1/0", 2, "h1:1 h2:1"),
        ("a new host gets its part", "h1 h2 h3", "h1:3 h2:3", 6, "h1:2 h2:2 h3:2"),
        ("a lost host's part goes to the others", "h1 h2", "h1:2 h2:2 h3:2", 6, "h1:3 h2:3"),
        ("nothing wanted", "h1 h2", "h1:2 h2:2", 0, ""),
        ("no host", "", "h1:2", 2, ""),
    ];
    for (about, names, current, replicas, goal) in cases {
        let placed = place(replicas, &held(current), &hosts(names), &Spread::default());
        assert_eq!(text(&placed.shares), goal, "{about}");
        assert_eq!(placed.unplaced, if names.is_empty() { replicas } else { 0 }, "{about}");
    }
}

#[test]
fn zones_are_even_where_hosts_are() {
    // Two replicas in one zone are worse than a move.
    let fleet = hosts("h1/a h2/a h3/b h4/b");
    let placed = place(2, &held("h1:1 h2:1"), &fleet, &Spread::default());
    let zone = |host: &HostId| fleet.iter().find(|it| it.id == *host).unwrap().zone.clone().unwrap();
    let used: BTreeSet<_> = placed.shares.keys().map(zone).collect();
    assert_eq!(used.len(), 2, "{}", text(&placed.shares));
    assert_eq!(moves(&held("h1:1 h2:1"), &placed.shares), 1);
    // Hosts come before zones: with three in one zone and one in the other, each has one.
    let placed = place(4, &BTreeMap::new(), &hosts("h1/a h2/a h3/a h4/b"), &Spread::default());
    assert_eq!(text(&placed.shares), "h1:1 h2:1 h3:1 h4:1");
    // One more goes to the zone that has the least.
    let placed = place(5, &BTreeMap::new(), &hosts("h1/a h2/a h3/a h4/b"), &Spread::default());
    assert_eq!(text(&placed.shares), "h1:1 h2:1 h3:1 h4:2");
}

#[test]
fn a_topology_rule_comes_before_hosts() {
    let fleet = hosts("h1/a h2/a h3/a h4/b");
    let topology = zones(None);
    let spread = Spread { topology: &topology, ..Spread::default() };
    assert_eq!(text(&place(6, &BTreeMap::new(), &fleet, &spread).shares), "h1:1 h2:1 h3:1 h4:3");
    // One zone is full: what would make the other more than one ahead of it waits.
    let mut fleet = fleet;
    fleet[3].capacity = Some(1);
    let placed = place(6, &BTreeMap::new(), &fleet, &spread);
    assert_eq!(placed.unplaced, 0);
    let topology = zones(Some(Unsatisfiable::DoNotSchedule));
    let spread = Spread { topology: &topology, ..Spread::default() };
    let placed = place(6, &BTreeMap::new(), &fleet, &spread);
    assert_eq!((placed.shares.values().sum::<u32>(), placed.unplaced), (3, 3), "{}", text(&placed.shares));
    // A host without the label is no candidate then.
    let placed = place(1, &BTreeMap::new(), &hosts("h1"), &spread);
    assert_eq!((placed.unplaced, placed.selected), (1, 0));
}

#[test]
fn only_selected_live_hosts_take_shares() {
    let mut fleet = hosts("h1 h2 h3 h4 h5");
    fleet[1].state = HostState::Cordoned;
    fleet[2].state = HostState::Terminating;
    fleet[3].state = HostState::Lost;
    let placed = place(4, &held("h2:4"), &fleet, &Spread::default());
    assert_eq!(text(&placed.shares), "h1:2 h5:2");
    assert_eq!(placed.selected, 2);

    let selector = BTreeMap::from([("hostgroup".to_owned(), "gpu".to_owned())]);
    let spread = Spread { selector: Some(&selector), ..Spread::default() };
    assert_eq!(place(1, &BTreeMap::new(), &fleet, &spread), Placement { unplaced: 1, ..Placement::default() });
    let pinned = Spread { pin: Some("h5"), ..Spread::default() };
    assert_eq!(text(&place(3, &BTreeMap::new(), &fleet, &pinned).shares), "h5:3");
    let elsewhere = Spread { environment: Some("other"), ..Spread::default() };
    assert_eq!(place(1, &BTreeMap::new(), &fleet, &elsewhere).selected, 0);
}

#[test]
fn room_decides_among_equals() {
    let mut fleet = hosts("h1 h2 h3");
    for (host, used) in fleet.iter_mut().zip([90, 10, 50]) {
        (host.capacity, host.used) = (Some(100), used);
    }
    assert_eq!(text(&place(1, &BTreeMap::new(), &fleet, &Spread::default()).shares), "h2:1");
    assert_eq!(text(&place(2, &BTreeMap::new(), &fleet, &Spread::default()).shares), "h2:1 h3:1");
    // The fullest host gives first.
    let mut crowded = fleet.clone();
    crowded[0].used += 1;
    assert_eq!(text(&place(2, &held("h1:1 h2:1 h3:1"), &crowded, &Spread::default()).shares), "h2:1 h3:1");
    // A full host gets nothing more, and keeps what it has.
    fleet[1].used = 100;
    assert_eq!(text(&place(9, &held("h2:1"), &fleet, &Spread::default()).shares), "h1:4 h2:1 h3:4");
    let placed = place(100, &BTreeMap::new(), &fleet, &Spread::default());
    assert_eq!((text(&placed.shares).as_str(), placed.unplaced), ("h1:10 h3:50", 40));
    // Near what belongs together comes before room.
    let near = BTreeSet::from([id("h1")]);
    let spread = Spread { near: Some(&near), ..Spread::default() };
    assert_eq!(text(&place(1, &BTreeMap::new(), &fleet, &spread).shares), "h1:1");
}

/// Deployments of one replica do not all go to the same host.
#[test]
fn deployments_differ_in_their_choice() {
    let fleet = hosts("h1 h2 h3 h4");
    let mut used: BTreeMap<HostId, u32> = BTreeMap::new();
    for number in 0..400 {
        let seed = format!("default/app-{number}");
        let placed = place(1, &BTreeMap::new(), &fleet, &Spread { seed: &seed, ..Spread::default() });
        *used.entry(placed.shares.into_keys().next().unwrap()).or_default() += 1;
    }
    assert!(used.len() == 4 && used.values().all(|it| (60..140).contains(it)), "{used:?}");
}

#[test]
fn nothing_leaves_before_something_else_serves() {
    // what it is about, keep, held, goal, next
    let cases = [
        ("scale in", 2, "h1:2 h2:2", "h1:1 h2:1", "h1:1 h2:1"),
        ("a move begins with the new one", 3, "h1:3", "h2:3", "h1:3 h2:3"),
        ("the new one is not ready", 3, "h1:3 h2:3/0", "h2:3", "h1:3 h2:3"),
        ("a part of it is", 3, "h1:3 h2:3/2", "h2:3", "h1:1 h2:3"),
        ("the new one is ready", 3, "h1:3 h2:3", "h2:3", "h2:3"),
        ("what serves nothing leaves at once", 3, "h1:3/0", "h2:3", "h2:3"),
        ("what is missing is not made worse", 3, "h1:2 h2:1/0", "h1:1 h3:2", "h1:2 h3:2"),
        ("a lost host lets go at once", 3, "lost:3 h1:3", "h1:3 h2:3", "h1:3 h2:3"),
        ("nothing is wanted any more", 0, "h1:3 h2:1", "", ""),
    ];
    for (about, keep, current, goal, next) in cases {
        let got = settle(keep, &held(current), &shares(goal), &|host| host.as_str() == "lost");
        assert_eq!(text(&got), next, "{about}");
    }
}

fn some_fleet() -> impl Strategy<Value = Vec<HostView>> {
    let one = (0..3_u8, prop::option::weighted(0.3, 0..20_u32), 0..20_u32, 0..10_u8);
    prop::collection::vec(one, 0..12).prop_map(|hosts| {
        let host = |(index, (zone, capacity, used, state)): (usize, (u8, Option<u32>, u32, u8))| HostView {
            capacity,
            used,
            state: match state {
                0 => HostState::Lost,
                1 => HostState::Cordoned,
                2 => HostState::Terminating,
                _ => HostState::Live,
            },
            ..host(&format!("h{index}/z{zone}"))
        };
        hosts.into_iter().enumerate().map(host).collect()
    })
}

fn some_held() -> impl Strategy<Value = BTreeMap<HostId, Held>> {
    let one = (0..14_usize, 1..8_u32, 0..8_u32);
    prop::collection::vec(one, 0..14).prop_map(|held| {
        let one = |(index, replicas, ready): (usize, u32, u32)| {
            (id(&format!("h{index}")), Held { replicas, ready: ready.min(replicas) })
        };
        held.into_iter().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing is lost, nothing goes where it must not, and nobody gets more than there is room for.
    #[test]
    fn replicas_are_placed_or_counted(fleet in some_fleet(), current in some_held(), replicas in 0..60_u32) {
        let placed = place(replicas, &current, &fleet, &Spread::default());
        prop_assert_eq!(placed.shares.values().sum::<u32>() + placed.unplaced, replicas);
        for (host, goal) in &placed.shares {
            let view = fleet.iter().find(|it| it.id == *host).unwrap();
            let held = current.get(host).map_or(0, |it| it.replicas);
            prop_assert_eq!(view.state, HostState::Live);
            prop_assert!(view.capacity.is_none_or(|it| *goal <= held + it.saturating_sub(view.used)));
        }
        // Something is left over only if every host is full.
        if placed.unplaced > 0 {
            for view in fleet.iter().filter(|it| it.state == HostState::Live) {
                let held = current.get(&view.id).map_or(0, |it| it.replicas);
                let limit = view.capacity.map(|it| held + it.saturating_sub(view.used));
                prop_assert_eq!(limit, placed.shares.get(&view.id).copied().or(Some(0)));
            }
        }
    }

    /// Without limits and zones: hosts differ by at most 1, nothing moves that need not, and asking again changes nothing.
    #[test]
    fn even_with_the_fewest_moves(count in 1..12_usize, current in some_held(), replicas in 0..60_u32) {
        let fleet: Vec<HostView> = (0..count).map(|it| host(&format!("h{it}"))).collect();
        let placed = place(replicas, &current, &fleet, &Spread::default());
        let goal = |it: &HostView| placed.shares.get(&it.id).copied().unwrap_or(0);
        let (least, most) = (fleet.iter().map(goal).min().unwrap(), fleet.iter().map(goal).max().unwrap());
        prop_assert!(most - least <= 1, "{}", text(&placed.shares));

        // Any even placement has `level` everywhere and one more on `more` hosts; the one with the fewest moves gives the
        // one more to those that have the most.
        let (level, more) = (replicas / count as u32, replicas as usize % count);
        let mut have: Vec<u32> =
            fleet.iter().map(|it| current.get(&it.id).map_or(0, |it| it.replicas)).collect();
        have.sort_unstable_by(|a, b| b.cmp(a));
        let elsewhere: u32 = current.iter().filter(|(id, _)| !fleet.iter().any(|it| it.id == **id)).map(|it| it.1.replicas).sum();
        let fewest: u32 = have.iter().enumerate().map(|(at, it)| it.saturating_sub(level + u32::from(at < more))).sum();
        prop_assert_eq!(moves(&current, &placed.shares), fewest + elsewhere);

        let again: BTreeMap<HostId, Held> =
            placed.shares.iter().map(|(id, it)| (id.clone(), Held { replicas: *it, ready: *it })).collect();
        prop_assert_eq!(place(replicas, &again, &fleet, &Spread::default()).shares, placed.shares);
    }

    /// With zones: hosts differ by at most 1 all the same, and zones of as many hosts by at most 1.
    #[test]
    fn zones_are_even(per_zone in 1..5_usize, current in some_held(), replicas in 0..60_u32) {
        let fleet: Vec<HostView> = (0..per_zone * 3).map(|it| host(&format!("h{it}/z{}", it % 3))).collect();
        let placed = place(replicas, &current, &fleet, &Spread::default());
        let goal = |it: &HostView| placed.shares.get(&it.id).copied().unwrap_or(0);
        let (least, most) = (fleet.iter().map(goal).min().unwrap(), fleet.iter().map(goal).max().unwrap());
        prop_assert!(most - least <= 1);
        let zone = |zone: &str| fleet.iter().filter(|it| it.zone.as_deref() == Some(zone)).map(goal).sum::<u32>();
        let zones = [zone("z0"), zone("z1"), zone("z2")];
        prop_assert!(zones.iter().max().unwrap() - zones.iter().min().unwrap() <= 1, "{zones:?}");
    }

    /// The order in which hosts come never matters.
    #[test]
    fn order_never_matters((fleet, shuffled) in some_fleet().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())), current in some_held(), replicas in 0..40_u32) {
        let spread = Spread { seed: "default/app", ..Spread::default() };
        prop_assert_eq!(place(replicas, &current, &fleet, &spread), place(replicas, &current, &shuffled, &spread));
    }

    /// The way to a goal takes nothing that is missed, and comes to its end as soon as everything is ready.
    #[test]
    fn settling_never_takes_what_is_missed(current in some_held(), keep in 0..40_u32, goal in some_held()) {
        let goal: BTreeMap<HostId, u32> = goal.into_iter().map(|(host, it)| (host, it.replicas)).collect();
        let next = settle(keep, &current, &goal, &|_| false);
        let ready = |shares: &BTreeMap<HostId, u32>| -> u32 {
            current.iter().map(|(host, it)| it.ready.min(shares.get(host).copied().unwrap_or(0))).sum()
        };
        let before = current.values().map(|it| it.ready).sum::<u32>();
        prop_assert!(ready(&next) >= before.min(keep), "{}", text(&next));
        prop_assert!(goal.iter().all(|(host, it)| next.get(host).is_some_and(|next| next >= it)));
        if goal.values().sum::<u32>() >= keep {
            let done: BTreeMap<HostId, Held> =
                next.into_iter().map(|(host, it)| (host, Held { replicas: it, ready: it })).collect();
            prop_assert_eq!(settle(goal.values().sum(), &done, &goal, &|_| false), goal);
        }
    }
}
