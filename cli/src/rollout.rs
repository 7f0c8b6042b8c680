//! `penstock rollout`: what `kubectl rollout` does for Deployments and cannot do for resources that it does not know.

mod cluster;
mod history;
mod status;
mod undo;

use std::process::ExitCode;

use crate::args::{RolloutArgs, RolloutCommand};
use cluster::Target;

/// Shows, awaits or takes back a deployment's revisions.
///
/// # Errors
///
/// When the cluster cannot be asked, or has no such deployment or revision.
pub(crate) fn run(args: &RolloutArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &args.command {
            RolloutCommand::History(it) => history::run(&Target::of(args, &it.deployment).await?, it.output).await,
            RolloutCommand::Status(it) => {
                status::run(&Target::of(args, &it.deployment).await?, it.timeout.into()).await
            }
            RolloutCommand::Undo(it) => undo::run(&Target::of(args, &it.deployment).await?, it.to_revision).await,
        }
    })
}
