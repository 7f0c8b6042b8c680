//! Shares that do not start, as problems of the manifests that ask for them.

use std::collections::BTreeSet;

use penstock_host::{HostStatus, ShareState};

use crate::{
    planning::Planned,
    problem::{Level, Problem},
};

/// A share that does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `namespace/name@revision`.
    pub(super) share: String,
    /// `namespace/name`.
    pub(super) workload: String,
    /// The manifest and the component files that an edit may have been about.
    pub(super) files: BTreeSet<String>,
    /// Where, and why.
    pub(super) problem: Problem,
}

/// The planned shares that do not start.
pub(super) fn of(planned: &Planned, status: &HostStatus) -> Vec<Failure> {
    let failed = planned.plan.snapshot.shares.iter().filter_map(|share| {
        let status = status.shares.get(&share.id).filter(|it| it.state == ShareState::Failed)?;
        let message = status.message.clone().unwrap_or_else(|| "it does not start".to_owned());
        let origin = planned.origins.get(&share.deployment);
        let component = origin.into_iter().flat_map(|origin| &origin.components);
        // The host's sentence begins with the component that it is about.
        let component = component.clone().find(|it| message.starts_with(&format!("component '{}':", it.name)));
        let (place, path) = match component {
            Some(component) => (Some(&component.source), component.path.clone()),
            None => (origin.map(|origin| &origin.source), String::new()),
        };
        let problem = Problem {
            file: place.map_or_else(String::new, |it| it.file.to_string()),
            line: place.map_or(0, |it| it.line),
            column: place.map_or(0, |it| it.column),
            level: Level::Error,
            object: origin.map(|origin| origin.object.clone()),
            path,
            message,
            advice: None,
        };
        let files = origin.map(|origin| origin.files.clone()).unwrap_or_default();
        Some(Failure { share: share.id.clone(), workload: share.deployment.clone(), files, problem })
    });
    failed.collect()
}
