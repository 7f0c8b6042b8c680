//! What has been told already, so that nothing is told with every retry.

use std::collections::{BTreeMap, BTreeSet};

use penstock_host::{HostStatus, ShareState};

use super::{event::Event, failures::Failure, manifests::Settled};
use crate::problem::Problem;

/// What has been told already.
#[derive(Debug, Default)]
pub(super) struct Told {
    broken: BTreeMap<String, Vec<Problem>>,
    advice: BTreeSet<Problem>,
    /// Messages by share, with the share's workload.
    failed: BTreeMap<String, (String, BTreeSet<String>)>,
    listeners: BTreeSet<String>,
}

/// What has not been told yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Files that are broken since, or in another way, or that were edited and still are.
    pub(super) broken: BTreeMap<String, Vec<Problem>>,
    /// Files that were broken and no longer are.
    pub(super) fixed: BTreeSet<String>,
    /// Warnings and notes.
    pub(super) advice: Vec<Problem>,
}

impl Told {
    /// What is new about the files after an edit of `edited`.
    pub(super) fn problems(&mut self, settled: &Settled, edited: &BTreeSet<String>) -> News {
        let news = |(file, problems): &(&String, &Vec<Problem>)| {
            edited.contains(*file) || self.broken.get(*file) != Some(problems)
        };
        let broken = settled.broken.iter().filter(news).map(|(file, it)| (file.clone(), it.clone())).collect();
        let fixed = self.broken.keys().filter(|file| !settled.broken.contains_key(*file)).cloned().collect();
        let all: BTreeSet<Problem> = settled.advice.values().flatten().cloned().collect();
        let advice = all.difference(&self.advice).cloned().collect();
        self.broken.clone_from(&settled.broken);
        self.advice = all;
        News { broken, fixed, advice }
    }

    /// Tells each failure of a share once; another one of the same share is told, too.
    pub(super) fn failed(&mut self, failures: &[Failure], mut tell: impl FnMut(Event)) {
        for failure in failures {
            let (_, messages) =
                self.failed.entry(failure.share.clone()).or_insert_with(|| (failure.workload.clone(), BTreeSet::new()));
            if messages.insert(failure.problem.message.clone()) {
                tell(Event::Share {
                    share: failure.share.clone(),
                    workload: failure.workload.clone(),
                    state: ShareState::Failed,
                    message: Some(failure.problem.message.clone()),
                });
            }
        }
    }

    /// Tells of shares that failed before and are ready now; forgets those that are gone.
    pub(super) fn recovered(&mut self, status: &HostStatus, mut tell: impl FnMut(Event)) {
        self.failed.retain(|share, (workload, _)| match status.shares.get(share).map(|it| it.state) {
            Some(ShareState::Ready) => {
                let (share, workload) = (share.clone(), workload.clone());
                tell(Event::Share { share, workload, state: ShareState::Ready, message: None });
                false
            }
            Some(_) => true,
            None => false,
        });
    }

    /// Tells what is wrong with listeners, once for as long as it is.
    pub(super) fn listeners(&mut self, status: &HostStatus, mut tell: impl FnMut(String)) {
        let errors = status.listeners.iter().flat_map(|(name, it)| it.errors.iter().map(move |error| (name, error)));
        let all: BTreeSet<String> = errors.map(|(name, error)| format!("listener {name}: {error}")).collect();
        all.difference(&self.listeners).cloned().for_each(&mut tell);
        self.listeners = all;
    }
}

#[cfg(test)]
mod tests;
