//! What a share is made of.

use super::support::{behind, deployment, findings, http, listener, object, plan_of, routes, share};

const SOURCES: &str = "configFrom: [{name: one}, {name: two}], secretFrom: [{name: keys}]";

fn sources() -> String {
    object("ConfigMap", "one", "data: {A: one, B: one, C: one, D: one}")
        + &object("ConfigMap", "two", "data: {B: two, C: two, E: two}")
        + &object("Secret", "keys", "data: {C: c2VjcmV0}\nstringData: {F: plain}")
}

fn with_environment() -> String {
    deployment("app", "", "").replace(
        "image: 'registry.example/app:1'",
        &format!("image: 'registry.example/app:1', localResources: {{environment: {{config: {{A: base, Z: base}}, {SOURCES}}}}}"),
    )
}

#[test]
fn values_are_merged_and_the_last_wins() {
    let plan = plan_of(&(sources() + &with_environment()));
    assert_eq!(findings(&plan), [""; 0]);
    let environment = &share(&plan, "default/app").components[0].environment;
    let text: Vec<String> = environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(text, ["A=one", "B=two", "C=secret", "D=one", "E=two", "F=plain", "Z=base"]);

    let entry = format!(
        "hostInterfaces: [{{namespace: wasi, package: http, interfaces: [handler], config: {{host: a.example}}, {SOURCES}}}],"
    );
    let yaml = sources() + &deployment("app", &entry, "");
    let plan = plan_of(&yaml);
    let config = &share(&plan, "default/app").host_interfaces[0].config;
    assert_eq!(config["C"], "secret");
    assert!(!config.contains_key("host"), "routing is not the component's concern");
}

#[test]
fn what_is_missing_keeps_the_workload_out_and_its_routes_in() {
    let yaml = with_environment() + &deployment("other", "", "");
    let mut plan = plan_of(&yaml);
    assert_eq!(
        findings(&plan),
        [
            "WorkloadDeployment default/app spec.template.spec.components[0].localResources.environment.configFrom[0].name ConfigMapNotFound",
            "WorkloadDeployment default/app spec.template.spec.components[0].localResources.environment.configFrom[1].name ConfigMapNotFound",
            "WorkloadDeployment default/app spec.template.spec.components[0].localResources.environment.secretFrom[0].name SecretNotFound",
        ]
    );
    assert_eq!(plan.kept_out.iter().collect::<Vec<_>>(), ["default/app"]);
    assert_eq!(plan.snapshot.shares.len(), 1);

    let before = plan_of(&(sources() + &yaml)).snapshot;
    plan.keep(&before);
    assert_eq!(plan.snapshot.shares, before.shares);
}

#[test]
fn a_secret_that_is_no_text_is_said() {
    let secret = object("Secret", "keys", "data: {C: /w==}") + &sources().replace("name: keys", "name: unused");
    let plan = plan_of(&(secret + &with_environment()));
    assert_eq!(plan.findings[0].reason, "NotText");
    assert!(plan.snapshot.shares.is_empty());
}

#[test]
fn a_revision_is_the_content() {
    let plain = deployment("app", "", "");
    let revision = |yaml: &str| share(&plan_of(yaml), "default/app").revision.clone();
    let first = revision(&plain);
    assert_eq!((first.len(), share(&plan_of(&plain), "default/app").id.clone()), (10, format!("default/app@{first}")));
    for (same, why) in [
        (deployment("app", "", "replicas: 5,"), "scaling"),
        (deployment("app", "", &behind("x")), "Service"),
        (deployment("app", "http: {routes: [{matches: [{path: {value: /x}}]}]}", ""), "routes"),
        (deployment("app", "hostSelector: {zone: a}", ""), "placement"),
    ] {
        assert_eq!(revision(&same), first, "{why} rolled");
    }
    for (other, why) in [
        (plain.replace("app:1", "app:2"), "image"),
        (deployment("app", "requestTimeout: 5s", ""), "timeout"),
        (plain.replace("template: {", "template: {annotations: {restarted: now}, "), "annotation"),
    ] {
        assert_ne!(revision(&other), first, "{why} did not roll");
    }
    let with = |value: &str| revision(&(sources().replace("two, C", &format!("{value}, C")) + &with_environment()));
    assert_ne!(with("two"), with("three"), "an edit of a ConfigMap did not roll");
    // Hostnames are routing: with the same entry, another host is the same revision.
    let host = |host: &str| revision(&deployment("app", &http(&format!("host: {host}")), ""));
    assert_eq!(host("a.example"), host("b.example"));
}

#[test]
fn defaults_and_limits_are_filled_in() {
    let plan = plan_of(&deployment("app", "", ""));
    let it = share(&plan, "default/app");
    let capacity = it.capacity;
    assert_eq!((it.replicas, it.request_timeout_ms), (1, 60_000));
    assert_eq!((capacity.concurrency, capacity.queue_depth, capacity.queue_timeout_ms), (100, 100, 5_000));

    let yaml = deployment("app", "capacity: {concurrency: 3, queueTimeout: 1s500ms}, requestTimeout: 0s", "replicas: 0,")
        .replace("app:1'", "app@sha256:abc', poolSize: 0, maxInvocations: 9, maxAge: 1h, maxMemoryMiB: 16, imagePullPolicy: Always, localResources: {memoryLimitMiB: 32, cpuLimit: 1s500ms, tableLimit: 0, outboundLimit: 5, responseLimitMiB: 2}");
    let plan = plan_of(&yaml);
    let it = share(&plan, "default/app");
    let component = &it.components[0];
    assert_eq!(
        (it.replicas, it.request_timeout_ms, it.capacity.queue_timeout_ms, it.capacity.queue_depth),
        (0, 0, 1_500, 100)
    );
    assert_eq!(
        (component.pool_size, component.max_invocations, component.digest.as_deref()),
        (None, Some(9), Some("sha256:abc"))
    );
    assert_eq!((component.memory_limit_mib, component.cpu_limit_ms), (Some(32), Some(1_500)));
    assert_eq!((component.max_age_ms, component.max_memory_mib), (Some(3_600_000), Some(16)));
    assert_eq!(
        (component.table_limit, component.outbound_limit, component.response_limit_mib),
        (None, Some(5), Some(2))
    );
}

#[test]
fn pull_secrets_are_found_by_registry() {
    let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "registry.example": {"username": "me", "password": "secret:1"}}}"#;
    let secret = object(
        "Secret",
        "pull",
        &format!("type: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: '{config}'}}"),
    );
    let with = |image: &str| {
        deployment("app", "", "")
            .replace("image: 'registry.example/app:1'", &format!("image: '{image}', imagePullSecret: {{name: pull}}"))
    };
    for (image, want) in
        [("registry.example/app", Some("me/secret:1")), ("library/app", Some("u/p")), ("other.example/app", None)]
    {
        let plan = plan_of(&(secret.clone() + &with(image)));
        let found = share(&plan, "default/app").components[0].pull_secret.as_ref();
        assert_eq!(found.map(|it| format!("{}/{}", it.username, it.password)).as_deref(), want, "{image}");
        assert_eq!(plan.findings.len(), usize::from(want.is_none()));
        assert!(!format!("{plan:?}").contains("secret:1"), "a password was printed");
    }
    let plan = plan_of(&with("registry.example/app"));
    assert_eq!((plan.findings[0].reason, plan.snapshot.shares.len()), ("SecretNotFound", 0));
}

#[test]
fn a_workload_is_a_deployment_of_its_own() {
    let workload = "---\napiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: Workload\nmetadata: {name: app}\n\
                    spec: {replicas: 3, components: [{name: main, image: x}], kubernetes: {service: {name: nowhere}}, \
                    hostInterfaces: [{namespace: wasi, package: http, interfaces: [handler], config: {host: a.example}}]}\n";
    let plan = plan_of(workload);
    assert_eq!(share(&plan, "default/app").replicas, 3);
    assert_eq!(routes(listener(&plan, "shared")), ["default/app [a.example]:  -> default/app*1"]);
    assert_eq!(findings(&plan), ["Workload default/app spec.kubernetes.service.name ServiceNotFound"]);

    let plan = plan_of(&(workload.to_owned() + &deployment("app", "", "")));
    assert_eq!(findings(&plan), ["Workload default/app metadata.name DuplicateName"]);
    assert_eq!(plan.snapshot.shares.len(), 1);
}
