//! What statuses say.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use penstock_api::{HttpRoute, WorkloadDeploymentStatus, manifest::Object};
use penstock_operator::{
    hosts::ShareState,
    plan::{
        AnyRoute, DeploymentStep, Finding, HostState, Name, Phase, Severity, WantedReplicaSet,
        autoscale::Limit,
        status::{
            Autoscaled, CONTROLLER, DeploymentStatusFacts, Failure, HostStatusFacts, Programmed, ReplicaSetStatusFacts,
            WorkloadStatusFacts, deployment, host, replica_set, route, service, workload,
        },
    },
};

use super::support::{http_route, objects, plan_all};

fn now() -> Timestamp {
    "2026-11-23T18:00:00.25Z".parse().unwrap()
}

/// `Type=True Reason`.
fn short(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect()
}

fn message<'c>(conditions: &'c [Condition], r#type: &str) -> &'c str {
    &conditions.iter().find(|it| it.type_ == r#type).unwrap().message
}

fn finding(severity: Severity, path: &str, reason: &'static str, message: &str) -> Finding {
    let object = objects(&http_route("r", "rules: []"))[0].key();
    Finding { object, path: path.into(), severity, reason, message: message.into() }
}

#[test]
fn a_workload_says_what_its_host_says() {
    let facts = WorkloadStatusFacts {
        generation: Some(3),
        host: Some("h1"),
        environment: Some("penstock-system"),
        share_id: "default/app@1",
        synced: true,
        state: Some(ShareState::Ready),
        ..WorkloadStatusFacts::default()
    };
    let status = workload(None, &facts, now());
    assert_eq!(
        short(&status.conditions),
        [
            "Config=True Resolved",
            "HostSelection=True Selected",
            "Placement=True Placed",
            "Sync=True Acknowledged",
            "Ready=True Serving",
            "Healthy=True Healthy"
        ]
    );
    assert_eq!((status.host_id.as_deref(), status.workload_id.as_deref()), (Some("h1"), Some("default/app@1")));
    assert!(status.conditions.iter().all(|it| it.observed_generation == Some(3)));

    let sentence = "registry.example/app:2: the registry has no such tag";
    let failed = WorkloadStatusFacts { state: Some(ShareState::Failed), message: Some(sentence), ..facts };
    let after = workload(Some(&status), &failed, now() + SignedDuration::from_secs(60));
    assert_eq!(message(&after.conditions, "Ready"), sentence);
    assert_eq!(short(&after.conditions)[4], "Ready=False StartFailed");
    // Times change with the status only.
    assert_eq!(after.conditions[3].last_transition_time, status.conditions[3].last_transition_time);
    assert_eq!(after.conditions[4].last_transition_time.0.to_string(), "2026-11-23T18:01:00Z");

    let crashing = WorkloadStatusFacts { message: Some("crash loop: every call traps: unreachable"), ..facts };
    let after = workload(Some(&status), &crashing, now());
    assert_eq!(short(&after.conditions)[4..], ["Ready=True Serving", "Healthy=False CrashLoop"]);
    assert_eq!(message(&after.conditions, "Healthy"), "crash loop: every call traps: unreachable");

    let nowhere = WorkloadStatusFacts { host: None, state: None, synced: false, ..facts };
    let status = workload(None, &nowhere, now());
    assert_eq!(
        short(&status.conditions)[1..],
        [
            "HostSelection=False NoHost",
            "Placement=False NoHost",
            "Sync=False WaitingForHosts",
            "Ready=Unknown WaitingForHosts",
            "Healthy=True Healthy"
        ]
    );
    let findings = [finding(Severity::Error, "spec.x", "SecretNotFound", "there is no Secret default/s: create it")];
    let status = workload(None, &WorkloadStatusFacts { findings: &findings, ..facts }, now());
    assert_eq!(message(&status.conditions, "Config"), "spec.x: there is no Secret default/s: create it");
}

#[test]
fn an_unchanged_status_is_equal() {
    let facts = WorkloadStatusFacts { host: Some("h1"), state: Some(ShareState::Loading), ..Default::default() };
    let status = workload(None, &facts, now());
    assert_eq!(workload(Some(&status), &facts, now() + SignedDuration::from_hours(5)), status);
    // The API server keeps whole seconds.
    let kept: penstock_api::WorkloadStatus = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
    assert_eq!(kept, status);
}

#[test]
fn a_replica_set_counts() {
    let facts = ReplicaSetStatusFacts { generation: Some(1), expected: 5, current: 7, ready: 4 };
    let status = replica_set(None, &facts, now());
    assert_eq!(short(&status.conditions), ["ScaleUp=True Starting", "ScaleDown=True Draining", "Ready=False Starting"]);
    assert_eq!(status.replicas.unwrap().unavailable, 1);
    let facts = ReplicaSetStatusFacts { current: 5, ready: 5, ..facts };
    let status = replica_set(Some(&status), &facts, now());
    assert_eq!(short(&status.conditions), ["ScaleUp=False Scaled", "ScaleDown=False Scaled", "Ready=True Serving"]);
}

struct Given {
    name: Name,
    step: DeploymentStep,
    programmed: Programmed,
}

impl Given {
    fn new() -> Self {
        let set = |revision: &str, number, replicas| WantedReplicaSet { revision: revision.into(), number, replicas };
        Self {
            name: Name::new("default", "app"),
            step: DeploymentStep {
                replica_sets: vec![set("a", 1, 0), set("b", 2, 4)],
                previous: Some("a".into()),
                selected: 3,
                ..DeploymentStep::default()
            },
            programmed: Programmed { waiting_for: Vec::new(), propagated: true },
        }
    }

    /// Everything is as it should be.
    fn facts(&self) -> DeploymentStatusFacts<'_> {
        DeploymentStatusFacts {
            name: &self.name,
            generation: Some(9),
            replicas: 4,
            wanted: Some("b"),
            step: &self.step,
            current: 4,
            ready: 4,
            updated_ready: 4,
            min_available: 3,
            failure: None,
            crash: None,
            deadline_exceeded: false,
            programmed: &self.programmed,
            artifacts_missing: &[],
            autoscaled: None,
            findings: &[],
        }
    }
}

fn said(status: &WorkloadDeploymentStatus, types: &[&str]) -> Vec<String> {
    let conditions: Vec<Condition> =
        status.conditions.iter().filter(|it| types.contains(&it.type_.as_str())).cloned().collect();
    short(&conditions)
}

#[test]
fn a_deployment_that_is_done() {
    let given = Given::new();
    let status = deployment(None, &given.facts(), now());
    assert_eq!(
        short(&status.conditions),
        [
            "Artifact=True Resolved",
            "Sync=True Resolved",
            "Deploy=True Complete",
            "Scale=True Scaled",
            "Available=True MinimumReplicasAvailable",
            "Ready=True Serving",
            "Programmed=True Programmed",
            "Healthy=True Healthy"
        ]
    );
    let crash = Failure { host: "h1".into(), message: "crash loop: every call traps: unreachable".into() };
    let crashing = deployment(None, &DeploymentStatusFacts { crash: Some(&crash), ..given.facts() }, now());
    assert_eq!(said(&crashing, &["Ready", "Healthy"]), ["Ready=True Serving", "Healthy=False CrashLoop"]);
    assert_eq!(message(&crashing.conditions, "Healthy"), "host h1: crash loop: every call traps: unreachable");
    assert_eq!(status.observed_generation, Some(9));
    assert_eq!(status.current_replica_set.unwrap().name, "app-b");
    assert_eq!(status.previous_replica_set.unwrap().name, "app-a");
    assert_eq!((status.current_replicas, status.replicas.unwrap().ready), (Some(4), 4));
    assert!(status.selector.unwrap().contains("workload-deployment=app"));
}

#[test]
fn autoscaling_says_who_scales_and_what_keeps_it() {
    let given = Given::new();
    let scaling = |it: Autoscaled| {
        let status = deployment(None, &DeploymentStatusFacts { autoscaled: Some(&it), ..given.facts() }, now());
        let said = said(&status, &["ScalingActive", "ScalingLimited"]);
        (said, message(&status.conditions, "ScalingActive").to_owned())
    };
    let (said_now, _) = scaling(Autoscaled::Active(None));
    assert_eq!(said_now, ["ScalingActive=True FollowsLoad", "ScalingLimited=False DesiredWithinRange"]);
    let (said_now, _) = scaling(Autoscaled::Active(Some(Limit::TooManyReplicas)));
    assert_eq!(said_now, ["ScalingActive=True FollowsLoad", "ScalingLimited=True TooManyReplicas"]);
    let (said_now, text) = scaling(Autoscaled::ByAnother("keda-hpa-app".into()));
    assert_eq!(said_now[0], "ScalingActive=False AmbiguousAutoscaler");
    assert!(text.contains("keda-hpa-app") && text.contains("remove one of them"), "{text}");
    let (said_now, text) = scaling(Autoscaled::Invalid("spec.autoscaling.maxReplicas: write at least 1".into()));
    assert_eq!(said_now[0], "ScalingActive=False InvalidAutoscaling");
    assert_eq!(text, "spec.autoscaling.maxReplicas: write at least 1");
    assert_eq!(said(&deployment(None, &given.facts(), now()), &["ScalingActive", "ScalingLimited"]), [""; 0]);
}

#[test]
fn a_deployment_says_why_not() {
    let types = ["Deploy", "Scale", "Available", "Ready", "Programmed"];
    let check = |about: &str, given: &Given, facts: DeploymentStatusFacts<'_>, expected: [&str; 5], text: &str| {
        let status = deployment(None, &facts, now());
        assert_eq!(
            said(&status, &types),
            expected.iter().zip(types).map(|(it, r#type)| format!("{type}={it}")).collect::<Vec<_>>(),
            "{about}"
        );
        let all: Vec<&str> = status.conditions.iter().map(|it| it.message.as_str()).collect();
        assert!(all.iter().any(|it| it.contains(text)), "{about}: {all:?}");
        assert_eq!(given.name.name, "app");
    };
    let mut given = Given::new();
    given.step.phase = Phase::Progressing;
    let rolling = DeploymentStatusFacts { current: 5, updated_ready: 1, ..given.facts() };
    let busy =
        ["False Progressing", "False Scaling", "True MinimumReplicasAvailable", "False Progressing", "False NotReady"];
    check("a rollout", &given, rolling, busy, "1 of 4 replicas of revision b serve");

    let failure = Failure { host: "h1".into(), message: "the image has no such tag".into() };
    let failed = DeploymentStatusFacts { failure: Some(&failure), current: 4, updated_ready: 0, ..rolling };
    let broken =
        ["False StartFailed", "True Scaled", "True MinimumReplicasAvailable", "False StartFailed", "False NotReady"];
    check("it does not start", &given, failed, broken, "host h1: the image has no such tag");
    let late = DeploymentStatusFacts { deadline_exceeded: true, ..failed };
    let deadline = [
        "False ProgressDeadlineExceeded",
        "True Scaled",
        "True MinimumReplicasAvailable",
        "False ProgressDeadlineExceeded",
        "False NotReady",
    ];
    check("for long", &given, late, deadline, "the image has no such tag");

    given.step.selected = 0;
    let nobody = DeploymentStatusFacts { current: 0, ready: 0, updated_ready: 0, ..given.facts() };
    let expected =
        ["False NoHost", "False NoHost", "False MinimumReplicasUnavailable", "False NoHost", "False NotReady"];
    check("no host", &given, nobody, expected, "correct `hostSelector`");

    let mut given = Given::new();
    given.step.unplaced = 2;
    let full = DeploymentStatusFacts { current: 2, ready: 2, ..given.facts() };
    let expected = [
        "True Complete",
        "False InsufficientCapacity",
        "False MinimumReplicasUnavailable",
        "False InsufficientCapacity",
        "False NotReady",
    ];
    check("no room", &given, full, expected, "no host has room for 2 of 4 replicas");

    let mut given = Given::new();
    given.step.phase = Phase::Paused;
    let expected = ["False Paused", "True Scaled", "True MinimumReplicasAvailable", "False Paused", "False NotReady"];
    check("paused", &given, given.facts(), expected, "set `paused` to false");

    let mut given = Given::new();
    given.programmed = Programmed { waiting_for: vec!["h1".into(), "h2".into(), "h3".into()], propagated: false };
    let expected =
        ["True Complete", "True Scaled", "True MinimumReplicasAvailable", "True Serving", "False WaitingForHosts"];
    check("not acknowledged", &given, given.facts(), expected, "host h1 and 2 others");
    given.programmed.waiting_for.clear();
    let expected =
        ["True Complete", "True Scaled", "True MinimumReplicasAvailable", "True Serving", "False Propagating"];
    check("not known everywhere", &given, given.facts(), expected, "a moment");
    let missing =
        [finding(Severity::Warning, "kubernetes.service.name", "ServiceNotFound", "there is no Service ns/a")];
    let facts = DeploymentStatusFacts { findings: &missing, ..given.facts() };
    let expected =
        ["True Complete", "True Scaled", "True MinimumReplicasAvailable", "True Serving", "False ServiceNotFound"];
    check("nobody can ask it", &given, facts, expected, "there is no Service ns/a");
}

#[test]
fn a_deployment_that_cannot_be_resolved_keeps_its_revision() {
    let mut given = Given::new();
    let before = deployment(None, &given.facts(), now());
    given.step.phase = Phase::Progressing;
    let findings = [
        finding(Severity::Warning, "", "NotSupported", "a warning"),
        finding(Severity::Error, "spec.y", "ConfigMapNotFound", "there is no ConfigMap default/c"),
    ];
    let facts = DeploymentStatusFacts { wanted: None, findings: &findings, ..given.facts() };
    let status = deployment(Some(&before), &facts, now());
    assert_eq!(said(&status, &["Sync", "Deploy"]), ["Sync=False ConfigMapNotFound", "Deploy=False ConfigMapNotFound"]);
    assert_eq!(status.current_replica_set, before.current_replica_set);
}

#[test]
fn a_surge_is_no_capacity_to_multiply() {
    let mut given = Given::new();
    given.step.replica_sets[0].replicas = 3;
    let facts = DeploymentStatusFacts { current: 6, ..given.facts() };
    assert_eq!(deployment(None, &facts, now()).current_replicas, Some(4));
    given.step.replica_sets[0].replicas = 0;
    let facts = DeploymentStatusFacts { current: 6, ..given.facts() };
    assert_eq!(deployment(None, &facts, now()).current_replicas, Some(6), "scaling in is told as it is");
}

#[test]
fn hosts_say_whether_they_serve() {
    let connected = HostStatusFacts { connected: true, ..HostStatusFacts::default() };
    for (facts, expected) in [
        (connected, ["Reporting=True Connected", "Ready=True Serving"]),
        (
            HostStatusFacts { connected: false, ..connected },
            ["Reporting=False Disconnected", "Ready=Unknown Disconnected"],
        ),
        (
            HostStatusFacts { state: HostState::Lost, ..Default::default() },
            ["Reporting=False Disconnected", "Ready=False HostLost"],
        ),
        (
            HostStatusFacts { state: HostState::Terminating, ..connected },
            ["Reporting=True Connected", "Ready=False Draining"],
        ),
        (
            HostStatusFacts { state: HostState::Cordoned, ..connected },
            ["Reporting=True Connected", "Ready=True Cordoned"],
        ),
        (
            HostStatusFacts { unbound: Some(("shared", "in use")), ..connected },
            ["Reporting=True Connected", "Ready=False NotBound"],
        ),
        (
            HostStatusFacts { refused: Some("no JSON"), ..connected },
            ["Reporting=True Connected", "Ready=False SnapshotRefused"],
        ),
    ] {
        assert_eq!(short(&host(None, &facts, now())), expected);
    }
}

#[test]
fn services_and_routes_are_told() {
    assert_eq!(short(&service(&[], &[], None, now())), ["runtime.wasmcloud.dev/Accepted=True Accepted"]);
    let findings = [finding(Severity::Warning, "spec.clusterIP", "HeadlessService", "by SRV only")];
    assert_eq!(short(&service(&[], &findings, None, now())), ["runtime.wasmcloud.dev/Accepted=False HeadlessService"]);
    // Errors come before warnings.
    let both = [findings[0].clone(), finding(Severity::Error, "spec.ports", "NoServicePort", "no port")];
    assert_eq!(short(&service(&[], &both, None, now())), ["runtime.wasmcloud.dev/Accepted=False NoServicePort"]);

    let yaml = http_route(
        "r",
        "parentRefs: [{group: '', kind: Service, name: nowhere}, {name: gateway}], \
         rules: [{backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: missing}]}]",
    );
    let Object::HttpRoute(mut it) = objects(&yaml).remove(0) else { panic!("a route") };
    let findings = plan_all(objects(&yaml)).findings;
    let any = |it: &HttpRoute| AnyRoute::Http(Arc::new(it.clone()));
    let parents = route(&any(&it), Some(&findings), now());
    assert_eq!(parents.len(), 1, "a gateway speaks for itself");
    assert_eq!(parents[0].controller_name, CONTROLLER);
    assert_eq!(
        short(&parents[0].conditions),
        ["Accepted=False NoMatchingParent", "ResolvedRefs=False BackendNotFound"]
    );
    // What others say stays, and what is said again stays as it is.
    let mut others = parents.clone();
    others[0].controller_name = "example.com/gateway".into();
    let all: Vec<_> = others.iter().chain(&parents).cloned().collect();
    it.status = Some(penstock_api::route::HttpRouteStatus { parents: all.clone() });
    assert_eq!(route(&any(&it), Some(&findings), now() + SignedDuration::from_secs(9)), all);
}
