//! What a trigger asks for.

use std::collections::HashMap;

use thiserror::Error;
use tonic::Status;

use super::{activity::Question, protocol::ScaledObjectRef, quantity};
use crate::{plan::Name, signals::Signal};

const METRIC_NAME: &str = "metricName";
const TARGET_VALUE: &str = "targetValue";
const WORKLOAD: &str = "workload";
const ACTIVATION_VALUE: &str = "activationValue";
const KEYS: [&str; 4] = [METRIC_NAME, TARGET_VALUE, WORKLOAD, ACTIVATION_VALUE];
/// The target for [`Signal::Utilization`] if there is none: room for what comes before the next replica does.
const UTILIZATION_MILLI: i64 = 800;

/// What stands before a signal's name in a metric's: an HPA may have metrics of other scalers too.
const PREFIX: &str = "penstock-";

/// A trigger, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trigger {
    pub(super) workload: Name,
    pub(super) signal: Signal,
    /// How much of it one replica is meant to bear, in thousandths.
    pub(super) target_milli: i64,
    /// The workload has to run while the signal is above it.
    pub(super) activation_milli: Option<i64>,
}

/// What is wrong with a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}: {problem}")]
pub(super) struct Fault {
    /// Where to look.
    key: String,
    problem: String,
}

// === impl Trigger ===

impl Trigger {
    pub(super) fn read(reference: &ScaledObjectRef) -> Result<Self, Fault> {
        let metadata = &reference.scaler_metadata;
        well_spelt(metadata)?;
        let signal = match text(metadata, METRIC_NAME) {
            None => Signal::Utilization,
            Some(name) => Signal::parse(name).ok_or_else(|| {
                Fault::new(METRIC_NAME, format!("there is no signal {name:?}: it is one of {}", signal_names()))
            })?,
        };
        let target_milli = match value(metadata, TARGET_VALUE)? {
            Some(0) => return Err(Fault::new(TARGET_VALUE, "it has to be 1m or more: a load is divided by it")),
            Some(target) => target,
            None if signal == Signal::Utilization => UTILIZATION_MILLI,
            None => {
                let problem = format!("it is missing: say how much {} one replica is meant to bear", signal.name());
                return Err(Fault::new(TARGET_VALUE, problem));
            }
        };
        let activation_milli = value(metadata, ACTIVATION_VALUE)?;
        Ok(Self { workload: workload(reference)?, signal, target_milli, activation_milli })
    }

    /// The metric's name in the HPA.
    pub(super) fn metric(signal: Signal) -> String {
        format!("{PREFIX}{}", signal.name())
    }

    /// The signal that a question of KEDA's is about. It is not always the trigger's: an HPA may still have a metric that
    /// the trigger had before.
    pub(super) fn asked(&self, metric: &str) -> Result<Signal, Fault> {
        if metric.is_empty() {
            return Ok(self.signal);
        }
        metric.strip_prefix(PREFIX).and_then(Signal::parse).ok_or_else(|| {
            let problem = format!("there is no metric {metric:?}: they are {PREFIX} and one of {}", signal_names());
            Fault::new(METRIC_NAME, problem)
        })
    }

    pub(super) fn question(&self) -> Question {
        let above = self.activation_milli.map(|milli| (self.signal, milli));
        Question { workload: self.workload.clone(), above }
    }
}

/// In the namespace of whoever asks, and in no other.
fn workload(reference: &ScaledObjectRef) -> Result<Name, Fault> {
    if reference.namespace.is_empty() {
        return Err(Fault::new("namespace", "the ScaledObject has none"));
    }
    let name = text(&reference.scaler_metadata, WORKLOAD).unwrap_or(&reference.name);
    if name.is_empty() {
        return Err(Fault::new(WORKLOAD, "it is missing, and the ScaledObject has no name either"));
    }
    if name.contains('/') {
        let problem = format!("{name:?} is no name: a workload of the ScaledObject's own namespace, without it");
        return Err(Fault::new(WORKLOAD, problem));
    }
    Ok(Name::new(&reference.namespace, name))
}

/// A key that differs from one of ours in nothing but case would be passed over in silence.
fn well_spelt(metadata: &HashMap<String, String>) -> Result<(), Fault> {
    let misspelt = |key: &&String| KEYS.iter().any(|it| it.eq_ignore_ascii_case(key) && it != *key);
    match metadata.keys().filter(misspelt).min() {
        None => Ok(()),
        Some(key) => {
            let meant = KEYS.into_iter().find(|it| it.eq_ignore_ascii_case(key)).unwrap_or_default();
            Err(Fault::new(key, format!("it is written {meant}")))
        }
    }
}

fn text<'a>(metadata: &'a HashMap<String, String>, key: &str) -> Option<&'a str> {
    metadata.get(key).map(|it| it.trim()).filter(|it| !it.is_empty())
}

fn value(metadata: &HashMap<String, String>, key: &str) -> Result<Option<i64>, Fault> {
    let Some(text) = text(metadata, key) else { return Ok(None) };
    let value = quantity::milli(text);
    value.map(Some).ok_or_else(|| Fault::new(key, format!("{text:?} is no quantity: write it like \"10\" or \"800m\"")))
}

fn signal_names() -> String {
    Signal::ALL.map(Signal::name).join(", ")
}

// === impl Fault ===

impl Fault {
    fn new(key: &str, problem: impl Into<String>) -> Self {
        Self { key: key.to_owned(), problem: problem.into() }
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        Self::invalid_argument(format!("the trigger's {fault}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &[(&str, &str)]) -> Result<Trigger, Fault> {
        let scaler_metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Trigger::read(&ScaledObjectRef { name: "api".into(), namespace: "shop".into(), scaler_metadata })
    }

    #[test]
    fn nothing_said_is_utilization_of_the_workload_of_the_same_name() {
        let trigger = read(&[("scalerAddress", "x:1"), ("enableTLS", "true")]).unwrap();
        let workload = Name::new("shop", "api");
        let signal = Signal::Utilization;
        assert_eq!(trigger, Trigger { workload, signal, target_milli: 800, activation_milli: None });
    }

    #[test]
    fn reads_every_signal_and_every_key() {
        for signal in Signal::ALL {
            let trigger = read(&[
                ("metricName", signal.name()),
                ("targetValue", "50m"),
                ("workload", "checkout"),
                ("activationValue", " 2 "),
            ]);
            let workload = Name::new("shop", "checkout");
            assert_eq!(trigger, Ok(Trigger { workload, signal, target_milli: 50, activation_milli: Some(2000) }));
            let asked = read(&[]).unwrap().asked(&Trigger::metric(signal));
            assert_eq!(asked, Ok(signal));
        }
        assert_eq!(read(&[]).unwrap().asked(""), Ok(Signal::Utilization));
    }

    #[test]
    fn every_fault_names_its_key() {
        let cases: [(&[(&str, &str)], &str); 10] = [
            (&[("metricName", "rps"), ("targetValue", "1")], "metricName: there is no signal \"rps\""),
            (&[("metricName", "requests_per_second")], "targetValue: it is missing: say how much requests_per_second"),
            (&[("metricName", "queued"), ("targetValue", " ")], "targetValue: it is missing"),
            (&[("targetValue", "0")], "targetValue: it has to be 1m or more"),
            (&[("targetValue", "80%")], "targetValue: \"80%\" is no quantity"),
            (&[("targetValue", "-1")], "targetValue: \"-1\" is no quantity"),
            (&[("activationValue", "many")], "activationValue: \"many\" is no quantity"),
            (&[("workload", "other/api")], "workload: \"other/api\" is no name"),
            (&[("targetvalue", "1")], "targetvalue: it is written targetValue"),
            (&[("METRICNAME", "queued")], "METRICNAME: it is written metricName"),
        ];
        for (metadata, text) in cases {
            let fault = read(metadata).unwrap_err().to_string();
            assert!(fault.starts_with(text), "{fault}");
        }
        let nobody =
            |namespace: &str| ScaledObjectRef { namespace: namespace.to_owned(), ..ScaledObjectRef::default() };
        assert!(Trigger::read(&nobody("")).unwrap_err().to_string().starts_with("namespace"));
        assert!(Trigger::read(&nobody("shop")).unwrap_err().to_string().starts_with("workload: it is missing"));
        let fault = read(&[]).unwrap().asked("s0-penstock-queued").unwrap_err().to_string();
        assert!(fault.starts_with("metricName: there is no metric \"s0-penstock-queued\""), "{fault}");
    }
}
