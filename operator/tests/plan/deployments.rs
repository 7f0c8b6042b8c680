//! A deployment's steps, taken one after the other with a cluster that does what it is told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use penstock_api::{
    WorkloadDeploymentSpec,
    deployment::{DeployPolicy, RollingUpdate, Strategy as Rolling},
};
use penstock_operator::plan::{
    DeploymentFacts, DeploymentStep, HostId, HostState, HostView, Name, Pace, Phase, ReplicaSetFacts, WorkloadFacts,
    deployment_step,
};
use proptest::prelude::*;

use super::fleet::{host, hosts, id};

const START: i64 = 1_800_000_000;

/// A deployment and the objects that were made for it.
struct Cluster {
    spec: WorkloadDeploymentSpec,
    wanted: Option<String>,
    hosts: Vec<HostView>,
    sets: BTreeMap<String, (u64, u32)>,
    /// By revision and host: replicas, and those that serve.
    workloads: BTreeMap<(String, HostId), (u32, u32)>,
    now: Timestamp,
    ready_since: Timestamp,
    /// Shares without replicas that serve.
    standing: BTreeSet<(String, HostId)>,
    /// A revision that never serves.
    broken: Option<String>,
}

impl Cluster {
    fn new(replicas: u32, names: &str) -> Self {
        let now = Timestamp::from_second(START).unwrap();
        Self {
            spec: WorkloadDeploymentSpec { replicas: Some(replicas), ..Default::default() },
            wanted: Some("a".into()),
            hosts: hosts(names),
            sets: BTreeMap::new(),
            workloads: BTreeMap::new(),
            now,
            ready_since: now,
            standing: BTreeSet::new(),
            broken: None,
        }
    }

    fn plan(&self) -> DeploymentStep {
        let sets: Vec<ReplicaSetFacts<'_>> = (self.sets.iter())
            .map(|(revision, (number, replicas))| ReplicaSetFacts {
                revision: revision.clone(),
                number: *number,
                replicas: *replicas,
                template: None,
            })
            .collect();
        let workloads: Vec<WorkloadFacts> = (self.workloads.iter())
            .map(|((revision, host), (replicas, ready))| WorkloadFacts {
                revision: revision.clone(),
                host: host.clone(),
                replicas: *replicas,
                ready: *ready,
                ready_since: (*ready > 0 || self.standing.contains(&(revision.clone(), host.clone())))
                    .then_some(self.ready_since),
            })
            .collect();
        deployment_step(&DeploymentFacts {
            name: &Name::new("default", "app"),
            spec: &self.spec,
            wanted: self.wanted.as_deref(),
            replica_sets: &sets,
            workloads: &workloads,
            hosts: &self.hosts,
            near: None,
            now: self.now,
        })
    }

    /// Does what the step says; what leaves is gone at once, what is new does not serve yet.
    fn apply(&mut self, step: &DeploymentStep) {
        self.sets = step.replica_sets.iter().map(|it| (it.revision.clone(), (it.number, it.replicas))).collect();
        let ready = |key: &(String, HostId)| self.workloads.get(key).map_or(0, |it| it.1);
        let workload = |it: &penstock_operator::plan::WantedWorkload| {
            let key = (it.revision.clone(), it.host.clone());
            let ready = ready(&key).min(it.replicas);
            (key, (it.replicas, ready))
        };
        self.workloads = step.workloads.iter().map(workload).collect();
    }

    /// Hosts start what they were given.
    fn start(&mut self) {
        let gone: BTreeSet<&HostId> =
            self.hosts.iter().filter(|it| it.state == HostState::Lost).map(|it| &it.id).collect();
        for ((revision, host), it) in &mut self.workloads {
            if Some(revision) != self.broken.as_ref() && !gone.contains(host) {
                it.1 = it.0;
                if it.0 == 0 {
                    self.standing.insert((revision.clone(), host.clone()));
                }
            }
        }
    }

    fn run(&mut self, rounds: usize) -> DeploymentStep {
        for _ in 0..rounds {
            let step = self.plan();
            self.apply(&step);
            self.start();
        }
        self.plan()
    }

    fn ready(&self) -> u32 {
        self.workloads.values().map(|it| it.1).sum()
    }

    fn ready_of(&self, revision: &str) -> u32 {
        self.workloads.iter().filter(|(key, _)| key.0 == revision).map(|(_, it)| it.1).sum()
    }

    fn show(&self) -> String {
        let show = |((revision, host), (replicas, ready)): (&(String, HostId), &(u32, u32))| {
            let ready = if replicas == ready { String::new() } else { format!("/{ready}") };
            format!("{revision}@{host}:{replicas}{ready}")
        };
        self.workloads.iter().map(show).collect::<Vec<_>>().join(" ")
    }
}

fn rolling(surge: i32, unavailable: i32) -> Option<Rolling> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let rolling_update = RollingUpdate {
        max_surge: Some(IntOrString::Int(surge)),
        max_unavailable: Some(IntOrString::Int(unavailable)),
    };
    Some(Rolling { rolling_update: Some(rolling_update) })
}

#[test]
fn it_starts_scales_and_rolls() {
    let mut it = Cluster::new(6, "h1 h2 h3");
    let step = it.run(1);
    assert_eq!((it.show().as_str(), step.phase), ("a@h1:2 a@h2:2 a@h3:2", Phase::Complete));
    it.spec.replicas = Some(38);
    it.run(1);
    assert_eq!(it.ready(), 38);
    it.spec.replicas = Some(3);
    it.run(1);
    assert_eq!(it.show(), "a@h1:1 a@h2:1 a@h3:1");

    // One at a time: the new one comes to the host of the old one, and no host is ever without.
    it.spec.strategy = rolling(1, 0);
    it.wanted = Some("b".into());
    let step = it.plan();
    assert_eq!(
        step.replica_sets.iter().map(|it| (it.revision.as_str(), it.number, it.replicas)).collect::<Vec<_>>(),
        [("a", 1, 3), ("b", 2, 1)]
    );
    let step = it.run(8);
    assert_eq!((it.show().as_str(), step.phase), ("b@h1:1 b@h2:1 b@h3:1", Phase::Complete));
    assert_eq!(step.previous.as_deref(), Some("a"));
    // And back: the same ReplicaSet, with a new number.
    it.wanted = Some("a".into());
    let step = it.run(8);
    assert_eq!(it.show(), "a@h1:1 a@h2:1 a@h3:1");
    assert_eq!(
        step.replica_sets.iter().map(|it| (it.revision.as_str(), it.number)).collect::<Vec<_>>(),
        [("b", 2), ("a", 3)]
    );
}

#[test]
fn a_new_revision_comes_to_the_hosts_of_the_old_one() {
    let mut it = Cluster::new(1, "h1 h2 h3 h4 h5 h6");
    it.run(1);
    // Its host is the fullest by now: where it is counts more.
    let ((_, place), _) = it.workloads.first_key_value().unwrap();
    let place = place.clone();
    it.hosts.iter_mut().find(|it| it.id == place).unwrap().used = 50;
    it.wanted = Some("b".into());
    it.run(3);
    assert_eq!(it.show(), format!("b@{place}:1"));
}

#[test]
fn a_revision_that_cannot_start_takes_nothing_down() {
    let mut it = Cluster::new(4, "h1 h2");
    it.run(1);
    it.wanted = Some("b".into());
    it.broken = Some("b".into());
    let step = it.run(10);
    // 25 % of four: one more, and one fewer.
    assert_eq!((it.show().as_str(), step.phase), ("a@h1:2 a@h2:1 b@h1:1/0 b@h2:1/0", Phase::Progressing));
    it.spec.strategy = rolling(1, 0);
    it.wanted = Some("c".into());
    it.broken = None;
    it.run(10);
    assert_eq!(it.show(), "c@h1:2 c@h2:2");
}

#[test]
fn a_wanted_revision_that_is_not_known_changes_nothing() {
    let mut it = Cluster::new(4, "h1 h2");
    it.run(1);
    it.wanted = None;
    it.run(3);
    assert_eq!(it.show(), "a@h1:2 a@h2:2");
    it.spec.replicas = Some(6);
    it.run(3);
    assert_eq!(it.show(), "a@h1:3 a@h2:3", "scaling goes on");
}

#[test]
fn a_paused_deployment_makes_no_revision() {
    let mut it = Cluster::new(2, "h1 h2");
    it.run(1);
    it.spec.paused = Some(true);
    it.wanted = Some("b".into());
    let step = it.run(3);
    assert_eq!((it.show().as_str(), step.phase), ("a@h1:1 a@h2:1", Phase::Paused));
    assert_eq!(step.replica_sets.len(), 1);
    it.spec.paused = None;
    it.run(5);
    assert_eq!(it.show(), "b@h1:1 b@h2:1");
}

#[test]
fn recreate_lets_everything_leave_first() {
    let mut it = Cluster::new(2, "h1 h2");
    it.spec.deploy_policy = Some(DeployPolicy::Recreate);
    it.run(1);
    it.wanted = Some("b".into());
    let step = it.plan();
    assert_eq!(step.leaving, [("a".to_owned(), id("h1")), ("a".to_owned(), id("h2"))]);
    assert!(step.workloads.is_empty());
    it.run(2);
    assert_eq!(it.show(), "b@h1:1 b@h2:1");
}

#[test]
fn hosts_come_and_go() {
    let mut it = Cluster::new(6, "h1 h2 h3");
    it.run(1);
    // Cordoned: what it has goes when others serve it.
    it.hosts[0].state = HostState::Cordoned;
    let step = it.plan();
    assert!(step.leaving.is_empty(), "{step:?}");
    it.apply(&step);
    assert_eq!(it.show(), "a@h1:2 a@h2:3/2 a@h3:3/2");
    it.start();
    let step = it.run(1);
    assert_eq!((it.show().as_str(), step.leaving.len()), ("a@h2:3 a@h3:3", 0));
    // Lost: its shares go to others at once.
    it.hosts[0].state = HostState::Live;
    it.run(2);
    assert_eq!(it.show(), "a@h1:2 a@h2:2 a@h3:2");
    it.hosts[1].state = HostState::Lost;
    it.workloads.get_mut(&("a".to_owned(), id("h2"))).unwrap().1 = 0;
    let step = it.plan();
    assert_eq!(step.leaving, [("a".to_owned(), id("h2"))]);
    // Also if it is still said to serve.
    it.workloads.get_mut(&("a".to_owned(), id("h2"))).unwrap().1 = 2;
    assert_eq!(it.plan().leaving, [("a".to_owned(), id("h2"))]);
    it.run(1);
    assert_eq!(it.show(), "a@h1:3 a@h3:3");
    // No host at all: all of it waits.
    it.hosts.clear();
    let step = it.plan();
    assert_eq!((step.unplaced, step.selected, step.workloads.len()), (6, 0, 0));
}

#[test]
fn replicas_count_after_min_ready_seconds() {
    let mut it = Cluster::new(2, "h1 h2");
    it.spec.min_ready_seconds = Some(10);
    it.spec.strategy = rolling(1, 0);
    let step = it.run(1);
    assert_eq!(step.phase, Phase::Progressing);
    assert_eq!(step.again.unwrap().as_secs(), 10);
    it.now += SignedDuration::from_secs(9);
    assert_eq!(it.plan().again.unwrap().as_secs(), 1);
    it.now += SignedDuration::from_secs(1);
    let step = it.plan();
    assert_eq!((step.phase, step.again), (Phase::Complete, None));
}

#[test]
fn history_has_a_limit() {
    let mut it = Cluster::new(1, "h1");
    it.spec.revision_history_limit = Some(2);
    for revision in ["a", "b", "c", "d", "e"] {
        it.wanted = Some(revision.into());
        it.run(5);
    }
    assert_eq!(it.sets.keys().collect::<Vec<_>>(), ["c", "d", "e"]);
    assert_eq!(it.plan().previous.as_deref(), Some("d"));
}

#[derive(Clone, Debug)]
enum Event {
    Scale(u32),
    Edit(u8),
    Break(u8),
    Cordon(usize),
    Lose(usize),
    Return(usize),
    Start,
    Nothing,
}

fn some_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (0..20_u32).prop_map(Event::Scale),
        1 => (0..4_u8).prop_map(Event::Edit),
        1 => (0..4_u8).prop_map(Event::Break),
        1 => (0..5_usize).prop_map(Event::Cordon),
        1 => (0..5_usize).prop_map(Event::Lose),
        1 => (0..5_usize).prop_map(Event::Return),
        4 => Just(Event::Start),
        2 => Just(Event::Nothing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens in whatever order: a step takes nothing that serves below what must (hosts that are lost aside), and
    /// once nothing happens any more, exactly the wanted replicas of the wanted revision serve, evenly.
    #[test]
    fn it_always_comes_to_its_end(
        replicas in 1..12_u32,
        surge in 0..4_i32,
        unavailable in 0..4_i32,
        events in prop::collection::vec(some_event(), 0..40),
    ) {
        let mut it = Cluster::new(replicas, "");
        it.hosts = (0..5).map(|number| host(&format!("h{number}/z{}", number % 2))).collect();
        it.spec.strategy = rolling(surge, unavailable);
        let name = |number: u8| ["a", "b", "c", "d"][usize::from(number)].to_owned();
        for event in events {
            match event {
                Event::Scale(replicas) => it.spec.replicas = Some(replicas),
                Event::Edit(revision) => it.wanted = Some(name(revision)),
                Event::Break(revision) => it.broken = Some(name(revision)),
                Event::Cordon(host) => it.hosts[host].state = HostState::Cordoned,
                Event::Return(host) => it.hosts[host].state = HostState::Live,
                Event::Lose(host) => {
                    it.hosts[host].state = HostState::Lost;
                    let id = it.hosts[host].id.clone();
                    it.workloads.iter_mut().filter(|(key, _)| key.1 == id).for_each(|(_, it)| it.1 = 0);
                }
                Event::Start => it.start(),
                Event::Nothing => {}
            }
            // What serves beyond what its revision should have is on its way out.
            let before: u32 = it.sets.iter().map(|(revision, (_, wanted))| it.ready_of(revision).min(*wanted)).sum();
            let step = it.plan();
            it.apply(&step);
            let least = Pace::of(&it.spec).min_available();
            prop_assert!(it.ready() >= before.min(least), "{} of {}: {}", it.ready(), before, it.show());
        }
        it.broken = None;
        it.hosts.iter_mut().for_each(|it| it.state = HostState::Live);
        let step = it.run(25);
        prop_assert_eq!(step.phase, Phase::Complete, "{}", it.show());
        let wanted = it.wanted.clone().unwrap();
        let replicas = it.spec.replicas.unwrap();
        prop_assert!(it.workloads.keys().all(|(revision, _)| *revision == wanted), "{}", it.show());
        prop_assert_eq!(it.ready(), replicas, "{}", it.show());
        let level = replicas / 5;
        prop_assert!(it.workloads.values().all(|(replicas, _)| (level..=level + 1).contains(replicas)), "{}", it.show());
    }
}

/// Which shares a step wants, as `revision@host=replicas`.
fn shares(step: &DeploymentStep) -> Vec<String> {
    step.workloads.iter().map(|it| format!("{}@{}={}", it.revision, it.host, it.replicas)).collect()
}

#[test]
fn at_zero_two_hosts_answer_if_it_is_asked_for() {
    let mut cluster = Cluster::new(3, "h1 h2 h3");
    cluster.run(4);
    cluster.spec.replicas = Some(0);
    let step = cluster.run(3);
    assert_eq!((shares(&step), step.selected), (vec![], 3), "nobody asked for it");

    cluster.spec.scale_to_zero = Some(true);
    let step = cluster.run(3);
    assert_eq!(shares(&step).len(), 2, "{step:?}");
    assert!(shares(&step).iter().all(|it| it.starts_with("a@") && it.ends_with("=0")), "{step:?}");
    assert_eq!((step.phase, step.unplaced), (Phase::Complete, 0));

    // The first replica comes to one of them, and the other lets go.
    let standby: BTreeSet<HostId> = step.workloads.iter().map(|it| it.host.clone()).collect();
    cluster.spec.replicas = Some(1);
    let step = cluster.run(3);
    let [only] = &step.workloads[..] else { panic!("{step:?}") };
    assert!(standby.contains(&only.host) && only.replicas == 1, "{step:?}");

    // Going back to zero, the host that serves is one of the two.
    cluster.spec.replicas = Some(0);
    let step = cluster.plan();
    assert!(shares(&step).contains(&format!("a@{}=0", only.host)), "{step:?}");
}

#[test]
fn at_zero_an_old_revision_answers_until_the_new_one_does() {
    let mut cluster = Cluster::new(0, "h1 h2 h3");
    cluster.spec.scale_to_zero = Some(true);
    let before = shares(&cluster.run(3));
    assert_eq!(before.len(), 2);
    (cluster.wanted, cluster.broken) = (Some("b".into()), Some("b".into()));
    let step = cluster.run(3);
    let of = |step: &DeploymentStep, revision: &str| {
        shares(step).iter().filter(|it| it.starts_with(&format!("{revision}@"))).count()
    };
    assert_eq!((of(&step, "a"), of(&step, "b")), (2, 2), "{step:?}");
    cluster.broken = None;
    let step = cluster.run(3);
    assert_eq!((of(&step, "a"), of(&step, "b")), (0, 2), "{step:?}");
}
