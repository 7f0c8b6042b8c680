//! The revisions that there are.

use std::{io::Write as _, process::ExitCode};

use kube::ResourceExt as _;
use serde_json::json;

use super::cluster::{Revision, Target};
use crate::{
    args::Output,
    table::{Cell, Table},
    term::GOOD,
};

pub(crate) async fn run(target: &Target, output: Output) -> anyhow::Result<ExitCode> {
    let deployment = target.deployment().await?;
    let current = deployment.status.as_ref().and_then(|it| it.current_replica_set.as_ref()).map(|it| it.name.clone());
    let revisions = target.revisions(&deployment).await?;
    let is_current = |it: &Revision| current.as_deref() == Some(it.set.name_any().as_str());
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => {
            let all: Vec<_> = (revisions.iter())
                .map(|it| {
                    json!({
                        "revision": it.number, "replicaSet": it.set.name_any(), "current": is_current(it),
                        "replicas": it.set.spec.replicas.unwrap_or(1), "images": images(it),
                    })
                })
                .collect();
            serde_json::to_writer_pretty(&mut out, &all)?;
            writeln!(out)?;
        }
        Output::Table => {
            let mut table = Table::new(&["REVISION", "REPLICASET", "REPLICAS", "IMAGES"]);
            for it in &revisions {
                let number = it.number.to_string();
                let number = if is_current(it) { Cell::styled(number, GOOD) } else { number.into() };
                let replicas = it.set.spec.replicas.unwrap_or(1).to_string();
                table.row([number, it.set.name_any().into(), replicas.into(), images(it).join(",").into()]);
            }
            write!(out, "{table}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn images(revision: &Revision) -> Vec<String> {
    revision.set.spec.template.spec.components.iter().map(|it| it.image.clone()).collect()
}
