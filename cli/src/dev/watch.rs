//! Says that something changed in the folders that matter; what changed is for others to find out.

use std::{path::Path, time::Duration};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, time::Instant};

/// An edit is over when nothing has happened for so long: editors and compilers write in several steps.
const QUIET: Duration = Duration::from_millis(60);
/// What never gets quiet is looked at nevertheless.
const AT_LEAST: Duration = Duration::from_millis(500);
/// How often to look where the system cannot tell.
const POLL: Duration = Duration::from_secs(1);

/// Watches folders, each without those below it.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    events: mpsc::UnboundedReceiver<()>,
    /// Why some folder cannot be watched; then all are polled.
    trouble: Option<String>,
    /// A change was seen, and until then it may settle.
    settling: Option<Instant>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let handler = move |event: notify::Result<Event>| {
            // An error may be an overflow of the queue: a reason to look, too.
            if event.as_ref().map_or(true, matters) {
                // Nobody listens any more at the end.
                let _ = sender.send(());
            }
        };
        match notify::recommended_watcher(handler) {
            Ok(watcher) => Self { watcher: Some(watcher), events, trouble: None, settling: None },
            Err(error) => Self { watcher: None, events, trouble: Some(error.to_string()), settling: None },
        }
    }

    /// Watches a folder. Asking again is cheap, and needed: a folder that was removed and made anew is another one.
    pub(super) fn folder(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
            // One that is gone is no trouble: the folder above tells when it is back.
            && path.is_dir()
        {
            self.trouble.get_or_insert_with(|| format!("{}: {error}", path.display()));
        }
    }

    /// Watches the folder of a file, or the nearest one above it that is there.
    pub(super) fn around(&mut self, file: &Path) {
        if let Some(folder) = file.ancestors().skip(1).find(|it| it.is_dir()) {
            self.folder(folder);
        }
    }

    /// Why changes are found by looking every second instead of being told.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns after a change, when things have settled. Cancel-safe: a change that was seen is remembered until this
    /// has returned for it.
    pub(super) async fn changed(&mut self) {
        let deadline = match self.settling {
            Some(deadline) => deadline,
            None => {
                if self.trouble.is_some() {
                    // Either comes first; both mean that it is time to look.
                    let _ = tokio::time::timeout(POLL, self.events.recv()).await;
                } else if self.events.recv().await.is_none() {
                    return std::future::pending().await;
                }
                *self.settling.insert(Instant::now() + AT_LEAST)
            }
        };
        while Instant::now() < deadline && matches!(tokio::time::timeout(QUIET, self.events.recv()).await, Ok(Some(())))
        {
        }
        self.settling = None;
    }
}

/// Reading is no change, or looking at the files would be a reason to look again. Nor are hidden files.
fn matters(event: &Event) -> bool {
    let change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    change && (event.paths.is_empty() || event.paths.iter().any(|path| !hidden(path)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Longer than any machine takes, short enough to wait for in vain.
    const LONG: Duration = Duration::from_secs(20);

    async fn told(watch: &mut Watch) -> bool {
        tokio::time::timeout(LONG, watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn edits_of_all_kinds_are_told() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yaml");
        let mut watch = Watch::new();
        watch.folder(root.path());
        fs::write(&file, "1").unwrap();
        assert!(told(&mut watch).await, "a new file");
        fs::write(&file, "2").unwrap();
        assert!(told(&mut watch).await, "a written file");
        fs::write(root.path().join(".a.yaml.new"), "3").unwrap();
        fs::rename(root.path().join(".a.yaml.new"), &file).unwrap();
        assert!(told(&mut watch).await, "a replaced file");
        fs::remove_file(&file).unwrap();
        assert!(told(&mut watch).await, "a removed file");
        fs::create_dir(root.path().join("folder")).unwrap();
        assert!(told(&mut watch).await, "a new folder");
    }

    #[tokio::test]
    async fn a_folder_that_is_made_anew_is_watched_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("build");
        let mut watch = Watch::new();
        watch.around(&folder.join("a.wasm"));
        fs::create_dir(&folder).unwrap();
        assert!(told(&mut watch).await, "the folder above is watched");
        for round in 0..2 {
            watch.around(&folder.join("a.wasm"));
            fs::write(folder.join("a.wasm"), "1").unwrap();
            assert!(told(&mut watch).await, "round {round}");
            fs::remove_dir_all(&folder).unwrap();
            fs::create_dir(&folder).unwrap();
            watch.around(&folder.join("a.wasm"));
            assert!(told(&mut watch).await);
        }
    }

    #[test]
    fn reading_is_no_change() {
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());
        assert!(!matters(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/a/b.yaml")));
        assert!(!matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "/a/b.yaml")));
        assert!(matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)), "/a/b.yaml")));
        assert!(matters(&event(EventKind::Any, "/a/b.yaml")));
        assert!(!matters(&event(EventKind::Any, "/a/.b.yaml.swp")));
    }
}
