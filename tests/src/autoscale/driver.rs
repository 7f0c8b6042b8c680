//! Who changes `spec.replicas`, and the objects that make it so.
//!
//! Every driver gets the same aim: so many requests a second for each replica. And the same manners, so that their
//! figures can be compared: up at once, down after a while, and little tolerance. With the 10% that an HPA has otherwise,
//! 35 replicas are as good as 38.

use std::fmt::{self, Write as _};

/// Who changes `spec.replicas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `spec.autoscaling`: Penstock's operator itself.
    Builtin,
    /// KEDA, which asks Prometheus, which asks the hosts.
    KedaPrometheus,
    /// KEDA, which asks Penstock's operator as an external scaler.
    KedaExternal,
    /// A HorizontalPodAutoscaler alone, which reads `external.metrics.k8s.io` as Penstock's operator serves it.
    Hpa,
}

/// What is scaled, and to what.
#[derive(Clone, Debug, PartialEq)]
pub struct Aim {
    /// The namespace of the deployment.
    pub namespace: String,
    /// The name of the deployment.
    pub name: String,
    /// Replicas at least.
    pub least: u32,
    /// Replicas at most; above what the load takes, or nothing would be shown.
    pub most: u32,
    /// Requests a second for each replica, on average.
    pub each: f64,
    /// How long the load must have been lower before replicas go.
    pub patience_seconds: u32,
}

/// The signal that all drivers follow here.
const SIGNAL: &str = "requests_per_second";
/// Where KEDA finds Penstock's external scaler: a Service that leads to the operator that leads.
const SCALER: &str = "penstock-autoscaling.penstock-system.svc.cluster.local:9444";
/// Where KEDA finds Prometheus.
const PROMETHEUS: &str = "http://prometheus.monitoring.svc.cluster.local:9090";
/// By how much load and replicas may differ before anything is done.
const TOLERANCE: &str = "0.02";

// === impl Driver ===

impl Driver {
    /// All of them, in the order in which reports show them.
    pub const ALL: [Self; 4] = [Self::Builtin, Self::KedaPrometheus, Self::KedaExternal, Self::Hpa];

    /// As it is given to `make demo-autoscale DRIVER=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::KedaPrometheus => "keda-prometheus",
            Self::KedaExternal => "keda-external",
            Self::Hpa => "hpa",
        }
    }

    /// The driver of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// In a few words, for a reader of the report.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Builtin => "Penstock's operator, by spec.autoscaling",
            Self::KedaPrometheus => "KEDA with a Prometheus trigger on the hosts' metrics",
            Self::KedaExternal => "KEDA with Penstock's operator as its external scaler",
            Self::Hpa => "a HorizontalPodAutoscaler on an External metric of Penstock's operator",
        }
    }

    /// Whether KEDA has to be there.
    #[must_use]
    pub fn needs_keda(self) -> bool {
        matches!(self, Self::KedaPrometheus | Self::KedaExternal)
    }

    /// Lines under the deployment's `spec:`.
    #[must_use]
    pub fn spec(self, aim: &Aim) -> String {
        let Aim { least, most, each, patience_seconds, .. } = aim;
        match self {
            // What it does upwards unless told otherwise is what is to be shown.
            Self::Builtin => format!(
                "autoscaling:\n  minReplicas: {least}\n  maxReplicas: {most}\n  metrics:\n  - type: External\n    \
                 external:\n      metric: {{name: {SIGNAL}}}\n      target: {{type: AverageValue, averageValue: \
                 \"{each}\"}}\n  behavior:\n    scaleUp: {{tolerance: \"{TOLERANCE}\"}}\n    scaleDown: \
                 {{stabilizationWindowSeconds: {patience_seconds}, tolerance: \"{TOLERANCE}\"}}\n"
            ),
            _ => String::new(),
        }
    }

    /// Manifests to apply in the deployment's namespace; none for [`Driver::Builtin`].
    #[must_use]
    pub fn objects(self, aim: &Aim) -> String {
        let each = aim.each;
        match self {
            Self::Builtin => String::new(),
            Self::KedaPrometheus => {
                let series = format!("{{workload=\"{}/{}\"}}[10s]", aim.namespace, aim.name);
                let rate = |name: &str| format!("sum(rate(penstock_workload_{name}{series}))");
                // A workload without a refusal yet may have no series for them.
                let query = format!("{} + ({} or vector(0))", rate("admitted_total"), rate("shed_total"));
                scaled_object(
                    aim,
                    &format!(
                        "  - type: prometheus\n    metricType: AverageValue\n    metadata:\n      serverAddress: \
                         {PROMETHEUS}\n      query: '{query}'\n      threshold: \"{each}\"\n"
                    ),
                )
            }
            Self::KedaExternal => scaled_object(
                aim,
                &format!(
                    "  - type: external\n    metricType: AverageValue\n    metadata:\n      scalerAddress: {SCALER}\n      \
                     enableTLS: \"true\"\n      metricName: {SIGNAL}\n      targetValue: \"{each}\"\n    \
                     authenticationRef: {{name: penstock, kind: ClusterTriggerAuthentication}}\n"
                ),
            ),
            Self::Hpa => format!(
                "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
                 scaleTargetRef: {target}\n  minReplicas: {least}\n  maxReplicas: {most}\n  metrics:\n  - type: External\n    \
                 external:\n      metric: {{name: {SIGNAL}, selector: {{matchLabels: {{workload: {name}}}}}}}\n      \
                 target: {{type: AverageValue, averageValue: \"{each}\"}}\n  behavior:\n{behavior}",
                name = aim.name,
                target = target(aim),
                least = aim.least,
                most = aim.most,
                behavior = behavior(aim, "    "),
            ),
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn scaled_object(aim: &Aim, trigger: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: {}}}\nspec:\n  scaleTargetRef: {}\n  \
         pollingInterval: 5\n  minReplicaCount: {}\n  maxReplicaCount: {}\n  advanced:\n    \
         horizontalPodAutoscalerConfig:\n      behavior:\n{}  triggers:\n{trigger}",
        aim.name,
        target(aim),
        aim.least,
        aim.most,
        behavior(aim, "        "),
    )
}

fn target(aim: &Aim) -> String {
    format!("{{apiVersion: runtime.wasmcloud.dev/v1alpha1, kind: WorkloadDeployment, name: {}}}", aim.name)
}

/// An HPA's own pace is for pods, which take a while to start; a replica takes milliseconds.
fn behavior(aim: &Aim, indent: &str) -> String {
    let mut text = String::new();
    for (direction, patience) in [("scaleUp", 0), ("scaleDown", aim.patience_seconds)] {
        let policies = "[{type: Percent, value: 100, periodSeconds: 1}, {type: Pods, value: 40, periodSeconds: 1}]";
        let _ = writeln!(
            text,
            "{indent}{direction}: {{stabilizationWindowSeconds: {patience}, tolerance: \"{TOLERANCE}\", policies: {policies}}}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim() -> Aim {
        Aim { namespace: "demo".into(), name: "app".into(), least: 1, most: 45, each: 12.2, patience_seconds: 30 }
    }

    #[test]
    fn drivers_are_known_by_name() {
        for driver in Driver::ALL {
            assert_eq!(Driver::parse(driver.name()), Some(driver));
        }
        assert_eq!(Driver::parse("knative"), None);
    }

    #[test]
    fn only_one_place_says_how_to_scale() {
        for driver in Driver::ALL {
            assert_ne!(driver.spec(&aim()).is_empty(), driver.objects(&aim()).is_empty(), "{driver}");
        }
    }

    #[test]
    fn a_scaled_object_reads_as_a_user_would_write_it() {
        let behavior =
            "policies: [{type: Percent, value: 100, periodSeconds: 1}, {type: Pods, value: 40, periodSeconds: 1}]";
        let expected = format!(
            r#"apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: app}}
spec:
  scaleTargetRef: {{apiVersion: runtime.wasmcloud.dev/v1alpha1, kind: WorkloadDeployment, name: app}}
  pollingInterval: 5
  minReplicaCount: 1
  maxReplicaCount: 45
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp: {{stabilizationWindowSeconds: 0, tolerance: "0.02", {behavior}}}
        scaleDown: {{stabilizationWindowSeconds: 30, tolerance: "0.02", {behavior}}}
  triggers:
  - type: prometheus
    metricType: AverageValue
    metadata:
      serverAddress: http://prometheus.monitoring.svc.cluster.local:9090
      query: 'sum(rate(penstock_workload_admitted_total{{workload="demo/app"}}[10s])) + (sum(rate(penstock_workload_shed_total{{workload="demo/app"}}[10s])) or vector(0))'
      threshold: "12.2"
"#
        );
        assert_eq!(Driver::KedaPrometheus.objects(&aim()), expected);
    }

    #[test]
    fn the_hpa_and_the_built_in_one_say_the_same() {
        let (hpa, own) = (Driver::Hpa.objects(&aim()), Driver::Builtin.spec(&aim()));
        for line in ["minReplicas: 1\n", "maxReplicas: 45\n", "target: {type: AverageValue, averageValue: \"12.2\"}\n"]
        {
            assert!(hpa.contains(line) && own.contains(line), "{line}{hpa}{own}");
        }
        assert!(
            hpa.contains("metric: {name: requests_per_second, selector: {matchLabels: {workload: app}}}\n"),
            "{hpa}"
        );
        assert!(own.starts_with("autoscaling:\n  minReplicas"), "{own}");
    }
}
