//! `penstock check`: manifests are read and planned as `penstock dev` does it, and nothing runs.

use std::{io::Write, process::ExitCode};

use serde::Serialize;

use crate::{
    args::CheckArgs,
    dev::{
        files,
        images::Images,
        manifests::{Manifests, Settled},
    },
    planning,
    problem::{Level, Problem},
    show::show,
    term::{GOOD, paint},
};

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// Manifest files with objects.
    files: usize,
    /// Workloads that would run.
    workloads: usize,
    errors: usize,
    warnings: usize,
    problems: Vec<Problem>,
}

/// Prints what is wrong. Exits with 1 if there are errors.
///
/// # Errors
///
/// When a place is missing.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let places = args.places.all();
    files::check(&places).map_err(anyhow::Error::msg)?;
    let mut manifests = Manifests::default();
    manifests.update(files::scan(&places, &mut |_| {}));
    let mut settled = manifests.settle(&mut planning::plan);
    missing_files(&mut settled);
    let mut problems: Vec<Problem> =
        settled.broken.into_values().chain(settled.advice.into_values()).flatten().collect();
    problems.sort();
    problems.dedup();
    let count = |level: Level| problems.iter().filter(|it| it.level == level).count();
    let findings = Findings {
        files: manifests.count(),
        workloads: settled.planned.plan.snapshot.shares.len(),
        errors: count(Level::Error),
        warnings: count(Level::Warning),
        problems,
    };
    show(args.output, &findings, |mut out| people(&mut out, &findings))?;
    Ok(if findings.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn people(out: &mut impl Write, findings: &Findings) -> std::io::Result<()> {
    findings.problems.iter().try_for_each(|it| writeln!(out, "{it}"))?;
    let Findings { files, workloads, errors, warnings, .. } = findings;
    let plural = |count: &usize, word: &str| format!("{count} {word}{}", if *count == 1 { "" } else { "s" });
    let verdict = if *errors == 0 { paint(GOOD, "ok") } else { plural(errors, "error") };
    let warnings = if *warnings == 0 { String::new() } else { format!(", {}", plural(warnings, "warning")) };
    writeln!(out, "{verdict}{warnings}: {}, {}", plural(files, "manifest file"), plural(workloads, "workload"))
}

/// `penstock dev` waits for a component that is not built yet; here it is an error.
fn missing_files(settled: &mut Settled) {
    let mut images = Images::default();
    let mut missing = Vec::new();
    planning::pin_files(&mut settled.planned, &mut |path| {
        let digest = images.digest(path);
        if digest.is_none() {
            missing.push(path.to_owned());
        }
        digest
    });
    for origin in settled.planned.origins.values() {
        for component in &origin.components {
            let Some(path) = component.file.as_ref().filter(|path| missing.contains(path)) else { continue };
            let problem = Problem {
                line: component.source.line,
                column: component.source.column,
                object: Some(origin.object.clone()),
                path: component.path.clone(),
                advice: Some("build the component, or correct the path".to_owned()),
                ..Problem::of_file(&component.source.file, format!("there is no file {}", files::shown(path)))
            };
            settled.broken.entry(problem.file.clone()).or_default().push(problem);
        }
    }
}
