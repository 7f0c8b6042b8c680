//! What the hosts say of calls that wait, read from their `/metrics`.

use std::{collections::BTreeMap, time::Duration};

/// Calls admitted and the seconds that they waited, since a host began to count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waited {
    /// `penstock_workload_admitted_total`.
    pub admitted: f64,
    /// `penstock_workload_queue_wait_seconds_total`.
    pub seconds: f64,
}

/// The counters of one workload (`namespace/name`), all of its revisions together, in a host's metrics.
#[must_use]
pub fn waited(text: &str, workload: &str) -> Waited {
    let sum = |name: &str| samples(text, name, workload).fold(0.0, |sum, value| sum + value);
    Waited {
        admitted: sum("penstock_workload_admitted_total"),
        seconds: sum("penstock_workload_queue_wait_seconds_total"),
    }
}

/// Values of a metric with the label `workload`. Names of workloads have nothing that is escaped.
fn samples<'a>(text: &'a str, name: &'a str, workload: &str) -> impl Iterator<Item = f64> + use<'a> {
    let label = format!("workload=\"{workload}\"");
    text.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        labels.split(',').find(|it| *it == label)?;
        value.split(' ').next()?.parse().ok()
    })
}

/// The mean wait of the calls that all hosts together admitted between two looks at them. A host whose counters are lower
/// than before has begun anew.
#[must_use]
pub fn mean_wait(before: &BTreeMap<String, Waited>, now: &BTreeMap<String, Waited>) -> Option<Duration> {
    let (mut admitted, mut seconds) = (0.0, 0.0);
    for (host, now) in now {
        let before = before.get(host).copied().filter(|it| it.admitted <= now.admitted && it.seconds <= now.seconds);
        let before = before.unwrap_or_default();
        admitted += now.admitted - before.admitted;
        seconds += now.seconds - before.seconds;
    }
    if admitted > 0.0 { Duration::try_from_secs_f64(seconds / admitted).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE penstock_workload_admitted counter
penstock_workload_admitted_total{workload="demo/app",revision="app-1"} 40
penstock_workload_admitted_total{workload="demo/app",revision="app-2"} 2
penstock_workload_admitted_total{workload="demo/app-two",revision="x"} 1000
penstock_workload_queue_wait_seconds_total{revision="app-1",workload="demo/app"} 1.5 1700000000
penstock_workload_replicas{workload="demo/app",revision="app-1"} 13
"#;

    #[test]
    fn one_workload_is_picked_and_its_revisions_are_summed() {
        assert_eq!(waited(TEXT, "demo/app"), Waited { admitted: 42.0, seconds: 1.5 });
        assert_eq!(waited(TEXT, "demo/none"), Waited::default());
    }

    #[test]
    fn the_mean_is_over_all_hosts_and_survives_a_restart() {
        let hosts = |all: &[(&str, f64, f64)]| -> BTreeMap<String, Waited> {
            all.iter().map(|&(name, admitted, seconds)| (name.to_owned(), Waited { admitted, seconds })).collect()
        };
        let before = hosts(&[("a", 100.0, 5.0), ("b", 900.0, 90.0)]);
        let now = hosts(&[("a", 110.0, 5.5), ("b", 10.0, 0.5)]);
        assert_eq!(mean_wait(&before, &now), Some(Duration::from_millis(50)));
        assert_eq!(mean_wait(&now, &now), None, "nobody came");
    }
}
