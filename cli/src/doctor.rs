//! `penstock doctor`: what in a cluster keeps autoscaling from working.
//!
//! [`look`] is the one file that asks the cluster; [`checks`] are pure, over what it has [`seen`].

mod checks;
mod finding;
mod look;
mod seen;
mod selector;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    args::DoctorArgs,
    problem::Level,
    show::show,
    table::{Cell, Table},
    term::{BAD, DIM, GOOD, HEAD, PLAIN, WARN, paint},
};
use finding::Finding;
use seen::{Seen, Unseen};

/// The exit code when the cluster cannot be looked at.
const BLIND: u8 = 2;

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    workloads: usize,
    autoscalers: usize,
    scaled_objects: usize,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
    /// What could not be looked at, and why.
    unseen: Vec<Unseen>,
}

/// Looks, and prints what is wrong. Exits with 1 if there are errors, and with 2 if it cannot look.
///
/// # Errors
///
/// When nothing can be written.
pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let seen = match look::look(args) {
        Ok(seen) => seen,
        Err(error) => {
            anstream::eprintln!("{} {error:#}", paint(BAD, "error:"));
            return Ok(ExitCode::from(BLIND));
        }
    };
    let findings = Findings::of(seen);
    show(args.output, &findings, |mut out| people(&mut out, &findings))?;
    Ok(if findings.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Findings {
    fn of(seen: Seen) -> Self {
        let findings = checks::findings(&seen);
        let count = |level: Level| findings.iter().filter(|it| it.level == level).count();
        Self {
            workloads: seen.workloads.len(),
            autoscalers: seen.autoscalers.iter().filter(|it| it.spec.scale_target_ref.is_workload()).count(),
            scaled_objects: seen.scaled_objects.len(),
            errors: count(Level::Error),
            warnings: count(Level::Warning),
            findings,
            unseen: seen.unseen,
        }
    }
}

/// Of each finding: where and what; below that the field and what to do; below that where to read on.
fn people(out: &mut impl Write, all: &Findings) -> io::Result<()> {
    if !all.findings.is_empty() {
        let mut table = Table::new(&["LEVEL", "OBJECT", "WHAT IS WRONG, AND WHAT TO DO"]);
        for it in &all.findings {
            let (word, style) = match it.level {
                Level::Error => ("error", BAD),
                Level::Warning => ("warning", WARN),
                Level::Note => ("note", DIM),
            };
            let head = Cell::styled(it.object.to_string(), HEAD);
            table.row([Cell::styled(word, style), head, Cell::styled(it.message.as_str(), PLAIN)]);
            table.row(["".into(), it.path.as_str().into(), it.advice.as_str().into()]);
            table.row(["".into(), "".into(), Cell::styled(it.reference, DIM)]);
        }
        write!(out, "{table}")?;
    }
    for it in &all.unseen {
        writeln!(out, "{}: {} could not be looked at: {}", paint(DIM, "note"), it.what, it.why)?;
    }
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let verdict = if all.errors == 0 { paint(GOOD, "ok") } else { plural(all.errors, "error") };
    let warnings = if all.warnings == 0 { String::new() } else { format!(", {}", plural(all.warnings, "warning")) };
    writeln!(
        out,
        "{verdict}{warnings}: {}, {}, {}",
        plural(all.workloads, "workload"),
        plural(all.autoscalers, "HPA"),
        plural(all.scaled_objects, "ScaledObject")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broken() -> Findings {
        let workload = json!({"metadata": {"name": "api", "namespace": "shop"}, "status": {"selector": "a=b"}});
        let autoscaler = json!({
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "runtime.wasmcloud.dev/v1alpha1", "kind": "WorkloadDeployment", "name": "api"},
                "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}],
            },
        });
        Findings::of(Seen {
            workloads: vec![serde_json::from_value(workload).unwrap()],
            autoscalers: vec![serde_json::from_value(autoscaler).unwrap()],
            unseen: vec![Unseen { what: "ScaledObjects".into(), why: "forbidden".into() }],
            ..Seen::default()
        })
    }

    #[test]
    fn people_see_where_what_and_what_to_do() {
        let mut out = Vec::new();
        people(&mut out, &broken()).unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("LEVEL  OBJECT"), "{text}");
        assert!(
            lines[1].starts_with("error  HorizontalPodAutoscaler shop/api  a metric of the type Resource"),
            "{text}"
        );
        assert!(lines[2].starts_with("       spec.metrics[0].type"), "{text}");
        assert!(lines[2].contains("Use an External metric"), "{text}");
        assert!(lines[3].ends_with("docs/autoscaling.md#traps"), "{text}");
        assert_eq!(lines[4], "note: ScaledObjects could not be looked at: forbidden");
        assert_eq!(lines[5], "1 error: 1 workload, 1 HPA, 0 ScaledObjects");
    }

    #[test]
    fn programs_see_the_same() {
        let value = serde_json::to_value(broken()).unwrap();
        let finding = &value["findings"][0];
        assert_eq!((&value["errors"], &value["workloads"]), (&json!(1), &json!(1)));
        assert_eq!(finding["level"], "error");
        assert_eq!(finding["object"], "HorizontalPodAutoscaler shop/api");
        assert_eq!(finding["path"], "spec.metrics[0].type");
        assert_eq!(finding["reason"], "MetricOfPods");
        assert_eq!(finding["reference"], "docs/autoscaling.md#traps");
        assert!(finding["message"].is_string() && finding["advice"].is_string());
        assert_eq!(value["unseen"], json!([{"what": "ScaledObjects", "why": "forbidden"}]));
    }
}
