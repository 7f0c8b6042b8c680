//! What a plan costs at the size that is promised: 1,000 hosts, 5,000 deployments, 20,000 replicas. Run it with
//! `cargo test --release -p penstock-operator --test plan at_scale -- --ignored --nocapture`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use penstock_api::{manifest::Object, snapshot::Snapshot};
use penstock_operator::plan::{
    DeploymentFacts, HostId, HostShare, HostView, Name, Objects, ServicePort, TableOptions, Tables, WorkloadFacts,
    deployment_step, resolve_deployment, snapshot_for, tls::ServiceTls,
};

use super::{
    fleet::host,
    support::{behind, deployment, http, objects, service},
};

const HOSTS: usize = 1000;
const DEPLOYMENTS: usize = 5000;
const REPLICAS: u32 = 4;

#[test]
#[ignore = "prints what it costs; takes a while in a debug build"]
fn at_scale() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut hosts: Vec<HostView> = (0..HOSTS).map(|it| host(&format!("h{it:04}/z{}", it % 3))).collect();
    let by_id: BTreeMap<HostId, usize> = hosts.iter().enumerate().map(|(at, it)| (it.id.clone(), at)).collect();
    let given: Vec<(Object, Object)> = (0..DEPLOYMENTS)
        .map(|number| {
            let (namespace, name) = (format!("team-{}", number % 100), format!("app-{number}"));
            let spec = http(&format!("host: {name}.example"));
            let yaml =
                deployment(&format!("{namespace}/{name}"), &spec, &format!("{} replicas: {REPLICAS},", behind(&name)));
            let mut all = objects(&(yaml + &service(&format!("{namespace}/{name}"), "{name: http, port: 80}")));
            let service = all.pop().unwrap();
            (all.pop().unwrap(), service)
        })
        .collect();
    let start = memory();
    let values = Objects::default();
    let address = |port: &ServicePort| Some(format!("[::]:{}", 20_000 + port.port));
    let mut tables = Tables::new(TableOptions { shared_address: Some("[::]:8000".into()), shared_http_routes: false });

    let clock = Instant::now();
    let mut resolved = Vec::new();
    for (deployment, service) in &given {
        let (Object::WorkloadDeployment(deployment), Object::Service(service)) = (deployment, service) else {
            panic!("a deployment and its Service");
        };
        let one = resolve_deployment(deployment, &values);
        tables.set_deployment(&one.deployment, Some(one.routing.clone()));
        let service = (Arc::new((**service).clone()), ServiceTls::default());
        tables.set_service(&one.deployment, Some(service), &address);
        resolved.push((deployment, one));
    }
    say("tables of all", clock, start);

    let clock = Instant::now();
    let mut by_host: Vec<Vec<HostShare>> = vec![Vec::new(); HOSTS];
    let mut workloads: Vec<Vec<WorkloadFacts>> = Vec::new();
    for (deployment, one) in &resolved {
        let step = step(&one.deployment, deployment, one.revision(), &[], &hosts, now);
        assert_eq!(step.iter().map(|it| it.replicas).sum::<u32>(), REPLICAS);
        for it in &step {
            let at = by_id[&it.host];
            hosts[at].used += it.replicas;
            by_host[at].push(HostShare { share: one.share.clone().unwrap(), replicas: it.replicas, standby: false });
        }
        workloads.push(step);
    }
    say("first steps of all", clock, start);
    let used: Vec<u32> = hosts.iter().map(|it| it.used).collect();
    println!("replicas of a host: {} to {}", used.iter().min().unwrap(), used.iter().max().unwrap());

    let clock = Instant::now();
    let snapshots: Vec<Arc<Snapshot>> = by_host.iter().map(|it| Arc::new(snapshot_for(1, it, &tables))).collect();
    say("snapshots of all hosts, kept", clock, start);
    assert!(snapshots.iter().all(|it| it.listeners.len() == it.shares.len() + 1));

    let clock = Instant::now();
    let (deployment, one) = &resolved[77];
    let again = resolve_deployment(deployment, &values);
    let affected = tables.set_deployment(&again.deployment, Some(again.routing));
    assert!(affected.deployments.is_empty() && affected.services.is_empty());
    let same = step(&one.deployment, deployment, one.revision(), &workloads[77], &hosts, now);
    assert_eq!(same, workloads[77]);
    let concerned: BTreeSet<usize> = same.iter().map(|it| by_id[&it.host]).collect();
    for it in concerned {
        assert!(*snapshots[it] == snapshot_for(1, &by_host[it], &tables));
    }
    say("one deployment again, with its hosts", clock, start);

    let clock = Instant::now();
    let lost: BTreeSet<HostId> = hosts.iter().take(100).map(|it| it.id.clone()).collect();
    hosts.drain(..100);
    let mut moved = 0;
    for ((deployment, one), before) in resolved.iter().zip(&workloads) {
        let after = step(&one.deployment, deployment, one.revision(), before, &hosts, now);
        let gone: u32 = before.iter().filter(|it| lost.contains(&it.host)).map(|it| it.replicas).sum();
        let new = after.iter().filter(|it| !before.iter().any(|old| old.host == it.host));
        assert_eq!(new.map(|it| it.replicas).sum::<u32>(), gone, "only what was lost moves");
        moved += gone;
    }
    say("all again after 100 hosts were lost", clock, start);
    println!("replicas moved: {moved}");
}

fn step(
    name: &Name,
    deployment: &penstock_api::WorkloadDeployment,
    revision: Option<&str>,
    workloads: &[WorkloadFacts],
    hosts: &[HostView],
    now: Timestamp,
) -> Vec<WorkloadFacts> {
    let sets = [penstock_operator::plan::ReplicaSetFacts {
        revision: revision.unwrap().to_owned(),
        number: 1,
        replicas: if workloads.is_empty() { 0 } else { REPLICAS },
        template: None,
    }];
    let facts = DeploymentFacts {
        name,
        spec: &deployment.spec,
        wanted: revision,
        replica_sets: &sets,
        workloads,
        hosts,
        near: None,
        now,
    };
    let workload = |it: penstock_operator::plan::WantedWorkload| WorkloadFacts {
        revision: it.revision,
        host: it.host,
        replicas: it.replicas,
        ready: it.replicas,
        ready_since: Some(now),
    };
    deployment_step(&facts).workloads.into_iter().map(workload).collect()
}

fn say(what: &str, clock: Instant, start: u64) {
    let (elapsed, more) = (clock.elapsed(), memory().saturating_sub(start) / 1024);
    println!("{what}: {elapsed:.1?}, {more} MiB more than before");
}

/// KiB that the process has in memory, where that can be known.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    line.and_then(|it| it.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
