//! From one workload to its share: every reference resolved, every default filled in.

use std::collections::BTreeMap;

use penstock_api::{
    reasons,
    snapshot::{self, Capacity, Share},
    workload::{Component, Environment, HostInterface, ImagePullPolicy, WhenFull},
};

use super::{Findings, Unit, Values, pull_secret, revision, values};

/// Whole-request deadline unless the workload says otherwise: what gateways commonly have.
const REQUEST_TIMEOUT_MS: u64 = 60_000;
/// Configuration of a `wasi:http` entry that is about routing alone.
const ROUTING_KEYS: [&str; 3] = ["host", "host-aliases", "path"];

/// A workload with its references resolved.
pub(super) struct Resolved {
    /// None if some reference could not be resolved.
    pub(super) share: Option<Share>,
    /// The configuration of each entry through which HTTP requests come in, and the entry's path.
    pub(super) http: Vec<(BTreeMap<String, String>, String)>,
}

/// Resolves a workload. What is missing has been said when there is no share.
pub(super) fn resolve(unit: &Unit<'_>, objects: &dyn Values, findings: &mut Findings) -> Resolved {
    let mut http = Vec::new();
    let interfaces: Vec<Option<snapshot::HostInterface>> = (unit.spec.host_interfaces.iter().enumerate())
        .map(|(index, it)| {
            interface(it, &format!("{}.hostInterfaces[{index}]", unit.at), unit, objects, &mut http, findings)
        })
        .collect();
    let components: Vec<Option<snapshot::Component>> = (unit.spec.components.iter().enumerate())
        .map(|(index, it)| component(it, &format!("{}.components[{index}]", unit.at), unit, objects, findings))
        .collect();
    if unit.spec.service.is_some() {
        let message = "the workload's long-running component is not run yet, the others are".to_owned();
        findings.warn(&unit.object, format!("{}.service", unit.at), reasons::NOT_SUPPORTED, message);
    }
    // Everything is looked at before giving up, so that all that is missing is said at once.
    let interfaces = interfaces.into_iter().collect::<Option<Vec<_>>>();
    let components = components.into_iter().collect::<Option<Vec<_>>>();
    let share = interfaces.zip(components).map(|(interfaces, components)| share(unit, interfaces, components));
    Resolved { share, http }
}

fn share(
    unit: &Unit<'_>,
    host_interfaces: Vec<snapshot::HostInterface>,
    components: Vec<snapshot::Component>,
) -> Share {
    let volumes = unit.spec.volumes.iter().map(|it| snapshot::Volume {
        name: it.name.clone(),
        host_path: it.host_path.as_ref().map(|it| it.path.clone()),
    });
    let mut share = Share {
        deployment: unit.deployment(),
        replicas: unit.replicas,
        capacity: capacity(unit.spec.capacity.as_ref()),
        request_timeout_ms: unit.spec.request_timeout.map_or(REQUEST_TIMEOUT_MS, |it| it.as_millis()),
        components,
        volumes: volumes.collect(),
        host_interfaces,
        ..Share::default()
    };
    share.revision = revision::of(&share, unit);
    share.id = format!("{}@{}", share.deployment, share.revision);
    share.standby = unit.standby;
    share
}

fn capacity(given: Option<&penstock_api::workload::Capacity>) -> Capacity {
    let default = Capacity::default();
    let Some(given) = given else { return default };
    Capacity {
        concurrency: given.concurrency.unwrap_or(default.concurrency),
        queue_depth: given.queue_depth.unwrap_or(default.queue_depth),
        queue_timeout_ms: given.queue_timeout.map_or(default.queue_timeout_ms, |it| it.as_millis()),
        spill: given.when_full == Some(WhenFull::Spill),
        burst: given.burst.unwrap_or(0),
    }
}

fn interface(
    entry: &HostInterface,
    at: &str,
    unit: &Unit<'_>,
    objects: &dyn Values,
    http: &mut Vec<(BTreeMap<String, String>, String)>,
    findings: &mut Findings,
) -> Option<snapshot::HostInterface> {
    let HostInterface { config, config_from, secret_from, .. } = entry;
    let sources = values::Sources { config, config_from, secret_from };
    let merged = values::merge(&sources, objects, &unit.object, at, findings);
    if entry.serves_http() {
        // Routes are kept even while the configuration cannot be resolved: the old share still serves.
        http.push((merged.clone().unwrap_or_else(|| config.clone()), at.to_owned()));
    }
    let mut config = merged?;
    if entry.serves_http() {
        config.retain(|key, _| !ROUTING_KEYS.contains(&key.as_str()));
    }
    Some(snapshot::HostInterface {
        name: entry.name.clone(),
        namespace: entry.namespace.clone(),
        package: entry.package.clone(),
        interfaces: entry.interfaces.clone(),
        version: entry.version.clone(),
        config,
    })
}

fn component(
    component: &Component,
    at: &str,
    unit: &Unit<'_>,
    objects: &dyn Values,
    findings: &mut Findings,
) -> Option<snapshot::Component> {
    let resources = component.local_resources.clone().unwrap_or_default();
    let Environment { config, config_from, secret_from } = resources.environment.unwrap_or_default();
    let sources = values::Sources { config: &config, config_from: &config_from, secret_from: &secret_from };
    let path = format!("{at}.localResources.environment");
    let environment = values::merge(&sources, objects, &unit.object, &path, findings);
    let pull_secret = match &component.image_pull_secret {
        Some(it) => pull_secret::resolve(&component.image, &it.name, objects, &unit.object, at, findings),
        None => Some(None),
    };
    let mounts = resources.volume_mounts.into_iter().map(|it| snapshot::VolumeMount {
        name: it.name,
        mount_path: it.mount_path,
        read_only: it.read_only.unwrap_or(false),
    });
    let (environment, pull_secret) = environment.zip(pull_secret)?;
    Some(snapshot::Component {
        name: component.name.clone(),
        image: component.image.clone(),
        digest: component.image.split_once('@').map(|(_, digest)| digest.to_owned()),
        pull_secret,
        pull_policy: match component.image_pull_policy.unwrap_or_default() {
            ImagePullPolicy::Always => snapshot::PullPolicy::Always,
            ImagePullPolicy::IfNotPresent => snapshot::PullPolicy::IfNotPresent,
            ImagePullPolicy::Never => snapshot::PullPolicy::Never,
        },
        pool_size: some(component.pool_size),
        max_invocations: some(component.max_invocations),
        max_concurrency: some(component.max_concurrency),
        max_age_ms: component.max_age.map(|it| it.as_millis()).filter(|it| *it > 0),
        max_memory_mib: some(component.max_memory_mib),
        memory_limit_mib: resources.memory_limit_mib,
        cpu_limit_ms: resources.cpu_limit.map(|it| it.as_millis()).filter(|it| *it > 0),
        table_limit: some(resources.table_limit),
        outbound_limit: some(resources.outbound_limit),
        response_limit_mib: some(resources.response_limit_mib),
        environment,
        config: resources.config,
        allowed_hosts: resources.allowed_hosts,
        allowed_ip_name_lookups: resources.allowed_ip_name_lookups,
        volume_mounts: mounts.collect(),
    })
}

/// 0 means the same as none.
fn some(number: Option<u32>) -> Option<u32> {
    number.filter(|it| *it > 0)
}
