//! A workload's components, volumes and routes.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{super::diagnostic::Problem, http, interface, no_duplicates};
use crate::workload::{LocalResources, WorkloadSpec};

pub(super) fn check(spec: &WorkloadSpec, at: &str, problems: &mut Vec<Problem>) {
    if spec.components.is_empty() && spec.service.is_none() {
        let advice = "add `components: [{name: ..., image: ...}]`";
        problems.push(Problem::error(format!("{at}.components"), "the workload has no component", advice));
    }
    no_duplicates(spec.components.iter().map(|it| &it.name), problems, |index, name| {
        let path = format!("{at}.components[{index}].name");
        Problem::error(path, format!("there are two components `{name}`"), "give each a name of its own")
    });
    interface::check(&spec.host_interfaces, &format!("{at}.hostInterfaces"), problems);
    volumes(spec, at, problems);
    for (index, component) in spec.components.iter().enumerate() {
        let path = format!("{at}.components[{index}].localResources");
        resources(component.local_resources.as_ref(), spec, &path, problems);
    }
    if let Some(service) = &spec.service {
        resources(service.local_resources.as_ref(), spec, &format!("{at}.service.localResources"), problems);
    }
    if let Some(it) = &spec.http {
        let components: BTreeSet<&str> = spec.components.iter().map(|it| it.name.as_str()).collect();
        http::check_rules(&it.routes, &components, &format!("{at}.http.routes"), problems);
    }
}

fn volumes(spec: &WorkloadSpec, at: &str, problems: &mut Vec<Problem>) {
    no_duplicates(spec.volumes.iter().map(|it| &it.name), problems, |index, name| {
        let path = format!("{at}.volumes[{index}].name");
        Problem::error(path, format!("there are two volumes `{name}`"), "give each a name of its own")
    });
    for (index, volume) in spec.volumes.iter().enumerate() {
        if volume.ephemeral.is_some() == volume.host_path.is_some() {
            problems.push(Problem::error(
                format!("{at}.volumes[{index}]"),
                "a volume is one of two kinds",
                "write either `ephemeral: {}` or `hostPath: {path: ...}`",
            ));
        }
        if let Some(host) = &volume.host_path
            && !host.path.starts_with('/')
        {
            let path = format!("{at}.volumes[{index}].hostPath.path");
            problems.push(Problem::error(path, format!("`{}` is relative", host.path), "begin it with `/`"));
        }
    }
}

fn resources(resources: Option<&LocalResources>, spec: &WorkloadSpec, at: &str, problems: &mut Vec<Problem>) {
    let Some(resources) = resources else { return };
    for (index, mount) in resources.volume_mounts.iter().enumerate() {
        if !spec.volumes.iter().any(|it| it.name == mount.name) {
            let path = format!("{at}.volumeMounts[{index}].name");
            let message = format!("there is no volume `{}`", mount.name);
            problems.push(Problem::error(path, message, "add it to `volumes:` of the workload"));
        }
        if !mount.mount_path.starts_with('/') {
            let path = format!("{at}.volumeMounts[{index}].mountPath");
            problems.push(Problem::error(path, format!("`{}` is relative", mount.mount_path), "begin it with `/`"));
        }
    }
    for (index, port) in resources.allowed_host_loopback_ports.iter().enumerate() {
        if !is_port(port) {
            let path = format!("{at}.allowedHostLoopbackPorts[{index}]");
            problems.push(Problem::error(path, "this is no port", "write it as 5432, 5432/tcp or 53/udp"));
        }
    }
    if resources.memory_limit_mib == Some(0) {
        let path = format!("{at}.memoryLimitMiB");
        problems.push(Problem::error(path, "no component runs in 0 MiB", "write a limit, or remove the field"));
    }
}

fn is_port(port: &IntOrString) -> bool {
    let number = match port {
        IntOrString::Int(it) => return (1..=65_535).contains(it),
        IntOrString::String(it) => it.strip_suffix("/tcp").or_else(|| it.strip_suffix("/udp")).unwrap_or(it),
    };
    number.parse::<u16>().is_ok_and(|it| it > 0) && !number.starts_with('+')
}
