//! Files of manifests, each with its last good state: what is broken in one file stops neither what that file had
//! before nor the edits of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use penstock_api::manifest::{self, Manifest};

use super::files::Found;
use crate::{
    planning::{self, Planned},
    problem::Problem,
};

/// All files that hold manifests.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    files: BTreeMap<PathBuf, File>,
}

#[derive(Debug, Default)]
struct File {
    name: String,
    text: Option<Result<String, String>>,
    /// The objects of the newest text that have no error.
    fresh: Vec<Manifest>,
    /// What reading the newest text brought up.
    problems: Vec<Problem>,
    /// The objects that are in use: those of the newest text, or of one before it.
    used: Vec<Manifest>,
    /// Whether `used` is of the newest text.
    accepted: bool,
}

/// What all files together come to.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Of what is used.
    pub(crate) planned: Planned,
    /// Errors by file name. Such a file's last good state is used instead, if it has one.
    pub(crate) broken: BTreeMap<String, Vec<Problem>>,
    /// Warnings and notes by file name.
    pub(crate) advice: BTreeMap<String, Vec<Problem>>,
    /// Of the broken files those that have something older in use.
    pub(crate) carried: BTreeSet<String>,
}

impl Manifests {
    /// Takes in what is in the files now. Returns the names of those that are new or were edited or removed.
    pub(crate) fn update(&mut self, found: BTreeMap<PathBuf, Found>) -> BTreeSet<String> {
        let gone = self.files.extract_if(.., |path, _| !found.contains_key(path));
        let mut changed: BTreeSet<String> = gone.map(|(_, file)| file).filter(File::counts).map(|it| it.name).collect();
        for (path, found) in found {
            let file = self.files.entry(path.clone()).or_default();
            if file.text.as_ref() == Some(&found.text) {
                continue;
            }
            let counted = file.counts();
            file.read(&path, found);
            if counted || file.counts() {
                changed.insert(file.name.clone());
            }
        }
        changed
    }

    /// Plans with the newest objects; where that leads to errors in edited files, with what these had before.
    pub(crate) fn settle(&mut self, plan: &mut dyn FnMut(&[&Manifest]) -> Planned) -> Settled {
        let mut settled = Settled::default();
        let mut old: BTreeSet<PathBuf> = BTreeSet::new();
        for (path, file) in &self.files {
            if file.has_errors() {
                settled.broken.insert(file.name.clone(), file.said(Problem::is_error));
                if file.can_revert() {
                    old.insert(path.clone());
                }
            }
        }
        loop {
            // Of two objects of the same name the one that is in use already counts.
            let mut files: Vec<_> = self.files.iter().map(|(path, file)| (file, old.contains(path))).collect();
            files.sort_by_key(|(file, old)| !file.accepted && !old);
            let objects: Vec<&Manifest> = files.iter().flat_map(|(file, old)| file.objects(*old)).collect();
            settled.planned = plan(&objects);
            let mut reverted = false;
            for problem in settled.planned.problems.iter().filter(|it| it.is_error()) {
                let errors = settled.broken.entry(problem.file.clone()).or_default();
                if !errors.contains(problem) {
                    errors.push(problem.clone());
                }
                let edited = self.files.iter().find(|(_, file)| file.name == problem.file && file.can_revert());
                if let Some((path, _)) = edited {
                    reverted |= old.insert(path.clone());
                }
            }
            if !reverted {
                break;
            }
        }
        for (path, file) in &mut self.files {
            if old.contains(path) {
                settled.carried.insert(file.name.clone());
            } else {
                file.used.clone_from(&file.fresh);
                file.accepted = true;
            }
            let mut advice = file.said(|it| !it.is_error());
            let planned = settled.planned.problems.iter().filter(|it| !it.is_error() && it.file == file.name);
            advice.extend(planned.cloned());
            if !advice.is_empty() {
                settled.advice.insert(file.name.clone(), advice);
            }
        }
        settled
    }

    /// How many files hold objects.
    pub(crate) fn count(&self) -> usize {
        self.files.values().filter(|file| !file.fresh.is_empty()).count()
    }
}

impl File {
    fn read(&mut self, path: &Path, found: Found) {
        // A folder may hold many files that are none of ours; one that was one of ours stays so.
        let ours = found.named || !self.used.is_empty();
        self.accepted = false;
        self.name = found.name;
        (self.fresh, self.problems) = match &found.text {
            Ok(text) if ours || text.contains("apiVersion") => {
                let parsed = manifest::parse(&self.name, text);
                let mut manifests = parsed.manifests;
                planning::resolve_images(&mut manifests, path.parent().unwrap_or(path));
                (manifests, parsed.diagnostics.iter().map(Problem::from).collect())
            }
            Err(reason) if ours => (Vec::new(), vec![Problem::of_file(&self.name, reason)]),
            _ => (Vec::new(), Vec::new()),
        };
        self.text = Some(found.text);
    }

    /// Whether it is or was a manifest.
    fn counts(&self) -> bool {
        !self.fresh.is_empty() || !self.problems.is_empty() || !self.used.is_empty()
    }

    fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    fn can_revert(&self) -> bool {
        !self.used.is_empty() && !self.accepted
    }

    fn objects(&self, old: bool) -> &[Manifest] {
        if old { &self.used } else { &self.fresh }
    }

    fn said(&self, which: impl Fn(&Problem) -> bool) -> Vec<Problem> {
        self.problems.iter().filter(|it| which(it)).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
