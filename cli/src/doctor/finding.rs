//! What was found, for people and for programs.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::problem::Level;

/// One thing that keeps autoscaling from working, or will.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) level: Level,
    /// What it is about.
    pub(crate) object: Object,
    /// The field.
    pub(crate) path: String,
    /// Which of the checks it is, for programs.
    pub(crate) reason: Reason,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) advice: String,
    /// Where to read on.
    pub(crate) reference: &'static str,
}

/// An object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Which of the checks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Reason {
    /// A target that is held against the number of ready pods.
    TargetCountsPods,
    /// A metric that is measured in pods.
    MetricOfPods,
    /// A selector that matches pods.
    SelectorMatchesPods,
    /// Pods that the selectors of several HPAs match.
    AmbiguousSelector,
    /// `/scale` has no selector.
    NoSelector,
    /// Several autoscalers for one workload.
    SeveralAutoscalers,
    /// `spec.autoscaling` beside another autoscaler.
    AmbiguousAutoscaler,
    /// `spec.autoscaling` that cannot be followed.
    InvalidAutoscaling,
    /// Zero, where nobody answers at zero.
    ZeroUnreachable,
    /// Zero, in a cluster whose HPAs may not go there.
    NeedsScaleToZeroFeature,
    /// More replicas than there may be.
    AboveMaximum,
    /// The autoscaler itself says that it does not work.
    NotActive,
    /// Nobody serves external metrics.
    NoExternalMetrics,
    /// Somebody else does.
    ForeignExternalMetrics,
    /// Nobody answers there.
    NobodyAnswers,
    /// It does not say whose metric.
    NoWorkloadNamed,
    /// There is no such workload.
    UnknownWorkload,
    /// Scaled by the load of another one.
    OtherWorkload,
    /// There is no such metric.
    UnknownMetric,
    /// A trigger that cannot be read.
    InvalidTrigger,
    /// A trigger that does not speak TLS, or trusts nobody.
    TriggerNotTrusted,
}

// === impl Reason ===

impl Reason {
    /// Where the documentation speaks of it.
    const fn reference(self) -> &'static str {
        match self {
            Self::TargetCountsPods
            | Self::MetricOfPods
            | Self::SelectorMatchesPods
            | Self::AmbiguousSelector
            | Self::SeveralAutoscalers
            | Self::AmbiguousAutoscaler => "docs/autoscaling.md#traps",
            Self::InvalidAutoscaling | Self::AboveMaximum => "docs/autoscaling.md#specautoscaling",
            Self::ZeroUnreachable | Self::NeedsScaleToZeroFeature => "docs/autoscaling.md#zero",
            Self::NoSelector
            | Self::NotActive
            | Self::NoExternalMetrics
            | Self::ForeignExternalMetrics
            | Self::NobodyAnswers
            | Self::NoWorkloadNamed => "docs/autoscaling.md#hpa",
            Self::UnknownMetric => "docs/autoscaling.md#signals",
            Self::UnknownWorkload | Self::OtherWorkload | Self::InvalidTrigger | Self::TriggerNotTrusted => {
                "docs/autoscaling.md#keda"
            }
        }
    }
}

// === impl Object ===

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Takes down what is found about one object.
pub(crate) struct Report<'a> {
    object: Object,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Report<'a> {
    pub(crate) fn of(object: Object, findings: &'a mut Vec<Finding>) -> Self {
        Self { object, findings }
    }

    /// It does not work.
    pub(crate) fn error(
        &mut self,
        reason: Reason,
        path: impl Into<String>,
        message: String,
        advice: impl Into<String>,
    ) {
        self.add(Level::Error, reason, path, message, advice);
    }

    /// It works, though not as it was meant.
    pub(crate) fn warning(
        &mut self,
        reason: Reason,
        path: impl Into<String>,
        message: String,
        advice: impl Into<String>,
    ) {
        self.add(Level::Warning, reason, path, message, advice);
    }

    pub(crate) fn add(
        &mut self,
        level: Level,
        reason: Reason,
        path: impl Into<String>,
        message: String,
        advice: impl Into<String>,
    ) {
        self.findings.push(Finding {
            level,
            object: self.object.clone(),
            path: path.into(),
            reason,
            message,
            advice: advice.into(),
            reference: reason.reference(),
        });
    }

    /// Whether an error was found in this object.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|it| it.level == Level::Error && it.object == self.object)
    }
}
