//! Which host runs how many replicas of a revision: evenly, by free capacity, with the fewest moves.

use std::collections::{BTreeMap, BTreeSet};

use penstock_api::workload::{TopologySpread, Unsatisfiable, WorkloadSpec};

use super::{HostId, HostState, HostView};

/// The label by which evenness over hosts is asked for; that holds anyway.
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// The label of a node's zone, which a host has even if its pod has no such label.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What a host has of one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Replicas that it has been given (the Workload's `spec.replicas`).
    pub replicas: u32,
    /// Of those, the ones that serve.
    pub ready: u32,
}

/// Which hosts a revision may use, and how it spreads over them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread<'a> {
    /// Labels that a host must have.
    pub selector: Option<&'a BTreeMap<String, String>>,
    /// The one host to use.
    pub pin: Option<&'a str>,
    /// The environment that a host must be of.
    pub environment: Option<&'a str>,
    /// Rules beyond an even spread over hosts and zones.
    pub topology: &'a [TopologySpread],
    /// Hosts that have another revision of it, which are the best where all is equal: then no endpoint changes.
    pub own: Option<&'a BTreeSet<HostId>>,
    /// Hosts that are the next best: those of the other workloads behind the same Services, since a request can be routed to
    /// any of them on the host where it comes in.
    pub near: Option<&'a BTreeSet<HostId>>,
    /// Tells deployments apart where all else is equal, so that not all of them choose the same host: such as
    /// `namespace/deployment`.
    pub seed: &'a str,
}

/// Where replicas go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Replicas by host; 0: on [`standby`].
    pub shares: BTreeMap<HostId, u32>,
    /// Replicas for which there is no host.
    pub unplaced: u32,
    /// Hosts that could be used: 0 means that the selector selects none that takes shares.
    pub selected: u32,
}

impl<'a> Spread<'a> {
    /// What a template's spec asks for.
    #[must_use]
    pub fn of(spec: &'a WorkloadSpec, seed: &'a str) -> Self {
        Self {
            selector: Some(&spec.host_selector),
            pin: spec.host_id.as_deref(),
            environment: spec.environment.as_deref(),
            topology: &spec.topology_spread,
            own: None,
            near: None,
            seed,
        }
    }

    /// Whether a host is selected, in whatever state it is.
    #[must_use]
    pub fn selects(&self, host: &HostView) -> bool {
        self.pin.is_none_or(|it| *it == *host.id.0)
            && self.environment.is_none_or(|it| *it == *host.environment)
            && self.selector.is_none_or(|it| it.iter().all(|(key, value)| host.labels.get(key) == Some(value)))
    }
}

/// Where `replicas` should run, from where they run now. Even over hosts and zones (the difference is at most 1 where
/// nothing forbids it), then by free capacity; no replica moves unless that makes it more even, and scale-in takes what
/// is not ready first and then from the fullest host. Hosts that are cordoned, terminating or lost get nothing.
///
/// The first topology rule of the template that is about another label than the host's name comes before evenness over
/// hosts: its values are made even first, then the hosts within each. With `DoNotSchedule`, replicas that would break
/// `maxSkew` stay without a host.
///
/// This is the goal. The way there, on which nothing is taken before something else serves, is [`settle`].
#[must_use]
pub fn place(replicas: u32, current: &BTreeMap<HostId, Held>, hosts: &[HostView], spread: &Spread<'_>) -> Placement {
    let rule = spread.topology.iter().find(|it| it.topology_key != HOSTNAME_LABEL);
    let mut slots: Vec<Slot<'_>> = Vec::new();
    for host in hosts.iter().filter(|it| it.state == HostState::Live && spread.selects(it)) {
        let domain = match rule {
            Some(rule) => match topology_value(host, &rule.topology_key) {
                Some(value) => value,
                // As for pods: without the label there is nothing to compare, so such a host is none of the candidates.
                None if rule.when_unsatisfiable == Some(Unsatisfiable::DoNotSchedule) => continue,
                None => "",
            },
            None => host.zone.as_deref().unwrap_or_default(),
        };
        slots.push(Slot::new(host, current.get(&host.id).copied().unwrap_or_default(), domain, spread));
    }
    let selected = count(slots.len());
    let unplaced = match rule {
        Some(rule) => by_domain(replicas, &mut slots, rule),
        None => fill(replicas, &mut slots.iter_mut().collect::<Vec<_>>()),
    };
    let shares = slots.into_iter().filter(|it| it.goal > 0).map(|it| (it.host.id.clone(), it.goal)).collect();
    Placement { shares, unplaced, selected }
}

/// Which hosts answer for a revision without replicas: at most so many, those that it is on before others.
#[must_use]
pub fn standby(most: u32, current: &BTreeMap<HostId, Held>, hosts: &[HostView], spread: &Spread<'_>) -> Placement {
    let held = current.keys().map(|host| (host.clone(), Held { replicas: 1, ready: 1 })).collect();
    let one_each = Spread { topology: &[], ..*spread };
    let placed = place(most, &held, hosts, &one_each);
    Placement { shares: placed.shares.into_keys().map(|host| (host, 0)).collect(), unplaced: 0, ..placed }
}

/// A host that can be used.
struct Slot<'a> {
    host: &'a HostView,
    domain: &'a str,
    held: Held,
    /// The most that it can hold.
    limit: u32,
    goal: u32,
    /// 0 is the best.
    distance: u8,
    tie: u64,
}

impl<'a> Slot<'a> {
    fn new(host: &'a HostView, held: Held, domain: &'a str, spread: &Spread<'_>) -> Self {
        let has = |it: Option<&BTreeSet<HostId>>| it.is_some_and(|it| it.contains(&host.id));
        let free = host.capacity.map_or(u32::MAX, |it| it.saturating_sub(host.used));
        Self {
            host,
            domain,
            held,
            limit: held.replicas.saturating_add(free),
            goal: 0,
            distance: if has(spread.own) { 0 } else { 2 - u8::from(has(spread.near)) },
            tie: tie(spread.seed, host.id.as_str()),
        }
    }

    /// Which host gets one more among those of the same level, the smallest first: one that has it already (else something
    /// moves) and serves it, one near what belongs together, one with more free room. The last is the same each time and
    /// differs from deployment to deployment, in whatever order hosts come.
    fn rank(&self, level: u32) -> (bool, bool, u8, u64, u64, &'a HostId) {
        let has = self.held.replicas > level;
        (!has, !(has && self.held.ready > level), self.distance, self.load(), self.tie, &self.host.id)
    }

    /// How full the host is: the part of its capacity that is in use where there is a limit.
    fn load(&self) -> u64 {
        let used = u64::from(self.host.used);
        match self.host.capacity {
            Some(capacity) => used * 1_000_000 / u64::from(capacity.max(1)),
            None => used,
        }
    }
}

/// Gives `replicas` to hosts, as evenly as their limits allow; answers how many are left over. All hosts are filled to the
/// same level, and what remains (less than one for each) goes first to the domains that have the least.
fn fill(replicas: u32, slots: &mut [&mut Slot<'_>]) -> u32 {
    let limits: Vec<u32> = slots.iter().map(|it| it.limit).collect();
    let (level, mut rest) = water(replicas, &limits);
    for slot in slots.iter_mut() {
        slot.goal = slot.limit.min(level);
    }
    let mut domains: BTreeMap<&str, Domain> = BTreeMap::new();
    for (index, slot) in slots.iter().enumerate() {
        let domain = domains.entry(slot.domain).or_default();
        domain.total += u64::from(slot.goal);
        if slot.limit > level {
            domain.open.push(index);
        }
    }
    for domain in domains.values_mut() {
        // The best is taken from the end.
        domain.open.sort_by_key(|it| std::cmp::Reverse(slots[*it].rank(level)));
    }
    while rest > 0 {
        // The domain with the least; of those, the one in which the fewest move, then as among hosts.
        let best = domains
            .values_mut()
            .filter_map(|it| Some((it.total, slots[*it.open.last()?].rank(level), it)))
            .min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let Some((_, _, domain)) = best else { break };
        domain.total += 1;
        if let Some(index) = domain.open.pop() {
            slots[index].goal += 1;
        }
        rest -= 1;
    }
    rest
}

#[derive(Default)]
struct Domain {
    total: u64,
    /// Hosts that can have one more than the level.
    open: Vec<usize>,
}

/// Makes the values of a topology rule even first, then the hosts within each.
fn by_domain(replicas: u32, slots: &mut [Slot<'_>], rule: &TopologySpread) -> u32 {
    let mut domains: BTreeMap<&str, Vec<&mut Slot<'_>>> = BTreeMap::new();
    for slot in slots {
        domains.entry(slot.domain).or_default().push(slot);
    }
    let mut domains: Vec<Vec<&mut Slot<'_>>> = domains.into_values().collect();
    let mut limits: Vec<u32> =
        domains.iter().map(|it| it.iter().fold(0, |sum: u32, slot| sum.saturating_add(slot.limit))).collect();
    if rule.when_unsatisfiable == Some(Unsatisfiable::DoNotSchedule) {
        let least = limits.iter().copied().min().unwrap_or(0);
        let most = least.saturating_add(rule.max_skew.unwrap_or(1).max(1));
        limits.iter_mut().for_each(|it| *it = (*it).min(most));
    }
    let (level, mut rest) = water(replicas, &limits);
    let mut goals: Vec<u32> = limits.iter().map(|it| (*it).min(level)).collect();
    let held = |index: &usize| domains[*index].iter().map(|it| u64::from(it.held.replicas)).sum::<u64>();
    let free = |index: &usize| domains[*index].iter().map(|it| it.load()).min();
    let mut open: Vec<usize> = (0..goals.len()).filter(|it| limits[*it] > level).collect();
    // Those that hold more than the level already keep it: nothing moves then.
    open.sort_by_key(|it| (held(it) <= u64::from(level), free(it), *it));
    for index in open {
        if rest == 0 {
            break;
        }
        goals[index] += 1;
        rest -= 1;
    }
    for (slots, goal) in domains.iter_mut().zip(goals) {
        rest += fill(goal, slots);
    }
    rest
}

/// The level to which so much fills vessels of these limits, and what is then left: less than one for each that is not
/// full, or everything for which there is no room.
fn water(amount: u32, limits: &[u32]) -> (u32, u32) {
    let mut sorted = limits.to_vec();
    sorted.sort_unstable();
    let (mut level, mut rest) = (0_u32, amount);
    for (index, limit) in sorted.iter().enumerate() {
        let open = count(sorted.len() - index);
        let step = limit - level;
        match step.checked_mul(open) {
            Some(all) if all <= rest => {
                rest -= all;
                level = *limit;
            }
            _ => return (level + rest / open, rest % open),
        }
    }
    (level, rest)
}

fn topology_value<'h>(host: &'h HostView, key: &str) -> Option<&'h str> {
    let label = host.labels.get(key).map(String::as_str);
    label.or_else(|| (key == ZONE_LABEL).then_some(host.zone.as_deref()).flatten())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A number that is the same each time for a deployment and a host, and as good as random otherwise (FNV-1a, mixed).
fn tie(seed: &str, host: &str) -> u64 {
    let bytes = seed.bytes().chain([0]).chain(host.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, it| (hash ^ u64::from(it)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

/// The next step from what hosts hold to the goal: everything that is to be added, and of what is to be removed only as
/// much as leaves `keep` replicas ready (what is not ready goes at once). `keep` is the number of replicas that the
/// revision should have now. Hosts in `lost` count for nothing and let go at once.
#[must_use]
pub fn settle(
    keep: u32,
    held: &BTreeMap<HostId, Held>,
    goal: &BTreeMap<HostId, u32>,
    lost: &dyn Fn(&HostId) -> bool,
) -> BTreeMap<HostId, u32> {
    let ready = |(host, it): (&HostId, &Held)| if lost(host) { 0 } else { u64::from(it.ready.min(it.replicas)) };
    let mut spare = held.iter().map(ready).sum::<u64>().saturating_sub(keep.into());
    let mut next = goal.clone();
    for (host, it) in held.iter().filter(|(host, _)| !lost(host)) {
        let wanted = goal.get(host).copied().unwrap_or(0);
        let excess = it.replicas.saturating_sub(wanted);
        let idle = excess.min(it.replicas.saturating_sub(it.ready));
        let taken = u32::try_from(spare.min(u64::from(excess - idle))).unwrap_or(0);
        spare -= u64::from(taken);
        let left = excess - idle - taken;
        if left > 0 {
            next.insert(host.clone(), wanted + left);
        }
    }
    next
}
