//! One for each trap: what is well first, and then what differs from it.

use serde_json::{Value, json};

use super::{super::seen::Selected, *};
use crate::problem::Level;

const NAMES: &str = "runtime.wasmcloud.dev/workloaddeployment=api,runtime.wasmcloud.dev/namespace=shop";

/// A cluster in which all is well, to be spoilt.
struct Case {
    version: (u32, u32),
    workloads: Vec<Value>,
    autoscalers: Vec<Value>,
    scaled_objects: Vec<Value>,
    pods: Vec<Value>,
    selectors: Vec<(&'static str, &'static str)>,
    external_metrics: Known<Value>,
    door: Known<Value>,
}

impl Case {
    /// A workload and an HPA.
    fn hpa() -> Self {
        Self {
            version: (1, 37),
            workloads: vec![workload("api"), workload("web")],
            autoscalers: vec![autoscaler("api")],
            scaled_objects: Vec::new(),
            pods: vec![json!({"metadata": {"name": "host-0", "namespace": "shop", "labels": {"app": "host"}}})],
            selectors: Vec::new(),
            external_metrics: Known::There(api_service("penstock-system", SERVICE, "True")),
            door: Known::There(json!([{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]}])),
        }
    }

    /// A workload and a ScaledObject, with the HPA that KEDA makes of it.
    fn keda() -> Self {
        let mut made = autoscaler("api");
        made["metadata"]["name"] = json!("keda-hpa-api");
        made["metadata"]["ownerReferences"] = json!([{"kind": "ScaledObject", "name": "api"}]);
        made["spec"]["metrics"][0]["external"]["metric"] = json!({
            "name": "s0-penstock-queued", "selector": {"matchLabels": {"scaledobject.keda.sh/name": "api"}},
        });
        Self {
            autoscalers: vec![made],
            scaled_objects: vec![scaled_object("api")],
            external_metrics: Known::There(api_service("keda", "keda-operator-metrics-apiserver", "True")),
            ..Self::hpa()
        }
    }

    fn findings(&self) -> Vec<Finding> {
        fn all<T: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<T> {
            values.iter().map(|it| serde_json::from_value(it.clone()).unwrap()).collect()
        }
        fn known<T: serde::de::DeserializeOwned>(value: &Known<Value>) -> Known<T> {
            match value {
                Known::Unknown => Known::Unknown,
                Known::Missing => Known::Missing,
                Known::There(it) => Known::There(serde_json::from_value(it.clone()).unwrap()),
            }
        }
        let selectors = self.selectors.iter().map(|(autoscaler, selector)| Selected {
            namespace: "shop".into(),
            autoscaler: (*autoscaler).into(),
            selector: (*selector).into(),
        });
        findings(&Seen {
            version: Some(self.version),
            workloads: all(&self.workloads),
            autoscalers: all(&self.autoscalers),
            scaled_objects: all(&self.scaled_objects),
            pods: all(&self.pods),
            selectors: selectors.collect(),
            external_metrics: known(&self.external_metrics),
            door: known(&self.door),
            unseen: Vec::new(),
        })
    }

    /// Level, reason, object and field of each finding.
    fn short(&self) -> Vec<String> {
        let findings = self.findings();
        for it in &findings {
            assert!(!it.message.is_empty() && !it.message.ends_with('.'), "{it:?}");
            assert!(it.advice.ends_with('.') && it.reference.starts_with("docs/"), "{it:?}");
        }
        findings
            .iter()
            .map(|it| {
                let level = match it.level {
                    Level::Error => "error",
                    Level::Warning => "warning",
                    Level::Note => "note",
                };
                format!("{level} {:?} {}/{} {}", it.reason, short(it.object.kind), it.object.name, it.path)
            })
            .collect()
    }

    /// The only finding's message and advice.
    fn words(&self) -> (String, String) {
        let findings = self.findings();
        let [only] = findings.as_slice() else { panic!("{findings:#?}") };
        (only.message.clone(), only.advice.clone())
    }
}

fn short(kind: &str) -> &str {
    match kind {
        "WorkloadDeployment" => "wd",
        "HorizontalPodAutoscaler" => "hpa",
        "ScaledObject" => "so",
        other => other,
    }
}

fn workload(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 2},
        "status": {"selector": NAMES.replace("=api", &format!("={name}")), "currentReplicas": 2},
    })
}

fn target(name: &str) -> Value {
    json!({"apiVersion": "runtime.wasmcloud.dev/v1alpha1", "kind": "WorkloadDeployment", "name": name})
}

fn autoscaler(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": target("api"), "minReplicas": 1, "maxReplicas": 10,
            "metrics": [{"type": "External", "external": {
                "metric": {"name": "queued", "selector": {"matchLabels": {"workload": "api"}}},
                "target": {"type": "AverageValue", "averageValue": "10"},
            }}],
        },
        "status": {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "ok"}]},
    })
}

fn scaled_object(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": target("api"), "minReplicaCount": 1, "maxReplicaCount": 10,
            "triggers": [{
                "type": "external",
                "metadata": {
                    "scalerAddress": "penstock-autoscaling.penstock-system.svc:9444", "enableTLS": "true",
                    "metricName": "queued", "targetValue": "10",
                },
                "authenticationRef": {"name": "penstock", "kind": "ClusterTriggerAuthentication"},
            }],
        },
    })
}

fn api_service(namespace: &str, name: &str, available: &str) -> Value {
    let condition =
        json!({"type": "Available", "status": available, "reason": "FailedDiscoveryCheck", "message": "no TLS"});
    json!({"spec": {"service": {"namespace": namespace, "name": name}}, "status": {"conditions": [condition]}})
}

/// An HPA's case with something else in the HPA.
fn with(change: impl FnOnce(&mut Value)) -> Case {
    let mut case = Case::hpa();
    change(&mut case.autoscalers[0]);
    case
}

/// A ScaledObject's case with something else in the trigger.
fn trigger(change: impl FnOnce(&mut Value)) -> Case {
    let mut case = Case::keda();
    change(&mut case.scaled_objects[0]["spec"]["triggers"][0]);
    case
}

#[test]
fn nothing_is_said_where_all_is_well() {
    assert_eq!(Case::hpa().short(), [""; 0]);
    assert_eq!(Case::keda().short(), [""; 0]);
    let nobody_may_say = Case { external_metrics: Known::Unknown, door: Known::Unknown, ..Case::hpa() };
    assert_eq!(nobody_may_say.short(), [""; 0]);
}

#[test]
fn others_are_none_of_its_business() {
    let mut case = with(|it| {
        it["spec"]["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "db"});
        it["spec"]["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu"}}]);
    });
    let mut other = scaled_object("db");
    other["spec"]["scaleTargetRef"] = json!({"name": "db"});
    other["spec"]["triggers"] = json!([{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}]);
    case.scaled_objects = vec![other];
    assert_eq!(case.short(), [""; 0]);
}

#[test]
fn a_value_is_held_against_ready_pods() {
    let case = with(|it| {
        it["spec"]["metrics"][0]["external"]["target"] = json!({"type": "Value", "value": "10"});
    });
    assert_eq!(case.short(), ["error TargetCountsPods hpa/api spec.metrics[0].external.target.type"]);
    assert!(case.words().0.contains("falls to its minimum"));
    let case = with(|it| {
        it["spec"]["metrics"][0] = json!({"type": "Object", "object": {
            "metric": {"name": "rps"}, "describedObject": {"kind": "Service", "name": "api"},
            "target": {"type": "Value", "value": "10"},
        }});
    });
    assert_eq!(case.short(), ["error TargetCountsPods hpa/api spec.metrics[0].object.target.type"]);
}

#[test]
fn a_utilization_is_held_against_pods_too() {
    let case = with(|it| {
        it["spec"]["metrics"][0]["external"]["target"] = json!({"type": "Utilization", "averageUtilization": 80});
    });
    assert_eq!(case.short(), ["error TargetCountsPods hpa/api spec.metrics[0].external.target.type"]);
}

#[test]
fn metrics_of_pods_have_no_value() {
    for kind in ["Resource", "ContainerResource", "Pods"] {
        let case = with(|it| it["spec"]["metrics"][0] = json!({"type": kind}));
        assert_eq!(case.short(), ["error MetricOfPods hpa/api spec.metrics[0].type"]);
        assert!(case.words().0.contains(kind));
    }
    for kind in ["cpu", "memory"] {
        let case = trigger(|it| *it = json!({"type": kind, "metricType": "Utilization", "metadata": {"value": "50"}}));
        assert_eq!(case.short(), ["error MetricOfPods so/api spec.triggers[0].type"]);
    }
}

#[test]
fn two_autoscalers_undo_each_others_work() {
    let mut case = Case::hpa();
    case.autoscalers.push(autoscaler("second"));
    let both = [
        "error SeveralAutoscalers hpa/api spec.scaleTargetRef",
        "error SeveralAutoscalers hpa/second spec.scaleTargetRef",
    ];
    assert_eq!(case.short(), both);
    let mut case = Case::keda();
    case.external_metrics = Known::Unknown;
    case.autoscalers.push(autoscaler("own"));
    let both =
        ["error SeveralAutoscalers hpa/own spec.scaleTargetRef", "error SeveralAutoscalers so/api spec.scaleTargetRef"];
    assert_eq!(case.short(), both);
    let message = &case.findings()[1].message;
    assert!(message.contains("HorizontalPodAutoscaler shop/own scales") && !message.contains("keda-hpa"), "{message}");
}

#[test]
fn a_selector_matches_no_pods() {
    let mut case = Case::hpa();
    case.workloads[0]["status"]["selector"] = json!("app=host");
    assert_eq!(case.short(), ["error SelectorMatchesPods wd/api status.selector"]);
    assert!(case.words().0.contains("pod shop/host-0"));
    // Of another namespace, they are others.
    case.pods[0]["metadata"]["namespace"] = json!("penstock-system");
    assert_eq!(case.short(), [""; 0]);
}

#[test]
fn pods_of_two_selectors_stop_both_hpas() {
    let mut case = Case::hpa();
    case.workloads[0]["status"]["selector"] = json!("app in (host)");
    case.selectors = vec![("hosts", "app=host"), ("others", "app=other")];
    assert_eq!(case.short(), ["error AmbiguousSelector wd/api status.selector"]);
    let message = case.words().0;
    assert!(message.contains("the HPAs api, hosts:") && message.contains("AmbiguousSelector"), "{message}");
}

#[test]
fn without_a_selector_nobody_scales() {
    let mut case = Case::hpa();
    case.workloads[0]["status"] = Value::Null;
    case.workloads[1]["status"]["selector"] = json!("");
    assert_eq!(case.short(), ["error NoSelector wd/api status.selector", "warning NoSelector wd/web status.selector"]);
}

#[test]
fn its_own_autoscaling_stands_back() {
    let mut case = Case::hpa();
    case.workloads[0]["spec"]["autoscaling"] = json!({"maxReplicas": 1});
    let condition = json!({"type": "ScalingActive", "status": "False", "reason": "AmbiguousAutoscaler", "message": "HPA api scales it too"});
    case.workloads[0]["status"]["conditions"] = json!([condition]);
    assert_eq!(case.short(), ["warning AmbiguousAutoscaler wd/api spec.autoscaling"]);
    assert!(case.words().0.contains("HorizontalPodAutoscaler shop/api"));
    // Nobody else is seen, and the operator says that there is one.
    case.autoscalers.clear();
    case.workloads[0]["spec"]["autoscaling"]["maxReplicas"] = json!(5);
    assert!(case.words().0.contains("HPA api scales it too"));
}

#[test]
fn its_own_autoscaling_that_cannot_be_followed_is_told_in_the_operators_words() {
    let mut case = Case { autoscalers: Vec::new(), ..Case::hpa() };
    case.workloads[0]["spec"]["autoscaling"] = json!({"maxReplicas": 5});
    let condition = json!({"type": "ScalingActive", "status": "False", "reason": "InvalidAutoscaling", "message": "spec.autoscaling.x: no"});
    case.workloads[0]["status"]["conditions"] = json!([condition]);
    assert_eq!(case.short(), ["error InvalidAutoscaling wd/api spec.autoscaling"]);
    assert_eq!(case.words().0, "ScalingActive is False, InvalidAutoscaling: spec.autoscaling.x: no");
}

#[test]
fn at_zero_somebody_has_to_answer() {
    let mut case = Case { autoscalers: Vec::new(), ..Case::hpa() };
    case.workloads[0]["spec"]["autoscaling"] = json!({"minReplicas": 0, "maxReplicas": 5});
    assert_eq!(case.short(), ["error ZeroUnreachable wd/api spec.autoscaling.minReplicas"]);
    let mut case = with(|it| it["spec"]["minReplicas"] = json!(0));
    assert_eq!(case.short(), ["error ZeroUnreachable hpa/api spec.minReplicas"]);
    case.workloads[0]["spec"]["scaleToZero"] = json!(true);
    assert_eq!(case.short(), [""; 0]);
    // KEDA goes to zero if nothing is said.
    let mut case = Case::keda();
    case.scaled_objects[0]["spec"].as_object_mut().unwrap().remove("minReplicaCount");
    assert_eq!(case.short(), ["error ZeroUnreachable so/api spec.minReplicaCount"]);
    case.scaled_objects[0]["spec"]["minReplicaCount"] = json!(1);
    case.scaled_objects[0]["spec"]["idleReplicaCount"] = json!(0);
    assert_eq!(case.short(), ["error ZeroUnreachable so/api spec.idleReplicaCount"]);
}

#[test]
fn an_hpa_needs_a_feature_for_zero_before_1_37() {
    let mut case = with(|it| it["spec"]["minReplicas"] = json!(0));
    case.workloads[0]["spec"]["scaleToZero"] = json!(true);
    case.version = (1, 36);
    assert_eq!(case.short(), ["warning NeedsScaleToZeroFeature hpa/api spec.minReplicas"]);
    assert!(case.words().0.contains("needs HPAScaleToZero"));
}

#[test]
fn more_replicas_than_there_may_be() {
    let case = with(|it| it["spec"]["maxReplicas"] = json!(1));
    assert_eq!(case.short(), ["warning AboveMaximum hpa/api spec.maxReplicas"]);
    let mut case = Case::keda();
    case.scaled_objects[0]["spec"]["maxReplicaCount"] = json!(1);
    assert_eq!(case.short(), ["warning AboveMaximum so/api spec.maxReplicaCount"]);
    let mut case = Case { autoscalers: Vec::new(), ..Case::hpa() };
    case.workloads[0]["spec"]["autoscaling"] = json!({"maxReplicas": 1});
    assert_eq!(case.short(), ["warning AboveMaximum wd/api spec.autoscaling.maxReplicas"]);
}

#[test]
fn what_an_autoscaler_says_of_itself_is_passed_on() {
    let no =
        |reason: &str| json!({"type": "ScalingActive", "status": "False", "reason": reason, "message": "as it is"});
    let case = with(|it| it["status"]["conditions"] = json!([no("FailedGetExternalMetric")]));
    assert_eq!(case.short(), ["error NotActive hpa/api status.conditions"]);
    assert_eq!(case.words().0, "ScalingActive is False, FailedGetExternalMetric: as it is");
    let case = with(|it| it["status"]["conditions"] = json!([no("ScalingDisabled")]));
    assert_eq!(case.short(), ["warning NotActive hpa/api status.conditions"]);
    // It follows from something else.
    let case = with(|it| {
        it["status"]["conditions"] = json!([no("FailedGetResourceMetric")]);
        it["spec"]["metrics"][0] = json!({"type": "Resource"});
    });
    let both = ["error MetricOfPods hpa/api spec.metrics[0].type", "note NotActive hpa/api status.conditions"];
    assert_eq!(case.short(), both);
    let mut case = Case::keda();
    case.scaled_objects[0]["status"] = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": "m"}]});
    assert_eq!(case.short(), ["error NotActive so/api status.conditions"]);
}

#[test]
fn nobody_serves_external_metrics() {
    let case = Case { external_metrics: Known::Missing, ..Case::hpa() };
    assert_eq!(case.short(), ["error NoExternalMetrics hpa/api spec.metrics[0].external"]);
    assert!(case.words().1.contains("kubectl apply -k deploy/external-metrics"));
}

#[test]
fn external_metrics_that_are_not_available() {
    let case = Case { external_metrics: Known::There(api_service("penstock-system", SERVICE, "False")), ..Case::hpa() };
    assert_eq!(case.short(), ["error NoExternalMetrics hpa/api spec.metrics[0].external"]);
    assert!(case.words().0.ends_with("FailedDiscoveryCheck: no TLS"));
}

#[test]
fn external_metrics_of_somebody_else() {
    let theirs = api_service("keda", "keda-operator-metrics-apiserver", "True");
    let mut case = Case { external_metrics: Known::There(theirs), ..Case::hpa() };
    assert_eq!(case.short(), ["error ForeignExternalMetrics hpa/api spec.metrics[0].external"]);
    assert!(case.words().0.contains("keda/keda-operator-metrics-apiserver"));
    // Once, however many metrics; and what is not Penstock's may be theirs.
    let metric = case.autoscalers[0]["spec"]["metrics"][0].clone();
    case.autoscalers[0]["spec"]["metrics"].as_array_mut().unwrap().push(metric);
    assert_eq!(case.short().len(), 1);
    case.autoscalers[0]["spec"]["metrics"] = json!([{"type": "External", "external": {
        "metric": {"name": "s0-aws-sqs"}, "target": {"type": "AverageValue", "averageValue": "1"},
    }}]);
    assert_eq!(case.short(), [""; 0]);
}

#[test]
fn no_operator_answers() {
    for (door, how) in [
        (Known::Missing, "is not there"),
        (Known::There(json!([])), "leads to no operator"),
        (Known::There(json!([{"endpoints": null}])), "leads to no operator"),
        (Known::There(json!([{"endpoints": [{"conditions": {"ready": false}}]}])), "leads to no operator"),
    ] {
        let case = Case { door, ..Case::hpa() };
        assert_eq!(case.short(), ["error NobodyAnswers hpa/api spec.metrics[0].external"]);
        assert!(case.words().0.contains(how));
    }
    let case = Case { door: Known::Missing, ..Case::keda() };
    assert_eq!(case.short(), ["error NobodyAnswers so/api spec.triggers[0].metadata.scalerAddress"]);
}

#[test]
fn the_operator_may_be_elsewhere() {
    let mut case = trigger(|it| it["metadata"]["scalerAddress"] = json!("dns:///penstock-autoscaling.wasm.svc:9444"));
    case.door = Known::Missing;
    assert_eq!(case.short(), ["error NobodyAnswers so/api spec.triggers[0].metadata.scalerAddress"]);
    assert!(case.words().0.contains("Service wasm/penstock-autoscaling"));
    // Whoever else is asked says what is well himself.
    let case = trigger(|it| it["metadata"] = json!({"scalerAddress": "scaler.other.svc:9000"}));
    assert_eq!(case.short(), [""; 0]);
}

#[test]
fn a_metric_says_whose_it_is() {
    let at = "spec.metrics[0].external.metric.selector";
    for selector in [
        Value::Null,
        json!({"matchLabels": {"app": "api"}}),
        json!({"matchLabels": {"workload": "api", "app": "api"}}),
        json!({"matchExpressions": [{"key": "workload", "operator": "In", "values": ["api", "web"]}]}),
        json!({"matchExpressions": [{"key": "workload", "operator": "Exists"}]}),
    ] {
        let case = with(|it| it["spec"]["metrics"][0]["external"]["metric"]["selector"] = selector);
        assert_eq!(case.short(), [format!("error NoWorkloadNamed hpa/api {at}")]);
        assert!(case.words().1.contains("{matchLabels: {workload: api}}"));
    }
    let named = |name: &str| {
        with(|it| it["spec"]["metrics"][0]["external"]["metric"]["selector"]["matchLabels"]["workload"] = json!(name))
    };
    assert_eq!(named("gone").short(), [format!("error UnknownWorkload hpa/api {at}")]);
    assert_eq!(named("web").short(), [format!("warning OtherWorkload hpa/api {at}")]);
    let one = json!({"matchExpressions": [{"key": "workload", "operator": "In", "values": ["api"]}]});
    let case = with(|it| it["spec"]["metrics"][0]["external"]["metric"]["selector"] = one);
    assert_eq!(case.short(), [""; 0]);
}

#[test]
fn a_metric_that_penstock_does_not_have() {
    let case = with(|it| it["spec"]["metrics"][0]["external"]["metric"]["name"] = json!("rps"));
    assert_eq!(case.short(), ["error UnknownMetric hpa/api spec.metrics[0].external.metric.name"]);
    assert!(case.words().1.contains("requests_per_second"));
}

#[test]
fn an_hpa_of_nothing() {
    let case = with(|it| it["spec"]["scaleTargetRef"] = target("gone"));
    let found = case.short();
    assert!(found.contains(&"error UnknownWorkload hpa/api spec.scaleTargetRef.name".to_owned()), "{found:?}");
}

#[test]
fn a_trigger_speaks_tls_and_trusts_the_operator() {
    let case = trigger(|it| drop(it["metadata"].as_object_mut().unwrap().remove("enableTLS")));
    assert_eq!(case.short(), ["warning TriggerNotTrusted so/api spec.triggers[0].metadata.enableTLS"]);
    let case = trigger(|it| drop(it.as_object_mut().unwrap().remove("authenticationRef")));
    assert_eq!(case.short(), ["error TriggerNotTrusted so/api spec.triggers[0].authenticationRef"]);
    let case = trigger(|it| {
        it["authenticationRef"] = Value::Null;
        it["metadata"]["unsafeSsl"] = json!("true");
    });
    assert_eq!(case.short(), ["warning TriggerNotTrusted so/api spec.triggers[0].authenticationRef"]);
    let case = trigger(|it| {
        it["authenticationRef"] = Value::Null;
        it["metadata"]["enableTLS"] = json!("false");
    });
    let both = [
        "error TriggerNotTrusted so/api spec.triggers[0].authenticationRef",
        "error TriggerNotTrusted so/api spec.triggers[0].metadata.enableTLS",
    ];
    assert_eq!(case.short(), both);
}

#[test]
fn a_trigger_that_the_operator_refuses() {
    let with = |key: &str, value: Value| trigger(|it| it["metadata"][key] = value).short();
    let at = "so/api spec.triggers[0].metadata";
    assert_eq!(with("metricName", json!("rps")), [format!("error UnknownMetric {at}.metricName")]);
    assert_eq!(with("targetValue", json!("")), [format!("error InvalidTrigger {at}.targetValue")]);
    assert_eq!(with("targetValue", json!("80%")), [format!("error InvalidTrigger {at}.targetValue")]);
    assert_eq!(with("targetValue", json!("0")), [format!("error InvalidTrigger {at}.targetValue")]);
    assert_eq!(with("activationValue", json!("many")), [format!("error InvalidTrigger {at}.activationValue")]);
    assert_eq!(with("metricname", json!("queued")), [format!("error InvalidTrigger {at}.metricname")]);
    let case = trigger(|it| {
        let metadata = it["metadata"].as_object_mut().unwrap();
        metadata.remove("metricName");
        metadata.remove("targetValue");
    });
    assert_eq!(case.short(), [""; 0], "utilization has a target of its own");
}

#[test]
fn a_trigger_for_a_workload_that_is_not_there() {
    let with = |name: &str| trigger(|it| it["metadata"]["workload"] = json!(name));
    let at = "so/api spec.triggers[0].metadata.workload";
    assert_eq!(with("gone").short(), [format!("error UnknownWorkload {at}")]);
    assert_eq!(with("web").short(), [format!("warning OtherWorkload {at}")]);
    let mut case = Case::keda();
    case.scaled_objects[0]["metadata"]["name"] = json!("api-to-zero");
    case.autoscalers.clear();
    assert_eq!(case.short(), ["error UnknownWorkload so/api-to-zero spec.triggers[0].metadata.workload"]);
    assert!(case.words().0.contains("the ScaledObject's own name") && case.words().1.contains("workload: api"));
}

#[test]
fn a_trigger_of_the_type_value() {
    let case = trigger(|it| it["metricType"] = json!("Value"));
    assert_eq!(case.short(), ["error TargetCountsPods so/api spec.triggers[0].metricType"]);
    // Whoever is asked: it is the HPA that counts pods.
    let case = trigger(|it| *it = json!({"type": "prometheus", "metricType": "Value", "metadata": {"query": "1"}}));
    assert_eq!(case.short(), ["error TargetCountsPods so/api spec.triggers[0].metricType"]);
}
