//! Rules that the API server checks: what a schema cannot say, each with a sentence that says what to write instead.
//!
//! The same rules hold for files (`manifest::rules`), where they can name lines. Here they are CEL, so each needs
//! bounds on the lists and texts that it walks: the API server refuses a definition whose rules could cost too much.

mod autoscaling;
mod policy;
mod route;

use schemars::Schema;
use serde_json::{Value, json};

pub(crate) use self::autoscaling::{autoscaling, external_metric, metric_target};
pub(crate) use self::policy::{compression, outlier_detection, rate_limit, rate_limit_key};
pub(crate) use self::route::{
    cors, filter, fraction, http_rule, mirror, path_match, path_modifier, redirect, session_persistence, timeouts,
};

/// One rule: the field that it blames (relative to the object that carries it; empty: that object itself), what must
/// hold, and what is said otherwise.
struct Rule(&'static str, &'static str, &'static str);

fn add(schema: &mut Schema, rules: &[Rule]) {
    let rules = rules.iter().map(|Rule(field, rule, message)| {
        let mut it = json!({ "rule": rule, "message": message });
        if !field.is_empty() {
            it["fieldPath"] = json!(field);
        }
        it
    });
    let list = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.extend(rules);
    }
}

// === whole objects ===

/// Of `WorkloadDeployment` as a whole, added to the definition's root: a derive sees only the spec.
pub(crate) fn deployment_root() -> Value {
    json!([{
        "rule": "size(self.metadata.name) <= 63",
        "message": "the name is longer than 63 characters, and the labels of what is made from it carry it: shorten it",
    }])
}

/// Of a deployment's spec.
pub(crate) fn deployment(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".strategy",
                "!has(self.deployPolicy) || self.deployPolicy != 'Recreate' || !has(self.strategy) || !has(self.strategy.rollingUpdate)",
                "deployPolicy is Recreate, which does not roll: remove `strategy.rollingUpdate`, or write `deployPolicy: RollingUpdate`",
            ),
            Rule(
                ".progressDeadlineSeconds",
                "!has(self.minReadySeconds) || self.minReadySeconds < (has(self.progressDeadlineSeconds) ? self.progressDeadlineSeconds : 600)",
                "the deadline passes before a new replica can count: make progressDeadlineSeconds (600 unless it says otherwise) larger than minReadySeconds",
            ),
            autoscaling::TO_ZERO,
        ],
    );
}

/// Of `rollingUpdate`.
pub(crate) fn rolling_update(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".maxSurge",
                "!has(self.maxSurge) || (type(self.maxSurge) == int ? int(self.maxSurge) >= 0 : string(self.maxSurge).matches('^[0-9]{1,5}%$'))",
                "write maxSurge as a number of replicas (1) or as a percentage (\"25%\")",
            ),
            Rule(
                ".maxUnavailable",
                "!has(self.maxUnavailable) || (type(self.maxUnavailable) == int ? int(self.maxUnavailable) >= 0 : string(self.maxUnavailable).matches('^(100|[0-9]{1,2})%$'))",
                "write maxUnavailable as a number of replicas (1) or as a percentage of at most 100% (\"25%\")",
            ),
            Rule(
                "",
                "!has(self.maxSurge) || !has(self.maxUnavailable) || !(string(self.maxSurge) in ['0', '0%']) || !(string(self.maxUnavailable) in ['0', '0%'])",
                "maxSurge and maxUnavailable are both 0, so nothing could ever be replaced: raise one of them",
            ),
        ],
    );
}

/// Of a template.
pub(crate) fn template(schema: &mut Schema) {
    let rule = Rule(
        ".spec.replicas",
        "!has(self.spec.replicas)",
        "a template has no replicas: write how many in `spec.replicas` of the WorkloadDeployment",
    );
    add(schema, &[rule]);
}

// === workloads ===

/// Of a workload's spec.
pub(crate) fn workload(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".components",
                "has(self.service) || (has(self.components) && size(self.components) > 0)",
                "the workload has no component: add `components: [{name: ..., image: ...}]`",
            ),
            Rule(
                ".components",
                "!has(self.components) || self.components.all(a, self.components.exists_one(b, b.name == a.name))",
                "two components have the same name: give each a name of its own",
            ),
            Rule(
                ".volumes",
                "!has(self.volumes) || self.volumes.all(a, self.volumes.exists_one(b, b.name == a.name))",
                "two volumes have the same name: give each a name of its own",
            ),
            Rule(
                ".components",
                "!has(self.components) || self.components.all(c, !has(c.localResources) || !has(c.localResources.volumeMounts) || c.localResources.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name)))",
                "a component mounts a volume that the workload does not have: add it to `volumes:`, or correct `volumeMounts[].name`",
            ),
            Rule(
                ".service",
                "!has(self.service) || !has(self.service.localResources) || !has(self.service.localResources.volumeMounts) || self.service.localResources.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
                "the service mounts a volume that the workload does not have: add it to `volumes:`, or correct `volumeMounts[].name`",
            ),
            Rule(
                ".hostInterfaces",
                "!has(self.hostInterfaces) || self.hostInterfaces.all(a, self.hostInterfaces.exists_one(b, b.__namespace__ == a.__namespace__ && b.__package__ == a.__package__ && has(b.name) == has(a.name) && (!has(a.name) || b.name == a.name)))",
                "two entries of the same namespace:package have the same name, or none: give all but one a `name:` of its own, or merge them",
            ),
            Rule(
                ".http.routes",
                "!has(self.http) || !has(self.http.routes) || self.http.routes.all(r, !has(r.component) || (has(self.components) && self.components.exists(c, c.name == r.component)))",
                "a route names a component that the workload does not have: correct `component:`, or leave it out if only one component serves HTTP",
            ),
            Rule(
                ".http.routes",
                "!has(self.http) || !has(self.http.routes) || self.http.routes.all(a, !has(a.name) || self.http.routes.exists_one(b, has(b.name) && b.name == a.name))",
                "two routes have the same name: give each a name of its own",
            ),
        ],
    );
}

/// Of whatever names an image: a component, a workload's service and an Artifact.
pub(crate) fn image(schema: &mut Schema) {
    let rule = Rule(
        ".image",
        "!self.image.startsWith('file:') && !self.image.startsWith('/') && !self.image.startsWith('.')",
        "a cluster fetches components from a registry: push the file and write its reference, such as registry.example/app:1.0 (files are for `penstock dev`)",
    );
    let space = Rule(
        ".image",
        "!self.image.contains(' ') && !self.image.contains('://')",
        "write the image as a registry's reference without scheme and blanks, such as registry.example/app:1.0",
    );
    add(schema, &[rule, space]);
}

/// Of `localResources`.
pub(crate) fn local_resources(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".memoryLimitMiB",
                "!has(self.memoryLimitMiB) || self.memoryLimitMiB > 0",
                "no component runs in 0 MiB: write a limit, or remove the field",
            ),
            Rule(
                ".allowedHostLoopbackPorts",
                "!has(self.allowedHostLoopbackPorts) || self.allowedHostLoopbackPorts.all(p, type(p) != int || (int(p) > 0 && int(p) < 65536))",
                "write a port as 5432, 5432/tcp or 53/udp",
            ),
        ],
    );
}

/// Of `allowedHostLoopbackPorts[]`: a pattern, since a rule over texts without a bound would cost too much, and a text that
/// may be a number has none.
pub(crate) fn port(schema: &mut Schema) {
    if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
        items.insert("pattern".to_owned(), json!("^[1-9][0-9]{0,4}(/tcp|/udp)?$"));
    }
}

/// Of `volumeMounts[]`.
pub(crate) fn volume_mount(schema: &mut Schema) {
    let rule = Rule(".mountPath", "self.mountPath.startsWith('/')", "the path is relative: begin it with `/`");
    add(schema, &[rule]);
}

/// Of `volumes[]`.
pub(crate) fn volume(schema: &mut Schema) {
    let rule = Rule(
        "",
        "has(self.ephemeral) != has(self.hostPath)",
        "a volume is one of two kinds: write either `ephemeral: {}` or `hostPath: {path: ...}`",
    );
    add(schema, &[rule]);
}

/// Of `volumes[].hostPath`.
pub(crate) fn host_path(schema: &mut Schema) {
    add(schema, &[Rule(".path", "self.path.startsWith('/')", "the path is relative: begin it with `/`")]);
}

/// Of `hostInterfaces[]`.
pub(crate) fn host_interface(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".interfaces",
                "self.interfaces.all(i, i.matches('^[^:/@ ]+$'))",
                "write the name of an interface alone, such as `incoming-handler`",
            ),
            Rule(
                ".config",
                "self.__namespace__ != 'wasi' || self.__package__ != 'http' || !has(self.config) || !('path' in self.config) || self.config['path'].startsWith('/')",
                "`config.path` is relative: begin it with `/`",
            ),
            Rule(
                ".config",
                "self.__namespace__ != 'wasi' || self.__package__ != 'http' || !has(self.config) || !('host' in self.config) || !(self.config['host'].startsWith('http://') || self.config['host'].startsWith('https://') || self.config['host'].endsWith('/'))",
                "`config.host` is a hostname without scheme, port and path, such as app.example.com or *.example.com",
            ),
        ],
    );
}
